"""A proxy that breaks the way to a `ChaosServer` over TLS at the points that a script names."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.support.chaos import GARBAGE, HOST, ChaosServer, Point, reset

_REFUSALS = {
    Point.TUNNEL_REFUSED_407: b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    Point.TUNNEL_REFUSED_403: b"HTTP/1.1 403 Forbidden\r\n\r\n",
    Point.TUNNEL_REFUSED_502: b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    Point.TUNNEL_GARBAGE: GARBAGE,
    Point.TUNNEL_HALF_ANSWER: b"HTTP/1.1 200 Connec",
}
_MADE = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ChaosProxy:
    """A proxy; `chaos_proxy` starts and ends it.

    Attributes:
        script: One entry a tunnel for faults of tunnels and handshakes; for those of records one an
            answer, None for a clean one.
        struck: The points so far.
        seen: What it was asked.
        url: Where the client connects.
    """

    def __init__(self, server: ChaosServer) -> None:
        self.script: list[Point | None] = []
        self.struck: list[Point] = []
        self.seen = b""
        self.url = ""
        self._server = server
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def drop_tunnels(self) -> None:
        """Close every tunnel, and see the client close it, too."""
        for writer in self._tasks.values():
            with suppress(OSError):
                writer.write_eof()
        await self.is_left_alone()

    async def is_left_alone(self) -> bool:
        """Return True if every tunnel ends by itself, in time for a busy machine."""
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=10.0)
        return not self._tasks

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks[task] = writer
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            self.seen += asked
            point = self._next(at_connect=True)
            if point is not None and point.startswith("tunnel"):
                writer.write(_REFUSALS.get(point, b""))
                await _break(point, writer, lambda: _copy(reader, None))
                return
            host, _, port = asked.split(b" ")[1].rpartition(b":")
            service = await asyncio.open_connection(host.decode(), int(port))
            writer.write(_MADE)
            up = asyncio.create_task(_copy(reader, service[1]))
            try:
                await self._copy_back(point, service[0], writer, lambda: up)
            finally:
                up.cancel()
                service[1].transport.abort()
                await asyncio.wait([up])
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client went.
        finally:
            writer.transport.abort()

    async def _copy_back(
        self,
        point: Point | None,
        service: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gone: Callable[[], Awaitable[object]],
    ) -> None:
        answered = len(self._server.log)
        while data := await service.read(2**16):
            # What follows an exchange of the server is its answer.
            if point is None and len(self._server.log) > answered:
                answered = len(self._server.log)
                point = self._next(at_connect=False)
            if point is not None:
                writer.write(GARBAGE if point.endswith("garbage") else data[: len(data) // 2])
                await _break(point, writer, gone)
                return
            writer.write(data)

    def _next(self, *, at_connect: bool) -> Point | None:
        first = self.script[0] if self.script else None
        if not self.script or (first is not None and first.at_connect is not at_connect):
            return None
        if first is None and at_connect:
            return None
        point = self.script.pop(0)
        if point is not None:
            self.struck.append(point)
        return point


async def _break(
    point: Point, writer: asyncio.StreamWriter, gone: Callable[[], Awaitable[object]]
) -> None:
    """End a tunnel; `gone` returns what waits for the client to go."""
    if point.endswith("reset"):
        reset(writer)
    elif point.is_stall:
        await gone()
    else:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
    while data := await reader.read(2**16):
        if writer is not None:
            writer.write(data)
    if writer is not None:
        writer.close()


@asynccontextmanager
async def chaos_proxy(server: ChaosServer) -> AsyncGenerator[ChaosProxy]:
    """Run a proxy on a free port of the loopback, and leave nothing of it behind."""
    proxy = ChaosProxy(server)
    async with await asyncio.start_server(proxy.accept, HOST, 0) as listening:
        proxy.url = f"http://{HOST}:{listening.sockets[0].getsockname()[1]}"
        yield proxy
        await proxy.is_left_alone()
