"""Calls under way while their client, or the session that it was lent, is closed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.resolver import ThreadedResolver

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    OutcomeUnknownError,
    RolesConnectionError,
    Timeouts,
)
from tests.support.clients import ONCE, create, use
from tests.support.event_loop import LoopClock, on_each_loop, settle, until
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


@on_each_loop
async def test_connecting() -> None:
    """A connection that is being made, here through a proxy, is closed with its client."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        roles = client("https://localhost:9", proxy=f"http://127.0.0.1:{port}")
        call = asyncio.create_task(use(roles))
        await asked.wait()
        await roles.aclose()
        await ends(call, ClientStateError, "the client is closed")
        await until(ended.is_set)


class TestResolving:
    """While the name of the host is resolved."""

    @on_each_loop
    async def test_aclose(self, resolving: list[str]) -> None:
        """Closing the client ends its calls with an error, which a TaskGroup sees."""
        roles = client("https://roles.example")
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - it is the block that raises
            async with asyncio.TaskGroup() as group:
                group.create_task(create(roles))
                await until(lambda: resolving)
                await roles.aclose()
        assert [repr(each) for each in caught.value.exceptions] == [
            "ClientStateError('the client is closed')"
        ]

    @on_each_loop
    async def test_session(self, resolving: list[str]) -> None:
        """So does closing the lent session, which the client does not notice."""

        async def use_later(roles: AiohttpRolesClient) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                await use(roles)

        async with lent() as session:
            call = asyncio.create_task(create(client("https://one.example", session=session)))
            other = client("https://other.example", session=session)
            later = asyncio.create_task(use_later(other))
            await asyncio.sleep(0)
            later.cancel()
            await until(lambda: len(resolving) == 2)
            await session.close()
            await ends(call, ClientStateError, "^the session is closed$")
            # A task that went on after an earlier cancellation gets the error as well.
            with pytest.raises(ClientStateError):
                await later

    @pytest.mark.parametrize("closed", [False, True])
    @on_each_loop
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


@on_each_loop
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
@on_each_loop
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


async def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose silence is too long at that moment does not try again."""
    clock = LoopClock(monkeypatch)
    async with scripted(None) as script:
        roles = client(script.url, timeout=Timeouts(total=None, read=60.0))
        call = asyncio.create_task(use(roles))
        await until(lambda: script.asked.is_set() or call.done())
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, roles.aclose())
        await clock.pass_by(60.0)
        await ends(call, ClientStateError, "^the client is closed$")


@on_each_loop
async def test_cancelled() -> None:
    """A close that is cancelled has closed the connections, and their calls end."""
    async with scripted(None) as script:
        roles = client(script.url)
        call = asyncio.create_task(use(roles))
        await until(lambda: script.requests)
        closing = asyncio.create_task(roles.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await ends(call, ClientStateError, "^the client is closed$")


async def test_own_call() -> None:
    """A call that closes its client, as its function for the key may do, sends nothing."""

    async def close() -> str:
        await roles.aclose()
        return "key"

    async with scripted(PAGE) as script:
        roles = AiohttpRolesClient(close, base_url=script.url)
        with pytest.raises(ClientStateError, match=r"^the client is closed$"):
            await roles.list()
    assert script.connections == 0
