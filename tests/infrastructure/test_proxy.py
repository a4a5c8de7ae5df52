"""Requests to a proxy: they hold nothing that only the service or the caller may know."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient, RolesError
from tests.support.processes import HOST
from tests.support.recording_proxy import RecordingProxy, recording_proxy
from tests.support.tls import Authority

KEY = "sk-proxy-4b1f0c77d2"
OWN = "caller-9be14f77c3"
BODY = b'{"roles": [], "pagination": {"has_more": false}}'
PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Content-Length: 48\r\nConnection: close\r\n\r\n" + BODY
)

EACH_TARGET = pytest.mark.parametrize("scheme", ["http", "https"])
EACH_PASSWORD = pytest.mark.parametrize("credentials", ["", "roles:pw-51d0c2b8aa@"])
EACH_SESSION = pytest.mark.parametrize("lent", [False, True])


@asynccontextmanager
async def service(scheme: str, authority: Authority) -> AsyncGenerator[tuple[str, list[str]]]:
    """Run a service, and yield its URL and the requests that it receives."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(PAGE)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    context = authority.right() if scheme == "https" else None
    async with await asyncio.start_server(serve, HOST, 0, ssl=context) as server:
        yield f"{scheme}://{HOST}:{server.sockets[0].getsockname()[1]}", heads


@asynccontextmanager
async def setting(
    directory: Path, scheme: str, credentials: str, *, lent: bool = False, refuses: bool = False
) -> AsyncGenerator[tuple[AiohttpRolesClient, RecordingProxy, list[str]]]:
    """Yield a client behind a proxy, the proxy, and what the service receives."""
    async with AsyncExitStack() as stack:
        authority = Authority(directory)
        url, heads = await stack.enter_async_context(service(scheme, authority))
        proxy = await stack.enter_async_context(recording_proxy(refuses=refuses))
        options: dict[str, Any] = {"ca_file": authority.pem}
        if lent:
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession())
        client = AiohttpRolesClient(
            KEY,
            base_url=url,
            proxy=proxy.url.replace("//", f"//{credentials}"),
            headers={"X-Own": OWN},
            **options,
        )
        yield await stack.enter_async_context(client), proxy, heads


def fields(head: str, name: str) -> list[str]:
    """Return the values of a header."""
    lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
    return [value for key, _, value in lines if key.lower() == name]


@pytest.mark.asyncio
@EACH_PASSWORD
@EACH_SESSION
async def test_tunnel(tmp_path: Path, credentials: str, lent: bool) -> None:  # noqa: FBT001
    """For a tunnel, a proxy gets the address and its own credentials; the rest goes through."""
    async with setting(tmp_path, "https", credentials, lent=lent) as (roles, proxy, heads):
        await roles.list()

    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {HOST}:")
    assert KEY not in head
    assert OWN not in head
    assert "sdk-" not in head.lower()
    assert fields(head, "authorization") == []
    assert fields(heads[0], "authorization") == [f"Bearer {KEY}"]
    assert fields(heads[0], "x-own") == [OWN]
    assert fields(heads[0], "proxy-authorization") == []


@pytest.mark.asyncio
@EACH_TARGET
@EACH_PASSWORD
@EACH_SESSION
async def test_credentials(
    tmp_path: Path,
    scheme: str,
    credentials: str,
    lent: bool,  # noqa: FBT001
) -> None:
    """A proxy gets its own credentials, or none."""
    async with setting(tmp_path, scheme, credentials, lent=lent) as (roles, proxy, _):
        await roles.list()

    basic = base64.b64encode(credentials.removesuffix("@").encode()).decode()
    assert [fields(head, "proxy-authorization") for head in proxy.heads] == [
        [f"Basic {basic}"] if credentials else []
    ]


@pytest.mark.asyncio
@EACH_TARGET
@EACH_SESSION
async def test_refusal(tmp_path: Path, scheme: str, lent: bool) -> None:  # noqa: FBT001
    """A proxy that refuses the credentials is asked once."""
    wrong = "roles:pw-08e6f4d217@"
    async with setting(tmp_path, scheme, wrong, lent=lent, refuses=True) as (roles, proxy, heads):
        with pytest.raises(RolesError) as caught:
            await roles.list()

    assert (len(proxy.heads), heads) == (1, [])
    assert proxy.url.removeprefix("http://") in str(caught.value)
    assert "credentials" in str(caught.value)
    assert "pw-08e6f4d217" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.asyncio
async def test_control(tmp_path: Path) -> None:
    """A session that has the key among its default headers sends it to the proxy."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        setting(tmp_path, "https", "") as (_, proxy, __),
        aiohttp.ClientSession(headers=headers) as session,
    ):
        with pytest.raises(aiohttp.ClientError):
            await session.get("https://127.0.0.1:9/", proxy=proxy.url)

    assert KEY in proxy.heads[0]
