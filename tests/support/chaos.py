"""A TCP proxy that breaks HTTP/1.1 exchanges at the points that a script names.

The proxy runs on the event loop of its client, because nothing but the loop sees a connection
attempt that the kernel refuses: for the faults at connect time it replaces the loop's
`sock_connect`, which aiohttp, anyio and `asyncio.open_connection` all go through.
"""

import asyncio
import functools
import socket
import struct
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum, auto
from typing import NamedTuple
from unittest import mock

HOST = "127.0.0.1"
EXPANDED_SIZE = 64 * 2**20
GARBAGE = bytes(range(255, -1, -1))
_PATIENCE = 10.0


class Point(StrEnum):
    """Where an exchange breaks, and how.

    RESET is a TCP reset, CLOSE an orderly end, STALL silence until the client goes or the proxy
    ends. A response without a body that should break in its body breaks in its headers. After
    RESPONSE_TWICE, WRONG_LENGTH_SHORT and GZIP_BOMB the connection stays open, and whatever the
    client left unread stays on it.
    """

    # A connection attempt: really refused, or one that neither succeeds nor fails.
    REFUSED = auto()
    STALL_ON_CONNECT = auto()

    RESET_BEFORE_REQUEST = auto()
    STALL_BEFORE_REQUEST = auto()
    RESET_IN_REQUEST = auto()
    STALL_IN_REQUEST = auto()

    # From here on the upstream server has received the request and answered it.
    RESET_AFTER_COMMIT = auto()
    CLOSE_AFTER_COMMIT = auto()
    STALL_AFTER_COMMIT = auto()
    RESET_IN_STATUS_LINE = auto()
    STALL_IN_STATUS_LINE = auto()
    RESET_IN_HEADERS = auto()
    STALL_IN_HEADERS = auto()
    RESET_IN_BODY = auto()
    CLOSE_IN_BODY = auto()
    STALL_IN_BODY = auto()
    RESPONSE_TWICE = auto()
    GARBAGE = auto()
    WRONG_LENGTH_LONG = auto()
    WRONG_LENGTH_SHORT = auto()
    GZIP_BOMB = auto()
    SLOW_BYTES = auto()

    @property
    def at_connect(self) -> bool:
        """True if a connection attempt uses the fault up, and not a request."""
        return self in {Point.REFUSED, Point.STALL_ON_CONNECT}

    @property
    def commits(self) -> bool:
        """True if the upstream server received the request, so may have carried it out."""
        return not (self.at_connect or self.endswith(("_before_request", "_in_request")))


class Exchange(NamedTuple):
    """An action of the proxy; method and path are empty if it had not read them."""

    point: Point | None
    method: str
    path: str
    status: int | None


class _Message(NamedTuple):
    head: bytes
    framed: bytes
    body: bytes


class ChaosProxy:
    """One proxy; `chaos_proxy` starts and ends it.

    Attributes:
        script: One entry an exchange, None for a clean one; when it is used up, all are clean.
            A fault at connect time stays first until the next connection attempt, and requests
            on open connections take what follows it: `drop_idle` makes the next one connect.
        log: What happened, in order.
        url: Where the client connects.
    """

    def __init__(self, upstream_host: str, upstream_port: int) -> None:
        self.script: list[Point | None] = []
        self.log: list[Exchange] = []
        self.url = ""
        self._upstream = (upstream_host, upstream_port)
        self._tasks: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._idle: set[asyncio.StreamWriter] = set()
        self._ended = asyncio.Event()

    async def drop_idle(self) -> None:
        """Close the connections that wait for a request, and see the client close them too.

        A client that does not watch its idle connections is waited for in vain.
        """
        dropped, self._idle = self._idle, set()
        for writer in dropped:
            with suppress(OSError):
                writer.write_eof()
        if dropped:
            await asyncio.wait([self._tasks[writer] for writer in dropped], timeout=_PATIENCE)

    async def is_left_alone(self) -> bool:
        """Return True if every connection ends by itself, in time for a busy machine."""
        if tasks := list(self._tasks.values()):
            await asyncio.wait(tasks, timeout=_PATIENCE)
        return not self._tasks

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Listen, and in the end leave nothing behind."""
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect
        server = await asyncio.start_server(self._accept, HOST, 0)
        address = server.sockets[0].getsockname()
        self.url = f"http://{HOST}:{address[1]}"

        async def sock_connect(sock: socket.socket, to: tuple[object, ...]) -> None:
            point = self._next(at_connect=True) if to == address else None
            if point is Point.STALL_ON_CONNECT:
                await self._ended.wait()
                raise TimeoutError
            await connect(sock, refusing if point is Point.REFUSED else to)

        # Bound and never listening: the kernel refuses, and gives the port to nobody else.
        with socket.socket() as closed, mock.patch.object(loop, "sock_connect", sock_connect):
            closed.bind((HOST, 0))
            refusing = closed.getsockname()
            try:
                yield
            finally:
                self._ended.set()
                server.close()
                tasks = list(self._tasks.values())
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                await server.wait_closed()
        if bugs := [result for result in results if isinstance(result, Exception)]:
            raise ExceptionGroup("the proxy itself failed", bugs)

    def _next(self, *, at_connect: bool) -> Point | None:
        for place, point in enumerate(self.script):
            if at_connect is (point is not None and point.at_connect):
                if at_connect:
                    self.log.append(Exchange(point, "", "", None))
                return self.script.pop(place)
            if at_connect:
                break
        return None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection that the kernel had queued can still arrive while the proxy ends.
        if self._ended.is_set():
            writer.transport.abort()
            return

        def forget(task: asyncio.Task[None]) -> None:
            self._idle.discard(writer)
            if task.cancelled() or not task.exception():
                del self._tasks[writer]

        task = self._tasks[writer] = asyncio.create_task(self._serve(reader, writer))
        task.add_done_callback(forget)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            # A client on another loop or in another process comes past `sock_connect`.
            point = self._next(at_connect=True)
            if point is Point.REFUSED:
                _reset(writer)
            elif point is Point.STALL_ON_CONNECT:
                await _stall(reader)
            else:
                while await self._exchange(reader, writer):
                    pass

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        # A fault hits a reused connection only once the client has committed itself to it:
        # one that breaks earlier is merely dropped from the client's pool.
        self._idle.add(writer)
        first = await reader.read(1)
        if not first or writer not in self._idle:
            return False
        self._idle.remove(writer)
        point = self._next(at_connect=False)

        method = path = ""
        status = response = None
        try:
            if point not in {Point.RESET_BEFORE_REQUEST, Point.STALL_BEFORE_REQUEST}:
                line = first + await reader.readuntil(b"\r\n")
                method, path, _ = line.decode("ascii").split(" ", 2)
                if point is None or point.commits:
                    head, framed, _ = await _read_message(reader, line)
                    response = await self._forward(head + framed)
                    status = int(response.head.split(b" ", 2)[1])
        finally:
            self.log.append(Exchange(point, method, path, status))

        if point and point.startswith(("reset", "close", "stall")):
            writer.write(_before_break(point, response) if response else b"")
            if point.startswith("reset"):
                _reset(writer)
            elif point.startswith("stall"):
                await _stall(reader)
            return False
        assert response
        sent = _distorted(point, response)
        piece = len(sent) // 32 + 1
        while point is Point.SLOW_BYTES and len(sent) > piece:
            writer.write(sent[:piece])
            sent = sent[piece:]
            await asyncio.sleep(0.003)
        # Nothing is awaited from here to the next request: a client that has its whole response
        # finds the connection idle.
        writer.write(sent)
        ends = point in {Point.GARBAGE, Point.WRONG_LENGTH_LONG}
        return not ends and _header(response.head, b"connection").lower() != b"close"

    async def _forward(self, request: bytes) -> _Message:
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(request)
            line = await reader.readuntil(b"\r\n")
            return await _read_message(reader, line, to_head=request.startswith(b"HEAD "))
        finally:
            await _abort(writer)


@asynccontextmanager
async def chaos_proxy(upstream_host: str, upstream_port: int) -> AsyncGenerator[ChaosProxy]:
    """Run a proxy on a free port of the loopback, and leave nothing of it behind."""
    proxy = ChaosProxy(upstream_host, upstream_port)
    async with proxy.run():
        yield proxy


def _before_break(point: Point, response: _Message) -> bytes:
    head, framed, _ = response
    start = head.index(b"\r\n")
    if point.endswith("_after_commit"):
        return b""
    if point.endswith("_in_status_line"):
        return head[: start // 2]
    if point.endswith("_in_body") and framed:
        return head + framed[: len(framed) // 2]
    return head[: (start + len(head)) // 2]


def _distorted(point: Point | None, response: _Message) -> bytes:
    head, framed, body = response
    match point:
        case Point.RESPONSE_TWICE:
            return (head + framed) * 2
        case Point.GARBAGE:
            return GARBAGE
        case Point.WRONG_LENGTH_LONG:
            return _reframed(head, len(body) + 10) + body
        case Point.WRONG_LENGTH_SHORT:
            return _reframed(head, len(body) // 2) + body
        case Point.GZIP_BOMB:
            bomb = _bomb_maker()(body)
            return _reframed(head, len(bomb), b"Content-Encoding: gzip") + bomb
        case _:
            return head + framed


def _reframed(head: bytes, length: int, *headers: bytes) -> bytes:
    replaced = (b"content-length:", b"transfer-encoding:", b"content-encoding:")
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(replaced)]
    return b"\r\n".join([*kept, *headers, b"Content-Length: %d" % length, b"", b""])


@functools.cache
def _bomb_maker() -> Callable[[bytes], bytes]:
    # White space before the true body: a reader without a limit would take it for valid JSON, so
    # that only a limit distinguishes the bomb from the response.
    padded = zlib.compressobj(wbits=31)
    start = padded.compress(b" " * EXPANDED_SIZE)

    def make(body: bytes) -> bytes:
        end = padded.copy()
        return start + end.compress(body) + end.flush()

    return make


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncGenerator[None]:
    """End a connection in order, or at once when the client or the upstream server went away."""
    try:
        yield
        writer.close()
        await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        await _abort(writer)


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _stall(reader: asyncio.StreamReader) -> None:
    # Read and thrown away: a transport that does not read does not see its client go.
    while await reader.read(2**16):
        pass


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


async def _read_message(
    reader: asyncio.StreamReader, line: bytes, *, to_head: bool = False
) -> _Message:
    """Read the rest of a request or a response, whose first line has been read."""
    head = line
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        head += line

    length = _header(head, b"content-length")
    body = framed = b""
    if to_head or head.split(b" ", 2)[1] in {b"204", b"304"}:
        pass
    elif _header(head, b"transfer-encoding").lower() == b"chunked":
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            chunk = await reader.readexactly(size + 2)
            body += chunk[:-2]
            framed += line + chunk
    elif length:
        body = framed = await reader.readexactly(int(length))
    elif head.startswith(b"HTTP/"):
        body = framed = await reader.read()
    return _Message(head, framed, body)
