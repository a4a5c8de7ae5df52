"""Sessions: the client's own, and one that the client is lent."""

import asyncio
import functools
import gzip
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    NotFoundError,
)
from arize_roles_async._aiohttp.internals import OF_CLASSES, resolves_names_itself
from tests.support.clients import ONCE, over
from tests.support.raw_http import PAGE, http_response, scripted

vcr: Any = import_module("vcr")  # It has no types.
BODY = PAGE.rpartition(b"\r\n")[2]
ROLE_ID = "Um9sZTo5OTk6bm9u"


async def test_own() -> None:
    """The path of the base URL is sent as it was given, and a cookie of an answer not at all."""
    with_cookie = PAGE.replace(b"\r\n", b"\r\nSet-Cookie: balancer=7; Path=/\r\n", 1)
    async with scripted(with_cookie, PAGE) as script:
        # By name, as aiohttp keeps no cookies of bare addresses.
        url = script.url.replace("127.0.0.1", "localhost")
        async with AiohttpRolesClient("key", base_url=f"{url}/%7Egate/a") as roles:
            await roles.list()
            await roles.list()
    assert script.lines == ["GET /%7Egate/a/v2/roles?limit=50"] * 2
    assert [request.headers.get("cookie") for request in script.requests] == [None, None]


@pytest.mark.parametrize(
    ("status", "length", "is_refused"),
    [
        (200, 4 << 20, False),
        (200, (4 << 20) + 1, True),
        (299, (4 << 20) + 1, True),
        (300, (4 << 20) + 1, False),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True])
async def test_long_body(*, status: int, length: int, is_refused: bool, is_packed: bool) -> None:
    """A success is refused if its body is longer than 4 MiB; of a failure the status counts."""
    body = BODY.ljust(length)
    answer = http_response(
        status,
        gzip.compress(body) if is_packed else body,
        f"Content-Encoding: {'gzip' if is_packed else 'identity'}",
    )
    async with (
        scripted(answer) as server,
        AiohttpRolesClient("key", base_url=server.url, retry=ONCE) as roles,
    ):
        (ended,) = await asyncio.gather(roles.list(), return_exceptions=True)
    assert ("it is longer than 4 MiB" in str(ended)) is is_refused


class TestLent:
    @pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")
    @pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated")
    async def test_auth(self) -> None:
        """A session that authorizes by itself is refused."""
        async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "password")) as session:
            with pytest.raises(ConfigurationError) as caught:
                AiohttpRolesClient("key", session=session)
        assert str(caught.value) == (
            "session must not have auth of its own: the client sends the API key"
        )

    @pytest.mark.parametrize(
        ("by", "sent"), [("headers", 0), ("middleware", 0), ("netrc", 0), ("second time", 2)]
    )
    async def test_authorization(
        self, by: str, sent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session that sends an `Authorization` of its own does not, and each call says so."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password hunter2\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))

        async def authorize(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            if by == "second time":
                (await handler(request)).release()
            request.headers["authorization"] = "Bearer hunter2"
            return await handler(request)

        options: dict[str, dict[str, Any]] = {
            "headers": {"headers": {"authorization": "Bearer hunter2"}},
            "netrc": {"trust_env": True},
        }
        async with (
            scripted(PAGE, PAGE) as script,
            aiohttp.ClientSession(**options.get(by, {"middlewares": (authorize,)})) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
        ):
            with pytest.raises(ClientStateError):
                await roles.list()
            with pytest.raises(ClientStateError) as caught:
                await roles.list()

        assert str(caught.value) == (
            "the lent session sends an Authorization header of its own, where the API key "
            "belongs: from its default headers, a middleware, or netrc"
        )
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert len(script.requests) == sent

    async def test_open(self) -> None:
        """A lent session is left open; the error for one that its owner closed says so."""
        async with scripted(PAGE) as script, aiohttp.ClientSession() as session:
            async with AiohttpRolesClient("key", base_url=script.url, session=session) as roles:
                await roles.list()
            assert not session.closed
            async with AiohttpRolesClient("key", base_url=script.url, session=session) as roles:
                await session.close()
                with pytest.raises(ClientStateError, match=r"^the session is closed$"):
                    await roles.list()

    @pytest.mark.parametrize("options", [{"auto_decompress": False}, {"raise_for_status": True}])
    async def test_settings(self, options: dict[str, Any]) -> None:
        """A session that leaves answers compressed, or raises for a status, changes no error."""
        body = gzip.compress(b'{"title": "Gone for good", "status": 404}')
        async with (
            scripted(http_response(404, body, "Content-Encoding: gzip")) as script,
            over(script.url, **options) as roles,
        ):
            with pytest.raises(NotFoundError, match="answered 404 Gone for good"):
                await roles.get(role_id=ROLE_ID)


class TestInternals:
    """The check of aiohttp's inside when a client is made."""

    @pytest.mark.parametrize(
        ("version", "is_supported"),
        [
            *(("3.14.0", False), ("4.0.0a2.dev0", False), ("4.1", False)),
            *(("3.14.1", True), ("3.15.0rc1", True), ("3.99", True)),
        ],
    )
    async def test_version(
        self, version: str, monkeypatch: pytest.MonkeyPatch, *, is_supported: bool
    ) -> None:
        """Every version 3 from the oldest on is accepted; the error names any other."""
        monkeypatch.setattr(aiohttp, "__version__", version)
        if is_supported:
            AiohttpRolesClient("key")
            return
        with pytest.raises(ConfigurationError) as caught:
            AiohttpRolesClient("key")
        assert str(caught.value) == (
            f"aiohttp {version} is installed, but this client needs aiohttp 3.14.1 or newer, "
            "below 4"
        )

    @pytest.mark.parametrize("name", [*OF_CLASSES, "client_proto.ResponseHandler"])
    async def test_class(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A version in which a class, a method or an attribute has another name is refused."""
        monkeypatch.setattr(aiohttp, "__version__", "3.99.0")
        monkeypatch.delattr(f"aiohttp.{name}")
        with pytest.raises(ConfigurationError, match=rf" and this one lacks {re.escape(name)}"):
            AiohttpRolesClient("key")

    @pytest.mark.parametrize("name", ["_loop", "_middlewares", "_default_proxy", "_resolver"])
    async def test_session(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is one whose sessions or connectors keep something elsewhere."""
        async with aiohttp.ClientSession() as session:
            part: Any = session.connector if name == "_resolver" else session
            with monkeypatch.context() as patch:
                patch.delattr(part, name)
                make = functools.partial(AiohttpRolesClient, "key", session=session)
                check = make if part is session else functools.partial(resolves_names_itself, part)
                with pytest.raises(ConfigurationError, match=f"lacks .*[.]{name}$"):
                    check()

    async def test_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is one whose requests keep something elsewhere."""

        class Other(aiohttp.ClientRequest):
            def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's to know
                super().__init__(*args, **kwargs)
                del self._traces

        monkeypatch.setattr(aiohttp, "ClientRequest", Other)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(ConfigurationError, match=r"this one lacks ClientRequest\._traces$"):
                AiohttpRolesClient("key", session=session)
