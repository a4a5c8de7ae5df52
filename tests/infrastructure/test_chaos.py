"""Calls whose exchanges break: their ends say what happened, and which limit ran out."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount
from tests.support.chaos import ChaosServer, Point, chaos_server
from tests.support.clients import sleeping
from tests.support.event_loop import LoopClock, until
from tests.support.sizes import sized
from tests.tools.chaos_table import cases, no_wait, representatives, run

pytestmark = pytest.mark.usefixtures("unmeasured")

# Long where nothing should run into it, and short where nothing else can happen.
LIMITS = Timeouts(total=120.0, connect=60.0, read=60.0)
SILENCE = Timeouts(total=120.0, connect=60.0, read=0.1)
NO_CONNECT = Timeouts(total=30.0, connect=0.1)


def test_truth() -> None:
    """Whatever breaks, what a call says is true of the account."""
    outcomes = run(sized(lambda: representatives()[::3], cases)())

    assert [f"{o.case}: {o.ended}: {o.wrong}" for o in outcomes if o.wrong] == []
    assert len(outcomes) == sized(93, 2502)


@attrs.frozen
class Setting:
    account: FakeAccount
    server: ChaosServer
    roles: AiohttpRolesClient


@asynccontextmanager
async def setting(attempts: int, *, lent: bool = False) -> AsyncGenerator[Setting]:
    async with AsyncExitStack() as stack:
        account = FakeAccount()
        server = await stack.enter_async_context(chaos_server(account))
        session = await stack.enter_async_context(aiohttp.ClientSession()) if lent else None
        roles = sleeping(no_wait)(
            account.api_key,
            base_url=server.url,
            session=session,
            timeout=LIMITS,
            retry=RetryPolicy(attempts=attempts),
        )
        yield Setting(account, server, await stack.enter_async_context(roles))


def create(roles: AiohttpRolesClient) -> Awaitable[object]:
    return roles.create(name="Made", permissions=["PROJECT_READ"])


def read(roles: AiohttpRolesClient) -> Awaitable[object]:
    return roles.list().all()


@pytest.mark.asyncio
@pytest.mark.parametrize("lent", [False, True])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_sent_once(method: str, lent: bool) -> None:  # noqa: FBT001
    """A request that a reused connection drops is sent once for one attempt."""
    async with setting(1, lent=lent) as s:
        target = s.account.add_role("Target")
        await s.roles.list()
        s.server.log.clear()
        s.server.script = [Point.CLOSE_AFTER_COMMIT]

        if method == "DELETE":
            await s.roles.delete(role_id=target.id)  # A get shows that it was made.
        else:
            with pytest.raises(RolesConnectionError):
                await s.roles.get(role_id=target.id)

        assert [exchange.method for exchange in s.server.log].count(method) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("point", "why"),
    [
        (Point.CLOSE_AFTER_COMMIT, "ServerDisconnectedError"),
        (Point.RESET_AFTER_COMMIT, "ClientOSError"),
    ],
)
async def test_why(point: Point, why: str) -> None:
    """The error says how the connection ended."""
    async with setting(1) as s:
        await s.roles.list()
        s.server.script = [point]

        with pytest.raises(RolesConnectionError, match=f"complete response arrived: {why}: "):
            await s.roles.list()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "call", "limits", "ends"),
    [
        # A change that was never sent is a failure to connect.
        ([Point.REFUSED] * 2, create, LIMITS, (RolesConnectionError, {"sent": False})),
        (
            [Point.STALL_ON_CONNECT] * 2,
            create,
            NO_CONNECT,
            (RolesTimeoutError, {"limit": "connect", "seconds": 0.1, "attempts": 2}),
        ),
        (
            [Point.STALL_ON_CONNECT],
            create,
            Timeouts(total=0.1, connect=None),
            (RolesTimeoutError, {"limit": "total", "sent": False}),
        ),
        (
            [Point.STALL_IN_BODY] * 2,
            read,
            SILENCE,
            (RolesTimeoutError, {"limit": "read", "seconds": 0.1, "attempts": 2}),
        ),
    ],
)
async def test_error(
    script: list[Point | None],
    call: Callable[[AiohttpRolesClient], Awaitable[object]],
    limits: Timeouts,
    ends: tuple[type[RolesError], dict[str, Any]],
) -> None:
    """A call whose outcome is known ends in the error of the stage and the limit."""
    async with setting(2) as s:
        s.server.script = script

        with pytest.raises(RolesError) as caught:
            await call(s.roles.with_options(timeout=limits))

    shown = {name: getattr(caught.value, name) for name in ends[1]}
    assert (type(caught.value), shown) == ends


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("point", "cause"),
    [
        (Point.RESET_AFTER_COMMIT, RolesConnectionError),
        (Point.STALL_AFTER_COMMIT, RolesTimeoutError),
    ],
)
async def test_never_answered(point: Point, cause: type[RolesError]) -> None:
    """A change has an unknown outcome if neither it nor a read after it is ever answered."""
    async with setting(2) as s:
        s.server.script = [point] * 4

        with pytest.raises(OutcomeUnknownError) as caught:
            await create(s.roles.with_options(timeout=SILENCE))

    assert (caught.value.operation, caught.value.attempts) == ("create", 4)
    assert type(caught.value.__cause__) is cause


@pytest.mark.asyncio
async def test_total_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The total time bounds a call whose attempts have no limit."""
    clock = LoopClock(monkeypatch)
    async with setting(2) as s:
        s.server.script = [Point.STALL_AFTER_COMMIT]
        limited = s.roles.with_options(timeout=Timeouts(total=120.0, read=None))
        call = asyncio.ensure_future(create(limited))
        await until(lambda: s.server.log)
        await clock.pass_by(120.0)

        with pytest.raises(OutcomeUnknownError) as caught:
            await call

    cause = caught.value.__cause__
    assert isinstance(cause, RolesTimeoutError)
    assert (cause.limit, cause.seconds, caught.value.attempts) == ("total", 120.0, 1)


@pytest.mark.asyncio
async def test_bomb() -> None:
    """A body that expands past the limit ends its connection, too."""
    async with setting(1) as s:
        s.server.script = [Point.GZIP_BOMB]

        with pytest.raises(InvalidResponseError, match="longer than 4 MiB"):
            await s.roles.with_options(timeout=None).list()

        assert len(await s.roles.list()) == 7


@pytest.mark.asyncio
async def test_stray_answer() -> None:
    """An answer that nobody asked for is nobody's answer."""
    async with setting(1) as s:
        first, second = s.account.add_role("First"), s.account.add_role("Second")
        s.server.script = [Point.RESPONSE_TWICE]

        assert await s.roles.get(role_id=first.id) == first
        assert await s.roles.get(role_id=second.id) == second
