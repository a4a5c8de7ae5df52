"""Calls that a test keeps open."""

import threading
from collections.abc import Callable

from arize_roles_fake._testing.loops import Alarm


class Blocked:
    """The calls that `FakeAccount.block` keeps open, in any event loop and any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alarms: set[Alarm] = set()
        self._calls = 0
        self._is_released = False

    @property
    def is_released(self) -> bool:
        """True once the calls may go on."""
        return self._is_released

    async def reached(self, calls: int = 1) -> None:
        """Wait until some calls have been kept open since the block began.

        Args:
            calls: The number of calls.
        """
        await self._wait(lambda: self._calls >= calls)

    def release(self) -> None:
        """Let the calls go on, and keep no later one open."""
        self._is_released = True
        self._wake()

    async def keep_open(self) -> None:
        """Count a call, and wait until it may go on."""
        with self._lock:
            self._calls += 1
        self._wake()
        await self._wait(lambda: self._is_released)

    def _wake(self) -> None:
        """Have every waiting task check its condition again."""
        with self._lock:
            for alarm in self._alarms:
                alarm.ring()

    async def _wait(self, is_over: Callable[[], bool]) -> None:
        """Wait until a condition holds, which is checked after each `_wake`."""
        while True:
            alarm = Alarm()
            with self._lock:
                if is_over():
                    return
                self._alarms.add(alarm)
            try:
                await alarm.wait()
            finally:
                with self._lock:
                    self._alarms.discard(alarm)
