"""Whose turn it is among the requests of a client; without I/O.

`Turnstile` lets the requests that send one API key go in the order in which their calls began.
`Slots` are how many requests may be under way, over all keys of a client. `Admission` is the
turnstile of a key and the pace that it keeps. The caller has the clock, sleeps and wakes.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final

from arize_roles_async._calls.pace import Pace

_TOLD_AT_ONCE: Final = 64
"""Calls that are told together that they are too late, so as not to block for long."""
_LEAST_ROOM: Final = 64
"""Calls that a heap keeps before it looks for those that have left."""


def _do_nothing() -> None:
    """Wake nobody: the call has not begun to wait."""


class Turn:
    """A call that waits until its request may go."""

    __slots__ = (
        "asks_at",
        "deadline",
        "has_slot",
        "is_late",
        "is_told",
        "left",
        "number",
        "patience",
        "wake",
    )

    def __init__(self, number: int, deadline: float, patience: float) -> None:
        self.number: int = number
        """The number of its call; a call that is tried again keeps it."""
        self.deadline: float = deadline
        self.patience: float = patience
        """The most seconds that the call waits for a hold."""
        self.is_late: bool = False
        """Whether it is certain that the request cannot go in time."""
        self.is_told: bool = False
        """Whether the turnstile told it so, and it has yet to leave."""
        self.has_slot: bool = False
        """Whether another call's slot was handed over to it."""
        self.asks_at: float = math.inf
        """When it asks again by itself, as it was told for how long to wait."""
        self.left: bool = False
        """Whether it has stopped waiting."""
        self.wake: Callable[[], object] = _do_nothing
        """Has the call ask again; set by who asks."""


class _Heap:
    """Calls that wait, the one with the lowest number first; those that have left drop out."""

    __slots__ = ("_room", "_ties", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Turn]] = []
        """A heap, as `heapq` has it, of numbers and calls."""
        self._ties = itertools.count()
        self._room = _LEAST_ROOM

    def add(self, number: float, turn: Turn) -> None:
        if len(self.entries) >= self._room:
            self.entries = [entry for entry in self.entries if not entry[2].left]
            heapq.heapify(self.entries)
            # Looking at all of them each time that they have doubled costs little for each.
            self._room = max(_LEAST_ROOM, 2 * len(self.entries))
        heapq.heappush(self.entries, (number, next(self._ties), turn))

    def first(self) -> tuple[float, Turn] | None:
        """Return the first call that has not left, with its number."""
        while self.entries and self.entries[0][2].left:
            heapq.heappop(self.entries)
        return (self.entries[0][0], self.entries[0][2]) if self.entries else None

    def take(self) -> Turn:
        return heapq.heappop(self.entries)[2]


class Slots:
    """How many requests of a client may be under way at once, whatever their keys.

    Args:
        count: How many.
    """

    __slots__ = ("_count", "_waiting", "free", "numbers", "restarts")

    def __init__(self, count: int) -> None:
        self._count = self.free = count
        self.numbers: Iterator[int] = itertools.count()
        """The numbers of calls, as they begin."""
        self.restarts = 0
        self._waiting: dict[Turnstile, None] = {}

    def restart(self) -> None:
        """Forget the state of a closed event loop."""
        self.free = self._count
        self._waiting = {}
        self.restarts += 1

    def wait(self, turnstile: "Turnstile") -> None:
        """Note that calls wait at a turnstile."""
        self._waiting[turnstile] = None

    def offer(self) -> None:
        """Offer a free slot to the call that began first; whoever takes it offers the next one."""
        if not (self.free and self._waiting):
            return
        firsts = [(first[0], each) for each in self._waiting if (first := each.first())]
        if len(firsts) < len(self._waiting):
            self._waiting = {each: None for _, each in firsts}
        for _, turnstile in sorted(firsts, key=itemgetter(0)):
            if turnstile.take_offer():
                return


class Turnstile:
    """Lets requests go in the order in which their calls began, as slots become free.

    A call whose request has to wait joins the queue and asks how long. The first in the queue waits
    for the pace, the others until they are woken; then each asks again. Calls that are too late are
    woken, too, a few at once. A call that gives up leaves. Only the first refusal looks at every
    call that waits.

    Args:
        slots: What its calls and those of other keys take their slots from.
        pace: The pace of the calls.
    """

    __slots__ = (
        "_answered",
        "_busy",
        "_busy_since",
        "_deadlines",
        "_now",
        "_patiences",
        "_queue",
        "_restarts",
        "_slots",
        "_told",
        "pace",
    )

    def __init__(self, slots: Slots, pace: Pace) -> None:
        self.pace: Pace = pace
        self._slots = slots
        self._restarts = slots.restarts
        self._busy = 0
        """How many of its requests are under way."""
        self._answered: int
        self._busy_since: float
        self._now = -math.inf
        self._queue = _Heap()
        # Who is to be told that it is too late, by deadline and by patience.
        self._deadlines = _Heap()
        self._patiences = _Heap()
        self._told = 0
        """How many were told and have yet to leave."""

    @property
    def is_paced(self) -> bool:
        """Whether those that wait, wait for the pace and not for a slot."""
        return self.pace.limited and self._slots.free > 0

    @property
    def is_current(self) -> bool:
        """Whether it belongs to the event loop that the slots belong to."""
        return self._restarts == self._slots.restarts

    def enter(self) -> bool:
        """Let a request go, unless it has to wait; each that went is followed by `exit`."""
        if not self._slots.free or self._queue.entries or self.pace.limited:
            return False
        self._take_slot()
        return True

    def exit(self, sent: float | None) -> None:
        """Note that a request has ended, which was sent at `sent`; None if no answer came."""
        if sent is not None:
            if not self._answered:
                self._busy_since = sent
            self._answered += 1
        self._give_back()

    def abandon(self) -> None:
        """Wake nobody any more."""
        self._queue, self._deadlines, self._patiences = _Heap(), _Heap(), _Heap()

    def join(self, turn: Turn) -> None:
        """Queue a call."""
        self._queue.add(turn.number, turn)
        self._slots.wait(self)
        if self.pace.limited:
            self._watch(turn)

    def rest(self, turn: Turn) -> None:
        """Watch a call that waits between two attempts, until it leaves."""
        turn.is_late = self.pace.limited and turn.deadline <= self.pace.ready_at()
        if not turn.is_late:
            self._watch(turn)

    def _watch(self, turn: Turn) -> None:
        if turn.deadline < math.inf:
            self._deadlines.add(turn.deadline, turn)
        if turn.patience < math.inf:
            self._patiences.add(turn.patience, turn)

    def ask(self, turn: Turn, now: float) -> float:
        """Return the seconds that a call has to wait, 0 when its request goes now.

        Returns:
            Infinity where the call is woken when it is to ask again, or is too late.
        """
        self._now = now
        if turn.has_slot:
            turn.is_late = turn.deadline <= now
            if turn.is_late:
                self.leave(turn)
                return math.inf
            turn.has_slot = False
            if not self.pace.limited:
                # After a limit was forgotten, calls are let in one by one, each by the last.
                self._slots.offer()
                return 0.0
            # A limit was met at this very moment.
            turn.left = False
            self.join(turn)
            self._give_back()
        if turn.is_late:
            return math.inf
        # Whoever goes first, nobody goes before `ready`.
        ready, held = self.pace.ready_at(), self.pace.held_until
        turn.is_late = turn.deadline <= max(ready, now) or now + turn.patience < held
        turn.asks_at = math.inf
        if not self._slots.free or not self._is_first(turn):
            return math.inf
        self._tell_late()
        if turn.is_late or ready > now:
            turn.asks_at = math.inf if turn.is_late else ready
            if not turn.is_late:
                # The slot may be of use to calls with another key.
                self._slots.offer()
            return turn.asks_at - now
        self.pace.send(now)
        self._take_slot()
        self.leave(turn)
        # The next one may go later now, and perhaps nobody asks before.
        self._tell_late()
        return 0.0

    def leave(self, turn: Turn) -> None:
        """Stop waiting: the request went, the call gave up, or it may try again."""
        if turn.has_slot:
            turn.has_slot = False
            self._give_back()
            return
        turn.left = True
        if turn.is_told:
            turn.is_told = False
            self._told -= 1
        if turn.is_late:
            self._tell_late()
        self._slots.offer()

    def refuse(self, sent: float, now: float, seconds: float) -> None:
        """Note that a request was answered with 429, after its `exit`."""
        if not self.pace.limited:
            for _, _, turn in self._queue.entries:
                if not turn.left:
                    self._watch(turn)
        self.pace.refuse(sent, now, seconds)
        self._now = now
        self._tell_late()
        self._slots.offer()

    def _take_slot(self) -> None:
        if not self._busy:
            self._answered = 0
        self._busy += 1
        self._slots.free -= 1

    def _give_back(self) -> None:
        # The slots of a closed event loop were counted anew.
        if self.is_current:
            self._slots.free += 1
            self._slots.offer()
        self._busy -= 1

    def first(self) -> tuple[float, Turn] | None:
        """Return the call that began first among those that wait, with its number."""
        return self._queue.first()

    def take_offer(self) -> bool:
        """Take a free slot for the first call, or have it ask for one; return whether it may."""
        if self.pace.limited:
            first = self._queue.first()
            is_asking = first is not None and first[1].asks_at > self.pace.ready_at()
            if first is not None and is_asking:
                first[1].wake()
            return is_asking
        while (first := self._queue.first()) is not None:
            turn = self._queue.take()
            if not turn.is_late:
                self._take_slot()
                turn.left = turn.has_slot = True
                turn.wake()
                return True
        return False

    def _is_first(self, turn: Turn) -> bool:
        first = self._queue.first()
        return first is not None and first[1] is turn

    def _tell_late(self) -> None:
        """Tell calls that they are too late; the rest follows as these leave."""
        late = self._late()
        while self._told < _TOLD_AT_ONCE and (turn := next(late, None)) is not None:
            if not turn.is_late:
                turn.is_late = turn.is_told = True
                self._told += 1
                turn.wake()

    def _late(self) -> Iterator[Turn]:
        """Take out the calls that would have to wait longer than they may."""
        ready, held = max(self.pace.ready_at(), self._now), self.pace.held_until
        while (first := self._deadlines.first()) is not None and first[0] <= ready:
            yield self._deadlines.take()
        while (first := self._patiences.first()) is not None and self._now + first[0] < held:
            yield self._patiences.take()


class Admission:
    """What lets the requests that send one key go.

    Args:
        slots: What they take their slots from.
    """

    __slots__ = ("_slots", "pace", "turnstile")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.pace: Pace = Pace()
        self.turnstile: Turnstile = Turnstile(slots, self.pace)

    def restart(self) -> None:
        """Forget the state of a closed event loop."""
        self.turnstile.abandon()
        self.turnstile = Turnstile(self._slots, self.pace)
