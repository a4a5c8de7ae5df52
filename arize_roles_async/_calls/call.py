"""What the attempts of one call have shown: a state machine without I/O.

A driver sends, sleeps and logs. It tells the machine about each attempt and its outcome, and the
machine says what comes next: the result, another attempt after a wait, a check of the account for
the change, or the error that the call ends in. What an answer tells of the attempts before it is in
this file; which failures are tried again, and after how long, `RetryPolicy` says.

The words: an attempt *leaves a change open* if the service may have made the change without an
answer that says so. A call is *unsettled* from its first such attempt on. A 503 in the service's
own words leaves nothing open, and a call that ends in it says that nothing happened. Services have
been wrong about that, so a refusal after a 503 is read as after an attempt that left a change open.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast

import msgspec

from arize_roles_async._values.errors import (
    ClientStateError,
    InvalidResponseError,
    OutcomeUnknownError,
    RateLimitError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
)
from arize_roles_async._values.options import RetryPolicy, Timeouts
from arize_roles_async._values.text import extended
from arize_roles_async._wire.problems import invalid_response, status_error
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.retry_after import http_date

if TYPE_CHECKING:
    from arize_roles_async._wire.redaction import Secret

_T = TypeVar("_T")

Read = Literal["list", "get"]
Change = Literal["create", "update", "delete"]
Operation = Literal[Read, Change]


class _Tells(Enum):
    """What a refusal tells about the attempts before it that left the change open."""

    MADE = auto()
    NOT_MADE = auto()
    LOOK = auto()
    """It does not tell; the account shows whether the change was made."""
    UNKNOWN = auto()
    """It does not tell, and neither does the account."""


# Refusals in the service's own words. Any other refusal, and any in other words, tells nothing.
REFUSALS: Final[dict[Operation, dict[int, _Tells]]] = {
    # The name may be taken, or the plan full, by the role that an earlier attempt made.
    "create": {403: _Tells.LOOK, 409: _Tells.LOOK},
    # The role may have been deleted after an earlier attempt changed it. The name may be taken
    # because an earlier attempt gave it to this role.
    "update": {404: _Tells.UNKNOWN, 409: _Tells.LOOK},
    # A role that cannot be deleted, such as one that users hold, is there.
    "delete": {404: _Tells.MADE, 409: _Tells.NOT_MADE},
}
# The statuses that the reference documents for a change that was made, and 200 for a create.
MADE: Final[dict[Operation, set[int]]] = {"create": {200, 201}, "update": {200}, "delete": {204}}
_SUCCESS: Final = range(200, 300)
_UNAUTHORIZED: Final = 401
_UNAVAILABLE: Final = 503

_DATE_ERROR: Final = 0.5
"""Seconds that the clocks behind a `Date` and a `created_at` may differ."""
_CLOCK_ERROR: Final = 300.0
"""Seconds that this machine's clock and the service's may differ."""

_REFUSED_TOO_LONG: Final = 300.0
"""Seconds without a grant after which a 429 counts as a failed attempt."""


class Retry(msgspec.Struct, frozen=True):
    """The request is to be sent again after `delay` seconds."""

    delay: float
    failure: RolesError


class AskKey(msgspec.Struct, frozen=True):
    """The service refused the key; if there is another one, the request is to be sent with that."""

    failure: StatusError


class Verify(msgspec.Struct, frozen=True):
    """Read the account again to find out whether the change was made."""

    failure: RolesError


class TimeLimit(ABC):
    """The block that a call runs in, which ends when the call's time is up."""

    __slots__ = ()

    @abstractmethod
    def __enter__(self) -> "Call":
        """Start the clock, and return the call."""

    @abstractmethod
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Raise `Call.out_of_time()` if the time was up."""


class Call:
    """One call of a client's method.

    Args:
        operation: Which method.
        timeouts: Its limits.
        retry: How often a request is tried.
        now: Seconds on the driver's clock, as everywhere here.
    """

    __slots__ = (
        "_attempt",
        "_created_since",
        "_first_sent",
        "_forgiven",
        "_in_flight",
        "_is_change",
        "_was_unavailable",
        "attempts",
        "deadline",
        "held_back",
        "is_late",
        "keys",
        "name",
        "operation",
        "place",
        "retry",
        "seen",
        "time_limit",
        "timeouts",
        "unsettled",
    )

    def __init__(
        self, operation: Operation, timeouts: Timeouts, retry: RetryPolicy, now: float
    ) -> None:
        self.operation: Operation = operation
        self.timeouts: Timeouts = timeouts
        self.retry: RetryPolicy = retry
        self.deadline: float = math.inf if timeouts.total is None else now + timeouts.total
        self.time_limit: TimeLimit
        """The block that the call runs in, for a transport whose blocks set it as they begin."""
        self.attempts: int = 0
        """Attempts that were started, over every request of the call."""
        self.unsettled: bool = False
        """Whether the service may have made the change without an answer that says so."""
        self.seen: float = now
        """The latest time that the machine was told."""
        self.keys: tuple[Secret[str], ...] = ()
        """The API keys that it has sent, the one in use last; set by the driver."""
        self.place: int = 0
        """Its place in the queue, by when it began and whether it goes after all others; set by the
        driver."""
        self.name: str | None = None
        """The name by which it looks for a role; set by the client."""
        self.held_back: tuple[Request, float] | None = None
        """The request that a rate limit holds back, and for how many seconds; set by the driver."""
        self.is_late: bool = False
        """Whether it failed because it would end too late; another call might have gone on."""
        self._attempt: int
        self._forgiven: int
        self._is_change = False
        self._in_flight = False
        self._was_unavailable = False
        self._first_sent: float | None = None
        self._created_since: float | None = None

    def begin(self, request: Request) -> None:
        """Begin the attempts of a request."""
        self._attempt = self._forgiven = 0
        self._in_flight = False
        self._is_change = request.method != "GET"

    def start_attempt(self) -> None:
        """Count an attempt; nothing of it was sent yet."""
        self.attempts += 1
        self._attempt += 1

    def note_refusal(self, refused_for: float) -> None:
        """Note that the attempt under way was answered with 429.

        Args:
            refused_for: For how many seconds the service has granted the client nothing. Until
                they are many, the 429 only decided whose turn it was, and does not count as an
                attempt of the retry policy.
        """
        self._forgiven += refused_for < _REFUSED_TOO_LONG

    def mark_sent(self, now: float) -> None:
        """Note that from here on the request under way may reach the service."""
        self._in_flight = True
        self.seen = now
        if self._is_change and self._first_sent is None:
            self._first_sent = now

    @property
    def attempt(self) -> int:
        """Which attempt of its request is under way, from 1."""
        return self._attempt

    @property
    def in_flight(self) -> bool:
        """Whether the request under way may have reached the service."""
        return self._in_flight

    def is_read_result(self, response: Response) -> bool:
        """Tell whether an answer is just the result of a read, which is the usual path."""
        return response.status in _SUCCESS and not self._is_change and not self.unsettled

    def receive(
        self,
        request: Request,
        response: Response,
        decode: Callable[[Request, Response], _T],
        now: float,
    ) -> _T | Retry | Verify | AskKey:
        """Take the answer to an attempt.

        Args:
            request: What was sent.
            response: The answer.
            decode: Makes the result of a documented answer, or raises `InvalidResponseError`.
            now: When the answer was there.

        Returns:
            The result, or what to do next.

        Raises:
            RolesError: The error that ends the call.
        """
        self.seen = now
        if response.status in _SUCCESS and not self._is_change:
            self._note_date(response, now)
            return decode(request, response)
        return self._receive_change(request, response, decode, now)

    def _receive_change(
        self,
        request: Request,
        response: Response,
        decode: Callable[[Request, Response], _T],
        now: float,
    ) -> _T | Retry | Verify | AskKey:
        if self._is_change:
            self._note_date(response, now)
        if response.status not in _SUCCESS:
            failure = status_error(request, response)
            is_refused = failure.status == _UNAUTHORIZED and failure.from_service
            if is_refused and len(self.keys) == 1:
                self._in_flight = False
                # It was the key's failure, and not the request's.
                self._forgiven += 1
                return AskKey(failure)
            tells = self._tells(failure)
            if tells is _Tells.MADE:
                return cast("_T", None)  # what a deletion results in
            if tells is _Tells.NOT_MADE:
                raise failure
            if tells is _Tells.UNKNOWN:
                raise self.outcome_unknown(failure) from failure
            return Verify(failure) if tells is _Tells.LOOK else self.fail(failure, now)
        try:
            if response.status in MADE[self.operation]:
                return decode(request, response)
            odd = invalid_response(request, response, "it is not a documented answer to a change")
        except InvalidResponseError as error:
            odd = error
        return self.fail(odd, now)

    def fail(self, failure: RolesError, now: float) -> Retry | Verify:
        """Take the error that an attempt ended in.

        Returns:
            What to do next.

        Raises:
            RolesError: The error that ends the call.
        """
        self._in_flight = False
        if self._is_change:
            self.unsettled |= _leaves_open(failure)
            self._was_unavailable |= _is_unavailable(failure)
        if isinstance(failure, RolesTimeoutError):
            failure.attempts = self.attempts
        if self._is_change and isinstance(failure, InvalidResponseError):
            return Verify(failure)
        counted = max(1, self._attempt - self._forgiven)
        delay = self.retry.delay(failure, attempt=counted, change=self._is_change)
        # If the delay exceeds the deadline, raise this error now; a timeout would say less.
        if delay is not None and now + delay < self.deadline:
            return Retry(delay, failure)
        self.is_late = delay is not None
        if self.is_late and isinstance(failure, RateLimitError):
            failure.args = (extended(str(failure), f" (times sent: {self._attempt})"),)
        if self._is_change and self.unsettled:
            raise self.outcome_unknown(failure) from failure
        raise failure

    def _tells(self, failure: StatusError) -> _Tells | None:
        may_be_made = self.unsettled or self._was_unavailable
        if not (self._is_change and may_be_made and failure.from_service):
            return None
        tells = REFUSALS[self.operation].get(failure.status)
        if tells is _Tells.MADE and not (self.unsettled or self.name is not None):
            # After a 503 alone, there may never have been a role with this ID. By a name, the call
            # has found it.
            return _Tells.UNKNOWN
        return tells

    def outcome_unknown(
        self, failure: RolesError, look_failure: RolesError | None = None
    ) -> OutcomeUnknownError:
        """Return the error of a call that stays unsettled.

        Args:
            failure: What the last attempt ended in.
            look_failure: What a look at the account ended in, if that failed.
        """
        message = (
            f"the outcome of {self.operation} is not known; the change may have been made: "
            f"{failure}"
        )
        if look_failure is not None:
            message += f"; then looking for it failed: {look_failure}"
        return OutcomeUnknownError(
            message,
            operation=self.operation,
            attempts=self.attempts,
            request_id=failure.request_id,
        )

    def out_of_time(self) -> RolesError:
        """Return the error of a call whose time is up."""
        return self._interrupted(self._lateness())

    def client_closed(self) -> RolesError:
        """Return the error of a call that is under way when its client is closed."""
        return self._interrupted(ClientStateError("the client is closed"))

    def _interrupted(self, failure: RolesError) -> RolesError:
        if self.unsettled or (self._is_change and self._in_flight):
            return self._unknown_after(failure)
        return failure

    def miss_turn(self) -> RolesError:
        """Return the error of a call whose time would be up before its request may be sent."""
        self.is_late = True
        failure = self._lateness()
        return self._unknown_after(failure) if self._is_change and self.unsettled else failure

    def _lateness(self) -> RolesError:
        if self.held_back is None:
            return RolesTimeoutError(
                f"{self.operation} took too long",
                seconds=self.timeouts.total or 0.0,
                attempts=self.attempts,
                sent=self._in_flight,
            )
        request, seconds = self.held_back
        return RateLimitError(
            f"{request} cannot be sent in time, as the service limits the rate "
            f"(retry after {seconds:.3g} s) (times sent: {self._attempt})",
            status=429,
            method=request.method,
            path=request.path,
            retry_after=seconds,
        )

    def _unknown_after(self, failure: RolesError) -> RolesError:
        error = self.outcome_unknown(failure)
        error.__cause__ = failure
        return error

    # When the service can have made a role for this call.

    def _note_date(self, response: Response, now: float) -> None:
        """Take from an answer what the service's clock showed at the first attempt."""
        if self._first_sent is None:
            return
        date = response.headers.get("Date")
        moment = None if date is None else http_date(date)
        if moment is None:
            return
        since = moment - (now - self._first_sent) - _DATE_ERROR
        # A reading may be too early and is never too late, so the latest is the most exact.
        self._created_since = max(since, self._created_since or since)

    def created_since(self, now: float, wall_clock: float) -> float:
        """Return the earliest `created_at` of a role that this call can have made.

        By the service's own clock, if an answer had a `Date`; else by this machine's, which is
        taken to be less than five minutes off.

        Args:
            now: Seconds on the driver's clock.
            wall_clock: Seconds since the epoch.

        Returns:
            Seconds since the epoch.
        """
        if self._created_since is not None:
            return self._created_since
        first_sent = now if self._first_sent is None else self._first_sent
        return wall_clock - (now - first_sent) - _CLOCK_ERROR


def _leaves_open(failure: RolesError) -> bool:
    """Tell whether an attempt that ended in this failure may have made a change.

    A gateway's 5xx may be about a connection that broke after the service had the request.
    """
    match failure:
        case ServerError():
            return not _is_unavailable(failure)
        case RolesConnectionError() | RolesTimeoutError():
            return failure.sent
        case InvalidResponseError():
            return True
        case _:
            return False


def _is_unavailable(failure: RolesError) -> bool:
    """Tell whether a failure is a 503 in the service's own words."""
    return (
        isinstance(failure, ServerError) and failure.from_service and failure.status == _UNAVAILABLE
    )
