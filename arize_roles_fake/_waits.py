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
_END: Final = attrgetter("end")


class Waits:
    """The waits of one event loop on one account's clock.

    Time passes only when no task has work to do, and then to the end of the wait that ends
    first. So everything happens in the order of its time, as it does on a real clock.
    """

    def __init__(self) -> None:
        self._driving: list[Wait] = []
        self._watching: list[Wait] = []
        self._ended = 0

    async def until(
        self, moment: datetime, account: FakeAccount, wait: "Wait | None" = None
    ) -> None:
        """Let time pass for the account until `moment`, timezone-aware, or until `wait` is set."""
        await self._wait(self._driving, wait or Wait(), moment, account)

    async def watch(self, moment: datetime, account: FakeAccount, wait: "Wait") -> None:
        """Wait until `wait` is set, or until time has passed until `moment`.

        As long as there are waits of the other kind, it is they that let time pass.
        """
        await self._wait(self._watching, wait, moment, account)

    async def _wait(
        self, waits: "list[Wait]", wait: "Wait", moment: datetime, account: FakeAccount
    ) -> None:
        wait.end = moment
        insort(waits, wait, key=_END)
        try:
            await checkpoint()
            while account.now() < moment and not wait.is_set:
                if self._first() is not wait:
                    await wait.until_it_may_be_over()
                elif await self._is_quiet(wait, account):
                    self._let_pass(account)
        finally:
            waits.remove(wait)
            self._ended += 1
            self._wake(self._watching, account.now())
            if first := self._first():
                first.look()

    def _first(self) -> "Wait | None":
        waits = self._driving or self._watching
        return waits[0] if waits else None

    async def _is_quiet(self, first: "Wait", account: FakeAccount) -> bool:
        """Let other tasks work, and tell whether this wait is still the first to end."""
        steps = quiet = 0
        calls, ended = account.calls_in_all, self._ended
        while quiet < _QUIET and steps < _MOST_STEPS and self._is_next(first):
            await checkpoint()
            steps += 1
            quiet += 1
            if calls != account.calls_in_all:
                quiet = 0
            if ended != self._ended or not self._driving:
                # Calls that wait for their turn go on one after the other: that has an end.
                steps = 0
            if ended != self._ended:
                quiet = 0
            calls, ended = account.calls_in_all, self._ended
        return self._is_next(first)

    def _is_next(self, wait: "Wait") -> bool:
        return self._first() is wait and not wait.is_set

    def _let_pass(self, account: FakeAccount) -> None:
        moment = min(waits[0].end for waits in (self._driving, self._watching) if waits)
        account.advance_to(moment)
        self._wake(self._driving, moment)
        self._wake(self._watching, moment)

    def _wake(self, waits: "list[Wait]", moment: datetime) -> None:
        """Wake all whose wait is over."""
        for wait in waits:
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


_waits: Final[WeakKeyDictionary[object, WeakKeyDictionary[FakeAccount, Waits]]] = (
    WeakKeyDictionary()
)


def waits_in(loop: object, account: FakeAccount) -> Waits:
    """Return the waits of an event loop on an account's clock."""
    return _waits.setdefault(loop, WeakKeyDictionary()).setdefault(account, Waits())
