"""The parts that rows are measured with: the service, sides in turns, and figures."""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from importlib.util import find_spec
from statistics import median
from typing import NamedTuple

import attrs

from tests.benchmarks.server import Connection, Service
from tests.benchmarks.side import Side


class NotMeasuredError(Exception):
    """Says why some rows cannot be measured."""


class Size(NamedTuple):
    rounds: int
    share: float = 1.0
    """The share of the calls and roles of the large rows."""

    def scaled(self, count: int, least: int) -> int:
        return max(least, round(count * self.share))


SIZES = {"full": Size(25), "quick": Size(7), "tiny": Size(0, 0.01)}


class Measured(NamedTuple):
    """A figure that is judged."""

    value: float
    beside: str
    """The figures that it comes from, and those of other clients, in words."""


Measures = dict[str, Measured]


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class Bench(NamedTuple):
    """The service, and the processes that are its clients."""

    size: Size
    service: Service
    url: str
    cores: Sequence[int]
    """The service's and the clients'."""

    @contextlib.asynccontextmanager
    async def start(
        self, *sides: Side, is_free: bool = False, under: Sequence[str] = ()
    ) -> AsyncGenerator[list[Process]]:
        """Start processes of sides, with every core for each if they are free.

        `under` is a command that runs each of them, with its options.
        """
        if any(side.client == "arize" for side in sides) and find_spec("arize") is None:
            raise NotMeasuredError("not installed: arize")
        processes: list[Process] = []
        try:
            for side in sides:
                options = dict(side.options)
                if "roles" in options:
                    options["roles"] = self.size.scaled(options["roles"], 400)
                at = json.dumps(side._replace(options=tuple(options.items())))
                module = ("-W", "ignore", "-m", "tests.benchmarks.side")
                command = (*under, sys.executable, *module, self.url, at)
                process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
                processes.append(process)
                if self.cores:
                    cores = self.cores if is_free else self.cores[-1:]
                    os.sched_setaffinity(process.pid, cores)
            for process in processes:
                assert await _line(process) == b"ready\n"
            yield processes
        finally:
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
                await process.wait()


async def take(*processes: Process) -> list[Mapping[str, float]]:
    """Have all processes take a sample at the same time."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
    return [json.loads(await _line(process)) for process in processes]


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


@attrs.frozen
class Pair:
    """Two sides that take turns, A B B A, in many short samples: a machine is slow by turns."""

    ours: Side
    theirs: Side
    samples: int = 8
    """The number of a side's samples in a round; 0 for one in all."""
    roles: int = 1000
    """The number of roles that the service has."""
    is_free: bool = False
    """True if every core is theirs."""

    async def __call__(self, bench: Bench) -> Measures:
        bench.service.set_up(roles=bench.size.scaled(self.roles, 1000))
        async with bench.start(self.ours, self.theirs, is_free=self.is_free) as processes:
            await take(*processes)
            samples: list[list[Mapping[str, float]]] = [[], []]
            turns = [0, 1]
            for _ in range(max(1, self.samples * bench.size.rounds)):
                for turn in turns:
                    samples[turn] += await take(processes[turn])
                turns.reverse()
        ours, theirs = samples
        return {
            figure: _compared([each[figure] for each in ours], [each[figure] for each in theirs])
            for figure in ours[0].keys() & theirs[0].keys()
        }


def _compared(ours: Sequence[float], theirs: Sequence[float]) -> Measured:
    """Compare within each round; the medians of both sides are shown beside it."""
    sides = " : ".join(number(median(side)) for side in (ours, theirs))
    return Measured(median(one / other for one, other in zip(ours, theirs, strict=True)), sides)


@contextlib.asynccontextmanager
async def serving(size: Size) -> AsyncGenerator[Bench]:
    """Serve the service from this process, on a core of its own if there are two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        os.sched_setaffinity(0, cores[:1])
    service, loop = Service(), asyncio.get_running_loop()
    # A thousand callers connect at once; a full backlog would be timed as theirs.
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=2048)
    async with server:
        yield Bench(size, service, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cores)
