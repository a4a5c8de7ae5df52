"""Clients at one rate limit, in simulated time: only their paces, without calls."""

import math
import random
from sched import scheduler
from typing import NamedTuple

import attrs

from arize_roles_async._calls.pace import Pace

SLOTS = 40
"""The requests of a client that may be under way at once; as many go before a limit is known."""
LATENCY = 0.04
"""Seconds that an answer takes, more or less by a tenth."""
GIVES_UP = 3600.0
"""Seconds without a grant after which a simulation fails."""
STAGGER = 0.02
"""Seconds between the starts of two clients."""


class Limit(NamedTuple):
    """The rate of a token bucket, its size, and the whole seconds of its `Retry-After`."""

    rate: float
    burst: int
    retry_after: int | None = None
    """None is the time until there is a token, rounded up."""
    halfway: float = 1.0
    """The factor of the rate after so many grants as `half`."""
    half: int = 0
    counts_refusals: bool = False
    """A refused request takes a token that is not there, down to one burst."""


class Bucket:
    """A token bucket."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._tokens, self._filled_at = float(limit.burst), 0.0
        self._granted = 0

    def take(self, now: float) -> float | None:
        """Grant a request and return None, or return the `Retry-After` of a refusal."""
        limit = self.limit
        rate = limit.rate * (limit.halfway if self._granted >= limit.half else 1.0)
        self._tokens = min(limit.burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            self._granted += 1
            return None
        if limit.counts_refusals:
            self._tokens = max(-limit.burst, self._tokens - 1.0)
        if limit.retry_after is not None:
            return limit.retry_after
        return max(1, math.ceil((1.0 - self._tokens) / rate))

    def ideal(self, requests: int) -> float:
        """Return the least seconds in which so many requests are granted."""
        limit = self.limit
        before = max(0, requests - limit.half - limit.burst)
        return before / limit.rate + limit.half / (limit.rate * limit.halfway)


class Outcome(NamedTuple):
    """The result of a job."""

    seconds: float
    """Until the last client was done, over the least in which the service grants as many."""
    last_to_first: float
    """The last client's time over the first's."""
    refused_for: float
    """The longest time in which a client was granted nothing, in seconds."""
    refused: float
    """Answers of 429 for each call, but for the requests before a limit can be known."""


@attrs.define
class _Client:
    pace: Pace
    waiting: int
    under_way: int = 0
    sent: int = 0
    timer: float = math.inf
    end: float = 0.0


class Simulation:
    """Clients that start many calls at once, and a service with a limit.

    Each way is longer by a part of the latency, on average by a half of `jitter`.
    """

    def __init__(self, limit: Limit, *, jitter: float, seed: int) -> None:
        self._bucket = Bucket(limit)
        self._jitter = jitter
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._now = 0.0
        self._events = scheduler(lambda: self._now, self._pass_by)
        self._refused_for = 0.0
        self._refusals = 0

    def run(self, clients: int, calls: int) -> Outcome:
        """Let each client start so many calls at once, and time pass until all are done."""
        everyone = [_Client(Pace(self._random.random), calls) for _ in range(clients)]
        for place, client in enumerate(everyone):
            self._events.enterabs(place * STAGGER, 0, self._go, (client,))
        self._events.run()
        assert not any(client.waiting for client in everyone)
        ends = [client.end for client in everyone]
        return Outcome(
            seconds=max(ends) / (self._bucket.ideal(clients * calls) + LATENCY),
            last_to_first=max(ends) / min(ends),
            refused_for=self._refused_for,
            refused=self._refusals / (clients * calls),
        )

    def _pass_by(self, seconds: float) -> None:
        self._now += seconds

    def _way(self) -> float:
        longer = self._jitter and self._jitter * self._random.expovariate(2.0)
        return LATENCY * (self._random.uniform(0.45, 0.55) + longer)

    def _go(self, client: _Client) -> None:
        while client.waiting and client.under_way < SLOTS:
            ready = client.pace.ready_at()
            if ready > self._now:
                if ready != client.timer:
                    client.timer = ready
                    self._events.enterabs(ready, 0, self._go, (client,))
                return
            client.pace.note_sent(self._now)
            client.waiting -= 1
            client.under_way += 1
            client.sent += 1
            arrived = (client, client.sent, self._now)
            self._events.enter(self._way(), 0, self._arrive, arrived)

    def _arrive(self, client: _Client, number: int, sent: float) -> None:
        retry_after = self._bucket.take(self._now)
        answered = (client, number, sent, retry_after)
        self._events.enter(self._way(), 0, self._answer, answered)

    def _answer(self, client: _Client, number: int, sent: float, retry_after: float | None) -> None:
        client.under_way -= 1
        if retry_after is None:
            client.pace.note_granted(sent)
            client.end = self._now
        else:
            client.waiting += 1
            client.pace.note_refused(sent, self._now, retry_after)
            self._refusals += number > SLOTS
            self._refused_for = max(self._refused_for, self._now - client.pace.refused_since)
            assert self._refused_for < GIVES_UP, "a client starves"
        self._go(client)
