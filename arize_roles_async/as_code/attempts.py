"""The attempts of a call one by one: the caller makes each, and waits here between them."""

import math
import time
from collections.abc import Callable
from typing import Final

from arize_roles_async import RolesClient
from arize_roles_async._calls.client import Waits
from arize_roles_async._values.errors import OutcomeUnknownError, RateLimitError, RolesError
from arize_roles_async._values.options import RetryPolicy, Timeouts, retry_delay

# A client that holds a request back for a rate limit would send it long after the caller looked.
_AT_ONCE: Final = RetryPolicy(attempts=1, max_retry_after=0.001)
_SHORTEST_HOLD: Final = 1.0
"""Seconds to wait after a 429 that asks for less, as the clients do."""
_STEP: Final = 0.1
"""Seconds of a wait between two permits."""


async def _sleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)


_DEFAULTS: Final[Waits] = (RetryPolicy(), Timeouts().total, time.monotonic, _sleep)


class Attempts:
    """The attempts of a change, each a call of its own; the options of one call limit them all.

    Args:
        client: One of ours has options and a clock of its own; any other has the defaults.
        permit: Called ten times a second in a wait, and by one of ours before each request that had
            to wait for its turn; what it raises ends the attempts.
    """

    def __init__(self, client: RolesClient, permit: Callable[[], object]) -> None:
        self.client: RolesClient = client.with_options(retry=_AT_ONCE)
        """Makes one attempt a call."""
        self._permit = permit
        own: Callable[..., Waits] | None = getattr(client, "_use_permit", None)
        options = own(self.client, permit) if own else _DEFAULTS
        self._retry, total, self._now, self._sleep = options
        self._deadline = math.inf if total is None else self._now() + total
        self._failed = 0

    async def wait(self, error: RolesError) -> None:
        """Wait after an attempt that failed; raises its error if there must be no other one."""
        cause = error.__cause__ if isinstance(error, OutcomeUnknownError) else None
        failure = cause if isinstance(cause, RolesError) else error
        is_limited = isinstance(failure, RateLimitError)
        self._failed += not is_limited
        attempt = max(1, self._failed)
        delay = retry_delay(self._retry, failure, attempt=attempt, change=failure is not error)
        if delay is not None and is_limited:
            delay = max(delay, _SHORTEST_HOLD)
        if delay is None or self._now() + delay >= self._deadline:
            raise error
        while delay > 0.0:
            await self._sleep(min(delay, _STEP))
            delay -= _STEP
            self._permit()
