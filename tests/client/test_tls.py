"""Secured connections: which servers are trusted, and which ask for a certificate themselves."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from arize_roles_async import (
    AiohttpRolesClient,
    ConfigurationError,
    RolesConnectionError,
    StatusError,
)
from tests.support.clients import LENT, over, own_or_lent, trying_once
from tests.support.raw_http import PAGE, http_response, scripted
from tests.support.tls import Authority

KEY = "a-very-secret-key"


client = partial(own_or_lent, trying_once, KEY)


async def create(roles: AiohttpRolesClient) -> RolesConnectionError:
    """Return the error of a create whose request did not leave."""
    with pytest.raises(RolesConnectionError) as caught:
        await roles.create(name="Made", permissions=["PROJECT_READ"])
    assert not caught.value.sent
    return caught.value


UNTRUSTED = "the server's certificate is not trusted"
WANTED = "a client certificate; pass a session= that has one"


class TestAuthority:
    """Which servers are trusted."""

    @pytest.mark.parametrize("flaw", ["wrong CA", "no CA", "wrong host"])
    @LENT
    async def test_untrusted(self, flaw: str, tmp_path: Path, *, lent: bool) -> None:
        """A server that is not trusted gets nothing, and is tried once."""
        authority, other = Authority(tmp_path), Authority(tmp_path, "other")
        contexts = {
            "wrong CA": other.right,
            "wrong host": authority.wrong_host,
        }
        context = contexts.get(flaw, authority.right)()
        context.sni_callback = handshakes = Mock(return_value=None)
        ca_file = None if flaw == "no CA" else authority.pem
        async with (
            scripted(PAGE, tls=context) as server,
            client(server.url, ca_file=ca_file, lent=lent) as roles,
        ):
            error = await create(roles)
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

        authority = Authority(tmp_path)
        async with (
            scripted(PAGE, tls=authority.wrong_host()) as server,
            aiohttp.ClientSession(middlewares=[loosen]) as session,
            trying_once(
                KEY, base_url=server.url, session=session, ca_file=authority.pem
            ) as loosened,
            client(server.url, ca_file=authority.pem, lent=lent) as strict,
        ):
            assert len(await loosened.list()) == 0
            assert (await create(strict)).certificate

    async def test_lent_unverified(self, tmp_path: Path) -> None:
        """A lent session that checks no certificates checks them for a client that wants it."""
        async with (
            scripted(PAGE, tls=Authority(tmp_path).right()) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
        ):
            assert (
                len(await AiohttpRolesClient(KEY, base_url=server.url, session=session).list()) == 0
            )
            strict = AiohttpRolesClient(KEY, base_url=server.url, session=session, verify=True)
            assert (await create(strict)).certificate

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
            (folder / authority.hashed_name()).write_bytes(authority.pem.read_bytes())
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


class TestClientCertificate:
    """A server that requires a client certificate has done nothing, and the error says why."""

    @LENT
    @pytest.mark.parametrize(
        ("version", "verb"),
        [(ssl.TLSVersion.TLSv1_2, "may require"), (ssl.TLSVersion.TLSv1_3, "requires")],
    )
    async def test_none(
        self, version: ssl.TLSVersion, verb: str, tmp_path: Path, *, lent: bool
    ) -> None:
        """With TLS 1.3 the server says so only after the request was sent, and takes nothing."""
        authority = Authority(tmp_path)
        context = authority.right()
        context.maximum_version = version
        async with (
            asking(context, authority) as host,
            client(f"https://{host}", ca_file=authority.pem, lent=lent) as roles,
        ):
            error = await create(roles)
        assert f"{host} {verb} {WANTED}: " in str(error)
        assert error.certificate


@pytest.mark.parametrize(
    ("failure", "cause", "said", "message"),
    [
        (
            partial(aiohttp.ClientConnectorCertificateError, Mock()),
            ssl.SSLCertVerificationError(),
            {"verify_message": "it is of another host"},
            f"{UNTRUSTED}: it is of another host",
        ),
        (
            aiohttp.ClientOSError,
            ssl.SSLError(),
            {"reason": "TLSV1_ALERT_UNKNOWN_CA", "strerror": "it wants one"},
            f"localhost:9 requires {WANTED}: SSLError: it wants one",
        ),
        (
            aiohttp.ClientOSError,
            ssl.SSLError(),
            {"reason": "BAD_LENGTH", "strerror": "a bad length"},
            "the connection failed before the complete response arrived: SSLError: a bad length",
        ),
    ],
    ids=["not trusted", "wanted", "other"],
)
async def test_wordless(
    failure: Callable[[ssl.SSLError], Exception],
    cause: ssl.SSLError,
    said: dict[str, str],
    message: str,
) -> None:
    """An error of OpenSSL says why, also as aiofastnet makes it: attributes, and no arguments."""

    async def fail(*_: object) -> ClientResponse:
        raise failure(cause) from cause

    for name, value in said.items():
        setattr(cause, name, value)
    async with over("https://localhost:9", fail) as roles:
        error = await create(roles)
    assert str(error) == f"POST /v2/roles: {message}"
    assert error.certificate is (UNTRUSTED in message or WANTED in message)
