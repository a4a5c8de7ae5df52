"""The bulk jobs: how many creates at once, under which rate limit, and how well they must go."""

from __future__ import annotations

import random
from typing import NamedTuple

SHORT = 5
"""Seconds; in a job that takes less, a single hold more or less decides how long it takes."""


class Job(NamedTuple):
    """So many creates, all started at once, at a service that grants so many a second."""

    key: str
    calls: int
    rate: float
    burst: int
    retry_after: int | None = None
    """The `Retry-After` of a 429; None is the time until there is a token, in whole seconds."""
    halve_after: int | None = None
    """The number of grants after which the rate is halved."""
    refused: tuple[float, float] = (0.1, 0.05)
    """Hold and aim of the answers of 429 for each success."""
    time: tuple[float, float] = (1.4, 1.2)
    """Hold and aim of the time over the ideal."""
    peers: bool = False
    """True if other clients do it, too."""

    @property
    def ideal(self) -> float:
        """Seconds in which the service grants as many at best, with 40 ms for the last answer."""
        half = self.halve_after or self.calls
        return (half - self.burst) / self.rate + 2 * (self.calls - half) / self.rate + 0.04

    @property
    def runs(self) -> int:
        """The number of repetitions; a short job, whose time depends on chance, has several."""
        return 5 if self.ideal < SHORT else 1

    @property
    def limit(self) -> str:
        """The limit in words."""
        text = f"{self.rate:g}/s, burst {self.burst}"
        if self.retry_after is not None:
            text += f", `Retry-After: {self.retry_after}`"
        return text if self.halve_after is None else f"{text}, halving half way"


JOBS = (
    Job("20", 1000, 20, 5, refused=(0.08, 0.03), time=(1.25, 1.1), peers=True),
    Job("100", 1000, 100, 20, refused=(0.08, 0.03), time=(1.4, 1.15), peers=True),
    Job("100-short", 300, 100, 20, refused=(0.08, 0.03), time=(2.2, 1.5)),
    Job("7", 1000, 7, 1, refused=(0.08, 0.03), time=(1.6, 1.3)),
    Job("50-halving", 1000, 50, 50, 2, 500, refused=(0.13, 0.05), time=(1.35, 1.2)),
    Job("300", 1000, 300, 60, refused=(0.08, 0.03), time=(2.2, 1.5)),
)


class SharedJob(NamedTuple):
    """So many creates of each of several processes, all started at once, at one limit."""

    processes: int
    calls: int
    """Of each process."""
    rate: float
    burst: int
    time: tuple[float, float]
    """Hold and aim of the time over the ideal, a median."""
    last: tuple[float, float]
    """Hold and aim of the last process' time over the first's, a median."""

    @property
    def key(self) -> str:
        return f"{self.processes}x{self.calls}"

    @property
    def ideal(self) -> float:
        """Seconds in which the service grants as many at best, with 40 ms for the last answer."""
        return (self.processes * self.calls - self.burst) / self.rate + 0.04


RUNS_OF_SHARED = 5
SHARED_JOBS = (
    SharedJob(2, 500, 20, 5, time=(1.4, 1.2), last=(1.8, 1.2)),
    SharedJob(4, 100, 20, 5, time=(1.6, 1.3), last=(2.5, 1.5)),
    SharedJob(4, 250, 20, 5, time=(1.4, 1.2), last=(2.0, 1.5)),
    SharedJob(8, 100, 50, 20, time=(1.6, 1.3), last=(3.3, 2.0)),
    SharedJob(8, 200, 50, 20, time=(1.4, 1.2), last=(2.8, 2.0)),
    SharedJob(16, 100, 100, 20, time=(1.8, 1.4), last=(4.5, 2.5)),
)

DRAWN = ("drawn-1", "drawn-2")


def draw(seed: int) -> list[Job]:
    """Return jobs under limits that nobody has chosen; the ideal lasts between 14 and 125 s.

    The burst is that of a tenth of a second at least: where it is one request and the rate is high,
    requests collide by the chance of their way.
    """
    source = random.Random(seed)  # noqa: S311 - no secret
    jobs: list[Job] = []
    for key in DRAWN:
        rate = round(8 * 8 ** source.random(), 1)
        burst = max(1, round(rate * 10 ** -source.random()))
        jobs.append(Job(key, 1000, rate, burst, source.choice([None, 1, 2])))
    return jobs
