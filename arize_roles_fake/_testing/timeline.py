"""Sleeps on an account's clock: those of several tasks at once pass together."""

import threading
from bisect import insort
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from operator import attrgetter, methodcaller
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from arize_roles_async._calls.transport import Call

_QUIET_STEPS: Final = 10
"""Steps of the event loop without an event (a call that begins, a request, a sleep that ends) after
which every task counts as asleep."""
_MAX_STEPS: Final = 1000
"""Steps after which time passes in any case, since code may make calls forever and never wait."""
_POLL: Final = 0.01
"""Seconds of real time after which a sleep in real time looks at the clock again."""
_MAX_SLEEP: Final = 3e9
"""Seconds. A longer sleep never ends by itself, because datetime cannot hold its end."""


class Clock(Protocol):
    """An account, as sleeps on its clock use it."""

    def now(self) -> datetime: ...

    def advance(self, seconds: float) -> None: ...


class SharedTime:
    """A clock of several accounts: time passes for all of them at once."""

    def __init__(self, accounts: list[Clock]) -> None:
        self.accounts: list[Clock] = accounts

    def now(self) -> datetime:
        """Return the latest time of the accounts, any of which a test may have moved."""
        return max(account.now() for account in self.accounts)

    def advance(self, seconds: float) -> None:
        # The latest first: if its time can pass, so can that of the others.
        for account in sorted(self.accounts, key=methodcaller("now"), reverse=True):
            account.advance(seconds)


_lock: Final = threading.Lock()
_real_waits: Final[list[int]] = []
"""The identity of the account of each call that waits in real time, in any thread."""


@contextmanager
def waiting_in_real_time(clock: Clock) -> Generator[None]:
    """Mark a call that waits in real time: until it ends, time passes for the account as really."""
    accounts = _accounts_of(clock)
    with _lock:
        _real_waits.extend(accounts)
    try:
        yield
    finally:
        for account in accounts:
            _real_waits.remove(account)


def _is_real(clock: Clock) -> bool:
    return not _accounts_of(clock).isdisjoint(_real_waits)


def _accounts_of(clock: Clock) -> set[int]:
    """Return the identities of the accounts that have a clock."""
    return {*map(id, clock.accounts if isinstance(clock, SharedTime) else [clock])}


def advance_to(clock: Clock, moment: datetime) -> None:
    """Let time pass until `moment`, unless it is past."""
    with _lock:  # The sleeps of another thread may be over at the same moment.
        clock.advance(max(0.0, (moment - clock.now()).total_seconds()))


class Timeline:
    """The sleeps of one event loop on one account's clock.

    Time passes only while every task waits, and then to the end of the sleep that ends first. So
    everything happens in the order of its time, as on a real clock. While a call of the account
    waits in real time, in any thread, every sleep takes real time.
    """

    def __init__(self, loop: object, clock: Clock) -> None:
        # A timeline is found by the identity of both, which stay while it does.
        self._loop = loop
        self.clock: Clock = clock
        self._queue: list[Sleep] = []
        self._quiet_steps = 0
        """Steps of the event loop since the last event."""
        self.calls: set[Call] = set()
        """The calls under way."""

    def note_event(self) -> None:
        """Note that a call begins or sends a request: time stands still during its next steps."""
        self._quiet_steps = 0

    async def sleep(
        self, seconds: float, sleep: "Sleep | None" = None, *, since: datetime | None = None
    ) -> None:
        """Let seconds pass since a moment, by default now, or wait until `sleep` is ended."""
        sleep = sleep or Sleep()
        if seconds > _MAX_SLEEP:
            while not sleep.is_ended:
                await sleep.wait_for_wake()
            return
        sleep.end_at = (since or self.clock.now()) + timedelta(seconds=seconds)
        insort(self._queue, sleep, key=attrgetter("end_at"))
        try:
            await checkpoint()
            while self.clock.now() < sleep.end_at and not sleep.is_ended:
                if self._queue[0] is not sleep:
                    await sleep.wait_for_wake()
                elif _is_real(self.clock):
                    await self._sleep_in_real_time(sleep)
                elif await self._is_quiet(sleep):
                    self.jump_to(sleep.end_at)
        finally:
            self._queue.remove(sleep)
            self.note_event()
            # One that is over by now wakes the next.
            if self._queue:
                self._queue[0].wake()

    def jump_to(self, moment: datetime) -> None:
        """Let time pass at once, unless a call waits in real time.

        The calls of other event loops have not waited for this long, so they may end later.
        """
        with _lock:
            seconds = (moment - self.clock.now()).total_seconds()
            if seconds <= 0.0 or _is_real(self.clock):
                return
            accounts = _accounts_of(self.clock)
            for other in [*_timelines.values()]:
                if other is not self and accounts & _accounts_of(other.clock):
                    for call in [*other.calls]:
                        call.deadline += seconds
            self.clock.advance(seconds)

    async def _sleep_in_real_time(self, sleep: "Sleep") -> None:
        """Sleep for a moment of real time, and let as much pass on a clock that stands still."""
        before, began = self.clock.now(), monotonic()
        # No event shows that another thread no longer waits, or that a test lets time pass.
        with anyio.move_on_after(min(_POLL, (sleep.end_at - before).total_seconds())):
            await sleep.wait_for_wake()
        passed = timedelta(seconds=monotonic() - began)
        advance_to(self.clock, min(sleep.end_at, before + passed))

    async def _is_quiet(self, first: "Sleep") -> bool:
        """Let other tasks run, and return whether this sleep is still the first to end."""
        self._quiet_steps = 0
        # Calls in the queue go on one after the other, each for a few steps.
        for _ in range(_MAX_STEPS + _QUIET_STEPS * (len(self._queue) - 1)):
            if self._quiet_steps == _QUIET_STEPS or not self._is_first(first):
                break
            self._quiet_steps += 1
            await checkpoint()
        return self._is_first(first)

    def _is_first(self, sleep: "Sleep") -> bool:
        return self._queue[0] is sleep and not (sleep.is_ended or _is_real(self.clock))


class Sleep:
    """The sleep of one task, which another task may end."""

    def __init__(self) -> None:
        self.end_at: datetime
        self.is_ended = False
        self._woken = anyio.Event()

    def end(self) -> None:
        self.is_ended = True
        self.wake()

    def wake(self) -> None:
        """Wake the task, which checks whether its sleep is over."""
        self._woken.set()

    async def wait_for_wake(self) -> None:
        self._woken = anyio.Event()
        await self._woken.wait()


_timelines: Final[WeakValueDictionary[tuple[int, int], Timeline]] = WeakValueDictionary()


def timeline_of(loop: object, clock: Clock) -> Timeline:
    with _lock:
        return _timelines.setdefault((id(loop), id(clock)), Timeline(loop, clock))
