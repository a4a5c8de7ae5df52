import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, serve
from tests.support.chaos import ChaosProxy, Point, chaos_proxy
from tests.support.clients import PREDEFINED, sleeping
from tests.support.event_loop import LoopClock, until
from tests.support.sizes import sized
from tests.tools.chaos_table import cases, no_wait, representatives, run

pytestmark = pytest.mark.usefixtures("unmeasured")

# Long where nothing should run into it, and short where nothing else can happen.
LIMITS = Timeouts(total=120.0, connect=60.0, read=60.0)
SILENCE = Timeouts(total=120.0, connect=60.0, read=0.1)
ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2)


def test_truth() -> None:
    """Whatever breaks, what a call says is true of the account."""
    outcomes = run(sized(lambda: representatives()[::3], cases)())

    assert [f"{o.case}: {o}: {o.wrong}" for o in outcomes if o.wrong] == []
    assert len(outcomes) == sized(93, 2502)


@attrs.frozen
class Setting:
    account: FakeAccount
    proxy: ChaosProxy
    roles: AiohttpRolesClient

    def reached_the_proxy(self, method: str) -> int:
        return [exchange.method for exchange in self.proxy.log].count(method)


@asynccontextmanager
async def setting(retry: RetryPolicy, *, lent: bool = False) -> AsyncGenerator[Setting]:
    async with AsyncExitStack() as stack:
        account = FakeAccount()
        server = urlsplit(await stack.enter_async_context(serve(account)))
        proxy = await stack.enter_async_context(
            chaos_proxy(server.hostname or "", server.port or 0)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession()) if lent else None
        roles = sleeping(no_wait)(
            account.api_key,
            base_url=proxy.url,
            session=session,
            timeout=LIMITS,
            retry=retry,
        )
        yield Setting(account, proxy, await stack.enter_async_context(roles))


class TestReusedConnection:
    """Requests on a connection that was used before."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lent", [False, True])
    async def test_delete_once(
        self,
        lent: bool,  # noqa: FBT001
    ) -> None:
        """A dropped delete on a reused connection is sent once for one attempt."""
        async with setting(ONCE, lent=lent) as s:
            target = s.account.add_role("Target")
            await s.roles.list()
            s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

            await s.roles.delete(role_id=target.id)  # a get shows that it was made

            assert s.reached_the_proxy("DELETE") == 1

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lent", [False, True])
    async def test_delete_worked(
        self,
        lent: bool,  # noqa: FBT001
    ) -> None:
        """A dropped delete that worked is success with a second attempt."""
        async with setting(TWICE, lent=lent) as s:
            target = s.account.add_role("Target")
            await s.roles.list()
            s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

            await s.roles.delete(role_id=target.id)

            assert [(c.outcome, c.attempt) for c in s.account.calls_of("delete")] == [
                (204, 1),
                (404, 2),
            ]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lent", [False, True])
    async def test_get_once(
        self,
        lent: bool,  # noqa: FBT001
    ) -> None:
        """A dropped get on a reused connection is sent once for one attempt."""
        async with setting(ONCE, lent=lent) as s:
            target = s.account.add_role("Target")
            await s.roles.list()
            s.proxy.log.clear()
            s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

            with pytest.raises(RolesConnectionError):
                await s.roles.get(role_id=target.id)

            assert s.reached_the_proxy("GET") == 1

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("point", "why"),
        [
            (Point.CLOSE_AFTER_COMMIT, "ServerDisconnectedError"),
            (Point.RESET_AFTER_COMMIT, "ClientOSError"),
        ],
    )
    async def test_why(self, point: Point, why: str) -> None:
        """The error says how the connection ended."""
        async with setting(ONCE) as s:
            await s.roles.list()
            s.proxy.script = [point]

            with pytest.raises(RolesConnectionError) as caught:
                await s.roles.list()

            assert f"before the complete response arrived: {why}: " in str(caught.value)


class TestOutcome:
    """The outcome of a call, by the stage that it reached."""

    @pytest.mark.asyncio
    async def test_never_sent(self) -> None:
        """A change that was never sent is a failure to connect."""
        async with setting(TWICE) as s:
            s.proxy.script = [Point.REFUSED] * 2

            with pytest.raises(RolesConnectionError) as caught:
                await s.roles.create(name="Made", permissions=["PROJECT_READ"])

            assert not isinstance(caught.value, OutcomeUnknownError)
            assert not caught.value.sent

    @pytest.mark.asyncio
    async def test_never_answered(self) -> None:
        """A change has an unknown outcome if neither it nor a read after it is ever answered."""
        async with setting(TWICE) as s:
            s.proxy.script = [Point.RESET_AFTER_COMMIT] * 4

            with pytest.raises(OutcomeUnknownError) as caught:
                await s.roles.create(name="Made", permissions=["PROJECT_READ"])

            assert not isinstance(caught.value, RolesConnectionError)
            assert caught.value.operation == "create"
            assert caught.value.attempts == 4
            assert isinstance(caught.value.__cause__, RolesConnectionError)

    @pytest.mark.asyncio
    async def test_no_connection(self) -> None:
        """A connection that never comes is a timeout of the connect limit."""
        async with setting(TWICE) as s:
            s.proxy.script = [Point.STALL_ON_CONNECT] * 2

            with pytest.raises(RolesTimeoutError) as caught:
                await s.roles.with_options(timeout=Timeouts(connect=0.1)).create(
                    name="Made", permissions=["PROJECT_READ"]
                )

            assert not isinstance(caught.value, OutcomeUnknownError)
            assert (caught.value.limit, caught.value.seconds) == ("connect", 0.1)
            assert caught.value.attempts == 2

    @pytest.mark.asyncio
    async def test_silent_read(self) -> None:
        """A silent service is a timeout of the read limit."""
        async with setting(TWICE) as s:
            s.proxy.script = [Point.STALL_IN_BODY] * 2

            with pytest.raises(RolesTimeoutError) as caught:
                await s.roles.with_options(timeout=SILENCE).list()

            assert (caught.value.limit, caught.value.seconds) == ("read", 0.1)
            assert caught.value.attempts == 2

    @pytest.mark.asyncio
    async def test_silent_change(self) -> None:
        """Silence after a change was sent is a timeout, and its outcome is unknown if it lasts."""
        async with setting(ONCE) as s:
            s.proxy.script = [Point.STALL_AFTER_COMMIT] * 2

            with pytest.raises(OutcomeUnknownError) as caught:
                await s.roles.with_options(timeout=SILENCE).create(
                    name="Made", permissions=["PROJECT_READ"]
                )

            cause = caught.value.__cause__
            assert isinstance(cause, RolesTimeoutError)
            assert (cause.limit, cause.attempts) == ("read", 2)

    @pytest.mark.asyncio
    async def test_total_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The total time bounds a call whose attempts have no limit."""
        clock = LoopClock(monkeypatch)
        async with setting(TWICE) as s:
            s.proxy.script = [Point.STALL_AFTER_COMMIT]
            limited = s.roles.with_options(timeout=Timeouts(total=120.0, read=None))
            call = asyncio.ensure_future(limited.create(name="Made", permissions=["PROJECT_READ"]))
            await until(lambda: s.proxy.log)
            await clock.pass_by(120.0)

            with pytest.raises(OutcomeUnknownError) as caught:
                await call

            cause = caught.value.__cause__
            assert isinstance(cause, RolesTimeoutError)
            assert (cause.limit, cause.seconds) == ("total", 120.0)
            assert caught.value.attempts == 1

    @pytest.mark.asyncio
    async def test_total_unsent(self) -> None:
        """If the total time is up before there is a connection, nothing happened."""
        async with setting(TWICE) as s:
            s.proxy.script = [Point.STALL_ON_CONNECT]

            with pytest.raises(RolesTimeoutError) as caught:
                await s.roles.with_options(timeout=Timeouts(total=0.1, connect=None)).create(
                    name="Made", permissions=["PROJECT_READ"]
                )

            assert not isinstance(caught.value, OutcomeUnknownError)
            assert caught.value.limit == "total"

    @pytest.mark.asyncio
    async def test_slow_body(self) -> None:
        """A body that goes on slowly breaks no limit."""
        async with setting(ONCE) as s:
            s.proxy.script = [Point.SLOW_BYTES]

            page = await s.roles.list(is_predefined=True)

            assert [role.name for role in page] == PREDEFINED

    @pytest.mark.asyncio
    async def test_bomb(self) -> None:
        """A body that expands past the limit ends its connection, too."""
        async with setting(ONCE) as s:
            s.proxy.script = [Point.GZIP_BOMB]

            with pytest.raises(InvalidResponseError, match="longer than 4 MiB"):
                await s.roles.with_options(timeout=None).list()

            assert len(await s.roles.list()) == 7

    @pytest.mark.asyncio
    async def test_gateway_404(self) -> None:
        """A delete after which a gateway answers 404 has an unknown outcome."""
        async with setting(TWICE) as s:
            target = s.account.add_role("Target")
            s.proxy.script = [Point.RESET_AFTER_COMMIT, Point.GZIP_BOMB, Point.GZIP_BOMB]

            with pytest.raises(OutcomeUnknownError) as caught:
                await s.roles.with_options(timeout=Timeouts(read=None)).delete(role_id=target.id)

            assert isinstance(caught.value.__cause__, StatusError)
            assert not caught.value.__cause__.from_service

    @pytest.mark.asyncio
    async def test_stray_answer(self) -> None:
        """An answer that nobody asked for is nobody's answer."""
        async with setting(ONCE) as s:
            first, second = s.account.add_role("First"), s.account.add_role("Second")
            s.proxy.script = [Point.RESPONSE_TWICE]

            assert await s.roles.get(role_id=first.id) == first
            assert await s.roles.get(role_id=second.id) == second
