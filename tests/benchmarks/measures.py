"""Measurements of time: one function for each row, or for rows that come from one run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

from arize_roles_async import AiohttpRolesClient, Request, Response
from arize_roles_async._wire.decode import decode_page
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.benchmarks.harness import (
    Bench,
    Burst,
    Measure,
    Measured,
    burst,
    difference,
    interleave,
    plain,
    ratio,
    seconds_per_call,
    sync_seconds_per_call,
    thread_rate,
    unpinned,
)
from tests.benchmarks.server import PAGE, page_body, permissions, role_name
from tests.benchmarks.sides import KEY, Arize, Calls, bare_aiohttp, some_ids
from tests.support.attacks import ATTACKS
from tests.tools.attacks import run_attack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from arize_roles_async import RolesClient

MICROSECONDS = 1e6
MILLISECONDS = 1e3
KILOBYTE = 1e3


@contextlib.asynccontextmanager
async def our_client(url: str) -> AsyncGenerator[Calls]:
    ids = some_ids()
    async with AiohttpRolesClient(KEY, base_url=url) as roles:
        yield Calls(get=lambda: roles.get(role_id=next(ids)), page=lambda: roles.list(limit=PAGE))


async def get_64(bench: Bench) -> tuple[Measured, ...]:
    ours, bare = await _against_bare(bench, lambda calls: calls.get, 500, 64)
    return (ratio([b.rate for b in ours], [b.rate for b in bare], "calls/s"),)


async def get_256(bench: Bench) -> tuple[Measured, ...]:
    ours, bare = await _against_bare(bench, lambda calls: calls.get, 1000, 256)
    return (
        ratio([b.rate for b in ours], [b.rate for b in bare], "calls/s"),
        plain([b.tail for b in ours], "", [b.tail for b in bare]),
    )


async def get_cpu(bench: Bench) -> tuple[Measured, ...]:
    calls = 125
    ours, bare = await _against_bare(bench, lambda calls: calls.get, calls, 1)
    per_call = MICROSECONDS / calls
    return (ratio([b.cpu_seconds for b in ours], [b.cpu_seconds for b in bare], "µs", per_call),)


async def pages_16(bench: Bench) -> tuple[Measured, ...]:
    calls = 125
    ours, bare = await _against_bare(bench, lambda calls: calls.page, calls, 16)
    return (
        ratio([b.seconds for b in ours], [b.seconds for b in bare], "µs", MICROSECONDS / calls),
    )


async def _against_bare(
    bench: Bench,
    call: Callable[[Calls], Callable[[], Awaitable[object]]],
    calls: int,
    in_flight: int,
) -> list[list[Burst]]:
    bench.server.set_pages(2)
    async with our_client(bench.server.url) as ours, bare_aiohttp(bench.server.url) as bare:
        return await interleave(
            # Many short samples: a machine is fast and slow by turns, and of two long ones, one may
            # meet it fast and the other slow.
            8 * bench.rounds,
            lambda: burst(call(ours), calls, in_flight),
            lambda: burst(call(bare), calls, in_flight),
        )


async def get_threads(bench: Bench) -> tuple[Measured, ...]:
    arize = Arize(bench.server.url, connections=64)

    async def threads() -> float:
        return thread_rate(arize.get, 500, 64)

    async with our_client(bench.server.url) as calls:

        async def tasks() -> float:
            return (await burst(calls.get, 1000, 64)).rate

        # On one core threads would be spared the fight for the interpreter's lock that they have
        # in an application.
        with unpinned():
            ours, theirs = await interleave(4 * bench.rounds, tasks, threads)
    return (ratio(ours, theirs, "calls/s"),)


async def decode(bench: Bench) -> tuple[Measured, ...]:
    arize = Arize(bench.server.url, connections=1)
    body = page_body(0, 2)
    request = Request(method="GET", target="/v2/roles")
    headers = {"Content-Type": "application/json"}
    response = Response(status=200, headers=headers, body=body)
    ours, theirs = await interleave(
        bench.rounds,
        _timed(lambda: decode_page(request, response), bench.calls(800)),
        _timed(lambda: arize.decode(body), bench.calls(200)),
    )
    return (ratio(ours, theirs, "µs", MICROSECONDS),)


async def walk(bench: Bench) -> tuple[Measured, ...]:
    arize = Arize(bench.server.url, connections=1)
    bench.server.set_pages(10_000 // PAGE)

    async def theirs() -> float:
        start = time.perf_counter()
        assert await asyncio.to_thread(arize.walk) == 10_000
        return time.perf_counter() - start

    async with AiohttpRolesClient(KEY, base_url=bench.server.url) as roles:

        async def ours() -> float:
            start = time.perf_counter()
            seen = 0
            async for _ in roles.list(limit=PAGE):
                seen += 1
            assert seen == 10_000
            return time.perf_counter() - start

        our_walks, their_walks = await interleave(2 * bench.rounds, ours, theirs)
    return (ratio(our_walks, their_walks, "ms", MILLISECONDS),)


async def imports(bench: Bench) -> tuple[Measured, ...]:
    bare, client, fake = await interleave(
        # The start of a process varies more than what this row has to distinguish.
        4 * bench.rounds,
        _import("import aiohttp"),
        _import("from arize_roles_async import AiohttpRolesClient"),
        _import(
            "from arize_roles_async import ListRolesResponse, Permission, Role\n"
            "from arize_roles_fake import FakeAccount, FakeRolesClient"
        ),
    )
    return ratio(client, bare, "ms", MILLISECONDS), ratio(fake, client, "ms", MILLISECONDS)


async def worst_answer(bench: Bench) -> tuple[Measured, ...]:
    """The longest block of the event loop over the answers that are hardest to read."""
    attacks = ATTACKS[:4] if bench.quick else ATTACKS[:8]
    blocks = [(await run_attack(attack)).block for attack in attacks]
    return (Measured(max(blocks), (min(blocks), max(blocks)), max(blocks), None, "s"),)


async def plugin(bench: Bench) -> tuple[Measured, ...]:
    (cost,) = await interleave(
        bench.rounds, _import("import arize_roles_fake.pytest_plugin", after="import pytest")
    )
    return (plain([seconds * MILLISECONDS for seconds in cost], "ms"),)


def _import(statements: str, after: str = "") -> Callable[[], Awaitable[float]]:
    code = f"import time\n{after}\nstart = time.perf_counter()\n{statements}\n"
    return _fresh_process("-c", f"{code}print(time.perf_counter() - start)")


async def memory(bench: Bench) -> tuple[Measured, ...]:
    probe = ("-m", "tests.benchmarks.probes")
    ours, bare = await interleave(
        bench.rounds,
        _fresh_process(*probe, "memory-ours", bench.server.url),
        _fresh_process(*probe, "memory-bare", bench.server.url),
    )
    return (difference(ours, bare, "MB"),)


async def walk_memory(bench: Bench) -> tuple[Measured, ...]:
    async with AiohttpRolesClient(KEY, base_url=bench.server.url) as roles:

        async def peak_of(count: int) -> float:
            bench.server.set_pages(count // PAGE)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            async for _ in roles.list(limit=PAGE):
                pass
            return (tracemalloc.get_traced_memory()[1] - before) / KILOBYTE

        # Python's own allocations and not the peak of the process: beside the interpreter and
        # its imports, a walk that held on to whole pages would pass unseen.
        tracemalloc.start()
        # Both see more roles than the client remembers the names of, which makes room for others
        # from time to time; the large walk comes first and fills these and other caches, for both.
        large, small = await interleave(3, lambda: peak_of(100_000), lambda: peak_of(30_000))
        tracemalloc.stop()
    return (ratio(large, small, "kB"),)


async def shared_walks(bench: Bench) -> tuple[Measured, ...]:
    pages = 10_000 // PAGE
    bench.server.set_pages(pages)
    async with AiohttpRolesClient(KEY, base_url=bench.server.url) as roles:

        async def updates() -> float:
            names = (role_name(number) for number in range(0, 10_000, 10))
            await asyncio.gather(*(roles.update(role=name, description="x") for name in names))
            return bench.server.set_pages(pages) / pages

        (walks,) = await interleave(3, updates)
    return (plain(walks, "walks"),)


async def fake(bench: Bench) -> tuple[Measured, ...]:
    account, ids = _account_of(100)
    some = itertools.cycle(ids)
    roles = FakeRolesClient(account)
    calls = bench.calls(1000)

    async with our_client(bench.server.url) as client:
        get, loopback, fresh = await interleave(
            bench.rounds,
            lambda: seconds_per_call(lambda: roles.get(role_id=next(some)), calls),
            lambda: seconds_per_call(client.get, calls),
            _timed(lambda: FakeRolesClient(FakeAccount()), calls),
        )
    return (
        ratio(get, loopback, "µs", MICROSECONDS),
        ratio(fresh, get, "µs", MICROSECONDS),
    )


class _Account:
    """An account of a size, and the calls that must not feel it."""

    def __init__(self, size: int) -> None:
        account, self._ids = _account_of(size)
        self._roles: RolesClient = FakeRolesClient(account)
        self._new = itertools.count(size)
        self._created: list[str] = []
        # Strides over the whole account: a handful of ids would always be in the cache.
        self._some = itertools.cycle(self._ids[:: max(1, size // 997)])
        self._half_way: str | None = None

    async def live_a_while(self, roles: int) -> None:
        """Let a number of roles come and go, as they do in an account that is in use."""
        for _ in range(roles):
            await self.create()
        for _ in range(roles):
            await self.delete()

    async def go_half_way(self, limit: int, pages: int) -> None:
        for _ in range(pages):
            page = await self._roles.list(limit=limit, cursor=self._half_way)
            self._half_way = page.pagination.next_cursor

    async def get(self) -> None:
        await self._roles.get(role_id=next(self._some))

    async def create(self) -> None:
        number = next(self._new)
        role = await self._roles.create(name=role_name(number), permissions=permissions(number))
        self._created.append(role.id)

    async def update(self) -> None:
        await self._roles.update(role_id=next(self._some), description="Changed.")

    async def delete(self) -> None:
        await self._roles.delete(role_id=self._created.pop())

    async def page(self) -> None:
        assert len((await self._roles.list(limit=100)).roles) == 100

    async def deep_page(self) -> None:
        page = await self._roles.list(limit=99, cursor=self._half_way)
        assert len(page.roles) == 99


async def flat(bench: Bench) -> tuple[Measured, ...]:
    small, large = _Account(100), _Account(100_000)
    await small.live_a_while(25)
    await large.live_a_while(25_000)
    await small.go_half_way(limit=1, pages=1)
    await large.go_half_way(limit=100, pages=500)
    # So few that the small account's creates leave it about as small as it was.
    calls = 20

    async def each(account: _Account) -> list[float]:
        operations = (
            account.get,
            account.create,
            account.update,
            account.delete,
            account.page,
            account.deep_page,
        )
        return [await seconds_per_call(operation, calls) for operation in operations]

    of_large, of_small = await interleave(
        4 * bench.rounds, lambda: each(large), lambda: each(small)
    )
    return tuple(
        ratio(many, few, "µs", MICROSECONDS)
        for many, few in zip(zip(*of_large, strict=True), zip(*of_small, strict=True), strict=True)
    )


def _account_of(size: int) -> tuple[FakeAccount, list[str]]:
    account = FakeAccount()
    return account, [
        account.add_role(name=role_name(number), permissions=permissions(number)).id
        for number in range(size)
    ]


def _timed(call: Callable[[], object], calls: int) -> Callable[[], Awaitable[float]]:
    async def sample() -> float:
        return sync_seconds_per_call(call, calls)

    return sample


def _fresh_process(*arguments: str) -> Callable[[], Awaitable[float]]:
    async def sample() -> float:
        # Blocking on purpose: nothing else may run on this core.
        printed = subprocess.run(  # noqa: ASYNC221, S603
            [sys.executable, *arguments], check=True, capture_output=True, text=True
        )
        return float(printed.stdout)

    return sample


MEASURES: tuple[Measure, ...] = (
    Measure(("get-64",), ("orjson",), get_64),
    Measure(("get-256", "tail-256"), ("orjson",), get_256),
    Measure(("get-cpu",), ("orjson",), get_cpu),
    Measure(("decode",), ("arize",), decode),
    Measure(("pages-16",), ("orjson",), pages_16),
    Measure(("walk",), ("arize",), walk),
    Measure(("get-threads",), ("arize",), get_threads),
    Measure(("import-client", "import-fake"), (), imports),
    Measure(("memory",), (), memory),
    Measure(("fake-get", "fake-fresh"), (), fake),
    Measure(
        tuple(
            f"flat-{operation}"
            for operation in ("get", "create", "update", "delete", "page", "deep-page")
        ),
        (),
        flat,
    ),
    Measure(("walk-memory",), (), walk_memory),
    Measure(("shared-walks",), (), shared_walks),
    Measure(("worst-answer",), (), worst_answer),
    Measure(("plugin",), ("pytest", "arize_roles_fake.pytest_plugin"), plugin),
)
