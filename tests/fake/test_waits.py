"""How long calls wait: latency, in real time or not, a rate limit, and calls kept open."""

import asyncio
from typing import Any

import anyio
import pytest

from arize_roles_async import Permission, RolesClient, RolesError, RolesTimeoutError, Timeouts
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import (
    ONCE,
    START,
    account_at_noon,
    ask,
    both_clients,
    create,
    passed,
    three_clients,
)
from tests.support.event_loop import on_each_backend

ROLE_READ = [Permission.ROLE_READ]


class TestBlock:
    """`block` keeps calls open."""

    @three_clients
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

    @three_clients
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

    @three_clients
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

    @three_clients
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


def listed(account: FakeAccount) -> tuple[int, str | None]:
    """Ask for a list; return the status and `Retry-After`. Clients keep a pace of their own."""
    reply = ask(account, "GET /v2/roles")
    return reply.status, reply.headers.get("Retry-After")


class TestLatency:
    """`slow_down`."""

    @pytest.mark.arize_roles(unused_faults="allow")
    @both_clients
    async def test_by_operation_and_role(self, account: FakeAccount, roles: RolesClient) -> None:
        """Of several that match, the one that was given last counts; without one, none."""
        one, two = account.add_role("one"), account.add_role("two")
        account.slow_down(0.002, operation="get")
        account.slow_down(0.003, operation="get", about="two")
        account.slow_down(0.004, about=one.id)
        account.slow_down(0.002, operation="list")
        account.slow_down(0.005, operation="list")
        await roles.list()
        await roles.get(role_id=one.id)
        await roles.get(role_id=two.id)
        await roles.delete(role_id=two.id)
        assert [call.duration for call in account.calls] == [0.005, 0.004, 0.003, 0.0]

    @pytest.mark.parametrize(
        ("limits", "limit", "seconds", "message"),
        [
            ({"read": 10.0}, "read", 10.0, "GET /v2/roles: no answer"),
            ({"total": 5.0, "read": 5.0}, "total", 5.0, "list took too long"),
            ({"total": 0.5, "read": None}, "total", 0.5, "list took too long"),
        ],
    )
    async def test_limits(
        self, limits: dict[str, Any], limit: str, seconds: float, message: str
    ) -> None:
        """Latency beyond a limit of the client is its timeout, on the account's clock."""
        account = account_at_noon()
        account.slow_down(20.0)
        async with FakeRolesClient(account, timeout=Timeouts(**limits), retry=ONCE) as roles:
            with pytest.raises(RolesTimeoutError, match=f"^{message}") as caught:
                await roles.list()
        assert (caught.value.limit, caught.value.seconds) == (limit, seconds)
        assert passed(account) == seconds


class TestRateLimit:
    """`limit_rate`."""

    def test_burst(self, account: FakeAccount) -> None:
        """A burst goes through; then the account says how long to wait. No time adds to it."""
        account.limit_rate(0.5, burst=2)
        for seconds in (0, 3600):
            account.advance(seconds)
            assert [listed(account) for _ in range(3)] == [(200, None), (200, None), (429, "2")]
        account.advance(2)
        assert [listed(account) for _ in range(2)] == [(200, None), (429, "2")]
        account.advance(1)
        assert listed(account) == (429, "1")
        account.limit_rate(0.3)
        assert listed(account) == (200, None)
        account.advance(0.333_333)
        assert listed(account) == (429, "3")

    @pytest.mark.parametrize("per_second", [3.0, 7.0, 0.1, 1000.0])
    def test_refill(self, account: FakeAccount, per_second: float) -> None:
        """One call goes through as soon as the rate allows it, and none a microsecond before."""
        account.limit_rate(per_second)
        statuses: list[int] = []
        for number in range(30):
            account.advance(max(0.0, number / per_second - passed(account) - 2e-6))
            statuses.append(listed(account)[0])
            account.advance(3e-6)
            statuses.append(listed(account)[0])
        assert statuses == [200, 429, *([429, 200] * 29)]


def test_pages_of_one_list(account: FakeAccount) -> None:
    """A page that is shortened for one list is left by the others."""
    account.add_user("ada@example.com")
    account.shorten_pages(0, operation="users.list")
    ask(account, "GET /v2/spaces")
    assert account.unused_faults == ("shorten_pages(0) of users.list: asked for no further page",)
    assert b'"users":[]' in ask(account, "GET /v2/users").body
    assert not account.unused_faults
