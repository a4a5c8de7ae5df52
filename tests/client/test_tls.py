"""TLS and proxies: who is trusted, what a proxy gets, and the errors for what refuses."""

import asyncio
import base64
import contextlib
import shutil
import socket
import ssl
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from arize_roles_async import (
    AiohttpRolesClient,
    ConfigurationError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
)
from tests.support import clients
from tests.support.clients import LENT, ONCE, over, own_or_lent, trying_once
from tests.support.processes import ran
from tests.support.raw_http import PAGE, http_response, scripted
from tests.support.tls import Authority

KEY = "a-very-secret-key"


client = partial(own_or_lent, trying_once, KEY)


async def create(roles: AiohttpRolesClient) -> Any:  # noqa: ANN401 - it may be of two classes
    """Return the error of a create of which nothing was sent."""
    with pytest.raises((RolesConnectionError, RolesTimeoutError)) as caught:
        await clients.create(roles)
    error: Any = caught.value
    assert not error.sent
    assert "hunter2" not in "".join(traceback.format_exception(error))
    return error


async def failed(url: str, **options: Any) -> Any:  # noqa: ANN401
    async with client(url, **options) as roles:
        return await create(roles)


UNTRUSTED = "the server's certificate is not trusted"
WANTED = "a client certificate; pass a session= that has one"


class TestAuthority:
    """Which servers are trusted."""

    @pytest.mark.parametrize("flaw", ["wrong CA", "no CA", "wrong host"])
    @LENT
    async def test_untrusted(self, flaw: str, tmp_path: Path, *, lent: bool) -> None:
        """A server that is not trusted gets nothing, and is tried once."""
        authority, other = Authority(tmp_path), Authority(tmp_path, "other")
        contexts = {"wrong CA": other.right, "wrong host": authority.wrong_host}
        context = contexts.get(flaw, authority.right)()
        context.sni_callback = handshakes = Mock(return_value=None)
        ca_file = None if flaw == "no CA" else authority.pem
        async with scripted(PAGE, tls=context) as server:
            error = await failed(server.url, ca_file=ca_file, lent=lent)
        found = error.__cause__ and error.__cause__.__cause__
        assert isinstance(found, ssl.SSLCertVerificationError)
        assert str(error) == f"POST /v2/roles: {UNTRUSTED}: {found.verify_message}"
        assert error.certificate
        assert handshakes.call_count == 1
        assert server.requests == []

    @LENT
    async def test_no_verify(self, tmp_path: Path, *, lent: bool) -> None:
        """A client with `verify=False` does not verify."""
        context, off = Authority(tmp_path).wrong_host(), {"verify": False, "lent": lent}
        async with scripted(PAGE, tls=context) as server, client(server.url, **off) as roles:
            assert len(await roles.list()) == 0

    @LENT
    async def test_loosened(self, tmp_path: Path, *, lent: bool) -> None:
        """A middleware that turns off the checks of its own client leaves those of others on."""

        async def loosen(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            assert isinstance(request.ssl, ssl.SSLContext)
            request.ssl.check_hostname = False
            request.ssl.verify_mode = ssl.CERT_NONE
            return await handler(request)

        authority, of_session = Authority(tmp_path), {"middlewares": [loosen]}
        trusted = {"ca_file": authority.pem}
        async with (
            scripted(PAGE, tls=authority.wrong_host()) as server,
            client(server.url, **trusted, lent=True, of_session=of_session) as loosened,
        ):
            assert len(await loosened.list()) == 0
            assert (await failed(server.url, **trusted, lent=lent)).certificate

    async def test_lent_unverified(self, tmp_path: Path) -> None:
        """A lent session that checks no certificates checks them for a client that wants it."""
        async with (
            scripted(PAGE, tls=Authority(tmp_path).right()) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
        ):
            make = partial(AiohttpRolesClient, KEY, base_url=server.url, session=session)
            assert len(await make().list()) == 0
            assert (await create(make(verify=True))).certificate

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
    async def test_folder(self, tmp_path: Path) -> None:
        """Authorities may be in a folder, in files with the names that `openssl rehash` makes."""
        authority = Authority(tmp_path)
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "authority.pem").write_bytes(authority.pem.read_bytes())
        async with scripted(PAGE, tls=authority.right()) as server:
            with pytest.raises(ConfigurationError) as caught:
                AiohttpRolesClient(KEY, base_url=server.url, ca_file=folder)
            assert str(caught.value) == (
                f"the folder '{folder}' holds no certificate under a name that OpenSSL looks for, "
                "such as 'a1b2c3d4.0': run `openssl rehash` on it"
            )
            assert ran("openssl", "rehash", folder).returncode == 0
            async with client(server.url, ca_file=folder) as roles:
                assert len(await roles.list()) == 0


@LENT
async def test_redirect(*, lent: bool) -> None:
    """A redirect to another origin is not followed."""
    async with scripted(PAGE) as other:
        redirect = http_response(307, b"", f"Location: {other.url}/v2/roles")
        async with scripted(redirect) as script, client(script.url, lent=lent) as roles:
            with pytest.raises(StatusError, match="does not follow") as caught:
                await roles.list()
    assert caught.value.status == 307
    assert other.connections == 0


@asynccontextmanager
async def asking(context: ssl.SSLContext, authority: Authority) -> AsyncGenerator[str]:
    """Serve handshakes that fail for want of a certificate of this authority.

    By hand, since asyncio closes a failed connection without OpenSSL's last words.
    """
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.pem)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake = context.wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(ssl.SSLError):
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    handshake.do_handshake()
                writer.write(outgoing.read())
                incoming.write(await reader.read(2**16))
        writer.write(outgoing.read())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"


@LENT
@pytest.mark.parametrize(
    ("version", "verb"),
    [(ssl.TLSVersion.TLSv1_2, "may require"), (ssl.TLSVersion.TLSv1_3, "requires")],
)
async def test_wanted(version: ssl.TLSVersion, verb: str, tmp_path: Path, *, lent: bool) -> None:
    """A server that wants a client certificate, with TLS 1.3 once it is asked, has done nothing."""
    authority = Authority(tmp_path)
    context = authority.right()
    context.maximum_version = version
    async with asking(context, authority) as host:
        error = await failed(f"https://{host}", ca_file=authority.pem, lent=lent)
    assert f"{host} {verb} {WANTED}: " in str(error)
    assert error.certificate


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"verify_message": "it is of another host"}, f"{UNTRUSTED}: it is of another host"),
        (
            {"reason": "TLSV1_ALERT_UNKNOWN_CA", "strerror": "it wants one"},
            f"localhost:9 requires {WANTED}: SSLError: it wants one",
        ),
        (
            {"reason": "BAD_LENGTH", "strerror": "a bad length"},
            "the connection failed before the complete response arrived: SSLError: a bad length",
        ),
    ],
    ids=["not trusted", "wanted", "other"],
)
async def test_wordless(said: dict[str, str], message: str) -> None:
    """An error of OpenSSL says why, also as aiofastnet makes it: attributes, and no arguments."""
    cause = ssl.SSLError() if "reason" in said else ssl.SSLCertVerificationError()
    untrusted = aiohttp.ClientConnectorCertificateError(Mock(), cause)

    async def fail(*_: object) -> ClientResponse:
        raise aiohttp.ClientOSError(cause) if "reason" in said else untrusted from cause

    for name, value in said.items():
        setattr(cause, name, value)
    async with over("https://localhost:9", fail) as roles:
        error = await create(roles)
    assert str(error) == f"POST /v2/roles: {message}"
    assert error.certificate is (UNTRUSTED in message or WANTED in message)


# Proxies.

SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])
REFUSED = "refused the credentials of the client (407): check the user and password in its URL"
NO_USER = "requires a user and password (407), and the proxy's URL has none"
REFUSAL = http_response(407, b"", 'Proxy-Authenticate: Basic realm="proxy"')


@LENT
@SCHEMES
@pytest.mark.parametrize("user", ["", "user:hunter2"])
async def test_heads(tmp_path: Path, scheme: str, user: str, *, lent: bool) -> None:
    """A proxy gets its own credentials, or none; for a tunnel the rest goes through."""
    authority = Authority(tmp_path)
    async with (
        scripted(PAGE, tunnel=authority.right()) as proxy,
        client(
            f"{scheme}://localhost:9",
            lent=lent,
            proxy=proxy.url.replace("//", f"//{user}@" if user else "//"),
            ca_file=authority.pem,
            headers={"X-Own": "own"},
        ) as roles,
    ):
        await roles.list()
    head, request = proxy.requests[0].headers, proxy.requests[-1].headers
    basic = base64.b64encode(user.encode()).decode()
    assert head.get("proxy-authorization") == (f"Basic {basic}" if user else None)
    assert request["authorization"] == f"Bearer {KEY}"
    assert {"x-own", "sdk-language"} <= request.keys()
    if scheme == "https":
        assert proxy.requests[0].start == "CONNECT localhost:9 HTTP/1.1"
        assert not {"authorization", "x-own", "sdk-language"} & head.keys()
        assert "proxy-authorization" not in request


@LENT
@SCHEMES
@pytest.mark.parametrize(("user", "why"), [("user:wrong-one@", REFUSED), ("", NO_USER)])
async def test_credentials(scheme: str, user: str, why: str, *, lent: bool) -> None:
    """A 407 is never tried again; the error names the proxy and says what it refused."""
    async with scripted(REFUSAL, REFUSAL) as proxy:
        place = proxy.url.removeprefix("http://")
        error = await failed(f"{scheme}://localhost:9", lent=lent, proxy=f"http://{user}{place}")
    assert str(error) == f"POST /v2/roles: the proxy {place} {why}"
    assert error.credentials
    assert len(proxy.requests) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("in_url", [True, False])
async def test_session(*, in_url: bool) -> None:
    """The proxy of a lent session is named too, and its credentials beside the URL count."""
    async with scripted(REFUSAL) as proxy:
        url = proxy.url.replace("//", "//user:wrong-one@") if in_url else proxy.url
        auth = None if in_url else aiohttp.BasicAuth("user", "wrong-one")
        of_session = {"proxy": url, "proxy_auth": auth}
        error = await failed("https://localhost:9", lent=True, of_session=of_session)
    place = proxy.url.removeprefix("http://")
    assert str(error) == f"POST /v2/roles: the proxy {place} {REFUSED}"


async def test_tunnel() -> None:
    """A proxy that cannot reach the service is named, and nothing was sent."""
    async with scripted(http_response(503)) as script:
        proxy = script.url.removeprefix("http://")
        error = await failed(
            "https://arize.example", proxy=f"http://user:hunter2@{proxy}", retry=ONCE
        )
    why = f"POST /v2/roles: the proxy {proxy} refused to connect to arize.example:443: "
    assert str(error).startswith(f"{why}ClientHttpProxyError")
    # In place of aiohttp's error, which holds the password.
    assert type(error.__cause__) is RolesError
    assert str(error) == f"{why}{error.__cause__}"
    assert not error.credentials


@SCHEMES
@LENT
async def test_refused(scheme: str, refusing_port: int, *, lent: bool) -> None:
    """An error names the proxy that is not there, and the service behind it."""
    proxy = f"http://user:hunter2@127.0.0.1:{refusing_port}"
    error = await failed(f"{scheme}://localhost:9", lent=lent, proxy=proxy, retry=ONCE)
    assert str(error).startswith(
        f"POST /v2/roles: cannot connect to the proxy 127.0.0.1:{refusing_port} on the way "
        "to localhost:9: "
    )


@LENT
async def test_silent(*, lent: bool) -> None:
    """A connection that takes too long names the service and the proxy."""
    limits: Any = {"timeout": Timeouts(connect=0.05), "retry": ONCE}
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = f"127.0.0.1:{server.getsockname()[1]}"
        error = await failed("https://arize.example", lent=lent, proxy=f"http://{proxy}", **limits)
    assert str(error) == (
        f"POST /v2/roles: no connection to arize.example:443 through the proxy {proxy} "
        "(connect limit of 0.05 s, 1 attempt)"
    )


async def test_ca_file(tmp_path: Path) -> None:
    """`ca_file` counts for an https proxy of the client's, and not for that of a lent session."""
    url, authority, other = "http://localhost:9", Authority(tmp_path), Authority(tmp_path, "other")
    async with scripted(PAGE, tls=authority.right()) as script:
        async with client(url, ca_file=authority.pem, proxy=script.url) as roles:
            assert len(await roles.list()) == 0
        assert (await failed(url, proxy=script.url)).certificate
        of_session = {"proxy": script.url}
        error = await failed(url, lent=True, of_session=of_session, ca_file=other.pem)
        assert error.certificate
