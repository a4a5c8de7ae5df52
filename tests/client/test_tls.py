import asyncio
import contextlib
import functools
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    ConfigurationError,
    RetryPolicy,
    RolesConnectionError,
    StatusError,
)
from tests.support.clients import sleeping
from tests.support.raw_http import scripted
from tests.support.tls import Authority

KEY = "a-very-secret-key"
BODY = b'{"roles": [], "pagination": {"has_more": false}}'
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n" + BODY


class Server:
    def __init__(self) -> None:
        self.url = ""
        self.handshakes = 0
        """Connection attempts, whatever became of them."""
        self.received = b""
        """The bytes that arrived, decrypted after any handshake."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received += await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        await reader.read()
        writer.close()


@asynccontextmanager
async def secured(context: ssl.SSLContext) -> AsyncGenerator[Server]:
    def ignore(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        assert "SSL" in context["message"]

    def count(*_: object) -> None:
        server.handshakes += 1

    server = Server()
    context.sni_callback = count
    # A handshake that the client breaks off is no error of the server's.
    asyncio.get_running_loop().set_exception_handler(ignore)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        server.url = f"https://localhost:{listening.sockets[0].getsockname()[1]}"
        yield server


def client(url: str, **options: Any) -> AiohttpRolesClient:  # noqa: ANN401
    async def sleep(_: float) -> None:
        raise AssertionError("it was about to try again")

    return sleeping(sleep)(KEY, base_url=url, **options)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARIZE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


REFUSED = pytest.mark.parametrize(
    ("flaw", "why"),
    [
        ("wrong CA", "self-signed certificate in certificate chain|unable to get local issuer"),
        ("wrong host", "Hostname mismatch"),
        ("expired", "certificate has expired"),
    ],
)


def flawed(flaw: str, tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context, and the authorities that its client trusts."""
    authority = Authority(tmp_path)
    if flaw == "wrong CA":
        other = tmp_path / "other"
        other.mkdir()
        return Authority(other).right(), authority.pem
    return authority.wrong_host() if flaw == "wrong host" else authority.expired(), authority.pem


class TestAuthority:
    """Which servers are trusted."""

    @pytest.mark.asyncio
    async def test_trusted(self, tmp_path: Path) -> None:
        """A server of the authority that is named is trusted."""
        authority = Authority(tmp_path)
        async with (
            secured(authority.right()) as server,
            client(server.url, ca_file=authority.pem) as roles,
        ):
            assert len(await roles.list()) == 0

        assert f"Authorization: Bearer {KEY}".encode() in server.received

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "variable", ["ARIZE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
    )
    async def test_environment(
        self, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The authority may be named in the environment."""
        authority = Authority(tmp_path)
        monkeypatch.setenv(variable, str(authority.pem))
        async with secured(authority.right()) as server, client(server.url) as roles:
            assert len(await roles.list()) == 0

    @pytest.mark.asyncio
    async def test_argument_wins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The argument wins over the environment."""
        authority = Authority(tmp_path)
        monkeypatch.setenv("ARIZE_SSL_CA_CERT", str(tmp_path / "nowhere.pem"))
        async with (
            secured(authority.right()) as server,
            client(server.url, ca_file=authority.pem) as roles,
        ):
            assert len(await roles.list()) == 0

    @pytest.mark.asyncio
    @REFUSED
    @pytest.mark.parametrize("call", ["list", "create"])
    async def test_untrusted(self, flaw: str, why: str, call: str, tmp_path: Path) -> None:
        """A server that is not trusted gets nothing, and is tried once."""
        context, trusted = flawed(flaw, tmp_path)
        async with secured(context) as server, client(server.url, ca_file=trusted) as roles:
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "list": roles.list,
                "create": functools.partial(
                    roles.create, name="Made", permissions=["PROJECT_READ"]
                ),
            }
            with pytest.raises(RolesConnectionError) as caught:
                await calls[call]()

        assert caught.value.certificate
        assert not caught.value.sent
        assert "the server's certificate is not trusted" in str(caught.value)
        assert re.search(why, str(caught.value))
        assert server.handshakes == 1
        assert server.received == b""

    @pytest.mark.asyncio
    async def test_replaced_file(self, tmp_path: Path) -> None:
        """Clients share what they read of a file, until it is replaced."""
        trusted = tmp_path / "trusted.pem"
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            authority = Authority(tmp_path / name)
            trusted.write_bytes(authority.pem.read_bytes())
            for _ in range(2):
                async with (
                    secured(authority.right()) as server,
                    client(server.url, ca_file=trusted) as roles,
                ):
                    assert len(await roles.list()) == 0

    @pytest.mark.asyncio
    @REFUSED
    async def test_lent_session(self, flaw: str, why: str, tmp_path: Path) -> None:
        """A lent session is held to the client's authorities, too."""
        context, trusted = flawed(flaw, tmp_path)
        async with (
            secured(context) as server,
            aiohttp.ClientSession() as session,
            client(server.url, ca_file=trusted, session=session) as roles,
        ):
            with pytest.raises(RolesConnectionError, match=why) as caught:
                await roles.list()

        assert caught.value.certificate
        assert server.received == b""

    @pytest.mark.asyncio
    async def test_lent_unverified(self, tmp_path: Path) -> None:
        """A lent session that checks no certificates checks them for a client that wants it."""
        async with (
            secured(Authority(tmp_path).right()) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
        ):
            assert len(await client(server.url, session=session).list()) == 0
            with pytest.raises(RolesConnectionError) as caught:
                await client(server.url, session=session, verify=True).list()

        assert caught.value.certificate

    @pytest.mark.asyncio
    async def test_unnamed(self, tmp_path: Path) -> None:
        """An authority that nobody named is not trusted."""
        async with secured(Authority(tmp_path).right()) as server, client(server.url) as roles:
            with pytest.raises(RolesConnectionError) as caught:
                await roles.list()

        assert caught.value.certificate
        assert server.received == b""

    @pytest.mark.asyncio
    @REFUSED
    async def test_no_verify(
        self,
        flaw: str,
        why: str,  # noqa: ARG002 - another test's
        tmp_path: Path,
    ) -> None:
        """A client with `verify=False` does not verify."""
        context, _ = flawed(flaw, tmp_path)
        async with secured(context) as server, client(server.url, verify=False) as roles:
            assert len(await roles.list()) == 0

    @pytest.mark.asyncio
    async def test_no_verify_env(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Verification can be turned off in the environment."""
        monkeypatch.setenv("ARIZE_REQUEST_VERIFY", "false")
        async with secured(Authority(tmp_path).right()) as server, client(server.url) as roles:
            assert len(await roles.list()) == 0

    @pytest.mark.asyncio
    async def test_no_tls(self) -> None:
        """A server that speaks no TLS is a failure to connect."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await reader.read(2**16))
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        received: list[bytes] = []
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            once = RetryPolicy(attempts=1)
            async with AiohttpRolesClient(KEY, base_url=url, retry=once) as roles:
                with pytest.raises(RolesConnectionError, match="cannot connect") as caught:
                    await roles.create(name="Made", permissions=["PROJECT_READ"])

        assert not caught.value.certificate
        assert not caught.value.sent
        assert KEY.encode() not in b"".join(received)

    @pytest.mark.parametrize("missing", ["nowhere.pem", "empty.pem"])
    def test_unreadable(self, missing: str, tmp_path: Path) -> None:
        """Authorities that cannot be read are refused at once."""
        (tmp_path / "empty.pem").touch()

        with pytest.raises(ConfigurationError, match=missing):
            AiohttpRolesClient(KEY, ca_file=tmp_path / missing)

    @pytest.mark.asyncio
    async def test_folder(self, tmp_path: Path) -> None:
        """Authorities may be in a folder; an empty one trusts nobody."""
        authority = Authority(tmp_path)
        folder = tmp_path / "folder"
        folder.mkdir()
        async with secured(authority.right()) as server:
            async with client(server.url, ca_file=folder) as roles:
                with pytest.raises(RolesConnectionError) as caught:
                    await roles.list()
            assert caught.value.certificate

            (folder / authority.hashed_name()).write_bytes(authority.pem.read_bytes())
            async with client(server.url, ca_file=folder) as roles:
                assert len(await roles.list()) == 0


async def refuse(
    context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Fail a handshake, and say why, which asyncio's own servers do not."""
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


class TestConnection:
    """The requests that secured and plain connections may carry."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("lent", [False, True])
    async def test_redirect(
        self,
        status: int,
        lent: bool,  # noqa: FBT001
    ) -> None:
        """A redirect to another origin is not followed."""
        async with scripted(PAGE) as other, aiohttp.ClientSession() as session:
            head = f"HTTP/1.1 {status} Moved\r\nLocation: {other.url}/v2/roles\r\n"
            redirect = f"{head}Content-Length: 0\r\n\r\n".encode()
            async with (
                scripted(redirect) as script,
                client(script.url, session=session if lent else None) as roles,
            ):
                with pytest.raises(StatusError, match="does not follow") as caught:
                    await roles.list()

        assert caught.value.status == status
        assert other.connections == 0

    @pytest.mark.asyncio
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("lent", [False, True])
    @pytest.mark.parametrize("call", ["list", "create"])
    async def test_certificate_wanted(
        self,
        version: ssl.TLSVersion,
        lent: bool,  # noqa: FBT001
        call: str,
        tmp_path: Path,
    ) -> None:
        """With TLS 1.3 the server says so only after the request was sent, and takes nothing."""
        authority = Authority(tmp_path)
        context = authority.right()
        context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.pem)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # By hand, since asyncio closes a failed connection without OpenSSL's last words.
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_side=True)
            with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):  # noqa: PT012 - it may take any number of steps
                while True:
                    try:
                        tls.do_handshake()
                    except ssl.SSLWantReadError:
                        writer.write(outgoing.read())
                        incoming.write(await reader.read(2**16))
            writer.write(outgoing.read())
            await reader.read()
            writer.close()

        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0) as server,
            aiohttp.ClientSession() as session,
        ):
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
            lent_session = session if lent else None
            async with client(url, ca_file=authority.pem, session=lent_session) as roles:
                calls: dict[str, Callable[[], Awaitable[object]]] = {
                    "list": roles.list,
                    "create": functools.partial(
                        roles.create, name="Made", permissions=["PROJECT_READ"]
                    ),
                }
                with pytest.raises(RolesConnectionError) as caught:
                    await calls[call]()

        verb = "may require" if version is ssl.TLSVersion.TLSv1_2 else "requires"
        assert (
            f"{url.removeprefix('https://')} {verb} a client certificate; "
            "pass a session= that has one: "
        ) in str(caught.value)
        assert caught.value.certificate
        assert not caught.value.sent

    @pytest.mark.parametrize(
        "url", ["http://api.arize.com", "http://192.0.2.1:8080", "http://localhost.example"]
    )
    def test_plain_http(self, url: str) -> None:
        """Plain http to another host is refused unless asked for by name."""
        with pytest.raises(ConfigurationError, match="allow_http=True"):
            AiohttpRolesClient(KEY, base_url=url)

        AiohttpRolesClient(KEY, base_url=url, allow_http=True)

    @pytest.mark.parametrize(
        "url", ["http://localhost", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:8080"]
    )
    def test_loopback(self, url: str) -> None:
        """Plain http to this host is allowed."""
        AiohttpRolesClient(KEY, base_url=url)

    @pytest.mark.asyncio
    async def test_secured_break(self, tmp_path: Path) -> None:
        """A secured connection that breaks before an answer is a failed connection."""
        authority = Authority(tmp_path)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()

        async with await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=authority.right()
        ) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            once = RetryPolicy(attempts=1)
            async with client(url, ca_file=authority.pem, retry=once) as roles:
                with pytest.raises(RolesConnectionError):
                    await roles.list()

    @pytest.mark.asyncio
    @pytest.mark.parametrize("operation", ["get", "delete", "create"])
    async def test_client_certificate(self, tmp_path: Path, operation: str) -> None:
        """A server that requires a client certificate has done nothing, and the error says why."""
        authority = Authority(tmp_path)
        context = authority.right()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.pem)
        calls: dict[str, Callable[[AiohttpRolesClient], Awaitable[object]]] = {
            "get": lambda roles: roles.get(role_id="Um9sZToxOmFCY0Q="),
            "delete": lambda roles: roles.delete(role_id="Um9sZToxOmFCY0Q="),
            "create": lambda roles: roles.create(name="Made", permissions=["PROJECT_READ"]),
        }
        refuses = functools.partial(refuse, context)
        async with await asyncio.start_server(refuses, "127.0.0.1", 0) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with client(url, ca_file=authority.pem) as roles:
                with pytest.raises(RolesConnectionError, match="requires a client cert") as caught:
                    await calls[operation](roles)

        assert caught.value.certificate

    @pytest.mark.asyncio
    async def test_other_certificate(self, tmp_path: Path) -> None:
        """So has one that does not know the authority of the certificate that it was shown."""
        authority, other = Authority(tmp_path), Authority(tmp_path, "other")
        context = authority.right()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.pem)
        shown = ssl.create_default_context(cafile=authority.pem)
        shown.load_cert_chain(other.issue("client.example"))
        refuses = functools.partial(refuse, context)
        async with (
            await asyncio.start_server(refuses, "127.0.0.1", 0) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=shown)) as session,
        ):
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with client(url, session=session) as roles:
                with pytest.raises(RolesConnectionError, match="requires a client cert") as caught:
                    await roles.create(name="Made", permissions=["PROJECT_READ"])

        assert "UNKNOWN_CA" in str(caught.value)
        assert caught.value.certificate
        assert not caught.value.sent
