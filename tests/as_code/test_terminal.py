"""On a terminal, `apply` asks before it changes anything, and plans are in colour."""

import os
import pty
import select
import signal
import sys
from collections.abc import Callable

import pytest

from tests.as_code.accounts import changes, contents
from tests.as_code.shell import DONE, MADE, NOTED, Ran, Shell
from tests.support.processes import LONGEST_WAIT, await_true, is_waiting

Asked = Callable[[Callable[[], str]], Ran]


@pytest.fixture
def asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Apply as if on a terminal, and answer what is asked."""

    def apply(answer: Callable[[], str]) -> Ran:
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setattr("builtins.input", answer)
        return shell("apply roles.toml")

    return apply


def test_agreed(asked: Asked, shell: Shell) -> None:
    """`apply` shows the plan in colour, asks, and goes on after a yes."""
    status, shown, _ = asked(lambda: "Y")
    assert status == 0
    label, update, delete, *_, counts, _, question = shown.removesuffix("".join(MADE)).splitlines()
    assert label == '  account "staging" at HOST'
    assert update == '\x1b[33m! update "B old" -> "B" (roles.toml)\x1b[0m'
    assert delete == '\x1b[31m- delete "D" (roles.toml)\x1b[0m'
    assert "\x1b" not in counts
    assert question == (
        'Make these changes to account "staging" at HOST? 1 of 4 custom roles would be deleted '
        "or lose permissions. [y/N] "
    )
    assert set(contents(shell.account)) == DONE
    # Without changes there is nothing to ask.
    status, shown, _ = asked(lambda: pytest.fail("it asked"))
    assert (status, "no changes; 3 as declared" in shown) == (0, True)


def test_takes(asked: Asked, shell: Shell) -> None:
    """The question counts the role bindings that would be taken, too."""
    shell.account.bind("Same", user="eve@example.com", resource="Space:ML")
    shell.write("roles.toml", '[spaces."ML"]\nabsent = ["eve@example.com"]')
    asks = "? 1 of 1 role bindings on declared places would be taken. [y/N] "
    assert asks in asked(lambda: "y")[1]


@pytest.mark.parametrize("answer", ["", "yo", None, "yes"])
def test_declined(
    asked: Asked, shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    """Any other answer, none, or a yes to what is not so now, changes nothing, here uncoloured."""

    def decline() -> str:
        if answer is None:
            raise EOFError
        if answer == "yes":
            shell.account.add_role("New", ["DATASET_DELETE"])
        return answer

    monkeypatch.setenv("NO_COLOR", "1")
    status, shown, errors = asked(decline)
    why = ": the plan differs from the expected one; " if answer == "yes" else "\n"
    assert status == 2
    assert f"error: nothing was changed{why}" in errors
    assert shown.startswith(f"{NOTED}Make these changes ")
    assert changes(shell.account) == []


def test_interrupted(shell: Shell) -> None:
    """An interrupt on a real terminal, which does not wait for an answer, changes nothing."""
    master, slave = pty.openpty()
    with shell.running("apply roles.toml", stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = b""
        # The question is printed before its answer is read, where the signal is to strike.
        while select.select([master], [], [], LONGEST_WAIT)[0]:
            try:
                shown += os.read(master, 65_536)
            except OSError:  # Linux's end of a terminal that nobody has open.
                break
            if shown.endswith(b"[y/N] "):
                await_true(lambda: is_waiting(process), "the reading")
                process.send_signal(signal.SIGINT)
        os.close(master)
        process.wait(timeout=LONGEST_WAIT)
    assert process.returncode == 2
    assert shown.endswith(b"error: stopped by SIGINT\r\n")
    assert changes(shell.account) == []
