"""Calls that run: each waits, sends, logs, and asks the call machine for the next step."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.call import (
    AskKey,
    Call,
    Collection,
    Exchange,
    FindOutcome,
    Outcome,
    Retry,
)
from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.queue import Queue, Slots, Waiter
from arize_roles_async._calls.transport import Event, Transport
from arize_roles_async._values import errors
from arize_roles_async._values.models import ListResponse, Model
from arize_roles_async._values.options import check_count
from arize_roles_async._values.requests import PageRequest
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.decode import decode_item, decode_page
from arize_roles_async._wire.request import Request, change_request, item_request, page_request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.retry_after import retry_after
from arize_roles_async._wire.secrets import Secret

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
    """A call that sends its requests, again if that may help; it keeps its driver to the end."""

    driver: "Driver[_L_co]"
    lookup: _L_co
    """That of its key."""
    one_asks: AbstractAsyncContextManager[None] = nullcontext()
    """Of a whole: the block of the part that asks for another key."""

    def now(self) -> float:
        return self.driver.transport.now()

    def event(self) -> Event:
        """Return a new event that the call waits for."""
        return self.driver.transport.event(self)

    def may_be_since(self, moment: datetime) -> bool:
        """Return whether a time of the service may be that of a change by this call.

        A time stands for the whole second or millisecond that it begins, as it is nowhere
        documented how exactly the service writes times.
        """
        stands_for = 1e-3 if moment.microsecond else 1.0
        return moment.timestamp() + stands_for > self.created_since(self.now(), time.time())

    def get_page(self, collection: Collection, model: type[_P], page: PageRequest) -> Awaitable[_P]:
        decode = partial(decode_page, model, page.limit)
        return self.send(page_request(collection.path, page), decode)

    def get_item(self, collection: Collection, model: type[_M], item_id: str) -> Awaitable[_M]:
        decode = partial(decode_item, model, {"id": item_id})
        return self.send(item_request("GET", collection.path, item_id), decode)

    def change(
        self,
        collection: Collection,
        model: type[_M],
        record: msgspec.Struct,
        find_outcome: Callable[[FindOutcome], Awaitable[_M | UnsetType]],
        item_id: str | None = None,
    ) -> Awaitable[_M]:
        """Create an item from a record, or change the one with an ID by it.

        An answer that shows another item is none to this change: see `send` for what follows.
        """
        asked = asdict(record)
        if item_id is not None:
            asked["id"] = item_id
        decode = partial(decode_item, model, asked)
        return self.send(change_request(collection.path, item_id, record), decode, find_outcome)

    def delete_item(
        self, collection: Collection, model: type[Model], item_id: str, *, was_found: bool
    ) -> Awaitable[None]:
        """Delete an item, which the call may have found before."""

        async def find_gone(step: FindOutcome) -> UnsetType | None:
            try:
                await self.get_item(collection, model, item_id)
            except errors.NotFoundError:
                # If the service did nothing, as it says, somebody else has deleted it.
                return None if was_found and not step.all_refused else UNSET
            # If it is there after a 404, the key lacks the right to delete it.
            if step.all_refused or isinstance(step.failure, errors.NotFoundError):
                raise step.failure
            return UNSET

        request = item_request("DELETE", collection.path, item_id)
        return self.send(request, lambda _, __: None, find_gone)  # A 204 has no body.

    async def send(
        self,
        request: Request,
        decode: Callable[[Request, Response], _T],
        find_outcome: Callable[[FindOutcome], Awaitable[_T | UnsetType]] | None = None,
    ) -> _T:
        """Send a request, and return the result that `decode` makes of the answer.

        After the failure of a change, `find_outcome` reads the account again: it returns the
        result, or raises the failure if the change was not made, or returns UNSET if the account
        does not show it.
        """
        transport, queue = self.driver.transport, self.driver.queue
        pace = queue.pace
        exchange = Exchange(request, request.method != "GET")
        self.exchange: Exchange = exchange
        queued_at = transport.now()
        while True:
            started = queued_at
            if not queue.enter():
                started = await self._wait_in_queue(queue, queued_at)
            outcome: Outcome
            try:
                # Only after the wait, in which a key may expire.
                if not self.keys and not await self._ask_key_in_time(pace):
                    continue
                self.start_attempt()
                outcome = await transport.send(request, self)
            except errors.RolesError as error:
                outcome = error
            finally:
                queue.exit()
            now = transport.now()
            if logger.isEnabledFor(logging.DEBUG):
                self._log_attempt(outcome, now - started)
            if isinstance(outcome, Response) and (pace.limited or outcome.status == _TOO_MANY):
                self._note_pace(queue, outcome, now)
            step = self.receive(outcome, decode, now)
            if not isinstance(step, (Retry, FindOutcome)):
                return step
            if isinstance(step, AskKey):
                step = await self._ask_other_key(step)
            if isinstance(step, FindOutcome):
                assert find_outcome is not None  # noqa: S101 - only a change has this step
                return await self._outcome(step, find_outcome(step))
            queued_at = await self._wait_to_retry(step, outcome, started, now)
            retries = {"sdk-retry-count": str(exchange.attempts)}
            request = replace(request, headers=retries)

    async def _ask_key_in_time(self, pace: Pace) -> bool:
        """Ask for the key; return False if a hold began meanwhile: the call must queue again."""
        held_until = pace.held_until
        await self.ask_key()
        return pace.held_until == held_until

    async def _wait_to_retry(
        self, step: Retry, outcome: Outcome, started: float, ended: float
    ) -> float:
        """Wait after an attempt until the next may join the queue, and return the time of that."""
        message = "attempt %d failed, the next in %.2f s: %s"
        args = self.exchange.attempts, step.delay, _in_log(step.failure)
        self._log(logging.INFO, ended - started, outcome, message, *args)
        if isinstance(step.failure, errors.RateLimitError):
            return ended  # It waits in the queue, as all do under a rate limit.
        await self.event().wait(step.delay)
        return self.now()

    async def ask_key(self) -> bool:
        """Send the key that there is now from here on; return whether it is another one."""
        driver, whole = self.driver, cast("DrivenCall[object]", self.whole or self)
        # Of the parts with the key of the whole, one asks, and the others send what it got.
        if whole.driver is not driver:
            whole = self
        self.is_asking_key: bool = True
        async with whole.one_asks:
            if whole.keys == self.keys:
                whole.is_asking_key = True
                key = await driver.transport.ask_key(driver.key_source, self)
                whole.keys += () if whole is self else (key,)
            else:
                key = whole.keys[-1]
        whole.is_asking_key = self.is_asking_key = False
        self.lookup: _L_co = driver.lookup_of(key)
        return self.use_key(key)

    async def _ask_other_key(self, step: AskKey) -> Retry | FindOutcome:
        """Send another key from now on, after one was refused, or return how the call ends."""
        failure = step.failure
        try:
            if await self.ask_key():
                return step
        except errors.RolesError as error:
            failure = error
        return self.conclude(failure)

    async def _wait_in_queue(self, queue: Queue, queued_at: float) -> float:
        """Wait until the request may go, and return the time of that."""
        transport, pace, now = self.driver.transport, queue.pace, queued_at
        waiter = Waiter(self.turn, self.deadline, self.options.retry.max_retry_after or math.inf)
        queue.join(waiter)
        event: Event | None = None
        try:
            while seconds := queue.ask(waiter, now):
                event = transport.event(self)
                waiter.wake = event.set
                # Clocks may tick late.
                earliest = now if await event.wait(seconds) else now + seconds
                now = max(earliest, transport.now())
                waiter.deadline = self.deadline  # A transport that moves its clock moves it, too.
        except BaseException:
            # The time of the call may be over, and not for lack of a slot.
            if pace.limited and self.driver.slots.free:
                self.rate_limited_for: float | None = pace.wait(transport.now())
            queue.leave(waiter)
            raise
        if seconds is None:
            if pace.limited:
                self.rate_limited_for = pace.wait(now)
            queue.leave(waiter)
            if event is None:
                # A caller that tries again in a loop must let other tasks run.
                await self.event().wait(0.0)
            raise self.not_sent_in_time()
        if now > queued_at and logger.isEnabledFor(logging.DEBUG):
            message, waited = "%s waited %.3f s in the queue", now - queued_at
            self._log(logging.DEBUG, waited, None, message, str(self.exchange.request), waited)
        return now

    async def _outcome(self, step: FindOutcome, found: Awaitable[_T | UnsetType]) -> _T:
        """Return the result of a change that the account shows, or raise the error of the call."""
        try:
            result = await found
        except errors.RolesError as error:
            if error is not step.failure:
                raise self.outcome_unknown(step.failure, error) from error
            if self.may_be_elsewhere:
                raise self.outcome_unknown(error) from error
            self.note_not_made(step)
            raise
        # What was deleted is not in another account, either.
        if isinstance(result, UnsetType) or (result is None and self.may_be_elsewhere):
            raise self.outcome_unknown(step.failure)
        return result

    def _note_pace(self, queue: Queue, response: Response, now: float) -> None:
        """Show the queue whether the service granted or refused a request."""
        pace, was_limited = queue.pace, queue.pace.limited
        # The pace counts from when a request was sent: it may have waited for a connection before.
        if response.status != _TOO_MANY:
            pace.note_granted(self.sent_at)
            return
        queue.hold(self.sent_at, now, retry_after(response.headers) or 0.0)
        self.note_refusal(now - pace.refused_since)
        if not was_limited:
            wait = pace.wait(now)
            message = (
                "the service limits the rate: requests wait %.3g s, "
                "then go at the rate that it grants"
            )
            self._log(logging.DEBUG, wait, None, message, wait)

    def _log_attempt(self, outcome: Outcome, seconds: float) -> None:
        shown = outcome.status if isinstance(outcome, Response) else _in_log(outcome)
        args = shown, self.exchange.attempts, seconds * 1000.0
        self._log(logging.DEBUG, seconds, outcome, "%s on attempt %d after %.1f ms", *args)

    def _log(
        self, level: int, seconds: float, outcome: Outcome | None, message: str, *args: object
    ) -> None:
        """Write a record of the log, perhaps about an attempt, with fields that JSON loggers write.

        Applications add fields of their own, such as `request_id`; `logging` allows a name once.
        """
        # What the application made of the log must not end a call, whose change may have been made.
        with suppress(Exception):
            fields: dict[str, object] = {
                "arize_host": self.driver.transport.host,
                "arize_client": self.options.name,
                "arize_operation": self.operation,
                "arize_method": self.exchange.request.method,
                "arize_path": self.exchange.request.path,
                "arize_seconds": seconds,
            }
            if outcome is not None:
                if isinstance(outcome, Response):
                    request_id = outcome.header("X-Request-Id")
                else:
                    request_id = outcome.request_id
                # As text: the query of a request, which a record would keep, may have an address.
                args = str(self.exchange.request), *args, request_id
                message = f"%s: {message} (request id %s)"
                fields["arize_attempt"] = self.exchange.attempts
                fields["arize_status"] = getattr(outcome, "status", None)
                fields["arize_request_id"] = request_id
            logger.log(level, message, *args, extra=fields)


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
        new_driver = partial(Driver[_L_co], transport, self.slots, new_lookup)
        self.driver: Callable[[KeySource], Driver[_L_co]]
        self.driver = lru_cache(_MAX_DRIVERS)(new_driver)
        """Returns the driver of the calls that send a key."""

    def driver_now(self, own: "Driver[Any]") -> "Driver[_L_co]":
        """Return the driver of a call that begins now, given that of its client."""
        return own

    async def aclose(self, grace: float) -> None:
        await self.transport.aclose(grace)


class Driver(Generic[_L_co]):
    """What the calls of a client and of its copies that send one API key share.

    These are the requests that wait, the pace under a rate limit, and the names that were learned.
    """

    def __init__(
        self, transport: Transport, slots: Slots, new_lookup: Callable[[], _L_co], source: KeySource
    ) -> None:
        self.transport: Transport = transport
        self.slots: Slots = slots
        self.queue: Queue = Queue(slots, Pace())
        self.key_source: KeySource = source
        self._key = source.fixed[0] if source.fixed else None
        """The key that was sent last, to which the names belong."""
        self._new_lookup = new_lookup
        self.lookup: _L_co = new_lookup()

    def check_state(self) -> None:
        if self.transport.check_state():
            self.slots.reset()
        if self.queue.queues is not self.slots.queues:
            self.queue = Queue(self.slots, self.queue.pace)
            self.lookup = self._new_lookup()

    def lookup_of(self, key: Secret[str]) -> _L_co:
        """Return what finds items by their names, for calls that send a key now."""
        if self._key is None or key.reveal() != self._key.reveal():
            # It may be of another account, so it shares no walk and knows no name.
            self.lookup = self._new_lookup()
            self._key = key
        return self.lookup


def _in_log(failure: errors.RolesError) -> str:
    """Return what a record says of a failure, which may quote more of an answer than a log may."""
    words = [type(failure).__name__]
    if isinstance(failure, errors.StatusError | errors.InvalidResponseError):
        words.append(str(failure.status))
    if isinstance(failure, errors.StatusError) and failure.problem is not None:
        words.append(one_line(failure.problem.title or "", _MAX_TITLE))
    return " ".join(words)
