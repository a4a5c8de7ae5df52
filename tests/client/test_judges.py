"""The judges of calls, each on a sample: no end of a call contradicts the account."""

from itertools import islice

import pytest

from tests.support.sizes import sized
from tests.tools import judge_names, judge_role_bindings, outcomes

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.arize_roles(unused_faults="allow"),
]


class TestRoles:
    """Calls of four attempts, each of which goes wrong in some way."""

    async def test_alone(self) -> None:
        """Alone on an account no end is wrong, and few outcomes are unknown."""
        stories = islice(outcomes.every_story(), 0, None, sized(149, 1))
        ends, wrong = await outcomes.judge(stories)
        assert wrong == []
        assert ends["OutcomeUnknownError"] < 0.1 * ends.total()

    async def test_with_another(self) -> None:
        """Beside another client only a create is wrong, and only in the races of the guide."""
        _, wrong = await outcomes.judge(outcomes.random_stories(sized(100, 10_000)))
        assert wrong == []


class TestRoleBindings:
    """Calls of role bindings, whatever fails, and whoever interferes."""

    def test_outcomes(self) -> None:
        """No end is wrong."""
        assert judge_role_bindings.wrong_calls(sized(150, 20_000)) == []

    @pytest.mark.full
    @pytest.mark.parametrize("name", judge_role_bindings.PLANTED)
    def test_planted(self, name: str) -> None:
        """A planted fault is found."""
        operation, planted = judge_role_bindings.PLANTED[name]
        with planted:
            assert judge_role_bindings.wrong_calls(2_000, operation)


class TestNames:
    """Role bindings by names."""

    def test_outcomes(self) -> None:
        """No call binds a wrong user, role or place, nor picks one of two."""
        assert [*judge_names.wrong(sized(150, 5_000))] == []

    @pytest.mark.parametrize("name", judge_names.PLANTED)
    def test_planted(self, name: str) -> None:
        """Each way in which other clients mistake one name for another is found."""
        with judge_names.PLANTED[name]:
            assert next(judge_names.wrong(300), None)
