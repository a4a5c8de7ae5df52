import asyncio
import itertools
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import attrs
import pytest
import trio

from arize_roles_async import (
    AiohttpRolesClient,
    ConfigurationError,
    NotFoundError,
    RetryPolicy,
    Role,
    RolesClient,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, serve
from tests.support.chaos import ChaosProxy, Point, chaos_proxy
from tests.support.clients import sleeping
from tests.support.event_loop import until
from tests.support.raw_http import scripted


@attrs.frozen
class Setting:
    account: FakeAccount
    proxy: ChaosProxy
    roles: AiohttpRolesClient


class Backoff:
    """Waits between attempts until it is cancelled, and sets an event when it begins."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def __call__(self, _: float) -> None:
        self.began.set()
        await asyncio.Event().wait()


@asynccontextmanager
async def setting(max_concurrency: int = 64) -> AsyncGenerator[Setting]:
    """Yield a client at a proxy; in the end nothing of the client's may be left."""
    account = FakeAccount()
    async with serve(account) as url:
        server = urlsplit(url)
        async with chaos_proxy(server.hostname or "", server.port or 0) as proxy:
            async with AiohttpRolesClient(
                account.api_key,
                base_url=proxy.url,
                timeout=None,
                retry=RetryPolicy(attempts=1),
                max_concurrency=max_concurrency,
            ) as roles:
                unlimited = roles.with_options(timeout=Timeouts(total=None, read=None))
                yield Setting(account, proxy, unlimited)
            assert await proxy.is_left_alone()
    # The server may still be at a connection that came and went.
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def by_task(call: Awaitable[object], ready: Callable[[], object]) -> None:
    task = asyncio.ensure_future(call)
    await until(ready)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_timeout(call: Awaitable[object], ready: Callable[[], object]) -> None:
    expiry: list[asyncio.Task[None]] = []

    async def expire() -> None:
        await until(ready)
        limit.reschedule(asyncio.get_running_loop().time())

    limit = asyncio.timeout(None)
    with pytest.raises(TimeoutError) as caught:  # noqa: PT012 - it is the block that raises
        async with limit:
            expiry.append(asyncio.create_task(expire()))
            await call
    assert not isinstance(caught.value, RolesTimeoutError)


async def by_task_group(call: Awaitable[object], ready: Callable[[], object]) -> None:
    class SiblingError(Exception):
        pass

    async def fail() -> None:
        await until(ready)
        raise SiblingError

    async def run() -> None:
        try:
            await call
        except asyncio.CancelledError:
            passed.append("cancelled")
            raise

    passed: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - it is the block that raises
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [SiblingError]
    assert passed == ["cancelled"]


async def by_scope(call: Awaitable[object], ready: Callable[[], object]) -> None:
    async def cancel() -> None:
        await until(ready)
        scope.cancel()

    scope = anyio.CancelScope()
    canceller = asyncio.create_task(cancel())
    with scope:
        await call
        raise AssertionError("the call was not cancelled")
    await canceller
    assert scope.cancelled_caught


WAYS = pytest.mark.parametrize("cancelled", [by_task, by_timeout, by_task_group, by_scope])
Cancelled = Callable[[Awaitable[object], Callable[[], object]], Awaitable[None]]


STALLS = [point for point in Point if point.startswith("stall")]


class TestCancelled:
    """A call is cancelled wherever it is, and says so."""

    @pytest.mark.asyncio
    @WAYS
    @pytest.mark.parametrize("point", STALLS)
    async def test_anywhere(self, cancelled: Cancelled, point: Point) -> None:
        """A call is cancelled wherever it is."""
        async with setting() as s:
            s.proxy.script = [point]
            await cancelled(
                s.roles.list().all(), lambda: any(e.point is point for e in s.proxy.log)
            )

            s.proxy.log.clear()
            assert len(await s.roles.list()) == 7

    @pytest.mark.asyncio
    @WAYS
    async def test_half_read(self, cancelled: Cancelled) -> None:
        """A half-read connection is not used again."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n"
        body = b'{"roles": [], "pagination": {"has_more": false}}'
        async with (
            # The first connection gets half an answer, and waits with the second for a request.
            scripted(head + body[:20], b"", head + body) as script,
            AiohttpRolesClient("key", base_url=script.url) as roles,
        ):
            await cancelled(roles.list().all(), lambda: script.requests)

            assert len(await roles.list()) == 0
            assert script.connections == 2

    @pytest.mark.asyncio
    @WAYS
    async def test_in_queue(self, cancelled: Cancelled) -> None:
        """A call is cancelled while it waits in the queue."""
        async with setting(max_concurrency=1) as s:
            s.proxy.script = [Point.STALL_IN_BODY]
            first = asyncio.create_task(s.roles.list().all())
            await until(lambda: s.proxy.log)

            steps = itertools.count()
            await cancelled(s.roles.list().all(), lambda: next(steps) > 10)

            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            # The slot was neither lost nor given to the call that left.
            assert len(await s.roles.list()) == 7
            assert len(s.proxy.log) == 2

    @pytest.mark.asyncio
    @WAYS
    async def test_waits_retry(self, cancelled: Cancelled) -> None:
        """A call is cancelled while it waits to try again."""
        account = FakeAccount()
        account.fail("list", 503)
        sleep = Backoff()
        async with (
            serve(account) as url,
            sleeping(sleep)(account.api_key, base_url=url) as roles,
        ):
            await cancelled(roles.list().all(), sleep.began.is_set)

            assert len(account.calls) == 1
            assert len(await roles.list()) == 7

    @pytest.mark.asyncio
    @WAYS
    async def test_shared_search(self, cancelled: Cancelled) -> None:
        """Others that share a search still get their answer."""
        async with setting() as s:
            target = s.account.add_role("Target")
            s.proxy.script = [Point.STALL_IN_BODY]
            # The first of them leads the walk, and is the one that is cancelled.
            others: list[asyncio.Task[Role]] = []

            async def lead() -> Role:
                others.extend(asyncio.create_task(s.roles.get(role="Target")) for _ in range(3))
                others.append(asyncio.create_task(s.roles.get(role="Nobody")))
                return await s.roles.get(role="Target")

            await cancelled(lead(), lambda: s.proxy.log)

            found = await asyncio.gather(*others, return_exceptions=True)
            assert found[:3] == [target, target, target]
            assert isinstance(found[3], NotFoundError)

    @pytest.mark.asyncio
    @WAYS
    async def test_joined_search(self, cancelled: Cancelled) -> None:
        """A call that only joined a search leaves it to the others."""
        async with setting() as s:
            target = s.account.add_role("Target")
            s.proxy.script = [Point.SLOW_BYTES]
            leader = asyncio.create_task(s.roles.get(role="Target"))
            await asyncio.sleep(0)

            await cancelled(s.roles.get(role="Target"), lambda: True)

            assert await leader == target

    @pytest.mark.asyncio
    async def test_not_own_limit(self) -> None:
        """Cancellation is not taken for the call's own limit."""
        async with setting() as s:
            s.proxy.script = [Point.STALL_AFTER_COMMIT]
            limited = s.roles.with_options(timeout=60.0)
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.05):
                    await limited.list()

        assert not isinstance(caught.value, RolesTimeoutError)

    @pytest.mark.asyncio
    async def test_not_cancelled(self) -> None:
        """A call's own limit is not taken for cancellation."""
        async with setting() as s:
            s.proxy.script = [Point.STALL_AFTER_COMMIT]
            limited = s.roles.with_options(timeout=0.05)
            task = asyncio.current_task()
            assert task is not None
            async with asyncio.timeout(60), anyio.create_task_group():
                with pytest.raises(RolesTimeoutError):
                    await limited.list()
                # Nothing is left pending that the next await would raise.
                await asyncio.sleep(0)
                assert task.cancelling() == 0

    @pytest.mark.asyncio
    async def test_timeout_0(self) -> None:
        """A timeout of 0 before anything was sent sends nothing."""
        async with setting() as s:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await s.roles.create(name="Made", permissions=["PROJECT_READ"])

            s.account.assert_roles({})

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_fake(self, backend: str) -> None:
        """The fake is cancelled under either event loop."""

        async def main() -> None:
            roles = FakeRolesClient()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await roles.create(name="Made", permissions=["PROJECT_READ"])
            assert scope.cancelled_caught
            roles.account.assert_roles({})
            assert len(await roles.list()) == 7

        anyio.run(main, backend=backend)

    def test_fake_search(self) -> None:
        """The fake's shared search survives its leader under trio."""

        async def find(roles: RolesClient, found: list[Role]) -> None:
            found.append(await roles.get(role="Read-only"))

        async def main() -> list[Role]:
            roles, found = FakeRolesClient(), list[Role]()
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    nursery.start_soon(find, roles, found)
                    nursery.start_soon(find, roles, found)
                    scope.cancel()
                    await roles.get(role="Read-only")
            return found

        assert [role.name for role in trio.run(main)] == ["Read-only", "Read-only"]


class Busy:
    """A server that counts its connections, and keeps the order of what it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.most = 0
        self.order: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        body = b'{"roles": [], "pagination": {"has_more": false}}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n"
        while line := await reader.readline():
            self.order.append(line.split()[1].decode().rpartition("cursor=")[2])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + body)
        self.open -= 1
        writer.close()


@asynccontextmanager
async def busy() -> AsyncGenerator[Busy]:
    server = Busy()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server


class TestBackpressure:
    """Many calls at once."""

    @pytest.mark.asyncio
    async def test_thousands(self) -> None:
        """2,000 calls at once all finish, over as many connections as allowed."""
        async with (
            busy() as server,
            AiohttpRolesClient(
                "key", base_url=server.url, timeout=None, max_concurrency=20
            ) as roles,
        ):

            async def one(number: int) -> int:
                return len(await roles.list(cursor=str(number)))

            results = await asyncio.gather(*(one(number) for number in range(2_000)))

            assert results == [0] * 2_000
            assert server.most == 20

    @pytest.mark.asyncio
    async def test_order(self) -> None:
        """Calls go in the order in which they came."""
        async with (
            busy() as server,
            AiohttpRolesClient(
                "key", base_url=server.url, timeout=None, max_concurrency=1
            ) as roles,
        ):

            async def one(number: int) -> None:
                await roles.list(cursor=str(number))

            await asyncio.gather(*(one(number) for number in range(200)))

            assert server.order == [str(number) for number in range(200)]

    @pytest.mark.asyncio
    async def test_out_of_time(self) -> None:
        """A call whose time runs out in the queue says that nothing was sent."""
        async with setting(max_concurrency=1) as s:
            s.proxy.script = [Point.STALL_IN_BODY]
            first = asyncio.create_task(s.roles.list().all())
            await until(lambda: s.proxy.log)

            with pytest.raises(RolesTimeoutError) as caught:
                await s.roles.with_options(timeout=0.05).create(
                    name="Made", permissions=["PROJECT_READ"]
                )

            assert caught.value.limit == "total"
            assert not caught.value.sent
            first.cancel()

    @pytest.mark.parametrize("bound", [0, -1, True, 1.5, math.inf, "64"])
    def test_bad_bound(self, bound: int) -> None:
        """A bound that makes no sense is refused."""
        with pytest.raises(ConfigurationError, match="max_concurrency must be an integer"):
            AiohttpRolesClient("key", max_concurrency=bound)
