"""The list of planted faults fits the source, so that the tool plants what it says."""

import ast

import pytest

from tests.tools.planted_as_code import FAULTS, planted


@pytest.mark.parametrize("name", FAULTS)
def test_can_be_planted(name: str) -> None:
    """The place of each fault is there once, and what is planted is Python."""
    ast.parse(planted(name)[1])
