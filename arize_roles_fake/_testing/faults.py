"""Scripted failures, latency and rate limits of an account."""

import hashlib
import math
import random
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, assert_never, cast, get_args

import attrs
import msgspec

from arize_roles_async._roles.requests import is_role_id
from arize_roles_async._values.errors import (
    STATUS_ERRORS,
    AmbiguousNameError,
    ClientStateError,
    ConfigurationError,
    InvalidResponseError,
    MissingExtraError,
    OutcomeUnknownError,
    RoleRenamedError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    ValidationError,
)
from arize_roles_async._values.options import is_count
from arize_roles_async._values.public import public
from arize_roles_async._values.requests import text_flaw
from arize_roles_async._values.text import quoted, type_name
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.operations import METHODS, OPERATIONS, Operation, verb
from arize_roles_fake._service.wire import page_response, problem_response
from arize_roles_fake._testing.subject import Subject

_LISTS: Final = tuple(each for each in OPERATIONS if verb(each) == "list")
_DELETES: Final = tuple(each for each in OPERATIONS if verb(each) == "delete")
CHANGES: Final = tuple(each for each in OPERATIONS if METHODS[verb(each)] != "GET")

Breakage = Literal[
    "lost", "truncated", "malformed", "undecodable", "silent", "refused", "unreachable"
]
"""The ways in which an attempt fails without a status, as `FakeAccount.fail` describes them."""

When = Literal["before", "after"]
"""The moment of a failure: before the account does the work of the call, or after it."""

_MAX_SECONDS: Final = 10**15
"""The limit of a `Retry-After`: longer than any wait, and short enough for Python to print."""
_MAX_FAILED: Final = 1000
"""The limit on the failed calls that are kept for their retries."""
_FAILED_SIZE: Final = 256
"""About the bytes of one of them in memory."""
_WITHOUT_BODY: Final = frozenset({204, 205, 304})
_FRAMING: Final = frozenset(
    {
        *("connection", "content-encoding", "content-length", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers that frame a message: they say how its bytes are to be read."""
_HEADER_NAME: Final = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_VALUE: Final = "[!-~]([ -~]*[!-~])?"
_NEED_A_BODY: Final = frozenset({"truncated", "malformed"})
_NOT_CONNECTED: Final = frozenset({"refused", "unreachable"})
MEMBERS: Final[dict[str, type]] = {
    "instance": str,
    "entitlement": str,
    "limit": int,
    "current_count": int,
    "required_plan": str,
}
"""The further members of a problem document, with their types."""

_FAILURES: Final[dict[type[RolesError], int | Breakage]] = {
    **{error: status for status, error in STATUS_ERRORS.items()},
    ServerError: 503,
    RolesConnectionError: "refused",
    RolesTimeoutError: "unreachable",
    OutcomeUnknownError: "lost",
    InvalidResponseError: "malformed",
}
"""The failure that makes a client raise each error class."""

_NOT_SCRIPTED: Final[dict[type[RolesError], str]] = {
    RolesError: "it is the base of all errors; give one of its subclasses",
    StatusError: "give the status, such as 418",
    ValidationError: "a call raises it if an argument breaks a rule, and sends nothing",
    ConfigurationError: "a client raises it if it is made with wrong arguments",
    ClientStateError: "a client raises it once it is closed",
    AmbiguousNameError: "a look-up raises it if two things have the name; add_space adds a second",
    MissingExtraError: "a conversion raises it if a package is not installed",
    RoleRenamedError: (
        "an update by name raises it if another client renames the role between the call's list "
        "and its update; slow_down leaves time for that"
    ),
}
"""The causes of the error classes that no answer leads to."""


@attrs.frozen
class CallFilter:
    """The calls that a fault, a latency or `FakeAccount.block` applies to."""

    operation: str
    """The operation; `any` is all of them."""
    role: str | None
    """The name or ID of the role; None is every role."""

    def __str__(self) -> str:
        return repr(self.operation) + (f", role={self.role!r}" if self.role is not None else "")

    def check(self) -> None:
        """Raise `ValueError` if no call can match."""
        if flaws := [*self.flaws()]:
            raise ValueError("; ".join(flaws))

    def flaws(self) -> Iterator[str]:
        """Yield each reason why no call can match."""
        if self.operation not in (*OPERATIONS, "any"):
            known = ", ".join(OPERATIONS)
            yield f"operation must be one of {known} and any, not {self.operation!r}"
        if self.role is None:
            return
        flaw = text_flaw(self.role)
        if flaw is not None:
            yield f"role {flaw}"
        elif self.operation in _LISTS:
            yield "a list is about all roles, so role must not be given"
        elif self.operation == "create" and is_role_id(self.role):
            yield "role must be a name for create, as the role has no ID yet"

    def match(self, incoming: "IncomingRequest") -> bool:
        """Return whether a request is part of one of these calls."""
        operations = OPERATIONS if self.operation == "any" else (self.operation,)
        return not incoming.counts_as.isdisjoint(operations) and (
            self.role is None or self.role in incoming.subject.roles
        )


@public("arize_roles_fake")
@attrs.define(kw_only=True, eq=False, repr=False)
class Fault:
    """A failure that was scripted with `FakeAccount.fail`."""

    operation: Operation | Literal["any"]
    argument: int | type[RolesError] | Breakage = attrs.field(alias="failure")
    """The argument `failure` of `FakeAccount.fail`."""
    times: int | None
    after: int
    every_attempt: bool
    retry_after: int | str | None
    when: When
    role: str | None
    detail: str | None
    members: Mapping[str, object]
    page: str | bytes | None
    headers: Mapping[str, str]
    matched: int = attrs.field(default=0, init=False)
    """The number of requests that it could have made fail, counted for `after`."""
    used: int = attrs.field(default=0, init=False)
    """The number of times that it struck, counted for `times`: once a call if `every_attempt`."""
    fired: int = attrs.field(default=0, init=False)
    """The number of requests that it made fail."""

    def __repr__(self) -> str:
        return f"<Fault: {self}>"

    def __str__(self) -> str:
        often = "every time" if self.times is None else _count(self.times, "time")
        text = f"{self.operation} fails with {self.failure}"
        text += f", {often}" if self.page is None else f" and a page, {often}"
        text += ", every attempt" if self.every_attempt else ""
        text += f" after {self.after}" if self.after else ""
        text += f", for the role {self.role!r}" if self.role is not None else ""
        return f"{text}: struck {_count(self.fired, 'request')}"

    def unused(self) -> str | None:
        """Return a line that names the fault, or None once it is no longer pending."""
        if not self.is_pending:
            return None
        if self.operation != "get" or self.fired:
            return str(self)
        return f"{self} (over HTTP, a get by a name is often a list, which faults on list strike)"

    @property
    def failure(self) -> int | Breakage:
        """The status of the answer, or the way in which the attempt fails without one."""
        return _FAILURES[self.argument] if isinstance(self.argument, type) else self.argument

    @property
    def is_pending(self) -> bool:
        """True until it has struck as often as scripted: once if `times` is None."""
        return self.used < (1 if self.times is None else self.times)


@attrs.define(kw_only=True, eq=False)
class CallState:
    """The account's state for one call of a client."""

    operation: str | None = None
    """The method that was called; None over HTTP, where only requests are seen."""
    name: str | None = None
    """The name of the role that the call looks for; None if it has an ID, and over HTTP."""
    requests: int = 0
    """The number of requests so far, without their later attempts."""
    fault: Fault | None = None
    """The fault that strikes every attempt of the request under way, and perhaps those after it."""


@attrs.frozen(kw_only=True)
class IncomingRequest:
    """A request, and everything that a `CallFilter` compares."""

    request: Request
    operation: str
    subject: Subject
    call: CallState
    attempt: int
    """The number of the attempt, from 1."""
    counts_as: set[str]
    """The operations that it counts as."""


class CallRequest(Request, frozen=True, kw_only=True):
    """A request in process, which names the call that it is part of."""

    call: CallState
    any_key: bool = False
    """True if an unknown key counts as the account's first one."""


class Faults:
    """The scripted faults of an account, in the order in which they were scripted."""

    def __init__(self, max_bytes: int) -> None:
        self._faults: list[Fault] = []
        most = min(_MAX_FAILED, max_bytes // _FAILED_SIZE)
        self._failed: deque[tuple[bytes, CallState]] = deque(maxlen=most)
        """The calls over HTTP whose attempt failed, the newest last, each with a digest of it."""

    def add(self, fault: Fault) -> None:
        """Add a fault; those that were added earlier strike first.

        Raises:
            ValueError: The fault contradicts itself or could never strike; the message names every
                reason.
        """
        flaws = [*_wrong_failure(fault)] or [
            *_operation_flaws(fault),
            *_moment_flaws(fault),
            *_problem_flaws(fault),
            *_page_flaws(fault),
            *_header_flaws(fault),
        ]
        if flaws:
            raise ValueError("this fault cannot be scripted: " + "; ".join(flaws))
        self._faults.append(fault)

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that have struck less often than scripted."""
        return tuple(fault for fault in self._faults if fault.is_pending)

    def call_of(self, request: Request, attempt: int) -> CallState:
        """Return the call that a request is part of.

        A request over HTTP does not name its call. A first attempt begins one. A later attempt goes
        on with the call of the newest equal request that failed in the attempt before; it can be
        another client's, if the first attempt of its own call never reached the account.
        """
        if isinstance(request, CallRequest):
            call = request.call
        else:
            before = _digest(request, attempt - 1)
            found = next((each for each in reversed(self._failed) if each[0] == before), None)
            if found is not None:
                self._failed.remove(found)
            call = CallState() if found is None else found[1]
        if attempt == 1:
            call.requests += 1
            # Else the client's look at the account after its last attempt would show the outcome.
            if call.fault is not None and call.fault.argument is not OutcomeUnknownError:
                call.fault = None
        return call

    def note_failure(self, incoming: IncomingRequest) -> None:
        """Note that a request failed, so that `call_of` finds the call of its retry."""
        if isinstance(incoming.request, CallRequest) or not (incoming.call.fault or self._failed):
            return
        attempt = _digest(incoming.request, incoming.attempt)
        if incoming.call.fault or any(attempt == other for other, _ in self._failed):
            self._failed.append((attempt, incoming.call))

    def strike(self, incoming: IncomingRequest) -> Fault | None:
        """Return the fault that makes a request fail, or None."""
        matching = [fault for fault in self._faults if _may_strike(fault, incoming)]
        for fault in matching:
            fault.matched += 1
        call = incoming.call
        if call.fault in self._faults:
            call.fault.fired += 1
            return call.fault
        call.fault = None
        for fault in matching:
            if fault.matched > fault.after and (fault.times is None or fault.used < fault.times):
                fault.used += 1
                fault.fired += 1
                if fault.every_attempt:
                    call.fault = fault
                return fault
        return None


def _may_strike(fault: Fault, incoming: IncomingRequest) -> bool:
    if incoming.operation in _DELETES and fault.failure in _NEED_A_BODY:
        return False
    if fault.every_attempt and incoming.attempt > 1:
        return False
    return CallFilter(fault.operation, fault.role).match(incoming)


def _digest(request: Request, attempt: int) -> bytes:
    body = hashlib.blake2b(request.body or b"", digest_size=16).digest()
    about = f"{request.method} {request.target} {attempt}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(about + body, digest_size=16).digest()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def apply(fault: Fault, answer: Response | None) -> tuple[Response, Breakage | None]:
    """Return an answer as a fault changes it, and the way in which it breaks off.

    There is no answer yet if the fault strikes before the account does the work of the call.
    """
    failure = fault.failure
    if isinstance(failure, int):
        # As the client looks them up.
        headers = {name.title(): value for name, value in fault.headers.items()}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        if fault.page is not None:
            page = fault.page.encode() if isinstance(fault.page, str) else fault.page
            headers = {"Content-Type": "text/html; charset=utf-8", **headers}
            return Response(status=failure, headers=headers, body=page), None
        detail = fault.detail or "scripted by the test"
        return problem_response(failure, detail, headers, fault.members), None
    answer = answer or page_response("roles", (), None)
    match failure:
        case "malformed":
            answer = msgspec.structs.replace(answer, body=b"<html>not JSON</html>")
        case "undecodable":
            # A 204 has no body: a proxy that encodes answers makes it a 200.
            status = 200 if answer.status in _WITHOUT_BODY else answer.status
            headers = {**answer.headers, "Content-Encoding": "gzip"}
            answer = Response(status=status, headers=headers, body=b"no gzip")
        case "lost" | "truncated" | "silent" | "refused" | "unreachable":
            pass
        case _:
            assert_never(failure)
    return answer, failure


# The flaws of a fault


def _wrong_failure(fault: Fault) -> Iterator[str]:
    """Yield the reason why no fault can have this failure, if there is one."""
    failure = fault.argument
    if isinstance(failure, type) and failure in _NOT_SCRIPTED:
        yield f"no answer leads to {failure.__name__}: {_NOT_SCRIPTED[failure]}"
    elif failure not in (*_FAILURES, *get_args(Breakage)) and not _is_status(failure, fault.page):
        yield (
            "failure must be a status of 400 to 599, or of 200 to 599 with page, the class of an "
            f"error that an answer leads to, or one of {', '.join(get_args(Breakage))}, not "
            f"{_name(fault)}"
        )


def _operation_flaws(fault: Fault) -> Iterator[str]:
    operation = fault.operation
    yield from CallFilter(operation, fault.role).flaws()
    if operation in _DELETES and fault.failure in _NEED_A_BODY:
        yield f"the answer to a delete has no body, so it cannot be {_name(fault)}"
    if fault.argument is InvalidResponseError and operation in CHANGES:
        yield (
            f"{operation} never raises it: after an unreadable answer to a change, a client checks "
            "whether the change was made; 'malformed' scripts such an answer"
        )
    if fault.argument is OutcomeUnknownError and operation not in CHANGES:
        yield f"{operation} never raises it: only a change has an unknown outcome"


def _moment_flaws(fault: Fault) -> Iterator[str]:
    if fault.times is not None and not is_count(fault.times, least=1):
        yield f"times must be an integer of 1 or more, not {quoted(fault.times)}"
    if not is_count(fault.after):
        yield f"after must be an integer of 0 or more, not {quoted(fault.after)}"
    if fault.when not in get_args(When):
        yield f"when must be before or after, not {fault.when!r}"
    if fault.when == "after" and fault.failure in _NOT_CONNECTED:
        yield (
            f"{_name(fault)} means that nothing was sent, so when must be before; 'lost' with "
            "when='after' drops the connection after the account did its work"
        )


def _problem_flaws(fault: Fault) -> Iterator[str]:
    members = fault.members
    if fault.failure == 407 and fault.page is None:  # noqa: PLR2004 - as the message says
        yield "407 is the answer of a proxy, for which a client raises RolesConnectionError"
    if fault.detail and (flaw := text_flaw(fault.detail)):
        yield f"detail {flaw}"
    if members and fault.failure != 403:  # noqa: PLR2004 - as the message says
        yield f"only a 403 has plan members, not {_name(fault)}"
    if unknown := sorted(members.keys() - MEMBERS):
        yield f"a problem document has no {', '.join(unknown)}"
    for name, expected in MEMBERS.items():
        if name in members and not _is_member(members[name], expected):
            yield f"{name} must be of type {expected.__name__}"


def _page_flaws(fault: Fault) -> Iterator[str]:
    page = fault.page
    if page is None:
        return
    if not isinstance(fault.argument, int):
        yield f"page needs a status as the failure, not {_name(fault)}"
    if fault.detail is not None or fault.members:
        yield "page is the whole body, so detail and members of a problem must not be given"
    if not isinstance(page, bytes) and page != "" and (flaw := text_flaw(page)):
        yield f"page {flaw}"
    if page and fault.failure in _WITHOUT_BODY:
        yield f"an answer with {fault.failure} has no body, so page must be empty"


def _header_flaws(fault: Fault) -> Iterator[str]:
    seconds = fault.retry_after
    if seconds is not None and fault.failure not in {429, 503}:
        yield f"only a 429 or a 503 has a retry_after, not {_name(fault)}"
    is_date = isinstance(seconds, str) and re.fullmatch(_HEADER_VALUE, seconds)
    if not (seconds is None or is_date or (is_count(seconds) and int(seconds) < _MAX_SECONDS)):
        yield f"retry_after must be 0 or more, or a date as text, not {quoted(seconds)}"
    if fault.headers and not isinstance(fault.failure, int):
        yield f"headers need a status as the failure, not {_name(fault)}"
    if not isinstance(cast("object", fault.headers), Mapping):
        yield f"headers must be a mapping, not {type_name(fault.headers)}"
        return
    for name, value in cast("Mapping[object, object]", fault.headers).items():
        if not (isinstance(name, str) and re.fullmatch(_HEADER_NAME, name)):
            yield f"headers must have names that HTTP allows, not {quoted(name)}"
        elif name.lower() in _FRAMING:
            yield f"headers must not hold {name}, which frames the message"
        elif name.lower() == "retry-after" and seconds is not None:
            yield "headers hold Retry-After, so retry_after must not be given"
        elif not (isinstance(value, str) and re.fullmatch(f"{_HEADER_VALUE}|", value)):
            yield f"headers must have values of printable ASCII, not {quoted(value)} for {name}"


def _name(fault: Fault) -> str:
    return fault.argument.__name__ if isinstance(fault.argument, type) else repr(fault.argument)


def _is_member(value: object, expected: type) -> bool:
    if not isinstance(value, expected) or isinstance(value, bool):
        return False
    return value == "" or not isinstance(value, str) or text_flaw(value) is None


def _is_status(status: object, page: object) -> bool:
    """Return whether a fault may have a status: that of a failure, or with a page any."""
    first = 400 if page is None else 200
    return type(status) is int and first <= status <= 599  # noqa: PLR2004 - as in RFC 9110


def parse_failure(text: str) -> Any:  # noqa: ANN401 - `Fault` checks it
    """Return the status or the error class that a text names, or the text itself."""
    classes = {each.__name__: each for each in (*_FAILURES, *_NOT_SCRIPTED)}
    return int(text) if text.isdecimal() else classes.get(text, text)


def parse_fault(text: str) -> dict[str, Any]:
    """Parse a line of text into arguments of `FakeAccount.fail`.

    Args:
        text: `OPERATION:FAILURE`, where the failure may be the name of an error class; then any of
            `,times=N` (or `always`), `,after=N`, `,every_attempt`, `,when=before|after`,
            `,retry_after=SECONDS` and, at the end, `,role=NAME`: a role's name may hold commas.

    Raises:
        ValueError: The text is not in this form.
    """
    text, has_role, role = text.partition(",role=")
    what, *options = text.split(",")
    operation, _, failure = what.partition(":")
    arguments: dict[str, Any] = {"operation": operation, "failure": parse_failure(failure)}
    if has_role:
        arguments["role"] = role
    for option in options:
        name, _, value = option.partition("=")
        if name == "when":
            arguments[name] = value
        elif option == "every_attempt":
            arguments[name] = True
        elif name == "times" and value == "always":
            arguments[name] = None
        elif name in {"times", "after", "retry_after"} and value.isdecimal():
            arguments[name] = int(value)
        else:
            raise ValueError(f"{option!r} is not a fault option")
    return arguments


class Latency:
    """The latency of some answers: fixed, or drawn evenly between two bounds."""

    def __init__(
        self, calls: CallFilter, seconds: float, up_to: float | None, seed: int, *, real_time: bool
    ) -> None:
        high = seconds if up_to is None else up_to
        if not 0.0 <= seconds <= high < math.inf:
            raise ValueError(
                f"seconds must be 0 or more, and up_to at least that, not {seconds} and {up_to}"
            )
        self.calls: CallFilter = calls
        """The calls to delay."""
        self._is_used = False
        self._low = seconds
        self._high = high
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self.real_time: bool = real_time
        """True for real seconds in process, too."""

    def draw(self) -> float:
        """Return the latency of the next answer, in seconds."""
        self._is_used = True
        return self._random.uniform(self._low, self._high)

    def unused(self) -> str | None:
        """Return a line that names the latency, or None if it was used, or is of all calls."""
        is_of_all = self.calls == CallFilter("any", None)
        if self._is_used or is_of_all or not self._high:
            return None
        return f"slow_down of {self.calls}: no call was delayed"


class ShortPages:
    """Sizes of the next pages of lists."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self.sizes: list[int] = [*sizes]
        """The sizes of the pages that are still to come."""

    def unused(self) -> str | None:
        """Return a line that names the pages that are still to come, or None."""
        left = ", ".join(map(str, self.sizes))
        return f"shorten_pages({left}): asked for no further page" if left else None


class TokenBucket:
    """A rate limit: a number of calls a second, and a burst at once.

    The bucket keeps the moment at which it is full again, so that rounding errors do not add up.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        is_number = isinstance(cast("object", per_second), int | float)
        if not (is_number and 0.0 < per_second < math.inf) or not is_count(burst, least=1):
            raise ValueError("per_second must be above 0, and burst an integer of 1 or more")
        self._refill = 1.0 / per_second
        self._capacity = self._refill * burst
        self._began: datetime | None = None
        self._full_at = 0.0

    def wait(self, now: datetime) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self._began = self._began or now
        seconds = (now - self._began).total_seconds()
        full_at = max(self._full_at, seconds) + self._refill
        lacking = full_at - seconds - self._capacity
        # The clock's resolution is a microsecond; less than that is rounding.
        if lacking > 1e-6:  # noqa: PLR2004
            return lacking
        self._full_at = full_at
        return 0.0
