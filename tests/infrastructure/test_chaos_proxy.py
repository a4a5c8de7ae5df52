import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
import pytest

from tests.support.chaos import EXPANDED_SIZE, GARBAGE, ChaosProxy, Exchange, Point, chaos_proxy
from tests.support.event_loop import until

pytestmark = pytest.mark.usefixtures("unmeasured")

BODY = b'{"roles": []}'
FIXED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\n" + BODY[:6] + b"\r\n7\r\n" + BODY[6:] + b"\r\n0\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\nServer: upstream\r\n\r\n"
ANSWERS = {b"GET": FIXED, b"POST": CHUNKED, b"DELETE": EMPTY}

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
DELETE = b"DELETE /c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"

FAULTS = [point for point in Point if not point.at_connect]
PREFIXES = {
    "after_commit": b"",
    "in_status_line": b"HTTP/1.",
    "in_headers": FIXED[: (15 + len(FIXED) - 13) // 2],
    "in_body": FIXED[:-7],
}


class Setting:
    def __init__(self, proxy: ChaosProxy, committed: list[bytes]) -> None:
        self.proxy = proxy
        self.committed = committed

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*address(self.proxy))
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def setting() -> AsyncGenerator[Setting]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            end = b"0\r\n\r\n" if b"chunked" in head else b"{}" if b"Length" in head else b""
            committed.append(head + (await reader.readuntil(end) if end else b""))
            writer.write(ANSWERS[head.split()[0]])
            await reader.read()
        writer.close()
        await writer.wait_closed()
        finished.release()

    committed: list[bytes] = []
    finished = asyncio.Semaphore(0)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, chaos_proxy(*server.sockets[0].getsockname()) as proxy:
        yield Setting(proxy, committed)
    for _ in committed:
        await finished.acquire()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def address(proxy: ChaosProxy) -> tuple[str, int]:
    host, port = proxy.url.removeprefix("http://").split(":")
    return host, int(port)


async def received(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """Return the bytes that arrive until the connection ends, and whether a reset ended it."""
    data = b""
    try:
        while piece := await reader.read(2**16):
            data += piece
    except ConnectionResetError:
        return data, True
    return data, False


@pytest.mark.asyncio
async def test_clean() -> None:
    """Clean exchanges pass unchanged, on one connection."""
    async with setting() as s, s.connection() as (reader, writer):
        for request, answer in [(GET, FIXED), (POST, CHUNKED), (DELETE, EMPTY), (GET, FIXED)]:
            writer.write(request)
            assert await reader.readexactly(len(answer)) == answer
        assert s.committed == [GET, POST, DELETE, GET]
        assert s.proxy.log == [
            Exchange(None, "GET", "/a", 200),
            Exchange(None, "POST", "/b", 200),
            Exchange(None, "DELETE", "/c", 204),
            Exchange(None, "GET", "/a", 200),
        ]


@pytest.mark.asyncio
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("point", FAULTS)
async def test_log(point: Point, reused: bool) -> None:  # noqa: FBT001
    """The log and the commits say what reached the server."""
    async with setting() as s:
        async with s.connection() as (reader, writer):
            if reused:
                writer.write(GET)
                await reader.readexactly(len(FIXED))
                s.proxy.log.clear()
                s.committed.clear()
            s.proxy.script = [point]
            writer.write(DELETE)
            if point.startswith("stall"):
                await until(lambda: s.proxy.log)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(received(reader), 0.05)
            elif point in {Point.RESPONSE_TWICE, Point.WRONG_LENGTH_SHORT, Point.GZIP_BOMB}:
                await reader.readuntil(b"\r\n\r\n")
            elif point is Point.SLOW_BYTES:
                assert await reader.readexactly(len(EMPTY)) == EMPTY
            else:
                _, reset = await received(reader)
                assert reset is point.startswith("reset")
        read = "_before_request" not in point
        assert s.proxy.log == [
            Exchange(
                point,
                "DELETE" if read else "",
                "/c" if read else "",
                204 if point.commits else None,
            )
        ]
        assert s.committed == ([DELETE] if point.commits else [])

        async with s.connection() as (reader, writer):
            writer.write(GET)
            assert await reader.readexactly(len(FIXED)) == FIXED


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "point", [point for point in FAULTS if point.commits and point.startswith(("reset", "close"))]
)
async def test_breaks(point: Point) -> None:
    """A response breaks where the point says."""
    verb, _, place = point.partition("_")
    async with setting() as s, s.connection() as (reader, writer):
        s.proxy.script = [point]
        writer.write(GET)
        assert await received(reader) == (PREFIXES[place], verb == "reset")


@pytest.mark.asyncio
@pytest.mark.parametrize("place", PREFIXES)
async def test_stalls(place: str) -> None:
    """A stalled response waits for the client to go."""
    async with setting() as s:
        async with s.connection() as (reader, writer):
            s.proxy.script = [Point(f"stall_{place}")]
            writer.write(GET)
            assert await reader.readexactly(len(PREFIXES[place])) == PREFIXES[place]
            writer.write_eof()
            assert await received(reader) == (b"", False)
        assert s.proxy.log == [Exchange(Point(f"stall_{place}"), "GET", "/a", 200)]


@pytest.mark.asyncio
async def test_bodiless() -> None:
    """A bodiless response breaks in its headers."""
    async with setting() as s, s.connection() as (reader, writer):
        s.proxy.script = [Point.RESET_IN_BODY]
        writer.write(DELETE)
        data, reset = await received(reader)
        assert reset
        assert EMPTY.startswith(data)
        assert b"\r\n" in data
        assert b"\r\n\r\n" not in data


@pytest.mark.asyncio
async def test_distorts() -> None:
    """A response is distorted as the point says."""
    async with setting() as s:
        async with s.connection() as (reader, writer):
            s.proxy.script = [Point.RESPONSE_TWICE, Point.WRONG_LENGTH_SHORT, Point.GARBAGE]
            writer.write(GET)
            assert await reader.readexactly(len(FIXED) * 2) == FIXED * 2
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Content-Length: 6\r\n" in head
            assert await reader.readexactly(len(BODY)) == BODY
            writer.write(GET)
            assert await received(reader) == (GARBAGE, False)
        async with s.connection() as (reader, writer):
            s.proxy.script = [Point.WRONG_LENGTH_LONG]
            writer.write(POST)
            data, reset = await received(reader)
            assert not reset
            assert b"Transfer-Encoding" not in data
            assert data.endswith(b"\r\nContent-Length: 23\r\n\r\n" + BODY)


@pytest.mark.asyncio
async def test_bomb() -> None:
    """The bomb is small and expands to valid JSON."""
    async with setting() as s, aiohttp.ClientSession(auto_decompress=True) as session:
        s.proxy.script = [Point.GZIP_BOMB]
        async with session.get(s.proxy.url) as response:
            assert int(response.headers["Content-Length"]) < EXPANDED_SIZE / 500
            expanded = await response.read()
        assert len(expanded) == EXPANDED_SIZE + len(BODY)
        assert json.loads(expanded) == {"roles": []}


@pytest.mark.asyncio
async def test_slow_bytes() -> None:
    """Slow bytes arrive in many pieces."""
    async with setting() as s, s.connection() as (reader, writer):
        s.proxy.script = [Point.SLOW_BYTES]
        writer.write(GET)
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < len(FIXED):
            pieces.append(await reader.read(2**16))
        assert b"".join(pieces) == FIXED
        assert len(pieces) > 5


@pytest.mark.asyncio
async def test_refused() -> None:
    """Refused connections are refused by the kernel and counted."""
    async with setting() as s, aiohttp.ClientSession() as session:
        s.proxy.script = [Point.REFUSED, Point.REFUSED]
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get(s.proxy.url)
            assert isinstance(caught.value.os_error, ConnectionRefusedError)
        async with session.get(s.proxy.url) as response:
            assert response.status == 200
        assert s.proxy.log == [
            Exchange(Point.REFUSED, "", "", None),
            Exchange(Point.REFUSED, "", "", None),
            Exchange(None, "GET", "/", 200),
        ]


@pytest.mark.asyncio
async def test_reset() -> None:
    """A client in another process is reset for a refusal."""

    def other_process() -> bytes:
        with socket.create_connection(address(s.proxy), timeout=5) as client:
            return client.recv(1)

    async with setting() as s:
        s.proxy.script = [Point.REFUSED]
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(other_process)
        assert s.proxy.log == [Exchange(Point.REFUSED, "", "", None)]


@pytest.mark.asyncio
async def test_stalled_connect() -> None:
    """A stalled connection attempt ends with the client's limit or the proxy."""
    async with setting() as s:
        s.proxy.script = [Point.STALL_ON_CONNECT]
        timeout = aiohttp.ClientTimeout(sock_connect=0.05)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            with pytest.raises(aiohttp.ConnectionTimeoutError):
                await session.get(s.proxy.url)
        assert s.committed == []

    async with chaos_proxy("127.0.0.1", 9) as proxy:
        proxy.script = [Point.STALL_ON_CONNECT]
        attempt = asyncio.create_task(asyncio.open_connection(*address(proxy)))
        await asyncio.sleep(0)
        assert proxy.script == []
    with pytest.raises(TimeoutError):
        await attempt


@pytest.mark.asyncio
async def test_drop_idle() -> None:
    """Dropping idle connections makes the next request connect."""
    async with setting() as s, aiohttp.ClientSession() as session:
        async with session.get(s.proxy.url) as response:
            await response.read()
        s.proxy.script = [Point.REFUSED, Point.SLOW_BYTES]
        async with session.get(s.proxy.url) as response:
            await response.read()
        assert s.proxy.script == [Point.REFUSED]
        await s.proxy.drop_idle()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(s.proxy.url)
        assert s.proxy.script == []


@pytest.mark.asyncio
async def test_ending() -> None:
    """Ending the proxy ends stalled and idle connections."""
    async with AsyncExitStack() as clients:
        async with setting() as s:
            stalled, stalled_writer = await clients.enter_async_context(s.connection())
            idle, idle_writer = await clients.enter_async_context(s.connection())
            s.proxy.script = [Point.STALL_IN_BODY]
            stalled_writer.write(GET)
            await stalled.readexactly(len(FIXED) - 7)
            idle_writer.write(GET)
            await idle.readexactly(len(FIXED))
        assert await received(stalled) == (b"", False)
        assert await received(idle) == (b"", False)


@pytest.mark.asyncio
async def test_upstream_gone() -> None:
    """An upstream server that is gone ends the connection."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with chaos_proxy(*closed.getsockname()) as proxy:
            reader, writer = await asyncio.open_connection(*address(proxy))
            writer.write(GET)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            assert proxy.log == [Exchange(None, "GET", "/a", None)]


@pytest.mark.asyncio
async def test_each_fault_once() -> None:
    """Concurrent callers use up each fault once."""

    async def call() -> int | str:
        try:
            async with session.post(s.proxy.url, data=b"{}") as response:
                return response.status
        except aiohttp.ClientError:
            return "broken"

    async with setting() as s, aiohttp.ClientSession() as session:
        s.proxy.script = [None, Point.RESET_AFTER_COMMIT, Point.REFUSED, Point.GARBAGE] * 3
        outcomes = await asyncio.gather(*(call() for _ in range(30)))
        assert Counter(outcomes) == {200: 24, "broken": 6}
        assert len(s.proxy.log) == 30
