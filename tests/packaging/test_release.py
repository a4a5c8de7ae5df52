"""A release: the entry of its version, and a lower bound for every direct dependency."""

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from arize_roles_async import __version__
from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# The first of the extra for tests is the package itself, with other extras.
NAMED = PROJECT["dependencies"] + EXTRAS["pandas"] + EXTRAS["polars"] + EXTRAS["test"][1:]
DIRECT = [Requirement(each) for each in NAMED]


def test_changelog() -> None:
    """The changelog has an entry for the version."""
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_pythons() -> None:
    """The README names the Pythons of the package's classifiers."""
    tried = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    named = f"CPython {tried[0]} or newer ({tried[0]} to {tried[-1]} were tried"
    assert named in (ROOT / "README.md").read_text("utf-8")


def test_newest_entry() -> None:
    """The newest entry has each heading and each line once, and begins with "Upgrading"."""
    entry = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1].splitlines()
    headings = [line for line in entry if line.startswith("### ")]
    lines = [line for line in entry if len(line) > 40]

    assert headings[0] == "### Upgrading"
    assert len(set(headings)) == len(headings)
    assert len(set(lines)) == len(lines)


@pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="a release has no CI")
def test_npm() -> None:
    """What CI installs from npm is pinned by its contents, and runs no scripts."""
    installs = re.findall(r"npm (?:ci|i|install|exec) .*|npx .*", (ROOT / ".ci/run").read_text())
    assert installs
    assert all(each.startswith("npm ci --ignore-scripts ") for each in installs)
    lock = json.loads((ROOT / "tests/data/official_client/package-lock.json").read_text())
    names = lock["packages"].keys() - {""}
    assert "node_modules/@arizeai/ax-client" in names
    assert all(lock["packages"][name]["integrity"].startswith("sha512-") for name in names)


def test_lower_bounds() -> None:
    """Every direct dependency states its lower bound."""
    assert {"aiohttp", "pandas", "pytest"} <= {each.name for each in DIRECT}
    assert [each.name for each in DIRECT if ">=" not in str(each.specifier)] == []


def test_pins() -> None:
    """Every direct dependency is pinned, and a Python newer than the pins takes whatever is new."""
    pins = (ROOT / "tests/constraints.txt").read_text("utf-8").splitlines()
    direct = {each.name for each in DIRECT}

    for version, pinned in (("3.11", direct), ("3.14", direct), ("3.15", set[str]())):
        here = {"python_version": version, "python_full_version": f"{version}.1"}
        named = {
            each.name
            for each in map(Requirement, pins)
            if each.marker and each.marker.evaluate(here)
        }
        assert named & direct == pinned
