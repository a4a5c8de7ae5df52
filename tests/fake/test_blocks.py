"""Calls that a test keeps open, and answers that take real time."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    OutcomeUnknownError,
    Permission,
    RolesClient,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer, mock_arize
from tests.support.clients import (
    ONCE,
    START,
    Connect,
    account_at_noon,
    in_process,
    over_http,
    passed,
)

ROLE_READ = [Permission.ROLE_READ]


@asynccontextmanager
async def mocked(account: FakeAccount) -> AsyncGenerator[RolesClient]:
    with mock_arize(account):
        async with AiohttpRolesClient(retry=ONCE) as roles:
            yield roles


@asynccontextmanager
async def over_thread(account: FakeAccount) -> AsyncGenerator[RolesClient]:
    with RolesServer(account) as server:
        async with AiohttpRolesClient(server.api_key, base_url=server.url, retry=ONCE) as roles:
            yield roles


everywhere = pytest.mark.parametrize("connect", [in_process, mocked, over_http, over_thread])


class TestBlock:
    """`block` keeps calls open."""

    @everywhere
    @pytest.mark.asyncio
    async def test_release(self, connect: Connect) -> None:
        """A call is open until it is released; the account did its work before."""
        account = account_at_noon()
        async with connect(account) as roles:
            with account.block("create") as blocked:
                task = asyncio.create_task(roles.create(name="A", permissions=ROLE_READ))
                await blocked.reached()
                account.assert_roles({"A": ROLE_READ})
                assert len(await roles.list()) == 1
                assert not task.done()
                blocked.release()
                assert (await task).name == "A"
                await roles.create(name="B", permissions=ROLE_READ)

    @everywhere
    @pytest.mark.asyncio
    async def test_end(self, connect: Connect) -> None:
        """The end of the block releases the call, and later ones are not kept."""
        account = account_at_noon()
        async with connect(account) as roles:
            with account.block() as blocked:
                task = asyncio.create_task(roles.list().all())
                await blocked.reached()
            assert len(await task) == 0
            assert len(await roles.list().all()) == 0

    @everywhere
    @pytest.mark.asyncio
    async def test_race(self, connect: Connect) -> None:
        """Calls that are open at once have each seen the state of before."""
        account = account_at_noon()

        async def ensure(roles: RolesClient) -> str:
            if [role async for role in roles.list() if role.name == "A"]:
                return "there"
            try:
                await roles.create(name="A", permissions=ROLE_READ)
            except Exception as error:  # noqa: BLE001 - the test says which
                return type(error).__name__
            return "made"

        async with connect(account) as roles:
            with account.block("list") as blocked:
                tasks = [asyncio.create_task(ensure(roles)) for _ in range(2)]
                await blocked.reached(2)
            assert sorted(await asyncio.gather(*tasks)) == ["ConflictError", "made"]

    @everywhere
    @pytest.mark.asyncio
    async def test_cancelled(self, connect: Connect) -> None:
        """An open call can be cancelled, and a change that was cancelled so was made."""
        account = account_at_noon()
        async with connect(account) as roles:
            with account.block("create") as blocked:
                task = asyncio.create_task(roles.create(name="A", permissions=ROLE_READ))
                await blocked.reached()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        account.assert_roles({"A": ROLE_READ})

    @everywhere
    @pytest.mark.asyncio
    async def test_closed(self, connect: Connect) -> None:
        """Closing the client ends an open call."""
        account = account_at_noon()
        async with connect(account) as roles:
            with account.block() as blocked:
                read = asyncio.create_task(roles.list().all())
                change = asyncio.create_task(roles.create(name="A", permissions=ROLE_READ))
                await blocked.reached(2)
                await roles.aclose()
                with pytest.raises(ClientStateError):
                    await read
                with pytest.raises(OutcomeUnknownError):
                    await change

    @everywhere
    @pytest.mark.asyncio
    async def test_others(self, connect: Connect) -> None:
        """Only calls of that operation and about that role are kept open."""
        account = account_at_noon()
        one, two = account.add_role("one"), account.add_role("two")
        async with connect(account) as roles:
            with account.block("get", role="one") as blocked:
                assert await roles.get(role_id=two.id) == two
                await roles.list()
                task = asyncio.create_task(roles.get(role_id=one.id))
                await blocked.reached()
            assert await task == one

    def test_trio(self) -> None:
        """Under trio it works as well."""
        account = account_at_noon()

        async def main() -> None:
            roles = FakeRolesClient(account)
            with account.block("list") as blocked:
                async with anyio.create_task_group() as group:
                    group.start_soon(roles.list().all)
                    await blocked.reached()
                    group.cancel_scope.cancel()
                async with anyio.create_task_group() as group:
                    group.start_soon(roles.list().all)
                    await blocked.reached(2)
                    blocked.release()

        anyio.run(main, backend="trio")
        assert [call.outcome for call in account.calls] == [200, 200]

    @everywhere
    @pytest.mark.asyncio
    async def test_frozen_clock(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        """A block needs no timer, so it works where the clock of the event loop stands still."""
        account = account_at_noon()
        async with connect(account) as roles:
            await roles.list()
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)
            with account.block("list") as blocked:
                task = asyncio.create_task(roles.list().all())
                await blocked.reached()
            assert len(await task) == 0

    def test_closed_loop(self) -> None:
        """A call that is left open in a closed event loop does not disturb the others."""
        account = account_at_noon()
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

    @pytest.mark.asyncio
    async def test_time(self) -> None:
        """No limit of the client ends an open call in process."""
        account = account_at_noon()
        roles = FakeRolesClient(account, timeout=5)
        with account.block("list") as blocked:
            task = asyncio.create_task(roles.list().all())
            await blocked.reached()
            account.advance(60)
            await asyncio.sleep(0)
            assert not task.done()
        assert len(await task) == 0

    @everywhere
    @pytest.mark.asyncio
    async def test_not_reached(self, connect: Connect) -> None:
        """Waiting for more calls than come is an error, which lists those that came."""
        account = account_at_noon()
        async with connect(account) as roles:
            with account.block("get", role="A") as blocked:
                await roles.list()
                with pytest.raises(TimeoutError) as caught:
                    await blocked.reached(2, timeout=0.01)
        assert str(caught.value) == (
            "block('get', role='A') kept 0 of 2 requests open within 0.01 s; the calls that came "
            "since it began:\n  list(limit=50) -> 200"
        )
        account.clear_faults()

    @pytest.mark.asyncio
    async def test_nothing_came(self) -> None:
        """Without a call it says so, and names none of before."""
        roles = FakeRolesClient()
        await roles.list()
        with roles.account.block() as blocked:
            with pytest.raises(TimeoutError, match=r"since it began: none$"):
                await blocked.reached(timeout=0.0)
            roles.account.clear_faults()

    @everywhere
    @pytest.mark.asyncio
    async def test_not_released(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call that nobody releases ends with an error that names the block."""
        monkeypatch.setattr("arize_roles_fake._testing.blocked.MAX_SECONDS", 0.01)
        account = account_at_noon()
        async with connect(account) as roles:
            with account.block("list"), pytest.raises(RolesError) as caught:
                await roles.list()
        flaw = "block('list') kept the call open for 0.01 s and was not released"
        assert flaw in str(caught.value)

    def test_refused(self) -> None:
        """A block that matches no call is refused."""
        account = FakeAccount()
        with (
            pytest.raises(ValueError, match="a list is about all roles, so role must not be given"),
            account.block("list", role="A"),
        ):
            pass
        with (
            pytest.raises(ValueError, match="operation must be one of list, get, "),
            account.block("lsit"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        ):
            pass


class TestRealTime:
    """`slow_down` with real seconds."""

    @everywhere
    @pytest.mark.asyncio
    async def test_own_deadline(self, connect: Connect) -> None:
        """The application's own deadline passes."""
        account = account_at_noon()
        # The server waits for its answer before it ends.
        account.slow_down(0.3, real_time=True)
        async with connect(account) as roles:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.01):
                    await roles.list()
        assert type(caught.value) is TimeoutError

    @pytest.mark.asyncio
    async def test_account_time(self) -> None:
        """The account's time passes as well."""
        account = account_at_noon()
        account.slow_down(0.01, real_time=True)
        began = time.monotonic()
        await FakeRolesClient(account).list()
        assert time.monotonic() - began >= 0.009
        assert passed(account) == 0.01

    @pytest.mark.asyncio
    async def test_limit(self) -> None:
        """A limit of the client ends the call after as many real seconds."""
        account = account_at_noon()
        account.slow_down(30, real_time=True)
        roles = FakeRolesClient(account, timeout=Timeouts(read=0.01), retry=ONCE)
        with pytest.raises(RolesTimeoutError, match=r"read limit of 0\.01 s"):
            await roles.list()
        assert account.now() > START

    @pytest.mark.asyncio
    async def test_without(self) -> None:
        """Without it, no real time passes in process."""
        account = account_at_noon()
        account.slow_down(5)
        async with asyncio.timeout(1):
            await FakeRolesClient(account).list()
        assert passed(account) == 5.0
