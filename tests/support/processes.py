"""Other programs as processes of a test: ports, readiness, and an end in every case."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).parents[2]
LONGEST_WAIT: Final = 60.0
"""Seconds that a process has to get ready, or to end, on a busy machine."""

MEASURED: Final = {n: v for n, v in os.environ.items() if n == "COVERAGE_PROCESS_CONFIG"}
"""Variables of a process whose coverage counts, as no test in this process reaches its branches."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on.

    Below those that the kernel gives to connections, one of which would else take it meanwhile.
    """
    while True:
        port = random.randrange(12_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens on a port; raise `RuntimeError` if its process ended before."""

    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0

    await_true(listens, f"port {port}")


def await_true(holds: Callable[[], bool], what: str) -> None:
    """Poll until something holds that another process brings about; `RuntimeError` ends that."""
    end = time.monotonic() + LONGEST_WAIT
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {LONGEST_WAIT:g} s for {what}")
        time.sleep(0.01)


def ran(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
    """Run a program to its end; return its exit status and what it wrote."""
    run: Any = subprocess.run  # It has dozens of options.
    usual = {"capture_output": True, "text": True, "check": False, "timeout": LONGEST_WAIT}
    done: subprocess.CompletedProcess[str] = run([*map(str, command)], **{**usual, **options})
    return done


def passed_on(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
    """Run a program that writes where this one does, for as long as it takes; it has to succeed."""
    return ran(*command, **{"check": True, "capture_output": False, "timeout": None, **options})


def is_waiting(process: subprocess.Popen[str]) -> bool:
    """Return whether a process waits in a system call; only Linux says it."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] == "S"


def clean_environment() -> dict[str, str]:
    """Return the environment without what changes how a process runs, or configures a client."""
    unwanted = ("COVERAGE", "COV_", "ARIZE_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def program(name: str) -> str | None:
    """Return where a program is, or None where it is not installed."""
    return shutil.which(name, path=_PATH)


def missing(*names: str) -> str:
    """Return why a test that needs programs has to be skipped, or nothing."""
    absent = [name for name in names if program(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else ""


class Part:
    """A program as a process in the foreground, between entering and leaving a block.

    The directory is for its configuration, logs and pid file, which have its name.
    """

    program: str
    user: str | None = None
    ending = signal.SIGTERM
    """The signal that ends it."""

    def __init__(self, directory: Path, name: str = "") -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.directory = directory
        self.name = name or self.program
        self.configuration = directory / f"{self.name}.conf"
        self.log = directory / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the arguments that start it in the foreground."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Asked first, it also ends its own children; killed, it would leave them to nobody.
        if self._process is not None:
            self._process.send_signal(self.ending)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        self.kill()

    def start(self) -> None:
        """Start it, and return when it listens; a `RuntimeError` that it ended has its log."""
        path = program(self.program)
        assert path is not None, missing(self.program)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the programs that this file is for
                [path, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=clean_environment(),
                user=self.user if os.geteuid() == 0 else None,
                # A group of its own, so that its workers can be ended with it.
                start_new_session=True,
            )
        try:
            await_port(self.port, self._process)
        except RuntimeError as error:
            self.kill()
            raise RuntimeError(f"{error}: {self.log.read_text('utf-8', 'replace')}") from error

    def signal(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        """Send a signal to its first process, and return that."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process

    def kill(self) -> None:
        """End it and every process of its group at once; twice does nothing."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
