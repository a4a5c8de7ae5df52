"""The law of ends: whatever ends a call, and at whatever moment, it ends as `closing.md` promises.

Each method is called three times at once over one slot, so that every `await` is there to be ended:
for the key, in the queue, under a hold, before a retry, for an answer, in a shared look-up, and
while the account is read to find out whether a change was made.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, Final, cast

import pytest

from arize_roles_async import (
    ByName,
    ClientStateError,
    Directory,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    RoleBindingsClient,
    RolesClient,
    RolesTimeoutError,
    ServerError,
)
from arize_roles_fake import FakeAccount
from tests.support.clients import Connect, account_at_noon, both_clients, in_process, over_http
from tests.support.sizes import sized

pytestmark = pytest.mark.arize_roles(unused_faults="allow")

USERS: Final = ("", "ada@x.org", "eve@x.org", "bob@x.org")
"""Those of the first call, of the second and of the third."""


def role_id(account: FakeAccount, name: str) -> str:
    return next(each.id for each in account.roles if each.name == name)


def place(account: FakeAccount, number: int, space: str, role: str | None = None) -> dict[str, Any]:
    given = {"resource_type": "SPACE", "resource_id": account.id(space)}
    given |= {} if role is None else {"role_id": role_id(account, role)}
    return {"user_id": account.id(USERS[number]), **given}


def bound(account: FakeAccount, number: int) -> dict[str, str]:
    """Return the ID of the user's binding on the other space."""
    user = account.id(USERS[number])
    return {"binding_id": next(x.id for x in account.bindings() if x.user_id == user)}


METHODS: Final[dict[str, Callable[[Any, FakeAccount, int], Awaitable[object]]]] = {
    "RolesClient.list": lambda c, _, __: c.list(limit=2).all(),
    "RolesClient.get": lambda c, _, n: c.get(role=f"Role {n}"),
    "RolesClient.create": lambda c, _, n: c.create(name=f"New {n}", permissions=["ROLE_READ"]),
    "RolesClient.update": lambda c, _, n: c.update(role=f"Role {n}", description="Changed."),
    "RolesClient.delete": lambda c, _, n: c.delete(role=f"Role {n}"),
    "RoleBindingsClient.list": lambda c, _, __: c.role_bindings.list(
        resource_type="SPACE", limit=2
    ).all(),
    "RoleBindingsClient.get": lambda c, a, n: c.role_bindings.get(**bound(a, n)),
    "RoleBindingsClient.create": lambda c, a, n: c.role_bindings.create(
        **place(a, n, "Space:ML", "Role 1")
    ),
    "RoleBindingsClient.update": lambda c, a, n: c.role_bindings.update(
        **bound(a, n), role_id=role_id(a, "Role 1")
    ),
    "RoleBindingsClient.delete": lambda c, a, n: c.role_bindings.delete(**bound(a, n)),
    "RoleBindingsClient.ensure": lambda c, a, n: c.role_bindings.ensure(
        **place(a, n, "Space:ML", "Role 2")
    ),
    "RoleBindingsClient.remove": lambda c, a, n: c.role_bindings.remove(**place(a, n, "Space:Ops")),
    "RoleBindingsClient.find": lambda c, a, n: anext(
        c.role_bindings.find(user_id=a.id(USERS[n]), role_id=role_id(a, "Bound"))
    ),
    "Directory.users": lambda c, _, __: c.directory.users(limit=2).all(),
    "Directory.spaces": lambda c, _, __: c.directory.spaces(limit=1).all(),
    "Directory.projects": lambda c, _, __: c.directory.projects(in_space="ML", limit=1).all(),
    "Directory.get_user": lambda c, _, n: c.directory.get_user(user=USERS[n]),
    "Directory.get_space": lambda c, _, __: c.directory.get_space(space="ML"),
    "Directory.get_project": lambda c, _, __: c.directory.get_project(
        project="churn", in_space="ML"
    ),
    "ByName.ensure": lambda c, _, n: c.by_name.ensure(user=USERS[n], role=f"Role {n}", space="Ops"),
    "ByName.remove": lambda c, _, n: c.by_name.remove(user=USERS[n], space="Ops"),
    "ByName.find": lambda c, _, n: c.by_name.find(user=USERS[n]),
}


@pytest.mark.parametrize("protocol", [RolesClient, RoleBindingsClient, Directory, ByName])
def test_every_method(protocol: type) -> None:
    """Each method that sends something is in the table."""
    others = {"aclose", "with_options", "role_bindings", "directory", "by_name", "base_url"}
    named = {name for name in dir(protocol) if name[0] != "_"} - others
    assert {f"{protocol.__name__}.{name}" for name in named} <= METHODS.keys()


LOST: Final[list[Any]] = ["create", "update", "delete"]
LOST.extend([f"role_bindings.{change}" for change in LOST])
WEATHERS: Final[dict[str, Callable[[FakeAccount], object]]] = {
    "calm": lambda _: None,
    "busy": lambda account: account.fail("any", 429, retry_after=2),
    "ill": lambda account: account.fail("any", 503, skip=1),
    "lossy": lambda account: [account.fail(x, "lost", times=3, when="after") for x in LOST],
    "locked": lambda account: account.fail("any", 401),
}


def filled() -> FakeAccount:
    account = account_at_noon()
    for name in ("Role 1", "Role 2", "Role 3", "Bound"):
        account.add_role(name, ["ROLE_READ"])
    for user in USERS[1:]:
        account.bind("Bound", user=user, resource="Space:Ops")
    account.add_project("churn", space="ML")
    return account


State = frozenset[tuple[object, ...]]
End = Callable[[Any, "asyncio.Task[object]"], Coroutine[Any, Any, None]]


def state(account: FakeAccount) -> State:
    roles = {(each.name, each.description) for each in account.roles}
    bound = {(each.user_id, each.resource_id, each.role_id) for each in account.bindings()}
    return frozenset(roles | bound)


class Trio:
    """Three calls of a method at once, of which something ends one, or all."""

    def __init__(self, connect: Connect, weather: str, method: str) -> None:
        self.account = filled()
        self.before = state(self.account)
        WEATHERS[weather](self.account)
        self._connect = connect
        self._call = METHODS[method]
        self._key = self.key if weather == "locked" else self.account.api_key
        self._is_long = weather == "locked" or method.endswith(SEVERAL)
        self._late: asyncio.Task[object] | None = None
        """That of the call whose time runs out."""

    async def key(self) -> str:
        """Return a key after a while, and another one once it was refused."""
        await asyncio.sleep(0)
        refused = sum(call.outcome == 401 for call in self.account.calls)
        if refused and asyncio.current_task() is self._late:
            await asyncio.Event().wait()
        self.account.add_key(f"key-{refused}")
        return f"key-{refused}"

    async def run(self, step: int, end: End, *, apart: int, ended: int) -> list[object]:
        """Return the outcomes, of which one was ended at a step, if it was not over.

        Each call begins some steps after the one before. What they leave behind is an error.
        """
        begun: list[int] = []

        async def call(client: RolesClient, number: int) -> object:
            for _ in range(apart * (number - 1)):
                await asyncio.sleep(0)
            begun.append(number)
            if end is limit and number == ended + 1:
                self._late = asyncio.current_task()
                client = client.with_options(timeout=total)
            return await self._call(client, self.account, number)

        total = (0.02 if self._key == self.key else 1.0) * (0.1 + step / 4)
        if end is limit:
            self.account.slow_down(0.0 if self._key == self.key else 1.0)
            step = 0
        options = {"max_concurrency": 1, "api_key": self._key, "retry": RetryPolicy(backoff=0.5)}
        async with self._connect(self.account, **options) as client:
            tasks = [asyncio.create_task(call(client, number)) for number in (1, 2, 3)]
            for _ in range(step):
                await asyncio.sleep(0)
            self.are_begun, self.is_over = begun == [1, 2, 3], tasks[ended].done()
            self.is_early = not tasks[0].done()
            moment = self.account.now()
            await end(client, tasks[ended])
            if end is limit:
                await asyncio.wait([tasks[ended]])
                took = (self.account.now() - moment).total_seconds()
                self.is_over = took < total or self._key == self.key
                assert took <= total or self._is_long
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            if end is cancel:
                await client.list(limit=1)  # The slot is free again.
            elif end is not close_gently:
                assert self.account.now() - moment < timedelta(seconds=GRACE)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return [*outcomes]


async def limit(_: object, __: object) -> None:
    """Let the call run out of time, of which it has a quarter of a request's for each step."""


async def cancel(_: object, task: "asyncio.Task[object]") -> None:
    task.cancel()


async def close(client: RolesClient, _: object) -> None:
    await client.aclose()


GRACE: Final = 60.0
"""Seconds that are not waited for, as something cuts them off."""


async def close_twice(client: RolesClient, _: object) -> None:
    closing = asyncio.create_task(client.aclose(grace=GRACE))
    await asyncio.sleep(0)
    await client.aclose()
    await closing


async def cancel_close(client: RolesClient, _: object) -> None:
    closing = asyncio.create_task(client.aclose(grace=GRACE))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])


async def close_soon(client: RolesClient, _: object) -> None:
    await client.aclose(grace=0.5)


async def close_gently(client: RolesClient, _: object) -> None:
    closing = asyncio.create_task(client.aclose(grace=600.0))
    await asyncio.sleep(0)
    with pytest.raises(ClientStateError):
        await client.list(limit=1)
    await closing


ENDS: Final = (cancel, limit, close, close_soon, close_twice, cancel_close, close_gently)
TOO_LATE: Final = (RolesTimeoutError, RateLimitError, ServerError)
"""The errors of calls that have no time left, or none for another attempt."""
SEVERAL: Final = ("list", "find", "users", "spaces", "projects")
"""Methods that make several calls, of which a closing client refuses the next one."""


def is_made(outcome: object) -> bool | None:
    """Return whether a call with an outcome has made its change; None if nobody knows."""
    if isinstance(outcome, OutcomeUnknownError | asyncio.CancelledError):
        return None
    return not isinstance(outcome, BaseException)


async def effect(connect: Connect, method: str, number: int) -> tuple[State, State]:
    """Return what a call adds and what it takes away, if nothing ends it."""
    alone = Trio(connect, "calm", method)
    async with connect(alone.account) as client:
        await METHODS[method](client, alone.account, number)
    after = state(alone.account)
    return after - alone.before, alone.before - after


EFFECTS: Final[dict[str, list[tuple[State, State]]]] = {}
"""By method, as they take long to find out."""


async def check(
    connect: Connect, weather: str, method: str, end: End, steps: Iterable[int]
) -> None:
    effects = EFFECTS.get(method) or [await effect(connect, method, n) for n in (1, 2, 3)]
    EFFECTS[method] = effects
    for step, (apart, ended) in itertools.product(steps, ((0, 0), (4, 1))):
        trio = Trio(connect, weather, method)
        outcomes = await trio.run(step, end, apart=apart, ended=ended)
        seen, after = (step, apart, outcomes), state(trio.account)
        for (added, removed), outcome in zip(effects, outcomes, strict=True):
            if is_made(outcome) is True:
                assert added <= after, seen
                assert not removed & after, seen
            if is_made(outcome) is False:
                assert isinstance(outcome, TOO_LATE if end is limit else ClientStateError), seen
                assert removed <= after, seen
                assert not added & after, seen
        is_at_once = end in (close, close_twice, cancel_close) and trio.is_early
        if is_at_once and method == "RolesClient.create" and weather == "calm":
            # It had no slot yet.
            assert isinstance(outcomes[2], ClientStateError), seen
        # The others end as if nothing had happened; so do all, if they are given time.
        is_one = end in (cancel, limit)
        spared = [each for each in outcomes if each is not outcomes[ended]] if is_one else []
        if end is close_gently and trio.are_begun and not method.endswith(SEVERAL):
            spared = outcomes
        assert all(is_made(each) or weather == "lossy" for each in spared), seen
        assert not any(isinstance(each, asyncio.CancelledError) for each in spared), seen
        if trio.is_over and ended:
            return


MOMENTS: Final = [
    (method, weather, end)
    for m, method in enumerate(METHODS)
    for w, weather in enumerate(WEATHERS)
    for e, end in enumerate(ENDS)
    if sized((m + 2 * w - e) % len(ENDS) == 0, True)  # noqa: FBT003
]
"""In a sample each method in each weather, each with another end."""


@pytest.mark.parametrize(("method", "weather", "end"), MOMENTS)
async def test_in_process(method: str, weather: str, end: End) -> None:
    """A call that is ended at any step has made its change, or not, as its outcome says."""
    await check(
        in_process, weather, method, end, range(0, 400, sized(7 if weather == "calm" else 22, 1))
    )


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("end", [each for each in ENDS if each is not limit])
@pytest.mark.parametrize("method", ["RolesClient.create", "RolesClient.get", "ByName.ensure"])
async def test_over_http(method: str, end: End) -> None:
    """So it is over sockets."""
    await check(over_http, "calm", method, end, range(0, 400, sized(31, 1)))


@both_clients
@pytest.mark.parametrize("method", METHODS)
async def test_cancelled_before(connect: Connect, method: str) -> None:
    """A task that is cancelled before its call begins ends as cancelled, and changes nothing."""
    account = filled()
    before = state(account)

    async def call() -> object:
        cast("asyncio.Task[object]", asyncio.current_task()).cancel()
        return await METHODS[method](client, account, 1)

    async with connect(account) as client:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(call())
    assert state(account) == before
