"""Signals end the command where it is, and it says how far it came."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partialmethod
from typing import Any

import pytest

from arize_roles_async import AiohttpRolesClient, Role, Timeouts
from arize_roles_async.__main__ import main
from tests.as_code.shell import TEXT, Shell, sending
from tests.support.processes import MEASURED, await_true, is_waiting


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first(shell: Shell, sent: signal.Signals) -> None:
    """The request under way ends, no other is begun, and the rest is named."""
    shell.account.acts = {3: sending(sent)}
    assert shell("apply --yes roles.toml") == (
        3,
        f'{TEXT}  made: update "B old" -> "B"\n',
        (
            f"error: stopped by {sent.name}\nmade: 1 of 3\nnot reached: 2\n"
            '  not reached: delete "D"\n  not reached: create "New"\n'
        ),
    )
    assert len(shell.account.calls) == 3


def test_last(shell: Shell) -> None:
    """A signal during the last request comes too late."""
    shell.account.acts = {6: sending(signal.SIGTERM)}
    status, _, errors = shell("apply --yes roles.toml")
    assert (status, errors) == (0, "")


def test_grace(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that does not end in time is given up, and its change may have been made."""
    monkeypatch.setattr("arize_roles_async.__main__._GRACE", 0.01)
    shell.account.fail("delete", "silent")
    shell.account.acts = {5: sending(signal.SIGTERM)}
    status, output, errors = shell("apply --yes --format=json roles.toml")
    result = json.loads(output)
    assert (status, result["reason"]) == (3, "stopped by SIGTERM")
    assert result["failed"]["before"]["name"] == "D"
    assert result["may_have_been_made"] is True
    assert errors.startswith('error: delete "D" may have been made: stopped by SIGTERM\n')


def test_in_doubt(shell: Shell) -> None:
    """One before the wait for a further attempt is named, too."""
    shell.account.fail("delete", 502)
    shell.account.fail("get", 502, skip=2)
    shell.account.acts = {5: sending(signal.SIGTERM)}
    status, _, errors = shell("apply --yes roles.toml")
    assert status == 3
    assert errors.startswith('error: delete "D" may have been made: stopped by SIGTERM\n')


@pytest.mark.parametrize("answered", [False, True])
def test_wait(shell: Shell, monkeypatch: pytest.MonkeyPatch, *, answered: bool) -> None:
    """A look at a role, in which a run waits after a failed attempt, ends at once.

    So does the run after one that was answered in that moment.
    """
    get = AiohttpRolesClient.get

    async def look(roles: Any, **target: Any) -> Role:  # noqa: ANN401
        role = await get(roles, **target)
        sending(signal.SIGTERM)()
        if not answered:
            await asyncio.Event().wait()
        return role

    monkeypatch.setattr("arize_roles_async.__main__._GRACE", 1e6)
    monkeypatch.setattr(AiohttpRolesClient, "get", look)
    status, _, errors = shell("apply --yes roles.toml")
    assert (status, errors[:39]) == (2, "error: stopped by SIGTERM\nmade: 0 of 3\n")


@pytest.mark.parametrize("command", ["plan", "apply --yes"])
def test_walk(shell: Shell, command: str) -> None:
    """A walk ends at once."""
    shell.account.fail("list", "silent")
    shell.account.acts = {1: sending(signal.SIGHUP)}
    stopped = "error: stopped by SIGHUP; nothing was changed\n"
    assert shell(f"{command} roles.toml") == (2, "", stopped)


def test_second(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one during a change ends it at once, with 3: the change may have been made."""
    # Nothing else ends the change in the time of a test.
    monkeypatch.setattr("arize_roles_async.__main__._GRACE", 60.0)
    unlimited = Timeouts(total=None, read=None)
    patient = partialmethod(AiohttpRolesClient.__init__, timeout=unlimited)
    monkeypatch.setattr(AiohttpRolesClient, "__init__", patient)
    shell.account.fail("delete", "silent")
    shell.account.acts = {5: sending(signal.SIGINT, signal.SIGTERM)}
    assert shell("apply --yes roles.toml") == (
        3,
        f'{TEXT}  made: update "B old" -> "B"\n',
        (
            'error: delete "D" may have been made: stopped by SIGINT\n'
            'made: 1 of 3\nnot reached: 1\n  not reached: create "New"\n'
        ),
    )


def test_early(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second signal before the run has begun does not raise while the first one ends it."""
    survived: list[bool] = []

    def run(command: Coroutine[object, object, int]) -> None:
        command.close()
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            survived.append(True)

    monkeypatch.setattr(asyncio, "run", run)
    assert shell.status("plan roles.toml") == 2
    assert survived == [True]


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        ("check", signal.SIGTERM),
        ("plan", signal.SIGINT),
        ("apply --yes", signal.SIGTERM),
        ("fmt", signal.SIGINT),
    ],
)
def test_reading(shell: Shell, command: str, sent: signal.Signals) -> None:
    """A command that waits for its file from a pipe ends at once."""
    reader, writer = os.pipe()
    with shell.running(f"{command} -", shell.environment | MEASURED, stdin=reader) as process:
        os.close(reader)
        # More than a pipe holds, so that the command has begun to read, and waits for more.
        os.write(writer, b"#" * 200_000)
        await_true(lambda: is_waiting(process), "the reading")
        process.send_signal(sent)
        status, output, errors = shell.ended(process)
        os.close(writer)
    assert (status, output) == (2, "")
    assert errors.startswith(f"error: stopped by {sent.name}")
    assert ("nothing was changed" in errors) is (command != "fmt")
    assert shell.account.calls == ()


@pytest.mark.usefixtures("shell")
def test_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals while the result is printed change nothing, and it is printed once."""

    class Output(io.BytesIO):
        def write(self, data: Any) -> int:  # noqa: ANN401
            if b"reason" in data:
                sending(signal.SIGTERM, signal.SIGINT)()
            return super().write(data)

    output = Output()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    assert main(["apply", "--yes", "--format=json", "roles.toml"]) == 0
    assert len(json.loads(output.getvalue())["made"]) == 3


def test_handlers(shell: Shell) -> None:
    """A run leaves the handlers as they were, and ignored what was, as by nohup, at its start."""
    shell.account.acts = {3: sending(signal.SIGHUP)}
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    try:
        assert shell.status("apply --yes roles.toml") == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.usefixtures("shell")
def test_thread() -> None:
    """A run in another thread, which can have no handlers, goes without."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["plan", "roles.toml"]).result() == 0
