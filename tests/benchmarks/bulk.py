"""Bulk jobs under a rate limit: a thousand creates at once, ours and by hand, counted exactly.

python -m tests.benchmarks.bulk [--side SIDE] [LIMIT ...]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

from arize_roles_async import AiohttpRolesClient
from tests.benchmarks.sides import KEY, baseline

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Limit(NamedTuple):
    """A job and the limit that it is done under."""

    calls: int
    rate: float
    burst: int
    retry_after: int | None = None
    halve_after: int | None = None

    @property
    def ideal(self) -> float:
        """Seconds in which a service grants as many at best."""
        half = self.halve_after or self.calls
        return (half - self.burst) / self.rate + 2 * (self.calls - half) / self.rate + 0.04


LIMITS = {
    "20": Limit(1000, 20.0, 5),
    "100": Limit(1000, 100.0, 20),
    "100-300": Limit(300, 100.0, 20),
    "7": Limit(1000, 7.0, 1),
    "50-halving": Limit(1000, 50.0, 50, retry_after=2, halve_after=500),
    "300": Limit(1000, 300.0, 60),
}


async def ours(url: str, calls: int) -> int:
    """Create roles with this client; return how many failed."""
    async with AiohttpRolesClient(KEY, base_url=url, timeout=None) as roles:
        results = await asyncio.gather(
            *(
                roles.create(name=f"Role {number}", permissions=["PROJECT_READ"])
                for number in range(calls)
            ),
            return_exceptions=True,
        )
    return sum(isinstance(result, BaseException) for result in results)


async def careful(url: str, calls: int) -> int:
    """Create roles with aiohttp, a semaphore and tenacity, as careful people write it."""
    tenacity = baseline("tenacity")
    gate = asyncio.Semaphore(40)

    def wait(state: Any) -> float:  # noqa: ANN401
        error = state.outcome.exception()
        return float(error.headers.get("Retry-After", 1)) + random.random()  # noqa: S311

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:

        async def create_once(number: int) -> None:
            body = {"name": f"Role {number}", "permissions": ["PROJECT_READ"]}
            async with gate, session.post(f"{url}/v2/roles", json=body) as response:
                response.raise_for_status()
                await response.read()

        retry = tenacity.retry(wait=wait, stop=tenacity.stop_after_attempt(5), reraise=True)
        create = retry(create_once)
        results = await asyncio.gather(*map(create, range(calls)), return_exceptions=True)
    return sum(isinstance(result, BaseException) for result in results)


async def httpx(url: str, calls: int) -> int:
    """Create roles with httpx as it comes: 100 connections, no waiting for a limit."""
    module = baseline("httpx")
    async with module.AsyncClient(
        headers={"Authorization": f"Bearer {KEY}"}, timeout=None
    ) as client:

        async def create(number: int) -> None:
            body = {"name": f"Role {number}", "permissions": ["PROJECT_READ"]}
            (await client.post(f"{url}/v2/roles", json=body)).raise_for_status()

        results = await asyncio.gather(*map(create, range(calls)), return_exceptions=True)
    return sum(isinstance(result, BaseException) for result in results)


def arize(threads: int) -> Callable[[str, int], Coroutine[Any, Any, int]]:
    """Create roles with Arize's own client, in so many threads."""

    async def create_all(url: str, calls: int) -> int:
        client = baseline("arize").ArizeClient(
            api_key=KEY,
            api_host="127.0.0.1",
            api_scheme="http",
            api_port=int(url.rpartition(":")[2]),
            connection_pool_maxsize=threads,
        )

        def create(number: int) -> bool:
            try:
                client.roles.create(name=f"Role {number}", permissions=["PROJECT_READ"])
            except Exception:  # noqa: BLE001 - whatever it is, the role was not made
                return True
            return False

        def run() -> int:
            with ThreadPoolExecutor(threads) as pool:
                return sum(pool.map(create, range(calls)))

        return await asyncio.to_thread(run)

    return create_all


SIDES: dict[str, Callable[[str, int], Coroutine[Any, Any, int]]] = {
    "ours": ours,
    "aiohttp+tenacity": careful,
    "httpx": httpx,
    "arize-16": arize(16),
    "arize-64": arize(64),
}


def measure(side: str, limit: Limit) -> str:
    """Do a job and return its line of the table."""
    command = [sys.executable, "-m", "tests.benchmarks.limited"]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        _ask(f"{url}/limit", limit._asdict())
        started = time.perf_counter()
        failed = asyncio.run(SIDES[side](url, limit.calls))
        seconds = time.perf_counter() - started
        counts = _ask(f"{url}/counts")
        assert server.stdin is not None
        server.stdin.close()
    late = counts["refused_late"] / max(1, len(counts["order"]))
    places = [int(name.split()[1]) for name in counts["order"]]
    return (
        f"| {side} | {limit.calls} at {limit.rate:g}/s, burst {limit.burst} | {failed} | "
        f"{counts['requests']} | {counts['refused']} | {late:.3f} | "
        f"{seconds / limit.ideal:.2f} | {_spearman(places):.4f} |"
    )


def _ask(url: str, options: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    body = None if options is None else json.dumps(options).encode()
    with urllib.request.urlopen(url, body) as response:  # noqa: S310 - loopback
        return json.loads(response.read())


def _spearman(places: list[int]) -> float:
    """Return how well the order of completion agrees with the order of start."""
    ranks = {place: rank for rank, place in enumerate(sorted(places))}
    number = len(places)
    squares = sum((ranks[place] - rank) ** 2 for rank, place in enumerate(places))
    return 1.0 - 6.0 * squares / max(1, number * (number**2 - 1))


def main() -> None:
    """Print a line for each side and limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", action="append", choices=SIDES)
    parser.add_argument("limits", nargs="*", metavar="LIMIT", help=", ".join(LIMITS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| side | job | failed | requests | 429s | late 429s a success | time : ideal | order |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.limits or LIMITS:
        for side in arguments.side or SIDES:
            print(measure(side, LIMITS[name]), flush=True)


if __name__ == "__main__":
    main()
