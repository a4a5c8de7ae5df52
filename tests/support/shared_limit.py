"""Several clients at one rate limit, in simulated time: only their paces, without calls."""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

from arize_roles_async._calls.pace import Pace
from tests.support.rate_limit import Limit

LATENCY = 0.04
"""Seconds that an answer takes, more or less by a tenth."""
SLOTS = 40
"""The requests of a client that may be under way at once."""
GIVES_UP = 3600.0
"""Seconds without a grant after which a simulation fails."""
STAGGER = 0.02
"""Seconds between the starts of two clients."""


class Shared(NamedTuple):
    """The result of a job of several clients."""

    seconds: float
    """Until the last client was done, over the least in which the service grants as many."""
    last_to_first: float
    """The last client's time over the first's."""
    refused_for: float
    """The longest time in which a client was granted nothing, in seconds."""


class Limiter(Protocol):
    """What grants requests of all clients, or refuses them."""

    def take(self, now: float) -> float | None:
        """Grant a request and return None, or return the `Retry-After` of a refusal."""
        ...

    def ideal(self, requests: int) -> float:
        """Return the least seconds in which so many requests are granted."""
        ...


class Bucket:
    """A token bucket.

    Args:
        limit: Its rate and size, and the `Retry-After` of a refusal.
        counts_refusals: A refused request takes a token that is not there, down to one burst.
    """

    def __init__(self, limit: Limit, *, counts_refusals: bool = False) -> None:
        self._limit = limit
        self._counts_refusals = counts_refusals
        self._tokens, self._filled_at = float(limit.burst), 0.0

    def take(self, now: float) -> float | None:
        rate, burst, retry_after, _ = self._limit
        self._tokens = min(burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return None
        if self._counts_refusals:
            self._tokens = max(-burst, self._tokens - 1.0)
        if retry_after is not None:
            return retry_after
        return max(1, math.ceil((1.0 - self._tokens) / rate))

    def ideal(self, requests: int) -> float:
        return (requests - self._limit.burst) / self._limit.rate


class SlidingLog:
    """So many requests a minute, refused ones included; a 429 has no `Retry-After`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: deque[float] = deque(maxlen=limit)

    def take(self, now: float) -> float | None:
        is_full = len(self._requests) == self._limit and self._requests[0] > now - 60.0
        self._requests.append(now)
        return 0.0 if is_full else None

    def ideal(self, requests: int) -> float:
        return 60.0 * (math.ceil(requests / self._limit) - 1)


class FixedWindow:
    """So many requests in each minute; a 429 has the whole seconds to the next as `Retry-After`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._granted: Counter[float] = Counter()

    def take(self, now: float) -> float | None:
        minute = now // 60.0
        if self._granted[minute] == self._limit:
            return math.ceil((minute + 1.0) * 60.0 - now)
        self._granted[minute] += 1
        return None

    def ideal(self, requests: int) -> float:
        return 60.0 * (math.ceil(requests / self._limit) - 1)


class _Client:
    def __init__(self, pace: Pace, calls: int) -> None:
        self.pace = pace
        self.waiting = self.unanswered = calls
        self.under_way = 0
        self.timer = self.end = math.inf


class _Events:
    """The events of the simulation, by their time."""

    def __init__(self) -> None:
        self._ties = count()
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []

    def add(self, moment: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._heap, (moment, next(self._ties), happen))

    def run(self) -> None:
        while self._heap:
            moment, _, happen = heapq.heappop(self._heap)
            happen(moment)


def share(limiter: Limiter, clients: int, calls: int, *, seed: int = 0) -> Shared:
    """Have each client start so many calls at once, and let time pass until all are done."""
    source = random.Random(seed)  # noqa: S311 - no secret
    events = _Events()
    refused_for = 0.0
    everyone = [_Client(Pace(source.random), calls) for _ in range(clients)]

    def go(client: _Client, now: float) -> None:
        while client.waiting and client.under_way < SLOTS:
            ready = client.pace.ready_at()
            if ready > now:
                if ready != client.timer:
                    client.timer = ready
                    events.add(ready, partial(go, client))
                return
            client.pace.send(now)
            client.waiting -= 1
            client.under_way += 1
            send(client, now)

    def send(client: _Client, sent: float) -> None:
        way = LATENCY * source.uniform(0.9, 1.1) / 2.0

        def arrive(now: float) -> None:
            retry_after = limiter.take(now)
            events.add(now + way, partial(answer, retry_after))

        def answer(retry_after: float | None, now: float) -> None:
            nonlocal refused_for
            client.under_way -= 1
            if retry_after is not None:
                client.waiting += 1
                client.pace.refuse(sent, now, retry_after)
                refused_for = max(refused_for, now - client.pace.refused_since)
                assert refused_for < GIVES_UP, "a client starves"
            else:
                client.unanswered -= 1
                client.pace.grant(sent)
                client.end = now
            go(client, now)

        events.add(sent + way, arrive)

    for place, client in enumerate(everyone):
        events.add(place * STAGGER, partial(go, client))
    events.run()
    assert not any(client.unanswered for client in everyone)
    ends = [client.end for client in everyone]
    seconds = max(ends) / limiter.ideal(clients * calls)
    return Shared(seconds, max(ends) / min(ends), refused_for)
