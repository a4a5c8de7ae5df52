"""A server whose connections a test answers, breaks and watches one by one."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

from tests.support.event_loop import until
from tests.support.raw_http import PAGE


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


def page(peer: Peer) -> None:
    peer.transport.write(PAGE)
