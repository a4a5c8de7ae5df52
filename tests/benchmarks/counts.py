"""Counted rows: the requests that calls by name and roles as code take."""

import asyncio
import contextlib

from arize_roles_async import AiohttpRolesClient, as_code
from tests.benchmarks.harness import Bench, Measured, Measures
from tests.benchmarks.records import KEY, PAGE, permissions, role_name


async def names(bench: Bench) -> Measures:
    """Count the requests of calls by name: unknown ones, all at once, and then known ones."""
    bench.service.set_up(roles=5000, latency=0.01)
    requests = bench.service.targets
    # One is on the last page, so that the walk is a whole one.
    numbers = range(49, 5000, 50)
    gets: list[int] = []
    changes: list[int] = []
    async with AiohttpRolesClient(KEY, base_url=bench.url) as roles:
        await asyncio.gather(*(roles.get(role=role_name(number)) for number in numbers))
        unknown = len(requests)
        for name in map(role_name, numbers[::5]):
            for counted, call in (
                (gets, roles.get(role=name)),
                (changes, roles.update(role=name, description="Changed.")),
                (changes, roles.delete(role=name)),
            ):
                before = len(requests)
                await call
                counted.append(len(requests) - before)
    return {
        "requests": Measured(unknown / len(numbers), f"{unknown} for {len(numbers)}"),
        "requests to get": Measured(max(gets), "at most"),
        "requests to change": Measured(max(changes), "at most"),
    }


async def reconciling(bench: Bench) -> Measures:
    """Make an account of 500 roles as declared: 5 pages, 83 updates, 83 deletes, 83 creates.

    Each update and delete takes two requests, since `apply` reads the role again before.
    """
    bench.service.set_up(roles=500, latency=0.04, rate=20, burst=5)
    each = bench.size.scaled(83, 1)
    declaration = as_code.Declaration(
        roles=[
            as_code.DeclaredRole(
                name=role_name(number), permissions=permissions(number), description="Changed."
            )
            for number in (*range(each), *range(1000, 1000 + each))
        ],
        absent=[role_name(number) for number in range(each, 2 * each)],
    )
    async with AiohttpRolesClient(KEY, base_url=bench.url) as roles:
        with contextlib.suppress(as_code.ApplyError):
            await as_code.apply(roles, declaration)
        requests = len(bench.service.targets)
        left = (await as_code.plan(roles, declaration)).changes
    return {
        "failed": Measured(len(left), f"of {3 * each}"),
        "requests": Measured(requests, f"{500 // PAGE + 5 * each} at least"),
    }
