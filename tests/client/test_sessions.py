"""Sessions: the client's own, and one that it is lent, with its middlewares and tracers."""

import asyncio
import contextlib
import functools
import gzip
import re
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    NotFoundError,
    OutcomeUnknownError,
    RolesConnectionError,
    StatusError,
)
from arize_roles_async._aiohttp.internals import OF_CLASSES, resolves_names_itself
from arize_roles_fake import FakeAccount
from tests.support.clients import ONCE, SOON, account_at_noon, create, over, serve
from tests.support.event_loop import until
from tests.support.raw_http import PAGE, http_response, scripted

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


@asynccontextmanager
async def lent(
    account: FakeAccount,
    *middlewares: ClientMiddlewareType,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[AiohttpRolesClient]:
    async with serve(account) as url, over(url, *middlewares, retry=SOON, **options) as roles:
        yield roles


async def again(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send again after an answer that says so, as aiohttp's cookbook does."""
    response = await handler(request)
    return response if response.status < 500 else await handler(request)


async def read(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Read the body, as middlewares that log do."""
    response = await handler(request)
    await response.read()
    return response


class TestSentTwice:
    """A request that leaves a second time within an attempt may have made the change before."""

    async def test_refused(self) -> None:
        """If the last answer is a refusal, the account shows what the first time did."""
        account = account_at_noon()
        role = account.add_role("Mine", ["PROJECT_READ"])
        account.fail("update", 500, when="after")
        account.fail("update", 400)
        async with lent(account, again) as roles:
            made = await roles.update(role_id=role.id, description="New.")
        assert made == account.role("Mine")

    @pytest.mark.parametrize("by", ["failure", "cancellation"])
    async def test_after_failure(self, by: str) -> None:
        """Nothing is sent after a failure, or after a middleware cancelled a request."""

        async def insist(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            first = asyncio.ensure_future(handler(request))
            await until(lambda: script.asked.is_set() or first.done())
            if by == "cancellation":
                first.cancel()
            with contextlib.suppress(aiohttp.ClientError, asyncio.CancelledError):
                await first
            return await handler(request)

        answers = [b""] if by == "failure" else [None, PAGE]
        async with scripted(*answers) as script, over(script.url, insist) as roles:
            with pytest.raises(RolesConnectionError):
                await roles.list()
        assert script.connections == 1


@pytest.mark.parametrize("asks", [False, True], ids=["cache", "stale"])
async def test_answered_by_itself(*, asks: bool) -> None:
    """An answer that is no response to a request of the attempt is not the service's."""
    kept: list[ClientResponse] = []

    async def answer(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if asks or not kept:
            kept.append(await read(request, handler))
        return kept[0]

    account = account_at_noon()
    async with lent(account, answer) as roles:
        await create(roles, "One")
        with pytest.raises(OutcomeUnknownError if asks else ClientStateError) as caught:
            await create(roles.with_options(api_key="fake-api-key" if asks else "other"), "Two")
    assert "the lent session answered by itself: from a cache or a stand-in" in str(caught.value)
    assert asks or caught.value.__cause__ is caught.value.__context__ is None


class TestRaises:
    """A middleware or tracer that raises."""

    @pytest.mark.parametrize("by", ["middleware", "tracer"])
    async def test_mistake(self, by: str) -> None:
        """A programming error ends the call at once, and is the cause of its error."""

        async def fail(*_: object) -> Any:  # noqa: ANN401 - a middleware or a callback
            calls.append(by)
            raise KeyError("tenant")

        calls: list[str] = []
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(fail)
        middlewares, traces = ([fail], []) if by == "middleware" else ([], [trace])
        async with lent(account_at_noon(), *middlewares, trace_configs=traces) as roles:
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()
        assert str(caught.value) == (
            "GET /v2/roles: a middleware or tracer of the session, or what patches it, raised "
            "KeyError: 'tenant'"
        )
        assert calls == [by]
        assert isinstance(caught.value.__cause__, KeyError)
        assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "fail"

    async def test_while_sent(self) -> None:
        """A tracer that fails once a change is sent leaves open what the change did."""

        async def fail(*_: object) -> None:
            raise KeyError("tenant")

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(fail)
        async with lent(account_at_noon(), trace_configs=[trace]) as roles:
            with pytest.raises(OutcomeUnknownError, match="a middleware or tracer"):
                await create(roles)

    async def test_status(self) -> None:
        """A middleware that raises for a status has the call end in that of a failure.

        The key is not in the error of aiohttp's that it sees.
        """

        async def check(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            try:
                response = await handler(request)
                response.raise_for_status()
                await response.json()
            except aiohttp.ClientResponseError as error:
                seen.append(repr(error))
                raise
            return response

        seen: list[str] = []
        page = http_response(200, b"<title>Maintenance</title>", "Content-Type: text/html")
        answers = page, http_response(503), http_response(404, b"{}", "X-Request-Id: r-1")
        async with scripted(*answers) as server, over(server.url, check, retry=SOON) as roles:
            with pytest.raises(StatusError) as caught:
                await roles.list()
        error = caught.value
        assert (error.status, error.from_service, error.request_id) == (404, False, "r-1")
        assert all("Accept" in each and "fake-api-key" not in each for each in seen)


@pytest.mark.parametrize("size", [50, 1 << 18], ids=["short", "long"])
@pytest.mark.parametrize("middlewares", [(), (read,)], ids=["alone", "read before"])
async def test_body(middlewares: tuple[ClientMiddlewareType, ...], size: int) -> None:
    """A tracer of a session gets the body of an answer, once."""
    bodies: list[bytes] = []

    async def note(
        _: aiohttp.ClientSession, __: object, got: aiohttp.TraceResponseChunkReceivedParams
    ) -> None:
        bodies.append(got.chunk)

    trace = aiohttp.TraceConfig()
    trace.on_response_chunk_received.append(note)
    body = b'{"roles": [], "pagination": {"has_more": false}}'.ljust(size)
    async with (
        scripted(http_response(200, body)) as server,
        over(server.url, *middlewares, trace_configs=[trace]) as roles,
    ):
        await roles.list()
    assert bodies == [body]


class TestInternals:
    """The check of aiohttp's inside when a client is made."""

    @pytest.mark.parametrize("version", ["3.14.0", "4.0.0a2.dev0", "4.1"])
    async def test_version(self, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every version 3 from the oldest on is accepted; the error names any other."""
        for supported in ("3.14.1", "3.15.0rc1", "3.99"):
            monkeypatch.setattr(aiohttp, "__version__", supported)
            AiohttpRolesClient("key")
        monkeypatch.setattr(aiohttp, "__version__", version)
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

    def test_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is one whose requests keep something elsewhere."""
        request = Mock(spec=["headers", "proxy", "url"])
        monkeypatch.setattr(aiohttp, "ClientRequest", Mock(return_value=request))
        with pytest.raises(ConfigurationError, match=r"this one lacks ClientRequest\._traces$"):
            AiohttpRolesClient("key")
