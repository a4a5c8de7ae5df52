"""HTTP as bytes on a socket, for tests whose every byte is written by hand."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit


def http_response(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return the bytes of a response with these lines of headers, which says its length."""
    lines = [f"HTTP/1.1 {status} Status", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


PAGE = http_response(
    200, b'{"roles": [], "pagination": {"has_more": false}}', "Content-Type: application/json"
)
"""A listing without roles."""


class Message(NamedTuple):
    """A request or a response as it was on the wire."""

    start: str
    headers: dict[str, str]
    body: bytes


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Return the next message of a connection, whose body is as long as it says."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    start, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        given, value = line.split(": ", 1)
        name = given.lower()
        # Two of a name are shown as such.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Message(start, headers, body)


class Script:
    """The answers of a server, in their order, and the requests that came."""

    def __init__(self, answers: tuple[bytes | None, ...], tunnel: ssl.SSLContext | None) -> None:
        self.url = ""
        self.asked = asyncio.Event()
        self.requests: list[Message] = []
        self.connections = 0
        self.ended = 0
        self._answers = iter(answers)
        self._tunnel = tunnel

    @property
    def lines(self) -> list[str]:
        """The first line of each request, without the version of HTTP."""
        return [request.start.removesuffix(" HTTP/1.1") for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection until the script or the connection ends, then close it."""
        self.connections += 1
        try:
            for answer in self._answers:
                await self._read(reader)
                if self._tunnel and self.requests[-1].start.startswith("CONNECT "):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await writer.start_tls(self._tunnel)
                    await self._read(reader)
                if answer is None:
                    await reader.read()
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended += 1

    async def _read(self, reader: asyncio.StreamReader) -> None:
        self.requests.append(await read_message(reader))
        self.asked.set()


@asynccontextmanager
async def scripted(
    *answers: bytes | None, tls: ssl.SSLContext | None = None, tunnel: ssl.SSLContext | None = None
) -> AsyncGenerator[Script]:
    """Serve hand-written answers on a socket; None is silence until the client goes away.

    With `tunnel`, it is a proxy, too, and the service at the end of its tunnels.
    """
    script = Script(answers, tunnel)
    async with await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        script.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield script


@asynccontextmanager
async def connection(url: str) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
