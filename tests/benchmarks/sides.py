"""The baselines, written as their users write them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlsplit

import aiohttp

from arize_roles_async import AiohttpRolesClient
from tests.benchmarks.server import PAGE, role_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

Create: TypeAlias = "Callable[[int], Awaitable[object]]"
"""Creates the role of this number, or raises."""

KEY = "benchmark-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
AT_ONCE = 40
"""Requests under way at once, where that is for the user to say."""
TOO_MANY_REQUESTS = 429


def some_ids() -> Iterator[str]:
    """Ids without end; more of them than URL caches hold, as in an application."""
    return itertools.cycle([role_id(number) for number in range(1000)])


class Calls(NamedTuple):
    get: Callable[[], Awaitable[object]]
    page: Callable[[], Awaitable[object]]


def baseline(name: str) -> Any:  # noqa: ANN401
    """A baseline's module: not a dependency, so type checkers may not find it."""
    return importlib.import_module(name)


@contextlib.asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncGenerator[Calls]:
    loads: Callable[[bytes], object] = baseline("orjson").loads
    ids = some_ids()

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def fetch(target: str) -> object:
            async with session.get(target) as response:
                response.raise_for_status()
                return loads(await response.read())

        yield Calls(
            get=lambda: fetch(f"{url}/v2/roles/{quote(next(ids), safe='')}"),
            page=lambda: fetch(f"{url}/v2/roles?limit={PAGE}"),
        )


class Arize:
    """Arize's own client, pointed at a server on this machine."""

    def __init__(self, url: str, connections: int) -> None:
        self._ids = some_ids()
        client = baseline("arize").ArizeClient(
            api_key=KEY,
            api_host="127.0.0.1",
            api_scheme="http",
            api_port=urlsplit(url).port,
            connection_pool_maxsize=connections,
        )
        self._roles = client.roles

    def get(self) -> object:
        return self._roles.get(role=next(self._ids))

    def create(self, number: int) -> object:
        return self._roles.create(**_fields(number))

    def walk(self) -> int:
        seen = 0
        page = self._roles.list(limit=PAGE)
        seen += len(page.roles)
        while page.pagination.has_more:
            page = self._roles.list(limit=PAGE, cursor=page.pagination.next_cursor)
            seen += len(page.roles)
        return seen

    def decode(self, body: bytes) -> object:
        """Decode the bytes of a response with the function that its `list` uses."""
        return self._roles._api.api_client.deserialize(  # noqa: SLF001 - only there it is reached
            body.decode(), "ListRolesResponse", "application/json"
        )


# Who does a bulk job: each yields what creates one role, which is then called for all at once.


def _fields(number: int) -> dict[str, Any]:
    return {"name": f"Role {number}", "permissions": ["PROJECT_READ"]}


@contextlib.asynccontextmanager
async def ours(url: str) -> AsyncGenerator[Create]:
    async with AiohttpRolesClient(KEY, base_url=url, timeout=None) as roles:
        yield lambda number: roles.create(**_fields(number))


@contextlib.asynccontextmanager
async def careful(url: str) -> AsyncGenerator[Create]:
    """aiohttp with a semaphore and tenacity, five attempts, and jitter on `Retry-After`."""
    tenacity = baseline("tenacity")
    gate = asyncio.Semaphore(AT_ONCE)

    def wait(state: Any) -> float:  # noqa: ANN401
        headers = getattr(state.outcome.exception(), "headers", {})
        return float(headers.get("Retry-After", 1)) + random.random()  # noqa: S311

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def create_once(number: int) -> None:
            async with gate, session.post(f"{url}/v2/roles", json=_fields(number)) as response:
                response.raise_for_status()
                await response.read()

        retry = tenacity.retry(wait=wait, stop=tenacity.stop_after_attempt(5), reraise=True)
        yield retry(create_once)


class _Throttled:
    """Reports refusals to botocore's controller, and every answer as one to its backoff."""

    def is_throttling_error(self, status: int) -> bool:
        return status == TOO_MANY_REQUESTS

    def is_throttling_error_from_context(self, context: object) -> bool:
        del context
        return True


@contextlib.asynccontextmanager
async def adaptive(url: str) -> AsyncGenerator[Create]:
    """aiohttp under botocore's adaptive controller and backoff, for as many attempts as it takes.

    Its own number of attempts, 3, would end most calls, and its controller with them.
    """
    controller = baseline("botocore.retries.adaptive")
    bucket = baseline("botocore.retries.bucket")
    throttling = baseline("botocore.retries.throttling")
    standard = baseline("botocore.retries.standard")
    backoff = standard.ExponentialBackoff(throttling_detector=_Throttled())
    clock = bucket.Clock()
    tokens = bucket.TokenBucket(max_rate=1, clock=clock)
    limiter = controller.ClientRateLimiter(
        rate_adjustor=throttling.CubicCalculator(
            starting_max_rate=0, start_time=clock.current_time()
        ),
        rate_clocker=controller.RateClocker(clock),
        token_bucket=tokens,
        throttling_detector=_Throttled(),
        clock=clock,
    )
    gate, turn = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def take_token() -> None:
        # What the controller does at this place, but without holding the event loop.
        while True:
            try:
                tokens.acquire(block=False)
            except baseline("botocore.exceptions").CapacityNotAvailableError:
                await asyncio.sleep((1 - tokens.available_capacity) / tokens.max_rate)
            else:
                return

    async with aiohttp.ClientSession(headers=HEADERS) as session:
        is_limited = False

        async def create(number: int) -> None:
            nonlocal is_limited
            for attempt in itertools.count(1):
                async with gate:
                    if is_limited:
                        async with turn:
                            await take_token()
                    async with session.post(f"{url}/v2/roles", json=_fields(number)) as response:
                        await response.read()
                    limiter.on_receiving_response(status=response.status)
                if response.status != TOO_MANY_REQUESTS:
                    response.raise_for_status()
                    return
                is_limited = True
                context = standard.RetryContext(attempt_number=attempt)
                await asyncio.sleep(backoff.delay_amount(context))

        yield create


@contextlib.asynccontextmanager
async def httpx(url: str) -> AsyncGenerator[Create]:
    """httpx as it comes: 100 connections, and nothing for limits."""
    async with baseline("httpx").AsyncClient(headers=HEADERS, timeout=None) as client:

        async def create(number: int) -> None:
            response = await client.post(f"{url}/v2/roles", json=_fields(number))
            response.raise_for_status()

        yield create


def arize_in(threads: int) -> Callable[[str], AbstractAsyncContextManager[Create]]:
    @contextlib.asynccontextmanager
    async def in_threads(url: str) -> AsyncGenerator[Create]:
        client, loop = Arize(url, connections=threads), asyncio.get_running_loop()
        with ThreadPoolExecutor(threads) as pool:
            yield lambda number: loop.run_in_executor(pool, client.create, number)

    return in_threads


PEERS: dict[str, tuple[str, Callable[[str], AbstractAsyncContextManager[Create]]]] = {
    "aiohttp + tenacity": ("tenacity", careful),
    "aiohttp + botocore": ("botocore", adaptive),
    "httpx": ("httpx", httpx),
    "Arize's client, 16 threads": ("arize", arize_in(16)),
    "Arize's client, 64 threads": ("arize", arize_in(64)),
}
"""The other clients, with the module that each cannot do without."""
