"""The queues of a client: which request goes next, and when; without I/O.

The calls of each API key have a queue and keep a pace of their own, and all share the slots of the
client. The caller has the clock, sleeps and wakes.
"""

import math
from bisect import bisect_left, insort
from itertools import count, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from arize_roles_async._calls.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BY_TURN: Final = attrgetter("turn")
_BACKGROUND: Final = 2**62
"""Added to the turn of a background call, which then goes after all others."""


def _do_nothing() -> None:
    """Wake nothing: the call has not begun to wait."""


class Waiter:
    """A call that waits until its request may go."""

    def __init__(self, turn: int, deadline: float, max_hold: float) -> None:
        self.turn: int = turn
        """Its own number; the lowest goes first."""
        self.deadline: float = deadline
        self.max_hold: float = max_hold
        """The longest `Retry-After` that it waits out, in seconds."""
        self.retry_at: float = math.inf
        """Clock reading at which it asks again by itself."""
        self.is_woken: bool = False
        """It was woken, and has yet to ask."""
        self.wake: Callable[[], object] = _do_nothing
        """Makes the call ask again; set as it begins to wait."""


class Slots:
    """The requests of a client that may be under way at once, whatever their keys."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        self._turns: Iterator[int] = count()
        self.restart()

    def restart(self) -> None:
        """Forget the state of a closed event loop."""
        self.free: int = self.number
        self.queues: list[tuple[int, Queue]] = []
        """The queues in which calls wait, sorted, each after the turn of its first call; another
        list after each restart."""

    def next_turn(self, *, background: bool) -> int:
        """Return the turn of a call that begins."""
        return next(self._turns) + _BACKGROUND * background

    def call_next(self) -> None:
        """Wake as many of the first calls as there are free slots."""
        left = self.free
        for _, queue in self.queues:
            if left <= 0:
                return
            left -= queue.call_first(left)


class Queue:
    """Lets the requests of one key go in order, as slots are free and the rate limit allows.

    A call that has to wait joins the queue and asks how long. It asks again when that time is over,
    or when it is woken; an extra wake-up does no harm. Every step that frees a slot or changes the
    first call ends with `Slots.call_next`.
    """

    def __init__(self, slots: Slots, pace: Pace) -> None:
        self.pace: Pace = pace
        self._slots = slots
        self.queues: list[tuple[int, Queue]] = slots.queues
        """Those of its event loop: not the ones of the slots, once these were restarted."""
        self._waiting: list[Waiter] = []
        # What is known without a look at all calls; a call that has left may still count.
        self._first_deadline = self._least_hold = math.inf

    @property
    def is_limited(self) -> bool:
        """The queue is blocked by the rate limit and not by the number of slots."""
        return self.pace.limited and self._slots.free > 0

    @property
    def is_waiting(self) -> bool:
        """Calls wait in it."""
        return bool(self._waiting)

    def enter(self) -> bool:
        """Let a request go, unless it has to wait; `exit` follows for each that went."""
        if not self._slots.free or self._slots.queues or self.pace.limited:
            return False
        self._slots.free -= 1
        return True

    def exit(self) -> None:
        """Note that a request has ended."""
        # A restart has counted the slots anew.
        if self.queues is self._slots.queues:
            self._slots.free += 1
            if self.queues:
                self._slots.call_next()

    def join(self, waiter: Waiter) -> None:
        """Queue a call, which then asks."""
        self._first_deadline = min(self._first_deadline, waiter.deadline)
        self._least_hold = min(self._least_hold, waiter.max_hold)
        index = bisect_left(self._waiting, waiter.turn, key=_BY_TURN)
        if not index:
            self._leave_list()
        self._waiting.insert(index, waiter)
        if not index:
            self._enter_list()

    def ask(self, waiter: Waiter, now: float) -> float | None:
        """Return the seconds that a call has to wait, 0 if its request goes now.

        Returns:
            Infinity if the call has to wait until it is woken; None if it cannot go in time.
        """
        waiter.retry_at, waiter.is_woken = math.inf, False
        if self._is_too_late(waiter, now):
            return None
        if not self._slots.free:
            return math.inf
        if self._waiting[0] is not waiter:
            self.call_first(1)
            return math.inf
        for _, queue in islice(self.queues, bisect_left(self.queues, (waiter.turn,))):
            if queue.call_first(1):
                # An earlier call goes first, and calls the next one.
                return math.inf
        ready = self.pace.ready_at()
        if ready > now:
            waiter.retry_at = ready
            # Calls of other keys may go meanwhile.
            self._slots.call_next()
            return ready - now
        self.pace.send(now)
        self._slots.free -= 1
        self.leave(waiter)
        return 0.0

    def leave(self, waiter: Waiter) -> None:
        """Remove a call whose request goes, or which has given up."""
        index = bisect_left(self._waiting, waiter.turn, key=_BY_TURN)
        if not index:
            self._leave_list()
        del self._waiting[index]
        if not index:
            self._enter_list()
        self._slots.call_next()

    def refuse(self, sent: float, now: float, retry_after: float) -> None:
        """Note that a request was answered with 429, after its `exit`."""
        self.pace.refuse(sent, now, retry_after)
        is_due = self._first_deadline <= self.pace.ready_at()
        if is_due or now + self._least_hold < self.pace.held_until:
            self._wake_late(now)
        self._slots.call_next()

    def call_first(self, number: int) -> int:
        """Wake up to so many of the first calls that may go, and return how many."""
        if self.pace.limited:
            # The first one wakes the next when it goes.
            number = self._waiting[0].retry_at > self.pace.ready_at()
        first = self._waiting[:number]
        # Those before one that is awake are, too, or it wakes them: nobody looks at all each time.
        asleep = len(first)
        while asleep and not first[asleep - 1].is_woken:
            asleep -= 1
        for waiter in first[asleep:]:
            waiter.is_woken = True
            waiter.wake()
        return len(first)

    def _wake_late(self, now: float) -> None:
        """Wake the calls that cannot go in time, so that they give up at once."""
        for waiter in self._waiting:
            if self._is_too_late(waiter, now):
                waiter.wake()
        self._first_deadline = min((each.deadline for each in self._waiting), default=math.inf)
        self._least_hold = min((each.max_hold for each in self._waiting), default=math.inf)

    def _is_too_late(self, waiter: Waiter, now: float) -> bool:
        """Return whether the request of a call cannot go in time."""
        pace = self.pace
        if not pace.limited:
            return waiter.deadline <= now
        is_due = waiter.deadline <= max(now, pace.ready_at())
        return is_due or now + waiter.max_hold < pace.held_until

    def _enter_list(self) -> None:
        if self._waiting:
            insort(self.queues, (self._waiting[0].turn, self))

    def _leave_list(self) -> None:
        if self._waiting:
            del self.queues[bisect_left(self.queues, (self._waiting[0].turn,))]
