"""A call that is cancelled ends at once, wherever it is, and disturbs no other."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trio

from arize_roles_async import (
    AiohttpRolesClient,
    RetryPolicy,
    Role,
    RolesClient,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.chaos import ChaosServer, Point, chaos_server
from tests.support.event_loop import until


@asynccontextmanager
async def broken(
    max_concurrency: int = 64,
) -> AsyncGenerator[tuple[ChaosServer, AiohttpRolesClient]]:
    """Yield a client of a server; in the end nothing of the client's may be left."""
    account = FakeAccount()
    async with chaos_server(account) as server:
        async with AiohttpRolesClient(
            account.api_key,
            base_url=server.url,
            timeout=Timeouts(total=None, read=None),
            retry=RetryPolicy(attempts=1),
            max_concurrency=max_concurrency,
        ) as roles:
            yield server, roles
        assert await server.is_left_alone()
    # The server may still be at a connection that came and went.
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def cancelled(call: Awaitable[object], ready: Callable[[], object]) -> None:
    """Cancel a call once something holds, and check that it says so."""
    task = asyncio.ensure_future(call)
    await until(ready)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestCancelled:
    """A call is cancelled wherever it is, and says so."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("point", [point for point in Point if point.startswith("stall")])
    async def test_anywhere(self, point: Point) -> None:
        """A call is cancelled wherever it is."""
        async with broken() as (server, roles):
            server.script = [point]
            await cancelled(roles.list().all(), lambda: any(e.point is point for e in server.log))

            server.log.clear()
            assert len(await roles.list()) == 7

    @pytest.mark.asyncio
    async def test_in_queue(self) -> None:
        """A call is cancelled while it waits in the queue."""
        async with broken(max_concurrency=1) as (server, roles):
            server.script = [Point.STALL_IN_BODY]
            first = asyncio.create_task(roles.list().all())
            await until(lambda: server.log)

            steps = itertools.count()
            await cancelled(roles.list().all(), lambda: next(steps) > 10)

            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            # The slot was neither lost nor given to the call that left.
            assert len(await roles.list()) == 7
            assert len(server.log) == 2

    @pytest.mark.filterwarnings("ignore::arize_roles_async.BetaWarning")
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_by_name(self, backend: str) -> None:
        """Look-ups that are cancelled change nothing, and the iteration may go on."""
        account = FakeAccount()
        account.add_role("A", ["PROJECT_READ"])
        account.bind("A", user="ada@example.com", resource="Space:ML")
        scopes: list[anyio.CancelScope] = []

        async def key() -> str:
            if scopes:
                scopes[-1].cancel()
                await anyio.sleep_forever()
            return account.api_key

        async def main() -> str:
            by_name = FakeRolesClient(account, api_key=key).by_name
            found = aiter(by_name.find(user="ada@example.com"))
            for call in (by_name.remove(user="ada@example.com", space="ML"), anext(found)):
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    await call
                assert scope.cancelled_caught
            scopes.clear()
            return str(await anext(found))

        assert anyio.run(main, backend=backend) == "ada@example.com has A on space 'ML'"

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
