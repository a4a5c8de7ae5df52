"""Random schedules of calls for a queue, in virtual time, and what must hold in each."""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import NamedTuple

from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots, Waiter


class Attempt(NamedTuple):
    """The service's treatment of one request of a call."""

    seconds: float
    retry_after: float | None = None
    """The `Retry-After` of a 429; None is a success."""


class Schedule(NamedTuple):
    """One call: when it begins, what it allows, and how its attempts go."""

    begins: float
    attempts: Sequence[Attempt]
    deadline: float = math.inf
    max_hold: float = math.inf
    cancelled: float = math.inf
    key: int = 0


def random_job(random: Random) -> tuple[int, list[Schedule]]:
    """Return a number of slots, and calls.

    There are few moments, so that much falls together.
    """

    def seconds(least: int, most: int) -> float:
        return random.randint(least, most) / 4

    def attempt() -> Attempt:
        return Attempt(seconds(0, 8), random.choice([None, None, 0.0, 1.0, 3.0]))

    def schedule() -> Schedule:
        return Schedule(
            begins=seconds(0, 8),
            attempts=[attempt() for _ in range(random.randint(1, 3))],
            deadline=random.choice([math.inf, seconds(1, 24)]),
            max_hold=random.choice([math.inf, seconds(1, 24)]),
            cancelled=random.choice([math.inf, math.inf, seconds(1, 24)]),
            key=random.randrange(keys),
        )

    keys = random.choice([1, 1, 3])
    return random.randint(1, 3), [schedule() for _ in range(random.randint(1, 12))]


class SteadyPace(Pace):
    """Once there was a 429, a request each `GAP` seconds; the limit is forgotten after a while."""

    GAP = 0.5
    FORGOTTEN_AFTER = 8.0

    def __init__(self) -> None:
        super().__init__()
        self.next = self.refused = -math.inf

    def ready_at(self) -> float:
        return max(self.next, self.held_until)

    def note_sent(self, now: float) -> None:
        self.next = now + self.GAP
        if now - self.refused > self.FORGOTTEN_AFTER:
            self.limited = False
            self.next = self.held_until = -math.inf

    def note_refused(self, sent: float, now: float, retry_after: float) -> None:
        del sent
        self.limited, self.refused = True, now
        self.held_until = max(self.held_until, now + retry_after)


class _Call:
    def __init__(self, place: int, schedule: Schedule) -> None:
        self.place = place
        self.schedule = schedule
        self.waiter: Waiter | None = None
        self.joined = -math.inf
        self.attempt = 0
        self.is_sent = False
        self.is_over = False
        self.queue: Queue
        self.pace: SteadyPace


class Model:
    """Runs calls through a queue, and notes each rule that is broken.

    Args:
        slots: The slots of the queue.
        schedules: The calls.
    """

    def __init__(self, slots: int, schedules: Sequence[Schedule]) -> None:
        self.faults: list[str] = []
        self._slots = slots
        self._paces = [SteadyPace() for _ in range(3)]
        shared = Slots(slots)
        self._queues = [Queue(shared, pace) for pace in self._paces]
        self._now = 0.0
        self._ties = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._ready: deque[Callable[[], None]] = deque()
        self._under_way = 0
        self._held_until = [-math.inf] * 3
        ordered = sorted(schedules, key=lambda schedule: schedule.begins)
        self._calls = [_Call(place, schedule) for place, schedule in enumerate(ordered)]
        for call in self._calls:
            key = call.schedule.key
            call.queue, call.pace = self._queues[key], self._paces[key]
            self._at(call.schedule.begins, partial(self._begin, call))

    def run(self) -> list[str]:
        """Run to the end, and return the rules that were broken."""
        while self._events and not self.faults:
            self._now = self._events[0][0]
            while self._events and self._events[0][0] == self._now:
                heapq.heappop(self._events)[2]()
                self._settle()
            self._check_idle()
        if not self.faults:
            self._check_end()
        return self.faults

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._ties), happen))

    def _settle(self) -> None:
        """Run the tasks that are woken, as an event loop does: each in its turn, later."""
        steps = 0
        while self._ready:
            self._ready.popleft()()
            steps += 1
            if steps > 10_000:
                self._fail("calls wake each other for ever")
                self._ready.clear()

    def _fail(self, rule: str) -> None:
        self.faults.append(f"{rule}, at {self._now}")

    def _begin(self, call: _Call) -> None:
        schedule = call.schedule
        if schedule.cancelled < math.inf:
            moment = max(self._now, schedule.cancelled)
            self._at(moment, partial(self._give_up, call))
        if schedule.deadline < math.inf:
            moment = max(self._now, schedule.deadline)
            self._at(moment, partial(self._give_up, call))
        self._send(call)

    def _send(self, call: _Call) -> None:
        if call.queue.enter():
            self._check_order(call)
            self._go(call)
            return
        waiter = Waiter(call.place, call.schedule.deadline, call.schedule.max_hold)
        call.waiter, call.joined = waiter, self._now
        call.queue.join(waiter)
        self._ask(call, waiter)

    def _ask(self, call: _Call, waiter: Waiter) -> None:
        if call.waiter is not waiter:
            return
        seconds = call.queue.ask(waiter, self._now)
        if seconds is None:
            call.waiter = None
            call.is_over = True
            call.queue.leave(waiter)
            self._check_late(call)
        elif not seconds:
            call.waiter = None
            self._check_order(call)
            self._go(call)
        else:
            waiter.wake = lambda: self._ready.append(lambda: self._ask(call, waiter))
            if seconds < math.inf:
                self._at(self._now + seconds, lambda: self._ask(call, waiter))

    def _go(self, call: _Call) -> None:
        self._under_way += 1
        if self._under_way > self._slots:
            self._fail("more requests are under way than there are slots")
        if self._now < self._held_until[call.schedule.key]:
            self._fail("a request went during a hold")
        call.is_sent = True
        attempt = call.schedule.attempts[call.attempt]
        self._at(self._now + attempt.seconds, lambda: self._answer(call, attempt))

    def _answer(self, call: _Call, attempt: Attempt) -> None:
        if not call.is_sent:
            return
        call.is_sent = False
        self._under_way -= 1
        sent = self._now - attempt.seconds
        call.queue.exit()
        if attempt.retry_after is None:
            call.is_over = True
            return
        call.queue.hold(sent, self._now, attempt.retry_after)
        key, end = call.schedule.key, self._now + attempt.retry_after
        self._held_until[key] = max(self._held_until[key], end)
        ready = call.pace.ready_at()
        call.attempt += 1
        if call.attempt < len(call.schedule.attempts):
            self._send(call)
        else:
            call.is_over = True
        self._settle()
        self._check_answer(key, ready)

    def _give_up(self, call: _Call) -> None:
        """Cancel a call, which leaves at once."""
        if call.waiter is not None:
            waiter, call.waiter = call.waiter, None
            call.queue.leave(waiter)
        if call.is_sent:
            call.is_sent = False
            self._under_way -= 1
            call.queue.exit()
        call.is_over = True

    def _check_order(self, call: _Call) -> None:
        for other in self._calls:
            if other.waiter is None or not self._is_in_time(other):
                continue
            may_go = other.queue is call.queue or not other.pace.limited
            if other.place < call.place and other.joined < self._now and may_go:
                self._fail("a call went before one that began earlier")

    def _is_in_time(self, call: _Call) -> bool:
        schedule = call.schedule
        is_in_time = max(self._now, call.pace.ready_at()) < schedule.deadline
        return is_in_time and self._now + schedule.max_hold >= call.pace.held_until

    def _check_late(self, call: _Call) -> None:
        if self._is_in_time(call):
            self._fail("a call that had time was given up")

    def _check_answer(self, key: int, ready: float) -> None:
        """Check that those who wait have time, after a refusal until which nobody may go."""
        for call in self._calls:
            if call.waiter is None or call.schedule.key != key:
                continue
            if call.schedule.deadline <= ready:
                self._fail("a call waits on although it is too late")
            if self._now + call.schedule.max_hold < self._held_until[key]:
                self._fail("a call waits out a hold that is too long for it")

    def _check_idle(self) -> None:
        for call in self._calls:
            may_go = not call.pace.limited or call.pace.ready_at() <= self._now
            if call.waiter and may_go and self._under_way < self._slots:
                self._fail("a slot is free, and a call that may go waits")

    def _check_end(self) -> None:
        if not all(call.is_over for call in self._calls):
            self._fail("a call waits for ever")
        self._paces[0].limited = False
        entered = sum(self._queues[0].enter() for _ in range(self._slots + 1))
        if entered != self._slots:
            self._fail(f"{entered} of {self._slots} slots are free in the end")
