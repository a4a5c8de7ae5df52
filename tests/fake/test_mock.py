"""Clients that code under test makes itself, led to an account in process."""

import asyncio
import os

import aiohttp
import anyio
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    ConfigurationError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, mock_arize


async def count_roles(**arguments: object) -> int:
    """Code under test, which makes its own client."""
    async with AiohttpRolesClient(**arguments) as roles:  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        return len(await roles.list().all())


def test_any_configuration() -> None:
    """However a client is configured and as often as one is opened, it sees the account."""
    with mock_arize() as account:
        account.add_role("A")
        assert asyncio.run(count_roles()) == 8
        assert asyncio.run(count_roles(region="eu-west-1a", proxy="http://proxy.example")) == 8
        assert asyncio.run(count_roles(base_url="https://arize.example", timeout=1)) == 8
    assert [call.operation for call in account.calls] == ["list"] * 3


def test_lent_session() -> None:
    """So does a client on a session of the application's, which stays open."""

    async def lent() -> tuple[int, bool]:
        async with aiohttp.ClientSession() as session:
            count = await count_roles(session=session, headers={"x-team": "a"}, verify=False)
            return count, session.closed

    with mock_arize():
        assert asyncio.run(lent()) == (7, False)


def test_trio() -> None:
    """And one under another event loop than the real client knows."""
    with mock_arize() as account:
        account.fail("list", 503)
        assert anyio.run(count_roles, backend="trio") == 7


def test_opened_again() -> None:
    """A client that is used in one event loop after the other sees the account in each."""
    with mock_arize() as account:
        roles = AiohttpRolesClient()

        async def create(name: str) -> None:
            await roles.create(name=name, permissions=["ROLE_READ"])

        asyncio.run(create("A"))
        asyncio.run(create("B"))
    account.assert_roles({"A": {"ROLE_READ"}, "B": {"ROLE_READ"}})


def test_given_account() -> None:
    """It may be an account of before, whose key the environment holds meanwhile."""
    before = os.environ.get("ARIZE_API_KEY")
    with mock_arize(FakeAccount(predefined=False, api_key="mine")) as account:
        assert os.environ["ARIZE_API_KEY"] == "mine"
        assert asyncio.run(count_roles()) == 0
    assert os.environ.get("ARIZE_API_KEY") == before
    assert {call.api_key for call in account.calls} == {"mine"}


def test_unknown_key() -> None:
    """A key that the account does not know is a 401, until it does."""
    with mock_arize() as account:
        with pytest.raises(AuthenticationError):
            asyncio.run(count_roles(api_key="of-production"))
        account.add_key("of-production")
        assert asyncio.run(count_roles(api_key="of-production")) == 7


def test_checked_as_ever() -> None:
    """What is configured wrongly is refused as ever."""
    with mock_arize(), pytest.raises(ConfigurationError, match="region"):
        asyncio.run(count_roles(region="nowhere"))


def test_no_waiting() -> None:
    """Retries and limits take the account's time and none of the test's."""
    with mock_arize() as account:
        began = account.now()
        account.fail("list", 503, times=2, retry_after=14)
        assert asyncio.run(count_roles()) == 7
        account.slow_down(3600)
        with pytest.raises(RolesTimeoutError):
            asyncio.run(count_roles(timeout=Timeouts(total=60, read=30)))
        assert (account.now() - began).total_seconds() >= 2 * 14 + 60


def test_after_the_block() -> None:
    """A client that is made after the block is as ever."""
    with mock_arize() as account:
        inside = AiohttpRolesClient()
    asyncio.run(inside.delete(role_id=account.add_role("A").id))
    account.assert_roles({})
    outside = AiohttpRolesClient("key", base_url="http://127.0.0.1:1", retry=None)
    transport = outside._driver.transport  # pyright: ignore[reportPrivateUsage]
    assert type(transport).__name__ == "AiohttpTransport"
