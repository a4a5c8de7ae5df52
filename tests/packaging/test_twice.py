"""Tests may run twice in a process, as mutation testing and some editors do."""

import subprocess
import sys

from tests.support.processes import ROOT


def test_twice() -> None:
    """The library's state in a process (warnings, caches, registries) fails no second run."""
    # `python -m tests.tools.twice` runs every folder.
    files = ("client/test_alpha.py", "fake/test_mock.py", "packaging/test_slots.py")
    done = subprocess.run(  # noqa: S603 - our own
        (
            *(sys.executable, "-m", "tests.tools.twice", "-q", "-p", "no:cacheprovider"),
            *("-p", "no:schemathesis"),  # whose import takes seconds
            *(f"tests/{file}" for file in files),
        ),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" passed in ") == 2
