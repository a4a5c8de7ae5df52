"""What a release states: its version's entry, and a lower bound for every direct dependency."""

import pytest

from arize_roles_async import __version__
from tests.tools.release_check import ROOT, lower_bounds, requirements


def test_the_changelog_tells_of_the_version() -> None:
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_direct_dependency_states_its_lower_bound() -> None:
    bounds = list(lower_bounds(requirements(ROOT / "pyproject.toml")))

    assert any(bound.startswith("aiohttp==3.") for bound in bounds)
    assert any(bound.startswith("pandas==2.") for bound in bounds)
    assert any(bound.startswith("pytest==8.") for bound in bounds)


def test_a_bound_is_taken_literally_and_extras_are_dropped() -> None:
    given = ["msgspec>=0.19", "pyright[nodejs]>=1.1.390", "arize-roles-async[pandas,polars]"]

    assert list(lower_bounds(given)) == ["msgspec==0.19", "pyright==1.1.390"]


@pytest.mark.parametrize("requirement", ["aiohttp", "aiohttp<4", "aiohttp>=3.12,<4"])
def test_a_requirement_without_a_plain_lower_bound_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match="states no lower bound"):
        list(lower_bounds([requirement]))
