"""Proves that a release works where nothing of this folder is.

`python -m tests.tools.release_check` runs it.

Builds the sdist and the wheel, installs the wheel with its test extra into a clean environment,
and runs the tests of the unpacked sdist against it, and `modes`. The dependencies are the newest;
with `--oldest`, every direct one has the lowest version that pyproject.toml allows. Needs
`pip install build`. Unknown arguments are pytest's.
"""

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.processes import ROOT, passed_on


def lower_bounds(requirements: Iterable[str]) -> Iterator[str]:
    """Yield, for each requirement, the constraint that holds it at its lower bound."""
    for requirement in map(Requirement, requirements):
        if requirement.name == "arize-roles-async":  # its own extras
            continue
        bounds = [each.version for each in requirement.specifier if each.operator == ">="]
        if not bounds:
            raise ValueError(f"{requirement} states no lower bound")
        yield f"{requirement.name}=={bounds[0]}"


def requirements() -> Iterator[str]:
    """Yield what the project and the extras that its tests need depend on directly."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    yield from project["dependencies"]
    for extra in ("pandas", "polars", "test"):
        yield from project["optional-dependencies"][extra]


def check(interpreter: str, *, oldest: bool, arguments: list[str]) -> None:
    """Build, install and test; a step that fails raises `CalledProcessError`."""
    with tempfile.TemporaryDirectory() as folder:
        dist, home = Path(folder, "dist"), Path(folder, "venv")
        passed_on(sys.executable, "-m", "build", "--outdir", dist, ROOT)
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        passed_on("tar", "-xf", sdist, "-C", folder)
        source = Path(folder, sdist.name.removesuffix(".tar.gz"))
        passed_on(interpreter, "-m", "venv", home)
        python = home / "bin" / "python"
        constraints = Path(folder, "constraints.txt")
        bounds = lower_bounds(requirements()) if oldest else ()
        constraints.write_text("\n".join(bounds), "utf-8")
        passed_on(python, "-m", "pip", "install", "-q", "-c", constraints, f"{wheel}[test]")
        # Behind everything that is installed, so that the sdist's packages shadow no wheel's.
        passed_on(python, "-P", source / "tests/tools/modes.py", cwd=source)
        passed_on(python, "-P", "-m", "pytest", "--import-mode=append", *arguments, cwd=source)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.tools.release_check", description=__doc__)
    parser.add_argument("--oldest", action="store_true", help="use the lowest versions allowed")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to test with")
    chosen, others = parser.parse_known_args()
    check(chosen.python, oldest=chosen.oldest, arguments=others)
