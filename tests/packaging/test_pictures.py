"""The pictures of the guides, which `python -m tests.tools.pictures` makes again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import pictures


@pytest.mark.parametrize(
    ("picture", "draw"), [(pictures.PLAN, pictures.plan), (pictures.REPORT, pictures.report)]
)
def test_current(picture: Path, draw: Callable[[], str]) -> None:
    """A picture shows what the command prints today."""
    assert picture.read_text("utf-8").splitlines() == draw().splitlines()
