"""Other programs as processes of a test: ports, readiness, and an end in every case."""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

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
    """Return when something listens on a port.

    Raises:
        RuntimeError: The process ended before, or takes too long.
    """

    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0

    await_true(listens, f"port {port}")


def await_true(holds: Callable[[], bool], what: str) -> None:
    """Return when something holds that another process brings about; poll until then.

    Raises:
        RuntimeError: It takes too long.
    """
    end = time.monotonic() + LONGEST_WAIT
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {LONGEST_WAIT:g} s for {what}")
        time.sleep(0.01)


def clean_environment() -> dict[str, str]:
    """Return the environment without what measures coverage or configures a client."""
    return {n: v for n, v in os.environ.items() if not n.startswith(("COVERAGE", "COV_", "ARIZE_"))}
