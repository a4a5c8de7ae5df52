"""Type-checks the application of the guide's page `fastapi`, as a reader pastes it.

    python -m tests.tools.typed_guide

Runs `mypy --strict` and pyright in strict mode, and exits with 1 if either finds a fault.
"""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.documentation import examples

CHECKERS = (
    ("mypy", "--strict", "--config-file=", "--cache-dir=/dev/null"),
    ("pyright", "--pythonpath", sys.executable),
)


def main() -> int:
    """Return 0 if both checkers pass."""
    page = files("arize_roles_async").joinpath("guide/fastapi.md").read_text("utf-8")
    with TemporaryDirectory() as folder:
        path = Path(folder, "app.py")
        path.write_text("# pyright: strict\n" + examples(page)[0], "utf-8")
        ran = [
            subprocess.run([sys.executable, "-m", *checker, path], check=False)  # noqa: S603 - these two
            for checker in CHECKERS
        ]
    return int(any(each.returncode for each in ran))


if __name__ == "__main__":
    sys.exit(main())
