"""The pace that a client keeps under a rate limit, and whose turn it is; without I/O.

`Pace` hears of sends and answers, and says when the next request may go. `Turnstile` lets the
requests of one event loop go in the order in which their calls began. `Admission` is the pace of a
client and its turnstile. The caller has the clock, sleeps and wakes.
"""

import heapq
import math
from bisect import bisect
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIRST_RATE: Final = 4.0
"""Requests a second to begin with where the answers tell nothing."""
_DOUBLED_IN: Final = 0.2
"""Seconds in which a rate that is only a guess doubles until it is refused."""
_MOST_DOUBLINGS: Final = 40.0
"""Past any rate, and far from what a float cannot hold."""
_SHRINK: Final = 0.8
"""What a rate falls to where it was refused although it was granted before."""
_DIP: Final = (0.05, 0.4)
"""How far below a measured rate to begin, for a sure and for a vague one."""
_PLATEAU: Final = (4.0, 8.0)
"""Seconds until the measured rate is reached again, and about as many before more is tried."""
_PLATEAU_REQUESTS: Final = 20.0
"""Requests that a plateau has where the rate is so low that seconds say nothing."""
_OVERTAKING: Final = 0.05
"""The part of a round trip by which requests may overtake each other."""
_USED_BURST: Final = 0.5
"""The part of the service's burst that is used: the rest allows for what is not exactly known."""
_CATCH_UP: Final = 0.02
"""Seconds that a send may be late without lowering the rate: event loops wake up late."""
_LONGEST_GAP: Final = 10.0
"""Seconds between two requests at most, unless the service asks to wait longer."""
_TICK: Final = 0.001
"""Seconds that a measure takes at least: clocks have ticks."""
_LONGEST_HOLD: Final = 3600.0
"""Seconds that a single answer can hold requests back at most."""
_FORGOTTEN_AFTER: Final = 600.0
"""Seconds without a refusal after which a limit counts as gone."""
_ONE_BATCH: Final = 64
"""The most calls that are told together that they are too late, so as not to block for long."""


class Pace:
    """When the next request of a client may go.

    The pace assumes that the service limits by a token bucket: a number of requests a second, and
    a burst at once. A refusal (429) means that the bucket is empty, so the requests granted between
    two refusals show the rate, and those granted before the first refusal the burst. After a
    refusal no request goes before the time that the service asked to wait. Then the rate begins
    below the measured one, approaches it, stays there, and rises until the next refusal (cubic
    growth, as in TCP CUBIC).

    Before the first refusal, the pace need not hear of sends and grants.
    """

    __slots__ = (
        "_burst_part",
        "_burst_span",
        "_dip",
        "_first",
        "_goal",
        "_grants",
        "_growth",
        "_is_sure",
        "_learned",
        "_next",
        "_plateau",
        "_rate",
        "_refusals",
        "_refused_rate",
        "_resumed",
        "_round_trip",
        "_since",
        "_start",
        "_until",
        "granted",
        "held_until",
        "limited",
        "retry_after",
    )

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Go back to the beginning, where no limit is known."""
        self.limited: bool = False
        """Whether a limit was met; until then any request may go."""
        self.retry_after: float = 0.0
        """Seconds that the service asked to wait the last time."""
        self.held_until: float = -math.inf
        """The moment before which the service wants no request."""
        self._next = -math.inf
        self._rate = math.inf
        self._grants: deque[float] = deque(maxlen=1024)
        self.granted: int = 0
        """How many answers other than 429 came since the limit was met."""
        self._first = True
        self._learned = self._is_sure = False
        # The rate that was measured; None for a guess.
        self._goal: float | None = None
        # What follows is not known before the first refusal.
        self._start: float
        self._dip: float
        self._plateau: float
        self._growth: float
        # The burst is `part - span * rate`: what came before the first refusal, or a guess.
        self._burst_part: float
        self._burst_span: float
        # The time between the last refusals before two holds, in which the grants came.
        self._since: float
        self._resumed: float
        self._until: float
        # How long the first refused request took, and the rate at the last refusal.
        self._round_trip: float
        self._refused_rate: float
        # When the requests were sent that were refused in the first hold.
        self._refusals: list[float]

    @property
    def rate(self) -> float:
        """Requests a second that may go at present; infinite without a limit."""
        return self._rate

    def ready_at(self) -> float:
        """Return the earliest moment at which the next request may go."""
        return max(self._next, self.held_until)

    def wait(self, now: float) -> float:
        """Return the seconds after which a caller that was refused should come back."""
        return max(self.retry_after, self.ready_at() - now)

    def send(self, now: float) -> None:
        """Note that a request goes now."""
        if not self.limited:
            return
        if not self._learned:
            self._resume(now)
        elif now - self._until > _FORGOTTEN_AFTER:
            self.forget()
            return
        gap = 1.0 / self._rate
        earliest = now - max(_CATCH_UP, gap * (self._burst() - 1.0) * _USED_BURST)
        if self._next > earliest:
            # Only requests that had to wait show that a higher rate would be of use.
            self._growth += gap
        self._next = max(self._next, earliest) + gap
        self._grow()

    def grant(self, sent: float) -> None:
        """Note that a request that was sent then got an answer other than 429."""
        if not self.limited:
            return
        self.granted += 1
        if sent > self._since:
            self._grants.append(sent)
        elif self._first:
            # Its answer was overtaken by the first refusal.
            self._burst_part += 1

    def refuse(self, sent: float, now: float, seconds: float, *, granted: int, span: float) -> None:
        """Note that a request was answered with 429.

        Args:
            sent: When the request was sent.
            now: When the answer came.
            seconds: How long the service asks to wait.
            granted: How many requests were answered since the client was last idle.
            span: How many seconds before this request the first of them was sent.
        """
        if not self.limited:
            self.limited = True
            self._since = self._until = self._resumed = sent
            self._refusals = [sent]
            known = span < 1.0
            # What was refilled meanwhile is not of the burst. After a long run nothing shows it:
            # assume that of a quarter of a second.
            self._burst_part, self._burst_span = (granted, span) if known else (0.0, -0.25)
            self._start = granted if known else granted / max(span, 1.0) / 2.0
            self._round_trip = now - sent
        elif not self._learned:
            # Under way when the limit was met: it only shows how long the bucket stayed empty.
            self._until = max(self._until, sent)
            if self._first:
                self._refusals.append(sent)
        elif sent >= (self._since + self._resumed) / 2.0:
            # Sent after the hold: in its second half, as clocks tick late. A refusal of a request
            # that was sent before the hold, and took longer, tells nothing of the rate since.
            self._learned = False
            self._refused_rate = self._rate
            self._until = sent
        self.retry_after = min(seconds, _LONGEST_HOLD)
        self.held_until = max(self.held_until, now + self.retry_after)
        if self.retry_after:
            # The service says that it will grant one then, whatever the rate.
            self._next = min(self._next, self.held_until)

    def _resume(self, now: float) -> None:
        """Choose the rate with which to go on after a hold."""
        if self._first:
            self._learn_at_first()
        else:
            self._learn()
        self._first, self._learned = False, True
        held = now - self._until
        self._since, self._resumed = self._until, now
        self._grants.clear()
        self._refusals.clear()
        self._growth = 0.0
        self._grow()
        self._next = now
        if self._goal is not None:
            saved = min(self._burst(), self._goal * held) - 1.0
            self._next -= max(0.0, saved) * _USED_BURST / self._rate

    def _learn_at_first(self) -> None:
        """Take what was granted among the requests that were under way when the limit was met."""
        grants, round_trip = self._granted_in_time(), self._round_trip
        span, granted = self._until - self._since, len(grants)
        overtaking = _OVERTAKING * round_trip
        # Requests that overtook the first refused one are of the burst.
        overtaken = bisect(grants, self._since + overtaking)
        self._burst_part += overtaken
        self._start = max(_FIRST_RATE, self._start) / max(1.0, self.retry_after)
        if granted > 1 and (rate := self._rate_while_empty(overtaking)):
            # Rather too low than too high, which would cost another hold.
            self._goal = 0.97 * rate
            self._dip = min(_DIP[1], 0.3 / math.sqrt(granted))
            self._plateau = 2.6
        elif span > 0.3 * round_trip:
            self._start = min(self._start, (granted + 1) / span / 2.0)
        else:
            # All went at once, so these show no rate, only more of the burst.
            self._burst_part += granted - overtaken
            self._burst_span += span

    def _rate_while_empty(self, overtaking: float) -> float:
        """Return the rate of the grants between the refused requests; 0 if they show none.

        Each refusal says that the bucket was empty, so all that was refilled between two of them
        was granted. The rate is the slope of the line through how many were granted before each.
        A single request that was long under way changes it less than a rate of only the two ends.

        Args:
            overtaking: Seconds by which requests may overtake each other.
        """
        # Here, since only a client that meets a limit needs it.
        from statistics import linear_regression

        grants = sorted(self._grants)
        granted = [bisect(grants, moment + overtaking) for moment in self._refusals]
        return linear_regression(self._refusals, granted).slope

    def _learn(self) -> None:
        """Take what was granted between the last two refusals."""
        grants, slowest = self._granted_in_time(), self._slowest()
        measured = max(slowest, self._measure(grants))
        shrunk = min(self._goal or math.inf, self._refused_rate) * _SHRINK
        if self._growth < (self._until - self._resumed) / 2.0:
            # Most requests did not have to wait, so the service would have granted more.
            measured = max(measured, shrunk)
        if self._goal is None or measured <= self._refused_rate * 0.95:
            is_sure = len(grants) >= 8  # noqa: PLR2004 - fewer may be chance, but not twice
            if self._goal is not None and self._is_sure and not is_sure:
                measured = max(measured, shrunk)
            self._goal, self._is_sure = measured, is_sure
            self._dip = min(_DIP[1], max(_DIP[0], 1.5 / max(1, len(grants))))
            longest = max(_PLATEAU[1], _PLATEAU_REQUESTS / measured)
            self._plateau = min(longest, max(_PLATEAU[0], 2.0 * (self._until - self._resumed)))
        else:
            # What was granted on the whole is refused now: the limit has shrunk.
            self._goal = max(slowest, shrunk)
            self._dip = 0.1
            self._plateau = _PLATEAU[0]

    def _slowest(self) -> float:
        """Return the rate below which the pace never falls."""
        return 1.0 / max(_LONGEST_GAP, self.retry_after)

    def _granted_in_time(self) -> list[float]:
        """Return when each granted request was sent, up to the last refused one."""
        return sorted(sent for sent in self._grants if sent <= self._until)

    def _measure(self, grants: list[float]) -> float:
        """Return the rate at which a bucket would have granted these.

        Over any time until the refusal, the bucket granted no more than its burst and its refill;
        and from the moment when it was last full, no less.
        """
        number, end = len(grants), self._until
        rate = max(0.5, number) / max(_TICK, end - self._since)
        for index, moment in enumerate(grants):
            granted, span = number - index, max(_TICK, end - moment)
            refilled = granted - self._burst_part
            if moment >= self._resumed and refilled > 3 and span - self._burst_span > _CATCH_UP:  # noqa: PLR2004
                fitting = (refilled + 0.5) / (span - self._burst_span)
                rate = max(rate, min(fitting, (granted - 1) / span))
        return rate

    def _burst(self) -> float:
        return max(1.0, self._burst_part - self._burst_span * (self._goal or 0.0))

    def _grow(self) -> None:
        if self._goal is None:
            rate = self._start * 2.0 ** min(self._growth / _DOUBLED_IN, _MOST_DOUBLINGS)
        else:
            beyond = self._growth / self._plateau - 1.0
            rate = self._goal * (1.0 + self._dip * beyond**3)
        self._rate = max(self._slowest(), rate)


def _do_nothing() -> None:
    """Wake nobody: the call has not begun to wait."""


class Turn:
    """A call that waits until its request may go."""

    __slots__ = (
        "asks_at",
        "deadline",
        "has_slot",
        "is_late",
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
        self.has_slot: bool = False
        """Whether another call's slot was handed over to it."""
        self.asks_at: float = math.inf
        """When it asks again by itself, as it was told for how long to wait."""
        self.left: bool = False
        """Whether it has stopped waiting."""
        self.wake: Callable[[], object] = _do_nothing
        """Has the call ask again; set by who asks."""


class Turnstile:
    """Lets requests go in the order in which their calls began, at most `slots` at once.

    A call whose request has to wait joins the queue and asks how long. The first in the queue waits
    for the pace, the others until they are woken; then each asks again. Calls that are too late are
    woken, too. A call that gives up leaves. Only the first refusal looks at every call that waits.

    Args:
        slots: How many requests may be under way.
        pace: The pace of the client.
    """

    __slots__ = (
        "_answered",
        "_busy_since",
        "_deadlines",
        "_free",
        "_now",
        "_patiences",
        "_queue",
        "_slots",
        "_ties",
        "pace",
    )

    def __init__(self, slots: int, pace: Pace) -> None:
        self.pace: Pace = pace
        self._slots = self._free = slots
        self._answered: int
        self._busy_since: float
        self._ties = count()
        self._now = -math.inf
        self._queue: list[tuple[int, int, Turn]] = []
        # Who is told that it is too late, by deadline and by patience.
        self._deadlines: list[tuple[float, int, Turn]] = []
        self._patiences: list[tuple[float, int, Turn]] = []

    @property
    def is_paced(self) -> bool:
        """Whether those that wait, wait for the pace and not for a slot."""
        return self.pace.limited and self._free > 0

    def enter(self) -> bool:
        """Let a request go, unless it has to wait; each that went is followed by `exit`."""
        if not self._free or self._queue or self.pace.limited:
            return False
        if self._free == self._slots:
            self._answered = 0
        self._free -= 1
        return True

    def exit(self, sent: float | None) -> None:
        """Note that a request has ended, which was sent at `sent`; None if no answer came."""
        if sent is not None:
            if not self._answered:
                self._busy_since = sent
            self._answered += 1
        if self._queue:
            self._give_back()
        else:
            self._free += 1

    def abandon(self) -> None:
        """Wake nobody any more."""
        self._queue.clear()
        self._deadlines.clear()
        self._patiences.clear()

    def join(self, turn: Turn) -> None:
        """Queue a call."""
        heapq.heappush(self._queue, (turn.number, next(self._ties), turn))
        if self.pace.limited:
            self._watch(turn)

    def rest(self, turn: Turn) -> None:
        """Watch a call that waits between two attempts, until it has `left`."""
        self._drop_left()
        self._watch(turn)

    def _watch(self, turn: Turn) -> None:
        for waiting, limit in (
            (self._deadlines, turn.deadline),
            (self._patiences, turn.patience),
        ):
            if limit < math.inf:
                heapq.heappush(waiting, (limit, next(self._ties), turn))

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
        if not self._free or not self._is_first(turn):
            return math.inf
        self._tell_late(_ONE_BATCH)
        if turn.is_late or ready > now:
            turn.asks_at = math.inf if turn.is_late else ready
            return turn.asks_at - now
        self.pace.send(now)
        if self._free == self._slots:
            self._answered = 0
        self._free -= 1
        self.leave(turn)
        return 0.0

    def leave(self, turn: Turn) -> None:
        """Stop waiting: the request went, or its call gave up."""
        if turn.has_slot:
            turn.has_slot = False
            self._give_back()
            return
        turn.left = True
        if turn.is_late:
            self._tell_late(1)
        self._wake_first()

    def refuse(self, sent: float, now: float, seconds: float) -> None:
        """Note that a request was answered with 429, after its `exit`."""
        granted, span = self._answered - 1, max(0.0, sent - self._busy_since)
        if not granted and self._free == self._slots:
            # One request after the other: that tells nothing of the burst.
            span = math.inf
        if not self.pace.limited:
            for _, _, turn in self._queue:
                self._watch(turn)
        self.pace.refuse(sent, now, seconds, granted=granted, span=span)
        self._now = now
        self._tell_late(_ONE_BATCH)
        self._wake_first()

    def _give_back(self) -> None:
        """Hand a slot over to the next call, which need not ask, as there is no limit."""
        while self._queue and not self.pace.limited:
            turn = heapq.heappop(self._queue)[2]
            if not turn.left:
                turn.left = turn.has_slot = True
                turn.wake()
                return
        self._free += 1
        self._wake_first()

    def _is_first(self, turn: Turn) -> bool:
        self._drop_left()
        return bool(self._queue) and self._queue[0][2] is turn

    def _wake_first(self) -> None:
        self._drop_left()
        if self._queue and self._free and self._queue[0][2].asks_at > self.pace.ready_at():
            self._queue[0][2].wake()

    def _drop_left(self) -> None:
        while self._queue and self._queue[0][2].left:
            heapq.heappop(self._queue)
        for waiting in (self._deadlines, self._patiences):
            while waiting and waiting[0][2].left:
                heapq.heappop(waiting)

    def _tell_late(self, most: int) -> None:
        """Tell calls that they are too late; each tells another."""
        for turn in self._late():
            if not turn.left and not turn.is_late:
                turn.is_late = True
                turn.wake()
                most -= 1
                if not most:
                    return

    def _late(self) -> "Iterator[Turn]":
        """Take out the calls that would have to wait longer than they may."""
        ready, held = max(self.pace.ready_at(), self._now), self.pace.held_until
        deadlines, patiences = self._deadlines, self._patiences
        while deadlines and deadlines[0][0] <= ready:
            yield heapq.heappop(deadlines)[2]
        while patiences and self._now + patiences[0][0] < held:
            yield heapq.heappop(patiences)[2]


class Admission:
    """What lets the requests of a client and of its copies go.

    Args:
        slots: How many requests may be under way.
    """

    __slots__ = ("_slots", "numbers", "pace", "turnstile")

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.pace: Pace = Pace()
        self.numbers: Iterator[int] = count()
        """The numbers of calls, as they begin."""
        self.turnstile: Turnstile = Turnstile(slots, self.pace)

    def restart(self) -> None:
        """Let nothing that an event loop left behind, when it was closed, count any more."""
        self.turnstile.abandon()
        self.turnstile = Turnstile(self._slots, self.pace)
