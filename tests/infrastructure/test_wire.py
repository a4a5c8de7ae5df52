"""The lossy wire is a command, in real time; this keeps its shortest scenario working."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT
from tests.support.wire import why_not


def test_delay() -> None:
    """Over a wire that only delays, every call succeeds."""
    if reason := why_not():
        pytest.skip(reason)

    ran = subprocess.run(
        [sys.executable, "-m", "tests.tools.lossy_wire", "delay"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
