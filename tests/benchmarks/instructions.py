"""Counted rows: the instructions of calls, which hardly depend on other work on the machine."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import attrs

from tests.benchmarks.harness import Bench, Measured, Measures, NotMeasuredError, number, take
from tests.benchmarks.side import Side


@attrs.frozen
class Instructions:
    """Two sides under cachegrind, over loopback.

    Each side has two processes, of which one takes two samples more. Their difference is that of
    calls alone, without the start of a process and its first calls.
    """

    ours: Side
    theirs: Side

    async def __call__(self, bench: Bench) -> Measures:
        if shutil.which("valgrind") is None:
            raise NotMeasuredError("not installed: valgrind")
        bench.service.set_up(roles=1000)
        async with bench.start(self.ours, self.theirs) as processes:
            await take(*processes)  # So that every module is compiled.
        ours, theirs = await asyncio.gather(
            *(self._count(bench, side) for side in (self.ours, self.theirs))
        )
        shown = " : ".join(f"{number(each / 1000)}k" for each in (ours, theirs))
        return {"instructions": Measured(ours / theirs, shown)}

    async def _count(self, bench: Bench, side: Side) -> float:
        few, many = await asyncio.gather(*(_counted(bench, side, samples) for samples in (1, 3)))
        return (many - few) / (2 * side.calls)


async def _counted(bench: Bench, side: Side, samples: int) -> int:
    """Return the instructions of a process that takes so many samples."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        options = ("--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={log}")
        # Every process has the same order of sets.
        under = ("env", "PYTHONHASHSEED=0", "valgrind", "--tool=cachegrind", *options)
        async with bench.start(side, is_free=True, under=under) as processes:
            for _ in range(samples):
                await take(*processes)
        # The log ends with a line such as `==123== I refs: 1,234`.
        return int(log.read_text().rpartition(":")[2].replace(",", ""))
