import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from urllib.parse import quote

import aiohttp
import pytest
from opentelemetry.instrumentation.aiohttp_client import (
    AioHttpClientInstrumentor,
    create_trace_config,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from arize_roles_async import (
    AiohttpRolesClient,
    ListRolesResponse,
    RetryPolicy,
    RolesConnectionError,
    ServerError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, serve
from tests.support.clients import Connect, account_at_noon, both_clients, sleeping
from tests.support.documentation import definitions
from tests.support.raw_http import scripted

ONCE = RetryPolicy(attempts=1)
THREE = RetryPolicy(attempts=3)
BUSY = b"HTTP/1.1 503 Busy\r\nX-Request-Id: req-6\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req-7\r\n"
    b'Content-Length: 48\r\n\r\n{"roles": [], "pagination": {"has_more": false}}'
)


@pytest.fixture(name="log")
def log_at_debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="arize_roles_async")
    return caplog


def said(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return what was logged at a level, with the numbers of milliseconds left out."""
    records = [record for record in log.records if record.name == "arize_roles_async"]
    return [
        re.sub(r"[0-9]+\.[0-9] ms", "N ms", record.getMessage())
        for record in records
        if record.levelno == level
    ]


def fields(log: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """Return the level of each record and its fields but the seconds."""
    names = ("operation", "method", "path", "attempt", "status", "request_id")
    return [(each.levelname, {name: vars(each)[name] for name in names}) for each in log.records]


class TestLog:
    """The records of the logger."""

    @pytest.mark.asyncio
    @both_clients
    async def test_attempt(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """Each attempt is logged at DEBUG."""
        account = account_at_noon()
        account.fail("create", 503, detail="out")

        async with connect(account, retry=THREE) as roles:
            await roles.create(name="Made", permissions=["PROJECT_READ"])

        assert said(log, logging.DEBUG) == [
            "POST /v2/roles: 503 on attempt 1 after N ms (request id None)",
            "POST /v2/roles: 201 on attempt 2 after N ms (request id None)",
        ]

    @pytest.mark.asyncio
    async def test_milliseconds(self, log: pytest.LogCaptureFixture) -> None:
        """The duration of an attempt is logged."""
        account = account_at_noon()
        account.slow_down(1.25)

        async with FakeRolesClient(account) as roles:
            await roles.list()

        assert [record.getMessage() for record in log.records] == [
            "GET /v2/roles: 200 on attempt 1 after 1250.0 ms (request id None)"
        ]

    @pytest.mark.asyncio
    async def test_request_id(self, log: pytest.LogCaptureFixture) -> None:
        """The service's ID of a request is logged."""
        async with (
            scripted(PAGE) as script,
            AiohttpRolesClient("key", base_url=script.url) as roles,
        ):
            await roles.list()

        assert said(log, logging.DEBUG) == [
            "GET /v2/roles: 200 on attempt 1 after N ms (request id req-7)"
        ]

    @pytest.mark.asyncio
    @both_clients
    async def test_retry(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """Each retry is logged at INFO, with its reason."""
        account = account_at_noon()
        account.fail("list", 429, retry_after=2, detail="slow down")
        account.fail("list", 503, retry_after=0, detail="out")

        async with connect(account, retry=THREE) as roles:
            await roles.list()

        assert said(log, logging.INFO) == [
            (
                "GET /v2/roles: attempt 1 failed, the next in 2.00 s: GET /v2/roles answered 429 "
                "Rate limit exceeded: slow down (retry after 2 s)"
            ),
            (
                "GET /v2/roles: attempt 2 failed, the next in 0.00 s: GET /v2/roles answered 503 "
                "Service Unavailable: out (retry after 0 s)"
            ),
        ]

    @pytest.mark.asyncio
    async def test_rate_limit(self, log: pytest.LogCaptureFixture) -> None:
        """A rate limit is logged at DEBUG when it is met, and so is each wait in the queue."""
        account = account_at_noon()
        account.fail("list", 429, retry_after=2)

        async with FakeRolesClient(account, retry=THREE) as roles:
            await roles.list()

        assert said(log, logging.DEBUG) == [
            "GET /v2/roles: 429 on attempt 1 after N ms (request id None)",
            "the service limits the rate: requests wait 2 s, then go at the rate that it grants",
            "GET /v2/roles waited 2.000 s in the queue",
            "GET /v2/roles: 200 on attempt 2 after N ms (request id None)",
        ]

    @pytest.mark.asyncio
    async def test_no_retry_after(self, log: pytest.LogCaptureFixture) -> None:
        """A rate limit that asks for no wait holds requests back for a second."""
        account = account_at_noon()
        account.fail("list", 429)

        async with FakeRolesClient(account, retry=THREE) as roles:
            await roles.list()

        assert said(log, logging.DEBUG)[1] == (
            "the service limits the rate: requests wait 1 s, then go at the rate that it grants"
        )

    @pytest.mark.asyncio
    @both_clients
    async def test_no_answer(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """An attempt without an answer is logged with what broke."""
        account = account_at_noon()
        account.fail("list", "lost")

        async with connect(account) as roles:
            with pytest.raises(RolesConnectionError):
                await roles.list()

        (line,) = said(log, logging.DEBUG)
        assert "the connection failed before the complete response arrived" in line
        assert line.endswith("on attempt 1 after N ms (request id None)")
        assert said(log, logging.INFO) == []

    @pytest.mark.asyncio
    @both_clients
    async def test_fields(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """Each record has fields that need no parsing."""
        account = account_at_noon()
        role = account.add_role("A", ["ROLE_READ"])
        account.fail("delete", 503)

        async with connect(account, retry=THREE) as roles:
            await roles.delete(role="A")

        read = {"operation": "delete", "method": "GET", "path": "/v2/roles"}
        change = {"operation": "delete", "method": "DELETE", "path": f"/v2/roles/{quote(role.id)}"}
        assert fields(log) == [
            ("DEBUG", {**read, "attempt": 1, "status": 200, "request_id": None}),
            ("DEBUG", {**change, "attempt": 1, "status": 503, "request_id": None}),
            ("INFO", {**change, "attempt": 1, "status": 503, "request_id": None}),
            ("DEBUG", {**change, "attempt": 2, "status": 204, "request_id": None}),
        ]

    @pytest.mark.asyncio
    async def test_field_values(self, log: pytest.LogCaptureFixture) -> None:
        """The service's ID of a request and the time are fields; a lost answer has no status."""
        async with (
            scripted(PAGE) as script,
            AiohttpRolesClient("key", base_url=script.url, retry=ONCE) as roles,
        ):
            await roles.list()
            with pytest.raises(RolesConnectionError):
                await roles.list()

        answered, lost = log.records
        assert (vars(answered)["request_id"], vars(answered)["status"]) == ("req-7", 200)
        assert 0.0 < vars(answered)["seconds"] < 10.0
        assert (vars(lost)["request_id"], vars(lost)["status"]) == (None, None)

    @pytest.mark.asyncio
    async def test_seconds(self, log: pytest.LogCaptureFixture) -> None:
        """A record about a wait has its seconds, and no attempt."""
        account = account_at_noon()
        account.slow_down(1.25)
        account.fail("list", 429, retry_after=2)

        async with FakeRolesClient(account, retry=THREE) as roles:
            await roles.list()

        assert [(vars(r)["seconds"], vars(r).get("attempt")) for r in log.records] == [
            *((1.25, 1), (2.0, None), (1.25, 1), (2.0, None), (1.25, 2))
        ]

    @pytest.mark.asyncio
    @pytest.mark.usefixtures("restored_log")
    async def test_recipe(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The guide's middleware sees the headers of each attempt's answer."""
        monkeypatch.setenv("ARIZE_API_KEY", "key")

        async with scripted(BUSY, PAGE) as script:
            monkeypatch.setenv("ARIZE_BASE_URL", script.url)
            await definitions("arize_roles_async/guide/logging.md")["main"]()

        assert capsys.readouterr().out == "503 req-6\n200 req-7\n"

    @pytest.mark.asyncio
    @both_clients
    async def test_no_log(self, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
        """An application that asks for no log gets none."""
        account = account_at_noon()
        account.fail("any", 503, times=None)

        async with connect(account) as roles:
            with pytest.raises(ServerError):
                await roles.list()

        assert caplog.records == []


class Tracing:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self) -> list[tuple[str, object]]:
        """Return the name and status of each finished span."""
        return [(span.name, _status(span)) for span in self._exporter.get_finished_spans()]

    def shown(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


def _status(span: ReadableSpan) -> object:
    attributes = span.attributes or {}
    return attributes.get("http.status_code") or attributes.get("http.response.status_code")


@contextmanager
def instrumented(tracing: Tracing) -> Generator[None]:
    AioHttpClientInstrumentor().instrument(tracer_provider=tracing.provider)
    try:
        yield
    finally:
        AioHttpClientInstrumentor().uninstrument()


@asynccontextmanager
async def failing_once(session: aiohttp.ClientSession | None) -> AsyncGenerator[AiohttpRolesClient]:
    async def sleep(_: float) -> None:
        pass

    async with AsyncExitStack() as stack:
        account = FakeAccount()
        account.fail("list", 503)
        url = await stack.enter_async_context(serve(account))
        yield await stack.enter_async_context(
            sleeping(sleep)(account.api_key, base_url=url, session=session)
        )


class TestRaising:
    """A handler or a filter of the application's that raises."""

    @pytest.mark.asyncio
    async def test_slot(self, log: pytest.LogCaptureFixture) -> None:
        """It costs the call, and no slot."""

        def refuse(record: logging.LogRecord) -> bool:
            if "waited" in record.getMessage():
                raise ZeroDivisionError
            return True

        async with AsyncExitStack() as stack:
            # Other tests use the same handler.
            log.handler.addFilter(refuse)
            stack.callback(log.handler.removeFilter, refuse)
            script = await stack.enter_async_context(scripted(PAGE, PAGE))
            roles = await stack.enter_async_context(
                AiohttpRolesClient("key", base_url=script.url, timeout=5.0, max_concurrency=1)
            )
            first, second = await asyncio.gather(
                roles.list().all(), roles.list().all(), return_exceptions=True
            )
            assert (type(first), type(second)) == (ListRolesResponse, ZeroDivisionError)
            assert len(await roles.list()) == 0


class TestOpenTelemetry:
    """OpenTelemetry's instrumentation of aiohttp, as `AiohttpRolesClient` documents it."""

    @pytest.mark.asyncio
    async def test_own_session(self) -> None:
        """OpenTelemetry sees every attempt of a client."""
        tracing = Tracing()
        with instrumented(tracing):
            async with failing_once(None) as roles:
                await roles.list()

        assert tracing.spans() == [("GET", 503), ("GET", 200)]
        assert "fake-api-key" not in tracing.shown()

    @pytest.mark.asyncio
    async def test_lent_session(self) -> None:
        """OpenTelemetry sees every attempt on a session that it traces."""
        tracing = Tracing()
        config = create_trace_config(tracer_provider=tracing.provider)
        async with (
            aiohttp.ClientSession(trace_configs=[config]) as session,
            failing_once(session) as roles,
        ):
            await roles.list()

        assert tracing.spans() == [("GET", 503), ("GET", 200)]
        assert "fake-api-key" not in tracing.shown()
