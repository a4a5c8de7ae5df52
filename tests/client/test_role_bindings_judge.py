# `python -m tests.tools.judge_role_bindings` makes 20,000 calls.

import pytest

from tests.support.sizes import sized
from tests.tools.judge_role_bindings import PLANTED, run, run_planted

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.arize_roles(unused_faults="allow"),
]


def test_outcomes() -> None:
    """Whatever fails, and whoever interferes, no end of a call contradicts the account."""
    assert run(sized(150, 3_000)).wrong == []


@pytest.mark.full
@pytest.mark.parametrize("name", PLANTED)
def test_planted(name: str) -> None:
    """A planted fault is found."""
    assert run_planted(name, 2_000).wrong
