"""The API key shows nowhere: not in what a failure carries, not in a log, warning or repr."""

import asyncio
import copy
import logging
import pickle
import ssl
import traceback
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.http_writer import StreamWriter
from rich.traceback import Traceback
from sentry_sdk.serializer import serialize
from sentry_sdk.utils import event_from_exception

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    InvalidResponseError,
    OutcomeUnknownError,
    Request,
    Response,
    RetryPolicy,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
    ValidationError,
)
from arize_roles_async.transport import HttpRolesClient, HttpTransport
from arize_roles_fake import FakeAccount, FakeRolesClient, Reply, serve
from tests.support.clients import START
from tests.support.raw_http import scripted
from tests.support.sizes import sized
from tests.support.tls import Authority

# With characters that JSON may escape.
KEY = 'ak-0123/4567+"secret"\\89=='
ESCAPED = KEY.replace("\\", "\\\\").replace('"', '\\"')
FULLY_ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)
ONCE = RetryPolicy(attempts=1)


def chain(error: BaseException) -> list[BaseException]:
    """Return an exception and all that it hangs on."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or link in seen:
            continue
        seen.append(link)
        waiting += [link.__cause__, link.__context__]
        waiting += getattr(link, "exceptions", ())
    return seen


def texts(error: BaseException) -> list[str]:
    """Return every text that an exception shows, and those that it hangs on."""
    shown = ["".join(traceback.format_exception(error))]
    for link in chain(error):
        shown += [str(link), repr(link), repr(link.args), repr(getattr(link, "__notes__", []))]
        if isinstance(link, RolesError):
            shown += [repr(vars(link)), pickle.dumps(link).decode("latin-1")]
    return shown


def by_traceback(error: BaseException) -> list[str]:
    """Return the variables of an error's frames as the standard library shows them, and pytest."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    return [repr(frame.locals) for frame in stack if not is_of_tests(frame.filename)]


def by_rich(error: BaseException) -> list[str]:
    """Return them as rich shows them, which opens structs and attrs classes."""
    (stack, *_) = Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=10**6
    ).stacks
    return [
        " ".join(str(node) for node in (frame.locals or {}).values())
        for frame in stack.frames
        if not is_of_tests(frame.filename)
    ]


def by_sentry(error: BaseException) -> list[str]:
    """Return them as sentry sends them."""
    options = {
        "include_local_variables": True,
        "include_source_context": False,
        "max_value_length": 10**6,
    }
    event, _ = event_from_exception(error, client_options=options)
    values = serialize(dict(event), max_value_length=10**6)["exception"]["values"]
    return [
        repr(frame["vars"])
        for value in values
        for frame in value.get("stacktrace", {}).get("frames", ())
        if not is_of_tests(frame["abs_path"])
    ]


JUDGES = (by_traceback, by_rich, by_sentry)
TESTS = str(Path(__file__).parents[1])


def is_of_tests(filename: str) -> bool:
    return filename.startswith(TESTS)


def is_shown(text: str) -> bool:
    """Return True if the key is in a text, however often it was escaped."""
    return KEY.replace("\\", "") in text.replace("\\", "")


def assert_safe(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    logged = [record.getMessage() for record in caplog.records]
    logged += [repr(record.args) for record in caplog.records]
    frames = [text for link in chain(error) for judge in JUDGES for text in judge(link)]
    for text in texts(error) + logged + frames:
        assert not is_shown(text)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("hidden", [KEY, {"a": [KEY]}, KEY.encode(), attrs.make_class("A", ["b"])])
def test_judges(
    judge: Callable[[BaseException], list[str]],
    hidden: Any,  # noqa: ANN401
) -> None:
    """The judges see the key where it is."""
    namespace: dict[str, Any] = {}
    exec(compile("def fail(value):\n    raise OSError", "of-no-test.py", "exec"), namespace)  # noqa: S102
    with pytest.raises(OSError, match=r"^$") as caught:
        namespace["fail"](hidden(KEY) if callable(hidden) else hidden)

    assert any(is_shown(text) for text in judge(caught.value))


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="arize_roles_async")


Drive = Callable[[RolesClient], Awaitable[object]]


async def read(roles: RolesClient) -> object:
    return await roles.list()


async def create(roles: RolesClient) -> object:
    return await roles.create(name="Made", permissions=["PROJECT_READ"])


async def find(roles: RolesClient) -> object:
    return await roles.get(role="Some name")


CALLS = pytest.mark.parametrize("call", [read, create, find])


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncGenerator[AiohttpRolesClient]:  # noqa: ANN401
    options.setdefault("retry", ONCE)
    async with AiohttpRolesClient(KEY, base_url=url, **options) as roles:
        yield roles


def answer(status: int, body: str, *headers: str, kind: str = "application/problem+json") -> bytes:
    content = body.encode()
    lines = [f"HTTP/1.1 {status} {KEY}", f"Content-Type: {kind}", *headers]
    lines += [f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


ECHOES = [
    f'{{"title": "{ESCAPED}", "status": 400, "detail": "the key {ESCAPED} is wrong"}}',
    f'{{"title": "{FULLY_ESCAPED}", "detail": "{FULLY_ESCAPED}", "instance": "{FULLY_ESCAPED}"}}',
    f'{{"title": "No", "detail": "{ESCAPED.replace("/", chr(92) + "/")}"}}',
    f'{{"{ESCAPED}": 1}}',
    f'["{FULLY_ESCAPED}"]',
    f"<html>Authorization: Bearer {KEY}</html>",
    " " * (200 - len(KEY) // 2) + KEY,
    KEY,
]
BROKEN = [
    f"{KEY}\r\n\r\n",
    f"HTTP/1.1 {KEY} OK\r\n\r\n",
    f"HTTP/{KEY} 200 OK\r\n\r\n",
    f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n",
    f"HTTP/1.1 200 OK\r\n{KEY}: x\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n",
    f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(KEY)}\r\n\r\n{KEY}",
    f"HTTP/1.1 200 OK\r\nX: {KEY}\r\nContent-Length: 999\r\n\r\n{KEY}",
    f"HTTP/1.1 200 OK\r\nX: {KEY}\0\r\n\r\n",
]
STATUSES = [409, 302, 400, 401, 403, 503, 404, 422, 429, 500]


class TestAnswers:
    """Answers that hold the key."""

    @pytest.mark.asyncio
    @CALLS
    @pytest.mark.parametrize("body", ECHOES)
    @pytest.mark.parametrize("status", sized(STATUSES[::5], STATUSES))
    async def test_refusal(
        self, call: Drive, body: str, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A refusal that echoes the key is not repeated."""
        echo = answer(
            status, body, f"X-Request-Id: {KEY}", f"Retry-After: {KEY}", f"Location: /{KEY}"
        )
        async with scripted(echo) as script, client(script.url) as roles:
            with pytest.raises((StatusError, OutcomeUnknownError)) as caught:
                await call(roles)

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @CALLS
    @pytest.mark.parametrize(
        "body",
        [
            *ECHOES,
            f'{{"id": "{ESCAPED}", "name": 5}}',
            f'{{"id": "x", "name": "x", "is_predefined": 1, "created_at": "{FULLY_ESCAPED}"}}',
            f'{{"roles": [{{"id": "x", "created_at": "{ESCAPED}"}}], "pagination": "{ESCAPED}"}}',
        ],
    )
    @pytest.mark.parametrize("kind", ["application/json", f"text/{KEY}"])
    async def test_malformed(
        self, call: Drive, body: str, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An answer that makes no sense and echoes the key is not repeated."""
        echo = answer(200, body, f"X-Request-Id: {KEY}", kind=kind)
        async with scripted(echo) as script, client(script.url) as roles:
            with pytest.raises((InvalidResponseError, OutcomeUnknownError)) as caught:
                await call(roles)

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_long_body(self, caplog: pytest.LogCaptureFixture) -> None:
        """A body of more than 4 MiB that echoes the key is not repeated."""
        echo = answer(200, KEY + " " * 2**24)
        async with scripted(echo) as script, client(script.url) as roles:
            with pytest.raises(InvalidResponseError, match="longer than 4 MiB") as caught:
                await roles.list()

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @CALLS
    @pytest.mark.parametrize("wire", BROKEN)
    async def test_garbage(self, call: Drive, wire: str, caplog: pytest.LogCaptureFixture) -> None:
        """Garbage that echoes the key is not repeated."""
        async with scripted(wire.encode()) as script, client(script.url) as roles:
            # aiohttp before 3.14 takes the last one for a response, with a body that is none.
            broken = (RolesConnectionError, OutcomeUnknownError, InvalidResponseError)
            with pytest.raises(broken) as caught:
                await call(roles)

        assert_safe(caught.value, caplog)


class TestFailures:
    """Failures of a request that holds the key."""

    @pytest.mark.asyncio
    @CALLS
    async def test_dropped(self, call: Drive, caplog: pytest.LogCaptureFixture) -> None:
        """A dropped connection shows no key."""
        async with scripted(b"") as script, client(script.url) as roles:
            with pytest.raises((RolesConnectionError, OutcomeUnknownError)) as caught:
                await call(roles)

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lent", [False, True])
    async def test_refused(
        self,
        lent: bool,  # noqa: FBT001
        caplog: pytest.LogCaptureFixture,
        refusing_port: int,
    ) -> None:
        """A refused connection shows no key."""
        url = f"http://127.0.0.1:{refusing_port}"
        async with (
            aiohttp.ClientSession() as session,
            client(url, session=session if lent else None) as roles,
        ):
            with pytest.raises(RolesConnectionError, match="cannot connect") as caught:
                await roles.list()

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_certificate(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A certificate that is not trusted shows no key."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            raise AssertionError((reader, writer))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=Authority(tmp_path).right())
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with client(f"https://127.0.0.1:{port}") as roles:
                with pytest.raises(RolesConnectionError, match="certificate") as caught:
                    await roles.list()

        assert_safe(caught.value, caplog)
        assert isinstance(caught.value.__cause__, ssl.SSLError | aiohttp.ClientError)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_proxy_refuses(self, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
        """A proxy that refuses shows no key."""
        refusal = answer(407, f"who is {KEY}?", f"Proxy-Authenticate: {KEY}", kind="text/plain")
        proxy_password = "hunter2"
        async with scripted(refusal) as script:
            proxy = script.url.replace("://", f"://user:{proxy_password}@")
            async with client(
                f"{scheme}://elsewhere.example", proxy=proxy, allow_http=True
            ) as roles:
                with pytest.raises((RolesConnectionError, StatusError)) as caught:
                    await roles.list()

        assert_safe(caught.value, caplog)
        assert not any(proxy_password in text for text in texts(caught.value))

    @pytest.mark.asyncio
    async def test_proxy_password(
        self, caplog: pytest.LogCaptureFixture, refusing_port: int
    ) -> None:
        """A proxy that is not there shows no password."""
        proxy = f"http://user:hunter2@127.0.0.1:{refusing_port}"
        async with client("https://elsewhere.example", proxy=proxy) as roles:
            with pytest.raises(RolesConnectionError) as caught:
                await roles.list()

        assert_safe(caught.value, caplog)
        assert not any("hunter2" in text for text in texts(caught.value))

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "limits",
        [Timeouts(read=0.02), Timeouts(total=0.02, read=None)],
    )
    @CALLS
    async def test_timeout(
        self, call: Drive, limits: Timeouts, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A timeout shows no key."""
        wire = f"HTTP/1.1 200 OK\r\nX: {KEY}\r\nContent-Length: 999\r\n\r\n{KEY}".encode()
        # A second answer is due that never comes, so the connection stays open.
        async with scripted(wire, b"") as script, client(script.url, timeout=limits) as roles:
            with pytest.raises((RolesTimeoutError, OutcomeUnknownError)) as caught:
                await call(roles)

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lent", [False, True])
    @CALLS
    async def test_cancellation(
        self,
        call: Drive,
        lent: bool,  # noqa: FBT001
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A cancellation shows no key."""
        async with (
            scripted(None) as script,
            aiohttp.ClientSession() as session,
            client(script.url, session=session if lent else None) as roles,
        ):
            task = asyncio.ensure_future(call(roles))
            await script.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("lent", [False, True])
    async def test_unwritable(
        self,
        lent: bool,  # noqa: FBT001
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """aiohttp's frames hold the whole request then, and the control sees it there."""

        def write(_: StreamWriter, data: bytes) -> None:
            raised.append(len(data))
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

        raised: list[int] = []
        monkeypatch.setattr(StreamWriter, "_write", write)
        monkeypatch.setattr(StreamWriter, "_writelines", write)
        async with scripted(None) as script, aiohttp.ClientSession() as session:
            async with client(script.url, session=session if lent else None) as roles:
                with pytest.raises(RolesConnectionError) as caught:
                    await roles.list()
            assert raised
            headers = {"Authorization": f"Bearer {KEY}"}
            with pytest.raises(aiohttp.ClientError) as control:
                await session.get(script.url, headers=headers)

        assert_safe(caught.value, caplog)
        assert any(is_shown(text) for text in by_traceback(control.value))

    @pytest.mark.asyncio
    async def test_retry(self, caplog: pytest.LogCaptureFixture) -> None:
        """A retry shows no key."""
        echo = answer(503, ECHOES[1], f"X-Request-Id: {KEY}")
        async with (
            scripted(echo, echo) as script,
            client(script.url, retry=RetryPolicy(attempts=2, backoff=0.001)) as roles,
        ):
            with pytest.raises(StatusError) as caught:
                await roles.list()

        assert any(record.levelno == logging.INFO for record in caplog.records)
        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_arguments(self, caplog: pytest.LogCaptureFixture) -> None:
        """Arguments that break a rule show no key."""
        async with client("http://127.0.0.1:9") as roles:
            with pytest.raises(ValidationError) as caught:
                await roles.create(name="", permissions=[])

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_closed(self, caplog: pytest.LogCaptureFixture) -> None:
        """A closed client shows no key."""
        async with client("http://127.0.0.1:9") as roles:
            pass
        with pytest.raises(RolesError, match="closed") as caught:
            await roles.list()

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_closed_session(self, caplog: pytest.LogCaptureFixture) -> None:
        """A lent session that was closed shows no key."""
        session = aiohttp.ClientSession()
        async with client("http://127.0.0.1:9", session=session) as roles:
            await session.close()
            with pytest.raises(RolesError, match="closed") as caught:
                await roles.list()

        assert_safe(caught.value, caplog)


class TestFake:
    """The fake sends the key that it is given, and shows it no more than the real client."""

    @pytest.mark.asyncio
    @CALLS
    @pytest.mark.parametrize(
        "failure", [RolesConnectionError, RolesTimeoutError, "silent", "lost", "malformed", 418]
    )
    async def test_failure(
        self,
        call: Drive,
        failure: Any,  # noqa: ANN401 - whatever `fail` takes
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A call that fails shows no key."""
        account = FakeAccount(api_key=KEY)
        account.fail("any", failure, times=None)
        with pytest.raises(RolesError) as caught:
            await call(FakeRolesClient(account))

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_broken(self, caplog: pytest.LogCaptureFixture) -> None:
        """An account that breaks while it answers shows no key."""

        is_answering = False

        def clock() -> datetime:
            if is_answering:
                raise OSError
            return START

        class Breaking(FakeAccount):
            def handle(self, request: Request) -> Reply:
                nonlocal is_answering
                is_answering = True
                return super().handle(request)

        account = Breaking(api_key=KEY, clock=clock)
        with pytest.raises(OSError, match=r"^$") as caught:
            await create(FakeRolesClient(account))

        assert_safe(caught.value, caplog)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: FakeRolesClient(api_key=f"{KEY} "),
            lambda: FakeRolesClient(api_key=KEY, max_concurrency=0),
            lambda: FakeAccount(api_key=f"{KEY} "),
            lambda: FakeAccount(api_key=KEY, keep_calls=-1),
            lambda: FakeAccount().add_key(f"{KEY} "),
            lambda: FakeAccount().add_key(KEY, grants=["ROLE_RAED"]),
            lambda: FakeAccount().remove_key(KEY),
            lambda: FakeAccount(api_key=KEY, assumptions=5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            lambda: FakeRolesClient(api_key=KEY.encode()),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            lambda: AiohttpRolesClient(KEY.encode()),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            lambda: AiohttpRolesClient("key", proxy=KEY.encode()),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        ],
    )
    def test_refused(self, make: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
        """Arguments that are refused show no key."""
        with pytest.raises((ConfigurationError, ValueError, KeyError, TypeError)) as caught:
            make()

        assert_safe(caught.value, caplog)


EXPIRED = answer(401, '{"title": "Authentication required", "status": 401}')


def send_headers(headers: dict[str, str]) -> None:
    """Fail as a library does whose frames hold the headers."""
    raise LookupError(f"refused {len(headers)}")


def send_shown(headers: dict[str, str]) -> None:
    """Fail with a message that quotes the headers."""
    raise LookupError(f"refused {headers}")


class BrokenTransport(HttpTransport):
    """A transport whose every request fails in a library, or breaks its connection."""

    def __init__(self, library: Callable[[dict[str, str]], None] | None) -> None:
        self._library = library

    def open(self) -> None:
        """Make nothing."""

    async def send(self, request: Request, timeouts: Timeouts) -> Response:
        del timeouts
        if self._library is not None:
            self._library(dict(request.headers))
        raise RolesConnectionError("it broke", sent=True)

    async def aclose(self) -> None:
        """Close nothing."""


class TestTransport:
    """A client over a transport of one's own shows the key in none of its frames."""

    @pytest.mark.asyncio
    @CALLS
    @pytest.mark.parametrize("library", [None, send_headers, send_shown])
    async def test_failure(
        self,
        call: Drive,
        library: Callable[[dict[str, str]], None] | None,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A call that fails shows no key, nor does a library that fails below it."""
        monkeypatch.setattr(BrokenTransport, "__module__", "an_application")
        roles = HttpRolesClient(BrokenTransport(library), KEY, retry=ONCE)
        with pytest.raises(RolesError) as caught:
            await call(roles)

        assert_safe(caught.value, caplog)


class TestKeys:
    """Each key of a call, where a function returns another one after a refusal."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("body", ECHOES)
    async def test_earlier(self, body: str, caplog: pytest.LogCaptureFixture) -> None:
        """An answer that echoes the key that was refused is not repeated."""
        keys = iter([KEY, "another-key"])
        async with (
            scripted(EXPIRED, answer(400, body, f"X-Request-Id: {KEY}")) as script,
            AiohttpRolesClient(lambda: next(keys), base_url=script.url) as roles,
        ):
            with pytest.raises(StatusError) as caught:
                await roles.list()

        assert caught.value.status == 400
        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("call", [read, create])
    async def test_function_fails(self, call: Drive, caplog: pytest.LogCaptureFixture) -> None:
        """A function whose exception quotes the key that was refused shows none."""
        account = FakeAccount()
        async with serve(account) as url:
            for roles in (
                AiohttpRolesClient(FailingAfter(KEY), base_url=url),
                FakeRolesClient(account, api_key=FailingAfter(KEY)),
            ):
                async with roles:
                    with pytest.raises(ConfigurationError) as caught:
                        await call(roles)

                cause = caught.value.__cause__
                assert repr(cause) == "RolesError('ValueError: not [API key]')"
                assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_function_waits(self, caplog: pytest.LogCaptureFixture) -> None:
        """A call whose time is up while its function is asked shows no key."""
        answers: list[Callable[[], Awaitable[str]]] = [at_once, never]

        async def key() -> str:
            return await answers.pop(0)()

        async with (
            scripted(EXPIRED) as script,
            AiohttpRolesClient(key, base_url=script.url, timeout=0.05) as roles,
        ):
            with pytest.raises(RolesTimeoutError) as caught:
                await roles.list()

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("key", [f"{KEY} ", f"{KEY}\n", KEY.encode(), [KEY]])
    async def test_no_key(self, key: Any, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401
        """A key that is refused before it is sent is not shown."""
        account = FakeAccount()
        for roles in (AiohttpRolesClient(lambda: key), FakeRolesClient(api_key=lambda: key)):
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()
            assert_safe(caught.value, caplog)
        with pytest.raises(ConfigurationError) as refused:
            FakeRolesClient(account).with_options(api_key=key)
        assert_safe(refused.value, caplog)


class FailingAfter:
    """Returns a key, then raises an error that quotes it."""

    def __init__(self, key: str) -> None:
        self._keys = [key]

    def __call__(self) -> str:
        if self._keys:
            return self._keys.pop()
        raise ValueError(f"not {KEY}")


async def at_once() -> str:
    return KEY


async def never() -> str:
    await asyncio.Event().wait()
    raise AssertionError


class TestConfiguration:
    """A client that is made, printed and pickled."""

    @pytest.mark.parametrize(
        "options",
        [
            {"base_url": f"ftp://{KEY}"},
            {"base_url": f"https://user:{KEY}@host"},
            {"base_url": f"https://host/?{KEY}"},
            {"base_url": "http://elsewhere.example"},
            {"region": "nowhere"},
            {"ca_file": "/nowhere/at/all.pem"},
            {"headers": {"Authorization": KEY}},
            {"headers": {"X": f"{KEY}\n"}},
            {"proxy": f"socks5://user:{KEY}@host"},
            {"proxy": f"http://user:{KEY}@host:port"},
            {"proxy": f"http://user:{KEY}@"},
            {"proxy": KEY},
            {"max_concurrency": 0},
            {"timeout": -1},
        ],
    )
    def test_bad(self, options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        """A configuration that makes no sense shows no key."""
        with pytest.raises(ConfigurationError) as caught:
            AiohttpRolesClient(KEY, **options)

        assert_safe(caught.value, caplog)

    @pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} ", f"{KEY}é"])
    def test_bad_key(self, key: str, caplog: pytest.LogCaptureFixture) -> None:
        """A key that no header can carry is refused without showing it."""
        with pytest.raises(
            ConfigurationError, match="must be printable ASCII without spaces"
        ) as caught:
            AiohttpRolesClient(key)

        assert_safe(caught.value, caplog)

    @pytest.mark.asyncio
    async def test_reprs(self) -> None:
        """Reprs and warnings show no key."""
        account = FakeAccount()
        account.add_key(KEY)
        async with (
            scripted() as script,
            client(script.url, headers={"X-Team": "admin"}) as roles,
        ):
            fake = FakeRolesClient(account, api_key=KEY)
            await fake.list()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                shown = [repr(roles), str(roles), repr(fake)]
                shown += [repr(account), repr(account.calls), str(account.calls[0])]
                shown += [repr(roles.list()), repr(roles.with_options(timeout=1.0))]
            shown += [str(warning.message) for warning in caught]

        assert not any(KEY in text for text in shown)

    @pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
    @pytest.mark.parametrize("fake", [False, True])
    def test_pickle(
        self,
        leave: Callable[[object], object],
        fake: bool,  # noqa: FBT001
    ) -> None:
        """A client cannot be pickled."""
        with pytest.raises(ClientStateError) as caught:
            leave(FakeRolesClient() if fake else AiohttpRolesClient(KEY))

        assert str(caught.value) == (
            "a client cannot be pickled or copied, since it holds the API key and connections; "
            "make one in each process"
        )

    def test_response_without_key(self) -> None:
        """An answer to a request without a key is quoted as it is."""
        response = Response(status=200, headers={}, body=b'{"a": "Bearer \\u0041"}')
        assert response.redacted_body() == b'{"a": "Bearer \\u0041"}'
