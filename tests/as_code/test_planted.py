"""The list of planted faults fits the source, so that the tool plants what it says."""

import ast

import pytest

from tests.tools.planted_as_code import FAULTS, ROOT, SOURCE


@pytest.mark.parametrize("name", FAULTS)
def test_can_be_planted(name: str) -> None:
    """The place of each fault is there once, and what is planted is Python."""
    old, new = FAULTS[name]
    source = (ROOT / SOURCE).read_text("utf-8")
    assert source.count(old) == 1
    ast.parse(source.replace(old, new))
