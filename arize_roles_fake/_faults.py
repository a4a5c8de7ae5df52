"""What a test scripts an account to do wrong, and the log of what it was asked."""

import math
import random
from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast, get_args
from urllib.parse import parse_qsl

import attrs
import msgspec

from arize_roles_async._errors import (
    STATUS_ERRORS,
    InvalidResponseError,
    Problem,
    RolesConnectionError,
    RolesError,
    ServerError,
)
from arize_roles_async._lookup import is_role_id
from arize_roles_async._wire import Request, Response
from arize_roles_fake._wire import TITLES, page_response, problem_response, role_id_of

Operation = Literal["list", "get", "create", "update", "delete"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
ON_ONE: Final = frozenset({"get", "update", "delete"})

Breakage = Literal["lost", "truncated", "malformed"]
"""`lost`: the connection drops and no answer comes. `truncated`: the answer breaks off in its
body. `malformed`: its body is no JSON."""

When = Literal["before", "after"]
"""Whether the account fails before it does what it was asked, or after it did."""


class Reply(Response, frozen=True, kw_only=True):
    """What the account answers with, and how that reaches the caller."""

    delay: float = 0.0
    """Seconds until it does."""
    broken: Breakage | None = None
    """How it is broken on the way."""


@attrs.define(kw_only=True, eq=False)
class Fault:
    """A failure that was scripted with `FakeAccount.fail`; `fired` counts how often it struck."""

    operation: Operation | Literal["any"]
    failure: int | Breakage
    times: int | None
    after: int
    retry_after: int | str | None
    when: When
    role: str | None
    detail: str
    members: Mapping[str, object]
    seen: int = 0
    fired: int = 0

    def __str__(self) -> str:
        often = "every time" if self.times is None else f"{self.times} times"
        said = f"{self.operation} fails with {self.failure}, {often}"
        said += f" after {self.after}" if self.after else ""
        said += f", for the role {self.role!r}" if self.role is not None else ""
        return f"{said}: struck {self.fired} times"

    @property
    def is_pending(self) -> bool:
        """Whether it has not struck as often as it was to, or, without a number, not at all."""
        return self.fired < (1 if self.times is None else self.times)

    def is_due(self, operation: str, subjects: Container[str | None]) -> bool:
        """Count a call, and tell whether this fault is due to strike it."""
        if self.operation not in {operation, "any"} or operation not in OPERATIONS:
            return False
        if operation == "delete" and self.failure in _NEED_A_BODY:
            return False
        if self.role is not None and self.role not in subjects:
            return False
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.fired < self.times)

    def spoil(self, answer: Response | None) -> Reply:
        """Return what becomes of the answer, or of none where the fault strikes before it."""
        if isinstance(self.failure, int):
            headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
            return as_reply(problem_response(self.failure, self.detail, headers, self.members))
        reply = as_reply(answer or page_response((), None, with_permissions=True))
        body = b"<html>not JSON</html>" if self.failure == "malformed" else reply.body
        return msgspec.structs.replace(reply, body=body, broken=self.failure)


def as_reply(answer: Response) -> Reply:
    """Return an answer that reaches the caller as it is, at once."""
    return Reply(status=answer.status, headers=answer.headers, body=answer.body)


_NEED_A_BODY: Final = frozenset({"truncated", "malformed"})
_STATUSES: Final[dict[type[RolesError], int | Breakage]] = {
    **{kind: status for status, kind in STATUS_ERRORS.items()},
    ServerError: 503,
    RolesConnectionError: "lost",
    InvalidResponseError: "malformed",
}


def make_fault(
    operation: str,
    failure: int | type[RolesError] | str,
    *,
    times: int | None,
    after: int,
    retry_after: int | str | None,
    when: str,
    role: str | None,
    detail: str | None,
    members: Mapping[str, object],
) -> Fault:
    """Return the fault that the arguments script.

    Raises:
        ValueError: They make no fault, or one that could never strike; it names every reason.
    """
    said = failure.__name__ if isinstance(failure, type) else repr(failure)
    means = _STATUSES.get(failure) if isinstance(failure, type) else failure
    plan = set(Problem.__struct_fields__) - {"title", "status", "type", "detail"}
    flaws = [
        why
        for is_wrong, why in (
            (
                operation not in {*OPERATIONS, "any"},
                f"operation must be one of {', '.join(OPERATIONS)} and any, not {operation!r}",
            ),
            (
                means not in get_args(Breakage) and not _is_failing(means),
                (
                    "failure must be a status of 400 to 599, the class of an error that an answer "
                    f"leads to, or one of {', '.join(get_args(Breakage))}, not {said}"
                ),
            ),
            (times is not None and times < 1, f"with times={times} it never strikes"),
            (after < 0, f"after must be 0 or more, not {after}"),
            (when not in get_args(When), f"when must be before or after, not {when!r}"),
            (
                retry_after is not None and means not in {429, 503},
                f"retry_after goes with 429 and 503, not with {said}",
            ),
            (
                isinstance(retry_after, int) and retry_after < 0,
                f"retry_after must be 0 or more, not {retry_after}",
            ),
            (bool(members) and means != 403, f"only a 403 has plan members, not {said}"),  # noqa: PLR2004
            (
                not members.keys() <= plan,
                f"a problem has no {', '.join(sorted(members.keys() - plan))}",
            ),
            (role is not None and operation == "list", "a list is about no one role"),
            (
                role is not None and operation == "create" and is_role_id(role),
                "before create a role has no ID",
            ),
            (
                operation == "delete" and means in _NEED_A_BODY,
                f"a deleted role is answered without a body, so it cannot be {said}",
            ),
        )
        if is_wrong
    ]
    if flaws:
        raise ValueError("this fault would never strike: " + "; ".join(flaws))
    return Fault(
        operation=cast("Operation", operation),
        failure=cast("int | Breakage", means),
        times=times,
        after=after,
        retry_after=retry_after,
        when=cast("When", when),
        role=role,
        detail=detail or "scripted by the test",
        members=members,
    )


def _is_failing(status: object) -> bool:
    return type(status) is int and 400 <= status <= 599  # noqa: PLR2004 - failures, as in RFC 9110


def fault_arguments(text: str) -> dict[str, Any]:
    """Return the arguments of `FakeAccount.fail` that a line of text stands for.

    Args:
        text: `OPERATION:FAILURE`, then any of `,times=N` (or `always`), `,after=N`,
            `,when=before|after`, `,retry_after=SECONDS` and, at the end, `,role=NAME`: a role's
            name may hold commas.

    Raises:
        ValueError: It is no such text.
    """
    text, has_role, role = text.partition(",role=")
    what, *options = text.split(",")
    operation, _, failure = what.partition(":")
    arguments: dict[str, Any] = {
        "operation": operation,
        "failure": int(failure) if failure.isdecimal() else failure,
    }
    if has_role:
        arguments["role"] = role
    for option in options:
        name, _, value = option.partition("=")
        if name == "when":
            arguments[name] = value
        elif name == "times" and value == "always":
            arguments[name] = None
        elif name in {"times", "after", "retry_after"} and value.isdecimal():
            arguments[name] = int(value)
        else:
            raise ValueError(f"{option!r} is no option of a fault")
    return arguments


class Latency:
    """How long answers take: fixed, or drawn evenly between two bounds."""

    def __init__(self, seconds: float, up_to: float | None, seed: int) -> None:
        self._low = seconds
        self._high = seconds if up_to is None else up_to
        if not 0.0 <= self._low <= self._high < math.inf:
            raise ValueError(
                f"latency must be 0 or more, and up_to no less, not {seconds}, {up_to}"
            )
        self._random = random.Random(seed)  # noqa: S311 - no secret

    def __call__(self) -> float:
        return self._random.uniform(self._low, self._high)


class TokenBucket:
    """A rate limit: so many calls a second, and a few at once.

    Kept as the moment at which the bucket is full again, which no rounding of tokens touches.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        if not 0.0 < per_second < math.inf or burst < 1:
            raise ValueError("a rate limit needs per_second above 0 and burst of 1 or more")
        self._refill = timedelta(seconds=1.0 / per_second)
        self._capacity = self._refill * burst
        self._full_at: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """Take a token and return 0, or return how long it takes until there is one."""
        full_at = max(self._full_at or now, now) + self._refill
        lacking = full_at - now - self._capacity
        if lacking > timedelta():
            return lacking
        self._full_at = full_at
        return timedelta()


@attrs.frozen(kw_only=True)
class Call:
    """One request that the account was asked, as its log keeps it."""

    operation: str
    """`list`, `get`, `create`, `update`, `delete`; the method and path of what is none."""
    role: str | None
    """The name, when it was asked, of the role that it was about."""
    api_key: str = attrs.field(repr=False)
    outcome: int | Breakage
    """The status of the answer, or how it was broken."""
    duration: float
    """Seconds that the answer took, on the account's clock."""
    attempt: int
    """Which attempt it was of the caller's, from 1; 1 for clients that do not say."""
    at: datetime
    """When it was asked, on the account's clock."""
    request: Request = attrs.field(repr=False, eq=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """What was asked: the ID, the fields of the body, the parameters of the query."""
        path, _, query = self.request.target.partition("?")
        given: dict[str, Any] = {name: _plain(name, value) for name, value in parse_qsl(query)}
        if self.operation in ON_ONE:
            given["role_id"] = role_id_of(path)
        body = json_of(self.request.body)
        return given | (body if isinstance(body, dict) else {"body": body})

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        about = f" {self.role!r}" if self.role is not None and self.operation != "create" else ""
        outcome = str(self.outcome)
        if isinstance(self.outcome, int) and self.outcome in TITLES:
            outcome += f" {TITLES[self.outcome]}"
        tail = "" if self.attempt == 1 else f", attempt {self.attempt}"
        tail += f", {self.duration:g} s" if self.duration else ""
        return f"{self.operation}({said}){about} -> {outcome}{tail}"


def _plain(name: str, value: str) -> object:
    if name == "limit" and value.isdecimal():
        return int(value)
    return {"true": True, "false": False}.get(value, value) if name == "is_predefined" else value


def json_of(body: bytes | None) -> object:
    """Return the JSON of a body, an empty object for none, or the bytes of what is no JSON."""
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body
