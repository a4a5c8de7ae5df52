"""Calls that a test keeps open."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from arize_roles_async._values.errors import ClientStateError
from arize_roles_fake._service.arguments import without_none
from arize_roles_fake._testing.loops import call_soon, running_loop
from arize_roles_fake._testing.received import Matcher

MAX_SECONDS: Final = 60.0
"""Real seconds after which a call that a test forgot to release ends with an error."""


class Blocked:
    """The calls that `FakeAccount.block` keeps open, in any event loop and any thread."""

    def __init__(self, calls: Matcher) -> None:
        self.calls: Matcher = calls
        self.arrived: list[object] = []
        """Every logged call since the block began."""
        self._lock = threading.Lock()
        self._kept_open = 0
        self.is_released: bool = False
        self._wakers: list[Callable[[], object]] = []
        """Each wakes a task that waits, in the task's own event loop."""

    @without_none
    async def reached(self, number: int = 1, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Wait until so many requests have been kept open.

        Two calls of `get` by a name may share a request.

        Args:
            number: The number of requests.
            timeout: Real seconds to wait for them.

        Raises:
            TimeoutError: They have not come by then; the message lists the calls that came.
        """
        try:
            await self._wait_until(lambda: self._kept_open >= number, timeout)
        except TimeoutError:
            calls = "".join(f"\n  {call}" for call in self.arrived) or " none"
            raise TimeoutError(
                f"block({self.calls}) kept {self._kept_open} of {number} requests open within "
                f"{timeout:g} s; the calls that came since it began:{calls}"
            ) from None

    def unused(self) -> str | None:
        return None if self._kept_open else f"block({self.calls}): no call was kept open"

    def release(self) -> None:
        """Let the calls go on, and keep no later one open."""
        with self._lock:
            self.is_released = True
            self._wake_all()

    async def keep_open(self) -> None:
        """Count a call, and wait until it may go on; raise `ClientStateError` if it never may."""
        with self._lock:
            self._kept_open += 1
            self._wake_all()
        try:
            await self._wait_until(lambda: self.is_released, MAX_SECONDS)
        except TimeoutError:
            raise ClientStateError(
                f"block({self.calls}) kept the call open for {MAX_SECONDS:g} s and was not released"
            ) from None

    def _wake_all(self) -> None:
        for wake in self._wakers:
            wake()
        self._wakers.clear()

    async def _wait_until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition, which any loop or thread may change, or raise TimeoutError."""
        # Coverage sees no line after an await that a cancellation ended without an error.
        with anyio.fail_after(seconds):
            while True:
                event = anyio.Event()
                with self._lock:
                    if holds():
                        return
                    self._wakers.append(partial(call_soon, running_loop(), event.set))
                await event.wait()
