"""Bulk jobs: creates that begin at once under a rate limit, by one process or several."""

import itertools
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import attrs

from tests.benchmarks.harness import (
    Bench,
    Measured,
    Measures,
    NotMeasuredError,
    median,
    number,
    take,
)
from tests.benchmarks.side import Side
from tests.support.rate_limit import LATENCY, SLOTS, Bucket, Limit

_CREATES = Side("ours", "create", how="at_once")
_PEERS = {
    "aiohttp + tenacity": _CREATES._replace(client="peers", options=(("module", "tenacity"),)),
    "aiohttp + botocore": _CREATES._replace(client="peers", options=(("module", "botocore"),)),
    "httpx": _CREATES._replace(client="peers", options=(("module", "httpx"),)),
    "Arize's client, 16 threads": _CREATES._replace(client="arize", options=(("threads", 16),)),
    "Arize's client, 64 threads": _CREATES._replace(client="arize", options=(("threads", 64),)),
}

_TURN = 20.0


class Turns(Bucket):
    """A token bucket of several rates, which last twenty seconds each."""

    def __init__(self, rates: Sequence[float], burst: int) -> None:
        super().__init__(Limit(rates[0], burst))
        self._rates = rates
        self._begun_at: float | None = None

    def take(self, now: float) -> float | None:
        if self._begun_at is None:
            self._begun_at = now
        turn = int((now - self._begun_at) // _TURN)
        self.limit = self.limit._replace(rate=self._rates[turn % len(self._rates)])
        return super().take(now)

    def ideal(self, requests: int) -> float:
        left, seconds = float(requests - self.limit.burst), 0.0
        for rate in itertools.cycle(self._rates):
            granted = min(left, rate * _TURN)
            left, seconds = left - granted, seconds + granted / rate
            if not left:
                break
        return seconds


@attrs.frozen
class Job:
    """So many creates of each process at a service that grants so many a second."""

    key: str
    calls: int
    rate: int
    burst: int
    time: tuple[float, float]
    """Hold and aim of the time over the ideal; those below are alike."""
    late: tuple[float, ...] = (0.08, 0.03)
    processes: int = 1
    last: tuple[float, ...] = ()
    retry_after: int | None = None
    halves: bool = False
    turns: tuple[int, ...] = ()
    """The rates, if there are several by turns of 20 seconds; `rate` is the first."""
    has_peers: bool = False

    @property
    def limit(self) -> str:
        rate = f"{', '.join(map(str, self.turns or (self.rate,)))}/s"
        halving = ", halving half way" if self.halves else ""
        return f"{rate}{' by turns of 20 s' * bool(self.turns)}, burst {self.burst}{halving}"

    @property
    def ideal(self) -> float:
        """Seconds in which the service grants as many at best, with those of the last answer."""
        return self._limiter().ideal(self.processes * self.calls) + LATENCY

    def _limiter(self) -> Bucket:
        if self.turns:
            return Turns(self.turns, self.burst)
        limit = Limit(self.rate, self.burst, self.retry_after, 0.5 if self.halves else 1.0)
        return Bucket(limit, half=self.processes * self.calls // 2 if self.halves else 0)

    async def __call__(self, bench: Bench) -> Measures:
        if self.ideal > bench.size.longest:
            raise NotMeasuredError("too long for a quick run")
        job = attrs.evolve(self, calls=bench.size.scaled(self.calls, 2))
        # In a short job a single hold more or less decides how long it takes.
        runs = 5 if self.processes > 1 or self.ideal < 5 else 1
        outcomes = [await job.run(bench, _CREATES) for _ in range(bench.size.scaled(runs, 1))]
        peers = {
            name: await job.run(bench, side)
            for name, side in _PEERS.items()
            if self.has_peers and find_spec(dict(side.options).get("module", "arize"))
        }
        measures: dict[str, Measured] = {}
        for figure in outcomes[0]:
            values = [outcome[figure] for outcome in outcomes]
            beside = [f"worst {number(max(values))}"]
            for name, peer in peers.items():
                if figure == "failed" or not peer["failed"]:
                    beside.append(f"{name} {number(peer[figure])}")
            measures[figure] = median(values, "; ".join(beside))
        # A single failure counts.
        worst = max(outcome["failed"] for outcome in outcomes)
        return measures | {"failed": measures["failed"]._replace(value=worst)}

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
            "last": max(seconds) / min(seconds),
        }


JOBS = (
    Job("20", 1000, 20, 5, (1.25, 1.1), has_peers=True),
    Job("100", 1000, 100, 20, (1.4, 1.15), has_peers=True),
    Job("100-short", 300, 100, 20, (2.2, 1.5)),
    Job("7", 1000, 7, 1, (1.6, 1.3)),
    Job("50-halving", 1000, 50, 50, (1.35, 1.2), (0.13, 0.05), retry_after=2, halves=True),
    Job("by-turns", 1000, 5, 10, (2.8, 1.7), turns=(5, 50, 10)),
    Job("50-and-2", 1000, 50, 10, (4.0, 1.8), turns=(50, 2)),
    Job("300", 1000, 300, 60, (2.2, 1.5)),
    Job("2x500", 500, 20, 5, (1.4, 1.2), (), 2, (1.8, 1.2)),
    Job("4x100", 100, 20, 5, (1.6, 1.3), (), 4, (2.5, 1.5)),
    Job("4x250", 250, 20, 5, (1.4, 1.2), (), 4, (2.0, 1.5)),
    Job("4x200", 200, 7, 1, (3.0, 1.9), (), 4, (2.0, 1.5)),
    Job("8x100", 100, 50, 20, (1.6, 1.3), (), 8, (3.3, 2.0)),
    Job("8x200", 200, 50, 20, (1.4, 1.2), (), 8, (2.8, 2.0)),
    Job("16x100", 100, 100, 20, (1.8, 1.4), (), 16, (4.5, 2.5)),
)
