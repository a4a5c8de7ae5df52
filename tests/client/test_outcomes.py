"""Calls of four attempts, each of which goes wrong in some way: their ends say the truth."""

from itertools import islice
from random import Random

import pytest

from tests.support.outcomes import end_of, every_story, judge, random_story
from tests.support.sizes import sized

pytestmark = pytest.mark.asyncio


async def test_alone() -> None:
    """Alone on an account no end is wrong, and few outcomes are unknown."""
    ends, wrong = await judge(islice(every_story(), 0, None, sized(149, 1)))

    assert wrong == []
    assert ends["OutcomeUnknownError"] < 0.1 * ends.total()


async def test_with_another() -> None:
    """Beside another client only a create is wrong, whose role was deleted within the call."""
    for seed in range(sized(100, 10_000)):
        story = random_story(Random(seed))  # noqa: S311 - no secret
        _, is_wrong = await end_of(story)
        if is_wrong:
            assert story.change == "create", story
            assert "delete" in {what for _, what in story.others}, story
