"""The time limits of a client, over one timer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from arize_roles_async import ClientStateError, RetryPolicy, RolesTimeoutError, Timeouts
from arize_roles_async._aiohttp.time_limits import AsyncioTimeLimit, TimeLimits
from arize_roles_async._calls.call import Call
from arize_roles_async._roles.operations import ROLES


class Clock:
    """Stands in for an event loop's clock and timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Timer":
        self.timers.append(Timer(self.now + delay, callback))
        return self.timers[-1]

    def advance_to(self, now: float) -> None:
        self.now = now
        for timer in [each for each in self.timers if each.when <= now]:
            self.timers.remove(timer)
            if not timer.cancelled:
                timer.callback()


class Timer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def limits_on(clock: Clock) -> TimeLimits:
    loop: Any = clock
    return TimeLimits(loop)


def block(all_limits: TimeLimits, seconds: float | None, *, read: float = 5.0) -> AsyncioTimeLimit:
    """Return the block of a call that begins at 0 and may take so long."""
    timeouts = Timeouts(total=seconds, read=read)
    return AsyncioTimeLimit(all_limits, Call(ROLES, "list", timeouts, RetryPolicy(), 0.0))


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def advance_soon(clock: Clock, now: float) -> None:
    asyncio.get_running_loop().call_soon(clock.advance_to, now)


def cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def wait_in(running: AsyncioTimeLimit) -> None:
    with running:
        await forever()


class TestBlock:
    async def test_exact(self) -> None:
        """It is due at its moment and not before, and ends once, in the error of its call."""
        clock = Clock()
        running = block(limits_on(clock), 5.0)
        with pytest.raises(RolesTimeoutError) as caught, running:  # noqa: PT012
            clock.advance_to(4.999)
            await asyncio.sleep(0)
            assert not running.expired
            clock.advance_to(5.0)
            assert running.expired
            clock.advance_to(6.0)
            assert cancellations() == 1
            await forever()
        assert (caught.value.limit, caught.value.seconds) == ("total", 5.0)
        # Without its frames.
        assert isinstance(caught.value.__context__, asyncio.CancelledError)
        assert caught.value.__context__.__traceback__ is None
        assert cancellations() == 0

    async def test_in_time(self) -> None:
        """A block that ends in time is not touched; without a limit it needs no timer."""
        clock, unlimited = Clock(), Clock()
        with block(limits_on(clock), 5.0), block(limits_on(unlimited), None):
            clock.advance_to(4.9)
            unlimited.advance_to(1e9)
            await asyncio.sleep(0)
        clock.advance_to(6.0)
        await asyncio.sleep(0)
        assert cancellations() == 0
        assert unlimited.timers == []

    @pytest.mark.parametrize("limit", ["total", "read"])
    async def test_cancelled(self, limit: str) -> None:
        """The cancellation of somebody else goes on its way, whatever limit is over just then."""
        clock = Clock()
        running = block(limits_on(clock), 5.0 if limit == "total" else 30.0)

        async def call() -> None:
            with running:
                if limit == "read":
                    running.begin("read")
                try:
                    await forever()
                except asyncio.CancelledError:
                    if not running.catch():
                        raise

        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        task.cancel()
        clock.advance_to(5.0)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_while_cancelled(self) -> None:
        """A call with which a cancelled task cleans up has its limit, and the task still ends."""
        clock = Clock()
        running = block(limits_on(clock), 5.0)
        raised: list[object] = []

        async def clean_up() -> None:
            try:
                await forever()
            finally:
                with pytest.raises(RolesTimeoutError) as caught, running:  # noqa: PT012
                    advance_soon(clock, 5.0)
                    await forever()
                raised.append(caught.type)

        task = asyncio.create_task(clean_up())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert raised == [RolesTimeoutError]

    async def test_error(self) -> None:
        """An error in the block comes through, also one that the end of the block brings about."""
        clock = Clock()
        with pytest.raises(KeyError), block(limits_on(clock), 5.0):
            raise KeyError("mine")
        with pytest.raises(OSError, match="while it ended"), block(limits_on(clock), 5.0):  # noqa: PT012
            advance_soon(clock, 5.0)
            try:
                await forever()
            except asyncio.CancelledError:
                raise OSError("while it ended") from None
        assert cancellations() == 0


class TestSilence:
    async def test_part(self) -> None:
        """An earlier limit ends only a part of the block, and the rest continues."""
        clock = Clock()
        running = block(limits_on(clock), 30.0)
        with pytest.raises(RolesTimeoutError), running:  # noqa: PT012 - it is the block that raises
            running.begin("read")
            advance_soon(clock, 5.0)
            with pytest.raises(asyncio.CancelledError):
                await forever()
            assert running.catch()
            assert not running.expired
            assert cancellations() == 0
            clock.advance_to(29.9)
            assert not running.expired
            advance_soon(clock, 30.0)
            await forever()

    async def test_beyond_end(self) -> None:
        """The end of the block is no read timeout."""
        clock = Clock()
        running = block(limits_on(clock), 5.0, read=10.0)
        with pytest.raises(RolesTimeoutError), running:  # noqa: PT012 - it is the block that raises
            running.begin("read")
            advance_soon(clock, 5.0)
            try:
                await forever()
            except asyncio.CancelledError:
                assert running.catch() is None
                raise


class TestTimer:
    @pytest.mark.parametrize(
        ("limits", "moments", "expired"),
        [
            # A hundred at a time are cancelled before other tasks run.
            ([5.0] * 250, [4.9, 5.0, 5.1, 5.2], [0, 100, 200, 250]),
            # Once a limit has expired, the timer waits for the earliest of the others.
            ([5.0, 30.0, 10.0], [5.0, 10.0, 30.0], [1, 2, 3]),
        ],
    )
    async def test_many(
        self, limits: list[float], moments: list[float], expired: list[int]
    ) -> None:
        """So many of some limits that begin together have expired at each moment."""
        clock = Clock()
        all_limits = limits_on(clock)
        blocks = [block(all_limits, seconds) for seconds in limits]
        tasks = [asyncio.create_task(wait_in(each)) for each in blocks]
        await asyncio.sleep(0)
        seen: list[int] = []
        for moment in moments:
            clock.advance_to(moment)
            seen.append(sum(each.expired for each in blocks))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert seen == expired

    async def test_ended_before_turn(self) -> None:
        """One of many that are due is not cancelled if its block ends before its turn comes."""
        clock = Clock()
        all_limits = limits_on(clock)
        blocks = [block(all_limits, 5.0) for _ in range(101)]
        done, over = asyncio.Event(), asyncio.Event()

        async def call(running: AsyncioTimeLimit) -> str:
            with running:
                await done.wait()
            await over.wait()
            return "went on"

        tasks = [asyncio.create_task(call(each)) for each in blocks]
        await asyncio.sleep(0)
        clock.advance_to(5.0)
        done.set()
        await asyncio.sleep(0)
        clock.advance_to(5.1)
        over.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results.count("went on") == 1

    async def test_shared(self) -> None:
        """A thousand blocks one after the other take one timer, which closing lets go."""
        clock = Clock()
        all_limits = limits_on(clock)
        for _ in range(1000):
            with block(all_limits, 30.0):
                pass
        all_limits.close()
        assert [timer.cancelled for timer in clock.timers] == [True]

    async def test_close_in_block(self) -> None:
        """Closing ends every block but its own, which keeps its limit."""
        clock = Clock()
        all_limits = limits_on(clock)
        task = asyncio.create_task(wait_in(block(all_limits, 30.0)))
        await asyncio.sleep(0)
        with pytest.raises(ClientStateError, match="client is closed"), block(all_limits, 5.0):  # noqa: PT012
            all_limits.close()
            with pytest.raises(ClientStateError, match="client is closed"):
                await task
            advance_soon(clock, 5.0)
            await forever()
        assert cancellations() == 0
