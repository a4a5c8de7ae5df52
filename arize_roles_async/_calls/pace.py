"""The rate that a client keeps under a rate limit: a state machine without I/O.

It takes each send and each answer, and returns when the next request may go. The caller has the
clock, and `queue` decides whose request goes.
"""

import math
import random
from collections.abc import Callable
from typing import Final

from arize_roles_async._values.options import LONGEST_WAIT

_FIRST_RATE: Final = 8.0
"""Requests a second after the first hold, while the limit is unknown."""
_DOUBLED_IN: Final = 0.3
"""Seconds in which the first rate doubles, until a request is refused."""
_FIRST_FALL: Final = 0.4
"""Part of the first refused rate that is kept: that rate had doubled, and emptied a full bucket."""
_FALL: Final = 0.9
"""Part of a later refused rate that is kept. If others share the limit, a refusal says little about
this client's own rate, and a client that slowed down further would stay behind the others."""
_FALL_WEIGHT: Final = 2.0
"""Weight of these parts, in answers, in the mean with the part of requests that was granted."""
_DIP: Final = 0.15
"""Part of the goal by which a rate starts below the goal."""
_PLATEAU: Final = 4.0
"""Seconds until a rate reaches its goal; it stays there for about as long before it rises."""
_PLATEAU_HOLDS: Final = 2.0
"""The same as a multiple of the last hold, if that is longer: a refusal costs a whole hold."""
_SPREAD: Final = 0.5
"""Largest random delay of the first request after a hold, as a part of the gap between requests."""
_CATCH_UP: Final = 0.02
"""Seconds that a send may be late without lowering the rate: event loops wake up late."""
_SHORTEST_HOLD: Final = 1.0
"""Seconds of the shortest hold. A 429 that asks for no wait leaves the bucket just as empty, and a
service may round a wait of less than a second to none."""
_PATIENCE: Final = 3
"""Holds in a row without a grant after which each lasts twice as long as the one before. Where a
service counts refused requests, too, several clients would otherwise keep the limit exhausted."""
_LONGEST_EXTENSION: Final = 15.0
"""Seconds by which this makes a hold longer at most."""
_FORGOTTEN_AFTER: Final = 600.0
"""Seconds without a hold after which the limit is forgotten."""


class Pace:
    """The rate of a client's requests, and the earliest moment for the next one.

    After a refusal (429) no request goes before the time that the service asked to wait: a hold.
    Holds in a row without a grant grow. Then the rate doubles until it is refused. From then on it
    starts below the goal, reaches it, stays there, and rises until it is refused again (cubic
    growth, as in TCP CUBIC).

    The goal is the refused rate times the granted part of the requests that were under way with the
    refused one. Earlier grants do not count: among several clients at one limit, some get many by
    luck. A client that counted them would keep a rate that is too high or too low for long.

    Before the first refusal, the pace need not be given sends and grants.

    Args:
        draw: Returns a number from 0 to 1. Clients that were refused together come back at
            moments that differ by it.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._forget()

    def _forget(self) -> None:
        """Go back to the beginning, where no limit is known."""
        self.limited: bool = False
        """A limit was met; until then any request may go."""
        self.rate: float = math.inf
        """Requests a second that may go at present; infinite without a limit."""
        self.held_until: float = -math.inf
        """The moment before which the service wants no request."""
        self.refused_since: float = math.inf
        """Clock reading at the first refusal since the last grant; infinite if there is none."""
        # The rate around which to grow; None while it only doubles.
        self._goal: float | None = None
        self._slowest = 1.0
        self._next = -math.inf
        # No request went since the last refusal that counts.
        self._is_held = False
        # When that refused request was sent, or the first one after the hold.
        self._since = -math.inf
        # Seconds after the hold in which requests had to wait for the pace.
        self._paced = 0.0
        # The answers to requests that were under way when the hold began.
        self._granted = self._refused = 0
        # Holds that began since the last grant.
        self._holds_in_a_row = 0

    def ready_at(self) -> float:
        """Return the earliest moment at which the next request may go."""
        return max(self._next, self.held_until)

    def wait(self, now: float) -> float:
        """Return the seconds after which a call that the limit held back should be made again."""
        return max(0.0, self.ready_at() - now)

    def note_sent(self, now: float) -> None:
        if not self.limited:
            return
        if now - self.held_until > _FORGOTTEN_AFTER:
            self._forget()
            return
        if self._is_held:
            self._resume(now)
        self._set_rate()
        earliest = now - _CATCH_UP
        if self._next > earliest:
            # Only requests that had to wait show that a higher rate would be of use.
            self._paced += 1.0 / self.rate
        self._next = max(self._next, earliest) + 1.0 / self.rate

    def note_granted(self, sent: float) -> None:
        """Note that a request that was sent then got an answer other than 429."""
        self.refused_since = math.inf
        self._holds_in_a_row = 0
        if self._is_held and sent >= self._since:
            self._granted += 1

    def note_refused(self, sent: float, now: float, retry_after: float) -> None:
        """Note that a request that was sent then was answered with 429 now."""
        hold = min(max(retry_after, _SHORTEST_HOLD), LONGEST_WAIT)
        self.limited = True
        self.refused_since = min(self.refused_since, now)
        self.held_until = max(self.held_until, now + hold)
        if self._is_held:
            self._refused += 1
        elif sent >= self._since:
            self._is_held, self._since = True, sent
            self._granted = self._refused = 0
            self._holds_in_a_row += 1
        else:
            # It was sent before the last hold, so it says nothing about the rate since then.
            return
        # The service itself asks for at most one request in each hold.
        self._slowest = 1.0 / hold
        doublings = min(max(0, self._holds_in_a_row - _PATIENCE), 60)
        extension = min(hold * (2.0**doublings - 1.0), _LONGEST_EXTENSION)
        # Clients that were refused together should not come back together.
        self._next = self.held_until + extension + _SPREAD * self._draw() / self.rate

    def _resume(self, now: float) -> None:
        """Choose the goal for the time after a hold."""
        # Clocks may tick late, so the request may seem to have been sent before this moment.
        self._is_held, self._since, self._paced = False, now - _CATCH_UP, 0.0
        if self.rate < math.inf:
            fall = _FIRST_FALL if self._goal is None else _FALL
            granted = self._granted + _FALL_WEIGHT * fall
            answers = self._granted + self._refused + _FALL_WEIGHT
            self._goal = max(self._slowest, self.rate * granted / answers)

    def _set_rate(self) -> None:
        if self._goal is None:
            self.rate = _FIRST_RATE * 2.0 ** (self._paced / _DOUBLED_IN)
        else:
            plateau = max(_PLATEAU, _PLATEAU_HOLDS / self._slowest)
            self.rate = self._goal * (1.0 + _DIP * (self._paced / plateau - 1.0) ** 3)
