"""The arguments of a scripted failure, and the rules that they keep."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, cast, get_args

import attrs

from arize_roles_async._values.errors import (
    STATUS_ERRORS,
    AmbiguousNameError,
    ClientStateError,
    ConfigurationError,
    InvalidResponseError,
    MissingExtraError,
    OutcomeUnknownError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    ValidationError,
)
from arize_roles_async._values.options import is_count
from arize_roles_async._values.requests import text_flaw
from arize_roles_async._values.text import quoted, type_name
from arize_roles_fake._service.service import METHODS, OPERATIONS, verb
from arize_roles_fake._testing.received import Matcher

_CHANGES: Final = tuple(each for each in OPERATIONS if METHODS[verb(each)] != "GET")
_DELETES: Final = tuple(each for each in OPERATIONS if verb(each) == "delete")

Breakage = Literal[
    "lost", "truncated", "malformed", "undecodable", "silent", "refused", "unreachable"
]
"""The ways in which an attempt fails without a status, as `FakeAccount.fail` describes them."""


@attrs.frozen(kw_only=True)
class Delivery:
    """What becomes of a request and its answer on their way."""

    is_connected: bool = True
    """False if the request is never sent."""
    ends: bool = True
    """False if nothing comes until the caller's limit."""
    part: Literal["none", "half", "whole"] = "none"
    """How much of the answer is sent."""
    is_http: bool = False
    """Whether a client can read what is sent as an answer of HTTP."""
    body: bytes | None = None
    """The body in place of the answer's."""
    headers: Mapping[str, str] = {}
    """The headers of that body."""


WHOLE: Final = Delivery(part="whole", is_http=True)
DELIVERIES: Final[Mapping[Breakage, Delivery]] = {
    "lost": Delivery(),
    "truncated": Delivery(part="half"),
    "malformed": Delivery(part="whole", is_http=True, body=b"<html>not JSON</html>"),
    "undecodable": Delivery(part="whole", body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    "silent": Delivery(ends=False),
    "refused": Delivery(is_connected=False),
    "unreachable": Delivery(is_connected=False, ends=False),
}

When = Literal["before", "after"]
"""The moment of a failure: before the account does the work of the call, or after it."""

WITHOUT_BODY: Final = frozenset({204, 205, 304})
_FRAMING: Final = (
    *("connection", "content-encoding", "content-length", "keep-alive"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
)
"""Headers that frame a message: they say how its bytes are to be read."""
_HEADER_NAME: Final = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_VALUE: Final = "[!-~]([ -~]*[!-~])?"
_NEED_A_BODY: Final = frozenset({"truncated", "malformed"})

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
    AmbiguousNameError: "a look-up raises it if two records have the name; add_space adds a second",
    MissingExtraError: "a conversion raises it if a package is not installed",
}
"""The causes of the error classes that no answer leads to."""


@attrs.frozen(kw_only=True)
class FaultArguments(Matcher):
    """The arguments of `FakeAccount.fail`, which agree and can strike a call."""

    given: int | type[RolesError] | Breakage = attrs.field(alias="failure")
    """The argument `failure`."""
    times: int | None
    skip: int
    when: When
    retry_after: int | str | None
    body: str | bytes | None
    headers: Mapping[str, str]

    def __str__(self) -> str:
        often = "every time" if self.times is None else counted(self.times, "time")
        text = f"{self.operation} fails with {self.failure}"
        text += f", {often}" if self.body is None else f" and a body, {often}"
        text += f" after {counted(self.skip, 'call')}" if self.skip else ""
        return text + (f", about {self.about!r}" if self.about is not None else "")

    @property
    def failure(self) -> int | Breakage:
        """The status of the answer, or the way in which the attempt fails without one."""
        return _FAILURES[self.given] if isinstance(self.given, type) else self.given

    @property
    def every_attempt(self) -> bool:
        """Whether every attempt of a call fails."""
        return isinstance(self.given, type)

    @property
    def hides_outcome(self) -> bool:
        """Whether the client's look at the account after a change fails, too."""
        return self.given is OutcomeUnknownError

    def can_strike(self, operation: str) -> bool:
        """Return whether the answer to an operation can fail so: one without a body may not."""
        return operation not in _DELETES or self.failure not in _NEED_A_BODY

    def __attrs_post_init__(self) -> None:
        flaws = [*_wrong_failure(self)] or [
            *_operation_flaws(self),
            *_moment_flaws(self),
            *_body_flaws(self),
            *_retry_flaws(self),
            *_header_flaws(self),
        ]
        if flaws:
            raise ValueError("this fault cannot be scripted: " + "; ".join(flaws))


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _wrong_failure(fault: FaultArguments) -> Iterator[str]:
    failure = fault.given
    if isinstance(failure, type) and failure in _NOT_SCRIPTED:
        yield f"no answer leads to {failure.__name__}: {_NOT_SCRIPTED[failure]}"
        return
    is_status = type(failure) is int and failure in range(400 if fault.body is None else 200, 600)
    if not is_status and failure not in (*_FAILURES, *get_args(Breakage)):
        yield (
            "failure must be a status of 400 to 599, or of 200 to 599 with body, the class of an "
            f"error that an answer leads to, or one of {', '.join(get_args(Breakage))}, not "
            f"{_name(fault)}"
        )


def _operation_flaws(fault: FaultArguments) -> Iterator[str]:
    operation = fault.operation
    yield from fault.flaws()
    if not fault.can_strike(operation):
        yield f"the answer to a delete has no body, so it cannot be {_name(fault)}"
    if fault.given is InvalidResponseError and operation in _CHANGES:
        yield (
            f"{operation} never raises it: after an unreadable answer to a change, a client checks "
            "whether the change was made; 'malformed' scripts such an answer"
        )
    if fault.given is OutcomeUnknownError and operation not in _CHANGES:
        yield f"{operation} never raises it: only a change has an unknown outcome"


def _moment_flaws(fault: FaultArguments) -> Iterator[str]:
    if fault.times is not None and not is_count(fault.times, least=1):
        yield f"times must be an integer of 1 or more, not {quoted(fault.times)}"
    if not is_count(fault.skip):
        yield f"skip must be an integer of 0 or more, not {quoted(fault.skip)}"
    if fault.when not in get_args(When):
        yield f"when must be before or after, not {fault.when!r}"
    delivery = WHOLE if isinstance(fault.failure, int) else DELIVERIES.get(fault.failure, WHOLE)
    if fault.when == "after" and not delivery.is_connected:
        yield (
            f"{_name(fault)} means that nothing was sent, so when must be before; 'lost' with "
            "when='after' drops the connection after the account did its work"
        )


def _body_flaws(fault: FaultArguments) -> Iterator[str]:
    body = fault.body
    if body is None:
        if fault.failure == 407:  # noqa: PLR2004 - as the message says
            yield "407 is the answer of a proxy, for which a client raises RolesConnectionError"
        return
    if not isinstance(fault.given, int):
        yield f"body needs a status as the failure, not {_name(fault)}"
    if not isinstance(body, bytes) and body != "" and (flaw := text_flaw(body)):
        yield f"body {flaw}"
    if body and fault.failure in WITHOUT_BODY:
        yield f"an answer with {fault.failure} has no body, so body must be empty"


def _retry_flaws(fault: FaultArguments) -> Iterator[str]:
    seconds = fault.retry_after
    if seconds is not None and fault.failure not in {429, 503}:
        yield f"only a 429 or a 503 has a retry_after, not {_name(fault)}"
    is_date = isinstance(seconds, str) and re.fullmatch(_HEADER_VALUE, seconds)
    if not (seconds is None or is_date or is_count(seconds)):
        yield f"retry_after must be 0 or more, or a date as text, not {quoted(seconds)}"


def _header_flaws(fault: FaultArguments) -> Iterator[str]:
    if fault.headers and not isinstance(fault.failure, int):
        yield f"headers need a status as the failure, not {_name(fault)}"
    if not isinstance(cast("object", fault.headers), Mapping):
        yield f"headers must be a mapping, not {type_name(fault.headers)}"
        return
    headers = cast("Mapping[object, object]", fault.headers)
    if len({str(name).lower() for name in headers}) < len(headers):
        yield "headers must hold each name once, in upper or lower case"
    for name, value in headers.items():
        if not (isinstance(name, str) and re.fullmatch(_HEADER_NAME, name)):
            yield f"headers must have names that HTTP allows, not {quoted(name)}"
        elif name.lower() in _FRAMING:
            yield f"headers must not hold {name}, which frames the message"
        elif name.lower() == "retry-after" and fault.retry_after is not None:
            yield "headers hold Retry-After, so retry_after must not be given"
        elif not (isinstance(value, str) and re.fullmatch(f"{_HEADER_VALUE}|", value)):
            yield f"headers must have values of printable ASCII, not {quoted(value)} for {name}"


def _name(fault: FaultArguments) -> str:
    return fault.given.__name__ if isinstance(fault.given, type) else repr(fault.given)


def parse_failure(text: str) -> Any:  # noqa: ANN401 - `Fault` checks it
    """Return the status or the error class that a text names, or the text itself."""
    classes = {each.__name__: each for each in (*_FAILURES, *_NOT_SCRIPTED)}
    return int(text) if text.isdecimal() else classes.get(text, text)
