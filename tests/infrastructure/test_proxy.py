"""Requests to a proxy: they hold nothing that only the service or the caller may know."""

import base64
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient
from tests.support.raw_http import Script, scripted
from tests.support.recording_proxy import RecordingProxy, recording_proxy
from tests.support.tls import Authority

pytestmark = pytest.mark.asyncio

KEY = "sk-proxy-4b1f0c77d2"
OWN = "caller-9be14f77c3"
PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n"
    b'Connection: close\r\n\r\n{"roles": [], "pagination": {"has_more": false}}'
)


@asynccontextmanager
async def setting(
    directory: Path, scheme: str, credentials: str, *, lent: bool = False
) -> AsyncGenerator[tuple[AiohttpRolesClient, RecordingProxy, Script]]:
    """Yield a client behind a proxy, the proxy, and the service."""
    async with AsyncExitStack() as stack:
        authority = Authority(directory)
        tls = authority.right() if scheme == "https" else None
        service = await stack.enter_async_context(scripted(PAGE, tls=tls))
        proxy = await stack.enter_async_context(recording_proxy())
        options: dict[str, Any] = {"ca_file": authority.pem, "headers": {"X-Own": OWN}}
        if lent:
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession())
        url = proxy.url.replace("//", f"//{credentials}")
        client = AiohttpRolesClient(KEY, base_url=service.url, proxy=url, **options)
        yield await stack.enter_async_context(client), proxy, service


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("credentials", ["", "roles:pw-51d0c2b8aa@"])
@pytest.mark.parametrize("lent", [False, True])
async def test_heads(
    tmp_path: Path,
    scheme: str,
    credentials: str,
    lent: bool,  # noqa: FBT001
) -> None:
    """A proxy gets its own credentials, or none; for a tunnel the rest goes through."""
    async with setting(tmp_path, scheme, credentials, lent=lent) as (roles, proxy, service):
        await roles.list()

    (head,) = proxy.heads
    basic = base64.b64encode(credentials.removesuffix("@").encode()).decode()
    sent = [line for line in head.split("\r\n") if line.lower().startswith("proxy-auth")]
    assert sent == ([f"Proxy-Authorization: Basic {basic}"] if credentials else [])
    (request,) = service.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-own"] == OWN
    if scheme == "https":
        assert head.startswith("CONNECT 127.0.0.1:")
        assert not any(each in head for each in (KEY, OWN, "sdk-", "\r\nAuthorization"))
        assert "proxy-authorization" not in request.headers


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
