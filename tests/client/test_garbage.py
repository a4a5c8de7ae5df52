"""A call leaves nothing behind that only the garbage collector would free."""

import gc
from collections.abc import Generator
from types import MappingProxyType

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient, Request, Response
from arize_roles_async._calls.call import Call
from arize_roles_fake import serve
from tests.support.clients import Connect, account_at_noon, both_clients


@pytest.fixture(autouse=True)
def without_collector() -> Generator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def calls_in_memory() -> int:
    """Count the calls that there are; something of an earlier test may hold a few."""
    return sum(isinstance(each, Call) for each in gc.get_objects())


def test_not_counted() -> None:
    """No request or response has the garbage collector run sooner, whatever its headers are."""
    headers = MappingProxyType({"Accept": "application/json"})
    assert gc.is_tracked(headers)
    assert not gc.is_tracked(Request(method="GET", target="/v2/roles", headers=headers))
    assert not gc.is_tracked(Response(status=200, headers=headers, body=b""))


@pytest.mark.asyncio
@both_clients
async def test_success(connect: Connect) -> None:
    """A call that has ended is in memory no longer."""
    account, before = account_at_noon(), calls_in_memory()
    async with connect(account) as roles:
        role = await roles.create(name="Made", permissions=["PROJECT_READ"])
        for _ in range(10):
            await roles.get(role_id=role.id)
        async for _ in roles.list():
            pass
        await roles.delete(role_id=role.id)

        # The timer of an idle connection may hold its last one.
        assert calls_in_memory() <= before + 1


@pytest.mark.asyncio
async def test_lent() -> None:
    """On a lent session, a call that has ended is in memory no longer."""
    account, before = account_at_noon(), calls_in_memory()
    async with serve(account) as url, aiohttp.ClientSession() as session:
        roles = AiohttpRolesClient(account.api_key, base_url=url, session=session)
        for _ in range(10):
            await roles.list()

        assert calls_in_memory() <= before + 1
