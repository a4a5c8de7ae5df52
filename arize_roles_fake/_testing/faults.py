"""Scripted failures, latency and rate limits of an account."""

import math
import random
import re
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, assert_never, cast, get_args

import attrs

from arize_roles_async._calls.call import Change, Operation, Read
from arize_roles_async._values.errors import (
    STATUS_ERRORS,
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
from arize_roles_async._values.requests import is_role_id, text_rule, unicode_rule
from arize_roles_async._values.text import quoted
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.wire import page_response, problem_response

OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
SINGLE_ROLE_OPS: Final = frozenset({"get", "update", "delete"})
_READS: Final = frozenset(get_args(Read))
_CHANGES: Final = frozenset(get_args(Change))

Breakage = Literal["lost", "truncated", "malformed", "silent", "refused", "unreachable"]
"""The ways in which an attempt fails without a status:

- `lost`: the connection drops and no answer comes.
- `truncated`: the answer breaks off in its body.
- `malformed`: the answer's body is not JSON.
- `silent`: no answer comes, and the connection stays open until the caller's limit.
- `refused`: the connection is refused, so nothing is sent.
- `unreachable`: connecting takes longer than the caller's limit, so nothing is sent.
"""

When = Literal["before", "after"]
"""The moment of a failure: before the account does the work of the call, or after it."""

_MAX_SECONDS: Final = 10**15
"""The limit of a `Retry-After`: longer than any wait, and short enough for Python to print."""
_MAX_FAILED: Final = 100
"""The limit on calls that are kept for equal requests."""
_WITHOUT_BODY: Final = frozenset({204, 205, 304})
_FRAMING: Final = frozenset(
    {
        *("connection", "content-encoding", "content-length", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers that frame a message: they say how its bytes are to be read."""
_HEADER_NAME: Final = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_VALUE: Final = "[!-~]([ -~]*[!-~])?|"
_NEED_A_BODY: Final = frozenset({"truncated", "malformed"})
_NOT_CONNECTED: Final = frozenset({"refused", "unreachable"})
_MEMBERS: Final[dict[str, type]] = {
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
    MissingExtraError: "a conversion raises it if a package is not installed",
    RoleRenamedError: (
        "an update by name raises it if another client renames the role between the call's list "
        "and its update; slow_down leaves time for that"
    ),
}
"""The causes of the error classes that no answer leads to."""


@attrs.frozen
class Subject:
    """The subject of a request, as scopes see it."""

    operations: frozenset[str]
    """The operations that the request counts as."""
    roles: frozenset[str | None]
    """The names and IDs of its role."""


@attrs.frozen
class Scope:
    """The calls that a fault, a latency or a block is about.

    Raises:
        ValueError: No call can match.
    """

    operation: str
    """The operation; `any` is all five."""
    role: str | None
    """The name or ID of the role; None is every role."""

    def __attrs_post_init__(self) -> None:
        __tracebackhide__ = True
        for flaw in _scope_flaws(self.operation, self.role):
            raise ValueError(flaw)

    def matches(self, subject: Subject) -> bool:
        """Return whether a request is one of these calls."""
        return (self.operation == "any" or self.operation in subject.operations) and (
            self.role is None or self.role in subject.roles
        )


def _scope_flaws(operation: str, role: str | None) -> Iterator[str]:
    if operation not in {*OPERATIONS, "any"}:
        yield f"operation must be one of {', '.join(OPERATIONS)} and any, not {operation!r}"
    if operation == "list" and role is not None:
        yield "a list is not about one role"
    if operation == "create" and role is not None and is_role_id(role):
        yield "role must be a name for create, as the role has no ID yet"


@attrs.define(kw_only=True, eq=False, repr=False)
class Fault:
    """A failure that was scripted with `FakeAccount.fail`."""

    operation: Operation | Literal["any"]
    failure: int | Breakage
    times: int | None
    after: int
    every_attempt: bool
    retry_after: int | str | None
    when: When
    role: str | None
    detail: str
    members: Mapping[str, object]
    page: bytes | None
    headers: Mapping[str, str]
    fired: int = 0
    """The number of requests that it made fail."""
    _struck: int = attrs.field(default=0, init=False)

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

    @property
    def is_pending(self) -> bool:
        """True until it has struck as often as scripted: once if `times` is None."""
        return self._struck < (1 if self.times is None else self.times)


@attrs.define(kw_only=True, eq=False, repr=False)
class ScriptedFault(Fault):
    """A fault as the account uses it; tests see only a `Fault`."""

    scope: Scope
    _seen: int = attrs.field(default=0, init=False)

    def is_due(self, subject: Subject, attempt: int) -> bool:
        """Count a request, and return whether this fault is due to make it fail.

        Args:
            subject: The subject of the request.
            attempt: The number of the attempt, from 1. A fault of every attempt begins with the
                first.
        """
        if not self.scope.matches(subject):
            return False
        if "delete" in subject.operations and self.failure in _NEED_A_BODY:
            return False
        if self.every_attempt and attempt > 1:
            return False
        self._seen += 1
        return self._seen > self.after and (self.times is None or self._struck < self.times)

    def strike(self, *, again: bool) -> None:
        """Count a request that this fault makes fail.

        Args:
            again: True for a later attempt of a request that counts already.
        """
        self.fired += 1
        self._struck += not again

    def apply(self, answer: Response | None) -> tuple[Response, Breakage | None]:
        """Return the answer as this fault changes it, and the way in which it breaks off.

        Args:
            answer: The account's own answer; None if the fault strikes before there is one.
        """
        if isinstance(self.failure, int):
            headers = dict(self.headers)
            if self.retry_after is not None:
                headers["Retry-After"] = str(self.retry_after)
            if self.page is not None:
                headers = {"Content-Type": "text/html; charset=utf-8", **headers}
                return Response(status=self.failure, headers=headers, body=self.page), None
            return problem_response(self.failure, self.detail, headers, self.members), None
        answer = answer or page_response((), None)
        match self.failure:
            case "malformed":
                body = b"<html>not JSON</html>"
                answer = Response(status=answer.status, headers=answer.headers, body=body)
            case "lost" | "truncated" | "silent" | "refused" | "unreachable":
                pass
            case _:
                assert_never(self.failure)
        return answer, self.failure


@attrs.define(kw_only=True, eq=False)
class CallState:
    """The call that a request is part of, as the account knows it."""

    operation: str | None = None
    """The method that was called; None over HTTP, where only requests are seen."""
    name: str | None = None
    """The name of the role that the call looks for; None if it has an ID, and over HTTP."""
    requests: int = 0
    """The number of requests so far, without their later attempts."""
    attempt: int = 1
    """The number of the attempt under way, from 1."""
    fault: ScriptedFault | None = None
    """The fault that strikes every attempt of the request under way."""

    def operations(self, operation: str) -> frozenset[str]:
        """Return the operations that the request under way counts as.

        The first request of a `get` by a name is often a list, which counts as a `get`, too.
        """
        is_get = self.operation == "get" and self.requests == 1
        return frozenset({operation, "get"} if is_get else {operation})


class CallRequest(Request, frozen=True, kw_only=True):
    """A request in process, which names the call that it is part of."""

    call: CallState
    any_key: bool = False
    """True if an unknown key counts as the account's first one."""


class Faults:
    """The scripted faults of an account, in the order in which they were scripted."""

    def __init__(self) -> None:
        self._faults: list[ScriptedFault] = []
        self._failed: dict[object, deque[CallState]] = {}
        """The calls over HTTP that met a failure, oldest first, by the content of their request."""

    def add(self, fault: ScriptedFault) -> None:
        """Add a fault; those that were added earlier strike first."""
        self._faults.append(fault)

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that have struck less often than scripted."""
        return tuple(fault for fault in self._faults if fault.is_pending)

    def call_of(self, request: Request, attempt: int) -> CallState:
        """Return the call that a request is part of.

        Requests over HTTP do not name their call. There a retry counts as one of the newest equal
        request that failed. So the fault of a call that was given up strikes no later call, unless
        the first attempt of the later one failed before it reached the account.

        Args:
            request: The request.
            attempt: The number of the attempt, from 1.
        """
        if isinstance(request, CallRequest):
            call = request.call
        else:
            failed = self._failed.get(_content(request), deque[CallState]())
            earlier = (each for each in reversed(failed) if each.attempt == attempt - 1)
            call = next(earlier, None) or CallState()
            if call in failed:
                failed.remove(call)
        call.attempt = attempt
        if attempt == 1:
            call.requests += 1
            call.fault = None
        return call

    def note_failure(self, request: Request, call: CallState) -> None:
        """Note that a request of a call failed, so that `call_of` finds the call of its retry."""
        content = _content(request)
        if not isinstance(request, CallRequest) and (call.fault or self._failed.get(content)):
            self._failed.setdefault(content, deque(maxlen=_MAX_FAILED)).append(call)

    def strike(self, subject: Subject, call: CallState) -> ScriptedFault | None:
        """Return the fault that makes a request of a call fail, or None."""
        # Every fault counts the request; the first that is due strikes.
        due = [each for each in self._faults if each.is_due(subject, call.attempt)]
        is_again = call.fault in self._faults
        fault = call.fault if is_again else next(iter(due), None)
        call.fault = fault if fault is not None and fault.every_attempt else None
        if fault is not None:
            fault.strike(again=is_again)
        return fault


def _content(request: Request) -> object:
    return request.method, request.target, request.body


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def make_fault(
    operation: str,
    failure: int | type[RolesError] | str,
    *,
    times: int | None,
    after: int,
    every_attempt: bool | None,
    retry_after: int | str | None,
    when: str,
    role: str | None,
    detail: str | None,
    members: Mapping[str, object],
    page: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> ScriptedFault:
    """Return the fault that the arguments script.

    Raises:
        ValueError: The arguments contradict one another, or the fault could never strike. The
            message names every reason.
    """
    __tracebackhide__ = True
    for argument, text in (("operation", operation), ("role", role), ("detail", detail)):
        if text not in (None, "") and (message := text_rule(text)) is not None:
            raise ValueError(f"{argument} {message}")
    name = failure.__name__ if isinstance(failure, type) else repr(failure)
    means = _FAILURES.get(failure) if isinstance(failure, type) else failure
    flaws = list(_scope_flaws(operation, role))
    flaws += [
        why
        for is_wrong, why in (
            (
                means not in get_args(Breakage) and not _is_status(means, page),
                _not_a_failure(failure),
            ),
            (
                times is not None and not _is_count(times, least=1),
                f"times must be an integer of 1 or more, not {quoted(times)}",
            ),
            (
                not _is_count(after, least=0),
                f"after must be an integer of 0 or more, not {quoted(after)}",
            ),
            (when not in get_args(When), f"when must be before or after, not {when!r}"),
            (
                when == "after" and means in _NOT_CONNECTED,
                (
                    f"{name} means that nothing was sent, so when must be before; "
                    "'lost' with when='after' drops the connection after the account did its work"
                ),
            ),
            (
                retry_after is not None and means not in {429, 503},
                f"retry_after goes with 429 and 503, not with {name}",
            ),
            (
                not isinstance(retry_after, str | None)
                and not (_is_count(retry_after, least=0) and retry_after < _MAX_SECONDS),
                f"retry_after must be 0 or more, or a date as text, not {quoted(retry_after)}",
            ),
            (bool(members) and means != 403, f"only a 403 has plan members, not {name}"),  # noqa: PLR2004
            (
                not members.keys() <= _MEMBERS.keys(),
                f"a problem document has no {', '.join(sorted(members.keys() - _MEMBERS))}",
            ),
            *(
                (
                    not _is_member(value, _MEMBERS.get(name, object)),
                    f"{name} must be of type {_MEMBERS.get(name, object).__name__}",
                )
                for name, value in members.items()
            ),
            (
                bool(headers) and not isinstance(means, int),
                f"headers go with a status, not with {name}",
            ),
            (
                means == 407 and page is None,  # noqa: PLR2004 - as the message says
                "407 is the answer of a proxy, for which a client raises RolesConnectionError",
            ),
            (
                operation == "delete" and means in _NEED_A_BODY,
                f"the answer to a delete has no body, so it cannot be {name}",
            ),
            (
                failure is InvalidResponseError and operation in _CHANGES,
                (
                    f"{operation} never raises it: a client that cannot read the answer to a "
                    "change looks at the account; 'malformed' scripts such an answer"
                ),
            ),
            (
                failure is OutcomeUnknownError and operation in {*_READS, "any"},
                f"{operation} never raises it: only a change has an unknown outcome",
            ),
        )
        if is_wrong
    ]
    has_problem = detail is not None or bool(members)
    flaws += _page_flaws(page, failure, has_problem=has_problem)
    given = cast("Mapping[object, object]", headers or {})
    flaws += _header_flaws(given, has_retry_after=retry_after is not None)
    if flaws:
        raise ValueError("this fault cannot be scripted: " + "; ".join(flaws))
    return ScriptedFault(
        scope=Scope(operation, role),
        operation=cast("Operation", operation),
        failure=cast("int | Breakage", means),
        times=times,
        after=after,
        every_attempt=isinstance(failure, type) if every_attempt is None else every_attempt,
        retry_after=retry_after,
        when=cast("When", when),
        role=role,
        detail=detail or "scripted by the test",
        members=members,
        page=page.encode() if isinstance(page, str) else page,
        # As the client looks them up.
        headers={name.title(): value for name, value in (headers or {}).items()},
    )


def _page_flaws(page: object, failure: object, *, has_problem: bool) -> Iterator[str]:
    """Yield the flaws of a fault's page.

    Args:
        page: The page, if there is one.
        failure: The failure, as it was given to `fail`.
        has_problem: True if a detail or members of a problem document were given.
    """
    if page is None:
        return
    if not isinstance(failure, int):
        name = failure.__name__ if isinstance(failure, type) else repr(failure)
        yield f"page goes with a status, not with {name}"
    if has_problem:
        yield "page is the whole body, so it goes with no detail and no members of a problem"
    if not isinstance(page, bytes) and page != "" and (rule := text_rule(page)) is not None:
        yield f"page {rule}"
    if page and failure in _WITHOUT_BODY:
        yield f"an answer with {failure} has no body, so page must be empty"


def _header_flaws(headers: Mapping[object, object], *, has_retry_after: bool) -> Iterator[str]:
    """Yield the flaws of a fault's headers."""
    for name, value in headers.items():
        if not (isinstance(name, str) and re.fullmatch(_HEADER_NAME, name)):
            yield f"headers must have names that HTTP allows, not {quoted(name)}"
        elif name.lower() in _FRAMING:
            yield f"headers must not hold {name}, which frames the message"
        elif name.lower() == "retry-after" and has_retry_after:
            yield "headers hold Retry-After, so retry_after must not be given"
        elif not (isinstance(value, str) and re.fullmatch(_HEADER_VALUE, value)):
            yield f"headers must have values of printable ASCII, and not {quoted(value)} for {name}"


def _is_member(value: object, expected: type) -> bool:
    if not isinstance(value, expected) or isinstance(value, bool):
        return False
    return not isinstance(value, str) or unicode_rule(value) is None


def _is_count(number: object, *, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def _is_status(status: object, page: object) -> bool:
    """Return whether a fault may have a status: that of a failure, or with a page any."""
    first = 400 if page is None else 200
    return type(status) is int and first <= status <= 599  # noqa: PLR2004 - as in RFC 9110


def _not_a_failure(failure: object) -> str:
    how = _NOT_SCRIPTED.get(failure) if isinstance(failure, type) else None
    if isinstance(failure, type) and how is not None:
        return f"no answer leads to {failure.__name__}: {how}"
    name = failure.__name__ if isinstance(failure, type) else repr(failure)
    return (
        "failure must be a status of 400 to 599, or of 200 to 599 with page, the class of an error "
        f"that an answer leads to, or one of {', '.join(get_args(Breakage))}, not {name}"
    )


def parse_fault(text: str) -> dict[str, Any]:
    """Parse a line of text into arguments of `FakeAccount.fail`.

    Args:
        text: `OPERATION:FAILURE`, where the failure may be the name of an error class; then any of
            `,times=N` (or `always`), `,after=N`, `,every_attempt`, `,when=before|after`,
            `,retry_after=SECONDS` and, at the end, `,role=NAME`: a role's name may hold commas.

    Raises:
        ValueError: The text is not in this form.
    """
    __tracebackhide__ = True
    text, has_role, role = text.partition(",role=")
    what, *options = text.split(",")
    operation, _, failure = what.partition(":")
    classes = {each.__name__: each for each in (*_FAILURES, *_NOT_SCRIPTED)}
    arguments: dict[str, Any] = {
        "operation": operation,
        "failure": int(failure) if failure.isdecimal() else classes.get(failure, failure),
    }
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

    def __init__(self, seconds: float, up_to: float | None, seed: int, *, real_time: bool) -> None:
        high = seconds if up_to is None else up_to
        if not 0.0 <= seconds <= high < math.inf:
            raise ValueError(
                f"latency must be 0 or more, and up_to no less, not {seconds} and {up_to}"
            )
        self._low = seconds
        self._high = high
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self.real_time: bool = real_time
        """True for real seconds in process, too."""

    def draw(self) -> float:
        """Return the latency of the next answer, in seconds."""
        return self._random.uniform(self._low, self._high)


class TokenBucket:
    """A rate limit: a number of calls a second, and a burst at once.

    The bucket keeps the moment at which it is full again, so that rounding errors do not add up.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        is_number = isinstance(cast("object", per_second), int | float)
        if not (is_number and 0.0 < per_second < math.inf) or not _is_count(burst, least=1):
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
