"""Middlewares and tracers of a lent session, which stand between a call and the service."""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    StatusError,
)
from arize_roles_fake import FakeAccount
from tests.support.clients import SOON, account_at_noon, create, over, serve
from tests.support.event_loop import until
from tests.support.raw_http import PAGE, http_response, scripted


@asynccontextmanager
async def lent(
    account: FakeAccount,
    *middlewares: ClientMiddlewareType,
    retry: RetryPolicy = SOON,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[AiohttpRolesClient]:
    async with serve(account) as url, over(url, *middlewares, retry=retry, **options) as roles:
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
        async with (
            scripted(*answers) as server,
            over(server.url, check, retry=SOON) as roles,
        ):
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
