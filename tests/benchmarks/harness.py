"""The harness of timings: bursts of calls, in interleaved rounds, read as medians."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence

    from tests.benchmarks.jobs import Job
    from tests.benchmarks.limited import Limited
    from tests.benchmarks.server import Canned

T = TypeVar("T")


class Burst(NamedTuple):
    seconds: float
    cpu_seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def tail(self) -> float:
        """The 99th percentile of the latencies over their median."""
        percentiles = statistics.quantiles(self.latencies, n=100)
        return percentiles[98] / percentiles[49]


async def burst(call: Callable[[], Awaitable[object]], calls: int, in_flight: int = 1) -> Burst:
    """Make `calls` calls, `in_flight` of them at any moment until they run out."""
    latencies: list[float] = []
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            start = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - start)

    start, cpu_start = time.perf_counter(), time.process_time()
    if in_flight == 1:
        await caller()
    else:
        await asyncio.gather(*(caller() for _ in range(in_flight)))
    return Burst(time.perf_counter() - start, time.process_time() - cpu_start, latencies)


async def seconds_per_call(call: Callable[[], Awaitable[object]], calls: int) -> float:
    return (await burst(call, calls)).seconds / calls


def thread_rate(call: Callable[[], object], calls: int, threads: int) -> float:
    """Return the calls a second of blocking calls, with a thread for each one in flight."""
    left = iter(range(calls))

    def caller() -> None:
        for _ in left:
            call()

    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        for done in [pool.submit(caller) for _ in range(threads)]:
            done.result()
        return calls / (time.perf_counter() - start)


def sync_seconds_per_call(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


async def interleave(rounds: int, *sides: Callable[[], Awaitable[T]]) -> list[list[T]]:
    """Run the sides in turn, A B B A, so that a slow moment of the machine hits each."""
    for side in sides:
        await side()
    samples: list[list[T]] = [[] for _ in sides]
    turns = list(zip(sides, samples, strict=True))
    # What a side left behind, or what lives in this process for another row, is not to be
    # collected or walked on this one's clock.
    gc.freeze()
    for _ in range(rounds):
        for side, taken in turns:
            gc.collect()
            taken.append(await side())
        turns.reverse()
    gc.unfreeze()
    return samples


class Bench(NamedTuple):
    """The parts that the rows are measured with."""

    server: Canned
    limited: Limited
    jobs: Mapping[str, Job]
    quick: bool

    @property
    def rounds(self) -> int:
        return 7 if self.quick else 25

    def calls(self, calls: int) -> int:
        """As many calls to a sample of a full run; a quick one makes half of them."""
        return calls // 2 if self.quick else calls


class Measure(NamedTuple):
    """The function that gives these rows, and the modules that it needs."""

    rows: tuple[str, ...]
    needs: tuple[str, ...]
    run: Callable[[Bench], Awaitable[tuple[Measured, ...]]]
    is_long: bool = False
    """True if a quick run leaves it out."""


class Measured(NamedTuple):
    """A result: `value` is the figure that is judged, the spread its quartiles."""

    value: float
    spread: tuple[float, float] | None
    """None for what is counted once and exactly."""
    ours: float
    theirs: float | None
    unit: str
    peers: Mapping[str, float] | None = None
    """The same of other clients, by their names."""


def counted(value: float, unit: str, peers: Mapping[str, float] | None = None) -> Measured:
    return Measured(value, None, value, None, unit, peers)


def repeated(
    values: Sequence[float], unit: str, peers: Mapping[str, float] | None = None
) -> Measured:
    """A figure that was measured once, or the median of several measurements."""
    if len(values) == 1:
        return counted(values[0], unit, peers)
    return plain(values, unit)._replace(peers=peers)


def ratio(ours: Sequence[float], theirs: Sequence[float], unit: str, scale: float = 1) -> Measured:
    """Ours over theirs, taken within each round; the medians of both are shown beside it."""
    return _measured([a / b for a, b in zip(ours, theirs, strict=True)], ours, theirs, unit, scale)


def difference(ours: Sequence[float], theirs: Sequence[float], unit: str) -> Measured:
    return _measured([a - b for a, b in zip(ours, theirs, strict=True)], ours, theirs, unit, 1)


def plain(ours: Sequence[float], unit: str, theirs: Sequence[float] | None = None) -> Measured:
    """A number that is judged as it is; a baseline's is shown beside it."""
    return _measured(ours, ours, theirs, unit, 1)


def _measured(
    values: Sequence[float],
    ours: Sequence[float],
    theirs: Sequence[float] | None,
    unit: str,
    scale: float,
) -> Measured:
    low, value, high = statistics.quantiles(values, n=4, method="inclusive")
    return Measured(
        value,
        (low, high),
        scale * statistics.median(ours),
        None if theirs is None else scale * statistics.median(theirs),
        unit,
    )


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package around it is missing already
        return False


def pin() -> int | None:
    """Take a core for this process and return another for the server, if there are two."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    os.sched_setaffinity(0, {cores[-1]})
    return cores[0]


@contextlib.contextmanager
def unpinned() -> Generator[None]:
    """Give this thread, and those that it starts, every core for a while."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    yield
    os.sched_setaffinity(0, pinned)


@contextlib.contextmanager
def running(module: str, core: int | None) -> Generator[str]:
    """Run a server as a process of its own, on this core if there is one; yields its URL."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:  # leaving closes the server's input, which ends it
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
