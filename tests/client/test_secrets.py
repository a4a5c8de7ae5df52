"""The API key shows nowhere: not in what a failure carries, not in a log, warning or repr."""

import asyncio
import functools
import logging
import pickle
import socket
import ssl
import traceback
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from itertools import product
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest
import uvloop
from aiohttp import ThreadedResolver
from aiohttp.http_writer import StreamWriter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.pretty import traverse
from yarl import URL

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    Response,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
)
from arize_roles_async._wire.secrets import Secret
from arize_roles_async.transport import HttpRolesClient, HttpTransport
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import LENT, ONCE, SOON, create, own_or_lent, use
from tests.support.event_loop import until
from tests.support.raw_http import PAGE, http_response, scripted
from tests.support.sizes import sized
from tests.support.tls import Authority

# The two keys of a rotation.
OLD = "ak-0123/4567+89_x.~ab"
NEW = "zk-8901/second+key_~.=="
SENT = (Secret(OLD), Secret(NEW))
KEY = f"{OLD}|{NEW}"
"""What echoes both."""
ESCAPED = KEY.replace("/", r"\/").replace("+", r"\u002B")
TESTS = str(Path(__file__).parents[1])


def is_shown(text: str) -> bool:
    """Return True if a part of a key is in a text."""
    plain = text.replace("\\", "").replace("u002B", "+")
    return OLD[:16] in plain or NEW[:16] in plain


def shown(error: BaseException) -> Iterator[str]:
    """Yield every text that an exception shows, and those that it hangs on, with their frames."""
    links = [error]
    for link in links:
        more = (link.__cause__, link.__context__, *getattr(link, "exceptions", ()))
        links += [each for each in more if each is not None and each not in links]
        yield "".join(traceback.format_exception(link))
        # As rich shows them; it opens attrs classes.
        yield from (repr(link), repr(link.args), repr(vars(link)), str(traverse(vars(link))))
        if isinstance(link, RolesError):
            yield pickle.dumps(link).decode("latin-1")
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if not frame.f_code.co_filename.startswith(TESTS):
                yield str(traverse(frame.f_locals))


Failing = Callable[..., AbstractContextManager[pytest.ExceptionInfo[BaseException]]]


@pytest.fixture
def failing(caplog: pytest.LogCaptureFixture) -> Generator[Failing]:
    """Return a block that has to fail, and to show no key in its error, frames, log and spans."""
    caplog.set_level(logging.DEBUG, logger="arize_roles_async")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    @contextmanager
    def block(
        kind: type[BaseException] = RolesError, match: str | None = None
    ) -> Generator[pytest.ExceptionInfo[BaseException]]:
        with pytest.raises(kind, match=match) as caught:
            yield caught
        texts = [
            *shown(caught.value),
            *(span.to_json() for span in exporter.get_finished_spans()),
            *(f"{record.getMessage()} {vars(record)}" for record in caplog.records),
        ]
        assert not [text for text in texts if is_shown(text)]

    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    yield block
    AioHttpClientInstrumentor().uninstrument()


Drive = Callable[[RolesClient], Awaitable[object]]


EACH_CALL = pytest.mark.parametrize("call", [use, create])


def planted(source: str, **names: Any) -> Any:  # noqa: ANN401 - a function
    """Return the function of a source, whose frames are of no test."""
    exec(compile(source, "of-no-test.py", "exec"), names)  # noqa: S102 - our own text
    return names["planted"]


def keys() -> Callable[[], str]:
    """Return a function that returns the one key, and after a refusal the other."""
    each = iter([OLD])
    return lambda: next(each, NEW)


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncGenerator[AiohttpRolesClient]:  # noqa: ANN401
    make = cast("Any", AiohttpRolesClient)
    options.setdefault("retry", ONCE)
    async with own_or_lent(make, cast("str", keys()), url, **options) as roles:
        yield roles


EXPIRED = http_response(401, b'{"title": "Authentication required", "status": 401}')
ECHOES = [
    f'{{"title": "{KEY}", "detail": "{ESCAPED}", "instance": "{ESCAPED}"}}',
    f'{{"{ESCAPED}": 1}}',
    f'["{KEY}"]',
    " " * (200 - len(OLD) // 2) + NEW,
    f"<title>{KEY}</title>",
]
NO_ROLES = [
    f'{{"id": "{ESCAPED}", "name": 5}}',
    f'{{"id": "x", "name": "x", "is_predefined": 1, "created_at": "{ESCAPED}"}}',
    f'{{"roles": [{{"id": "x", "created_at": "{ESCAPED}"}}], "pagination": "{KEY}"}}',
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
    f"HTTP/1.1 200 OK\r\nX: {KEY}\0\r\n\r\n",
]
STATUSES = sized([409, 503], [409, 503, 302, 400, 401, 403, 404, 407, 422, 429, 500])
NAMES = ("X-Request-Id", "Retry-After", "Location", "Date", "WWW-Authenticate")
QUOTED = [f"{name}: {KEY}" for name in NAMES]
MANY = 2**14
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = [
    b"HTTP/1.1 200 " + b"O" * MANY,
    b"HTTP/1.1 502 " + b"\x1b[31m" * 100 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X-Padding: 1\r\n" * MANY,
    b"HTTP/1.1 200 OK\r\nX-Padding: " + b"1" * MANY,
    b"HTTP/1.1 100 Continue\r\n\r\n" * MANY,
    CHUNKED + b"1\r\n[\r\n" * MANY,
    CHUNKED + b"1;" + b"x=y;" * MANY,
    CHUNKED + b"0\r\n" + b"X-Padding: 1\r\n" * MANY,
    bytes(range(256)) * 99,
]
ANSWERS = [
    *(http_response(status, body.encode(), *QUOTED) for status in STATUSES for body in ECHOES),
    *(
        http_response(200, body.encode(), *QUOTED, f"Content-Type: {kind}")
        for kind in ("application/json", f"text/{KEY}")
        for body in ECHOES + NO_ROLES
    ),
    *(wire.encode() for wire in BROKEN),
    *ENDLESS,
    http_response(200, KEY.encode().ljust(2**23)),
]


@pytest.mark.parametrize("wire", ANSWERS, ids=range(len(ANSWERS)))
@EACH_CALL
async def test_echo(
    wire: bytes, call: Drive, failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an answer that echoes the key, is odd or has no end, a short line without it is shown."""
    # One without end ends where the server closes the connection.
    times, retry = (1, ONCE) if wire in ENDLESS else (3, SOON)
    async with (
        scripted(EXPIRED, *[wire] * times) as script,
        client(script.url, retry=retry) as roles,
    ):
        with failing() as caught:
            await call(roles)
    for line in (str(caught.value), *(record.getMessage() for record in caplog.records)):
        assert line.isprintable()
        assert len(line) <= 2000


LIBRARY = """
async def planted(request, timeouts):
    headers = dict(request.headers)
    try:
        return await end()
    except OSError as error:
        error.request = request
        raise
"""
"""The code of a transport, whose frame and error of the network hold the headers."""


@pytest.mark.parametrize("seconds", [None, 0.02])
@pytest.mark.parametrize("by", ["own", "lent", "library"])
@EACH_CALL
async def test_ended(call: Drive, by: str, seconds: float | None, failing: Failing) -> None:
    """A call that is cancelled, or runs out of time, shows no key."""
    begun = f"HTTP/1.1 200 OK\r\nX: {KEY}\r\nContent-Length: 999\r\n\r\n{KEY}".encode()
    end = AsyncMock(side_effect=asyncio.Event().wait)
    transport = Mock(HttpTransport, send=planted(LIBRARY, end=end))
    library = HttpRolesClient(transport, NEW, retry=ONCE, timeout=seconds)
    async with (
        # A second answer is due that never comes, so the connection stays open.
        scripted(EXPIRED, begun, b"") as script,
        client(script.url, lent=by == "lent", timeout=seconds) as roles,
    ):
        task = asyncio.ensure_future(call(library if by == "library" else roles))
        await until(lambda: len(script.requests) == 2 or end.called or task.done())
        if seconds is None:
            task.cancel()
        with failing(RolesError if seconds else asyncio.CancelledError) as caught:
            await task
    # A reporter that opens objects would find the headers in aiohttp's frames.
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert not [each for each in frames if each.f_globals["__name__"].startswith("aiohttp")]


PLANTED = """
def planted(*given, **more):
    held = key
    if not errors:
        return original(*given, **more)
    try:
        raise KeyError("no")
    except KeyError as cause:
        raise errors.pop() from cause
"""
"""The code of somebody between the client and the socket, whose frames hold what is written."""
RAISED: dict[str, Callable[[], BaseException]] = {
    "reset": lambda: ConnectionResetError(104, "reset"),
    "time": lambda: TimeoutError("late"),
    "resolver": lambda: socket.gaierror(-2, "unknown"),
    "OpenSSL": lambda: ssl.SSLError(1, "[SSL: BAD_LENGTH] bad length"),
    "certificate": lambda: ssl.SSLCertVerificationError(1, "not trusted"),
    "aiohttp": lambda: aiohttp.ClientOSError(32, "broken"),
    "mistake": lambda: RuntimeError("a mistake"),
    "group": lambda: ExceptionGroup("several", [OSError("one"), KeyError("two")]),
    "note": lambda: linked("__notes__", [f"Authorization: Bearer {OLD}"]),
}
RAISING: dict[str, tuple[object, str]] = {
    "socket": (asyncio.selector_events._SelectorSocketTransport, "write"),  # type: ignore[attr-defined] # noqa: SLF001 - planted
    "OpenSSL": (ssl.SSLObject, "write"),
    "writer": (StreamWriter, "write_headers"),
    "pool": (aiohttp.TCPConnector, "connect"),
    "connection": (aiohttp.TCPConnector, "_create_connection"),
    "resolver": (ThreadedResolver, "resolve"),
    "body": (aiohttp.StreamReader, "_read_nowait"),
}
ON_THE_WAY = [
    (place, error, way)
    for place, error, way in product(RAISING, RAISED, ["http", "https", "tunnel", "uvloop"])
    if (place == "OpenSSL") <= (way != "http")
    and (place == "socket") <= (way == "http")
    and (place == "resolver") <= (way != "tunnel")
    # Before the key is added, a note cannot have it.
    and (error == "note") <= (place in {"socket", "OpenSSL"})
]


# aiohttp 3.14.1 leaves one open if the request to a proxy cannot be written.
@pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")
@pytest.mark.parametrize("row", sized(ON_THE_WAY[::3], ON_THE_WAY), ids="-".join)
@LENT
def test_on_the_way(
    row: tuple[str, str, str],
    failing: Failing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lent: bool,
) -> None:
    """Whatever is raised between the client and the socket, whoever wrote it, shows no key."""
    place, error, way = row
    owner, name = RAISING[place]
    errors = [RAISED[error]()]
    fail = planted(PLANTED, original=getattr(owner, name), errors=errors, key=OLD)
    monkeypatch.setattr(owner, name, fail)
    authority = Authority(tmp_path)

    async def read(request: Any, handler: Any) -> Any:  # noqa: ANN401 - aiohttp's
        response = await handler(request)
        await response.content.readany()
        return response

    async def call() -> None:
        server = authority.right()
        tls = {"https": {"tls": server}, "uvloop": {"tls": server}, "tunnel": {"tunnel": server}}
        begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
        async with scripted(begun, b"", **tls.get(way, {})) as script:
            url = script.url.replace("127.0.0.1", "localhost")
            options: dict[str, Any] = {"ca_file": authority.pem, "timeout": 2.0}
            if way == "tunnel":
                url, options["proxy"] = "https://localhost:9", script.url
            options["of_session"] = {"middlewares": [read]}
            async with client(url, lent=lent, **options) as roles:
                with failing():
                    await roles.list()
        assert not errors

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if way == "uvloop" else None) as runner:
        runner.run(call())


@EACH_CALL
@pytest.mark.parametrize(
    "failure", [RolesConnectionError, RolesTimeoutError, "silent", "lost", "malformed", 418]
)
async def test_fake(call: Drive, failure: Any, failing: Failing) -> None:  # noqa: ANN401
    """A call of the fake that fails shows no key."""
    account = FakeAccount(api_key=OLD)
    account.add_key(NEW)
    if not isinstance(failure, type):  # A class ends the whole call.
        account.fail("any", 401)
    account.fail("any", failure, times=None)
    with failing():
        await call(FakeRolesClient(account, api_key=keys()))


async def test_broken(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that breaks while it answers shows no key."""
    breaks = Mock(side_effect=OSError)
    monkeypatch.setattr("arize_roles_fake._account.account._http_date", breaks)
    with failing(OSError, match=r"^$"):
        await create(FakeRolesClient(FakeAccount(api_key=NEW), api_key=keys()))


def linked(name: str, value: object, error: Exception | None = None) -> Exception:
    """Return an error on which something hangs."""
    error = error or OSError("no")
    setattr(error, name, value)
    return error


ERRORS: dict[str, Callable[[str], Exception]] = {
    "message": ValueError,
    "connection": OSError,
    "cut": lambda text: ValueError(f"{'x' * 1_450}{text}{text}"),
    "long": lambda text: ValueError(f"{text}{'x' * 100_000}"),
    "argument": lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, "no"),
    "note": lambda text: linked("__notes__", [text]),
    "cause": lambda text: linked("__cause__", ValueError(text)),
    "cause of ours": lambda text: linked("__cause__", KeyError(text), RolesConnectionError(text)),
    "context of ours": lambda text: linked("__context__", KeyError(text), RolesConnectionError("")),
    "context": lambda text: linked("__context__", ValueError(text)),
    "context of a cause": lambda text: linked("__cause__", linked("__context__", KeyError(text))),
    "context and cause": lambda text: linked("__cause__", OSError(), ERRORS["context"](text)),
    "member": lambda text: ExceptionGroup("two", [OSError("no"), ValueError(text)]),
    "group": lambda text: ExceptionGroup(text, [OSError("no")]),
    "note of a member": lambda text: ExceptionGroup("one", [linked("__notes__", [text])]),
    "member of a cause": lambda text: linked("__cause__", ExceptionGroup("", [KeyError(text)])),
}


async def in_session(by: str, error: Exception, call: Drive) -> None:
    async def fail(*given: Any) -> Any:  # noqa: ANN401 - a middleware, or a callback of a tracer
        if script.requests:
            raise error
        return await given[1](given[0]) if by == "middleware" else None

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(fail)
    # Without the tracer of the fixture, which would see what the test raises.
    AioHttpClientInstrumentor().uninstrument()
    options: Any = {"middleware": {"middlewares": [fail]}, "tracer": {"trace_configs": [trace]}}[by]
    async with scripted(EXPIRED) as script, aiohttp.ClientSession(**options) as session:
        await call(AiohttpRolesClient(keys(), base_url=script.url, session=session, retry=ONCE))


async def in_transport(error: Exception, call: Drive) -> None:
    refusal = Response(status=401, headers={}, body=EXPIRED.partition(b"\r\n\r\n")[2])
    end = AsyncMock(side_effect=[refusal, *[error] * 3])
    transport = Mock(HttpTransport, send=planted(LIBRARY, end=end))
    await call(HttpRolesClient(transport, keys(), retry=ONCE))


async def in_key_function(error: Exception, call: Drive) -> None:
    key = Mock(side_effect=[NEW, error])
    await call(FakeRolesClient(FakeAccount(), api_key=lambda: cast("str", key())))


IN_SESSION = [functools.partial(in_session, by) for by in ("middleware", "tracer")]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("place", [*IN_SESSION, in_transport, in_key_function])
@pytest.mark.parametrize("error", ERRORS)
@EACH_CALL
async def test_raised(
    place: Callable[[Exception, Drive], Awaitable[None]], error: str, call: Drive, failing: Failing
) -> None:
    """An error of other code that holds a key anywhere shows none in ours."""
    with failing():
        await place(ERRORS[error](NEW if place is in_key_function else KEY), call)


@pytest.mark.parametrize(
    "make",
    [
        *(
            functools.partial(cast("Any", AiohttpRolesClient), NEW, **{name: value})
            for name, value in [
                ("base_url", f"ftp://{KEY}"),
                ("base_url", f"https://user:{KEY}@host"),
                ("base_url", f"https://host/?{KEY}"),
                ("region", KEY),
                ("headers", {"Authorization": KEY}),
                ("proxy", f"http://user:{KEY}@host:port"),
                ("proxy", KEY.encode()),
            ]
        ),
        lambda: FakeRolesClient(api_key=NEW, max_concurrency=0),
        lambda: FakeRolesClient().with_options(api_key=NEW, timeout=-1.0),
        lambda: HttpRolesClient(Mock(HttpTransport), NEW, max_concurrency=0),
        lambda: FakeAccount(api_key=f"{NEW} "),
        lambda: FakeAccount().add_key(f"{NEW} "),
        lambda: FakeAccount().add_key(NEW, grants=["ROLE_RAED"]),
        lambda: FakeAccount().remove_key(NEW),
        functools.partial(cast("Any", FakeAccount), api_key=NEW, assumptions=5),
        lambda: Response(status=400, headers={}, body=b"", keys=SENT).redacted(cast("str", b"no")),
    ],
)
def test_refused(make: Callable[[], object], failing: Failing) -> None:
    """Arguments that are refused show no key."""
    with failing(Exception):
        make()


class Here(ThreadedResolver):
    """Finds every host on this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = 2) -> Any:  # noqa: ANN401
        del host
        return await super().resolve("127.0.0.1", port, family)


@pytest.mark.parametrize("allow_http", [False, True])
@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1"])
@pytest.mark.parametrize("place", ["session", "trust_env", "middleware", "URL"])
async def test_proxy_in_plain_http(
    place: str, host: str, failing: Failing, monkeypatch: pytest.MonkeyPatch, *, allow_http: bool
) -> None:
    """Over plain http the key goes to no other machine, wherever a proxy comes from."""

    async def lead(request: Any, handler: Any) -> Any:  # noqa: ANN401 - aiohttp's
        if place == "middleware":
            request.proxy = URL(proxy)
        elif place == "URL":
            request.url = URL(proxy).with_path("/")
        return await handler(request)

    is_sent = allow_http or host == "127.0.0.1"
    where = host if place == "URL" else f"the proxy {host}"
    # At once, where the client can know it.
    kind = ConfigurationError if place == "session" else ClientStateError
    refused = failing(kind, match=f"would send the API key to {where} unpro")
    async with scripted(PAGE) as script:
        proxy = script.url.replace("127.0.0.1", host)
        monkeypatch.setenv("http_proxy", proxy)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Here()),
            trust_env=place == "trust_env",
            proxy=proxy if place == "session" else None,
            middlewares=[lead],
        ) as session:
            # Another name of this machine: the request goes to the proxy alone.
            options: Any = {"base_url": "http://localhost:9", "allow_http": allow_http}
            with nullcontext() if is_sent else refused:
                await AiohttpRolesClient(OLD, session=session, retry=ONCE, **options).list()
        assert len(script.requests) == is_sent


@pytest.mark.parametrize("kind", ["own", "lent", "cancelled", "made", "transport"])
async def test_handled(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the application handles as it calls keeps its frames."""
    monkeypatch.setattr(aiohttp.TCPConnector, "connect", Mock(side_effect=OSError))

    async def call() -> None:
        if kind == "made":
            AiohttpRolesClient(f"{OLD} ")
        if kind == "transport":
            mock = Mock(HttpTransport, send=AsyncMock(side_effect=OSError))
            await HttpRolesClient(mock, OLD, retry=ONCE).list()
        async with client("http://localhost:9", lent=kind == "lent") as roles:
            if kind == "cancelled":
                cast("Any", asyncio.current_task()).cancel()
            await roles.list()

    handled = BaseException()
    try:
        int("of the application")
    except ValueError as error:
        with pytest.raises((RolesError, asyncio.CancelledError)):
            await call()
        handled = error
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(handled.__traceback__)]
    assert frames == ["test_handled"]


async def test_reprs() -> None:
    """Reprs and warnings show no key."""
    account = FakeAccount(api_key=NEW)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with AiohttpRolesClient(NEW, headers={"X-Team": "admin"}) as roles:
            fake = FakeRolesClient(account)
            await fake.list()
            shown = [repr(each) for each in (roles, roles.with_options(timeout=1.0), fake, account)]
            shown += [repr(roles.list()), repr(account.calls), str(account.calls[0])]
        shown += [str(warning.message) for warning in caught]

    assert not any(is_shown(text) for text in shown)
