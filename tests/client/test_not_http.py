"""Answers that are not valid HTTP, on connections as they come from aiohttp: plain and TLS."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.connector import Connection

from arize_roles_async import (
    AiohttpRolesClient,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
)
from tests.support.event_loop import EACH_LOOP, run_on, until
from tests.support.tls import Authority

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "long header": OK + b"X: " + b"x" * 9000 + b"\r\n\r\n",
    "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no length": OK + b"Content-Length: x\r\n\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\r\n\r\n",
    "NUL": OK + b"X: a\x00b\r\n\r\n",
    "garbage": b"\xff" * 100 + b"\r\n\r\n",
}
"""Each has the end of a line, before which aiohttp's parser in Python judges nothing."""
EACH_SCHEME = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Server:
    """Sends the same bytes to every connection once it was asked, and leaves it open.

    None ends the connection instead.
    """

    def __init__(self, answer: bytes | None) -> None:
        self.url = ""
        self.open = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self._answer is not None:
                writer.write(self._answer)
                await reader.read()
        except OSError:
            pass
        finally:
            self.open -= 1
            writer.transport.abort()


@asynccontextmanager
async def serve(answer: bytes | None, context: ssl.SSLContext | None) -> AsyncGenerator[Server]:
    server = Server(answer)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        scheme = "http" if context is None else "https"
        server.url = f"{scheme}://localhost:{listening.sockets[0].getsockname()[1]}"
        yield server
        # Within a second; asyncio's own end of a TLS session takes up to thirty.
        async with asyncio.timeout(1.0):
            await until(lambda: not server.open)


def client(server: Server, authority: Authority, **options: Any) -> AiohttpRolesClient:  # noqa: ANN401
    return AiohttpRolesClient(
        "key",
        base_url=server.url,
        ca_file=authority.pem,
        retry=RetryPolicy(attempts=1),
        **options,
    )


@EACH_LOOP
@EACH_SCHEME
@pytest.mark.parametrize("answer", [*ANSWERS.values(), None], ids=[*ANSWERS, "nothing"])
def test_error(new_loop: NewLoop, tmp_path: Path, answer: bytes | None, *, tls: bool) -> None:
    """It is a failed connection, which ends at once; a change may have been made."""

    async def main() -> None:
        authority = Authority(tmp_path)
        async with (
            serve(answer, authority.right() if tls else None) as server,
            client(server, authority) as roles,
        ):
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.create(name="Made", permissions=["PROJECT_READ"])
        assert isinstance(caught.value.__cause__, RolesConnectionError)

    run_on(new_loop, main())


@EACH_LOOP
@EACH_SCHEME
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_cancelled(new_loop: NewLoop, tmp_path: Path, answer: bytes, *, tls: bool) -> None:
    """A call that is cancelled as it comes is cancelled."""

    class Watched(aiohttp.TCPConnector):
        async def connect(self, *args: Any, **kwargs: Any) -> Connection:  # noqa: ANN401
            connection = await super().connect(*args, **kwargs)
            protocols.append(connection.protocol)
            return connection

    async def page(roles: AiohttpRolesClient) -> object:
        return await roles.list()

    protocols: list[Any] = []

    async def main() -> None:
        authority = Authority(tmp_path)
        async with (
            serve(answer, authority.right() if tls else None) as server,
            aiohttp.ClientSession(connector=Watched()) as session,
        ):
            call = asyncio.create_task(page(client(server, authority, session=session)))
            await until(lambda: protocols and protocols[0].exception())
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    run_on(new_loop, main())
