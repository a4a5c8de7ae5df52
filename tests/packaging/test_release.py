"""A release: the entry of its version, and a lower bound for every direct dependency."""

import pytest

from arize_roles_async import __version__
from tests.tools.release_check import ROOT, lower_bounds, requirements


def test_changelog() -> None:
    """The changelog has an entry for the version."""
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_newest_entry() -> None:
    """The newest entry has each heading and each line once, and begins with "Upgrading"."""
    entry = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1].splitlines()
    headings = [line for line in entry if line.startswith("### ")]
    lines = [line for line in entry if len(line) > 40]

    assert headings[0] == "### Upgrading"
    assert len(set(headings)) == len(headings)
    assert len(set(lines)) == len(lines)


def test_lower_bounds() -> None:
    """Every direct dependency states its lower bound."""
    bounds = list(lower_bounds(requirements(ROOT / "pyproject.toml")))

    assert any(bound.startswith("aiohttp==3.") for bound in bounds)
    assert any(bound.startswith("pandas==2.") for bound in bounds)
    assert any(bound.startswith("pytest==8.") for bound in bounds)


def test_literal_bound() -> None:
    """A bound is taken literally; extras and upper bounds are dropped."""
    given = ["msgspec>=0.19", "pyright[nodejs]>=1.1.390", "arize-roles-async[pandas,polars]"]

    assert list(lower_bounds([*given, "aiohttp>=3.12,<4"])) == [
        "msgspec==0.19",
        "pyright==1.1.390",
        "aiohttp==3.12",
    ]


@pytest.mark.parametrize("requirement", ["aiohttp", "aiohttp<4", "aiohttp<4,>=3.12"])
def test_no_bound(requirement: str) -> None:
    """A requirement without a plain lower bound is refused."""
    with pytest.raises(ValueError, match="states no lower bound"):
        list(lower_bounds([requirement]))
