"""Calls that a test keeps open, and answers that take real time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    Permission,
    RolesClient,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.support.clients import ONCE, START, create, in_process, mocked
from tests.support.event_loop import on_each_backend

ROLE_READ = [Permission.ROLE_READ]


@asynccontextmanager
async def over_thread(account: FakeAccount) -> AsyncGenerator[RolesClient]:
    with RolesServer(account) as server:
        async with AiohttpRolesClient(server.api_key, base_url=server.url, retry=ONCE) as roles:
            yield roles


everywhere = pytest.mark.parametrize("connect", [in_process, mocked, over_thread])


class TestBlock:
    """`block` keeps calls open."""

    @everywhere
    async def test_release(
        self, account: FakeAccount, roles: RolesClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Calls are open until released, after their work, even if the loop's clock stands."""
        await roles.list()
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)
        with account.block("create", about="A") as blocked:
            account.clear_faults()  # A block is no fault.
            await roles.create(name="Other", permissions=ROLE_READ)
            task = asyncio.create_task(roles.create(name="A", permissions=ROLE_READ))
            await blocked.reached()
            account.assert_roles({"A": ROLE_READ, "Other": ROLE_READ})
            assert len(await roles.list()) == 2
            assert not task.done()
            blocked.release()
            assert (await task).name == "A"
            await roles.create(name="B", permissions=ROLE_READ)

    @on_each_backend
    async def test_cancelled(self, account: FakeAccount) -> None:
        """An open call can be cancelled, and a change that was cancelled so was made."""
        roles = FakeRolesClient(account)
        with account.block("create") as blocked:
            async with anyio.create_task_group() as group:
                group.start_soon(create, roles, "A")
                await blocked.reached()
                group.cancel_scope.cancel()
            assert account.role("A") is not None
            async with anyio.create_task_group() as group:
                group.start_soon(create, roles, "B")
                await blocked.reached(2)
                await blocked.reached(1)
                blocked.release()
        assert [call.outcome for call in account.calls] == [201, 201]

    def test_closed_loop(self, account: FakeAccount) -> None:
        """A call that is left open in a closed event loop does not disturb the others."""
        roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))
        with account.block("list") as blocked:
            left = asyncio.new_event_loop()
            left.set_exception_handler(lambda _loop, _context: None)  # It is left on purpose.
            call = left.create_task(roles.list().all())
            left.run_until_complete(blocked.reached())
            left.close()
            assert not call.done()
            blocked.release()
            assert len(asyncio.run(roles.list().all())) == 0
            asyncio.run(roles.aclose())

    async def test_time(self, account: FakeAccount) -> None:
        """No limit of the client ends an open call in process."""
        roles = FakeRolesClient(account, timeout=5)
        with account.block("list") as blocked:
            task = asyncio.create_task(roles.list().all())
            await blocked.reached()
            account.advance(60)
            await asyncio.sleep(0)
            assert not task.done()
        assert len(await task) == 0

    @everywhere
    async def test_not_reached(self, account: FakeAccount, roles: RolesClient) -> None:
        """Waiting for more calls than come is an error, which lists those that came."""
        with account.block("get", about="A") as blocked:
            await roles.list()
            with pytest.raises(TimeoutError) as caught:
                await blocked.reached(2, timeout=0.01)
        assert str(caught.value) == (
            "block('get', about='A') kept 0 of 2 requests open within 0.01 s; the calls that came "
            "since it began:\n  list(limit=50) -> 200"
        )
        with pytest.raises(TimeoutError, match=r"began: none$"), account.block() as blocked:
            await blocked.reached(timeout=0.0)
        await roles.list()  # It has ended, although it raised.
        account.clear_faults()

    @everywhere
    async def test_not_released(
        self, account: FakeAccount, roles: RolesClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call that nobody releases ends with an error that names the block."""
        monkeypatch.setattr("arize_roles_fake._testing.blocked.MAX_SECONDS", 0.01)
        flaw = r"block\('list'\) kept the call open for 0\.01 s and was not released"
        with account.block("list"), pytest.raises(RolesError, match=flaw):
            await roles.list()


class TestRealTime:
    """`slow_down` with real seconds."""

    @everywhere
    async def test_own_deadline(self, account: FakeAccount, roles: RolesClient) -> None:
        """The application's own deadline passes."""
        # The server waits for its answer before it ends.
        account.slow_down(0.3, real_time=True)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await roles.list()
        assert type(caught.value) is TimeoutError

    async def test_limit(self, account: FakeAccount) -> None:
        """A limit of the client ends the call after as many real seconds."""
        account.slow_down(30, real_time=True)
        roles = FakeRolesClient(account, timeout=Timeouts(read=0.01), retry=ONCE)
        with pytest.raises(RolesTimeoutError, match=r"read limit of 0\.01 s"):
            await roles.list()
        assert account.now() > START
