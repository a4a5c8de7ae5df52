"""The two clients of a fake account, for tests that hold on both."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from arize_roles_async import AiohttpRolesClient, ApiKey, RetryPolicy, RolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient, serve

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ONCE = RetryPolicy(attempts=1)

PREDEFINED = [
    *("Project Admin", "Project Editor", "Project Viewer"),
    *("Annotator", "Read-only", "Member", "Admin"),
]
"""The names of the predefined roles, as a listing has them."""

Connect = Callable[..., AbstractAsyncContextManager[RolesClient]]


def account_at_noon(
    *, predefined: bool = False, max_custom_roles: int | None = None
) -> FakeAccount:
    """Return an account whose time stands still unless a test lets it pass."""
    return FakeAccount(
        api_key="fake-api-key",
        clock=lambda: START,
        predefined=predefined,
        max_custom_roles=max_custom_roles,
    )


def passed(account: FakeAccount) -> float:
    """Return the seconds that have passed for an account at noon."""
    return (account.now() - START) / timedelta(seconds=1)


@asynccontextmanager
async def in_process(
    account: FakeAccount,
    *,
    api_key: ApiKey | None = None,
    retry: RetryPolicy = ONCE,
    max_concurrency: int = 40,
) -> AsyncGenerator[RolesClient]:
    async with FakeRolesClient(
        account, api_key=api_key, retry=retry, max_concurrency=max_concurrency
    ) as roles:
        yield roles


@asynccontextmanager
async def over_http(
    account: FakeAccount,
    *,
    api_key: ApiKey | None = None,
    retry: RetryPolicy = ONCE,
    max_concurrency: int = 40,
) -> AsyncGenerator[RolesClient]:
    async def sleep(seconds: float) -> None:
        account.advance(seconds)

    async with (
        serve(account) as url,
        sleeping(sleep)(
            api_key or account.api_key,
            base_url=url,
            retry=retry,
            max_concurrency=max_concurrency,
        ) as roles,
    ):
        yield roles


def sleeping(sleep: Callable[[float], Awaitable[object]]) -> type[AiohttpRolesClient]:
    """Return a client that waits between attempts by calling `sleep`."""

    class SleepingClient(AiohttpRolesClient):
        _sleep = staticmethod(sleep)

    return SleepingClient


both_clients = pytest.mark.parametrize("connect", [in_process, over_http])
