"""Connections that are given up, have failed, are stale, or carry an unsolicited answer."""

import asyncio
import functools
import gc
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import aiohttp
import attrs
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    RetryPolicy,
    RolesConnectionError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_async._calls.call import Call
from arize_roles_fake import FakeAccount
from tests.support.clients import LENT, ONCE, SOON, over, own_or_lent, use
from tests.support.clients import serve as serve_account
from tests.support.event_loop import LoopClock, settle, until
from tests.support.raw_http import PAGE, http_response
from tests.support.tls import Authority

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
LIMITS = Timeouts(total=100.0, connect=None, read=60.0)


class Peer(asyncio.Protocol):
    """One connection as the service sees it, which answers as its server says."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.received = b""
        self.transport: asyncio.Transport
        self.lost = False
        self.why: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.server.peers.append(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\r\n\r\n"):
            self.server.answer(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.why = exc


class Server:
    def __init__(self, answer: Callable[[Peer], None]) -> None:
        self.url = ""
        self.peers: list[Peer] = []
        self.answer = answer

    async def asked(self) -> None:
        """Wait for a request on the first connection."""
        await until(lambda: self.peers and self.peers[0].received)

    async def lost(self) -> Exception | None:
        """Wait for the end of the first connection, and return its cause."""
        await until(lambda: self.peers[0].lost)
        return self.peers[0].why


@asynccontextmanager
async def serve(
    answer: Callable[[Peer], None], context: ssl.SSLContext | None = None
) -> AsyncGenerator[Server]:
    server = Server(answer)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Peer(server), "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    server.url = f"{scheme}://localhost:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield server
        for peer in server.peers:
            peer.transport.abort()
        await until(lambda: all(peer.lost for peer in server.peers))


def silent(_: object) -> None:
    pass


def too_long(peer: Peer) -> None:
    peer.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
    peer.transport.write(b" " * ((4 << 20) + 1))


def page(peer: Peer) -> None:
    peer.transport.write(PAGE)


client = functools.partial(own_or_lent, AiohttpRolesClient, "key", retry=SOON)


@LENT
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("by", ["read", "total", "cancellation", "length"])
async def test_reset(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tls: bool, lent: bool
) -> None:
    """The connection of an attempt that was given up is reset, and no part of it left open."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: complaints.append(context["message"])
    )
    clock = LoopClock(monkeypatch)
    authority = Authority(tmp_path)
    limits = attrs.evolve(LIMITS, read=60.0 if by == "read" else None)
    options: dict[str, Any] = {"ca_file": authority.pem, "timeout": limits, "retry": ONCE}
    async with (
        serve(too_long if by == "length" else silent, authority.right() if tls else None) as server,
        client(server.url, lent=lent, **options) as roles,
    ):
        call = asyncio.create_task(use(roles))
        await server.asked()
        if by == "cancellation":
            call.cancel()
        elif by != "length":
            await clock.pass_by(100.0)
        (ended,) = await asyncio.gather(call, return_exceptions=True)
        gc.collect()
        assert isinstance(await server.lost(), ConnectionResetError)
    assert complaints == []
    if isinstance(ended, RolesTimeoutError):
        assert ended.limit == by
    else:
        ends = {"cancellation": asyncio.CancelledError, "length": InvalidResponseError}
        assert type(ended) is ends[by]


class TestFailed:
    @LENT
    @pytest.mark.parametrize("by", ["silence", "break"])
    async def test_distrust(self, by: str, monkeypatch: pytest.MonkeyPatch, *, lent: bool) -> None:
        """After a connection fell silent or broke, no older one is used, and all are closed."""

        def answer(peer: Peer) -> None:
            asked.append(server.peers.index(peer))
            if len(asked) == 3:
                # None is answered before, so that each of three calls needs its own.
                for each in server.peers:
                    page(each)
            elif len(asked) == 4 and by == "break":
                peer.transport.close()
            elif len(asked) > 4:
                page(peer)

        clock = LoopClock(monkeypatch)
        asked: list[int] = []
        async with serve(answer) as server, client(server.url, lent=lent, timeout=LIMITS) as roles:
            await asyncio.gather(*(use(roles) for _ in range(3)))
            call = asyncio.create_task(use(roles))
            await until(lambda: len(asked) == 4)
            if by == "silence":
                await clock.pass_by(60.0)
            await call
            await use(roles)
            assert asked[4:] == [3, 3]
            await until(lambda: all(peer.lost for peer in server.peers[:3]))

    async def test_unharmed(self, refusing_port: int) -> None:
        """A request to another place, which the error names, or a 503 closes no connection."""
        answers, places = [PAGE, http_response(503), PAGE], [f"127.0.0.1:{refusing_port}"]

        async def redirect(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            if server.peers and places:
                request.url = URL(f"http://{places.pop()}")
            return await handler(request)

        async with (
            serve(lambda peer: peer.transport.write(answers.pop(0))) as server,
            over(server.url, redirect) as roles,
        ):
            await roles.list()
            with pytest.raises(RolesConnectionError, match=f"cannot connect to {places[0]}: "):
                await roles.list()
            await roles.with_options(retry=SOON).list()
            assert len(server.peers) == 1

    async def test_order(self) -> None:
        """One that breaks later makes no connection good that another break has put in doubt."""
        async with serve(silent) as server, client(server.url, retry=ONCE) as roles:
            calls: list[asyncio.Task[object]] = []
            for _ in range(3):
                calls.append(asyncio.create_task(use(roles)))
                await until(lambda: len(server.peers) == len(calls) and server.peers[-1].received)
            page(server.peers[1])
            await calls[1]
            for each in (2, 0):
                server.peers[each].transport.abort()
                with pytest.raises(RolesConnectionError):
                    await calls[each]
            server.answer = page
            await use(roles)
            assert len(server.peers) == 4

    async def test_incomplete(self) -> None:
        """An answer that breaks off before anybody reads it fails as aiohttp says."""

        def answer(peer: Peer) -> None:
            peer.transport.write(PAGE[:-1])
            peer.transport.close()

        async def wait(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            response = await handler(request)
            await until(response.content.exception)
            # The loop then calls what waits for the end of the connection.
            for _ in range(3):
                await asyncio.sleep(0)
            return response

        async with serve(answer) as server, over(server.url, wait) as roles:
            with pytest.raises(RolesConnectionError, match="arrived: ClientPayloadError: "):
                await roles.list()


@LENT
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_refused(refusing_port: int, host: str, *, lent: bool) -> None:
    """Where there is no connection, the error names host and port, and nothing was sent."""
    place = f"{host}:{refusing_port}"
    async with client(f"http://{place}", lent=lent, retry=ONCE) as roles:
        with pytest.raises(RolesConnectionError) as caught:
            await roles.create(name="Made", permissions=["PROJECT_READ"])
    assert str(caught.value).startswith(f"POST /v2/roles: cannot connect to {place}: ")
    assert not caught.value.sent


class TestStray:
    @LENT
    async def test_idle(self, *, lent: bool) -> None:
        """An answer that nobody asked for, on an idle connection, is taken for no answer."""
        async with serve(page) as server, client(server.url, lent=lent) as roles:
            await roles.list()
            server.peers[0].transport.write(NO_CONTENT)
            await settle()
            assert len(await roles.list()) == 0
            assert len(server.peers) == 2

    async def test_of_others(self) -> None:
        """Nor is one on a connection of a lent session that only others have used so far."""
        async with serve(page) as server, aiohttp.ClientSession() as session:
            async with session.get(server.url) as answer:
                await answer.read()
            server.peers[0].transport.write(NO_CONTENT)
            await settle()
            roles = AiohttpRolesClient("key", base_url=server.url, session=session, retry=SOON)
            with pytest.raises(RolesConnectionError, match="answered before any request") as caught:
                await roles.with_options(retry=ONCE).list()
            assert not caught.value.sent
            assert len(await roles.list()) == 0
            assert len(server.peers) == 2


@pytest.mark.parametrize("error", [None, AttributeError("'NoneType' has none")])
async def test_closed(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A close that is cancelled, or cannot close one connection, leaves none open."""
    async with serve(page) as server:
        await use(roles := AiohttpRolesClient("key", base_url=server.url))
        closing = asyncio.create_task(roles.aclose())
        if error:
            monkeypatch.setattr(ResponseHandler, "close", Mock(side_effect=error))
        else:
            asyncio.get_running_loop().call_soon(closing.cancel)
        # What a caller holds of the cancellation keeps the session.
        with nullcontext() if error else pytest.raises(asyncio.CancelledError) as _held:
            await closing
        await settle()
        assert server.peers[0].lost


class TestDropped:
    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
    async def test_at_once(self, tmp_path: Path, *, tls: bool) -> None:
        """A client that is dropped without a close ends its connections at once, with a warning."""
        authority = Authority(tmp_path)
        async with serve(page, authority.right() if tls else None) as server:
            gc.disable()
            try:
                with pytest.warns(ResourceWarning, match=r"^a client was dropped without aclose"):
                    await use(AiohttpRolesClient("key", base_url=server.url, ca_file=authority.pem))
                await until(lambda: server.peers[0].lost)
            finally:
                gc.enable()

    async def test_copy(self) -> None:
        """Its copies keep them."""
        async with serve(page) as server:
            copy = AiohttpRolesClient("key", base_url=server.url).with_options(timeout=5.0)
            await use(copy)
            await use(copy.with_options(timeout=6.0))
            assert len(server.peers) == 1
            await copy.aclose()


class TestPool:
    """A lent session, whose pool has a connection for one request at a time."""

    async def test_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waiting for the pool counts towards the call's limit, and not as connecting."""
        clock = LoopClock(monkeypatch)
        limits = Timeouts(total=100.0, connect=5.0, read=60.0)
        async with (
            serve(silent) as server,
            over(server.url, connector=aiohttp.TCPConnector(limit=1)) as roles,
        ):
            limited = roles.with_options(timeout=limits)
            calls = [asyncio.create_task(use(limited)) for _ in range(2)]
            await server.asked()
            await clock.pass_by(6.0)
            server.answer = page
            page(server.peers[0])
            await asyncio.gather(*calls)
            assert len(server.peers) == 1

    @pytest.mark.parametrize(("ended", "sent"), [("attempt", 1), ("call", 0)])
    async def test_later(self, ended: str, sent: int) -> None:
        """A request that outlives its attempt in the queue of the pool is not sent on either."""
        tasks: list[asyncio.Task[ClientResponse]] = []

        async def detach(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            tasks.append(asyncio.ensure_future(handler(request)))
            await asyncio.sleep(0)
            if ended == "attempt" and len(tasks) == 1:
                raise aiohttp.ClientError
            return await asyncio.shield(tasks[-1])

        connector = aiohttp.TCPConnector(limit=1)
        async with (
            serve(silent) as server,
            aiohttp.ClientSession(connector=connector, middlewares=[detach]) as session,
        ):
            # aiohttp sends a POST once only.
            first = asyncio.ensure_future(session.post(server.url, middlewares=()))
            await server.asked()
            roles = AiohttpRolesClient("key", base_url=server.url, session=session, retry=SOON)
            call = asyncio.create_task(use(roles))
            await until(lambda: len(tasks) == sent + 1)
            await settle()
            server.answer = page
            if ended == "call":
                call.cancel()
                await asyncio.wait([call])
            server.peers[0].transport.close()
            under_way: list[asyncio.Task[Any]] = [first, *tasks, call]
            await asyncio.gather(*under_way, return_exceptions=True)
            assert tasks[0].cancelled()
            received = b"".join(peer.received for peer in server.peers)
            assert received.count(b"GET ") == sent


@LENT
async def test_garbage(*, lent: bool) -> None:
    """A call leaves nothing behind that only the garbage collector would free."""

    def count() -> int:
        # Something of an earlier test may hold a few.
        return sum(isinstance(each, Call) for each in gc.get_objects())

    account = FakeAccount()
    gc.collect()
    gc.disable()
    try:
        before = count()
        async with (
            serve_account(account) as url,
            own_or_lent(AiohttpRolesClient, account.api_key, url, lent=lent) as roles,
        ):
            for _ in range(10):
                await roles.list()
            # The timer of an idle connection may hold its last one.
            assert count() <= before + 1
    finally:
        gc.enable()


async def test_concurrency() -> None:
    """As many requests are under way at once as may be, also more than aiohttp's hundred."""
    account = FakeAccount()
    with account.block("list") as blocked:
        async with (
            serve_account(account) as url,
            AiohttpRolesClient(account.api_key, base_url=url, max_concurrency=110) as roles,
        ):
            calls = [asyncio.create_task(roles.list().all()) for _ in range(120)]
            await blocked.reached(110)
            assert len(account.calls) == 110
            blocked.release()
            await asyncio.gather(*calls)


async def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The read limit ends no wait before a retry, nor a body whose pieces come in time."""
    clock = LoopClock(monkeypatch)

    def busy(peer: Peer) -> None:
        server.answer = silent
        peer.transport.write(http_response(503, b"", "Retry-After: 75"))

    limits = Timeouts(total=None, read=60.0)
    options: dict[str, Any] = {"timeout": limits, "retry": RetryPolicy(attempts=2)}
    async with serve(busy) as server, client(server.url, **options) as roles:
        call = asyncio.create_task(use(roles))
        await server.asked()
        await settle()
        await clock.pass_by(75.0)
        await until(lambda: server.peers[0].received.count(b"GET ") == 2)
        for piece in (PAGE[:-48], PAGE[-48:-32], PAGE[-32:-16]):
            server.peers[0].transport.write(piece)
            await clock.pass_by(50.0)
        assert not call.done()
        await clock.pass_by(61.0)
        with pytest.raises(RolesTimeoutError) as caught:
            await call
    assert str(caught.value) == "GET /v2/roles: no answer (read limit of 60 s, 2 attempts)"
    assert (caught.value.limit, caught.value.seconds, caught.value.sent) == ("read", 60.0, True)
