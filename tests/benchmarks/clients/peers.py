"""Other ways to make many creates at once under a rate limit."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator
from importlib import import_module
from typing import Any

import aiohttp

from tests.benchmarks.clients.aiohttp import HEADERS
from tests.benchmarks.records import new_role

# None of these modules is a dependency, so type checkers may not find them.


@contextlib.asynccontextmanager
async def operations(url: str, module: str) -> AsyncGenerator[Any]:
    async with _PEERS[module](f"{url}/v2/roles") as create:
        yield {"create": create}


@contextlib.asynccontextmanager
async def _httpx(url: str) -> AsyncGenerator[Any]:
    """httpx as it comes: 100 connections, and nothing for limits."""
    async with import_module("httpx").AsyncClient(headers=HEADERS, timeout=None) as client:

        async def create(number: int) -> None:
            (await client.post(url, json=new_role(number))).raise_for_status()

        yield create


@contextlib.asynccontextmanager
async def _tenacity(url: str) -> AsyncGenerator[Any]:
    """aiohttp with a semaphore and tenacity: five attempts, and jitter on `Retry-After`."""
    tenacity, gate = import_module("tenacity"), asyncio.Semaphore(40)

    def wait(state: Any) -> float:  # noqa: ANN401
        headers = getattr(state.outcome.exception(), "headers", {})
        return float(headers.get("Retry-After", 1)) + random.random()  # noqa: S311 - no secret

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def create(number: int) -> None:
            async with gate, session.post(url, json=new_role(number)) as response:
                response.raise_for_status()
                await response.read()

        stop = tenacity.stop_after_attempt(5)
        yield tenacity.retry(wait=wait, stop=stop, reraise=True)(create)


@contextlib.asynccontextmanager
async def _botocore(url: str) -> AsyncGenerator[Any]:
    """aiohttp under botocore's adaptive controller, for as many attempts as it takes.

    Its own number of attempts, 3, would end most calls, and its controller with them.
    """
    adaptive, bucket, throttling = (
        import_module(f"botocore.retries.{name}") for name in ("adaptive", "bucket", "throttling")
    )
    empty = import_module("botocore.exceptions").CapacityNotAvailableError
    clock = bucket.Clock()
    cubic = throttling.CubicCalculator(starting_max_rate=0, start_time=clock.current_time())
    clocker, tokens = adaptive.RateClocker(clock), bucket.TokenBucket(max_rate=1, clock=clock)
    limiter = adaptive.ClientRateLimiter(cubic, clocker, tokens, _Throttled(), clock)
    gate, turn, limited = asyncio.Semaphore(40), asyncio.Lock(), asyncio.Event()

    async def take_token() -> None:
        # As the controller does at this place, but without holding the event loop.
        while True:
            try:
                tokens.acquire(block=False)
            except empty:
                await asyncio.sleep((1 - tokens.available_capacity) / tokens.max_rate)
            else:
                return

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def create(number: int) -> None:
            for attempt in itertools.count():
                async with gate:
                    if limited.is_set():
                        async with turn:
                            await take_token()
                    async with session.post(url, json=new_role(number)) as response:
                        await response.read()
                    limiter.on_receiving_response(status=response.status)
                if response.status != 429:
                    response.raise_for_status()
                    return
                limited.set()
                # As its backoff.
                await asyncio.sleep(random.random() * min(2**attempt, 20))  # noqa: S311 - no secret

        yield create


class _Throttled:
    def is_throttling_error(self, status: int) -> bool:
        return status == 429


_PEERS = {"httpx": _httpx, "tenacity": _tenacity, "botocore": _botocore}
