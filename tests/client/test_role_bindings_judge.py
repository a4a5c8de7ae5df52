"""The judge of role bindings, on a sample of its calls."""

import pytest

from tests.support.sizes import sized
from tests.tools.judge_role_bindings import PLANTED, wrong_calls

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.arize_roles(unused_faults="allow"),
]


def test_outcomes() -> None:
    """Whatever fails, and whoever interferes, no end of a call contradicts the account."""
    assert wrong_calls(sized(150, 20_000)) == []


@pytest.mark.full
@pytest.mark.parametrize("name", PLANTED)
def test_planted(name: str) -> None:
    """A planted fault is found."""
    operation, planted = PLANTED[name]
    with planted:
        assert wrong_calls(2_000, operation)
