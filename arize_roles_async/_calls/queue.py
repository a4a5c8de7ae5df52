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

_BY_PLACE: Final = attrgetter("place")
_BACKGROUND: Final = 2**62
"""Added to the place of a background call, which then goes after all others."""
_BEFORE_ALL: Final = 2**64
"""Subtracted from the place of a call that is too late, which then leaves before the others."""


def _do_nothing() -> None:
    """Wake nothing: the call has not begun to wait."""


class Waiter:
    """A call that waits until its request may go."""

    def __init__(self, place: int, deadline: float, max_hold: float) -> None:
        self.place: int = place
        """Its place in the queue, of its own; the lowest goes first."""
        self.deadline: float = deadline
        self.max_hold: float = max_hold
        """The longest `Retry-After` that it waits out, in seconds."""
        self.is_late: bool = False
        """Its request certainly cannot go in time."""
        self.retry_at: float = math.inf
        """Clock reading at which it asks again by itself."""
        self.has_slot: bool = False
        """It has left the queue with a slot, and has yet to ask."""
        self.wake: Callable[[], object] = _do_nothing
        """Makes the call ask again; set as it begins to wait."""


class Slots:
    """The requests of a client that may be under way at once, whatever their keys."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        self._places: Iterator[int] = count()
        self.restart()

    def restart(self) -> None:
        """Forget the state of a closed event loop."""
        self.free: int = self.number
        self.queues: set[Queue] = set()
        """The queues in which calls wait; another set after each restart."""

    def next_place(self, *, background: bool) -> int:
        """Return the place of a call that begins."""
        return next(self._places) + _BACKGROUND * background

    def call_next(self) -> None:
        """Reserve the free slots for the first calls; under a rate limit, wake one to ask."""
        while self.free and self.queues:
            for queue in sorted(self.queues, key=Queue.place):
                if queue.call_first():
                    break
            else:
                return
            if queue.pace.limited:
                # The slot is for this call, which wakes the next one when it takes the slot.
                return


class Queue:
    """Lets the requests of one key go in order, as slots are free and the rate limit allows.

    A call that has to wait joins the queue and asks how long. It asks again when that time is over,
    or when it is woken; an extra wake-up does no harm. Every step that frees a slot or changes the
    first call ends with `Slots.call_next`.

    Without a rate limit, a free slot is reserved for the first call at once, since the slot would
    stay unused until the woken task runs. That call does not have to be first when it asks.
    """

    def __init__(self, slots: Slots, pace: Pace) -> None:
        self.pace: Pace = pace
        self._slots = slots
        self.queues: set[Queue] = slots.queues
        """Those of its event loop: not the ones of the slots, once these were restarted."""
        self._waiting: list[Waiter] = []

    @property
    def is_limited(self) -> bool:
        """The queue is blocked by the rate limit and not by the number of slots."""
        return self.pace.limited and self._slots.free > 0

    @property
    def is_waiting(self) -> bool:
        """Calls wait in it."""
        return bool(self._waiting)

    def place(self) -> int:
        """Return the place of the first call that waits."""
        return self._waiting[0].place

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
        insort(self._waiting, waiter, key=_BY_PLACE)
        self.queues.add(self)

    def ask(self, waiter: Waiter, now: float) -> float:
        """Return the seconds that a call has to wait, 0 if its request goes now.

        Returns:
            Infinity if the call has to wait until it is woken, or is too late.
        """
        waiter.retry_at = math.inf
        if waiter.has_slot:
            if now < waiter.deadline and not self.pace.limited:
                return 0.0
            # Its time is up, or a limit was met since.
            waiter.has_slot = False
            self.join(waiter)
            self.exit()
        waiter.is_late = waiter.is_late or self._is_late(waiter, now)
        if waiter.is_late:
            return math.inf
        if not self.pace.limited:
            self._slots.call_next()
            return 0.0 if waiter.has_slot else math.inf
        if not self._slots.free or self._waiting[0] is not waiter:
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
        if waiter.has_slot:
            waiter.has_slot = False
            self.exit()
            return
        self._take_out(bisect_left(self._waiting, waiter.place, key=_BY_PLACE))
        self._wake_late()
        self._slots.call_next()

    def refuse(self, sent: float, now: float, retry_after: float) -> None:
        """Note that a request was answered with 429, after its `exit`."""
        self.pace.refuse(sent, now, retry_after)
        late = [each for each in self._waiting if not each.is_late and self._is_late(each, now)]
        if late:
            for waiter in late:
                waiter.is_late = True
                waiter.place -= _BEFORE_ALL
            self._waiting.sort(key=_BY_PLACE)
        self._wake_late()
        self._slots.call_next()

    def call_first(self) -> bool:
        """Reserve a slot for the first call, or wake it to ask; return whether it may go now."""
        first = self._waiting[0]
        if first.is_late:
            return False
        if not self.pace.limited:
            self._take_out(0)
            self._slots.free -= 1
            first.has_slot = True
        elif first.retry_at <= self.pace.ready_at():
            return False
        first.wake()
        return True

    def _wake_late(self) -> None:
        if self._waiting and self._waiting[0].is_late:
            self._waiting[0].wake()

    def _take_out(self, index: int) -> None:
        del self._waiting[index]
        if not self._waiting:
            self.queues.discard(self)

    def _is_late(self, waiter: Waiter, now: float) -> bool:
        """Return whether the request of a call cannot go in time."""
        pace = self.pace
        is_too_late = waiter.deadline <= max(now, pace.ready_at())
        return is_too_late or now + waiter.max_hold < pace.held_until
