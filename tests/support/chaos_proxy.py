"""A proxy that breaks the way to a `ChaosServer` over TLS at the points that a script names."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

from tests.support.chaos import GARBAGE, HOST, Breaking, ChaosServer, Point, reset

_REFUSALS = {
    Point.TUNNEL_REFUSED_407: b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    Point.TUNNEL_REFUSED_403: b"HTTP/1.1 403 Forbidden\r\n\r\n",
    Point.TUNNEL_REFUSED_502: b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    Point.TUNNEL_GARBAGE: GARBAGE,
    Point.TUNNEL_HALF_ANSWER: b"HTTP/1.1 200 Connec",
}
_MADE = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ChaosProxy(Breaking):
    """A proxy, while it runs; for faults of records its script has one entry an answer."""

    def __init__(self, server: ChaosServer) -> None:
        super().__init__()
        self.struck: list[Point] = []
        self.seen = b""
        """What it was asked."""
        self._server = server

    async def drop_tunnels(self) -> None:
        await self._drop([*self._tasks])

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[Self]:
        """Listen on a free port of the loopback, and in the end leave nothing behind."""
        async with await asyncio.start_server(self._accept, HOST, 0) as listening:
            self.url = f"http://{HOST}:{listening.sockets[0].getsockname()[1]}"
            yield self
            await self.is_left_alone()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            self.seen += asked
            point = self._next(at_connect=True)
            if point is not None and point.startswith("tunnel"):
                writer.write(_REFUSALS.get(point, b""))
                await _break(point, writer, reader.read)
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
        point = super()._next(at_connect=at_connect)
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


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
    writer.close()
