"""Calls of a client under way at once, and a judge of what they returned or raised.

The judge knows only the public API and the account. Each call about a role has one of its own, and
a change leaves its mark: the role's description, or that the role is gone.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs

from arize_roles_async import (
    ConflictError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    RolesClient,
    RolesError,
)
from arize_roles_fake import FakeAccount, LoggedCall

MIX: Final = ("create", "update", "delete", "get", "create", "update by name", "delete", "list")
"""The operations, in the order in which they come, over and over."""
SLACK: Final = 1.5
"""Seconds that a busy machine may be late with the end of a call whose time is up."""


@attrs.define
class Call:
    """A call about a role, and then its end."""

    number: int
    role_id: str = ""
    """Empty for a create and a list."""
    end: Any = None
    """The result, or the error."""
    seconds: float = 0.0

    @property
    def operation(self) -> str:
        return MIX[self.number % len(MIX)]

    @property
    def method(self) -> str:
        return self.operation.partition(" ")[0]

    @property
    def name(self) -> str:
        return f"Role {self.number}"

    @property
    def mark(self) -> str:
        """The call's mark on what it changes."""
        return self.role_id if self.method == "delete" else f"call {self.number}"

    @property
    def failed(self) -> bool:
        return isinstance(self.end, BaseException)

    def arguments(self) -> dict[str, Any]:
        described = {"description": self.mark}
        by_id = {"role_id": self.role_id}
        arguments: dict[str, dict[str, Any]] = {
            "create": {"name": self.name, "permissions": ["PROJECT_READ"], **described},
            "list": {"limit": 100},
            "update by name": {"role": self.name, **described},
            "update": {**by_id, **described},
        }
        return arguments.get(self.operation, by_id)


def planned(account: FakeAccount, count: int) -> list[Call]:
    """Return calls to make; the roles that they are about exist then."""
    calls = [Call(number) for number in range(count)]
    for call in calls:
        if call.method not in {"create", "list"}:
            call.role_id = account.add_role(call.name, ["PROJECT_READ"]).id
    return calls


MakeCall = Callable[[RolesClient, Call], Awaitable[Any]]
"""Makes a call, and returns or raises what it did: `made`, or a liar."""


async def made(client: RolesClient, call: Call) -> Any:  # noqa: ANN401 - of any method
    return await getattr(client, call.method)(**call.arguments())


async def make(client: RolesClient, calls: Sequence[Call], make_call: MakeCall) -> None:
    """Make calls, eight at once, each of which keeps its end."""
    slots = asyncio.Semaphore(8)

    async def keep_end(call: Call) -> None:
        async with slots:
            started, ends = time.monotonic(), make_call(client, call)
            (call.end,) = await asyncio.gather(ends, return_exceptions=True)
            call.seconds = time.monotonic() - started

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(keep_end(call))


def _mark_of(call: LoggedCall) -> object:
    return call.arguments.get("role_id" if call.operation == "delete" else "description")


def judge(
    calls: Sequence[Call], account: FakeAccount, *, total: float, is_clear: bool, resends: bool
) -> list[str]:
    """Return what is wrong with the ends of calls that were limited to so many seconds.

    Where it is clear how every attempt ended, no outcome may be unknown; `resends` says that
    something between resends requests by itself.
    """
    sent = Counter((_mark_of(each), each.operation, each.attempt) for each in account.calls)
    resent = {mark for (mark, _, _), times in sent.items() if mark and times > 1}
    wrong = [] if bool(resent) is resends else [f"resent are: {resent}"]
    roles = {role.id: role for role in account.roles}
    for call in calls:
        role = roles.get(call.role_id)
        if call.method == "create":
            role = account.role(call.name)
        why = [_untrue(call, role, is_clear=is_clear)] * (call.mark not in resent)
        why += ["not ours"] * (call.failed and not isinstance(call.end, RolesError))
        why += [f"it took {call.seconds:.1f} s"] * (call.seconds > total + SLACK)
        wrong += [f"{call}: {each}" for each in why if each]
    return wrong


def _untrue(call: Call, role: Role | None, *, is_clear: bool) -> str:
    """Return what is wrong in what a call said, by the role that it is about, as it is now."""
    is_marked = role is not None and role.description == call.mark
    is_done = {"create": is_marked, "update": is_marked, "delete": role is None}.get(call.method)
    match call.end:
        case OutcomeUnknownError():
            return "all is known" if is_clear or is_done is None else ""
        case RolesError() if is_done:
            return "it says that nothing happened, and it did"
        case NotFoundError() | ConflictError():
            return "no role was missing, or in its way"
        case Exception():
            return ""
        case None if call.method == "delete":
            is_true = is_done
        case ListRolesResponse():
            return ""
        case found:
            is_true = found == role and is_done is not False
    return "" if is_true else "the account says otherwise"
