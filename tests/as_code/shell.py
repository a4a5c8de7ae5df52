"""The command on an account that this process serves, and a file that changes the account."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from arize_roles_async import Request, Response
from arize_roles_async.__main__ import main
from arize_roles_fake import FakeAccount
from tests.support.clients import START
from tests.support.processes import LONGEST_WAIT, MEASURED, clean_environment, ran

KEY: Final = "secret-of-the-test-4711"
FILE: Final = """\
account = "staging"
anchor = "Um9sZTpTYW1l"
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
MADE: Final = ['  made: update "B old" -> "B"\n', '  made: delete "D"\n', '  made: create "New"\n']
DONE: Final = {"B", "New", "Same", "Undeclared"}
"""The roles that the account has after a whole run."""

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
    assert KEY not in output
    assert "Traceback" not in output
    return re.sub(r"3-[0-9a-f]{64}", "SUM", re.sub(r"127\.0\.0\.1:[0-9]+", "HOST", output))


class Shell:
    """Runs commands in a folder that has the file as `roles.toml`."""

    def __init__(self, account: Account, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.account: Account = account
        self.folder: Path = folder
        given = {name: os.environ[name] for name in ("ARIZE_API_KEY", "ARIZE_BASE_URL")}
        self.environment: dict[str, str] = clean_environment() | MEASURED | given
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
        return status, masked(output), masked(errors)

    def status(self, command: str) -> int:
        return self(command)[0]

    def script(self, command: str) -> Ran:
        """Run a command in a shell of the system, as a process."""
        text = f'exec "{sys.executable}" -m arize_roles_async {command}'
        done = ran("/bin/sh", "-c", text, env=self.environment, cwd=self.folder)
        return done.returncode, masked(done.stdout), masked(done.stderr)

    @contextmanager
    def running(self, command: str, **streams: int) -> Generator[subprocess.Popen[str]]:
        """Run a command as a process, which ends at the end of the block."""
        arguments = (sys.executable, "-m", "arize_roles_async", *command.split())
        pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | streams
        with subprocess.Popen(  # noqa: S603 - this interpreter
            arguments, env=self.environment, cwd=self.folder, text=True, **pipes
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def ended(process: subprocess.Popen[str]) -> Ran:
    output, errors = process.communicate(timeout=LONGEST_WAIT)
    return process.returncode, masked(output or ""), masked(errors or "")
