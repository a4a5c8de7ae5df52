"""A server of an account that breaks HTTP/1.1 exchanges at the points that a script names.

A proxy before it, in `chaos_proxy`, breaks the way to it.

It runs on the event loop of its client, because nothing but the loop sees a connection attempt
that the kernel refuses: for the faults at connect time it replaces the loop's `sock_connect`.
"""

import asyncio
import functools
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from enum import StrEnum, auto
from typing import NamedTuple, Self
from unittest import mock

from multidict import CIMultiDict

from arize_roles_async import Request
from arize_roles_fake import FakeAccount
from tests.support.event_loop import settle
from tests.support.raw_http import Message, read_message

HOST = "127.0.0.1"
EXPANDED_SIZE = 64 * 2**20
GARBAGE = bytes(range(255, -1, -1))
_PATIENCE = 10.0
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </v2>; rel=preload\r\n\r\n"


class Point(StrEnum):
    """Where an exchange breaks, and how.

    RESET is a TCP reset, CLOSE an orderly end, STALL silence until the client goes or the server
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

    # From here on the account has carried the request out.
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
    CONTINUE_FIRST = auto()
    HINTS_FIRST = auto()
    STALL_AFTER_HINTS = auto()
    SWITCHED_PROTOCOLS = auto()
    SURPLUS_LINE = auto()
    SURPLUS_GARBAGE = auto()
    UNTIL_THE_END = auto()
    CLOSE_IN_CHUNK = auto()

    # A whole answer on an idle connection, before the next request.
    UNASKED = auto()

    # The proxy makes no tunnel.
    TUNNEL_REFUSED_407 = auto()
    TUNNEL_REFUSED_403 = auto()
    TUNNEL_REFUSED_502 = auto()
    TUNNEL_GARBAGE = auto()
    TUNNEL_HALF_ANSWER = auto()
    TUNNEL_CLOSE = auto()
    TUNNEL_RESET = auto()
    TUNNEL_STALL = auto()
    # It breaks the handshake with TLS in the tunnel.
    HANDSHAKE_CLOSE = auto()
    HANDSHAKE_STALL = auto()
    HANDSHAKE_GARBAGE = auto()
    # It breaks a record of TLS with the answer to a request that the account has carried out.
    RECORD_CLOSE = auto()
    RECORD_RESET = auto()
    RECORD_STALL = auto()
    RECORD_GARBAGE = auto()

    @property
    def at_connect(self) -> bool:
        """True if a connection attempt uses the fault up, and not a request."""
        new = self.startswith(("tunnel", "handshake"))
        return new or self in {Point.REFUSED, Point.STALL_ON_CONNECT}

    @property
    def by_proxy(self) -> bool:
        """True if the proxy breaks the way, and not the server."""
        return self.startswith(("tunnel", "handshake", "record"))

    @property
    def is_stall(self) -> bool:
        """True if nothing happens until the client goes."""
        return self.startswith("stall") or self.endswith("stall")


class Exchange(NamedTuple):
    """What the server did; the method is empty if it had not read one."""

    point: Point | None
    method: str
    attempt: str = ""
    """What the client counts of the request, if it is not the first attempt."""


class Breaking:
    """What takes connections, and breaks what goes on them.

    Attributes:
        script: One entry an exchange, None for a clean one; when it is used up, all are clean.
            A fault at connect time stays first until the next connection attempt, and what goes on
            open connections takes what follows it.
        url: Where the client connects.
    """

    def __init__(self) -> None:
        self.script: list[Point | None] = []
        self.url = ""
        self._tasks: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def is_left_alone(self) -> bool:
        """Return True if every connection ends by itself, in time for a busy machine."""
        if tasks := list(self._tasks.values()):
            await asyncio.wait(tasks, timeout=_PATIENCE)
        return not self._tasks

    async def _drop(self, writers: Collection[asyncio.StreamWriter]) -> None:
        """Close connections, and see the client close them, too.

        A client that does not watch its idle connections is waited for in vain.
        """
        for writer in writers:
            with suppress(OSError):
                writer.write_eof()
        if writers:
            await asyncio.wait([self._tasks[writer] for writer in writers], timeout=_PATIENCE)

    def _next(self, *, at_connect: bool) -> Point | None:
        for place, point in enumerate(self.script):
            if at_connect is (point is not None and point.at_connect):
                return self.script.pop(place)
            if at_connect:
                break
        return None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def forget(task: asyncio.Task[None]) -> None:
            if task.cancelled() or not task.exception():
                del self._tasks[writer]

        task = self._tasks[writer] = asyncio.create_task(self._serve(reader, writer))
        task.add_done_callback(forget)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class ChaosServer(Breaking):
    """A server of an account, while it runs."""

    def __init__(self, account: FakeAccount, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.log: list[Exchange] = []
        self._account = account
        self._tls = tls
        self._idle: set[asyncio.StreamWriter] = set()
        self._ended = asyncio.Event()

    @property
    def struck(self) -> list[Point | None]:
        """The points of the exchanges so far."""
        return [exchange.point for exchange in self.log]

    async def drop_idle(self) -> None:
        """Close the connections that wait for a request, so that the next one connects."""
        dropped, self._idle = self._idle, set()
        await self._drop(dropped)

    async def answer_idle(self) -> None:
        """Write an answer on each connection that waits for a request."""
        for writer in self._idle:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await settle()

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[Self]:
        """Listen on a free port of the loopback, and in the end leave nothing behind."""
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect
        server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._tls)
        address = server.sockets[0].getsockname()
        self.url = f"{'https' if self._tls else 'http'}://{HOST}:{address[1]}"

        async def sock_connect(sock: socket.socket, to: tuple[object, ...]) -> None:
            point = self._next(at_connect=True) if to == address else None
            if point is not None:
                self.log.append(Exchange(point, ""))
            if point is Point.STALL_ON_CONNECT:
                await self._ended.wait()
                raise TimeoutError
            await connect(sock, refusing if point is Point.REFUSED else to)

        # Bound and never listening: the kernel refuses, and gives the port to nobody else.
        with socket.socket() as closed, mock.patch.object(loop, "sock_connect", sock_connect):
            closed.bind((HOST, 0))
            refusing = closed.getsockname()
            try:
                yield self
            finally:
                self._ended.set()
                server.close()
                for task in self._tasks.values():
                    task.cancel()
                ended = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
                await server.wait_closed()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection that the kernel had queued can still arrive while the server ends.
        if self._ended.is_set():
            writer.transport.abort()
        else:
            super()._accept(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client went.
        finally:
            self._idle.discard(writer)
            # Python 3.11.2 raises an AttributeError for a TLS transport that was closed before.
            with suppress(OSError, AttributeError):
                writer.transport.abort()
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        # A fault hits a reused connection only once the client has committed itself to it:
        # one that breaks earlier is merely dropped from the client's pool.
        self._idle.add(writer)
        first = await reader.read(1)
        if not first or writer not in self._idle:
            return False
        self._idle.remove(writer)
        point = self._next(at_connect=False)
        head = body = b""
        method = attempt = ""
        try:
            if point not in {Point.RESET_BEFORE_REQUEST, Point.STALL_BEFORE_REQUEST}:
                request = await read_message(reader, first)
                method, target, _ = request.start.split(" ")
                attempt = request.headers.get("sdk-retry-count", "")
                if point not in {Point.RESET_IN_REQUEST, Point.STALL_IN_REQUEST}:
                    head, body = self._carry_out(method, target, request)
        finally:
            self.log.append(Exchange(point, method, attempt))
        if point and point.startswith(("reset", "close", "stall")):
            writer.write(_before_break(point, head, body))
            if point.startswith("reset"):
                reset(writer)
            while point.startswith("stall") and await reader.read(2**16):
                pass  # A transport that does not read does not see its client go.
            return False
        sent = _distorted(point, head, body)
        piece = len(sent) // 32 + 1
        while point is Point.SLOW_BYTES and len(sent) > piece:
            writer.write(sent[:piece])
            sent = sent[piece:]
            await asyncio.sleep(0.003)
        # Nothing is awaited from here to the next request: a client that has its whole response
        # finds the connection idle.
        writer.write(sent)
        return point not in {Point.GARBAGE, Point.WRONG_LENGTH_LONG, Point.UNTIL_THE_END}

    def _carry_out(self, method: str, target: str, request: Message) -> tuple[bytes, bytes]:
        """Return the head and the body of the account's answer to a request."""
        headers, body = CIMultiDict(request.headers), request.body or None
        reply = self._account.handle(
            Request(method=method, target=target, headers=headers, body=body)
        )
        answered = [f"HTTP/1.1 {reply.status} Status", *map(": ".join, reply.headers.items())]
        if reply.status != 204:
            answered.append(f"Content-Length: {len(reply.body)}")
        return "\r\n".join([*answered, "", ""]).encode(), reply.body


def _before_break(point: Point, head: bytes, body: bytes) -> bytes:
    start = head.find(b"\r\n")
    if not head or point.endswith("_after_commit"):
        return b""
    if point.endswith("_in_status_line"):
        return head[: start // 2]
    if point.endswith("_after_hints"):
        return _HINTS * 2
    if point.endswith("_in_chunk") and body:
        return _with_length(head, None, b"Transfer-Encoding: chunked") + b"ff\r\n" + body[:9]
    if point.endswith("_in_body") and body:
        return head + body[: len(body) // 2]
    return head[: (start + len(head)) // 2]


def _distorted(point: Point | None, head: bytes, body: bytes) -> bytes:
    whole = head + body
    made: dict[Point, Callable[[], bytes]] = {
        Point.RESPONSE_TWICE: lambda: whole * 2,
        Point.GARBAGE: lambda: GARBAGE,
        Point.WRONG_LENGTH_LONG: lambda: _with_length(head, len(body) + 10) + body,
        Point.WRONG_LENGTH_SHORT: lambda: _with_length(head, len(body) // 2) + body,
        Point.GZIP_BOMB: lambda: _bomb(head, body),
        Point.CONTINUE_FIRST: lambda: b"HTTP/1.1 100 Continue\r\n\r\n" + whole,
        Point.HINTS_FIRST: lambda: _HINTS * 2 + whole,
        Point.SWITCHED_PROTOCOLS: lambda: _SWITCHED,
        Point.SURPLUS_LINE: lambda: whole + b"\r\n",
        Point.SURPLUS_GARBAGE: lambda: whole + GARBAGE,
        Point.UNTIL_THE_END: lambda: _with_length(head, None, b"Connection: close") + body,
    }
    return whole if point is None or point not in made else made[point]()


def _bomb(head: bytes, body: bytes) -> bytes:
    bomb = _bomb_maker()(body)
    return _with_length(head, len(bomb), b"Content-Encoding: gzip") + bomb


def _with_length(head: bytes, length: int | None, *headers: bytes) -> bytes:
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in lines if not line.startswith(b"Content-Length:")]
    if length is not None:
        headers += (b"Content-Length: %d" % length,)
    return b"\r\n".join([*kept, *headers, b"", b""])


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


def reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
