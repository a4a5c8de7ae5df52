"""Several client processes at one service; run as a module it is one of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time

from tests.benchmarks.harness import unpinned
from tests.benchmarks.sides import ours


def start_together(url: str, processes: int, calls: int) -> tuple[list[float], int]:
    """Start processes that make so many creates each, all at once.

    Returns:
        The seconds that each of them took, and the number of calls that failed.
    """
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.processes", url, str(calls)]
    with contextlib.ExitStack() as stack:
        with unpinned():
            clients = [
                stack.enter_context(
                    subprocess.Popen(  # noqa: S603
                        [*command, str(place * calls)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                for place in range(processes)
            ]
        for client in clients:
            _line_of(client)  # it is ready
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
            client.stdin.flush()
        results = [json.loads(_line_of(client)) for client in clients]
    return [result["seconds"] for result in results], sum(result["failed"] for result in results)


def _line_of(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None
    return client.stdout.readline()


async def main(url: str, calls: int, first: int) -> None:
    """Create so many roles at once, when a line comes, and print how it went."""
    async with ours(url) as create:
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.perf_counter()
        results = await asyncio.gather(
            *(create(number) for number in range(first, first + calls)), return_exceptions=True
        )
        seconds = time.perf_counter() - started
    failed = sum(isinstance(result, BaseException) for result in results)
    print(json.dumps({"seconds": seconds, "failed": failed}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
