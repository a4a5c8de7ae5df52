"""A service with a rate limit, and bulk jobs of a client against it, in simulated time."""

import heapq
import math
import random
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots, Waiter

FIRST = 40
"""The requests that go out before a limit can be known."""


class Limit(NamedTuple):
    """A token bucket that answers 429 with `Retry-After` in whole seconds."""

    rate: float
    burst: int
    retry_after: int | None = None
    """The fixed `Retry-After` of a 429; None is the time until there is a token, rounded up."""
    halfway: float = 1.0
    """The factor of the rate after half of the job."""


class Outcome(NamedTuple):
    """The result of a bulk job."""

    seconds: float
    """Its time over the ideal one, in which the service grants all that it may."""
    refused: float
    """Answers of 429 for each success, but for the first requests."""
    completed: list[int]
    """The numbers of the calls, as they succeeded."""
    late: list[int]
    """The numbers of the calls that gave up because they could not be sent in time."""
    attempts: list[int]
    """The number of requests of each call."""
    sent: list[int]
    """The numbers of the calls, as their requests were sent."""
    moments: list[float]
    """When these requests were sent."""


class Simulation:
    """One client, one service, and the events between them."""

    def __init__(
        self,
        limit: Limit,
        *,
        latency: float = 0.04,
        jitter: float = 0.0,
        late: float = 0.0,
        slots: int = 40,
        seed: int = 0,
    ) -> None:
        self.limit = limit
        self.now = 0.0
        self._latency = latency
        self._jitter = jitter
        self._late = late
        """The share of answers that come one to three seconds late."""
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self.queue = Queue(Slots(slots), Pace(self._random.random))
        self._ties = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._rate = limit.rate
        self._tokens = float(limit.burst)
        self._filled_at = 0.0

    def run(self, calls: int, *, timeout: float = math.inf, max_hold: float = 20.0) -> Outcome:
        """Start so many calls at once, and let time pass until none is left."""
        self._completed: list[int] = []
        self._gave_up: list[int] = []
        self._sent: list[int] = []
        self._moments: list[float] = []
        self._attempts = [0] * calls
        self._refused = 0
        self._waiting: dict[int, Waiter] = {}
        self._half = calls // 2
        self._max_hold = max_hold
        self._deadline = self.now + timeout
        begun = self.now
        for number in range(calls):
            self._begin(number)
        while self._events:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        return Outcome(
            seconds=(self.now - begun) / (self._ideal(calls) + self._latency),
            refused=self._refused / max(1, len(self._completed)),
            completed=self._completed,
            late=self._gave_up,
            attempts=self._attempts,
            sent=self._sent,
            moments=self._moments,
        )

    def _ideal(self, calls: int) -> float:
        rate, burst, _, halfway = self.limit
        before = max(0, calls - self._half - burst) / rate
        return before + self._half / (rate * halfway)

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._ties), happen))

    def _begin(self, number: int) -> None:
        if self.queue.enter():
            self._send(number)
            return
        waiter = Waiter(number, self._deadline, self._max_hold)
        self._waiting[number] = waiter
        self.queue.join(waiter)
        waiter.wake = lambda: self._after(0.0, lambda: self._ask(number, waiter))
        self._ask(number, waiter)

    def _ask(self, number: int, waiter: Waiter) -> None:
        if self._waiting.get(number) is not waiter:
            return
        seconds = self.queue.ask(waiter, self.now)
        if seconds is None:
            del self._waiting[number]
            self.queue.leave(waiter)
            self._gave_up.append(number)
        elif seconds == 0.0:
            del self._waiting[number]
            self._send(number)
        elif seconds < math.inf:
            self._after(seconds, lambda: self._ask(number, waiter))

    def _send(self, number: int) -> None:
        self._sent.append(number)
        self._moments.append(self.now)
        self._attempts[number] += 1
        is_first = len(self._sent) <= FIRST
        sent = self.now
        there = self._latency * (0.5 + self._jitter * self._random.expovariate(2.0))
        back = self._latency * (0.5 + self._jitter * self._random.expovariate(2.0))
        if self._late and self._random.random() < self._late:
            back += self._random.uniform(1.0, 3.0)

        def arrive() -> None:
            seconds = self._take_token()
            if seconds is None:
                self._after(back, granted)
            else:
                self._after(back, lambda: refused(seconds))

        def granted() -> None:
            self._completed.append(number)
            self.queue.exit()
            self.queue.pace.grant(sent)

        def refused(seconds: int) -> None:
            self._refused += not is_first
            self.queue.exit()
            self.queue.refuse(sent, self.now, seconds)
            self._begin(number)

        self._after(there, arrive)

    def _take_token(self) -> int | None:
        """Take a token, or return what `Retry-After` says where there is none."""
        if len(self._completed) >= self._half:
            self._rate = self.limit.rate * self.limit.halfway
        refill = (self.now - self._filled_at) * self._rate
        self._tokens = min(self.limit.burst, self._tokens + refill)
        self._filled_at = self.now
        if self._tokens >= 1.0 - 1e-9:
            self._tokens -= 1.0
            return None
        wait = math.ceil((1.0 - self._tokens) / self._rate)
        return self.limit.retry_after or max(1, wait)
