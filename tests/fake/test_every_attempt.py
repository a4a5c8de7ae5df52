"""Faults of every attempt, such as error classes: each belongs to the call that it struck first."""

from typing import Any, Literal

import anyio
import pytest

import arize_roles_async
from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    RolesClient,
    RolesError,
    ServerError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.fake.test_faults import CALLS, ROLE_READ
from tests.support.clients import ONCE, Connect, ask, create, in_process, three_clients


async def test_not_needed(account: FakeAccount, roles: RolesClient) -> None:
    """An update of a role that is as requested before ends in an unknown outcome, too."""
    role = account.add_role("B")
    account.fail("update", OutcomeUnknownError)
    with pytest.raises(OutcomeUnknownError):
        await CALLS["update"](roles, role.id)


@pytest.mark.arize_roles(unused_faults="allow")
def test_every_class() -> None:
    """Each error class can be scripted by itself, or `fail` says how a test gets it."""
    names = [name for name in arize_roles_async.__all__ if name.endswith("Error")]
    assert "RoleRenamedError" in names
    for name in names:
        error = getattr(arize_roles_async, name)
        operation: Literal["update", "list"] = "update" if error is OutcomeUnknownError else "list"
        try:
            FakeAccount().fail(operation, error)
        except ValueError as refused:
            assert f"no answer leads to {name}: " in str(refused)  # noqa: PT017


async def test_times(account: FakeAccount) -> None:
    """An error class strikes until the client gives up, `times` calls after those that `skip`."""
    fault = account.fail("create", ServerError, times=2, skip=1)
    async with in_process(account, retry=RetryPolicy(attempts=2)) as roles:
        await create(roles, "before")
        for _ in range(2):
            with pytest.raises(ServerError):
                await create(roles)
        await create(roles)
    assert str(fault) == "create fails with 503, 2 times after 1 call: struck 4 requests"


@pytest.mark.parametrize(
    ("scripts", "failed"),
    [([(ServerError, 1)], 1), ([(ServerError, 2)], 2), ([(ServerError, 1), (503, 1)], 1)],
)
async def test_at_once(account: FakeAccount, scripts: list[tuple[Any, int]], failed: int) -> None:
    """Of equal calls at the same moment as many are struck as asked, each by its own fault."""
    role = account.add_role("A", ROLE_READ)
    for failure, times in scripts:
        account.fail("get", failure, times=times)
    ends: list[object] = []

    async def get(roles: RolesClient) -> None:
        try:
            ends.append(await roles.get(role_id=role.id))
        except ServerError:
            ends.append("failed")

    async with FakeRolesClient(account) as roles, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(get, roles)
    assert (ends.count("failed"), ends.count(role)) == (failed, 5 - failed)


@three_clients
class TestOver:
    """Once its call is over, the fault strikes no further call."""

    @pytest.mark.parametrize("error", [ForbiddenError, ConflictError, RateLimitError, ServerError])
    async def test_spent(
        self, account: FakeAccount, connect: Connect, error: type[RolesError]
    ) -> None:
        """A fault whose call was not tried again does not strike the retry of an equal call."""
        account.fail("create", error)
        async with connect(account, retry=ONCE) as roles:
            with pytest.raises(error):
                await create(roles)
        account.fail("create", 503)
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            await create(roles)
        assert [call.outcome for call in account.calls][1:] == [503, 201]

    async def test_retried(self, account: FakeAccount, connect: Connect) -> None:
        """A fault that ended after every attempt of its call does not strike again."""
        account.fail("create", ServerError)
        async with connect(account, retry=RetryPolicy()) as roles:
            with pytest.raises(ServerError):
                await create(roles)
            account.fail("create", 503, times=2)
            await create(roles)
        assert [call.outcome for call in account.calls] == [503, 503, 503, 503, 503, 201]

    async def test_refused_between(self, account: FakeAccount, connect: Connect) -> None:
        """A call that was refused before the account looked for faults does not meet it."""
        account.fail("list", ForbiddenError)
        async with connect(account, retry=ONCE) as roles:
            with pytest.raises(ForbiddenError):
                await roles.list()
        account.limit_rate(0.5)
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            await roles.list()
            await roles.list()
        assert [call.outcome for call in account.calls] == [403, 200, 429, 200]


class TestOverHttp:
    """Over HTTP the account has to find out which requests are attempts of one call."""

    @staticmethod
    def get(account: FakeAccount, name: str, number: int) -> int:
        """Send an attempt of a get as over HTTP, and return the status."""
        role = account.role(name) or account.add_role(name)
        return ask(account, f"GET /v2/roles/{role.id}", sdk_retry_count=str(number - 1)).status

    @pytest.mark.parametrize(
        ("scripts", "attempts", "statuses"),
        [
            # An attempt that no header counts is a call of its own, so `times` counts it.
            ([(ServerError, 2)], "A1 A1 A1", [503, 503, 200]),
            # Two equal calls at once each keep the record of their own fault.
            ([(ServerError, 2)], "A1 A1 A2 A2 A3 A3", [503, 503, 503, 503, 503, 503]),
            ([(ServerError, 1), (503, 1)], "A1 A1 A2 A2 A3 A3", [503, 503, 200, 503, 503, 200]),
            # Between the attempts of a call that fails, another one's second attempt does not.
            ([(ServerError, 1)], "A1 B2 A2", [503, 200, 503]),
        ],
    )
    def test_calls(
        self,
        account: FakeAccount,
        scripts: list[tuple[Any, int]],
        attempts: str,
        statuses: list[int],
    ) -> None:
        """Each fault strikes the attempts of its own calls."""
        for failure, times in scripts:
            account.fail("get", failure, times=times)
        asked = [(each[0], int(each[1])) for each in attempts.split()]
        assert [self.get(account, *each) for each in asked] == statuses

    def test_begun_before(self, account: FakeAccount) -> None:
        """A call that began before the fault was scripted is not struck in its next attempt."""
        assert self.get(account, "A", 1) == 200
        account.fail("get", ServerError)
        assert [self.get(account, *call) for call in (("A", 2), ("B", 1))] == [200, 503]
