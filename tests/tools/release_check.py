"""Proves that a release works where nothing of this folder is.

`python -m tests.tools.release_check` runs it.

Builds the sdist and the wheel, installs the wheel with its test extra into a clean environment,
and runs the tests of the unpacked sdist against it, and `modes`. The dependencies are the newest;
with `--resolution lowest-direct`, every direct one has the lowest version that pyproject.toml
allows. Needs `pip install uv`. Unknown arguments are pytest's.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.support.processes import ROOT, passed_on


def check(interpreter: str, *, resolution: str, arguments: list[str]) -> None:
    """Build, install and test; a step that fails raises `CalledProcessError`."""
    with tempfile.TemporaryDirectory() as folder:
        dist, home, constraints = (Path(folder, name) for name in ("dist", "venv", "constraints"))
        passed_on("uv", "build", "-q", "--out-dir", dist, ROOT)
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        passed_on("tar", "-xf", sdist, "-C", folder)
        source = Path(folder, sdist.name.removesuffix(".tar.gz"))
        passed_on("uv", "venv", "-q", "--python", interpreter, home)
        python = home / "bin" / "python"
        options = ("-q", "--python", python, "--extra", "test", "--resolution", resolution)
        passed_on("uv", "pip", "compile", *options, "-o", constraints, source / "pyproject.toml")
        wanted = ("-c", constraints, f"{wheel}[test]")
        passed_on("uv", "pip", "install", "-q", "--python", python, *wanted)
        # Behind everything that is installed, so that the sdist's packages shadow no wheel's.
        passed_on(python, "-P", source / "tests/tools/modes.py", cwd=source)
        passed_on(python, "-P", "-m", "pytest", "--import-mode=append", *arguments, cwd=source)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.tools.release_check", description=__doc__)
    parser.add_argument("--resolution", default="highest", help="of uv")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to test with")
    chosen, others = parser.parse_known_args()
    check(chosen.python, resolution=chosen.resolution, arguments=others)
