"""The pace of an account: the latency of its answers, its rate limit, the length of its pages."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final, cast

import attrs

from arize_roles_async._values.options import is_count
from arize_roles_async._values.text import quoted
from arize_roles_fake._service.service import OPERATIONS, verb
from arize_roles_fake._testing.received import Matcher

_LISTS: Final = tuple(each for each in OPERATIONS if verb(each) == "list")


@attrs.define(eq=False)
class Latency:
    """The latency of the answers to some calls, as `FakeAccount.slow_down` takes it."""

    calls: Matcher
    seconds: float
    real_time: bool
    """True for real seconds in process, too."""
    was_used: bool = False

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.seconds < math.inf:
            raise ValueError(f"seconds must be 0 or more, not {self.seconds}")

    def unused(self) -> str | None:
        is_of_all = self.calls == Matcher("any", None)
        if self.was_used or is_of_all or not self.seconds:
            return None
        return f"slow_down of {self.calls}: no call was delayed"


every_page: int | None = None
"""The limit on every page of every account, by the setting `arize_roles_short_pages`."""


class ShortPages:
    """Sizes of the next pages of lists."""

    def __init__(self, sizes: Iterable[int], operation: str) -> None:
        if operation not in (*_LISTS, "any"):
            raise ValueError(f"operation must be one of {', '.join(_LISTS)} and any")
        self.operation: str = operation
        for size in sizes:
            if not is_count(size):
                raise ValueError(f"sizes must be an integer of 0 or more, not {quoted(size)}")
        self.remaining: list[int] = [*sizes]
        """The sizes of the pages that are still to come."""

    def unused(self) -> str | None:
        left = ", ".join(map(str, self.remaining))
        of = "" if self.operation == "any" else f" of {self.operation}"
        return f"shorten_pages({left}){of}: asked for no further page" if left else None


class TokenBucket:
    """A rate limit: a number of calls a second, and a burst at once.

    The bucket keeps the moment at which it is full again, so that rounding errors do not add up.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        is_number = isinstance(cast("object", per_second), int | float)
        if not (is_number and 0.0 < per_second < math.inf) or not is_count(burst, least=1):
            raise ValueError("per_second must be above 0, and burst an integer of 1 or more")
        self._refill = 1.0 / per_second
        self._capacity = self._refill * burst
        self._began: datetime | None = None
        self._full_at = 0.0

    def wait(self, now: datetime) -> int:
        """Take a token and return 0, or return the whole seconds until there is one."""
        self._began = self._began or now
        seconds = (now - self._began).total_seconds()
        full_at = max(self._full_at, seconds) + self._refill
        lacking = full_at - seconds - self._capacity
        # The clock's resolution is a microsecond; less than that is rounding.
        if lacking > 1e-6:  # noqa: PLR2004
            return math.ceil(round(lacking, 6))
        self._full_at = full_at
        return 0
