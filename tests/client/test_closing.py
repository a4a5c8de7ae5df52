"""Calls under way while their client, or the session that it was lent, is closed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.resolver import ThreadedResolver

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    Timeouts,
)
from tests.support.event_loop import EACH_LOOP, LoopClock, run_on, until
from tests.support.raw_http import scripted

NewLoop = Callable[[], asyncio.AbstractEventLoop]
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n{"
UNLIMITED = Timeouts(total=None, connect=None, read=None)
ONCE = RetryPolicy(attempts=1)


async def use(roles: AiohttpRolesClient) -> None:
    await roles.list()


async def create(roles: AiohttpRolesClient) -> None:
    await roles.create(name="Made", permissions=["PROJECT_READ"])


async def ends(call: "asyncio.Task[None]", error: type[Exception], match: str) -> None:
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


@EACH_LOOP
class TestResolving:
    """While the name of the host is resolved."""

    def test_aclose(self, new_loop: NewLoop, resolving: list[str]) -> None:
        """Closing the client ends its calls with an error, which a TaskGroup sees."""

        async def main() -> None:
            roles = client("https://roles.example")
            with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - it is the block that raises
                async with asyncio.TaskGroup() as group:
                    group.create_task(create(roles))
                    await until(lambda: resolving)
                    await roles.aclose()
            assert [repr(each) for each in caught.value.exceptions] == [
                "ClientStateError('the client is closed')"
            ]

        run_on(new_loop, main())

    def test_session(self, new_loop: NewLoop, resolving: list[str]) -> None:
        """So does closing the lent session, which the client does not notice."""

        async def main() -> None:
            async with lent() as session:
                call = asyncio.create_task(create(client("https://roles.example", session=session)))
                await until(lambda: resolving)
                await session.close()
                await ends(call, ClientStateError, "^the session is closed$")

        run_on(new_loop, main())

    def test_went_on(self, new_loop: NewLoop, resolving: list[str]) -> None:
        """A task that went on after an earlier cancellation gets the error as well."""

        async def main() -> None:
            async with lent() as session:
                roles = client("https://roles.example", session=session)
                call = asyncio.create_task(use_later(roles))
                await asyncio.sleep(0)
                call.cancel()
                await until(lambda: resolving)
                await session.close()
                with pytest.raises(ClientStateError):
                    await call

        async def use_later(roles: AiohttpRolesClient) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                await use(roles)

        run_on(new_loop, main())

    @pytest.mark.parametrize("closed", [False, True])
    def test_cancelled(self, new_loop: NewLoop, resolving: list[str], *, closed: bool) -> None:
        """A call that is cancelled is cancelled, also where the session is closed just then."""

        async def main() -> None:
            async with lent() as session:
                call = asyncio.create_task(use(client("https://roles.example", session=session)))
                await until(lambda: resolving)
                call.cancel()
                if closed:
                    await session.close()
                with pytest.raises(asyncio.CancelledError):
                    await call

        run_on(new_loop, main())


@EACH_LOOP
def test_pool(new_loop: NewLoop) -> None:
    """Closing a lent session ends the calls that wait for one of its connections, too."""

    async def main() -> None:
        async with scripted(None) as script, lent(limit=1) as session:
            roles = client(script.url, session=session, retry=ONCE)
            first, second = asyncio.create_task(use(roles)), asyncio.create_task(create(roles))
            await until(lambda: script.requests)
            await session.close()
            await ends(first, RolesConnectionError, "failed before the complete response")
            await ends(second, ClientStateError, "^the session is closed$")

    run_on(new_loop, main())


@EACH_LOOP
@pytest.mark.parametrize("change", [False, True], ids=["list", "create"])
class TestBody:
    """In the middle of a body; a change may have been made then."""

    @pytest.mark.parametrize("is_lent", [False, True], ids=["own", "lent"])
    def test_aclose(self, new_loop: NewLoop, *, change: bool, is_lent: bool) -> None:
        """Closing the client ends a call, and leaves a lent session open."""

        async def main() -> None:
            async with scripted(HALF, b"") as script, lent() as session:
                roles = client(script.url, session=session if is_lent else None)
                call = asyncio.create_task((create if change else use)(roles))
                await until(lambda: script.requests)
                await pause()
                await roles.aclose()
                error = OutcomeUnknownError if change else ClientStateError
                await ends(call, error, "the client is closed$")
                assert not session.closed

        run_on(new_loop, main())

    def test_session(self, new_loop: NewLoop, *, change: bool) -> None:
        """Closing the lent session ends it, too."""

        async def main() -> None:
            async with scripted(HALF, b"") as script, lent() as session:
                roles = client(script.url, session=session, retry=ONCE)
                call = asyncio.create_task((create if change else use)(roles))
                await until(lambda: script.requests)
                await pause()
                await session.close()
                error = OutcomeUnknownError if change else RolesConnectionError
                await ends(call, error, "failed before the complete response")

        run_on(new_loop, main())


async def pause() -> None:
    """Let what was sent arrive."""
    for _ in range(50):
        await asyncio.sleep(0)


class TestWaiting:
    """While nothing of a call is under way."""

    @pytest.mark.asyncio
    async def test_in_queue(self) -> None:
        """Closing ends the calls in the queue."""
        async with scripted(None) as script:
            roles = client(script.url, max_concurrency=1)
            calls = [asyncio.create_task(create(roles)) for _ in range(3)]
            await until(lambda: script.requests)
            await roles.aclose()
            await ends(calls[0], OutcomeUnknownError, "the client is closed$")
            for call in calls[1:]:
                await ends(call, ClientStateError, "^the client is closed$")

    @pytest.mark.asyncio
    async def test_retry(self) -> None:
        """And those that wait for their next attempt."""
        busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 15\r\nContent-Length: 0\r\n\r\n"
        async with scripted(busy) as script:
            roles = client(script.url)
            call = asyncio.create_task(create(roles))
            await until(lambda: script.requests)
            await pause()
            await roles.aclose()
            await ends(call, OutcomeUnknownError, "the client is closed$")

    @pytest.mark.asyncio
    async def test_silence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call whose silence is too long at that moment does not try again."""
        clock = LoopClock(monkeypatch)
        async with scripted(None) as script:
            roles = client(script.url, timeout=Timeouts(total=None, read=60.0))
            call = asyncio.create_task(use(roles))
            await script.asked.wait()
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, roles.aclose())
            await clock.pass_by(60.0)
            await ends(call, ClientStateError, "^the client is closed$")


@pytest.mark.asyncio
class TestTwice:
    @pytest.mark.parametrize("copied", [False, True])
    async def test_at_once(self, *, copied: bool) -> None:
        """A client may be closed twice at once, also through its copy."""
        async with scripted(None) as script:
            roles = client(script.url)
            other = roles.with_options(timeout=1.0) if copied else roles
            call = asyncio.create_task(use(roles))
            await until(lambda: script.requests)
            await asyncio.gather(roles.aclose(), other.aclose(), roles.aclose())
            await ends(call, ClientStateError, "^the client is closed$")


@EACH_LOOP
def test_cancelled(new_loop: NewLoop) -> None:
    """A close that is cancelled has closed the connections, and their calls end."""

    async def main() -> None:
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

    run_on(new_loop, main())
