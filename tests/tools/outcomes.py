"""Judge the ends of calls of four attempts: `python -m tests.tools.outcomes [random calls]`.

It runs every sequence of attempts alone on an account, in about three minutes, and as many random
ones beside another client. It prints how often each end came, and exits with 1 if one is wrong.
"""

import sys
import warnings
from collections.abc import Sequence
from random import Random

import anyio

from arize_roles_async import AlphaWarning
from tests.support.outcomes import every_story, judge, random_story


def main(arguments: Sequence[str]) -> int:
    """Judge, print and return the exit status."""
    warnings.simplefilter("ignore", AlphaWarning)
    number = int(arguments[0]) if arguments else 10_000
    ends, wrong = anyio.run(judge, every_story())
    print(f"alone: {len(wrong)} wrong of {ends.total()}; {dict(ends)}")
    stories = (random_story(Random(seed)) for seed in range(number))  # noqa: S311 - no secret
    ends, races = anyio.run(judge, stories)
    print(f"beside another client: {len(races)} wrong of {ends.total()}; {dict(ends)}")
    unlike = [story for story in races if story.change != "create"]
    for story in [*wrong, *unlike][:20]:
        print(story)
    return 1 if wrong or unlike else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
