"""Random schedules of calls for a queue, in virtual time, and what must hold in each."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from sched import scheduler

import attrs

from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import BACKGROUND, Queue, Slots, Waiter


@attrs.define(eq=False)
class Call:
    """One call: when it begins, what it allows, and how its attempts go."""

    begins: float
    attempts: Sequence[tuple[float, float | None]]
    """The seconds of each, and the `Retry-After` of a 429; None is a success."""
    deadline: float
    max_hold: float
    cancelled: float
    key: int
    background: bool
    turn: int = 0
    queue: Queue = attrs.field(init=False)
    waiter: Waiter | None = None
    joined: float = -math.inf
    attempt: int = 0
    is_sent: bool = False
    is_over: bool = False


def random_job(random: Random) -> tuple[int, list[Call]]:
    """Return a number of slots, and calls.

    There are few moments, so that much falls together.
    """

    def seconds(least: int, most: int) -> float:
        return random.randint(least, most) / 4

    def attempt() -> tuple[float, float | None]:
        return seconds(0, 8), random.choice([None, None, 0.0, 1.0, 3.0])

    def call() -> Call:
        return Call(
            begins=seconds(0, 8),
            attempts=[attempt() for _ in range(random.randint(1, 3))],
            deadline=random.choice([math.inf, seconds(1, 24)]),
            max_hold=random.choice([math.inf, seconds(1, 24)]),
            cancelled=random.choice([math.inf, math.inf, seconds(1, 24)]),
            key=random.randrange(keys),
            background=random.choice([False, False, True]),
        )

    keys = random.choice([1, 1, 3])
    return random.randint(1, 3), [call() for _ in range(random.randint(1, 12))]


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


class Model:
    """Runs calls through a queue, and fails at the first rule that is broken."""

    def __init__(self, slots: int, calls: Sequence[Call]) -> None:
        self._slots = slots
        shared = Slots(slots)
        self._queues = [Queue(shared, SteadyPace()) for _ in range(3)]
        self._now = 0.0
        self._events = scheduler(lambda: self._now, self._pass_by)
        self._ready: deque[Callable[[], None]] = deque()
        self._under_way = 0
        self._held_until = [-math.inf] * 3
        self._calls = sorted(calls, key=lambda call: call.begins)
        for place, call in enumerate(self._calls):
            call.turn = place + BACKGROUND * call.background
            call.queue = self._queues[call.key]
            self._at(call.begins, self._begin, call)

    def run(self) -> None:
        """Run to the end; an `AssertionError` says which rule was broken."""
        try:
            self._events.run()
            self._check_idle()
            self._check_end()
        except AssertionError as error:
            error.add_note(f"at {self._now}, with {self._slots} slots and {self._calls}")
            raise

    def _at(self, moment: float, happen: Callable[..., None], *arguments: object) -> None:
        self._events.enterabs(moment, 0, happen, arguments)

    def _pass_by(self, seconds: float) -> None:
        """Let time pass, or none after an event: then those who are woken go on."""
        self._settle()
        if seconds:
            self._check_idle()
            self._now += seconds

    def _settle(self) -> None:
        """Run the tasks that are woken, as an event loop does: each in its turn, later."""
        steps = 0
        while self._ready:
            self._ready.popleft()()
            steps += 1
            assert steps <= 10_000, "calls wake each other for ever"

    def _begin(self, call: Call) -> None:
        for end in (call.cancelled, call.deadline):
            if end < math.inf:
                self._at(max(self._now, end), self._give_up, call)
        self._send(call)

    def _send(self, call: Call) -> None:
        if call.queue.enter():
            self._go(call)
            return
        waiter = Waiter(call.turn, call.deadline, call.max_hold)
        call.waiter, call.joined = waiter, self._now
        call.queue.join(waiter)
        self._ask(call, waiter)

    def _ask(self, call: Call, waiter: Waiter) -> None:
        if call.waiter is not waiter:
            return
        seconds = call.queue.ask(waiter, self._now)
        if seconds is None:
            call.waiter = None
            call.is_over = True
            call.queue.leave(waiter)
            assert not self._is_in_time(call), "a call that had time was given up"
        elif not seconds:
            call.waiter = None
            assert self._now < call.deadline, "a request went when the time of its call was up"
            self._go(call)
        else:
            waiter.wake = lambda: self._ready.append(lambda: self._ask(call, waiter))
            if seconds < math.inf:
                self._at(self._now + seconds, self._ask, call, waiter)

    def _go(self, call: Call) -> None:
        for other in self._calls:
            if other.waiter is not None and self._is_in_time(other):
                may_go = other.queue is call.queue or not other.queue.pace.limited
                is_earlier = other.turn < call.turn and other.joined < self._now
                assert not (is_earlier and may_go), "a call went before one whose turn it was"
        self._under_way += 1
        assert self._under_way <= self._slots, "more requests are under way than there are slots"
        assert self._now >= self._held_until[call.key], "a request went during a hold"
        call.is_sent = True
        seconds, retry_after = call.attempts[call.attempt]
        self._at(self._now + seconds, self._answer, call, self._now, retry_after)

    def _answer(self, call: Call, sent: float, retry_after: float | None) -> None:
        if not call.is_sent:
            return
        call.is_sent = False
        self._under_way -= 1
        call.queue.exit()
        if retry_after is None:
            call.is_over = True
            return
        call.queue.hold(sent, self._now, retry_after)
        key = call.key
        self._held_until[key] = max(self._held_until[key], self._now + retry_after)
        ready = call.queue.pace.ready_at()
        call.attempt += 1
        if call.attempt < len(call.attempts):
            self._send(call)
        else:
            call.is_over = True
        self._settle()
        # Until then nobody may go, so that those who wait have time.
        for other in self._calls:
            if other.waiter is not None and other.key == key:
                allowed = self._now + other.max_hold
                assert other.deadline > ready, "a call waits on although it is too late"
                assert allowed >= self._held_until[key], "a call waits out too long a hold"

    def _give_up(self, call: Call) -> None:
        """Cancel a call, which leaves at once."""
        if call.waiter is not None:
            waiter, call.waiter = call.waiter, None
            call.queue.leave(waiter)
        if call.is_sent:
            call.is_sent = False
            self._under_way -= 1
            call.queue.exit()
        call.is_over = True

    def _is_in_time(self, call: Call) -> bool:
        pace = call.queue.pace
        is_in_time = max(self._now, pace.ready_at()) < call.deadline
        return is_in_time and self._now + call.max_hold >= pace.held_until

    def _check_idle(self) -> None:
        for call in self._calls:
            may_go = not call.queue.pace.limited or call.queue.pace.ready_at() <= self._now
            is_idle = call.waiter and may_go and self._under_way < self._slots
            assert not is_idle, "a slot is free, and a call that may go waits"

    def _check_end(self) -> None:
        assert all(call.is_over for call in self._calls), "a call waits for ever"
        self._queues[0].pace.limited = False
        entered = sum(self._queues[0].enter() for _ in range(self._slots + 1))
        assert entered == self._slots, f"{entered} of {self._slots} slots are free in the end"
