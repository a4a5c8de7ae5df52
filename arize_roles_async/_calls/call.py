"""The attempts of one call and their outcomes: a state machine without I/O.

A driver sends, sleeps and logs. It passes each attempt and its outcome to the machine, which
returns what comes next: the result, another attempt after a wait, a check of the account for the
change, or the error that ends the call.

A change *may have been applied* if the service may have made it in an attempt whose answer does not
say so. A 503 of the service itself means that nothing was done, and a call may end with it. A
service may be wrong about that, so after a later refusal the account is read, too.
"""

import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import IntEnum, auto
from typing import Final, TypeAlias, TypeVar, cast

import msgspec

from arize_roles_async._values import errors
from arize_roles_async._values.options import LONGEST_WAIT, Options, RetryPolicy
from arize_roles_async._values.text import append
from arize_roles_async._wire.problems import invalid_response, status_error
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import SUCCESS, Response
from arize_roles_async._wire.retry_after import http_date
from arize_roles_async._wire.secrets import Secret

_T = TypeVar("_T")
CallT = TypeVar("CallT", bound="Call")

Outcome: TypeAlias = Response | errors.RolesError
"""Of an attempt."""

TimeLimit: TypeAlias = AbstractContextManager[CallT, None]
"""The block of a call, which it has: it raises `Call.interrupted()` when the call's time is up."""


class _Doubt(IntEnum):
    """The possibility that the attempts so far have made the change; it only grows."""

    NONE = auto()
    UNAVAILABLE = auto()
    """The service said that it did nothing."""
    MAYBE_APPLIED = auto()
    ELSEWHERE = auto()
    """Perhaps applied in another account, since another key is sent now: what an answer does not
    show may be there."""


# The statuses of an answer with a result; for a change, those that the reference documents, and 200
# for a create.
_DOCUMENTED: Final = {"GET": SUCCESS, "POST": {200, 201}, "PATCH": {200}, "DELETE": {204}}
_RETRIED: Final = frozenset({429, 502, 503, 504})
_RETRIED_READS: Final = _RETRIED | {500}
_NOT_DONE: Final = {429, 503}
"""The statuses with which the service says that it did nothing."""
_CHECKED: Final = (errors.StatusError, errors.RolesConnectionError, errors.RolesTimeoutError)
"""The failures after which the account can be read; another request would fail like the last one
after any other."""

_DATE_ERROR: Final = 0.5
"""Seconds that the clocks behind a `Date` and a `created_at` may differ."""
_CLOCK_ERROR: Final = 300.0
"""Seconds that this machine's clock and the service's may differ."""

_REFUSED_TOO_LONG: Final = 300.0
"""Seconds without a grant after which a 429 counts as a failed attempt."""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of the API, and what its answers mean."""

    path: str
    """The path of the collection; that of an item has the item's ID after it."""
    operations: tuple[str, ...]
    """Their names, such as `role_bindings.list`: only those that the resource has."""
    id_argument: str
    """The argument of a method that takes an item's ID."""
    verdicts: dict[tuple[str, int], bool] = {}
    """The refusals by the service itself, as operation and status, that show whether a change in
    doubt was made. After any other, the account is read."""
    hint: Callable[[Request, int], str] = lambda _, __: ""
    """Returns the next step after a refusal with a status, for the end of its message."""


class Retry(msgspec.Struct, frozen=True):
    """Send the request again after `delay` seconds."""

    failure: errors.RolesError
    delay: float


class AskKey(Retry, frozen=True):
    """Send the request with another key, if there is one: the service refused this one."""


class FindOutcome(msgspec.Struct, frozen=True):
    """Read the account again to find out whether the change was made.

    If the account shows that it was not made, `failure` ends the call.
    """

    failure: errors.RolesError
    all_refused: bool = False
    """No attempt can still make the change: the service has said of each that it did nothing."""


# `gc=False`, as `Request`: what it keeps was not raised, and refers to no call.
class Exchange(msgspec.Struct, eq=False, gc=False):
    """One request of a call, and what is known of its attempts."""

    request: Request = Request(method="", target="")
    is_change: bool = False
    attempts: int = 0
    """Those that were started."""
    uncounted: int = 0
    """Those that do not count for the retry policy."""
    last_429: errors.RateLimitError | None = None
    in_flight: bool = False
    """It may have reached the service."""


class Call(msgspec.Struct, eq=False):
    """One call of a client's method. Times are seconds on the driver's clock."""

    collection: Collection
    operation: str
    options: Options
    sent_at: float
    """The time of the last attempt; before the first one, that of the call."""
    turn: int = 0
    """Its turn in the queue, by when it began and whether it goes after all others."""
    keys: tuple[Secret[str], ...] = ()
    """The API keys that it has got, the one in use last; empty if it asks for one later."""
    deadline: float = math.inf
    whole: "Call | None" = None
    """The call that it is a part of: they share the key, the time and the number of attempts."""
    time_limit: "TimeLimit[Call] | None" = None
    """The block that the call runs in, which its transport makes."""
    exchange: Exchange = msgspec.field(default_factory=Exchange)
    """That under way."""
    attempts: int = 0
    """Attempts that were started, over every exchange."""
    lacked_time: bool = False
    """It failed for lack of time; a call with more time might have gone on."""
    is_asking_key: bool = False
    """It waits for the function that returns the key."""
    rate_limited_for: float | None = None
    """Seconds for which the rate limit holds the request back."""
    _doubt: _Doubt = _Doubt.NONE
    _first_sent: float | None = None
    _service_first_sent: float = -math.inf
    """When the first attempt was sent on the service's clock, by the `Date` of the answers."""

    @property
    def maybe_applied(self) -> bool:
        """The service may have made the change without an answer that says so."""
        return self._doubt >= _Doubt.MAYBE_APPLIED

    @property
    def may_be_elsewhere(self) -> bool:
        """The service may have made the change in the account of an earlier key."""
        return self._doubt is _Doubt.ELSEWHERE

    def next_operation(self, operation: str) -> None:
        """Go on with another operation, since the outcome of the one before is known."""
        self.operation = operation
        self._first_sent = None

    def note_not_made(self, step: FindOutcome) -> None:
        """Note that the account shows no change: none is made, if no attempt can still make it."""
        if step.all_refused:
            self._doubt = _Doubt.NONE

    def note_made(self) -> None:
        """Note that the change was made, but that the account does not show it."""
        self._doubt = max(self._doubt, _Doubt.MAYBE_APPLIED)

    def use_key(self, key: Secret[str]) -> bool:
        """Send a key from now on, and return whether it is another one than before."""
        is_other = not self.keys or self.keys[-1].reveal() != key.reveal()
        self.keys += (key,)
        if is_other and self._doubt > _Doubt.NONE:
            self._doubt = _Doubt.ELSEWHERE
        return is_other

    def start_attempt(self) -> None:
        """Count an attempt; nothing of it was sent yet."""
        self.attempts += 1
        self.exchange.attempts += 1
        if self.whole is not None:
            self.whole.attempts += 1

    def mark_sent(self, now: float) -> None:
        """Note that the request under way may reach the service from now on.

        Where something else sends it a second time within an attempt, nobody knows what the first
        time did.
        """
        exchange = self.exchange
        if exchange.in_flight and exchange.is_change:
            self.note_made()
        exchange.in_flight = True
        self.sent_at = now
        if self._first_sent is None and exchange.request.method in {"POST", "PATCH"}:
            self._first_sent = now

    def note_refusal(self, refused_for: float) -> None:
        """Note that the attempt was answered with 429, after so many seconds without a grant.

        For the first five minutes, a 429 only delays the request and does not count as an attempt
        of the retry policy.
        """
        self.exchange.uncounted += refused_for < _REFUSED_TOO_LONG

    def receive(
        self, outcome: Outcome, decode: Callable[[Request, Response], _T], now: float
    ) -> _T | Retry | FindOutcome:
        """Take the outcome of an attempt, and return the result or the next step.

        `decode` makes the result of a documented answer, or raises `InvalidResponseError`. Raises
        the error that ends the call.
        """
        if isinstance(outcome, errors.RolesError):
            return self.fail(outcome, now)
        request, status = self.exchange.request, outcome.status
        if status not in SUCCESS:
            failure = status_error(request, outcome, self.collection.hint(request, status))
            if failure.from_service:
                self._note_time(outcome, now)
            return cast("_T", self._receive_refusal(failure, now))
        if status not in _DOCUMENTED[request.method]:
            why = "it is not a documented answer to a change"
            return self.fail(invalid_response(request, outcome, why), now)
        try:
            result = decode(request, outcome)
        except errors.InvalidResponseError as error:
            return self.fail(error, now)
        if not self.exchange.is_change:
            self._note_time(outcome, now)
        return result

    def _note_time(self, response: Response, now: float) -> None:
        """Note the service's clock by its own answer: a gateway's may be wrong."""
        if self._first_sent is not None:
            # A reading can be too early but never too late, so the latest is the most exact. The
            # text, which may echo a key, is not kept.
            moment = http_date(response.headers.get("Date", "")) or -math.inf
            first_sent = moment - (now - self._first_sent)
            self._service_first_sent = max(self._service_first_sent, first_sent)

    def _receive_refusal(
        self, failure: errors.StatusError, now: float
    ) -> Retry | FindOutcome | None:
        """Take a refusal; None is the result of a deletion that an earlier attempt made."""
        if isinstance(failure, errors.AuthenticationError) and len(self.keys) == 1:
            self.exchange.in_flight = False
            # The key failed, and not the request.
            self.exchange.uncounted += 1
            return AskKey(failure, 0.0)
        if self.exchange.is_change and self._doubt > _Doubt.NONE and failure.from_service:
            is_made = self.collection.verdicts.get((self.operation, failure.status))
            if is_made is False and not self.may_be_elsewhere:
                raise failure
            if is_made and self.maybe_applied and not self.may_be_elsewhere:
                return None
            if is_made is not None:
                # After a 503 alone, somebody else may have deleted the item.
                raise self.outcome_unknown(failure)
        return self.fail(failure, now)

    def fail(self, failure: errors.RolesError, now: float) -> Retry | FindOutcome:
        """Take the error that an attempt ended in; return the next step, or raise as `receive`."""
        exchange, is_change = self.exchange, self.exchange.is_change
        if is_change:
            self._doubt = max(self._doubt, _doubt_after(failure, in_flight=exchange.in_flight))
        exchange.in_flight = False
        if isinstance(failure, errors.RolesTimeoutError):
            failure.attempts = self.attempts
        if is_change and isinstance(failure, errors.InvalidResponseError):
            return FindOutcome(failure)
        counted = max(1, exchange.attempts - exchange.uncounted)
        delay = retry_delay(self.options.retry, failure, attempt=counted, change=is_change)
        # If the delay exceeds the deadline, raise this error now; a timeout would say less.
        if delay is not None and now + delay < self.deadline:
            if isinstance(failure, errors.RateLimitError):
                # Kept only here, where it is not raised: an error that was raised keeps this call
                # by its frames, and only the garbage collector would free the two.
                exchange.last_429 = failure
            return Retry(failure, delay)
        if delay is not None and isinstance(failure, errors.RateLimitError):
            append(failure, f" (times sent: {exchange.attempts})")
        self.lacked_time = delay is not None
        return self.conclude(failure)

    def conclude(self, failure: errors.RolesError) -> FindOutcome:
        """Take the failure after which there is no other attempt; return how to check the change.

        If it needs no check, or none would help, this raises the error that ends the call.
        """
        if self.exchange.is_change and isinstance(failure, _CHECKED) and self._doubt > _Doubt.NONE:
            all_refused = not self.maybe_applied
            is_refused = isinstance(failure, errors.StatusError) and failure.status in _NOT_DONE
            if not (all_refused and is_refused):
                # The call may run out of time before the account has shown it.
                self.note_made()
                return FindOutcome(failure, all_refused=all_refused)
        raise self.end(failure)

    def outcome_unknown(
        self, failure: errors.RolesError, check_failure: errors.RolesError | None = None
    ) -> errors.OutcomeUnknownError:
        """Return the error of a change that may have been made, and of a failed check of that.

        Its cause is the error of the check, or else the failure.
        """
        what = "is unknown; the change may have been made"
        message = f"the outcome of {self.operation} {what}: {failure}"
        if check_failure is not None:
            message += f"; checking whether it was made failed: {check_failure}"
        error = errors.OutcomeUnknownError(
            message, operation=self.operation, attempts=self.attempts, request_id=failure.request_id
        )
        error.__cause__ = check_failure or failure
        return error

    def interrupted(self, *, is_closed: bool = False) -> errors.RolesError:
        """Return the error of a call whose client is closed, or else whose time is up."""
        failure = errors.ClientStateError("the client is closed") if is_closed else self._lateness()
        if self.maybe_applied or (self.exchange.is_change and self.exchange.in_flight):
            return self.outcome_unknown(failure)
        return failure

    def not_sent_in_time(self) -> errors.RolesError:
        """Return the error of a call whose time would be up before its request may be sent."""
        self.lacked_time = True
        return self.end(self._lateness())

    def end(self, failure: errors.RolesError) -> errors.RolesError:
        """Return the error of a call that ends in a failure between two attempts."""
        is_unknown = self.exchange.is_change and self.maybe_applied
        return self.outcome_unknown(failure) if is_unknown else failure

    def _lateness(self) -> errors.RolesError:
        total = self.options.timeouts.total or 0.0
        if self.rate_limited_for is None:
            what = "the function given as api_key" if self.is_asking_key else self.operation
            return errors.RolesTimeoutError(
                f"{what} took too long",
                seconds=total,
                attempts=self.attempts,
                sent=self.exchange.in_flight,
            )
        request, last = self.exchange.request, self.exchange.last_429
        limit, most = "RetryPolicy.max_retry_after", self.options.retry.max_retry_after
        if most is None or most >= self.rate_limited_for:
            limit, most = "Timeouts.total", total
        error = errors.RateLimitError(
            f"{request} cannot be sent in time: the rate limit lets no request out of the queue "
            f"for another {self.rate_limited_for:.3g} s, and {limit} is {most:g} s "
            f"(times sent: {self.exchange.attempts})",
            problem=None if last is None else last.problem,
            from_service=last is not None and last.from_service,
            method=request.method,
            path=request.path,
            request_id=None if last is None else last.request_id,
            retry_after=self.rate_limited_for,
        )
        error.__cause__ = last
        return error

    def created_since(self, now: float, wall_clock: float) -> float:
        """Return the earliest `created_at` of what this call can have made.

        What it can have changed has no earlier `updated_at`. The time is by the service's clock if
        an answer had a `Date`, else by this machine's `wall_clock`, which is assumed to be less
        than five minutes off. Both count from the epoch.
        """
        if self._service_first_sent > -math.inf:
            return self._service_first_sent - _DATE_ERROR
        first_sent = now if self._first_sent is None else self._first_sent
        return wall_clock - (now - first_sent) - _CLOCK_ERROR


def _doubt_after(failure: errors.RolesError, *, in_flight: bool) -> _Doubt:
    """Return the doubt about a change that an attempt with this failure leaves.

    A gateway's 5xx may mean that its connection broke after the service had the request.
    """
    match failure:
        case errors.ServerError(from_service=True, status=503):
            return _Doubt.UNAVAILABLE
        case errors.ServerError() | errors.InvalidResponseError():
            return _Doubt.MAYBE_APPLIED
        case errors.RolesConnectionError(sent=True) | errors.RolesTimeoutError(sent=True):
            return _Doubt.MAYBE_APPLIED
        case errors.ConfigurationError() | errors.ClientStateError() if in_flight:
            # A middleware of a lent session may have failed when it read the answer, or kept it.
            return _Doubt.MAYBE_APPLIED
        case _:
            return _Doubt.NONE


def retry_delay(
    retry: RetryPolicy, failure: errors.RolesError, *, attempt: int, change: bool
) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there must be none.

    Attempts are counted from 1. A 500 ends a call that makes a change.
    """
    if attempt >= retry.attempts or not _may_be_retried(failure, change=change):
        return None
    if isinstance(failure, errors.StatusError) and failure.retry_after is not None:
        is_too_long = failure.retry_after > (retry.max_retry_after or math.inf)
        return None if is_too_long else min(failure.retry_after, LONGEST_WAIT)
    ceiling = min(retry.max_backoff, retry.backoff * 2.0 ** min(attempt - 1, 60))
    return random.uniform(0.0, ceiling)  # noqa: S311 - jitter, no secret


def _may_be_retried(failure: errors.RolesError, *, change: bool) -> bool:
    if isinstance(failure, errors.StatusError):
        return failure.status in (_RETRIED if change else _RETRIED_READS)
    if isinstance(failure, errors.RolesConnectionError):
        return not (failure.certificate or failure.credentials)
    return isinstance(failure, errors.RolesTimeoutError)
