"""The time limits of a client, over one timer, on a clock that the test moves."""

import asyncio
from typing import Any

import pytest

from arize_roles_async import ClientStateError, RetryPolicy, RolesTimeoutError, Timeouts
from arize_roles_async._asyncio import AsyncioTimeLimit, TimeLimits
from arize_roles_async._calls.call import Call
from arize_roles_async._roles.requests import ROLES
from arize_roles_async._values.options import Options
from tests.support.event_loop import LoopClock


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    return LoopClock(monkeypatch)


@pytest.fixture
async def limits(clock: LoopClock) -> TimeLimits:
    del clock  # Its time is that of the limits.
    return TimeLimits(asyncio.get_running_loop())


def block(limits: TimeLimits, seconds: float) -> AsyncioTimeLimit[Call]:
    """Return the block of a call that begins now and may take so long, silence 500 s of it."""
    options = Options(timeouts=Timeouts(total=seconds, read=500.0), retry=RetryPolicy())
    now = limits.now()
    return AsyncioTimeLimit(limits, Call(ROLES, "list", options, now, deadline=now + seconds))


async def wait_in(running: AsyncioTimeLimit[Call]) -> None:
    """Wait in a block, and take a while to end."""
    with running:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)


def cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@pytest.mark.parametrize("limit", ["total", "read"])
@pytest.mark.parametrize("by", ["cancellation", "closing"])
async def test_ends(by: str, limit: str, clock: LoopClock, limits: TimeLimits) -> None:
    """A cancellation, or the end of the client, wins over a limit that is over just then."""
    running = block(limits, 500.0 if limit == "total" else 3000.0)

    async def call() -> None:
        with running:
            if limit == "read":
                running.start("read")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not running.catch():
                    raise

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    clock.skip(500.0)
    cancels = by == "cancellation"
    asyncio.get_running_loop().call_soon(task.cancel if cancels else limits.close)
    with pytest.raises(asyncio.CancelledError if cancels else ClientStateError):
        await task


async def test_error(clock: LoopClock, limits: TimeLimits) -> None:
    """An error that the end of the block brings about comes through."""
    with pytest.raises(OSError, match="while it ended"), block(limits, 500.0):  # noqa: PT012
        try:
            await clock.pass_by(500.0)
        except asyncio.CancelledError:
            raise OSError("while it ended") from None
    assert cancellations() == 0


async def test_many(clock: LoopClock, limits: TimeLimits) -> None:
    """Of many that are due, a hundred end before other tasks run, and no error keeps frames."""
    blocks = [block(limits, 500.0) for _ in range(250)]
    tasks = [asyncio.create_task(wait_in(each)) for each in blocks]
    await asyncio.sleep(0)
    clock.skip(500.0)
    seen = {0}
    while max(seen) < 250:
        await asyncio.sleep(0)
        seen.add(sum(each.expired for each in blocks))
    assert seen == {0, 100, 200, 250}
    errors: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert {error.__context__.__traceback__ for error in errors} == {None}


async def test_part(clock: LoopClock, limits: TimeLimits) -> None:
    """An earlier limit ends only a part of the block, and the rest continues."""
    running, seen = block(limits, 3000.0), list[object]()
    with pytest.raises(RolesTimeoutError), running:  # noqa: PT012 - it is the block that raises
        running.start("read")
        with pytest.raises(asyncio.CancelledError):
            await clock.pass_by(500.0)
        seen.append((running.catch(), cancellations()))
        await clock.pass_by(2400.0)
        seen.append("continues")
        await clock.pass_by(100.0)
    assert seen == [(True, 0), "continues"]


async def test_shared(limits: TimeLimits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand blocks one after the other take one timer, which closing lets go."""
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_at = loop.call_at

    def noting_call_at(*given: object, **named: object) -> asyncio.TimerHandle:
        timers.append(call_at(*given, **named))  # type: ignore[arg-type]
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", noting_call_at)
    for _ in range(1000):
        with block(limits, 3000.0):
            pass
    limits.close()
    assert [timer.cancelled() for timer in timers] == [True]
