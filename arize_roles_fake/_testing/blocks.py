"""Calls that a test keeps open."""

import threading
from collections.abc import Callable
from typing import Final

import anyio

_POLL: Final = 0.005
"""Seconds between two checks of a condition, which any event loop and any thread may change."""


class Blocked:
    """The calls that `FakeAccount.block` keeps open, in any event loop and any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self.is_released: bool = False
        """True once the calls may go on."""

    async def reached(self, calls: int = 1) -> None:
        """Wait until a number of calls have been kept open since the block began."""
        await _until(lambda: self._calls >= calls)

    def release(self) -> None:
        """Let the calls go on, and keep no later one open."""
        self.is_released = True

    async def keep_open(self) -> None:
        """Count a call, and wait until it may go on."""
        with self._lock:
            self._calls += 1
        await _until(lambda: self.is_released)


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - an event belongs to one event loop
        await anyio.sleep(_POLL)
