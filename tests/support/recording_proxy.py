"""A proxy that keeps every byte that it is sent, for tests of what a proxy gets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.support.processes import HOST


class RecordingProxy:
    """Takes `CONNECT` and absolute URLs, and keeps what it is sent itself.

    Attributes:
        url: Where it listens.
        heads: The requests to it, up to their empty line; what goes through a tunnel is no part.
        refuses: Whether it answers everything with 407.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            await _end(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode("latin-1"))
        method, target, _ = head.split(b" ", 2)
        if self.refuses:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                b'Proxy-Authenticate: Basic realm="proxy"\r\nConnection: close\r\n\r\n'
            )
            await writer.drain()
            await reader.read()
            return
        where = urlsplit(target if b"://" in target else b"//" + target)
        server_reader, server_writer = await asyncio.open_connection(
            (where.hostname or b"").decode(), where.port
        )
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server_writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        try:
            await asyncio.gather(_pass_on(reader, server_writer), _pass_on(server_reader, writer))
        finally:
            await _end(server_writer)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def recording_proxy(*, refuses: bool = False) -> AsyncGenerator[RecordingProxy]:
    """Run a proxy on a free port of the loopback."""
    proxy = RecordingProxy(refuses=refuses)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, HOST, 0)
    try:
        proxy.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
