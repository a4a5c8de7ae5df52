"""Runs the calls of a client: waits, sends, asks the call machine what comes next, and logs."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakSet

import msgspec

from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.call import AskKey, Call, Operation, Retry, TimeLimit, Verify
from arize_roles_async._calls.lookup import KnownRoles, NameLookup
from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots, Waiter
from arize_roles_async._calls.transport import Event, Transport
from arize_roles_async._values.errors import ClientStateError, RolesError
from arize_roles_async._values.options import RetryPolicy, Timeouts
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.retry_after import retry_after

if TYPE_CHECKING:
    from arize_roles_async._wire.redaction import Secret

logger: Final = logging.getLogger("arize_roles_async")

_T = TypeVar("_T")

_TOO_MANY: Final = 429
_MAX_DRIVERS: Final = 100


class ClientCall(Call):
    """A call, with the driver that runs it from start to end."""

    __slots__ = ("driver",)

    driver: "Driver"


class Destination:
    """Where the calls of a client and of its copies go: a transport, and its slots.

    It keeps a driver for each of the hundred API keys that were used last.

    Args:
        transport: Sends the requests.
        slots: How many requests may be under way.
    """

    def __init__(self, transport: Transport, slots: int) -> None:
        self.transport: Transport = transport
        self.slots: int = slots
        """How many requests may be under way."""
        self.is_closed: bool = False
        self.stand_ins: WeakSet[Transport] = WeakSet()
        """What a test led calls to in place of the transport, and closes with it."""
        self._slots = Slots(slots)
        self._drivers: dict[KeySource, Driver] = {}

    def driver(self, keys: KeySource) -> "Driver":
        """Return the driver of the calls that send a key."""
        # Taken out first, so that the newest comes last.
        driver = self._drivers.pop(keys, None) or Driver(self.transport, keys, self._slots)
        self._drivers[keys] = driver
        if len(self._drivers) > _MAX_DRIVERS:
            del self._drivers[next(iter(self._drivers))]
        return driver

    async def aclose(self, grace: float) -> None:
        """Refuse new calls, give those under way `grace` seconds, and close every connection."""
        self.is_closed = True
        try:
            await self.transport.aclose(grace)
        except ClientStateError:
            self.is_closed = False  # It belongs to another event loop.
            raise
        for each in [*self.stand_ins]:
            await each.aclose(grace)


class Driver:
    """Runs the calls of a client and of its copies that send one API key to one destination.

    It owns all that belongs to the key: the requests that wait, the pace under a rate limit, and
    the names that were seen.

    Args:
        transport: Sends the requests, and is their clock.
        keys: Where the key of each call comes from.
        slots: How many requests may be under way, whatever their keys.
    """

    def __init__(self, transport: Transport, keys: KeySource, slots: Slots) -> None:
        self.transport: Transport = transport
        self.pace: Pace = Pace()
        self._slots = slots
        self._queue = Queue(slots, self.pace)
        self._keys = keys
        self._fixed = () if keys.fixed is None else (keys.fixed,)
        self._known = KnownRoles()
        self._lookup = NameLookup(self._known, transport)
        self._known_key: Secret[str] | None = keys.fixed

    def check_open(self) -> None:
        """Raise `ClientStateError` if no call can be made."""
        if self.transport.check_open():
            self._slots.restart()
        if not self._queue.is_current:
            self._queue = Queue(self._slots, self.pace)
            self._lookup = NameLookup(self._known, self.transport)

    def begin(
        self,
        operation: Operation,
        timeouts: Timeouts,
        retry: RetryPolicy,
        *,
        background: bool = False,
    ) -> ClientCall:
        """Return a new call.

        Args:
            operation: Which method.
            timeouts: Its limits.
            retry: How often a request is tried.
            background: Whether it goes after all others.

        Raises:
            ClientStateError: No call can be made.
        """
        self.check_open()
        call = ClientCall(operation, timeouts, retry, self.transport.now())
        call.driver = self
        call.keys = self._fixed
        call.place = self._slots.next_place(background=background)
        return call

    def time_limit(self, call: ClientCall) -> TimeLimit:
        """Return the block that a call runs in, which ends when its time is up."""
        return self.transport.time_limit(call)

    async def lookup(self, call: Call) -> NameLookup:
        """Return what finds the names that the key of a call sees; the call asks for its key now.

        Another key may be of another account, so it shares no walk and knows no name.

        Raises:
            ConfigurationError: The function that returns keys failed.
        """
        if not call.keys:
            await self._ask_key(call)
        self.known(call)
        return self._lookup

    def known(self, call: Call) -> KnownRoles:
        """Return the IDs of the roles that were seen last with the key of a call."""
        key = call.keys[-1]
        if key is not self._known_key:
            if self._known_key is None or key.reveal() != self._known_key.reveal():
                self._known = KnownRoles()
                self._lookup = NameLookup(self._known, self.transport)
            self._known_key = key
        return self._known

    async def _ask_key(self, call: Call) -> bool:
        """Have a call send the key that there is now; return whether it is another one."""
        key = await self.transport.ask_key(self._keys, call)
        if call.keys and call.keys[-1].reveal() == key.reveal():
            return False
        call.keys += (key,)
        return True

    async def send(
        self,
        call: ClientCall,
        request: Request,
        decode: Callable[[Request, Response], _T],
        verify: Callable[[RolesError], Awaitable[_T]] | None = None,
    ) -> _T:
        """Send a request, again if that may help, and return what its answer means.

        Args:
            call: The call that the request is part of.
            request: What to send.
            decode: Makes the result of a documented answer.
            verify: For a change: finds out in the account whether it was made.
        """
        transport, queue = self.transport, self._queue
        call.begin(request)
        started = call.seen
        while True:
            if not queue.enter():
                started = await self._wait_in_queue(call, request, queue, started)
            call.start_attempt()
            outcome: Response | RolesError
            try:
                if not call.keys:
                    await self._ask_key(call)
                outcome = await transport.send(request, call)
            except RolesError as error:
                outcome = error
            finally:
                queue.exit()
            if isinstance(outcome, Response) and call.is_read_result(outcome) and self._is_quiet():
                return decode(request, outcome)
            now = transport.now()
            _update_pace(queue, call, request, outcome, now)
            if logger.isEnabledFor(logging.DEBUG):
                _log(call, request, outcome, now - started)
            step = await self._next_step(call, request, outcome, decode, now)
            if isinstance(step, Retry):
                logger.info(
                    "%s: attempt %d failed, the next in %.2f s: %s",
                    *(request, call.attempt, step.delay, step.failure),
                    extra=_attempt_fields(call, request, outcome, now - started),
                )
                started = now
                # After a 429, the request waits for the hold in the queue, as all do.
                if not _is_refusal(outcome):
                    await transport.event(call).wait(step.delay)
                    started = transport.now()
                retries = {"sdk-retry-count": str(call.attempt)}
                request = msgspec.structs.replace(request, headers=retries)
            elif isinstance(step, Verify):
                assert verify is not None  # noqa: S101 - only changes are verified
                call.seen = now
                return await verify(step.failure)
            else:
                return step

    async def _next_step(
        self,
        call: Call,
        request: Request,
        outcome: Response | RolesError,
        decode: Callable[[Request, Response], _T],
        now: float,
    ) -> _T | Retry | Verify:
        """Return the result of an attempt or what to do next; after a refused key, ask for one."""
        if not isinstance(outcome, Response):
            return call.fail(outcome, now)
        step = call.receive(request, outcome, decode, now)
        if not isinstance(step, AskKey):
            return step
        failure: RolesError = step.failure
        try:
            if await self._ask_key(call):
                return Retry(0.0, failure)
        except RolesError as error:
            failure = error
        return call.fail(failure, self.transport.now())

    async def _wait_in_queue(
        self, call: Call, request: Request, queue: Queue, started: float
    ) -> float:
        """Wait until the request may go, and return when that is."""
        transport, pace = self.transport, queue.pace
        waiter = Waiter(call.place, call.deadline, call.retry.max_retry_after)
        queue.join(waiter)
        event: Event | None = None
        now = started
        try:
            while (seconds := queue.ask(waiter, now)) and not waiter.is_late:
                event = transport.event(call)
                waiter.wake = event.set
                if await event.wait(seconds):
                    now = transport.now()
                else:
                    # Clocks may tick late.
                    now = max(now + seconds, transport.now())
        except BaseException:
            # What ends the wait may be the limit on the time of the call.
            if queue.is_limited:
                call.held_back = (request, pace.wait(transport.now()))
            queue.leave(waiter)
            raise
        if waiter.is_late:
            if pace.limited:
                call.held_back = (request, pace.wait(now))
            queue.leave(waiter)
            if event is None:
                # Whoever calls again and again must let others run.
                await transport.event(call).wait(0.0)
            raise call.miss_turn()
        try:
            logger.debug(
                "%s waited %.3f s in the queue",
                *(request, now - started),
                extra=_fields(call, request, now - started),
            )
        except BaseException:
            # A handler of the application's; the request does not go.
            queue.exit()
            raise
        return now

    def _is_quiet(self) -> bool:
        """Return whether neither the log nor the pace needs to hear of a success."""
        return not (self.pace.limited or logger.isEnabledFor(logging.DEBUG))


def _update_pace(
    queue: Queue, call: Call, request: Request, outcome: Response | RolesError, now: float
) -> None:
    """Show the pace what an answer says of the limit."""
    # When it was sent and not when it left the queue: it may have waited for a connection.
    pace, sent = queue.pace, call.seen
    if not isinstance(outcome, Response):
        return
    if not _is_refusal(outcome):
        if pace.limited:
            pace.grant(sent)
        return
    seconds = retry_after(outcome.headers) or 0.0
    is_new = not pace.limited
    queue.refuse(sent, now, seconds)
    call.note_refusal(now - pace.refused_since)
    if is_new:
        logger.debug(
            "the service limits the rate: requests wait %.3g s, then go at the rate that it grants",
            pace.wait(now),
            extra=_fields(call, request, pace.wait(now)),
        )


def _is_refusal(outcome: Response | RolesError) -> bool:
    return isinstance(outcome, Response) and outcome.status == _TOO_MANY


def _log(call: Call, request: Request, outcome: Response | RolesError, seconds: float) -> None:
    fields = _attempt_fields(call, request, outcome, seconds)
    logger.debug(
        "%s: %s on attempt %d after %.1f ms (request id %s)",
        request,
        outcome.status if isinstance(outcome, Response) else outcome,
        *(call.attempt, seconds * 1000.0, fields["request_id"]),
        extra=fields,
    )


def _attempt_fields(
    call: Call, request: Request, outcome: Response | RolesError, seconds: float
) -> dict[str, object]:
    """Return the fields of a log record about an attempt, which JSON loggers write."""
    status: int | None = None
    request_id: str | None = None
    if isinstance(outcome, Response):
        status, request_id = outcome.status, outcome.header("X-Request-Id")
    return {
        **_fields(call, request, seconds),
        "attempt": call.attempt,
        "status": status,
        "request_id": request_id,
    }


def _fields(call: Call, request: Request, seconds: float) -> dict[str, object]:
    """Return the fields that every log record has."""
    return {
        "operation": call.operation,
        "method": request.method,
        "path": request.path,
        "seconds": seconds,
    }
