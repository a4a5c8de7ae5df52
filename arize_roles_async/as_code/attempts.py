"""The attempts of a call one by one: the caller makes each, and waits here between them."""

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from msgspec import Struct

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


class _Client(Protocol):
    def with_options(self, *, retry: RetryPolicy) -> Self: ...


_ClientT = TypeVar("_ClientT", bound=_Client)


class Attempts(Struct, Generic[_ClientT]):
    """Attempts of which each is a call of its own; the options of one call limit them all."""

    client: _ClientT
    """Makes one attempt a call."""
    permit: Callable[[], object]
    """Called ten times a second in a wait; what it raises ends the wait."""
    retry: RetryPolicy = RetryPolicy()
    total: float | None = Timeouts().total
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = _sleep
    _deadline: float = math.inf
    _failed: int = 0

    def __post_init__(self) -> None:
        if self.total is not None:
            self._deadline = self.now() + self.total

    async def wait(self, error: RolesError) -> None:
        """Wait after an attempt that failed until the next one may begin.

        Raises:
            RolesError: The error, if there must be no other attempt.
        """
        cause = error.__cause__ if isinstance(error, OutcomeUnknownError) else None
        failure = cause if isinstance(cause, RolesError) else error
        is_limited = isinstance(failure, RateLimitError)
        self._failed += not is_limited
        attempt = max(1, self._failed)
        delay = retry_delay(self.retry, failure, attempt=attempt, change=failure is not error)
        if delay is not None and is_limited:
            delay = max(delay, _SHORTEST_HOLD)
        if delay is None or self.now() + delay >= self._deadline:
            raise error
        while delay > 0.0:
            await self.sleep(min(delay, _STEP))
            delay -= _STEP
            self.permit()


def attempts_of(client: _ClientT, permit: Callable[[], object]) -> Attempts[_ClientT]:
    """Return the attempts of a change.

    Args:
        client: One of ours has options and a clock of its own; any other has the defaults.
        permit: Called in each wait, and by one of ours before each request that had to wait for its
            turn; what it raises ends the attempts.
    """
    own: Callable[..., tuple[Any, ...]] | None = getattr(client, "_use_permit", None)
    at_once = client.with_options(retry=_AT_ONCE)
    return Attempts(at_once, permit, *(() if own is None else own(at_once, permit)))
