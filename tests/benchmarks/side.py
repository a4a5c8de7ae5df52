"""One side of a comparison, in a process of its own: it imports only its client.

It reads a line, takes a sample, prints its figures as JSON, and so on until its input closes.
"""

import asyncio
import gc
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tests.benchmarks.records import Figures


class Side(NamedTuple):
    """A sample: so many calls of a client, so many at any moment.

    `clients` has a module for each client, whose function `operations` takes the options.
    """

    client: str
    call: str
    calls: int = 1
    in_flight: int = 1
    how: str = "in_tasks"
    """`in_threads` for calls that block, `at_once` for calls that may fail."""
    options: tuple[tuple[str, Any], ...] = ()

    async def in_tasks(self, call: Callable[[], Awaitable[object]]) -> Figures:
        figures = Figures()
        left = iter(range(self.calls))

        async def caller() -> None:
            for _ in left:
                result = await call()
                # A call may have measured something itself.
                if isinstance(result, Figures):
                    figures.update(result)

        start, cpu_start = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(self.in_flight)))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        figures["CPU, µs"] = 1e6 * cpu / self.calls
        figures.update(self._speed(seconds))
        return figures

    def _speed(self, seconds: float) -> Figures:
        time_of_one, throughput = 1e3 * seconds / self.calls, self.calls / seconds
        return Figures({"time, ms": time_of_one, "throughput, calls/s": throughput})

    async def in_threads(self, call: Callable[[], object]) -> Figures:
        left = iter(range(self.calls))

        def caller() -> None:
            for _ in left:
                call()

        with ThreadPoolExecutor(self.in_flight) as pool:
            start = time.perf_counter()
            for done in [pool.submit(caller) for _ in range(self.in_flight)]:
                done.result()
            return self._speed(time.perf_counter() - start)

    async def at_once(self, call: Callable[[int], Awaitable[object]]) -> Figures:
        start = time.perf_counter()
        results = await asyncio.gather(*map(call, range(self.calls)), return_exceptions=True)
        seconds = time.perf_counter() - start
        failed = sum(isinstance(result, BaseException) for result in results)
        return Figures({"seconds": seconds, "failed": failed})


async def _main(url: str, side: Side) -> None:
    take = getattr(side, side.how)
    client = importlib.import_module(f"tests.benchmarks.clients.{side.client}")
    async with client.operations(url, **dict(side.options)) as operations:
        print("ready", flush=True)
        for _ in sys.stdin:
            # The next sample has to collect only what it leaves behind itself.
            gc.collect()
            gc.freeze()
            print(json.dumps(await take(operations[side.call])), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Side(*json.loads(sys.argv[2]))))
