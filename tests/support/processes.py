"""Other programs as processes of a test: ports, readiness, and an end in every case."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).parents[2]
LONGEST_WAIT: Final = 60.0
"""Seconds that a process has to get ready, or to end, on a busy machine."""

MEASURED: Final = {n: v for n, v in os.environ.items() if n == "COVERAGE_PROCESS_CONFIG"}
"""Variables of a process whose coverage counts, as no test in this process reaches its branches."""


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


def is_waiting(process: subprocess.Popen[str]) -> bool:
    """Return whether a process waits in a system call; only Linux says it."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] == "S"


def clean_environment() -> dict[str, str]:
    """Return the environment without what changes how a process runs, or configures a client."""
    unwanted = ("COVERAGE", "COV_", "ARIZE_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
