"""The records of the client's logger, and the spans of OpenTelemetry."""

import asyncio
import logging
import re
from contextlib import AsyncExitStack
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
)
from arize_roles_fake import FakeAccount, FakeRolesClient, serve
from tests.support.clients import Connect, account_at_noon, both_clients
from tests.support.raw_http import PAGE, scripted

THREE = RetryPolicy(attempts=3)


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


class TestLog:
    """The records of the logger."""

    @pytest.mark.asyncio
    @both_clients
    async def test_retry(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """Each retry is logged at INFO, with its reason, and each record has its fields."""
        account = account_at_noon()
        role = account.add_role("A", ["ROLE_READ"])
        account.fail("delete", 503, retry_after=2)
        account.fail("delete", 503, retry_after=0)

        async with connect(account, retry=THREE) as roles:
            await roles.delete(role="A")

        path = f"/v2/roles/{quote(role.id)}"
        busy = f"DELETE {path} answered 503 Service Unavailable: scripted by the test (retry after"
        assert said(log, logging.INFO) == [
            f"DELETE {path}: attempt 1 failed, the next in 2.00 s: {busy} 2 s)",
            f"DELETE {path}: attempt 2 failed, the next in 0.00 s: {busy} 0 s)",
        ]
        names = ("method", "path", "attempt", "status", "request_id")
        assert [(r.levelname, *(vars(r)[name] for name in names)) for r in log.records] == [
            ("DEBUG", "GET", "/v2/roles", 1, 200, None),
            ("DEBUG", "DELETE", path, 1, 503, None),
            ("INFO", "DELETE", path, 1, 503, None),
            ("DEBUG", "DELETE", path, 2, 503, None),
            ("INFO", "DELETE", path, 2, 503, None),
            ("DEBUG", "DELETE", path, 3, 204, None),
        ]
        assert {vars(record)["operation"] for record in log.records} == {"delete"}

    @pytest.mark.asyncio
    async def test_rate_limit(self, log: pytest.LogCaptureFixture) -> None:
        """A rate limit is logged when it is met, and so is each wait, with its seconds."""
        account = account_at_noon()
        account.slow_down(1.25)
        account.fail("list", 429, retry_after=2)

        async with FakeRolesClient(account, retry=THREE) as roles:
            await roles.list()

        debug = [record for record in log.records if record.levelno == logging.DEBUG]
        assert [record.getMessage() for record in debug] == [
            "GET /v2/roles: 429 on attempt 1 after 1250.0 ms (request id None)",
            "the service limits the rate: requests wait 2 s, then go at the rate that it grants",
            "GET /v2/roles waited 2.000 s in the queue",
            "GET /v2/roles: 200 on attempt 2 after 1250.0 ms (request id None)",
        ]
        assert [vars(record)["seconds"] for record in debug] == [1.25, 2.0, 2.0, 1.25]

    @pytest.mark.asyncio
    async def test_request_id(self, log: pytest.LogCaptureFixture) -> None:
        """The service's ID of a request is logged; a lost answer has no status."""
        async with (
            scripted(PAGE.replace(b"\r\n", b"\r\nX-Request-Id: req-7\r\n", 1)) as script,
            AiohttpRolesClient("key", base_url=script.url, retry=RetryPolicy(attempts=1)) as roles,
        ):
            await roles.list()
            with pytest.raises(RolesConnectionError):
                await roles.list()

        answered, lost = log.records
        assert said(log, logging.DEBUG)[0].endswith(
            "200 on attempt 1 after N ms (request id req-7)"
        )
        assert (vars(answered)["request_id"], vars(answered)["status"]) == ("req-7", 200)
        assert said(log, logging.DEBUG)[1].endswith("on attempt 1 after N ms (request id None)")
        assert 0.0 < vars(answered)["seconds"] < 10.0
        assert (vars(lost)["request_id"], vars(lost)["status"]) == (None, None)


@pytest.mark.asyncio
async def test_raising(log: pytest.LogCaptureFixture) -> None:
    """A handler or a filter that raises costs the call, and no slot."""

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


@pytest.mark.asyncio
@pytest.mark.parametrize("lent", [False, True])
async def test_opentelemetry(*, lent: bool) -> None:
    """OpenTelemetry sees every attempt of a client, or on a session that it traces."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    account = FakeAccount()
    account.fail("list", 503, retry_after=0)
    async with AsyncExitStack() as stack:
        session: aiohttp.ClientSession | None = None
        if lent:
            config = create_trace_config(tracer_provider=provider)
            session = await stack.enter_async_context(aiohttp.ClientSession(trace_configs=[config]))
        else:
            AioHttpClientInstrumentor().instrument(tracer_provider=provider)
            stack.callback(AioHttpClientInstrumentor().uninstrument)
        url = await stack.enter_async_context(serve(account))
        roles = await stack.enter_async_context(
            AiohttpRolesClient(account.api_key, base_url=url, session=session)
        )
        await roles.list()

    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["GET", "GET"]
    assert [status_of(span) for span in spans] == [503, 200]
    assert account.api_key not in "".join(span.to_json() for span in spans)


def status_of(span: ReadableSpan) -> object:
    attributes = span.attributes or {}
    return attributes.get("http.status_code") or attributes.get("http.response.status_code")
