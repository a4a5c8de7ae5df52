"""Runs the calls of a client: waits, sends, logs, and asks the call machine for the next step."""

import functools
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UnsetType

from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.call import AskKey, Call, FindOutcome, Retry
from arize_roles_async._calls.collection import Collection
from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots, Waiter
from arize_roles_async._calls.transport import Event, Transport
from arize_roles_async._values.errors import (
    InvalidResponseError,
    RateLimitError,
    RolesError,
    StatusError,
)
from arize_roles_async._values.models import ListResponse, Model
from arize_roles_async._values.options import check_count
from arize_roles_async._values.requests import PageRequest
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.decode import decode_item, decode_page
from arize_roles_async._wire.request import Request, item_request, page_request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.retry_after import retry_after

logger: Final = logging.getLogger("arize_roles_async")

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Model)
_P = TypeVar("_P", bound=ListResponse[object])
_L_co = TypeVar("_L_co", covariant=True)
"""What finds items by their names, for the calls that send one key."""

_TOO_MANY: Final = 429
_MAX_TITLE: Final = 100
_MAX_DRIVERS: Final = 1_000


class DrivenCall(Call, Generic[_L_co], eq=False, kw_only=True):
    """A call, and the driver that runs it from start to end."""

    driver: "Driver[_L_co]"
    lookup: _L_co
    """That of its key."""
    client: str | None = None
    """The name of its client, for the log."""

    def change(
        self,
        request: Request,
        decode: Callable[[Request, Response], _T],
        find_outcome: Callable[[FindOutcome], Awaitable[_T | UnsetType]],
    ) -> Awaitable[_T]:
        """Make a change, and return the result that `decode` makes of the answer.

        After a failure, `find_outcome` reads the account again: it returns the result, or raises
        the failure if the change was not made, or returns UNSET if the account does not show it.
        """
        return self.driver.send(self, request, decode, find_outcome)

    def get_page(self, collection: Collection, model: type[_P], page: PageRequest) -> Awaitable[_P]:
        decode = functools.partial(decode_page, model, page.limit)
        return self.driver.send(self, page_request(collection.path, page), decode)

    def get_item(self, collection: Collection, model: type[_M], item_id: str) -> Awaitable[_M]:
        decode = functools.partial(decode_item, model, "id", item_id)
        return self.driver.send(self, item_request("GET", collection.path, item_id), decode)


class Shared(Generic[_L_co]):
    """What a client shares with its copies: the transport, the slots, and a driver for each key.

    It keeps the drivers of the thousand API keys that were used last.
    """

    def __init__(
        self, transport: Transport, max_concurrency: int, new_lookup: Callable[[], _L_co]
    ) -> None:
        check_count("max_concurrency", max_concurrency)
        self.transport: Transport = transport
        self.new_lookup: Callable[[], _L_co] = new_lookup
        self.slots: Slots = Slots(max_concurrency)
        new_driver = functools.partial(Driver[_L_co], transport, self.slots, new_lookup)
        self.driver: Callable[[KeySource], Driver[_L_co]]
        self.driver = functools.lru_cache(_MAX_DRIVERS)(new_driver)
        """Returns the driver of the calls that send a key."""

    def driver_now(self, own: "Driver[Any]") -> "Driver[_L_co]":
        """Return the driver of a call that begins now, given that of its client."""
        return own

    async def aclose(self, grace: float) -> None:
        await self.transport.aclose(grace)


class Driver(Generic[_L_co]):
    """Runs the calls of a client and of its copies that send one API key.

    It owns all that belongs to the key: the requests that wait, the pace under a rate limit, and
    the names that were seen.
    """

    def __init__(
        self, transport: Transport, slots: Slots, new_lookup: Callable[[], _L_co], source: KeySource
    ) -> None:
        self.transport: Transport = transport
        self.pace: Pace = Pace()
        self.slots: Slots = slots
        self._queue = Queue(slots, self.pace)
        self.key_source: KeySource = source
        self._key = source.fixed
        """The key that was sent last, to which the names belong."""
        self._new_lookup = new_lookup
        self.lookup: _L_co = new_lookup()

    def check_state(self) -> None:
        if self.transport.check_state():
            self.slots.reset()
        if self._queue.queues is not self.slots.queues:
            self._queue = Queue(self.slots, self.pace)
            self.lookup = self._new_lookup()

    async def ask_key(self, call: DrivenCall[object]) -> bool:
        """Have a call send the key that there is now; return whether it is another one."""
        key = await self.transport.ask_key(self.key_source, call)
        if self._key is None or key.reveal() != self._key.reveal():
            # It may be of another account, so it shares no walk and knows no name.
            self.lookup = self._new_lookup()
            self._key = key
        call.lookup = self.lookup
        return call.use_key(key)

    async def send(
        self,
        call: DrivenCall[object],
        request: Request,
        decode: Callable[[Request, Response], _T],
        find_outcome: Callable[[FindOutcome], Awaitable[_T | UnsetType]] | None = None,
    ) -> _T:
        """Send a request of a call, again if that may help; see `DrivenCall.change`."""
        transport, queue, pace = self.transport, self._queue, self.pace
        call.start_request(request)
        queued_at = transport.now()
        while True:
            started, is_logged = queued_at, logger.isEnabledFor(logging.DEBUG)
            if not queue.enter():
                started = await self._wait_in_queue(call, queue, queued_at)
            outcome: Response | RolesError
            try:
                waited = started - queued_at
                has_to_prepare = not call.keys or (waited and is_logged)
                if has_to_prepare and not await self._prepare(call, waited):
                    continue
                call.start_attempt()
                outcome = await transport.send(request, call)
            except RolesError as error:
                outcome = error
            finally:
                queue.exit()
            now = transport.now()
            if is_logged:
                _log(call, outcome, now - started)
            if isinstance(outcome, Response) and (pace.limited or outcome.status == _TOO_MANY):
                _note_pace(queue, call, outcome, now)
            step = call.receive(outcome, decode, now)
            if isinstance(step, AskKey):
                step = await self._ask_other_key(call, step)
            if isinstance(step, Retry):
                queued_at = await self._wait_to_retry(call, step, outcome, started, now)
                retries = {"sdk-retry-count": str(call.attempts_of_request)}
                request = msgspec.structs.replace(request, headers=retries)
            elif isinstance(step, FindOutcome):
                assert find_outcome is not None  # noqa: S101 - only a change has this step
                return await _outcome(call, step, find_outcome(step))
            else:
                return step

    async def _prepare(self, call: DrivenCall[object], waited: float) -> bool:
        """Have a call send a key; return False if a hold began, so it must queue again."""
        if waited and logger.isEnabledFor(logging.DEBUG):
            message, extra = "%s waited %.3f s in the queue", _fields(call, waited)
            logger.debug(message, str(call.request), waited, extra=extra)
        held_until = self.pace.held_until
        # Only after the wait, in which a key may expire.
        if not call.keys:
            await self.ask_key(call)
        return self.pace.held_until == held_until

    async def _wait_to_retry(
        self,
        call: DrivenCall[object],
        step: Retry,
        outcome: Response | RolesError,
        started: float,
        ended: float,
    ) -> float:
        """Wait after an attempt until the next may join the queue, and return the time of that."""
        logger.info(
            "%s: attempt %d failed, the next in %.2f s: %s (request id %s)",
            *(str(call.request), call.attempts_of_request, step.delay),
            *(_in_log(step.failure), step.failure.request_id),
            extra=_fields(call, ended - started, outcome),
        )
        if isinstance(step.failure, RateLimitError):
            return ended  # It waits in the queue, as all do under a rate limit.
        await self.transport.event(call).wait(step.delay)
        return self.transport.now()

    async def _ask_other_key(self, call: DrivenCall[object], step: AskKey) -> Retry | FindOutcome:
        """Have a call send another key after one was refused, or return how it ends."""
        failure = step.failure
        try:
            if await self.ask_key(call):
                return step
        except RolesError as error:
            failure = error
        return call.conclude(failure)

    async def _wait_in_queue(self, call: DrivenCall[object], queue: Queue, now: float) -> float:
        """Wait until the request may go, and return the time of that."""
        transport, pace = self.transport, queue.pace
        waiter = Waiter(call.turn, call.deadline, call.retry.max_retry_after or math.inf)
        queue.join(waiter)
        event: Event | None = None
        try:
            while seconds := queue.ask(waiter, now):
                event = transport.event(call)
                waiter.wake = event.set
                if await event.wait(seconds):
                    now = transport.now()
                else:
                    # Clocks may tick late.
                    now = max(now + seconds, transport.now())
                waiter.deadline = call.deadline  # A transport that moves its clock moves it, too.
        except BaseException:
            # The limit on the time of the call may have ended the wait.
            if queue.is_limited:
                call.rate_limited_for = pace.wait(transport.now())
            queue.leave(waiter)
            raise
        if seconds is None:
            if pace.limited:
                call.rate_limited_for = pace.wait(now)
            queue.leave(waiter)
            if event is None:
                # A caller that tries again in a loop must let other tasks run.
                await transport.event(call).wait(0.0)
            raise call.not_sent_in_time()
        return now


async def _outcome(call: Call, step: FindOutcome, found: Awaitable[_T | UnsetType]) -> _T:
    """Return the result of a change that the account shows, or raise the error of the call."""
    try:
        result = await found
    except RolesError as error:
        if error is step.failure:
            call.note_not_made(step)
            raise
        raise call.outcome_unknown(step.failure, error) from error
    if isinstance(result, UnsetType):
        raise call.outcome_unknown(step.failure)
    return result


def _note_pace(queue: Queue, call: DrivenCall[object], response: Response, now: float) -> None:
    """Show the queue whether the service granted or refused a request."""
    pace, was_limited = queue.pace, queue.pace.limited
    # The pace counts from when a request was sent: it may have waited for a connection before.
    if response.status != _TOO_MANY:
        pace.note_granted(call.sent_at)
        return
    queue.hold(call.sent_at, now, retry_after(response.headers) or 0.0)
    call.note_refusal(now - pace.refused_since)
    if not was_limited:
        logger.debug(
            "the service limits the rate: requests wait %.3g s, then go at the rate that it grants",
            pace.wait(now),
            extra=_fields(call, pace.wait(now)),
        )


def _log(call: DrivenCall[object], outcome: Response | RolesError, seconds: float) -> None:
    fields = _fields(call, seconds, outcome)
    logger.debug(
        # As text: the query of a request, which a record would keep, may hold an address.
        "%s: %s on attempt %d after %.1f ms (request id %s)",
        str(call.request),
        outcome.status if isinstance(outcome, Response) else _in_log(outcome),
        *(call.attempts_of_request, seconds * 1000.0, fields["request_id"]),
        extra=fields,
    )


def _in_log(failure: RolesError) -> str:
    """Return what a record says of a failure, which may quote more of an answer than a log may."""
    words = [type(failure).__name__]
    if isinstance(failure, StatusError | InvalidResponseError):
        words.append(str(failure.status))
    if isinstance(failure, StatusError) and failure.problem is not None:
        words.append(one_line(failure.problem.title or "", _MAX_TITLE))
    return " ".join(words)


def _fields(
    call: DrivenCall[object], seconds: float, outcome: Response | RolesError | None = None
) -> dict[str, object]:
    """Return the fields of a log record, perhaps about an attempt, which JSON loggers write."""
    request = call.request
    fields: dict[str, object] = {
        "host": call.driver.transport.host,
        "client": call.client,
        "operation": call.operation,
        "method": request.method,
        "path": request.path,
        "seconds": seconds,
    }
    if outcome is not None:
        if isinstance(outcome, Response):
            request_id = outcome.header("X-Request-Id")
        else:
            request_id = outcome.request_id
        status = getattr(outcome, "status", None)
        fields |= {"attempt": call.attempts_of_request, "status": status, "request_id": request_id}
    return fields
