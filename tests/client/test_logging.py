"""The records of the client's logger, and the spans of OpenTelemetry."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from yarl import URL

import arize_roles_async
from arize_roles_async import AiohttpRolesClient, RetryPolicy, RolesError
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import SOON, Connect, account_at_noon, both_clients, serve
from tests.support.documentation import examples
from tests.support.raw_http import http_response, scripted

LOGGER: Final = logging.getLogger("arize_roles_async")
CONFIGURATION = Path(arize_roles_async.__file__).parent / "guide" / "configuration.md"
PROBLEM = b'{"title": "Bu\\nsy", "status": 503, "detail": "Ada is at it"}'


@pytest.fixture(name="log")
def log_at_debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="arize_roles_async")
    return caplog


class TestLog:
    @both_clients
    async def test_retry(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """Each retry is logged at INFO, with its reason; each record has its fields."""
        account = account_at_noon()
        role = account.add_role("A", ["ROLE_READ"])
        account.fail("update", 503, retry_after=2, headers={"X-Request-Id": "req-7"})
        account.fail("update", "lost")
        async with connect(account, retry=RetryPolicy(attempts=3, backoff=1e-9)) as roles:
            await roles.update(role="A", description="B")
        path = f"/v2/roles/{quote(role.id)}"
        said = "PATCH {}: attempt {} failed, the next in {} s: {} (request id {})"
        assert [each.getMessage() for each in log.records if each.levelno == logging.INFO] == [
            said.format(path, 1, "2.00", "ServerError 503 Service Unavailable", "req-7"),
            said.format(path, 2, "0.00", "RolesConnectionError", None),
        ]
        names = ("method", "path", "attempt", "status", "request_id")
        assert [
            (r.levelname, *(vars(r)[f"arize_{name}"] for name in names)) for r in log.records
        ] == [
            ("DEBUG", "GET", "/v2/roles", 1, 200, "fake-1"),
            ("DEBUG", "PATCH", path, 1, 503, "req-7"),
            ("INFO", "PATCH", path, 1, 503, "req-7"),
            ("DEBUG", "PATCH", path, 2, None, None),
            ("INFO", "PATCH", path, 2, None, None),
            ("DEBUG", "PATCH", path, 3, 200, "fake-4"),
        ]
        assert {vars(record)["arize_operation"] for record in log.records} == {"update"}

    @both_clients
    async def test_client(self, connect: Connect, log: pytest.LogCaptureFixture) -> None:
        """Records tell the clients of two tenants apart, by the host and a name without the key."""
        account = account_at_noon()
        async with connect(account) as roles:
            tenant = roles.with_options(name="acme")
            for each in (roles, tenant, tenant.with_options(timeout=1.0)):
                await each.list()
            records: list[Any] = log.records
            host = URL(roles.base_url).authority if isinstance(roles, AiohttpRolesClient) else None
        assert [(r.arize_client, r.arize_host) for r in records] == [
            *((None, host), ("acme", host), ("acme", host))
        ]

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (http_response(503, PROBLEM), "ServerError 503 Bu sy"),
            (http_response(503, b"<title>Ada's page"), "ServerError 503"),
            (http_response(200, b"Ada" * 2_000_000), "InvalidResponseError 200"),
            (b"HTTP/1.1 Ada\r\n\r\n", "RolesConnectionError"),
        ],
    )
    async def test_body(self, answer: bytes, said: str, log: pytest.LogCaptureFixture) -> None:
        """Of an answer's body, no record has more than the title of a problem document."""
        make = functools.partial(AiohttpRolesClient, "fake-api-key", retry=SOON)
        async with scripted(*[answer] * 3) as script, make(base_url=script.url) as roles:
            with pytest.raises(RolesError):
                await roles.list()
        records = [f"{record.getMessage()} {vars(record)}" for record in log.records]
        assert "Ada" not in "".join(records)
        assert f"{said} " in " ".join(records)

    async def test_rate_limit(self, log: pytest.LogCaptureFixture) -> None:
        """A rate limit is logged when it is met, and so is each wait, with its seconds."""
        account = account_at_noon()
        account.slow_down(1.25)
        account.fail("list", 429, retry_after=2, headers={"X-Request-Id": "req-7"})
        async with FakeRolesClient(account) as roles:
            await roles.list()
        debug = [record for record in log.records if record.levelno == logging.DEBUG]
        assert [record.getMessage() for record in debug] == [
            "GET /v2/roles: 429 on attempt 1 after 1250.0 ms (request id req-7)",
            "the service limits the rate: requests wait 2 s, then go at the rate that it grants",
            "GET /v2/roles waited 2.000 s in the queue",
            "GET /v2/roles: 200 on attempt 2 after 1250.0 ms (request id fake-2)",
        ]
        assert [vars(each)["arize_seconds"] for each in log.records] == [1.25, 2.0, 1.25, 2.0, 1.25]


ATTRIBUTES: Final = ("host", "client", "operation", "method", "path", "seconds", "attempt")
"""With `status` and `request_id`, what applications name their own attributes of records."""


def broken(*_: object, **__: object) -> Any:  # noqa: ANN401 - as what it stands for
    raise OSError("the log is full")


def with_factory(patch: pytest.MonkeyPatch, **attributes: str) -> None:
    """Add attributes to each record, as the cookbook of `logging` does."""
    make = logging.getLogRecordFactory()

    def make_more(*args: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401
        record = make(*args, **options)
        vars(record).update(attributes)
        return record

    patch.setattr(logging, "_logRecordFactory", make_more)


SET_UPS: Final[dict[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "attributes": lambda patch: with_factory(
        patch, **dict.fromkeys((*ATTRIBUTES, "status", "request_id"), "mine")
    ),
    "factory": lambda patch: patch.setattr(logging, "_logRecordFactory", broken),
    "filter": lambda patch: patch.setattr(LOGGER, "filters", [broken]),
    "handler": lambda patch: patch.setattr(logging.Handler, "handle", broken),
}
"""What an application does to the log, by a name."""


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
@pytest.mark.parametrize("set_up", SET_UPS)
@both_clients
async def test_set_ups(
    connect: Connect, set_up: str, level: int, log: pytest.LogCaptureFixture
) -> None:
    """A log that raises, or that has attributes of its own, decides nothing of a call."""
    account = account_at_noon()
    role = account.add_role("A", ["ROLE_READ"])
    account.fail("update", 503, retry_after=0)
    account.fail("update", 429, retry_after=0)
    log.set_level(level, logger=LOGGER.name)
    async with connect(account, retry=RetryPolicy(attempts=3, backoff=1e-9)) as roles:
        with pytest.MonkeyPatch.context() as patch:
            SET_UPS[set_up](patch)
            updated = await roles.update(role_id=role.id, description="B")
    assert updated.description == "B"
    mine = [vars(each).get("request_id") for each in log.records if each.name == LOGGER.name]
    assert set(mine) == ({"mine"} if set_up == "attributes" else set())


@pytest.mark.parametrize("is_filtered", [False, True])
async def test_opentelemetry(*, is_filtered: bool) -> None:
    """OpenTelemetry sees every attempt, not the key, and with the guide's filter no address."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    account = FakeAccount()
    account.fail("users.list", 503, retry_after=0)
    names: dict[str, Any] = {"without_query": None}
    if is_filtered:
        exec(examples(CONFIGURATION.read_text("utf-8"))[-1], names)  # noqa: S102 - our own text
    AioHttpClientInstrumentor().instrument(
        tracer_provider=provider, url_filter=names["without_query"]
    )
    try:
        async with (
            serve(account) as url,
            AiohttpRolesClient(account.api_key, base_url=url) as roles,
        ):
            await roles.directory.users(email="ada@example.com")
    finally:
        AioHttpClientInstrumentor().uninstrument()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["GET", "GET"]
    shown = "".join(span.to_json() for span in spans)
    assert account.api_key not in shown
    assert ("example.com" in shown) is not is_filtered
