"""Calls drawn by chance, with the same seed in each run, which two clients must end alike."""

# ruff: noqa: ANN401 - clients of any resource, and what they return

import functools
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Final, cast

import attrs

from arize_roles_async import RetryPolicy, RolesError
from arize_roles_fake._account.account import FakeAccount
from arize_roles_fake.contract._suite import Call, together

Calls = Sequence[tuple[str, Mapping[str, Any]]]
"""Methods with their arguments. Of a list, one value is drawn; `...` is no argument."""

_NOTHING: Final[tuple[str, Any]] = ("now", {})
_FAILURES: Final = [500, "undecodable", "lost"]
_FAIL: Final[tuple[str, Any]] = ("fail", {"operation": "any", "failure": _FAILURES, "times": None})
_OWN: Final = {"created_at", "updated_at", "next_cursor", "message"}
"""The fields in which equal accounts differ, and those in a client's words."""


class AnyOrder:
    """Makes calls with a client, and with one of an equal account, which shows how they end.

    Attributes:
        ids: The IDs of what was returned of late.
        made: The calls of the client.
    """

    def __init__(
        self, accounts: Sequence[FakeAccount], pair: tuple[Any, ...], ids: Iterable[str]
    ) -> None:
        self.ids = [*ids]
        self.made: list[Call] = []
        self._accounts, self._pairs = accounts, [pair]
        self._cursors: list[tuple[Any, ...]] = [(None, None)]
        self._last: dict[int, tuple[str, dict[str, Any]]] = {}
        self._random = random.Random(0)  # noqa: S311 - no secret

    def copy(self, of: int, **options: Any) -> None:
        """Add a copy of the client, which is 0, or of its first copy, which is 1, and so on."""
        self._pairs.append(_copies(self._pairs[of], **options))

    async def turn(
        self,
        reads: Calls,
        changes: Calls,
        events: Calls,
        outlast: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Make some calls with one client; something happens to the accounts before, or in a walk.

        Args:
            reads: Calls that change nothing.
            changes: The others.
            events: Methods of the accounts.
            outlast: Waits until a client is not stale that may be.
        """
        pair = self._one_of(self._pairs)
        method, given = self._draw([*events, _FAIL, *[_NOTHING] * 6])
        if method == "fail":
            pair = _copies(pair, retry=RetryPolicy(attempts=1))
        happens = [functools.partial(_happen, each, method, given) for each in self._accounts]
        if outlast is not None:
            while happens:
                happens.pop()()
            await outlast()
        try:
            await self._call(pair, reads)(happens)
        finally:
            for each in self._accounts:
                each.clear_faults()
        for _ in range(7):
            is_read = not changes or self._one_of([True, False])
            calls = [self._call(pair, reads if is_read else changes) for _ in range(2)]
            await together(*calls[not is_read :])

    def _one_of(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return self._one_of(self._random.choice(cast("Sequence[Any]", value)))

    def _draw(self, calls: Calls) -> tuple[str, dict[str, Any]]:
        method, given = self._random.choice(calls)
        values = {name: self._one_of(value) for name, value in given.items()}
        return method, {name: value for name, value in values.items() if value is not ...}

    def _call(self, pair: tuple[Any, ...], calls: Calls) -> Any:
        """Return a function that makes a call with both clients, often the same as before."""
        last = self._last.get(id(calls))
        drawn = last if last and self._one_of([True, False]) else self._draw(calls)
        (method, given), cursors = drawn, self._one_of(self._cursors)
        self._last[id(calls)] = drawn
        made = [
            Call(client, method, **given, **({"cursor": cursor} if "limit" in given else {}))
            for client, cursor in zip(pair, cursors, strict=True)
        ]
        return functools.partial(self._compare, made, walks=self._one_of([True, False]))

    async def _compare(
        self, calls: Sequence[Call], happens: Sequence[Callable[[], None]] = (), *, walks: bool
    ) -> None:
        __tracebackhide__ = True
        self.made.append(calls[0])
        ends = [await _end_of(*each, walks=walks) for each in zip_longest(calls, happens)]
        assert _told(ends[0]) == _told(ends[1]), f"after {self.made[-5:]}"
        if hasattr(ends[0], "pagination"):
            cursors = tuple(each.pagination.next_cursor for each in ends)
            self._cursors = [*self._cursors[-5:], cursors]
        elif hasattr(ends[0], "id"):
            self.ids[:] = [*self.ids[-7:], ends[0].id]


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
        fields: dict[str, Any] = vars(end)
    elif attrs.has(end.__class__):
        fields = attrs.asdict(end, recurse=False)
    else:
        return end
    told = {name: _told(value) for name, value in fields.items() if name not in _OWN}
    return end.__class__, {**told, "request_id": fields.get("request_id") is None}
