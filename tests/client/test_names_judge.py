"""The judge of role bindings by names, on a sample of its calls."""

import pytest

from tests.support.sizes import sized
from tests.tools.judge_names import PLANTED, wrong

pytestmark = pytest.mark.usefixtures("unmeasured")


def test_names() -> None:
    """No call binds a wrong user, role or place, nor picks one of two."""
    assert [*wrong(sized(150, 5_000))] == []


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name: str) -> None:
    """The judge finds each way in which other clients mistake one name for another."""
    with PLANTED[name]:
        assert next(wrong(300), None)
