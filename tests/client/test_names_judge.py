"""The judge of role bindings by names, on a sample of its calls."""

from typing import Any
from unittest.mock import patch

import pytest

from arize_roles_async._directory import client as directory
from tests.support.sizes import sized
from tests.tools.judge_names import PLANTED, wrong

pytestmark = pytest.mark.usefixtures("unmeasured")


def test_names() -> None:
    """No call binds a wrong user, role or place, nor picks one of two."""
    assert [*wrong(sized(150, 5_000))] == []


@pytest.mark.parametrize(("attribute", "planted"), PLANTED.values(), ids=PLANTED)
def test_planted(attribute: str, planted: Any) -> None:  # noqa: ANN401 - a function or a class
    """The judge finds each way in which other clients mistake one name for another."""
    with patch.object(directory, attribute, planted):
        assert next(wrong(300), None)
