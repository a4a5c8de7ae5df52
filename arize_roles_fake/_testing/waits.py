"""Waits on an account's clock: waits of several tasks at once pass together."""

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

_QUIET_STEPS: Final = 10
"""Steps of the event loop without an event (a call that begins, a request, a wait that ends) after
which every task counts as waiting."""
_MAX_STEPS: Final = 1000
"""Steps after which time passes in any case, since code may make calls forever and never wait."""


class Clock(Protocol):
    """An account, as its waits use it."""

    def now(self) -> datetime:
        """Return the account's time, timezone-aware."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass."""


_advancing: Final = threading.Lock()


def advance_to(account: Clock, moment: datetime) -> None:
    """Let time pass for an account until `moment`, unless it is past."""
    with _advancing:  # The waits of another thread may be over at the same moment.
        account.advance(max(0.0, (moment - account.now()).total_seconds()))


class Waits:
    """The waits of one event loop on one account's clock.

    Time passes only while every task waits, and then to the end of the wait that ends first. So
    everything happens in the order of its time, as on a real clock.
    """

    def __init__(self) -> None:
        self._queue: list[Wait] = []
        self._events = 0
        self._pauses = 0
        """The number of calls that wait for something outside the account."""

    def note_event(self) -> None:
        """Note that a call begins or sends a request: time stands still during its next steps."""
        self._events += 1

    @contextmanager
    def paused(self) -> Generator[None]:
        """Stop the account's time while a call waits for something outside the account."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._events += 1
            if self._queue:
                self._queue[0].wake()

    async def until(self, moment: datetime, account: Clock, wait: "Wait | None" = None) -> None:
        """Wait for `moment` or until `wait` is set, while time passes for the account."""
        wait = wait or Wait()
        wait.end = moment
        insort(self._queue, wait, key=attrgetter("end"))
        try:
            await checkpoint()
            while account.now() < moment and not wait.is_set:
                if self._queue[0] is not wait or self._pauses:
                    await wait.until_woken()
                elif await self._is_quiet(wait):
                    advance_to(account, moment)
                    self._wake_due(moment)
        finally:
            self._queue.remove(wait)
            self._events += 1
            if self._queue:
                self._queue[0].wake()

    async def _is_quiet(self, first: "Wait") -> bool:
        """Let other tasks run, and return whether this wait is still the first to end."""
        steps = quiet = 0
        # Calls in the queue go on one after the other, each for a few steps.
        most = _MAX_STEPS + _QUIET_STEPS * (len(self._queue) - 1)
        seen = self._events
        while quiet < _QUIET_STEPS and steps < most and self._is_first(first):
            await checkpoint()
            steps += 1
            quiet = quiet + 1 if seen == self._events else 0
            seen = self._events
        return self._is_first(first)

    def _is_first(self, wait: "Wait") -> bool:
        return self._queue[0] is wait and not (wait.is_set or self._pauses)

    def _wake_due(self, moment: datetime) -> None:
        """Wake every task whose wait ends by `moment`."""
        for wait in self._queue:
            if wait.end > moment:
                break
            wait.wake()


class Wait:
    """The wait of one task, which another task may end."""

    __slots__ = ("_woken", "end", "is_set")

    def __init__(self) -> None:
        self.end: datetime
        self.is_set = False
        self._woken = anyio.Event()

    def set(self) -> None:
        """End the wait."""
        self.is_set = True
        self.wake()

    def wake(self) -> None:
        """Wake the task, which checks whether its wait is over."""
        self._woken.set()

    async def until_woken(self) -> None:
        """Wait for `wake`."""
        self._woken = anyio.Event()
        await self._woken.wait()

    async def until_set(self) -> None:
        """Wait for `set`, without a limit."""
        while not self.is_set:
            await self.until_woken()


_waits: Final[WeakKeyDictionary[object, "WeakKeyDictionary[Clock, Waits]"]] = WeakKeyDictionary()


def waits_in(loop: object, account: Clock) -> Waits:
    """Return the waits of an event loop on an account's clock."""
    return _waits.setdefault(loop, WeakKeyDictionary()).setdefault(account, Waits())
