"""Time on the account's clock passes for all who wait, in the order in which their waits end."""

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from operator import methodcaller
from typing import Any

import anyio
import pytest

from arize_roles_async import Role, RolesClient, Timeouts
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake._testing.timeline import SharedTime, timeline_of, waiting_in_real_time
from tests.support.clients import START, Act, account_at_noon, meddled, passed
from tests.support.event_loop import on_each_backend, settle, until


async def run_together(*calls: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


def test_shared() -> None:
    """Time passes for all accounts of a mock, or for none."""
    late = FakeAccount(clock=lambda: START.replace(year=9999, month=12, day=31))
    accounts = [account_at_noon(), late]
    with pytest.raises(ValueError, match="past the year 9999"):
        SharedTime([*accounts]).advance(86_400)
    assert accounts[0].now() == START
    SharedTime([*accounts]).advance(1)
    assert accounts[0].now() == START + timedelta(seconds=1)


@on_each_backend
@pytest.mark.parametrize(("slots", "seconds"), [(40, 2.0), (10, 5.0), (7, 8.0), (2, 25.0)])
async def test_more_than_slots(account: FakeAccount, slots: int, seconds: float) -> None:
    """50 calls of 1 s take as many seconds as they need turns."""
    account.slow_down(1.0)
    roles = FakeRolesClient(account, max_concurrency=slots)
    await run_together(*[roles.list().all] * 50)
    assert passed(account) == seconds


@pytest.mark.parametrize("steps", range(8, 14))
async def test_begin(account: FakeAccount, roles: RolesClient, steps: int) -> None:
    """No time passes between the beginning of a call and its first request."""
    role = account.add_role("A")
    account.slow_down(5.0, operation="list")
    await roles.get(role_id=role.id)  # its name is known then
    waiting = asyncio.ensure_future(roles.list().all())
    for _ in range(steps):
        await asyncio.sleep(0)

    began = passed(account)
    await roles.get(role="A")
    assert passed(account) == began
    await waiting


@on_each_backend
async def test_order(account: FakeAccount) -> None:
    """The wait that ends first is over first, whichever was begun first, by any client."""
    seen: list[tuple[str, float]] = []
    for name, seconds in (("slow", 5.0), ("quick", 2.0)):
        account.add_role(name)
        account.slow_down(seconds, operation="get", about=name)

    async def ask(role: Role) -> None:
        roles = FakeRolesClient(account)
        for _ in range(2):
            await roles.get(role_id=role.id)
            seen.append((role.name, passed(account)))

    await run_together(*(functools.partial(ask, role) for role in account.roles[::-1]))
    assert seen[:4] == [("quick", 2.0), ("quick", 4.0), ("slow", 5.0), ("slow", 10.0)]


@asynccontextmanager
async def blocked_list(account: FakeAccount) -> AsyncGenerator[asyncio.Task[object]]:
    """Keeps a list of an account open."""
    roles = FakeRolesClient(account)
    with account.block("list") as blocked:
        listing: asyncio.Task[object] = asyncio.create_task(roles.list().all())
        await blocked.reached()
        yield listing
    await listing


def slow_get() -> tuple[FakeAccount, Callable[[], Coroutine[Any, Any, Role]]]:
    """Return an account, and a get that takes an hour of its time and has no limit."""
    account = account_at_noon()
    account.slow_down(3600, operation="get")
    role_id = account.add_role("A").id

    async def get() -> Role:
        roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))
        return await roles.get(role_id=role_id)

    return account, get


class TestRealTime:
    """While a call waits in real time, no sleep of its account takes less."""

    async def test_backoff(self, account: FakeAccount) -> None:
        """The wait before another call's retry ends while the block goes on."""
        account.fail("create", 503, retry_after=0)
        account.slow_down(0.02, operation="create")
        async with blocked_list(account) as listing:
            began = time.monotonic()
            await FakeRolesClient(account).create(name="A", permissions=["ROLE_READ"])
            assert time.monotonic() - began >= 0.02
            assert not listing.done()
        assert passed(account) < 2.0

    @pytest.mark.parametrize("advances", [False, True])
    async def test_begun_before(self, advances: bool) -> None:  # noqa: FBT001
        """A sleep from before the block takes real time until its end, and none after it."""
        account, get = slow_get()
        getting = asyncio.create_task(get())
        async with blocked_list(account):
            done, _ = await asyncio.wait([getting], timeout=0.02)
            assert not done
            if advances:
                account.advance(3600)
                await getting
        await getting
        assert passed(account) // 60 == 60

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_thread(self, backend: str) -> None:
        """The call may wait in another thread."""
        account, get_slowly = slow_get()

        async def get(seconds: float) -> bool:
            with anyio.move_on_after(seconds):
                await get_slowly()
                return True
            return False

        with account.block("list") as blocked:
            with ThreadPoolExecutor() as pool:
                listing = pool.submit(asyncio.run, list_all(account))
                asyncio.run(blocked.reached())
                assert not anyio.run(get, 0.02, backend=backend)
                blocked.release()
            assert listing.result() == ("A",)
        assert anyio.run(get, 60.0, backend=backend)


@pytest.mark.parametrize("concurrency", [1, 40])
async def test_deadline(concurrency: int) -> None:
    """A call's time is what it has waited, and not what calls of another loop have."""

    async def wait_long(account: FakeAccount) -> None:
        for _ in range(4):
            await list_all(account)

    def list_elsewhere(account: FakeAccount) -> None:
        with ThreadPoolExecutor() as pool:
            pool.submit(asyncio.run, wait_long(account)).result()

    account = meddled("after", "GET", list_elsewhere)
    role = account.add_role("A", ["ROLE_READ"])
    account.slow_down(9.0, operation="list")
    account.fail("get", 503, times=2)
    roles = FakeRolesClient(account, max_concurrency=concurrency)
    assert await asyncio.gather(*[roles.get(role_id=role.id) for _ in range(2)]) == [role] * 2
    assert passed(account) >= 4 * 36.0


async def list_all(account: FakeAccount) -> tuple[str, ...]:
    """Return the names of an account's roles, as a client in process sees them."""
    return tuple(role.name for role in await FakeRolesClient(account).list().all())


class TestOthers:
    """Tasks that do not wait go on, and block no wait for good."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("act", "slots", "tasks"),
        [
            (methodcaller("slow_down", 10.0, operation="create"), 8, 1),
            # Each waits for a slot every time.
            (methodcaller("fail", "create", 503, retry_after=10), 1, 2),
        ],
    )
    async def test_asks_on(self, account: FakeAccount, act: Act, slots: int, tasks: int) -> None:
        """Tasks that ask without a pause until another one is done do not keep it waiting."""
        act(account)
        roles = FakeRolesClient(account, max_concurrency=slots)
        creating = asyncio.ensure_future(roles.create(name="A", permissions=["ROLE_READ"]))

        async def ask_on() -> None:
            while not creating.done():
                await roles.list()

        await asyncio.gather(*[ask_on() for _ in range(tasks)])
        assert (await creating).name == "A"
        assert passed(account) == 10.0

    async def test_cancelled(self, account: FakeAccount, roles: RolesClient) -> None:
        """A wait that is cancelled is over, and the others end when they would have."""
        for name, seconds in (("A", 1.0), ("B", 2.0), ("C", 3.0)):
            account.add_role(name)
            account.slow_down(seconds, operation="get", about=name)
        waits = [asyncio.ensure_future(roles.get(role_id=role.id)) for role in account.roles[::-1]]
        await until(lambda: len(account.calls) == 3)
        waits[0].cancel()
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert passed(account) == 3.0


async def test_longest(account: FakeAccount) -> None:
    """A limit may be as long as a float can say, and then it never ends."""
    account.fail("list", "silent")
    limits = Timeouts(total=1e308, read=1e308)
    roles = FakeRolesClient(account, timeout=limits, max_concurrency=1)
    calls = [asyncio.ensure_future(roles.list().all()) for _ in range(2)]
    await until(lambda: account.calls)
    await settle()
    assert not calls[0].done()
    calls[0].cancel()
    await calls[1]
    assert passed(account) == 0.0


def test_no_jump(account: FakeAccount) -> None:
    """A sleep of another thread ends without a jump if a call waits in real time by then."""
    with waiting_in_real_time(account):
        timeline_of(object(), account).jump_to(START + timedelta(seconds=5))
    assert account.now() == START
