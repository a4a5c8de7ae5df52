import asyncio
from collections.abc import Callable

import aiohttp
import pytest
import trio

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    NotFoundError,
    RolesConnectionError,
    RolesTimeoutError,
)
from arize_roles_fake import FakeAccount, serve
from tests.support.raw_http import read_message, scripted

BODY = b'{"roles": [], "pagination": {"has_more": false}}'
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n" + BODY
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
GONE = b'HTTP/1.1 404 Not Found\r\nContent-Length: 26\r\n\r\n{"title": "Gone for good"}'
STRAY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nstray"


async def use(roles: AiohttpRolesClient) -> None:
    await roles.list()


async def close(roles: AiohttpRolesClient) -> None:
    await roles.aclose()


def test_a_client_runs_under_asyncio_only() -> None:
    with pytest.raises(ClientStateError, match="runs under asyncio only"):
        trio.run(use, AiohttpRolesClient("key", base_url="http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("then", "why"), [(use, "belongs to another event loop"), (close, "can only be closed in")]
)
def test_a_client_belongs_to_the_event_loop_of_its_first_call(
    then: Callable[[AiohttpRolesClient], object], why: str
) -> None:
    async def main() -> None:
        async with serve(FakeAccount()) as url:
            roles = AiohttpRolesClient("fake-api-key", base_url=url)
            await roles.list()
            await asyncio.to_thread(in_another_loop, roles)
            await roles.aclose()

    def in_another_loop(roles: AiohttpRolesClient) -> None:
        with pytest.raises(ClientStateError, match=why):
            asyncio.run(then(roles))  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.asyncio
async def test_a_client_that_was_never_used_closes_without_a_session() -> None:
    await AiohttpRolesClient("key").aclose()


@pytest.mark.asyncio
async def test_a_call_under_way_when_its_client_is_closed_ends() -> None:
    async with scripted(b"") as script:
        roles = AiohttpRolesClient("key", base_url=script.url)
        call = asyncio.create_task(use(roles))
        while not script.requests:  # noqa: ASYNC110 - the script tells nobody
            await asyncio.sleep(0)
        await roles.aclose()
        with pytest.raises((RolesConnectionError, ClientStateError)):
            await call


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")
@pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated")
async def test_a_lent_session_that_authorizes_by_itself_is_refused() -> None:
    async with (
        scripted(PAGE) as script,
        aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "password")) as session,
        AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
    ):
        with pytest.raises(ConfigurationError, match="the session refused it"):
            await roles.create(name="Made", permissions=["PROJECT_READ"])

        assert script.connections == 0


@pytest.mark.asyncio
async def test_a_call_on_a_lent_session_keeps_its_limits_when_its_client_is_closed() -> None:
    # The second answer is due that never comes, so the connection stays open.
    async with scripted(b"HTTP/1.1 200 OK\r\n", b"") as script, aiohttp.ClientSession() as session:
        roles = AiohttpRolesClient("key", base_url=script.url, session=session, timeout=0.1)
        call = asyncio.create_task(use(roles))
        while not script.requests:  # noqa: ASYNC110 - the script tells nobody
            await asyncio.sleep(0)
        await roles.aclose()
        with pytest.raises(RolesTimeoutError):
            await call


@pytest.mark.asyncio
async def test_a_lent_session_is_left_open() -> None:
    async with scripted(PAGE) as script, aiohttp.ClientSession() as session:
        async with AiohttpRolesClient("key", base_url=script.url, session=session) as roles:
            await roles.list()

        assert not session.closed


@pytest.mark.asyncio
async def test_every_attempt_on_a_lent_session_passes_its_middlewares() -> None:
    async def mark(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["X-Mark"] = "seen"
        return await handler(request)

    async with (
        scripted(BUSY, PAGE) as script,
        aiohttp.ClientSession(middlewares=[mark]) as session,
        AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
    ):
        await roles.list()

    assert [request.headers["x-mark"] for request in script.requests] == ["seen", "seen"]


@pytest.mark.asyncio
async def test_a_lent_session_that_raises_for_status_makes_no_other_errors() -> None:
    async with (
        scripted(GONE) as script,
        aiohttp.ClientSession(raise_for_status=True) as session,
        AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
    ):
        with pytest.raises(NotFoundError, match="answered 404 Gone for good"):
            await roles.get(role_id="Um9sZTo5OTk6bm9uZQ==")


@pytest.mark.asyncio
async def test_cookies_of_an_answer_are_not_sent_back() -> None:
    with_cookie = PAGE.replace(b"\r\n", b"\r\nSet-Cookie: balancer=7; Path=/\r\n", 1)
    async with (
        # By name, as aiohttp keeps no cookies of bare addresses.
        scripted(with_cookie, PAGE) as script,
        AiohttpRolesClient("key", base_url=script.url.replace("127.0.0.1", "localhost")) as roles,
    ):
        await roles.list()
        await roles.list()

    assert [request.headers.get("cookie") for request in script.requests] == [None, None]


@pytest.mark.asyncio
async def test_a_connection_with_an_answer_that_nobody_asked_for_is_not_used_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await read_message(reader)
        writer.write(PAGE)

    writers: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AiohttpRolesClient("key", base_url=url) as roles:
            await roles.list()
            writers[0].write(STRAY)
            # The loop looks at its sockets each time around.
            for _ in range(20):
                await asyncio.sleep(0)

            assert len(await roles.list()) == 0
            assert len(writers) == 2
        for writer in writers:
            writer.close()
