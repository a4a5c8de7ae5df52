"""The pace that a client keeps under a rate limit: a state machine without I/O.

It hears of sends and answers, and says when the next request may go. The caller has the clock.
Whose turn it is then, `_turnstile` says.
"""

import math
from bisect import bisect
from collections import deque
from typing import Final

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
