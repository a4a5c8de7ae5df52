"""Calls that a test keeps open."""

import threading
from collections.abc import Callable
from functools import partial

import anyio

from arize_roles_fake._testing.faults import CallFilter
from arize_roles_fake._testing.loops import call_soon, running_loop


class Blocked:
    """The calls that `FakeAccount.block` keeps open, in any event loop and any thread."""

    def __init__(self, calls: CallFilter) -> None:
        self.calls: CallFilter = calls
        """The calls to keep open."""
        self._lock = threading.Lock()
        self._calls = 0
        self.is_released: bool = False
        """True once the calls may go on."""
        self._wakers: list[Callable[[], object]] = []
        """Each wakes a task that waits, in the task's own event loop."""

    async def reached(self, calls: int = 1) -> None:
        """Wait until `calls` calls have been kept open since the block began."""
        await self._wait_until(lambda: self._calls >= calls)

    def unused(self) -> str | None:
        """Return a line that names the block, or None once a call was kept open."""
        return None if self._calls else f"block({self.calls}): no call was kept open"

    def release(self) -> None:
        """Let the calls go on, and keep no later one open."""
        with self._lock:
            self.is_released = True
            self._wake_all()

    async def keep_open(self) -> None:
        """Count a call, and wait until it may go on."""
        with self._lock:
            self._calls += 1
            self._wake_all()
        await self._wait_until(lambda: self.is_released)

    def _wake_all(self) -> None:
        for wake in self._wakers:
            wake()
        self._wakers.clear()

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds, which any event loop and any thread may change."""
        while True:
            event = anyio.Event()
            with self._lock:
                if holds():
                    return
                self._wakers.append(partial(call_soon, running_loop(), event.set))
            await event.wait()
