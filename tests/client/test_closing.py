"""Calls under way while their client, or the session that it was lent, is closed."""

import asyncio
import functools
from contextlib import suppress
from typing import Final

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


client = functools.partial(AiohttpRolesClient, "key", timeout=UNLIMITED)


CLOSED: Final = (ClientStateError, "the client is closed$")
NO_SESSION: Final = (ClientStateError, "^the session is closed$")
LOST: Final = (RolesConnectionError, "failed before the complete response")


@pytest.mark.parametrize("was_cancelled", [False, True])
@pytest.mark.parametrize("change", [False, True], ids=["list", "create"])
@pytest.mark.parametrize(
    ("stage", "closed", "error", "match"),
    [
        *((each, "client", *CLOSED) for each in ("connecting", "resolving", "silence", "body")),
        *(
            (each, "lent", *CLOSED)
            for each in ("connecting", "resolving", "pool", "silence", "body")
        ),
        # aiohttp goes on to connect through a proxy.
        *((each, "session", *NO_SESSION) for each in ("resolving", "pool")),
        *((each, "session", *LOST) for each in ("silence", "body")),
    ],
)
async def test_closed(
    stage: str,
    closed: str,
    error: type[Exception],
    match: str,
    resolving: list[str],
    *,
    change: bool,
    was_cancelled: bool,
) -> None:
    """A call soon ends with the error of what is closed, whatever its task suppressed before."""

    async def call() -> object:
        if was_cancelled:
            with suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
        return await (create if change else use)(roles)

    answers = (PAGE[:-20], b"") if stage == "body" else (None,)
    url = {"connecting": "https://localhost:9", "resolving": "https://one.example"}.get(stage)
    connector = aiohttp.TCPConnector(limit=stage == "pool")
    async with scripted(*answers) as script, aiohttp.ClientSession(connector=connector) as session:
        proxy = script.url if stage == "connecting" else None
        given = None if closed == "client" else session
        roles = client(base_url=url or script.url, session=given, proxy=proxy, retry=ONCE)
        calls = [asyncio.create_task(use(roles))] if stage == "pool" else []
        calls.append(asyncio.create_task(call()))
        await asyncio.sleep(0)
        if was_cancelled:
            calls[-1].cancel()
        await until(lambda: resolving or script.requests)
        await settle()
        await (session.close() if closed == "session" else roles.aclose())
        assert session.closed is (closed == "session")
        is_unknown = change and stage in {"silence", "body"}
        async with asyncio.timeout(1.0):
            with pytest.raises(OutcomeUnknownError if is_unknown else error, match=match):
                await calls[-1]
            await asyncio.gather(*calls, return_exceptions=True)
            await until(lambda: resolving or script.ended)
        assert calls[-1].cancelling() == was_cancelled


async def test_cancelled(resolving: list[str]) -> None:
    """A call that is cancelled is cancelled, also where the lent session is closed just then."""
    async with aiohttp.ClientSession() as session:
        call = asyncio.create_task(use(client(base_url="https://one.example", session=session)))
        await until(lambda: resolving)
        call.cancel()
        await session.close()
        with pytest.raises(asyncio.CancelledError):
            await call


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
