"""Waits on an account's clock: waits that are under way together pass together."""

from bisect import insort
from datetime import datetime
from operator import attrgetter
from typing import Final
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import checkpoint

from arize_roles_fake._account import FakeAccount

_QUIET: Final = 10
"""Steps of the event loop without a call to the account; after them, no task has work to do."""
_MOST_STEPS: Final = 1000
"""Steps after which time passes anyway: code may call again and again without a wait."""


class Waits:
    """The waits of one event loop on one account's clock.

    Time passes only when no task has work to do, and then to the end of the wait that ends
    first. So everything happens in the order of its time, as it does on a real clock.
    """

    def __init__(self) -> None:
        self._queue: list[_Wait] = []

    async def until(self, moment: datetime, account: FakeAccount) -> None:
        """Let time pass for the account until `moment`, timezone-aware."""
        wait = _Wait(moment)
        insort(self._queue, wait, key=attrgetter("end"))
        try:
            await checkpoint()
            while account.now() < moment:
                if self._queue[0] is not wait:
                    wait.is_over = anyio.Event()
                    await wait.is_over.wait()
                elif await self._is_quiet(wait, account):
                    account.advance_to(moment)
                    self._wake(moment)
        finally:
            self._queue.remove(wait)
            if self._queue:
                self._queue[0].is_over.set()

    async def _is_quiet(self, first: "_Wait", account: FakeAccount) -> bool:
        """Let other tasks work, and tell whether this wait is still the first to end."""
        steps = quiet = 0
        calls = account.calls_in_all
        while quiet < _QUIET and steps < _MOST_STEPS and self._queue[0] is first:
            await checkpoint()
            steps += 1
            quiet = quiet + 1 if calls == account.calls_in_all else 0
            calls = account.calls_in_all
        return self._queue[0] is first

    def _wake(self, moment: datetime) -> None:
        """Wake all whose wait is over."""
        for wait in self._queue:
            if wait.end > moment:
                break
            wait.is_over.set()


class _Wait:
    __slots__ = ("end", "is_over")

    def __init__(self, end: datetime) -> None:
        self.end = end
        self.is_over = anyio.Event()


_waits: Final[WeakKeyDictionary[object, WeakKeyDictionary[FakeAccount, Waits]]] = (
    WeakKeyDictionary()
)


def waits_in(loop: object, account: FakeAccount) -> Waits:
    """Return the waits of an event loop on an account's clock."""
    return _waits.setdefault(loop, WeakKeyDictionary()).setdefault(account, Waits())
