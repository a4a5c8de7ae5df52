"""Calls that are tried again, and their time; `test_call` and `test_options` have the rules."""

from contextlib import nullcontext
from typing import Literal
from unittest import mock

import pytest

from arize_roles_async import ConflictError, RateLimitError, RetryPolicy, ServerError
from arize_roles_fake import FakeRolesClient
from tests.support.clients import account_at_noon, create


@pytest.mark.parametrize("free", [[], [401], [429], [401, 429], [429, 401]])
@pytest.mark.parametrize("failing", ["list", "update"])
@pytest.mark.parametrize("failures", [1, 2])
async def test_counted(failing: Literal["list", "update"], free: list[int], failures: int) -> None:
    """Each request of a call has all its attempts; a key that is refused, or a 429, is none."""
    account, asked = account_at_noon(), list[str]()
    account.add_role("Role")

    def key() -> str:
        asked.append(f"key-{len(asked)}")
        account.add_key(asked[-1])
        return asked[-1]

    for status in free:
        account.fail("list", status)
    account.fail(failing, 503, times=failures)
    roles = FakeRolesClient(account, api_key=key, retry=RetryPolicy(attempts=2))
    with nullcontext() if failures == 1 else pytest.raises(ServerError):
        await roles.update(role="Role", description="New.")

    counts = {"list": len(free) + 1, "update": failures == 1 or failing == "update"}
    counts[failing] += failures - (failures == 2)
    assert {each: len(account.calls_of(each)) for each in ("list", "update")} == counts
    assert free[:1] != [401] or account.calls[1].at == account.calls[0].at
    assert max(call.attempt for call in account.calls) == max(counts.values())


async def test_rate_limited() -> None:
    """A rate limit is waited out for five minutes, however often it refuses the request."""
    account = account_at_noon()
    account.fail("list", RateLimitError, retry_after=20)
    with pytest.raises(RateLimitError):
        await FakeRolesClient(account, retry=RetryPolicy(attempts=2), timeout=3600.0).list()
    assert len(account.calls) in {11, 12}


@pytest.mark.parametrize("failure", ["refused", "unreachable"])
async def test_not_sent_yet(failure: Literal["refused", "unreachable"]) -> None:
    """A role that is older than the first attempt which was sent is somebody else's."""
    account = account_at_noon()
    account.add_role("Made", ["PROJECT_READ"])
    account.fail("create", failure)
    account.fail("create", "lost", skip=1)
    roles = FakeRolesClient(account, retry=RetryPolicy(backoff=16.0))

    with mock.patch("random.uniform", side_effect=max), pytest.raises(ConflictError):
        await create(roles)

    assert [call.outcome for call in account.calls] == [failure, "lost", 409, 200]
