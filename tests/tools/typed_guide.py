"""Type-checks the pages of the guides and the README, as a reader pastes them.

    python -m tests.tools.typed_guide

Runs `mypy --strict` and pyright in strict mode, and exits with 1 if either finds a fault.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.documentation import pages

CHECKERS = (
    ("mypy", "--strict", "--config-file=", "--cache-dir=/dev/null"),
    ("pyright", "--pythonpath", sys.executable),
)


def main() -> int:
    """Return 0 if both checkers pass."""
    with TemporaryDirectory() as folder:
        for title, page in pages().items():
            path = Path(folder, re.sub(r"\W", "_", title)).with_suffix(".py")
            path.write_text("# pyright: strict\n" + page, "utf-8")
        ran = [
            subprocess.run([sys.executable, "-m", *checker, folder], check=False)  # noqa: S603 - these two
            for checker in CHECKERS
        ]
    return int(any(each.returncode for each in ran))


if __name__ == "__main__":
    sys.exit(main())
