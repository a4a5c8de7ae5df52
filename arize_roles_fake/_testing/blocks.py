"""Calls that a test keeps open."""

import threading
from collections.abc import Callable

from arize_roles_fake._testing.faults import Scope
from arize_roles_fake._testing.loops import Alarm


class Blocked:
    """The calls that `FakeAccount.block` keeps open, in any event loop and any thread."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope
        """Which calls it keeps open."""
        self._lock = threading.Lock()
        self._alarms: set[Alarm] = set()
        self._calls = 0
        self._is_released = False

    @property
    def is_released(self) -> bool:
        """Whether it keeps no call open any more."""
        return self._is_released

    async def reached(self, calls: int = 1) -> None:
        """Wait until so many calls have been kept open since the block began.

        Args:
            calls: How many.
        """
        await self.wait(lambda: self._calls >= calls)

    def release(self) -> None:
        """Let the calls go on, and keep no later one open."""
        self._is_released = True
        self.wake()

    def add_call(self) -> None:
        """Count a call that is kept open."""
        self._calls += 1
        self.wake()

    def wake(self) -> None:
        """Have all that wait look again."""
        with self._lock:
            for alarm in self._alarms:
                alarm.ring()

    async def wait_until_released(self) -> None:
        """Wait until the calls may go on."""
        await self.wait(lambda: self._is_released)

    async def wait(self, is_over: Callable[[], bool]) -> None:
        """Wait until a condition holds, which is looked at after each `wake`."""
        while not is_over():
            alarm = Alarm()
            with self._lock:
                self._alarms.add(alarm)
            try:
                if not is_over():
                    await alarm.wait()
            finally:
                with self._lock:
                    self._alarms.discard(alarm)
