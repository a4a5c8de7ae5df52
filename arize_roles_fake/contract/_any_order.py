"""Calls drawn by chance, with the same seed in each run, which two clients must end alike."""

# ruff: noqa: ANN401 - clients of any resource, and what they return

import functools
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Final, cast

import attrs

from arize_roles_async import RetryPolicy, RolesError
from arize_roles_fake._account.account import FakeAccount
from arize_roles_fake.contract._suite import Call, together

Calls = Sequence[tuple[str, Mapping[str, Any]]]
"""Methods with their arguments. Of a list, one value is drawn; `...` is no argument."""

_COIN: Final = [True, False]
_CHANGES: Final = ("create", "update", "delete")
_OWN: Final = {"created_at", "updated_at", "next_cursor", "message"}
"""The fields in which equal accounts differ, and those in a client's words."""


class AnyOrder:
    """Makes calls with clients, and with one of an equal account, which shows how they end.

    Attributes:
        made: The calls of the clients.
    """

    def __init__(
        self,
        accounts: Sequence[FakeAccount],
        pairs: Sequence[tuple[Any, ...]],
        tables: tuple[Calls, Calls, Calls],
        ids: list[str],
    ) -> None:
        """Make each client one of a single attempt.

        Args:
            accounts: The account, and the equal one.
            pairs: Clients of the account, each with one of the equal account.
            tables: Calls that read, those that change something, and those of an account itself.
            ids: A list in the tables, which gets the IDs of what is returned.
        """
        self.made: list[Call] = []
        once = RetryPolicy(attempts=1)
        self._accounts, self._pairs = accounts, [_copies(each, retry=once) for each in pairs]
        self._tables, self._ids, self._operations = tables, ids, ["any"]
        failures = {
            "operation": ["any", self._operations],
            "failure": [403, 500, "undecodable", "lost"],
            "times": [1, None],
            "when": [..., "after"],
        }
        self._failures: Calls = [("fail", failures)]
        self._cursors: list[tuple[Any, ...]] = [(None, None)]
        self._last: dict[int, tuple[str, Mapping[str, Any], dict[str, Any]]] = {}
        self._random = random.Random(0)  # noqa: S311 - no secret

    def copy(self, of: int, **options: Any) -> None:
        """Add a copy of a client, with its number: copies come after the clients."""
        self._pairs.append(_copies(self._pairs[of], **options))

    async def turn(self, outlast: Callable[[], Awaitable[None]] | None = None) -> None:
        """Make some calls with one client; before each one, something may happen to the accounts.

        With `outlast`, it happens before the first one alone, and this waits until no client is
        stale.
        """
        reads, changes, events = self._tables
        pair = self._one_of(self._pairs)
        for number in range(8):
            happens: list[Callable[[], None]] = []
            if outlast is None or number == 0:
                happens = self._event(self._random.choice((events, self._failures, ())))
            calls = self._random.choice((reads, changes or reads))
            count = 1 if happens or calls is changes else 2
            if outlast is not None and number == 0:
                while happens:
                    happens.pop()()
                await outlast()
            try:
                await together(*[self._call(pair, calls, happens) for _ in range(count)])
            finally:
                for each in self._accounts:
                    each.clear_faults()

    def _event(self, events: Calls) -> list[Callable[[], None]]:
        if not events:
            return []
        method, given = self._draw(events)
        return [functools.partial(_happen, each, method, given) for each in self._accounts]

    def _one_of(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return self._one_of(self._random.choice(cast("Sequence[Any]", value)))

    def _draw(self, calls: Calls) -> tuple[str, dict[str, Any]]:
        """Return a call, often the same of these as before, or that with another argument."""
        method, given, values = self._last.get(id(calls), ("", {}, {}))
        drawn: Iterable[str] = [self._random.choice([*given])] if given else ()
        if not given or self._one_of(_COIN):
            method, given = self._random.choice(calls)
            drawn, values = given, {}
        elif self._one_of(_COIN):
            drawn = ()
        values = {**values, **{name: self._one_of(given[name]) for name in drawn}}
        self._last[id(calls)] = method, given, values
        return method, {name: value for name, value in values.items() if value is not ...}

    def _call(
        self, pair: tuple[Any, ...], calls: Calls, happens: Sequence[Callable[[], None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """Return a function that makes a call with both clients."""
        (method, given), cursors = self._draw(calls), self._one_of(self._cursors)
        made = [
            Call(client, method, **given, **({"cursor": cursor} if "limit" in given else {}))
            for client, cursor in zip(pair, cursors, strict=True)
        ]
        return functools.partial(self._compare, made, happens, walks=self._one_of(_COIN))

    async def _compare(
        self, calls: Sequence[Call], happens: Sequence[Callable[[], None]], *, walks: bool
    ) -> None:
        __tracebackhide__ = True
        self.made.append(calls[0])
        ends, told = list[Any](), list[Any]()
        for account, call, happen in zip_longest(self._accounts, calls, happens):
            begin = len(account.calls)
            ends.append(await _end_of(call, happen, walks=walks))
            sent = [(each.operation, each.outcome) for each in account.calls[begin:]]
            told.append((_told(ends[-1]), [each for each in sent if each[0].endswith(_CHANGES)]))
        assert told[0] == told[1], f"after {self.made[-5:]}"
        if hasattr(ends[0], "pagination"):
            cursors = tuple(each.pagination.next_cursor for each in ends)
            self._cursors = [*self._cursors[-5:], cursors]
        elif hasattr(ends[0], "id"):
            self._ids[:] = [*self._ids[-4:], ends[0].id]
        self._operations[1:] = [each.operation for each in self._accounts[1].calls[-1:]]


def _copies(pair: tuple[Any, ...], **options: Any) -> tuple[Any, ...]:
    return tuple(each.with_options(**options) for each in pair)


def _happen(account: FakeAccount, method: str, given: Mapping[str, Any]) -> None:
    with suppress(ValueError, LookupError):
        getattr(account, method)(**given)


async def _end_of(call: Call, happen: Callable[[], None] | None, *, walks: bool) -> Any:
    """Return how a call ends; what happens does so before it, or after the first item of a walk."""
    waiting = [happen] if happen else []

    async def visit(_: object) -> None:
        while waiting:
            waiting.pop()()

    is_find = call.method == "find"
    if is_find or not walks:
        await visit(None)
    try:
        return await (call.found(visit) if is_find or walks else call())
    except RolesError as error:
        return error


def _told(end: Any) -> Any:
    """Return what must be equal."""
    if isinstance(end, list | tuple):
        return [*map(_told, cast("Sequence[Any]", end))]
    if isinstance(end, RolesError):
        fields: dict[str, Any] = {**vars(end), "cause": isinstance(end.__cause__, RolesError)}
    elif attrs.has(end.__class__):
        fields = attrs.asdict(end, recurse=False)
    else:
        return end
    told = {name: _told(value) for name, value in fields.items() if name not in _OWN}
    return end.__class__, {**told, "request_id": fields.get("request_id") is None}
