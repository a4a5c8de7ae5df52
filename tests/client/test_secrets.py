"""The API key shows nowhere: not in what a failure carries, not in a log, warning or repr."""

import asyncio
import copy
import functools
import logging
import pickle
import traceback
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle, product
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import aiohttp
import attrs
import pytest
from aiohttp.http_writer import StreamWriter
from rich.pretty import traverse

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    Request,
    Response,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
    ValidationError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import LENT, ONCE, SOON, create, own_or_lent, use
from tests.support.event_loop import until
from tests.support.raw_http import http_response, scripted
from tests.support.sizes import sized

# With characters that JSON may escape.
KEY = 'ak-0123/4567+"secret"\\89=='
ESCAPED = KEY.replace("\\", "\\\\").replace('"', '\\"')
FULLY_ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)
TESTS = str(Path(__file__).parents[1])


def is_shown(text: str) -> bool:
    """Return True if the key is in a text, however often it was escaped."""
    return KEY.replace("\\", "") in text.replace("\\", "")


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


def by_rich(error: BaseException) -> list[str]:
    """Return the variables of an error's frames as rich shows them; it opens attrs classes."""
    return [
        str(traverse(frame.f_locals))
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(TESTS)
    ]


@pytest.mark.parametrize("hidden", [KEY, {"a": [KEY]}, KEY.encode(), attrs.make_class("A", ["b"])])
def test_judge(hidden: Any) -> None:  # noqa: ANN401
    """The judge of frames sees the key where it is."""
    namespace: dict[str, Any] = {}
    exec(compile("def fail(value):\n    raise OSError", "of-no-test.py", "exec"), namespace)  # noqa: S102
    with pytest.raises(OSError, match=r"^$") as caught:
        namespace["fail"](hidden(KEY) if callable(hidden) else hidden)

    assert any(is_shown(text) for text in by_rich(caught.value))


Failing = Callable[..., AbstractContextManager[pytest.ExceptionInfo[BaseException]]]


@pytest.fixture
def failing(caplog: pytest.LogCaptureFixture) -> Failing:
    """Return a block that has to fail, and to show no key in its error, its frames or its log."""
    caplog.set_level(logging.DEBUG, logger="arize_roles_async")

    @contextmanager
    def block(
        kind: type[BaseException] = RolesError, match: str | None = None
    ) -> Generator[pytest.ExceptionInfo[BaseException]]:
        with pytest.raises(kind, match=match) as caught:
            yield caught
        shown = texts(caught.value)
        for record in caplog.records:
            shown += [record.getMessage(), repr(record.args)]
        for link in chain(caught.value):
            shown += by_rich(link)
        for text in shown:
            assert not is_shown(text)

    return block


Drive = Callable[[RolesClient], Awaitable[object]]


async def find(roles: RolesClient) -> object:
    return await roles.get(role="Some name")


CALLS = sized([use, create], [use, create, find])
EACH_CALL = pytest.mark.parametrize("call", CALLS)


client = functools.partial(own_or_lent, AiohttpRolesClient, KEY, retry=ONCE)


ECHOES = [
    f'{{"title": "{FULLY_ESCAPED}", "detail": "{ESCAPED}", "instance": "{ESCAPED}"}}',
    f'{{"{ESCAPED}": 1}}',
    f'["{FULLY_ESCAPED}"]',
    " " * (200 - len(KEY) // 2) + KEY,
]
NO_ROLES = [
    f'{{"id": "{ESCAPED}", "name": 5}}',
    f'{{"id": "x", "name": "x", "is_predefined": 1, "created_at": "{FULLY_ESCAPED}"}}',
    f'{{"roles": [{{"id": "x", "created_at": "{ESCAPED}"}}], "pagination": "{ESCAPED}"}}',
]
BROKEN = [
    "",
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
STATUSES = sized([409, 503], [409, 503, 302, 400, 401, 403, 404, 422, 429, 500])
QUOTED = [f"X-Request-Id: {KEY}", f"Retry-After: {KEY}", f"Location: /{KEY}"]
ANSWERS = [
    *(http_response(status, body.encode(), *QUOTED) for status in STATUSES for body in ECHOES),
    *(
        http_response(200, body.encode(), *QUOTED, f"Content-Type: {kind}")
        for kind in ("application/json", f"text/{KEY}")
        for body in ECHOES + NO_ROLES
    ),
    *(wire.encode() for wire in BROKEN),
    http_response(200, KEY.encode().ljust(2**23)),
]
# Of a sample the one half is for one call, and the other half for the other.
ECHOED = [*sized(zip(ANSWERS, cycle(CALLS), strict=False), product(ANSWERS, CALLS))]


class TestAnswers:
    """Answers that hold the key."""

    @pytest.mark.parametrize(("wire", "call"), ECHOED, ids=range(len(ECHOED)))
    async def test_echo(self, wire: bytes, call: Drive, failing: Failing) -> None:
        """An answer that echoes the key is not repeated, be it a refusal, odd or garbage."""
        async with scripted(wire) as script, client(script.url) as roles:
            with failing():
                await call(roles)

    async def test_retry(self, failing: Failing, caplog: pytest.LogCaptureFixture) -> None:
        """Nor is one that is tried again, and logged."""
        echo = http_response(503, ECHOES[0].encode(), *QUOTED[:1])
        async with scripted(echo, echo, echo) as script, client(script.url, retry=SOON) as roles:
            with failing(StatusError):
                await roles.list()

        assert any(record.levelno == logging.INFO for record in caplog.records)


class TestFailures:
    """Failures of a request that holds the key."""

    @LENT
    async def test_refused(self, failing: Failing, refusing_port: int, *, lent: bool) -> None:
        """A refused connection shows no key."""
        async with client(f"http://127.0.0.1:{refusing_port}", lent=lent) as roles:
            with failing(match="cannot connect"):
                await roles.list()

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize("is_there", [True, False])
    async def test_proxy(
        self, scheme: str, failing: Failing, refusing_port: int, *, is_there: bool
    ) -> None:
        """A proxy that refuses, or is not there, shows neither the key nor its own password."""
        refusal = http_response(407, f"who is {KEY}?".encode(), f"Proxy-Authenticate: {KEY}")
        async with scripted(refusal) as script:
            host = script.url.removeprefix("http://") if is_there else f"127.0.0.1:{refusing_port}"
            url, proxy = f"{scheme}://elsewhere.example", f"http://user:hunter2@{host}"
            async with client(url, proxy=proxy, allow_http=True) as roles:
                with failing() as caught:
                    await roles.list()
        assert "hunter2" not in "".join(texts(caught.value))

    @pytest.mark.parametrize("limits", [Timeouts(read=0.02), Timeouts(total=0.02, read=None)])
    @EACH_CALL
    async def test_timeout(self, call: Drive, limits: Timeouts, failing: Failing) -> None:
        """A timeout shows no key."""
        wire = f"HTTP/1.1 200 OK\r\nX: {KEY}\r\nContent-Length: 999\r\n\r\n{KEY}".encode()
        # A second answer is due that never comes, so the connection stays open.
        async with scripted(wire, b"") as script, client(script.url, timeout=limits) as roles:
            with failing():
                await call(roles)

    @LENT
    @EACH_CALL
    async def test_cancellation(self, call: Drive, failing: Failing, *, lent: bool) -> None:
        """A cancellation shows no key."""
        async with scripted(None) as script, client(script.url, lent=lent) as roles:
            task = asyncio.ensure_future(call(roles))
            await until(lambda: script.asked.is_set() or task.done())
            task.cancel()
            with failing(asyncio.CancelledError):
                await task

    @LENT
    async def test_unwritable(
        self, failing: Failing, monkeypatch: pytest.MonkeyPatch, *, lent: bool
    ) -> None:
        """aiohttp's frames hold the whole request then, and the control sees it there."""

        def write(*_: object) -> None:
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

        monkeypatch.setattr(StreamWriter, "_write", write)
        monkeypatch.setattr(StreamWriter, "_writelines", write)
        async with scripted(None) as script, client(script.url, lent=lent) as roles:
            with failing(match="Cannot write"):
                await roles.list()
            headers = {"Authorization": f"Bearer {KEY}"}
            async with aiohttp.ClientSession(headers=headers) as session:
                with pytest.raises(aiohttp.ClientError) as control:
                    await session.get(script.url)

        assert any(is_shown(text) for text in by_rich(control.value))

    async def test_closed(self, failing: Failing) -> None:
        """Nor do arguments that break a rule, and a client that was closed."""
        async with client("http://127.0.0.1:9") as roles:
            with failing(ValidationError):
                await roles.create(name="", permissions=[])
        with failing(match="closed"):
            await roles.list()


class TestFake:
    """The fake sends the key that it is given, and shows it no more than the real client."""

    @EACH_CALL
    @pytest.mark.parametrize(
        "failure", [RolesConnectionError, RolesTimeoutError, "silent", "lost", "malformed", 418]
    )
    async def test_failure(
        self,
        call: Drive,
        failure: Any,  # noqa: ANN401 - whatever `fail` takes
        failing: Failing,
    ) -> None:
        """A call that fails shows no key."""
        account = FakeAccount(api_key=KEY)
        account.fail("any", failure, times=None)
        with failing():
            await call(FakeRolesClient(account))

    async def test_broken(self, failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
        """An account that breaks while it answers shows no key."""

        class Breaking(FakeAccount):
            def handle(self, request: Request) -> Response:
                monkeypatch.setattr(self, "now", Mock(side_effect=OSError))
                return super().handle(request)

        with failing(OSError, match=r"^$"):
            await create(FakeRolesClient(Breaking(api_key=KEY)))


EXPIRED = http_response(401, b'{"title": "Authentication required", "status": 401}')


class TestKeys:
    """Each key of a call, where a function returns another one after a refusal."""

    async def test_earlier(self, failing: Failing) -> None:
        """An answer that echoes the key that was refused is not repeated."""
        keys = iter([KEY, "another-key"])
        echo = http_response(400, ECHOES[0].encode(), *QUOTED)
        async with (
            scripted(EXPIRED, echo) as script,
            AiohttpRolesClient(lambda: next(keys), base_url=script.url) as roles,
        ):
            with failing(StatusError, match="400"):
                await roles.list()

    @pytest.mark.parametrize("call", [use, create])
    async def test_function_fails(self, call: Drive, failing: Failing) -> None:
        """A function whose exception quotes the key that was refused shows none."""

        def key() -> str:
            if keys:
                return keys.pop()
            raise ValueError(f"not {KEY}")

        async with scripted(EXPIRED) as script:
            for roles in (
                AiohttpRolesClient(key, base_url=script.url),
                FakeRolesClient(FakeAccount(), api_key=key),
            ):
                keys = [KEY]
                async with roles:
                    with failing(ConfigurationError) as caught:
                        await call(roles)
                cause = caught.value.__cause__
                assert repr(cause) == "RolesError('ValueError: not [API key]')"

    @pytest.mark.parametrize("key", [f"{KEY} ", f"{KEY}\n", f"{KEY}é", KEY.encode(), [KEY]])
    async def test_no_key(self, key: Any, failing: Failing) -> None:  # noqa: ANN401
        """A key that is refused before it is sent is not shown."""
        for roles in (AiohttpRolesClient(lambda: key), FakeRolesClient(api_key=lambda: key)):
            with failing(ConfigurationError):
                await roles.list()
        with failing(ConfigurationError):
            FakeRolesClient().with_options(api_key=key)
        with failing(ConfigurationError):
            AiohttpRolesClient(key)


@pytest.mark.parametrize(
    "make",
    [
        *(
            functools.partial(cast("Any", AiohttpRolesClient), KEY, **{name: value})
            for name, value in [
                ("base_url", f"ftp://{KEY}"),
                ("base_url", f"https://user:{KEY}@host"),
                ("base_url", f"https://host/?{KEY}"),
                ("base_url", "http://elsewhere.example"),
                ("region", "nowhere"),
                ("ca_file", "/nowhere/at/all.pem"),
                ("headers", {"Authorization": KEY}),
                ("headers", {"X": f"{KEY}\n"}),
                ("proxy", f"socks5://user:{KEY}@host"),
                ("proxy", f"http://user:{KEY}@host:port"),
                ("proxy", KEY),
                ("proxy", KEY.encode()),
                ("max_concurrency", 0),
            ]
        ),
        lambda: FakeRolesClient(api_key=KEY, max_concurrency=0),
        lambda: FakeAccount(api_key=f"{KEY} "),
        lambda: FakeAccount(api_key=KEY, max_custom_roles=-1),
        lambda: FakeAccount().add_key(f"{KEY} "),
        lambda: FakeAccount().add_key(KEY, grants=["ROLE_RAED"]),
        lambda: FakeAccount().remove_key(KEY),
        functools.partial(cast("Any", FakeAccount), api_key=KEY, assumptions=5),
    ],
)
def test_refused(make: Callable[[], object], failing: Failing) -> None:
    """Arguments that are refused show no key."""
    with failing(Exception):
        make()


async def test_reprs() -> None:
    """Reprs and warnings show no key."""
    account = FakeAccount(api_key=KEY)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with client("http://127.0.0.1:9", headers={"X-Team": "admin"}) as roles:
            fake = FakeRolesClient(account)
            await fake.list()
            shown = [repr(each) for each in (roles, roles.with_options(timeout=1.0), fake, account)]
            shown += [repr(roles.list()), repr(account.calls), str(account.calls[0])]
        shown += [str(warning.message) for warning in caught]

    assert not any(is_shown(text) for text in shown)


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("make", [FakeRolesClient, lambda: AiohttpRolesClient(KEY)])
def test_pickle(leave: Callable[[object], object], make: Callable[[], object]) -> None:
    """A client cannot be pickled."""
    with pytest.raises(ClientStateError) as caught:
        leave(make())

    assert str(caught.value) == (
        "a client cannot be pickled or copied, since it holds the API key and connections; "
        "make one in each process"
    )
