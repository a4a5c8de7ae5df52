"""How fast an account answers: its latency and its rate limit."""

from typing import Any

import pytest

from arize_roles_async import RolesClient, RolesTimeoutError, Timeouts
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import ONCE, account_at_noon, ask, both_clients, passed


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
