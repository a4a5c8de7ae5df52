"""Runs the tests while other libraries and the interpreter say everything in other words.

`python -m tests.tools.other_words [ARGUMENTS OF PYTEST]`, for example `-n auto`. A test that fails
then expects words that the next release of somebody else may change; a test has to expect our own
words, such as the beginning of a message, or a path, or a class. Needs Python 3.12 or newer.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

HOOK: Final = str(Path(__file__).parent)
"""The folder from which Python imports `sitecustomize` at its start."""


def environment() -> dict[str, str]:
    """Return the environment of a process whose libraries use other words."""
    others = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{HOOK}{os.pathsep}{others}".rstrip(os.pathsep)}


def main() -> int:
    """Run pytest and return its exit status."""
    if sys.version_info < (3, 12):
        print("error: this needs Python 3.12, which shows it every exception", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    return subprocess.run(command, check=False, env=environment()).returncode  # noqa: S603 - ours


if __name__ == "__main__":
    sys.exit(main())
