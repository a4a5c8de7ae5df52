"""Calls of four attempts, each of which goes wrong in some way: their ends say the truth."""

from itertools import islice

from tests.support.sizes import sized
from tests.tools.outcomes import every_story, judge, random_stories


async def test_alone() -> None:
    """Alone on an account no end is wrong, and few outcomes are unknown."""
    ends, wrong = await judge(islice(every_story(), 0, None, sized(149, 1)))

    assert wrong == []
    assert ends["OutcomeUnknownError"] < 0.1 * ends.total()


async def test_with_another() -> None:
    """Beside another client only a create is wrong, and only in the races of the guide."""
    _, wrong = await judge(random_stories(sized(100, 10_000)))

    assert wrong == []
