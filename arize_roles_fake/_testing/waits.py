"""Waits on an account's clock: waits that are under way together pass together."""

import threading
from bisect import insort
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from operator import attrgetter
from typing import Final, Protocol
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import checkpoint

_QUIET: Final = 10
"""Steps of the event loop in which no call begins or asks the account and no wait ends; after them,
no task has work to do."""
_MOST_STEPS: Final = 1000
"""Steps after which time passes anyway: code may call again and again without a wait."""


class Clock(Protocol):
    """What the waits need of an account."""

    def now(self) -> datetime:
        """Return the account's time, timezone-aware."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass."""

    @property
    def calls_in_all(self) -> int:
        """How many calls there have been."""
        ...


_advancing: Final = threading.Lock()


def advance_to(account: Clock, moment: datetime) -> None:
    """Let time pass for an account until `moment`, unless it is past."""
    with _advancing:  # The waits of another thread may be over at the same moment.
        account.advance(max(0.0, (moment - account.now()).total_seconds()))


class Waits:
    """The waits of one event loop on one account's clock.

    Time passes only when no task has work to do, and then to the end of the wait that ends
    first. So everything happens in the order of its time, as it does on a real clock.
    """

    def __init__(self) -> None:
        self._queue: list[Wait] = []
        self._events = 0
        """How often a call began or a wait ended."""
        self._pauses = 0
        """How many calls wait for what is not the account's."""

    def note_call(self) -> None:
        """Note that a call begins, so that no time passes in its first steps."""
        self._events += 1

    @contextmanager
    def paused(self) -> Generator[None]:
        """Let no time pass for the account in a block, in which a call waits for something else."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._events += 1
            if self._queue:
                self._queue[0].look()

    async def until(self, moment: datetime, account: Clock, wait: "Wait | None" = None) -> None:
        """Let time pass for the account until `moment`, timezone-aware, or until `wait` is set."""
        wait = wait or Wait()
        wait.end = moment
        insort(self._queue, wait, key=attrgetter("end"))
        try:
            await checkpoint()
            while account.now() < moment and not wait.is_set:
                if self._queue[0] is not wait or self._pauses:
                    await wait.until_it_may_be_over()
                elif await self._is_quiet(wait, account):
                    advance_to(account, moment)
                    self._wake(moment)
        finally:
            self._queue.remove(wait)
            self._events += 1
            if self._queue:
                self._queue[0].look()

    async def _is_quiet(self, first: "Wait", account: Clock) -> bool:
        """Let other tasks work, and tell whether this wait is still the first to end."""
        steps = quiet = 0
        # Calls that wait for their turn go on one after the other, each for a few steps.
        most = _MOST_STEPS + _QUIET * (len(self._queue) - 1)
        seen = account.calls_in_all, self._events
        while quiet < _QUIET and steps < most and self._is_next(first):
            await checkpoint()
            steps += 1
            now = account.calls_in_all, self._events
            quiet = quiet + 1 if now == seen else 0
            seen = now
        return self._is_next(first)

    def _is_next(self, wait: "Wait") -> bool:
        return self._queue[0] is wait and not (wait.is_set or self._pauses)

    def _wake(self, moment: datetime) -> None:
        """Wake all whose wait is over."""
        for wait in self._queue:
            if wait.end > moment:
                break
            wait.look()


class Wait:
    """One task's wait, which another may end by setting it."""

    __slots__ = ("_news", "end", "is_set")

    def __init__(self) -> None:
        self.end: datetime
        self.is_set = False
        self._news = anyio.Event()

    def set(self) -> None:
        """End the wait."""
        self.is_set = True
        self.look()

    def look(self) -> None:
        """Have the task look whether its wait is over."""
        self._news.set()

    async def until_it_may_be_over(self) -> None:
        """Wait for `look`."""
        self._news = anyio.Event()
        await self._news.wait()

    async def until_set(self) -> None:
        """Wait for `set`, however long that takes."""
        while not self.is_set:
            await self.until_it_may_be_over()


_waits: Final[WeakKeyDictionary[object, "WeakKeyDictionary[Clock, Waits]"]] = WeakKeyDictionary()


def waits_in(loop: object, account: Clock) -> Waits:
    """Return the waits of an event loop on an account's clock."""
    return _waits.setdefault(loop, WeakKeyDictionary()).setdefault(account, Waits())
