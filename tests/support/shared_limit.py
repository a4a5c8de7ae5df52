"""Several clients at one rate limit, in simulated time: only their paces, without calls."""

import heapq
import math
import random
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import NamedTuple

from arize_roles_async._calls.pace import Pace
from tests.support.rate_limit import Limit

LATENCY = 0.04
"""Seconds that an answer takes, more or less by a tenth."""
SLOTS = 40
"""The requests of a client that may be under way at once."""
STAGGER = 0.02
"""Seconds between the starts of two clients."""


class Shared(NamedTuple):
    """The result of a job of several clients."""

    seconds: float
    """Until the last client was done, over the least in which the service grants as many."""
    last_to_first: float
    """The last client's time over the first's."""


class _Bucket:
    """A token bucket that answers 429 with `Retry-After` in whole seconds."""

    def __init__(self, limit: Limit) -> None:
        self.rate, self.burst = limit.rate, limit.burst
        self.tokens, self.filled_at = float(limit.burst), 0.0

    def take(self, now: float) -> int:
        """Take a token and return 0, or return the seconds that a refusal asks to wait."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1.0:
            return max(1, math.ceil((1.0 - self.tokens) / self.rate))
        self.tokens -= 1.0
        return 0


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


def share(limit: Limit, clients: int, calls: int, *, seed: int = 0) -> Shared:
    """Have each client start so many calls at once, and let time pass until all are done."""
    source = random.Random(seed)  # noqa: S311 - no secret
    events = _Events()
    bucket = _Bucket(limit)
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
            wait = bucket.take(now)
            events.add(now + way, partial(answer, wait))

        def answer(wait: int, now: float) -> None:
            client.under_way -= 1
            if wait:
                client.waiting += 1
                client.pace.refuse(sent, now, wait)
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
    ideal = (clients * calls - limit.burst) / limit.rate
    return Shared(max(ends) / ideal, max(ends) / min(ends))
