"""The errors for a proxy that is not there, refuses, or is not trusted."""

import asyncio
import functools
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from tests.support.clients import sleeping
from tests.support.recording_proxy import recording_proxy
from tests.support.tls import Authority

pytestmark = pytest.mark.asyncio

KEY = "a-very-secret-key"
BODY = b'{"roles": [], "pagination": {"has_more": false}}'
PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Content-Length: 48\r\nConnection: close\r\n\r\n" + BODY
)


@asynccontextmanager
async def client(*, lent: bool, **options: Any) -> AsyncGenerator[AiohttpRolesClient]:  # noqa: ANN401
    async def sleep(_: float) -> None:
        raise AssertionError("it was about to try again")

    session = aiohttp.ClientSession() if lent else None
    async with sleeping(sleep)(KEY, session=session, **options) as roles:
        yield roles
    if session is not None:
        await session.close()


LENT = pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])
Scheme = Literal["http", "https"]


class TestRefusal:
    @LENT
    @SCHEMES
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_credentials(self, scheme: Scheme, method: str, *, lent: bool) -> None:
        """A 407 is never tried again; the error names the proxy and says what it refused."""
        async with (
            recording_proxy(refuses=True) as proxy,
            client(
                lent=lent,
                base_url=f"{scheme}://localhost:9",
                proxy=proxy.url.replace("//", "//user:wrong-one@"),
            ) as roles,
        ):
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "GET": roles.list,
                "POST": functools.partial(roles.create, name="Made", permissions=["PROJECT_READ"]),
            }
            with pytest.raises(RolesConnectionError) as caught:
                await calls[method]()

        assert str(caught.value) == (
            f"{method} /v2/roles: the proxy {proxy.url.removeprefix('http://')} refused the "
            "credentials of the client (407): check the user and password in the proxy's URL"
        )
        assert caught.value.credentials
        assert not caught.value.sent
        assert len(proxy.heads) == 1

    @LENT
    @SCHEMES
    async def test_no_credentials(self, scheme: Scheme, *, lent: bool) -> None:
        """Where the proxy's URL has no user and password, the error says so."""
        async with (
            recording_proxy(refuses=True) as proxy,
            client(lent=lent, base_url=f"{scheme}://localhost:9", proxy=proxy.url) as roles,
        ):
            with pytest.raises(RolesConnectionError) as caught:
                await roles.list()

        assert str(caught.value) == (
            f"GET /v2/roles: the proxy {proxy.url.removeprefix('http://')} requires a user and "
            "password (407), and the proxy's URL has none"
        )
        assert caught.value.credentials

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    async def test_session_credentials(self) -> None:
        """The credentials that a lent session has besides its proxy's URL count."""
        auth = aiohttp.BasicAuth("user", "wrong-one")
        async with (
            recording_proxy(refuses=True) as proxy,
            aiohttp.ClientSession(proxy=proxy.url, proxy_auth=auth) as session,
            AiohttpRolesClient(KEY, base_url="https://localhost:9", session=session) as roles,
        ):
            with pytest.raises(RolesConnectionError, match="refused the credentials"):
                await roles.list()

    async def test_session_proxy(self) -> None:
        """The proxy of a lent session is named too."""
        async with (
            recording_proxy(refuses=True) as proxy,
            aiohttp.ClientSession(proxy=proxy.url.replace("//", "//user:wrong-one@")) as session,
            AiohttpRolesClient(KEY, base_url="https://localhost:9", session=session) as roles,
        ):
            with pytest.raises(RolesConnectionError, match=r"the proxy 127\.0\.0\.1:") as caught:
                await roles.list()

        assert caught.value.credentials
        assert "wrong-one" not in str(caught.value)

    async def test_tunnel(self) -> None:
        """A proxy that cannot reach the service is named, and nothing was sent."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            proxy = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with AiohttpRolesClient(
                KEY,
                base_url="https://arize.example",
                proxy=f"http://user:hunter2@{proxy}",
                retry=RetryPolicy(attempts=1),
            ) as roles:
                with pytest.raises(RolesConnectionError) as caught:
                    await roles.create(name="Made", permissions=["PROJECT_READ"])

        failure = (
            "ClientHttpProxyError: 503, message='Service Unavailable', "
            f"url='http://user:[password]@{proxy}'"
        )
        assert str(caught.value) == (
            f"POST /v2/roles: the proxy {proxy} refused to connect to arize.example:443: {failure}"
        )
        # In place of aiohttp's error, which holds the password.
        assert type(caught.value.__cause__) is RolesError
        assert str(caught.value.__cause__) == failure
        assert not caught.value.sent
        assert not caught.value.credentials


class TestNoConnection:
    @SCHEMES
    @LENT
    async def test_refused(self, scheme: Scheme, refusing_port: int, *, lent: bool) -> None:
        """An error names the proxy that is not there, and the service behind it."""
        async with client(
            lent=lent,
            base_url=f"{scheme}://localhost:9",
            proxy=f"http://user:hunter2@127.0.0.1:{refusing_port}",
            retry=RetryPolicy(attempts=1),
        ) as roles:
            with pytest.raises(RolesConnectionError) as caught:
                await roles.list()

        assert str(caught.value).startswith(
            f"GET /v2/roles: cannot connect to the proxy 127.0.0.1:{refusing_port} on the way "
            "to localhost:9: "
        )
        assert not caught.value.sent
        assert "hunter2" not in str(caught.value)

    @LENT
    async def test_silent(self, *, lent: bool) -> None:
        """A connection that takes too long names the service and the proxy."""

        with socket.create_server(("127.0.0.1", 0)) as proxy:
            port = proxy.getsockname()[1]
            async with client(
                lent=lent,
                base_url="https://arize.example",
                proxy=f"http://127.0.0.1:{port}",
                timeout=Timeouts(connect=0.05),
                retry=RetryPolicy(attempts=1),
            ) as roles:
                with pytest.raises(RolesTimeoutError) as caught:
                    await roles.list()

        assert str(caught.value) == (
            "GET /v2/roles: no connection to arize.example:443 through the proxy "
            f"127.0.0.1:{port} (connect limit of 0.05 s, 1 attempt)"
        )
        assert not caught.value.sent


async def never_called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raise AssertionError((reader, writer))


async def test_ca_file(tmp_path: Path) -> None:
    """`ca_file` counts for an https proxy in front of plain http."""
    authority = Authority(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    context = authority.right()
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        proxy = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        options: dict[str, Any] = {"base_url": "http://localhost:9", "proxy": proxy}
        async with AiohttpRolesClient(KEY, ca_file=authority.pem, **options) as roles:
            assert len(await roles.list()) == 0
        async with AiohttpRolesClient(KEY, **options) as roles:
            with pytest.raises(RolesConnectionError) as caught:
                await roles.list()

    assert caught.value.certificate


async def test_other_ca_file(tmp_path: Path) -> None:
    """A `ca_file` for plain http does not keep a lent session from checking its https proxy."""
    other = Authority(tmp_path, "other")
    server = await asyncio.start_server(
        never_called, "127.0.0.1", 0, ssl=Authority(tmp_path).right()
    )
    async with server:
        proxy = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with aiohttp.ClientSession(proxy=proxy) as session:
            roles = AiohttpRolesClient(
                KEY, base_url="http://localhost:9", ca_file=other.pem, session=session
            )
            with pytest.raises(RolesConnectionError) as caught:
                await roles.list()

    assert caught.value.certificate
