"""Calls of a client under way at once, each with a mark, and their reported outcomes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs

from arize_roles_async import RolesClient
from tests.support.upstream import Upstream

MIX: Final = ("create", "update", "delete", "get", "create", "update by name", "delete", "list")
"""The operations, in the order in which they come, over and over."""


@attrs.define(kw_only=True)
class Call:
    """A call about a role to make, and then its reported outcome."""

    operation: str
    number: int
    name: str
    role_id: str = ""
    """Empty for a create and a list."""
    started: float = 0.0
    """On the machine's monotonic clock."""
    ended: float = 0.0
    result: object = None
    error: BaseException | None = None

    @property
    def kind(self) -> str:
        """The name of the method."""
        return self.operation.partition(" ")[0]

    @property
    def mark(self) -> str:
        """The call's mark on what it changes."""
        return self.role_id if self.kind == "delete" else f"call {self.number} of {self.name}"

    def __str__(self) -> str:
        shown = repr(self.result) if self.error is None else type(self.error).__name__
        return f"{self.operation} {self.mark}: {shown}"


def plan(upstream: Upstream, count: int) -> list[Call]:
    """Return calls to make; the roles that they are about exist then."""
    calls = [
        Call(operation=MIX[number % len(MIX)], number=number, name=f"Role {number}")
        for number in range(count)
    ]
    for call in calls:
        if call.kind not in {"create", "list"}:
            account = upstream.account
            role = account.add_role(call.name, ["PROJECT_READ"], description="As it was.")
            call.role_id = role.id
    return calls


async def make(client: RolesClient, call: Call) -> object:
    match call.operation:
        case "create":
            permissions = ["PROJECT_READ"]
            return await client.create(
                name=call.name, permissions=permissions, description=call.mark
            )
        case "update":
            return await client.update(role_id=call.role_id, description=call.mark)
        case "update by name":
            return await client.update(role=call.name, description=call.mark)
        case "delete":
            await client.delete(role_id=call.role_id)
            return None
        case "get":
            return await client.get(role_id=call.role_id)
        case _:
            return await client.list(limit=100)


MakeCall = Callable[[RolesClient, Call], Awaitable[object]]
"""Makes a call, and reports how it ended: `make`, or a liar."""


class Load:
    """Makes calls, eight at once, which keep their reported outcomes."""

    def __init__(self, client: RolesClient, calls: Sequence[Call], make_call: MakeCall) -> None:
        self._client = client
        self._make_call = make_call
        self._calls = calls
        self._allowed = self._ended = 0
        self._slots, self._permits = asyncio.Semaphore(8), asyncio.Semaphore(0)
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for call in self._calls:
                group.create_task(self._make(call))

    def allow(self, share: float) -> None:
        """Let no more than a share of the calls begin."""
        for _ in range(self._allowed, round(share * len(self._calls))):
            self._allowed += 1
            self._permits.release()

    async def reached(self, share: float) -> None:
        """Return when a share of the calls has ended."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._ended >= share * len(self._calls))

    async def _make(self, call: Call) -> None:
        async with self._slots:
            await self._permits.acquire()
            call.started = time.monotonic()
            made = self._make_call(self._client, call)
            (ending,) = await asyncio.gather(made, return_exceptions=True)
            call.ended = time.monotonic()
        if isinstance(ending, BaseException):
            call.error = ending
        else:
            call.result = ending
        async with self._progress:
            self._ended += 1
            self._progress.notify_all()
