"""The command on an account that this process serves, and a file that changes the account."""

import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from arize_roles_async import Request, Response
from arize_roles_async.__main__ import main
from arize_roles_fake import FakeAccount
from tests.support.clients import START
from tests.support.processes import LONGEST_WAIT, clean_environment

KEY: Final = "secret-of-the-test-4711"
COMMAND: Final = (sys.executable, "-m", "arize_roles_async")
FILE: Final = """\
account = "staging"
absent = ["D"]

[roles."B"]
previously = ["B old"]
permissions = ["ROLE_READ"]

[roles."New"]
permissions = ["PROJECT_READ"]

[roles."Same"]
permissions = ["ROLE_READ"]
"""
TEXT: Final = """\
  account "staging" at HOST
! update "B old" -> "B" (roles.toml)
- delete "D" (roles.toml)
-     "ROLE_READ"
+ create "New" (roles.toml)
+     "PROJECT_READ"
? "Undeclared" is not declared
  1 to update, 1 to delete, 1 to create; 1 as declared, 1 not declared
  checksum SUM
"""
"""The plan of that file. The requests of its run are: list, get, update, get, delete, create."""
NOTED: Final = TEXT.replace("+ create", "#     the key sees no role binding\n+ create")
"""The same as `plan` shows it, which looks for users of a role that is to be deleted."""

Ran = tuple[int, str, str]
"""The exit status of a command, and what it printed."""


class Account(FakeAccount):
    """An account that does something while it answers its requests, by their numbers."""

    def __init__(self) -> None:
        super().__init__(api_key=KEY, clock=lambda: START)
        self.acts: dict[int, Callable[[], object]] = {}

    def handle(self, request: Request) -> Response:
        reply = super().handle(request)
        if act := self.acts.get(len(self.calls)):
            act()
        return reply


def sending(*signals: int) -> Callable[[], None]:
    """Return what sends signals to this process."""

    def send() -> None:
        for each in signals:
            # Not to the process: another thread might take the second one before the first.
            signal.pthread_kill(threading.main_thread().ident or 0, each)

    return send


def masked(output: str) -> str:
    """Return an output without the port of a server, which checksums cover."""
    return re.sub(r"3-[0-9a-f]{64}", "SUM", re.sub(r"127\.0\.0\.1:[0-9]+", "HOST", output))


class Shell:
    """Runs commands in a folder that has the file as `roles.toml`."""

    def __init__(
        self, account: Account, url: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.account: Account = account
        self.folder: Path = folder
        given = {"ARIZE_API_KEY": KEY, "ARIZE_BASE_URL": url}
        self.environment: dict[str, str] = {**clean_environment(), **given}
        self._capsys = capsys
        self.write("roles.toml", FILE)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, "utf-8")

    def __call__(self, command: str) -> Ran:
        """Run a command in this process."""
        try:
            status = main(shlex.split(command))
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        output, errors = self._capsys.readouterr()
        assert KEY not in output + errors
        return status, masked(output), masked(errors)

    def status(self, command: str) -> int:
        return self(command)[0]

    @contextmanager
    def running(
        self, command: str, environment: dict[str, str], **streams: int
    ) -> Generator[subprocess.Popen[str]]:
        """Run a command as a process, which ends at the end of the block."""
        with subprocess.Popen(  # noqa: S603 - this interpreter
            (*COMMAND, *command.split()),
            env=environment,
            cwd=self.folder,
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        output, errors = process.communicate(timeout=LONGEST_WAIT)
        assert KEY not in f"{output}{errors}"
        assert "Traceback" not in errors
        return process.returncode, masked(output or ""), masked(errors)
