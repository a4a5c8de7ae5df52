"""Bulk jobs under a rate limit, and calls by names, at a service with latency: counted."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, NamedTuple

from arize_roles_async import AiohttpRolesClient, as_code
from tests.benchmarks.harness import Bench, Measure, Measured, counted, is_installed, repeated
from tests.benchmarks.jobs import DRAWN, JOBS, RUNS_OF_SHARED, SHARED_JOBS, Job, SharedJob
from tests.benchmarks.limited import FIRST, target_of
from tests.benchmarks.processes import start_together
from tests.benchmarks.server import PAGE, permissions, role_id, role_name
from tests.benchmarks.sides import KEY, PEERS, ours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from tests.benchmarks.sides import Create

MANY = 5000
"""The roles of an account in which names are looked for."""
SECONDS_OF_A_QUICK_JOB = 15


class Outcome(NamedTuple):
    """The result of a job of one client."""

    failed: int
    requests: int
    refused: int
    refused_late: float
    """Answers of 429 for each success, but for those to the first requests."""
    time: float
    """Seconds over the ideal ones."""
    order: float
    """The agreement of the order of completion with the order of start; 1 is the same."""


async def do(
    bench: Bench, job: Job, side: Callable[[str], AbstractAsyncContextManager[Create]]
) -> Outcome:
    """Start all calls of a job at once, and wait for the last."""
    bench.limited.set_up(
        rate=job.rate, burst=job.burst, retry_after=job.retry_after, halve_after=job.halve_after
    )
    completed: list[int] = []
    async with side(bench.limited.url) as create:

        async def call(number: int) -> None:
            await create(number)
            completed.append(number)

        started = time.perf_counter()
        await asyncio.gather(*map(call, range(job.calls)), return_exceptions=True)
        seconds = time.perf_counter() - started
    counts = bench.limited.counts()
    return Outcome(
        failed=job.calls - len(completed),
        requests=counts["requests"],
        refused=counts["refused"],
        refused_late=counts["refused_late"] / max(1, len(completed)),
        time=seconds / job.ideal,
        order=spearman(completed),
    )


def spearman(completed: Sequence[int]) -> float:
    """Return how well the order of the numbers agrees with counting up."""
    ranks = {number: rank for rank, number in enumerate(sorted(completed))}
    squares = sum((ranks[number] - rank) ** 2 for rank, number in enumerate(completed))
    return 1 - 6 * squares / max(1, len(completed) ** 3 - len(completed))


async def bulk_job(key: str, bench: Bench) -> tuple[Measured, ...]:
    job = bench.jobs[key]
    own = [await do(bench, job, ours) for _ in range(job.runs)]
    peers = {
        name: await do(bench, job, side)
        for name, (module, side) in PEERS.items()
        if job.peers and is_installed(module)
    }
    middle = sorted(own, key=lambda outcome: outcome.time)[job.runs // 2]
    return (
        counted(
            max(outcome.failed for outcome in own),
            f"of {job.calls:,} ({job.limit})",
            {name: peer.failed for name, peer in peers.items()},
        ),
        repeated(
            [outcome.refused_late for outcome in own],
            f"({middle.refused} of {middle.requests:,} requests in all)",
            {name: peer.refused_late for name, peer in peers.items()},
        ),
        counted(
            min(outcome.order for outcome in own),
            "",
            {name: peer.order for name, peer in peers.items()},
        ),
        repeated(
            [outcome.time for outcome in own],
            f"({middle.time * job.ideal:.1f} s : {job.ideal:.1f} s)",
            {name: peer.time for name, peer in peers.items() if not peer.failed},
        ),
    )


class SharedOutcome(NamedTuple):
    """The result of a job of several processes."""

    failed: int
    refused_late: float
    time: float
    last: float


def do_together(bench: Bench, job: SharedJob) -> SharedOutcome:
    """Have several processes start all their calls at once, and wait for the last."""
    bench.limited.set_up(rate=job.rate, burst=job.burst, first=FIRST * job.processes)
    ends, failed = start_together(bench.limited.url, job.processes, job.calls)
    granted = job.processes * job.calls - failed
    return SharedOutcome(
        failed=failed,
        refused_late=bench.limited.counts()["refused_late"] / max(1, granted),
        time=max(ends) / job.ideal,
        last=max(ends) / min(ends),
    )


async def shared_job(job: SharedJob, bench: Bench) -> tuple[Measured, ...]:
    outcomes = [do_together(bench, job) for _ in range(RUNS_OF_SHARED)]
    worst = max(outcome.time for outcome in outcomes)
    return (
        counted(max(outcome.failed for outcome in outcomes), f"of {job.processes * job.calls:,}"),
        repeated([outcome.refused_late for outcome in outcomes], ""),
        repeated([outcome.time for outcome in outcomes], f"({job.ideal:.1f} s; worst {worst:.2f})"),
        repeated(
            [outcome.last for outcome in outcomes],
            f"(worst {max(outcome.last for outcome in outcomes):.2f})",
        ),
    )


async def known_names(bench: Bench) -> tuple[Measured, ...]:
    bench.limited.set_up(roles=MANY, latency=0.0)
    async with AiohttpRolesClient(KEY, base_url=bench.limited.url) as roles:
        async for _ in roles.list(limit=PAGE):
            pass
        seen = MANY // PAGE
        gets: list[int] = []
        changes: list[int] = []
        for number in range(0, MANY, 250):
            for requests, call in (
                (gets, roles.get(role=role_name(number))),
                (changes, roles.update(role=role_name(number), description="Changed.")),
                (changes, roles.delete(role=role_name(number))),
            ):
                await call
                before, seen = seen, bench.limited.counts()["requests"]
                requests.append(seen - before)
    return counted(max(gets), "at most"), counted(max(changes), "at most")


async def cold_names(bench: Bench) -> tuple[Measured, ...]:
    bench.limited.set_up(roles=MANY)
    # One on the last page, so that the walk is a whole one.
    numbers = range(49, MANY, 50)
    async with AiohttpRolesClient(KEY, base_url=bench.limited.url) as roles:
        await asyncio.gather(*(roles.get(role=role_name(number)) for number in numbers))
    requests = bench.limited.counts()["requests"]
    return (counted(requests / len(numbers), f"({requests} requests)"),)


async def retried_call(bench: Bench) -> tuple[Measured, ...]:
    """Count the requests of others between the first and the second of a call."""
    failing = [target_of(number) for number in (0, 20, 500, 1500)]
    bench.limited.set_up(roles=MANY, failing=failing)
    async with AiohttpRolesClient(KEY, base_url=bench.limited.url, timeout=None) as roles:
        await asyncio.gather(*(roles.get(role_id=role_id(number)) for number in range(2040)))
    targets = bench.limited.counts()["targets"]
    first = [targets.index(target) for target in failing]
    second = [targets.index(t, place + 1) for t, place in zip(failing, first, strict=True)]
    places = [b - a for a, b in zip(first, second, strict=True)]
    return (counted(max(places), f"at most ({', '.join(map(str, places))})"),)


async def reconciling(bench: Bench) -> tuple[Measured, ...]:
    """Make an account of 500 roles as declared: 5 pages, 83 updates, 83 deletes, 83 creates.

    Each update and delete takes two requests, since `apply` reads the role again before.
    """
    bench.limited.set_up(roles=500, rate=20, burst=5)
    each = 83
    declaration = as_code.Declaration(
        roles=[
            as_code.DeclaredRole(
                name=role_name(number), permissions=permissions(number), description="Changed."
            )
            for number in (*range(each), *range(1000, 1000 + each))
        ],
        absent=[role_name(number) for number in range(each, 2 * each)],
    )
    made: list[as_code.Change] = []
    started = time.perf_counter()
    async with AiohttpRolesClient(KEY, base_url=bench.limited.url) as roles:
        try:
            await as_code.apply(roles, declaration, on_change=made.append)
        except as_code.ApplyError as error:
            print(error)
        seconds, counts = time.perf_counter() - started, bench.limited.counts()
        left = (await as_code.plan(roles, declaration)).changes
    least = 500 // PAGE + 5 * each
    return (
        counted(len(left), f"of {3 * each}"),
        counted(
            counts["requests"],
            f"({least} at least, {counts['refused']} answers of 429, {seconds:.1f} s)",
        ),
    )


MEASURES = (
    *(
        Measure(
            tuple(f"{key}-{what}" for what in ("failed", "429s", "order", "time")),
            (),
            functools.partial(bulk_job, key),
            is_long=is_long,
        )
        for key, is_long in (
            *((job.key, job.ideal > SECONDS_OF_A_QUICK_JOB) for job in JOBS),
            *((key, True) for key in DRAWN),
        )
    ),
    *(
        Measure(
            tuple(f"{job.key}-{what}" for what in ("failed", "429s", "time", "last")),
            (),
            functools.partial(shared_job, job),
            is_long=True,
        )
        for job in SHARED_JOBS
    ),
    Measure(("reconcile-failed", "reconcile-requests"), (), reconciling),
    Measure(("known-get", "known-change"), (), known_names),
    Measure(("cold-names",), (), cold_names),
    Measure(("retried-place",), (), retried_call),
)
