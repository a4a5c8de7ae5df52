"""Bulk jobs: creates that begin at once under a rate limit, by one process or several."""

from collections.abc import Mapping
from importlib.util import find_spec
from statistics import median

import attrs

from tests.benchmarks.harness import Bench, Measured, Measures, number, take
from tests.benchmarks.side import Side
from tests.support.rate_limit import LATENCY, SLOTS, Bucket, Limit

_CREATES = Side("ours", "create", how="at_once")
_PEERS = {
    "Arize's client, 16 threads": _CREATES._replace(client="arize", options=(("threads", 16),)),
    "Arize's client, 64 threads": _CREATES._replace(client="arize", options=(("threads", 64),)),
}


@attrs.frozen
class Job:
    """So many creates of each process at a service that grants so many a second."""

    key: str
    calls: int
    rate: int
    burst: int
    time: float
    """The most time over the ideal; those below are alike."""
    late: float | None = 0.08
    processes: int = 1
    has_peers: bool = False

    @property
    def limit(self) -> str:
        return f"{self.rate}/s, burst {self.burst}"

    @property
    def ideal(self) -> float:
        """Seconds in which the service grants as many at best, with those of the last answer."""
        return self._limiter().ideal(self.processes * self.calls) + LATENCY

    def _limiter(self) -> Bucket:
        return Bucket(Limit(self.rate, self.burst))

    async def __call__(self, bench: Bench) -> Measures:
        job = attrs.evolve(self, calls=bench.size.scaled(self.calls, 2))
        # In a short job a single hold more or less decides how long it takes.
        runs = 5 if self.processes > 1 or self.ideal < 5 else 1
        outcomes = [await job.run(bench, _CREATES) for _ in range(bench.size.scaled(runs, 1))]
        peers = {
            name: await job.run(bench, side)
            for name, side in _PEERS.items()
            if self.has_peers and find_spec("arize")
        }
        measures: dict[str, Measured] = {}
        for figure in outcomes[0]:
            values = [outcome[figure] for outcome in outcomes]
            beside = [f"worst {number(max(values))}"]
            beside += [f"{name} {number(peer[figure])}" for name, peer in peers.items()]
            # A single failure counts.
            value = max(values) if figure == "failed" else median(values)
            measures[figure] = Measured(value, "; ".join(beside))
        return measures

    async def run(self, bench: Bench, side: Side) -> Mapping[str, float]:
        bench.service.set_up(limiter=self._limiter(), latency=LATENCY, first=SLOTS * self.processes)
        sides = [side._replace(calls=self.calls)] * self.processes
        async with bench.start(*sides, is_free=self.processes > 1) as processes:
            samples = await take(*processes)
        failed = sum(sample["failed"] for sample in samples)
        seconds = [sample["seconds"] for sample in samples]
        made = self.processes * self.calls - failed
        return {
            "failed": failed,
            "late 429s": bench.service.refused_late / max(1, made),
            "time": max(seconds) / self.ideal,
        }


JOBS = (
    Job("20", 1000, 20, 5, 1.25, has_peers=True),
    Job("100", 1000, 100, 20, 1.4, has_peers=True),
    Job("100-short", 300, 100, 20, 2.2),
    Job("7", 1000, 7, 1, 1.6),
    Job("4x250", 250, 20, 5, 1.4, None, 4),
    Job("16x100", 100, 100, 20, 1.8, None, 16),
)
