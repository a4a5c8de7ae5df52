"""The time limits of a client, over one timer."""

import asyncio
import math
from collections.abc import Callable

import pytest

from arize_roles_async._deadlines import Deadlines

pytestmark = pytest.mark.asyncio


class Clock:
    """Stands in for the parts of an event loop that tell the time and call back."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> "Timer":
        self.timers.append(Timer(when, callback))
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


def deadlines_on(clock: Clock) -> Deadlines:
    return Deadlines(clock)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_block_whose_moment_comes_is_left_and_raises_nothing() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)
    with deadlines.after(5.0) as deadline:
        asyncio.get_running_loop().call_soon(clock.advance_to, 5.0)
        await forever()
    assert deadline.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_that_ends_in_time_is_not_touched() -> None:
    clock = Clock()
    with deadlines_on(clock).after(5.0) as deadline:
        clock.advance_to(4.9)
        await asyncio.sleep(0)
    clock.advance_to(6.0)
    await asyncio.sleep(0)
    assert not deadline.expired


async def test_no_limit_never_comes() -> None:
    clock = Clock()
    with deadlines_on(clock).after(None) as deadline:
        clock.advance_to(1e9)
        await asyncio.sleep(0)
    assert deadline.moment == math.inf
    assert clock.timers == []


async def test_what_is_due_within_the_block_ends_only_a_part_of_it() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)
    with deadlines.after(30.0) as deadline:
        deadline.within(5.0)
        asyncio.get_running_loop().call_soon(clock.advance_to, 5.0)
        with pytest.raises(asyncio.CancelledError):
            await forever()
        assert deadline.ends_early()
        assert not deadline.expired
        asyncio.get_running_loop().call_soon(clock.advance_to, 30.0)
        await forever()
    assert deadline.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_sign_of_life_makes_it_due_later() -> None:
    clock = Clock()
    with deadlines_on(clock).after(30.0) as deadline:
        deadline.within(5.0)
        clock.advance_to(3.0)
        deadline.within(5.0)
        clock.advance_to(7.9)
        await asyncio.sleep(0)
        assert not deadline.expired
        deadline.whole()
        clock.advance_to(29.9)
        await asyncio.sleep(0)
        assert not deadline.expired


async def test_the_end_of_the_block_is_no_early_end() -> None:
    clock = Clock()
    with deadlines_on(clock).after(5.0) as deadline:
        deadline.within(10.0)
        asyncio.get_running_loop().call_soon(clock.advance_to, 5.0)
        try:
            await forever()
        except asyncio.CancelledError:
            assert not deadline.ends_early()
            raise
    assert deadline.expired


async def test_an_early_end_does_not_hide_the_cancellation_of_somebody_else() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)

    async def call() -> None:
        with deadlines.after(30.0) as deadline:
            deadline.within(5.0)
            try:
                await forever()
            except asyncio.CancelledError:
                if not deadline.ends_early():
                    raise

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    clock.advance_to(5.0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_thousand_blocks_one_after_the_other_take_one_timer() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)
    for _ in range(1000):
        with deadlines.after(30.0):
            pass
    assert len(clock.timers) == 1


async def test_the_cancellation_of_somebody_else_goes_on_its_way() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)

    async def call() -> None:
        with deadlines.after(5.0):
            await forever()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    clock.advance_to(5.0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_lets_go_of_the_timer() -> None:
    clock = Clock()
    deadlines = deadlines_on(clock)
    with deadlines.after(5.0):
        pass
    deadlines.close()
    assert [timer.cancelled for timer in clock.timers] == [True]


async def test_an_error_in_the_block_comes_through() -> None:
    deadlines = deadlines_on(Clock())
    with pytest.raises(KeyError), deadlines.after(5.0):
        raise KeyError("mine")


async def test_an_error_that_the_end_of_the_block_brings_about_comes_through() -> None:
    clock = Clock()
    with pytest.raises(OSError, match="while it ended"), deadlines_on(clock).after(5.0):  # noqa: PT012
        asyncio.get_running_loop().call_soon(clock.advance_to, 5.0)
        try:
            await forever()
        except asyncio.CancelledError:
            raise OSError("while it ended") from None
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
