"""Calls of a client under way at once, each with a mark, and their reported outcomes."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self

import attrs

from arize_roles_async import RolesClient
from tests.support.judge import Call
from tests.support.upstream import Upstream

MIX: Final = ("create", "update", "delete", "get", "create", "update by name", "delete", "list")
"""The operations, in the order in which they come, over and over."""


@attrs.frozen(kw_only=True)
class Planned:
    """A call to make.

    Attributes:
        operation: What to call.
        number: Which one it is.
        name: The name of the role that it is about.
        role_id: Its ID; empty for a create and a list.
        gives_up_after: Seconds after which its caller gives it up.
    """

    operation: str
    number: int
    name: str
    role_id: str = ""
    gives_up_after: float | None = None

    @property
    def mark(self) -> str:
        """The call's mark in the journal."""
        return self.role_id if self.operation == "delete" else f"call {self.number} of {self.name}"


def plan(
    upstream: Upstream, count: int, mix: Sequence[str] = MIX, *, prefix: str = "Role"
) -> list[Planned]:
    """Return calls to make; the roles that they are about exist then."""
    calls = [
        Planned(operation=mix[number % len(mix)], number=number, name=f"{prefix} {number}")
        for number in range(count)
    ]
    there = [call for call in calls if call.operation not in {"create", "list", "create, taken"}]
    ids = upstream.add(*(call.name for call in there))
    of_their_own = dict(zip(there, ids, strict=True))
    for call in calls:
        if call.operation == "create, taken":
            # Somebody else's, older than the call, and just what it is to make.
            upstream.add(call.name, description=call.mark, age=5.0)
    return [attrs.evolve(call, role_id=of_their_own.get(call, "")) for call in calls]


async def make(client: RolesClient, planned: Planned) -> object:
    """Make a call and return what it returns."""
    role_id, name, mark = planned.role_id, planned.name, planned.mark
    match planned.operation:
        case "create" | "create, taken":
            return await client.create(name=name, permissions=["PROJECT_READ"], description=mark)
        case "update":
            return await client.update(role_id=role_id, description=mark)
        case "update by name":
            return await client.update(role=name, description=mark)
        case "delete":
            await client.delete(role_id=role_id)
            return None
        case "get":
            return await client.get(role_id=role_id)
        case _:
            return await client.list(limit=100)


MakeCall = Callable[[RolesClient, Planned], Awaitable[object]]
"""Makes a call, and reports how it ended: `make`, or a liar."""


class Load:
    """Makes planned calls, some at once, and keeps their reported outcomes.

    Args:
        client: Makes them.
        planned: The calls.
        make_call: Makes each of them.
        at_once: How many are under way together.

    Attributes:
        calls: The calls that have ended.
    """

    def __init__(
        self,
        client: RolesClient,
        planned: Sequence[Planned],
        *,
        make_call: MakeCall = make,
        at_once: int = 8,
    ) -> None:
        self.calls: list[Call] = []
        self._client = client
        self._make_call = make_call
        self._left = list(reversed(planned))
        self._count = len(planned)
        self._allowed = self._count
        self._at_once = at_once
        self._progress = asyncio.Condition()

    async def run(self) -> list[Call]:
        """Make every call, and return the calls with their outcomes."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._work())
        return self.calls

    def allow(self, share: float) -> None:
        """Let no more than a share of the calls begin, before the next await."""
        self._allowed = round(share * self._count)

    async def go_on(self) -> None:
        """Let every call begin."""
        async with self._progress:
            self._allowed = self._count
            self._progress.notify_all()

    async def reached(self, share: float) -> None:
        """Return when a share of the calls has ended."""
        async with self._progress:
            self._progress.notify_all()
            await self._progress.wait_for(lambda: len(self.calls) >= share * self._count)

    async def _work(self) -> None:
        while planned := await self._next():
            call = await observed(self._client, planned, self._make_call)
            async with self._progress:
                self.calls.append(call)
                self._progress.notify_all()

    async def _next(self) -> Planned | None:
        async with self._progress:
            await self._progress.wait_for(
                lambda: not self._left or self._count - len(self._left) < self._allowed
            )
            return self._left.pop() if self._left else None


async def observed(client: RolesClient, planned: Planned, make_call: MakeCall = make) -> Call:
    """Make a call, and return it with its outcome."""
    started = time.monotonic()
    task = asyncio.ensure_future(make_call(client, planned))
    await asyncio.wait({task}, timeout=planned.gives_up_after)
    task.cancel()
    (ending,) = await asyncio.gather(task, return_exceptions=True)
    error = ending if isinstance(ending, BaseException) else None
    return Call(
        operation=re.split("[ ,]", planned.operation)[0],
        mark=planned.mark,
        role_id=planned.role_id,
        name=planned.name,
        by_name=planned.operation.endswith("by name"),
        started=started,
        ended=time.monotonic(),
        result=None if error else ending,
        error=error,
        cancelled=isinstance(error, asyncio.CancelledError),
    )


class LogText(logging.Handler):
    """Every line that is logged, whatever its level, as it would be written to a file."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
