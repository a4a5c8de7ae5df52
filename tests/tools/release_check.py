"""Proves that a release works where nothing of this folder is.

`python -m tests.tools.release_check` runs it.

Builds the sdist and the wheel, installs the wheel with its test extra into a clean environment,
and runs the tests of the unpacked sdist against it, and `modes`. The dependencies are the newest;
with `--resolution lowest-direct`, every direct one has the lowest version that pyproject.toml
allows. Needs `pip install uv`. Unknown arguments are pytest's.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.processes import ROOT

UV: Final = (sys.executable, "-m", "uv")
MODES: Final = ((), ("-OO",), ("-X", "dev", "-W", "error::ResourceWarning"))
"""Options of Python with which `modes` runs."""


def run(*command: object, cwd: Path = ROOT) -> None:
    subprocess.run([*map(str, command)], check=True, cwd=cwd)  # noqa: S603 - our own


def check(interpreter: str, *, resolution: str, arguments: list[str]) -> None:
    """Build, install and test; a step that fails raises `CalledProcessError`."""
    with tempfile.TemporaryDirectory() as folder:
        dist, home, constraints = (Path(folder, name) for name in ("dist", "venv", "constraints"))
        run(*UV, "build", "-q", "--out-dir", dist, ROOT)
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        run("tar", "-xf", sdist, "-C", folder)
        source = Path(folder, sdist.name.removesuffix(".tar.gz"))
        run(*UV, "venv", "-q", "--python", interpreter, home)
        python = home / "bin" / "python"
        options = ("-q", "--python", python, "--extra", "test", "--resolution", resolution)
        run(*UV, "pip", "compile", *options, "-o", constraints, source / "pyproject.toml")
        wanted = ("-c", constraints, f"{wheel}[test]")
        run(*UV, "pip", "install", "-q", "--python", python, *wanted)
        # Behind everything that is installed, so that the sdist's packages shadow no wheel's.
        for mode in MODES:
            run(python, "-P", *mode, source / "tests/tools/modes.py", cwd=source)
        run(python, "-P", "-m", "pytest", "--import-mode=append", *arguments, cwd=source)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.tools.release_check", description=__doc__)
    parser.add_argument("--resolution", default="highest", help="of uv")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to test with")
    chosen, others = parser.parse_known_args()
    check(chosen.python, resolution=chosen.resolution, arguments=others)
