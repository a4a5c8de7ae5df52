"""Runs tests twice in one process: what a first run left behind must not fail a second.

python -m tests.tools.twice                     # each folder, in a process of its own
python -m tests.tools.twice tests/client -q     # what pytest is given
"""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = sorted(str(path.parent) for path in Path("tests").glob("*/test_*.py"))


def main(arguments: list[str]) -> int:
    """Run pytest twice, and return the exit status of the first run that failed, or 0."""
    return pytest.main(arguments) or pytest.main(arguments)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(sys.argv[1:]))
    command = (sys.executable, "-m", "tests.tools.twice", "-q", "-p", "no:cacheprovider")
    results = [subprocess.run((*command, folder), check=False) for folder in dict.fromkeys(FOLDERS)]  # noqa: S603
    sys.exit(any(result.returncode for result in results))
