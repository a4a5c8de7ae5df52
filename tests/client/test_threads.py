import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "in_threads.py"


# Without the lock in `_wire`, and with aiohttp before 3.13, about every other process fails.
@pytest.mark.parametrize(("what", "times"), [("decode", 8), ("call", 4)])
def test_loops(what: str, times: int) -> None:
    """Event loops of several threads do not disturb one another."""
    for _ in range(times):
        done = subprocess.run(  # noqa: S603 - the script is ours
            [sys.executable, SCRIPT, what], check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
