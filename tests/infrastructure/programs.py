"""nginx, haproxy and squid as processes on the loopback, each in a folder of its own.

They run as whoever runs the tests, and end with their block. Started by root, nginx and haproxy
stay root, and squid, which refuses that, runs as `nobody`.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import pytest

from tests.support.processes import HOST, LONGEST_WAIT, ROOT, await_true, clean_environment

_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
_IS_ROOT: Final = os.geteuid() == 0
_OPTIONS: Final = {
    "nginx": "-p @folder@/ -c @folder@/conf -e @folder@/nginx.log",
    "haproxy": "-db -f @folder@/conf",
    "squid": "-N -n roles@port@ -f @folder@/conf",
}
"""What starts each in the foreground."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on.

    Below those that the kernel gives to connections, one of which would else take it meanwhile.
    """
    while True:
        port = random.randrange(12_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port


class Program:
    """A program between entering and leaving a block; without it, the test is skipped.

    Its configuration is a file of `tests/data/programs`, with values in place of names.
    """

    def __init__(self, name: str, folder: Path, **values: object) -> None:
        if (path := shutil.which(name, path=_PATH)) is None:
            pytest.skip(f"{name} is not installed")
        self.port, self._name, self._folder = free_port(), name, folder
        self._log = folder / f"{name}.log"
        folder.mkdir()
        self._user = "nobody" if name == "squid" and _IS_ROOT else None
        if self._user:
            shutil.chown(folder, self._user)
        user = "user root root;" if _IS_ROOT else ""
        self._values = {"folder": folder, "port": self.port, "user": user}
        self._command = [path, *self._filled(_OPTIONS[name]).split()]
        self._process: subprocess.Popen[bytes]
        self.configure(**values)

    def configure(self, **values: object) -> None:
        """Write its configuration, with these values besides those that it had."""
        self._values |= values
        text = (ROOT / f"tests/data/programs/{self._name}.conf").read_text("utf-8")
        (self._folder / "conf").write_text(self._filled(text))

    def _filled(self, text: str) -> str:
        return re.sub(r"@(\w+)@", lambda name: str(self._values[name[1]]), text)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Asked, nginx also ends its own children; squid takes seconds then.
        self.end(signal.SIGKILL if self._name == "squid" else signal.SIGTERM)

    def start(self) -> None:
        """Start it, and return when it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the programs that this file is for
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=clean_environment(),
                user=self._user,
                # A group of its own, so that its workers can be ended with it.
                start_new_session=True,
            )
        await_true(self._listens, f"{self._name}'s port")

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text("utf-8", "replace")
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def end(self, how: signal.Signals, seconds: float = 2.0) -> None:
        """End it by a signal, and after some seconds every process of its group."""
        self._process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # Left there, it would keep the next squid of this service from its start.
        for shared in Path("/dev/shm").glob(f"roles{self.port}-*"):  # noqa: S108 - squid's choice
            shared.unlink()

    def drain(self) -> None:
        """End nginx when what it has begun is done."""
        self.end(signal.SIGQUIT, LONGEST_WAIT)

    def reload(self) -> None:
        """Have new workers of nginx read the configuration; the two old ones end their work."""
        gone = self._workers_gone()
        self._process.send_signal(signal.SIGHUP)
        await_true(lambda: self._workers_gone() >= gone + 2, "nginx's reload")

    def _workers_gone(self) -> int:
        return self._log.read_text().count(" exited with code ")

    def command(self, command: str) -> None:
        """Give haproxy a command on its admin socket, and wait until it is done."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._folder / "haproxy.sock"))
            admin.sendall(f"{command}\n".encode())
            while admin.recv(4096):
                pass
