"""Time that passes in a call, over a socket: silence, waits, and a clock that tests move."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    RetryPolicy,
    RolesTimeoutError,
    Timeouts,
)
from tests.support.clients import sleeping
from tests.support.event_loop import LoopClock
from tests.support.raw_http import PAGE, http_response, read_message

pytestmark = pytest.mark.asyncio

HEAD, BODY = PAGE[:-48], PAGE[-48:]


@asynccontextmanager
async def serve(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[str]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await read_message(reader)
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_slow_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body whose pieces each come in time may take longer than the read limit in all."""
    clock = LoopClock(monkeypatch)

    async def slowly(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for start in range(0, len(BODY), 8):
            await clock.pass_by(50.0)
            writer.write(BODY[start : start + 8])

    async with (
        serve(slowly) as url,
        AiohttpRolesClient("key", base_url=url, timeout=Timeouts(total=None, read=60.0)) as roles,
    ):
        assert len(await roles.list()) == 0


async def test_silent_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that falls silent for as long as the limit is given up."""
    clock = LoopClock(monkeypatch)

    async def stopping(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + BODY[:8])
        await clock.pass_by(50.0)
        writer.write(BODY[8:16])
        await clock.pass_by(61.0)

    async with (
        serve(stopping) as url,
        AiohttpRolesClient(
            "key",
            base_url=url,
            timeout=Timeouts(total=None, read=60.0),
            retry=RetryPolicy(attempts=1),
        ) as roles,
    ):
        with pytest.raises(RolesTimeoutError) as caught:
            await roles.list()
    assert str(caught.value) == "GET /v2/roles: no answer (read limit of 60 s, 1 attempt)"
    assert caught.value.limit == "read"
    assert caught.value.seconds == 60.0
    assert caught.value.sent


async def test_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait between attempts may be longer than the read limit."""
    clock = LoopClock(monkeypatch)
    answers = iter([http_response(503, b"", "Retry-After: 15"), PAGE])

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await clock.pass_by(75.0)

    async with (
        serve(answer) as url,
        sleeping(sleep)("key", base_url=url, timeout=Timeouts(total=None, read=60.0)) as roles,
    ):
        assert len(await roles.list()) == 0
    assert waits == [15.0]
