"""Calls that are tried again: on both clients, after a wait, within their time."""

from itertools import pairwise
from typing import Any, Literal
from unittest import mock

import pytest

from arize_roles_async import (
    ConflictError,
    RateLimitError,
    RetryPolicy,
    RolesTimeoutError,
    ServerError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import Connect, account_at_noon, both_clients, create

THREE = RetryPolicy(attempts=3)

pytestmark = pytest.mark.asyncio


def waits(account: FakeAccount) -> list[float]:
    """Return the seconds between the calls that the account was asked."""
    moments = [call.at for call in account.calls]
    return [(after - before).total_seconds() for before, after in pairwise(moments)]


@both_clients
class TestTriedAgain:
    """Which failures are tried again; the rules are in `test_call`."""

    @pytest.mark.parametrize("failure", [429, 500, 502, 503, 504, "lost", "truncated"])
    async def test_read(self, connect: Connect, failure: Any) -> None:  # noqa: ANN401
        """A read is tried again after a failure that passes, and its attempts are counted."""
        account = account_at_noon()
        account.fail("list", failure, times=2)

        async with connect(account, retry=THREE) as roles:
            assert len(await roles.list()) == 0

        assert [(call.outcome, call.attempt) for call in account.calls] == [
            *((failure, 1), (failure, 2), (200, 3))
        ]

    async def test_each_page(self, connect: Connect) -> None:
        """Each page of a walk has all its attempts."""
        account = account_at_noon()
        for number in range(3):
            account.add_role(f"Role {number}")
        for calls_before in (0, 3, 6):
            account.fail("list", 503, times=2, after=calls_before)

        async with connect(account, retry=THREE) as roles:
            assert len([role async for role in roles.list(limit=1)]) == 3

    async def test_policy(self, connect: Connect) -> None:
        """`with_options` changes the policy of the client that it returns, and keeps the rest."""
        account = account_at_noon()
        account.fail("any", 503, times=None)

        async with connect(account, retry=THREE) as roles:
            for copy, calls in (
                (roles.with_options(retry=RetryPolicy(attempts=1)), 1),
                (roles, 4),
                (roles.with_options(timeout=None), 7),
            ):
                with pytest.raises(ServerError):
                    await copy.list()
                assert len(account.calls) == calls


@both_clients
class TestWaits:
    """The wait of a call between attempts; `test_options` has its length."""

    @pytest.mark.parametrize("status", [429, 503])
    async def test_retry_after(self, connect: Connect, status: int) -> None:
        """A call waits as long as the service asks."""
        account = account_at_noon()
        account.fail("create", status, retry_after=7)

        async with connect(account, retry=THREE) as roles:
            await create(roles)

        assert waits(account) == [7.0]

    @pytest.mark.parametrize(("asked", "calls"), [(20, {11, 12}), (21, {1})])
    @pytest.mark.arize_roles(unused_faults="allow")
    async def test_max_retry_after(self, connect: Connect, asked: int, calls: set[int]) -> None:
        """A longer wait than the ceiling surfaces at once, with its length."""
        account = account_at_noon()
        account.fail("list", RateLimitError, retry_after=asked, times=2)
        policy = RetryPolicy(attempts=2, max_retry_after=20.0)

        async with connect(account, retry=policy) as roles:
            with pytest.raises(RateLimitError) as caught:
                await roles.with_options(timeout=None).list()

        assert caught.value.retry_after == float(asked)
        assert len(account.calls) in calls


class TestTime:
    """Time, on the account's clock."""

    @pytest.mark.parametrize(
        ("timeouts", "limit", "seconds", "message"),
        [
            (Timeouts(total=None, read=10.0), "read", 33.0, "GET /v2/roles: no answer"),
            (Timeouts(total=25.0), "total", 25.0, "list took too long .total limit of 25 s, 3 att"),
        ],
    )
    async def test_silence(
        self, timeouts: Timeouts, limit: str, seconds: float, message: str
    ) -> None:
        """A silent account is a timeout after every attempt, or when the total time is up."""
        account = account_at_noon()
        account.slow_down(12.0)
        policy = RetryPolicy(attempts=3, backoff=1.0)
        roles = FakeRolesClient(account, timeout=timeouts, retry=policy)

        with (
            mock.patch("random.uniform", side_effect=max),
            pytest.raises(RolesTimeoutError, match=message) as caught,
        ):
            await roles.list()

        assert (caught.value.limit, caught.value.attempts) == (limit, 3)
        assert waits(account) == [11.0, 12.0]
        assert (account.now() - account.calls[0].at).total_seconds() == seconds

    @pytest.mark.parametrize("failure", ["refused", "unreachable"])
    async def test_not_sent_yet(self, failure: Literal["refused", "unreachable"]) -> None:
        """A role that is older than the first attempt which was sent is somebody else's."""
        account = account_at_noon()
        account.add_role("Made", ["PROJECT_READ"])
        account.fail("create", failure)
        account.fail("create", "lost", after=1)
        roles = FakeRolesClient(account, retry=RetryPolicy(backoff=1.0))

        with mock.patch("random.uniform", side_effect=max), pytest.raises(ConflictError):
            await create(roles)

        assert [call.outcome for call in account.calls] == [failure, "lost", 409, 200]
