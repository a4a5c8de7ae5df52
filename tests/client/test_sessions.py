"""Sessions: the client's own, and one that the client is lent."""

import asyncio
import contextlib
import gzip
import traceback
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.client_middlewares import ClientHandlerType
from aioresponses import aioresponses

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    Timeouts,
)
from arize_roles_async._aiohttp.connections import Attempt
from tests.support.clients import sleeping
from tests.support.raw_http import scripted

pytestmark = pytest.mark.asyncio

ONCE = RetryPolicy(attempts=1)
BODY = b'{"roles": [], "pagination": {"has_more": false}}'
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n" + BODY
SOON = RetryPolicy(backoff=0.001)
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
GONE = (
    b'HTTP/1.1 404 Not Found\r\nContent-Length: 41\r\n\r\n{"title": "Gone for good", "status": 404}'
)


async def use(roles: AiohttpRolesClient) -> None:
    await roles.list()


class MockedResponse(aiohttp.ClientResponse):
    """An answer of aioresponses, which cannot make aiohttp's own since aiohttp 3.14."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's to know
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


class TestOwn:
    async def test_never_used(self) -> None:
        """A client that was never used closes without a session."""
        await AiohttpRolesClient("key").aclose()

    async def test_close_during_call(self) -> None:
        """A call under way when its client is closed ends."""
        async with scripted(b"") as script:
            roles = AiohttpRolesClient("key", base_url=script.url)
            call = asyncio.create_task(use(roles))
            while not script.requests:  # noqa: ASYNC110 - the script has no event for it
                await asyncio.sleep(0)
            await roles.aclose()
            with pytest.raises((RolesConnectionError, ClientStateError)):
                await call

    @pytest.mark.parametrize("lent", [False, True])
    async def test_close_between_attempts(self, *, lent: bool) -> None:
        """A call that waits for its next attempt when its client is closed makes none."""

        async def close(_: float) -> None:
            await roles.aclose()

        async with scripted(BUSY, PAGE) as script, aiohttp.ClientSession() as session:
            options: dict[str, Any] = {"session": session} if lent else {}
            roles = sleeping(close)("key", base_url=script.url, **options)
            with pytest.raises(ClientStateError, match=r"^the client is closed$"):
                await roles.list()

        assert len(script.requests) == 1

    async def test_timer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that was closed leaves no timer in its loop."""

        def call_at(when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:  # noqa: ANN401
            timers.append(real_call_at(when, *args, **kwargs))
            return timers[-1]

        timers: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        real_call_at = loop.call_at
        monkeypatch.setattr(loop, "call_at", call_at)
        limits = Timeouts(total=1000.0, connect=None, read=None)
        async with (
            scripted(PAGE) as script,
            AiohttpRolesClient("key", base_url=script.url, timeout=limits) as roles,
        ):
            await roles.list()

        far = [timer for timer in timers if timer.when() > loop.time() + 500.0]
        assert [timer.cancelled() for timer in far] == [True]

    async def test_base_path(self) -> None:
        """The path of the base URL is sent as it was given."""
        async with (
            scripted(PAGE) as script,
            AiohttpRolesClient("key", base_url=f"{script.url}/%7Egate/a") as roles,
        ):
            await roles.list()

        assert script.lines == ["GET /%7Egate/a/v2/roles?limit=50"]

    async def test_cookies(self) -> None:
        """Cookies of an answer are not sent back."""
        with_cookie = PAGE.replace(b"\r\n", b"\r\nSet-Cookie: balancer=7; Path=/\r\n", 1)
        async with scripted(with_cookie, PAGE) as script:
            # By name, as aiohttp keeps no cookies of bare addresses.
            url = script.url.replace("127.0.0.1", "localhost")
            async with AiohttpRolesClient("key", base_url=url) as roles:
                await roles.list()
                await roles.list()

        assert [request.headers.get("cookie") for request in script.requests] == [None, None]

    async def test_aioresponses(self) -> None:
        """aioresponses answers in place of the service, and sees no key."""
        url = "http://127.0.0.1:9"  # Nobody listens there.
        role_id = "Um9sZTo5OTk6bm9u"  # Without "=", which aioresponses compares unquoted.
        mocked: Any = aioresponses()
        made = {"response_class": MockedResponse}
        gone = {"title": "Gone for good", "status": 404}
        with mocked:
            mocked.get(f"{url}/v2/roles?limit=2", body=BODY, **made)
            mocked.get(f"{url}/v2/roles/{role_id}", status=404, payload=gone, **made)
            mocked.delete(f"{url}/v2/roles/{role_id}", status=204, **made)
            async with AiohttpRolesClient("key", base_url=url) as roles:
                page = await roles.list(limit=2)
                with pytest.raises(NotFoundError, match="answered 404 Gone for good"):
                    await roles.get(role_id=role_id)
                await roles.delete(role_id=role_id)

        assert page.roles == ()
        assert "key" not in str(mocked.requests)


class EndlessBody:
    """A body that begins with a few bytes and goes on with a mebibyte at a time."""

    def __init__(self, first: bytes) -> None:
        self.chunks = 0
        self._first = first

    def at_eof(self) -> bool:
        return self.chunks > 10

    async def readany(self) -> bytes:
        self.chunks += 1
        return self._first if self.chunks == 1 else b"x" * (1 << 20)


@pytest.mark.parametrize(("first", "length"), [(1, (4 << 20) + 1), (1 << 20, 5 << 20)])
async def test_endless_body(first: int, length: int) -> None:
    """Of a body that is too long, no more is read than shows that it is."""
    body: Any = EndlessBody(b"x" * first)
    read = await Attempt(*[Mock()] * 4, is_lent=False).read(body)
    assert (len(read), body.chunks) == (length, 5)


@pytest.mark.parametrize(
    ("status", "length", "is_refused"),
    [
        (200, 4 << 20, False),
        (200, (4 << 20) + 1, True),
        (299, (4 << 20) + 1, True),
        (300, (4 << 20) + 1, False),
    ],
)
async def test_long_body(*, status: int, length: int, is_refused: bool) -> None:
    """A success is refused if its body is longer than 4 MiB; of a failure the status counts."""
    head = f"HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n"
    async with (
        scripted(head.encode() + BODY.ljust(length)) as server,
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

    @pytest.mark.parametrize("by", ["headers", "middleware", "netrc"])
    async def test_authorization(
        self, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session that sends an `Authorization` of its own sends nothing; each call says so."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password hunter2\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))

        async def authorize(
            request: aiohttp.ClientRequest, handler: ClientHandlerType
        ) -> aiohttp.ClientResponse:
            request.headers["authorization"] = "Bearer hunter2"
            return await handler(request)

        options: dict[str, dict[str, Any]] = {
            "headers": {"headers": {"authorization": "Bearer hunter2"}},
            "middleware": {"middlewares": (authorize,)},
            "netrc": {"trust_env": True},
        }
        async with (
            scripted(PAGE) as script,
            aiohttp.ClientSession(**options[by]) as session,
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
        assert script.connections == 0

    async def test_authorization_later(self) -> None:
        """A middleware may send a request again, but not with an `Authorization` of its own."""
        challenge = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
        repeated: list[dict[str, str]] = []

        async def repeat(
            request: aiohttp.ClientRequest, handler: ClientHandlerType
        ) -> aiohttp.ClientResponse:
            (await handler(request)).release()
            request.headers.update(*repeated)
            return await handler(request)

        async with (
            scripted(challenge, PAGE, challenge) as script,
            aiohttp.ClientSession(middlewares=(repeat,)) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
        ):
            await roles.list()
            repeated.append({"Authorization": "Digest of-the-session"})
            with pytest.raises(ClientStateError, match="an Authorization header of its own"):
                await roles.list()

        assert len(script.requests) == 3

    async def test_left_open(self) -> None:
        """A lent session is left open."""
        async with scripted(PAGE) as script, aiohttp.ClientSession() as session:
            async with AiohttpRolesClient("key", base_url=script.url, session=session) as roles:
                await roles.list()

            assert not session.closed

    async def test_closed(self) -> None:
        """The error for a session that its owner closed says so."""
        session = aiohttp.ClientSession()
        async with AiohttpRolesClient(
            "key", base_url="http://127.0.0.1:9", session=session
        ) as roles:
            await session.close()
            with pytest.raises(ClientStateError, match=r"^the session is closed$"):
                await roles.list()

    async def test_middlewares(self) -> None:
        """Every attempt passes the session's middlewares, which do not see the key."""
        seen: list[bool] = []

        async def mark(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            request.headers["X-Mark"] = "seen"
            seen.append("Authorization" in request.headers)
            return await handler(request)

        async with (
            scripted(BROKEN, PAGE) as script,
            aiohttp.ClientSession(middlewares=[mark]) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session, retry=SOON) as roles,
        ):
            await roles.list()

        assert [request.headers["x-mark"] for request in script.requests] == ["seen", "seen"]
        assert [request.headers["authorization"] for request in script.requests] == [
            "Bearer key",
            "Bearer key",
        ]
        assert seen == [False, False]

    async def test_middleware_retries(self) -> None:
        """A middleware that tries again by itself sends nothing a second time."""

        async def insist(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            try:
                return await handler(request)
            except aiohttp.ClientError:
                return await handler(request)

        async with (
            scripted(b"") as script,
            aiohttp.ClientSession(middlewares=[insist]) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
        ):
            with pytest.raises(RolesConnectionError):
                await roles.with_options(retry=ONCE).list()

        assert script.connections == 1

    async def test_middleware_gives_up(self) -> None:
        """Nor does one that cancels a request and tries again."""

        async def hurry(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            first = asyncio.ensure_future(handler(request))
            while not script.requests:  # noqa: ASYNC110 - the server has no event
                await asyncio.sleep(0)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await first
            return await handler(request)

        async with (
            scripted(None, PAGE) as script,
            aiohttp.ClientSession(middlewares=[hurry]) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
        ):
            with pytest.raises(RolesConnectionError):
                await roles.with_options(retry=ONCE).list()

        assert script.connections == 1

    async def test_middleware_fails(self) -> None:
        """A refusal by a middleware is one of our errors, with the middleware's as its cause."""

        async def refuse(
            _: aiohttp.ClientRequest, __: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            raise ValueError("not today")

        async with (
            aiohttp.ClientSession(middlewares=[refuse]) as session,
            AiohttpRolesClient("key", base_url="http://127.0.0.1:9", session=session) as roles,
        ):
            with pytest.raises(
                ConfigurationError,
                match=r"a middleware or tracer of the session raised ValueError: not today$",
            ) as caught:
                await roles.list()
        assert isinstance(caught.value.__cause__, ValueError)
        # Its own frame is left, where the mistake is.
        (frame,) = traceback.extract_tb(caught.value.__cause__.__traceback__)
        assert frame.name == "refuse"

    async def test_middleware_fails_after(self) -> None:
        """A middleware that fails once the request was sent leaves open what a change did."""

        async def misread(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            await handler(request)
            raise ValueError("no JSON")

        async with (
            scripted(b"HTTP/1.1 204 No Content\r\n\r\n") as script,
            aiohttp.ClientSession(middlewares=[misread]) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session, retry=ONCE) as roles,
        ):
            with pytest.raises(OutcomeUnknownError, match=r" raised ValueError: no JSON$"):
                await roles.delete(role_id="Um9sZToxOmFCY0Q=")

    async def test_frames(self) -> None:
        """No error that it hangs on keeps frames of aiohttp or asyncio, which may hold the key."""

        async def refuse(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            try:
                return await handler(request)
            except aiohttp.ClientError:
                raise ValueError("not today")  # noqa: B904 - so that it is the context only

        async with (
            aiohttp.ClientSession(middlewares=[refuse]) as session,
            AiohttpRolesClient("key", base_url="http://127.0.0.1:9", session=session) as roles,
        ):
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()

        link = caught.value.__cause__
        kinds: list[type] = []
        while link is not None:
            kinds.append(type(link))
            frames = [frame for frame, _ in traceback.walk_tb(link.__traceback__)]
            modules = {frame.f_globals["__name__"].partition(".")[0] for frame in frames}
            assert modules.isdisjoint({"aiohttp", "asyncio", "arize_roles_async"})
            link = link.__cause__ or link.__context__
        assert kinds[:3] == [ValueError, aiohttp.ClientConnectorError, ConnectionRefusedError]

    async def test_decompression(self) -> None:
        """A session that leaves answers compressed makes no others either."""
        content = gzip.compress(BODY)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(content)}"
        async with (
            scripted(head.encode() + b"\r\n\r\n" + content) as script,
            aiohttp.ClientSession(auto_decompress=False) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
        ):
            assert len(await roles.list()) == 0

    async def test_raise_for_status(self) -> None:
        """A session that raises for a status makes no other errors."""
        async with (
            scripted(GONE) as script,
            aiohttp.ClientSession(raise_for_status=True) as session,
            AiohttpRolesClient("key", base_url=script.url, session=session) as roles,
        ):
            with pytest.raises(NotFoundError, match="answered 404 Gone for good"):
                await roles.get(role_id="Um9sZTo5OTk6bm9uZQ==")
