"""Calls under way while their client, or the session that it was lent, is closed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
import trio
from aiohttp.resolver import ThreadedResolver

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    OutcomeUnknownError,
    RolesConnectionError,
    Timeouts,
)
from arize_roles_fake import FakeRolesClient, mock_arize
from tests.support.clients import ONCE, account_at_noon, create, passed, use
from tests.support.event_loop import settle, until
from tests.support.raw_http import PAGE, scripted

UNLIMITED = Timeouts(total=None, connect=None, read=None)


async def ends(call: "asyncio.Task[object]", error: type[Exception], match: str) -> None:
    """Check that a call soon ends in an error, which is no cancellation of its task."""
    async with asyncio.timeout(1.0):
        with pytest.raises(error, match=match):
            await call
    assert call.cancelling() == 0


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the hosts that are being resolved, of which none ever is."""
    hosts: list[str] = []

    async def resolve(_: ThreadedResolver, host: str, *__: object, **___: object) -> object:
        hosts.append(host)
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", ThreadedResolver)
    return hosts


@asynccontextmanager
async def lent(**options: Any) -> AsyncGenerator[aiohttp.ClientSession]:  # noqa: ANN401
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**options)) as session:
        yield session


def client(url: str, **options: Any) -> AiohttpRolesClient:  # noqa: ANN401
    options.setdefault("timeout", UNLIMITED)
    return AiohttpRolesClient("key", base_url=url, **options)


async def test_connecting() -> None:
    """A connection that is being made, here through a proxy, is closed with its client."""
    async with scripted(None) as proxy:
        roles = client("https://localhost:9", proxy=proxy.url)
        call = asyncio.create_task(use(roles))
        await until(lambda: proxy.requests)
        await roles.aclose()
        await ends(call, ClientStateError, "the client is closed")
        await until(lambda: proxy.ended)


class TestResolving:
    """While the name of the host is resolved."""

    async def test_session(self, resolving: list[str]) -> None:
        """Closing the lent session ends its calls with an error, also after a cancellation."""

        async def use_later(roles: AiohttpRolesClient) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
            await use(roles)

        async with lent() as session:
            call = asyncio.create_task(use_later(client("https://one.example", session=session)))
            await asyncio.sleep(0)
            call.cancel()
            await until(lambda: resolving)
            await session.close()
            (ended,) = await asyncio.gather(call, return_exceptions=True)
        assert repr(ended) == "ClientStateError('the session is closed')"

    @pytest.mark.parametrize("closed", [False, True])
    async def test_cancelled(self, resolving: list[str], *, closed: bool) -> None:
        """A call that is cancelled is cancelled, also where the session is closed just then."""
        async with lent() as session:
            call = asyncio.create_task(use(client("https://roles.example", session=session)))
            await until(lambda: resolving)
            call.cancel()
            if closed:
                await session.close()
            with pytest.raises(asyncio.CancelledError):
                await call


async def test_pool() -> None:
    """Closing a lent session ends the calls that wait for one of its connections, too."""
    async with scripted(None) as script, lent(limit=1) as session:
        roles = client(script.url, session=session, retry=ONCE)
        first, second = asyncio.create_task(use(roles)), asyncio.create_task(create(roles))
        await until(lambda: script.requests)
        await session.close()
        await ends(first, RolesConnectionError, "failed before the complete response")
        await ends(second, ClientStateError, "^the session is closed$")


@pytest.mark.parametrize("change", [False, True], ids=["list", "create"])
@pytest.mark.parametrize("closed", ["own", "lent", "session"])
async def test_body(closed: str, *, change: bool) -> None:
    """Closing the client, or the lent session, ends a call whose answer is half read."""
    async with scripted(PAGE[:-20], b"") as script, lent() as session:
        roles = client(script.url, session=None if closed == "own" else session, retry=ONCE)
        call = asyncio.create_task((create if change else use)(roles))
        await until(lambda: script.requests)
        await settle()
        error: type[Exception] = ClientStateError
        match = "the client is closed$"
        if closed == "session":
            await session.close()
            error, match = RolesConnectionError, "failed before the complete response"
        else:
            await roles.aclose()
            assert not session.closed
        await ends(call, OutcomeUnknownError if change else error, match)


@pytest.mark.parametrize(("grace", "seconds"), [(3.0, 3.0), (10.0, 5.0)])
@pytest.mark.parametrize("mocked", [False, True])
async def test_grace(grace: float, seconds: float, *, mocked: bool) -> None:
    """The fake counts its grace on the account's clock, until the calls have ended."""
    account = account_at_noon()
    account.slow_down(5.0)
    with mock_arize(account):
        roles = AiohttpRolesClient() if mocked else FakeRolesClient(account)
        call = asyncio.create_task(use(roles))
        await until(lambda: len(account.calls))
        await roles.aclose(grace=grace)
    assert passed(account) == seconds
    (ended,) = await asyncio.gather(call, return_exceptions=True)
    assert isinstance(ended, ClientStateError) is (grace < 5.0)


def test_trio_cancelled() -> None:
    """A call that is closed and cancelled at once is cancelled."""
    account = account_at_noon()
    account.fail("list", "silent")

    async def main() -> None:
        roles = FakeRolesClient(account, timeout=None)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use, roles.with_options(timeout=Timeouts(read=None)))
                while not len(account.calls):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
                await roles.aclose()
        assert scope.cancelled_caught

    trio.run(main)


def test_closed_loop() -> None:
    """A call of the fake whose event loop was closed before it ends without a complaint."""
    account = account_at_noon()
    account.fail("list", "silent")
    roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))
    loop = asyncio.new_event_loop()
    call = use(roles)
    _left = [loop.create_task(call)]
    loop.set_exception_handler(lambda _loop, _context: None)  # It is left on purpose.
    loop.run_until_complete(until(lambda: len(account.calls)))
    loop.close()
    call.close()
    asyncio.run(use(roles))
    assert len(account.calls) == 2
