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

from arize_roles_async import AiohttpRolesClient, Timeouts
from arize_roles_async.__main__ import main
from tests.as_code.shell import MADE, TEXT, Shell, ended, sending
from tests.support.processes import await_true, is_waiting

LONGEST = "arize_roles_async.__main__._GRACE"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first(shell: Shell, sent: signal.Signals) -> None:
    """The request under way ends, no other is begun, and the rest is named."""
    shell.account.acts = {3: sending(sent)}
    stopped = f"error: made: 1 of 3, not reached: 2\n  stopped by {sent.name}\n"
    left = '  not reached: delete "D"\n  not reached: create "New"\n'
    assert shell("apply --yes roles.toml") == (3, f"{TEXT}{MADE[0]}", stopped + left)
    assert len(shell.account.calls) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_open(shell: Shell, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A change is given up after the grace, or by a second signal, and may have been made."""
    monkeypatch.setattr(LONGEST, 0.01 if count == 1 else 60.0)
    unlimited = Timeouts(total=None, read=None)
    patient = partialmethod(AiohttpRolesClient.__init__, timeout=unlimited)
    monkeypatch.setattr(AiohttpRolesClient, "__init__", patient)
    shell.account.fail("delete", "silent")
    shell.account.acts = {5: sending(*[signal.SIGINT, signal.SIGTERM][:count])}
    status, output, errors = shell("apply --yes --format=json roles.toml")
    result = json.loads(output)
    assert (status, result["kind"], result["reason"]) == (3, "StoppedError", "stopped by SIGINT")
    assert result["may_have_been_made"] is True
    doubt = '\n  delete "D" may have been made: stopped by SIGINT\n  not reached: create "New"\n'
    assert errors.endswith(doubt)


@pytest.mark.parametrize("waits", [True, False])
def test_look(shell: Shell, monkeypatch: pytest.MonkeyPatch, *, waits: bool) -> None:
    """A look at a role, in which a run may wait, ends at once; no change comes after it."""
    get: Any = AiohttpRolesClient.get

    async def look(client: object, **given: str) -> object:
        found = await get(client, **given)
        sending(signal.SIGTERM)()
        if waits:
            await asyncio.Event().wait()
        return found

    monkeypatch.setattr(LONGEST, 1e6)
    monkeypatch.setattr(AiohttpRolesClient, "get", look)
    status, _, errors = shell("apply --yes roles.toml")
    assert status == 2
    assert errors.startswith("error: made: 0 of 3, not reached: 3\n  stopped by SIGTERM\n")


@pytest.mark.parametrize(
    ("status", "wait", "said"), [(401, None, "PATCH "), (429, 20, "stopped by SIGTERM\n")]
)
def test_failing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, status: int, wait: int | None, said: str
) -> None:
    """A failure after a signal is told; the wait for another attempt ends with the grace."""
    monkeypatch.setattr(LONGEST, 0.5)
    shell.account.fail("update", status, retry_after=wait)
    shell.account.acts = {3: sending(signal.SIGTERM)}
    ended_with, _, errors = shell("apply --yes roles.toml")
    assert ended_with == 3
    assert f'\n  update "B old" -> "B" was not made: {said}' in errors


def test_walk(shell: Shell) -> None:
    """A walk ends at once."""
    shell.account.fail("list", "silent")
    shell.account.acts = {1: sending(signal.SIGHUP)}
    assert shell("apply --yes roles.toml") == (2, "", "error: stopped by SIGHUP\n")


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


def test_reading(shell: Shell) -> None:
    """A command that waits for its file from a pipe ends at once."""
    reader, writer = os.pipe()
    with shell.running("apply --yes -", stdin=reader) as process:
        os.close(reader)
        # More than a pipe holds, so that the command has begun to read, and waits for more.
        os.write(writer, b"#" * 200_000)
        await_true(lambda: is_waiting(process), "the reading")
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (2, "", "error: stopped by SIGTERM\n")
        os.close(writer)
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


def test_ignored(shell: Shell) -> None:
    """A run ignores what was ignored at its start, as by nohup."""
    shell.account.acts = {3: sending(signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert shell.status("apply --yes roles.toml") == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("shell")
def test_thread() -> None:
    """A run in another thread, which can have no handlers, goes without."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["plan", "roles.toml"]).result() == 0
