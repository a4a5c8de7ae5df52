"""The queues of a client: which request goes next, and when; without I/O.

The calls of each API key have a queue and keep a pace of their own, and all share the slots of the
client. The caller has the clock, sleeps and wakes.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

import msgspec

from arize_roles_async._calls.pace import Pace

BACKGROUND: Final = 2**62
"""Added to the turn of a background call, which then goes after all others."""


class Waiter(msgspec.Struct, order=True):
    """A call that waits until its request may go; the one with the lowest turn goes first."""

    turn: int  # Compared first. With a `key` function, the queue would cost half as much again.
    deadline: float
    max_hold: float
    """The longest `Retry-After` that it waits out, in seconds."""
    has_timer: bool = False
    """It asks again by itself, when the rate limit lets its request go."""
    wake: Callable[[], object] = bool
    """Makes the call ask again; set each time that it begins to wait."""


class Slots:
    """The requests of a client that may be under way at once, whatever their keys."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.turns: Iterator[int] = count()
        """Each call that begins takes one."""
        self.reset()

    def reset(self) -> None:
        """Forget the state of a closed event loop."""
        self.free: int = self.number
        self.queues: set[Queue] = set()
        """Those in which calls wait; another set after a reset."""

    def next_waiter(self) -> Waiter | None:
        """Return the call that gets the next slot; None if no call waits for a slot."""
        first: Waiter | None = None
        for queue in self.queues:
            waiter = queue.waiting[0]
            if not waiter.has_timer and (first is None or waiter < first):
                first = waiter
        return first

    def wake_next(self) -> None:
        """Make the next call ask again if a slot is free."""
        if self.free and (waiter := self.next_waiter()) is not None:
            waiter.wake()


class Queue:
    """Lets the requests of one key go in order, as slots are free and the rate limit allows.

    A call that has to wait joins the queue and asks how long. It asks again when that time is over,
    or when it is woken, since a slot is free or it is too late; an extra wake-up does no harm.
    Every step that frees a slot or changes the next call ends with `Slots.wake_next`.
    """

    def __init__(self, slots: Slots, pace: Pace) -> None:
        self.pace: Pace = pace
        self._slots = slots
        self.queues: set[Queue] = slots.queues
        """Those of its event loop: not the ones of the slots, once these were restarted."""
        self.waiting: list[Waiter] = []
        """Sorted by turn."""

    def enter(self) -> bool:
        """Let a request go, unless it has to wait; `exit` follows for each that went."""
        slots = self._slots
        if not slots.free or slots.queues or self.pace.limited:
            return False
        slots.free -= 1
        return True

    def exit(self) -> None:
        # A reset has counted the slots anew.
        if self.queues is self._slots.queues:
            free = self._slots.free = self._slots.free + 1
            if free == 1:
                self._slots.wake_next()
            elif free <= len(self.waiting):
                # The calls before it are awake, so all go in one step of the event loop: one a
                # step takes an eighth of the throughput.
                self.waiting[free - 1].wake()

    def join(self, waiter: Waiter) -> None:
        """Queue a call, which then asks."""
        insort(self.waiting, waiter)
        self.queues.add(self)

    def ask(self, waiter: Waiter, now: float) -> float | None:
        """Return the seconds that a call has to wait; 0 if its request goes now, and it has left.

        Returns:
            Infinity if the call has to wait until it is woken; None if it cannot go in time.
        """
        pace, slots = self.pace, self._slots
        if waiter.deadline <= now or (pace.limited and self._too_late([waiter], now)):
            return None
        waiter.has_timer = False
        if not slots.free or slots.next_waiter() is not waiter:
            return math.inf
        if pace.limited:
            ready = pace.ready_at()
            if ready > now:
                # Calls of other keys may have the slot meanwhile.
                waiter.has_timer = True
                slots.wake_next()
                return ready - now
            pace.note_sent(now)
        slots.free -= 1
        self._remove(0)  # It is the first of its key.
        return 0.0

    def leave(self, waiter: Waiter) -> None:
        self._remove(bisect_left(self.waiting, waiter))

    def _remove(self, index: int) -> None:
        del self.waiting[index]
        if not self.waiting:
            self.queues.discard(self)
        self._slots.wake_next()

    def hold(self, sent: float, now: float, retry_after: float) -> None:
        """Note that a request was answered with 429, after its `exit`."""
        self.pace.note_refused(sent, now, retry_after)
        # These give up at once.
        for waiter in self._too_late(self.waiting, now):
            waiter.wake()

    def _too_late(self, waiters: list[Waiter], now: float) -> list[Waiter]:
        """Return the calls whose requests cannot go in time under the rate limit."""
        ready, hold = max(now, self.pace.ready_at()), self.pace.held_until - now
        return [x for x in waiters if x.deadline <= ready or x.max_hold < hold]
