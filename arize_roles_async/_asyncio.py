"""Transports under asyncio: their event loop, and the time limits of their calls.

The limits of all calls share one timer. Setting a timer for each call, as `asyncio.timeout` and
aiohttp's own limits do, took a tenth of the time of a whole call. Nearly every limit is removed
long before it is due, so one timer, set to the earliest of them, rarely fires.
"""

import asyncio
import math
import os
from collections.abc import Awaitable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, Literal, TypeAlias, TypeVar

from arize_roles_async._calls.transport import Call, CallT, Event, TimeLimit, Transport
from arize_roles_async._values.errors import ClientStateError

Phase: TypeAlias = Literal["connect", "read"]
"""A phase of an attempt, with a limit of its own: connecting, or silence of the service."""

_CallT_co = TypeVar("_CallT_co", bound=Call, covariant=True)

_EXPIRED_PER_STEP: Final = 100
"""Limits that expire in one step of the event loop; a tenth of those that are due, if more."""


class TimeLimits:
    """Every limit that is running in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        """Returns the seconds on the clock of the limits; a test replaces it."""
        self._loop = loop
        self._running: set[AsyncioTimeLimit[Call]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.due = math.inf
        self._ended: asyncio.Event | None = None
        """Set when a block ends; None unless `ended` waits."""
        self.is_closed = False
        """The client is closed, which ends every block."""

    def add(self, limit: "AsyncioTimeLimit[Call]") -> None:
        """Add a limit; call it again when the deadline of the limit has changed."""
        self._running.add(limit)
        if limit.deadline < self.due:
            self._wake_at(limit.deadline)

    def discard(self, limit: "AsyncioTimeLimit[Call]") -> None:
        self._running.discard(limit)
        if self._ended is not None:
            self._ended.set()

    async def ended(self, seconds: float) -> None:
        """Wait until every block but the running task's own has ended, `seconds` at most."""
        self._ended = self._ended or asyncio.Event()
        own = len(self._running) - len(self._others())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self._running) > own:
                    self._ended.clear()
                    await self._ended.wait()

    def close(self) -> None:
        """End every block, except one that the running task is in, and cancel the timer."""
        self.is_closed = True
        for limit in self._others():
            self.discard(limit)
            limit.expire()
        self._wake_at(self._earliest())

    def _others(self) -> list["AsyncioTimeLimit[Call]"]:
        """Return the blocks that the running task is not in."""
        running = asyncio.current_task()
        return [each for each in self._running if each.task is not running]

    def _earliest(self) -> float:
        return min((each.deadline for each in self._running), default=math.inf)

    def _wake_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.due = moment
        if moment < math.inf:
            self._timer = self._loop.call_later(moment - self.now(), self._expire_due)

    def _expire_due(self) -> None:
        now = self.now()
        due = [each for each in self._running if each.deadline <= now]
        # The others follow once other tasks have run, as a cancelled task takes a while to end. A
        # part of all, so that the number of looks at all does not grow with it.
        for limit in due[: max(_EXPIRED_PER_STEP, len(due) // 10)]:
            self._running.discard(limit)
            limit.expire()
        self._wake_at(self._earliest())


class AsyncioTimeLimit(AbstractContextManager[_CallT_co, None]):
    """The block that a call runs in: it is cancelled, and raises, when the call's time is up.

    Like `asyncio.timeout`, but the call makes the error, the timer is shared, and a part of the
    block may have an earlier limit. The block ends in the same way when the client is closed.
    """

    def __init__(self, all_limits: TimeLimits, call: _CallT_co) -> None:
        self._call = call
        self._all = all_limits
        self.deadline = call.deadline
        self.task: asyncio.Task[object]
        # Set here, since a name that is new to calls under way would give each a dictionary.
        self.phase: Phase = "read"
        self._cancelling: int
        self.expired = False
        """The block was cancelled, or is over."""

    def __enter__(self) -> _CallT_co:
        # Every call runs in a task.
        task: Any = asyncio.current_task()
        self.task = task
        self._cancelling = task.cancelling()
        self._all.add(self)
        return self._call

    def __exit__(self, _: object, exc: BaseException | None, traceback: object, /) -> None:
        self._all.discard(self)
        call = self._call
        # Two objects that refer to each other would be left to the garbage collector.
        del self._call
        was_cancelled, self.expired = self.expired, True
        if was_cancelled and self._uncancel() and isinstance(exc, asyncio.CancelledError):
            # Its frames are of no use, and those of ten thousand calls would take long to collect.
            exc.__traceback__ = None
            del traceback
            error = call.interrupted(is_closed=self._all.is_closed)
            raise error from error.__cause__

    def start(self, phase: Phase) -> float:
        """Begin the limit on a phase of the attempt, in place of another, and return the time."""
        if self.expired:
            # A middleware sends in a task of its own, which has outlived the call.
            raise asyncio.CancelledError
        call, now = self._call, self._all.now()
        timeouts = call.options.timeouts
        seconds = timeouts.read if phase == "read" else timeouts.connect
        self.phase = phase
        self.deadline = call.deadline if seconds is None else min(call.deadline, now + seconds)
        if self.deadline < self._all.due:
            self._all.add(self)
        return now

    def catch(self) -> bool:
        """Undo a cancellation by the limit on `phase`; return False if there is another."""
        if not self.expired or self._all.is_closed or self.deadline == self._call.deadline:
            return False
        self.expired = False
        self.deadline = self._call.deadline
        self._all.add(self)
        return self._uncancel()

    def is_cancelled(self, *, session_closed: bool) -> bool:
        """Return whether the task was cancelled, and not a future, as at the end of a session."""
        requests = self.task.cancelling()
        # A task that suppressed an earlier cancellation still counts it.
        return requests > self._cancelling or (requests > 0 and not session_closed)

    def expire(self) -> None:
        self.expired = True
        self.task.cancel()

    def _uncancel(self) -> bool:
        """Undo its own cancellation, and return whether there is no other."""
        return self.task.uncancel() <= self._cancelling


class TimedEvent:
    """An event for one task, whose every wait has a limit."""

    def __init__(self) -> None:
        self._future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def set(self) -> None:
        if not self._future.done():
            self._future.set_result(True)

    def wait(self, seconds: float) -> Awaitable[bool]:
        # A coroutine costs a call that waits in the queue a fiftieth more.
        return self._future if seconds == math.inf else self._wait(seconds)

    async def _wait(self, seconds: float) -> bool:
        if seconds:
            await asyncio.wait([self._future], timeout=seconds)
        else:
            # A timer would take one more step of the event loop, in which others go first.
            await asyncio.sleep(0)
        return self._future.done()


class AsyncioTransport(Transport):
    """A transport that belongs to one event loop of asyncio, and once that is closed to the next.

    Subclasses create the objects that belong to the event loop in `_enter_loop`.
    """

    time_limits: TimeLimits
    _loop: asyncio.AbstractEventLoop | None = None
    _process: int
    """The ID of the process of that event loop."""
    is_closing = False
    """New calls are refused."""

    def check_state(self) -> bool:
        if self.is_closing:
            raise ClientStateError("the client is closed")
        loop = running_loop()
        if self._loop is loop:
            return False
        self._check_left()
        self._enter_loop(loop)
        return True

    def _check_left(self) -> None:
        """Raise `ClientStateError` if the event loop that the client belongs to is still open."""
        if self._loop is not None and not self._loop.is_closed():
            if self._process != os.getpid():
                raise ClientStateError(
                    "the client belongs to the process that forked this one, and to its event "
                    "loop; make a client after the fork"
                )
            raise ClientStateError(
                "the client belongs to another event loop that is still open; make a client for "
                "each loop"
            )

    def _enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to an event loop; the loop before it was closed."""
        self.time_limits = TimeLimits(loop)
        self.now = self.time_limits.now
        self._loop = loop
        self._process = os.getpid()

    def event(self, call: Call) -> Event:
        del call  # Its limit ends the wait.
        return TimedEvent()

    def time_limit(self, call: CallT) -> TimeLimit[CallT]:
        return AsyncioTimeLimit(self.time_limits, call)


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop, or raise `ClientStateError`."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise ClientStateError("the client runs under asyncio only") from error
