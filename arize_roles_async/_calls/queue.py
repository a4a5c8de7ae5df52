"""The queues of a client: which request goes next, and when; without I/O.

The calls of each API key have a queue and keep a pace of their own, and all share the slots of the
client. The caller has the clock, sleeps and wakes.
"""

import math
from bisect import bisect_left, insort
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from arize_roles_async._calls.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BY_TURN: Final = attrgetter("turn")
_BACKGROUND: Final = 2**62
"""Added to the turn of a background call, which then goes after all others."""


def _do_nothing() -> None:
    """Wake nothing: the call does not wait."""


class Waiter:
    """A call that waits until its request may go."""

    def __init__(self, turn: int, deadline: float, max_hold: float) -> None:
        self.turn: int = turn
        """Its own number; the lowest goes first."""
        self.deadline: float = deadline
        self.max_hold: float = max_hold
        """The longest `Retry-After` that it waits out, in seconds."""
        self.wake: Callable[[], object] = _do_nothing
        """Makes the call ask again; set each time that it begins to wait."""
        self.has_slot: bool = False
        """It has a slot and was woken, but has not asked yet; it is in no queue any more."""
        self.has_timer: bool = False
        """It asks again by itself, when the rate limit lets its request go."""


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

    def hand_out(self) -> None:
        """Give the free slots to the first calls that may go."""
        while self.free:
            for _, queue in self.queues:
                if queue.is_ready:
                    self.free -= 1
                    queue.call_first()
                    break
            else:
                return


class Queue:
    """Lets the requests of one key go in order, as slots are free and the rate limit allows.

    A call that has to wait joins the queue and asks how long. It asks again when that time is over,
    or when it is woken, since it got a slot or is too late; an extra wake-up does no harm. Every
    step that frees a slot or changes the first call ends with `Slots.hand_out`.
    """

    def __init__(self, slots: Slots, pace: Pace) -> None:
        self.pace: Pace = pace
        self._slots = slots
        self.queues: list[tuple[int, Queue]] = slots.queues
        """Those of its event loop: not the ones of the slots, once these were restarted."""
        self.waiting: list[Waiter] = []
        """Sorted by turn."""
        self._called: Waiter | None = None
        """The last call that got a slot."""
        # What is known without a look at all calls; a call that has left may still count.
        self._first_deadline = self._least_hold = math.inf

    @property
    def is_limited(self) -> bool:
        """The queue is blocked by the rate limit and not by the number of slots."""
        return self.pace.limited and self._slots.free > 0

    @property
    def is_ready(self) -> bool:
        """Its first call waits for nothing but its turn or a slot."""
        if self.waiting[0].has_timer:
            return False
        # At a pace the calls go one by one.
        return not self.pace.limited or self._called is None or not self._called.has_slot

    def call_first(self) -> None:
        """Give a slot to the first call."""
        waiter = self._called = self.waiting[0]
        self._replace(0, 1)
        waiter.has_slot = True
        waiter.wake()

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
            self._slots.hand_out()

    def join(self, waiter: Waiter) -> None:
        """Queue a call, which then asks."""
        self._first_deadline = min(self._first_deadline, waiter.deadline)
        self._least_hold = min(self._least_hold, waiter.max_hold)
        index = bisect_left(self.waiting, waiter.turn, key=_BY_TURN)
        self._replace(index, index, waiter)

    def ask(self, waiter: Waiter, now: float) -> float | None:
        """Return the seconds that a call has to wait, 0 if its request goes now.

        Returns:
            Infinity if the call has to wait until it is woken; None if it cannot go in time.
        """
        if self._is_too_late(waiter, now):
            return None
        waiter.has_timer, waiter.wake = False, _do_nothing
        if not waiter.has_slot:
            self._slots.hand_out()
        if not waiter.has_slot:
            return math.inf
        waiter.has_slot = False
        ready = self.pace.ready_at()
        if ready > now:
            # Calls of other keys may have the slot meanwhile.
            waiter.has_timer = True
            self.join(waiter)
            self.exit()
            return ready - now
        if self.pace.limited:
            self.pace.note_sent(now)
            self._slots.hand_out()
        return 0.0

    def leave(self, waiter: Waiter) -> None:
        """Remove a call that has given up."""
        if waiter.has_slot:
            waiter.has_slot = False
            self.exit()
        else:
            index = bisect_left(self.waiting, waiter.turn, key=_BY_TURN)
            self._replace(index, index + 1)
            self._slots.hand_out()

    def hold(self, sent: float, now: float, retry_after: float) -> None:
        """Note that a request was answered with 429, after its `exit`."""
        self.pace.note_refused(sent, now, retry_after)
        is_due = self._first_deadline <= self.pace.ready_at()
        if is_due or now + self._least_hold < self.pace.held_until:
            # Those that cannot go in time give up at once.
            for waiter in self.waiting:
                if self._is_too_late(waiter, now):
                    waiter.wake()
            self._first_deadline = min((each.deadline for each in self.waiting), default=math.inf)
            self._least_hold = min((each.max_hold for each in self.waiting), default=math.inf)

    def _is_too_late(self, waiter: Waiter, now: float) -> bool:
        """Return whether the request of a call cannot go in time."""
        pace = self.pace
        if not pace.limited:
            return waiter.deadline <= now
        is_due = waiter.deadline <= max(now, pace.ready_at())
        return is_due or now + waiter.max_hold < pace.held_until

    def _replace(self, begin: int, end: int, *waiters: Waiter) -> None:
        """Replace some calls, and move the queue among the others if its first call changes."""
        if not begin and self.waiting:
            del self.queues[bisect_left(self.queues, (self.waiting[0].turn,))]
        self.waiting[begin:end] = waiters
        if not begin and self.waiting:
            insort(self.queues, (self.waiting[0].turn, self))
