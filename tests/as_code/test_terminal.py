"""On a terminal, `apply` asks before it changes anything, and plans are in colour."""

import io
import os
import pty
import select
import signal
import sys
from collections.abc import Callable

import pytest

from arize_roles_async.__main__ import main
from tests.as_code.accounts import changes, contents
from tests.as_code.shell import FILE, NOTED, Shell, masked
from tests.support.processes import LONGEST_WAIT, MEASURED, await_true, is_waiting


class Keyboard:
    """A standard input on which a text is typed as soon as something asks for it."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._answer()


class Screen(io.TextIOWrapper):
    """A standard output that somebody looks at."""

    def isatty(self) -> bool:
        return True


LookedAt = Callable[[Callable[[], str], str], tuple[int, str]]


@pytest.fixture
def looked_at(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> LookedAt:
    """Run a command in this process as if on a terminal of ASCII; return its status and output."""
    del shell

    def run_here(answer: Callable[[], str], command: str) -> tuple[int, str]:
        shown = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", Keyboard(answer))
        monkeypatch.setattr(sys, "stdout", Screen(shown, "ascii", write_through=True))
        status = main(command.split())
        return status, masked(shown.getvalue().decode()) + capsys.readouterr().err

    return run_here


def test_agreed(looked_at: LookedAt, shell: Shell) -> None:
    """`apply` shows the plan in colour, asks, and goes on after a yes, whatever the encoding."""
    shell.write("roles.toml", FILE.replace("staging", "日本"))
    status, shown = looked_at(lambda: "Y\n", "apply roles.toml")
    assert status == 0
    label, update, *_ = shown.splitlines()
    assert label == '  account "日本" at HOST'
    assert update == '\x1b[33m! update "B old" -> "B" (roles.toml)\x1b[0m'
    assert '\x1b[32m+ create "New" (roles.toml)\x1b[0m\n' in shown
    assert shown.endswith(
        '\nMake these changes to account "日本" at HOST? They delete or take permissions '
        "from 1 of 4 custom roles. [y/N] \n"
        '  made: update "B old" -> "B"\n  made: delete "D"\n  made: create "New"\n'
    )
    assert set(contents(shell.account)) == {"B", "New", "Same", "Undeclared"}
    # Without changes there is nothing to ask.
    status, shown = looked_at(lambda: pytest.fail("it asked"), "apply roles.toml")
    assert (status, "no changes; 3 as declared" in shown) == (0, True)


def test_colours(looked_at: LookedAt, shell: Shell) -> None:
    """Each kind of line has a colour of its own, and the rest has none."""
    shell.account.add_role("new", ["PROJECT_READ"])
    status, shown = looked_at(str, "plan roles.toml")
    label, *lines, counts, checksum = shown.splitlines()
    assert status == 0
    assert {line[:6] for line in lines} == {
        *("\x1b[33m!", "\x1b[31m-", "\x1b[32m+", "\x1b[35m?", "\x1b[36m#")
    }
    assert all(line.endswith("\x1b[0m") for line in lines)
    assert "\x1b" not in label + counts + checksum


@pytest.mark.parametrize(
    ("answer", "variable"),
    [("\n", "NO_COLOR=1"), ("n\n", "TERM=dumb"), ("yo\n", "TERM=dumb"), ("", "TERM=dumb")],
)
def test_declined(
    looked_at: LookedAt, shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str, variable: str
) -> None:
    """Any other answer, or none, changes nothing; NO_COLOR and TERM=dumb show no colour."""
    monkeypatch.setenv(*variable.split("="))
    status, shown = looked_at(lambda: answer, "apply roles.toml")
    assert status == 2
    assert "\x1b[3" not in shown
    assert shown.startswith(NOTED)
    assert shown.endswith("error: nothing was changed\n")
    assert changes(shell.account) == []


def test_interrupted(shell: Shell) -> None:
    """An interrupt on a real terminal, which does not wait for an answer, changes nothing."""
    master, slave = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
    with shell.running("apply roles.toml", shell.environment | MEASURED, **streams) as process:
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
    assert shown.endswith(b"error: stopped by SIGINT; nothing was changed\r\n")
    assert changes(shell.account) == []


def test_changed_meanwhile(looked_at: LookedAt, shell: Shell) -> None:
    """A change that somebody makes before the answer is not overwritten after a yes."""

    def meddle() -> str:
        shell.account.add_role("New", ["DATASET_DELETE"])
        return "yes\n"

    status, shown = looked_at(meddle, "apply roles.toml")
    assert status == 2
    assert "error: nothing was changed: the plan differs from the expected one" in shown
    assert changes(shell.account) == []


@pytest.mark.parametrize("stream", ["stdin", "stdout", "none"])
def test_no_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """Without one for both the question and the answer, `apply` refuses before any request."""
    if stream != "none":
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)
    refusal = "error: apply can ask only on a terminal; pass --yes or --checksum\n"
    assert shell("apply roles.toml") == (2, "", refusal)
    assert shell.account.calls == ()
