"""The judge of role bindings by names, on a sample of its calls."""

from typing import Any
from unittest.mock import patch

import pytest

from arize_roles_async._directory import client as directory
from tests.support.sizes import sized
from tests.tools.judge_names import PLANTED, count

pytestmark = pytest.mark.filterwarnings("ignore::arize_roles_async.BetaWarning")


def test_names() -> None:
    """No call binds a wrong user, role or place, nor picks one of two."""
    assert count(range(sized(150, 5_000))) == {}


@pytest.mark.parametrize(("attribute", "planted"), PLANTED.values(), ids=PLANTED)
def test_planted(attribute: str, planted: Any) -> None:  # noqa: ANN401 - a function or a class
    """The judge finds each way in which other clients mistake one name for another."""
    with patch.object(directory, attribute, planted):
        assert count(range(300)) != {}
