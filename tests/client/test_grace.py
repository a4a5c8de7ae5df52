"""Closing gently: `aclose(grace=...)`, and what becomes of the calls under way."""

import asyncio
from contextlib import suppress

import anyio
import pytest
import trio

from arize_roles_async import ClientStateError, OutcomeUnknownError, RolesClient, Timeouts
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import Connect, account_at_noon, both_clients, create, passed, use
from tests.support.event_loop import on_each_backend, until

LONG = 60.0
"""A grace that no test waits for, as one that did would run out of its own time."""


def patient(roles: RolesClient) -> RolesClient:
    return roles.with_options(timeout=Timeouts(total=None, read=None))


async def under_way(account: FakeAccount, calls: int = 1) -> None:
    """Wait until requests have reached the account."""
    await until(lambda: len(account.calls) >= calls)


@both_clients
class TestGrace:
    """Both clients."""

    async def test_goes_on(self, connect: Connect) -> None:
        """Calls under way and in the queue go on to their ends; new ones are refused at once."""
        account = account_at_noon()
        account.slow_down(0.02)
        for number in range(3):
            account.add_role(f"Role {number}", ["PROJECT_READ"])
        async with connect(account, max_concurrency=1) as roles:
            walk = aiter(roles.list(limit=2))
            await anext(walk)
            await anext(walk)
            calls = [asyncio.create_task(create(roles, f"New {n}")) for n in range(2)]
            update = asyncio.create_task(roles.update(role="Role 1", description="Changed."))
            await under_way(account, 2)
            closing = asyncio.create_task(roles.aclose(grace=LONG))
            await asyncio.sleep(0)
            for refused in (roles.list, roles.with_options(timeout=5.0).list, walk.__anext__):
                with pytest.raises(ClientStateError, match=r"^the client is closed$"):
                    await refused()
            assert not update.done()
            async with asyncio.timeout(LONG / 2):
                await closing
            assert all(call.done() for call in (*calls, update))
            assert (await update).description == "Changed."

        assert {"New 0", "New 1"} < {role.name for role in account.roles}

    async def test_over(self, connect: Connect) -> None:
        """When the grace is over, calls end as they do without one."""
        account = account_at_noon()
        account.fail("list", "silent")
        account.fail("create", "silent")
        async with connect(account) as roles:
            calls = [asyncio.create_task(call(patient(roles))) for call in (use, create)]
            await under_way(account, 2)
            await roles.aclose(grace=0.05)
            listed, made = await asyncio.gather(*calls, return_exceptions=True)

        assert repr(listed) == "ClientStateError('the client is closed')"
        assert isinstance(made, OutcomeUnknownError)
        assert repr(made.__cause__) == "ClientStateError('the client is closed')"

    async def test_shortest_counts(self, connect: Connect) -> None:
        """Closing again with less grace ends the first one, too."""
        account = account_at_noon()
        account.fail("list", "silent")
        async with connect(account) as roles:
            call = asyncio.create_task(use(patient(roles)))
            await under_way(account)
            first = asyncio.create_task(roles.aclose(grace=2e9))
            await asyncio.sleep(0)
            async with asyncio.timeout(LONG):
                await patient(roles).aclose(grace=0.01)
                await first
                with pytest.raises(ClientStateError):
                    await call

    async def test_cancelled(self, connect: Connect) -> None:
        """Closing that is cancelled while it waits closes at once."""
        account = account_at_noon()
        with account.block("list") as blocked:
            async with connect(account) as roles:
                call = asyncio.create_task(use(roles))
                await blocked.reached()
                with anyio.move_on_after(0.02) as scope:
                    await roles.aclose(grace=LONG)
                assert scope.cancelled_caught
                with pytest.raises(ClientStateError):
                    await call
                blocked.release()


class TestAccountTime:
    """The fake counts its grace on the account's clock."""

    @pytest.mark.parametrize(("grace", "seconds"), [(3.0, 3.0), (10.0, 5.0)])
    @on_each_backend
    async def test_passes(self, grace: float, seconds: float) -> None:
        """It lasts until the calls have ended, or is over before; nobody waits in real time."""
        account = account_at_noon()
        account.slow_down(5.0)
        roles, ended = FakeRolesClient(account), list[bool]()

        async def call() -> None:
            with suppress(ClientStateError):
                ended.append(len(await roles.list()) == 0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not len(account.calls):
                await anyio.lowlevel.checkpoint()
            await roles.aclose(grace=grace)
            assert passed(account) == seconds
        assert ended == [True] * (grace > 5.0)

    def test_trio_cancelled(self) -> None:
        """A call that is closed and cancelled at once is cancelled."""
        account = account_at_noon()
        account.fail("list", "silent")

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(use, roles.with_options(timeout=Timeouts(read=None)))
                    while not len(account.calls):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
                    await roles.aclose()
            assert scope.cancelled_caught

        trio.run(main)


def test_closed_loop() -> None:
    """A call of the fake whose event loop was closed before it ends without a complaint."""
    account = account_at_noon()
    account.fail("list", "silent")
    roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))
    loop = asyncio.new_event_loop()
    call = use(roles)
    _left = [loop.create_task(call)]
    loop.set_exception_handler(lambda _loop, _context: None)  # It is left on purpose.
    loop.run_until_complete(under_way(account))
    loop.close()
    call.close()

    asyncio.run(use(roles))
    assert len(account.calls) == 2
