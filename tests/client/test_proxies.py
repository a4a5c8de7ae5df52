"""What a proxy gets, and the errors for one that is not there, refuses, or is not trusted."""

import base64
import functools
import socket
import traceback
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from tests.support.clients import LENT, ONCE, create, own_or_lent, trying_once
from tests.support.raw_http import PAGE, http_response, scripted
from tests.support.tls import Authority

KEY = "a-very-secret-key"
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


client = functools.partial(own_or_lent, trying_once, KEY)


REFUSED = "refused the credentials of the client (407): check the user and password in its URL"
WANTED = "requires a user and password (407), and the proxy's URL has none"
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


async def failed(url: str, *, lent: bool = False, **options: Any) -> Any:  # noqa: ANN401
    """Return the error of a create of which nothing was sent."""
    async with client(url, lent=lent, **options) as roles:
        with pytest.raises((RolesConnectionError, RolesTimeoutError)) as caught:
            await create(roles)
    error: Any = caught.value
    assert not error.sent
    assert "hunter2" not in "".join(traceback.format_exception(error))
    return error


@LENT
@SCHEMES
@pytest.mark.parametrize(("user", "why"), [("user:wrong-one@", REFUSED), ("", WANTED)])
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
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    options: dict[str, Any] = {"base_url": "http://localhost:9"}
    async with scripted(PAGE, tls=authority.right()) as script:
        async with AiohttpRolesClient(
            KEY, ca_file=authority.pem, proxy=script.url, **options
        ) as roles:
            assert len(await roles.list()) == 0
        async with aiohttp.ClientSession(proxy=script.url) as session:
            for roles in (
                AiohttpRolesClient(KEY, proxy=script.url, **options),
                AiohttpRolesClient(KEY, session=session, ca_file=other.pem, **options),
            ):
                async with roles:
                    with pytest.raises(RolesConnectionError) as caught:
                        await roles.list()
                assert caught.value.certificate
