"""What a test scripts an account to do wrong, and the log of what it was asked."""

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, cast, get_args
from urllib.parse import parse_qsl

import attrs
import msgspec

from arize_roles_async._errors import STATUS_ERRORS, StatusError
from arize_roles_async._lookup import is_role_id
from arize_roles_async._wire import TITLES, Request, Response, problem_response, role_id_of

Operation = Literal["list", "get", "create", "update", "delete"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)

Breakage = Literal["lost", "truncated", "malformed"]
"""`lost`: the connection drops and no answer comes. `truncated`: the answer breaks off in its
body. `malformed`: its body is no JSON."""

When = Literal["before", "after"]
"""Whether the account fails before it does what it was asked, or after it did."""


@attrs.frozen(kw_only=True)
class Reply(Response):
    """What the account answers with, and how that reaches the caller."""

    delay: float = 0.0
    """Seconds until it does."""
    lost: bool = False
    """It never does: the connection drops."""
    truncated: bool = False
    """It breaks off in its body."""


@attrs.define(kw_only=True, eq=False)
class Fault:
    """A failure that was scripted with `FakeAccount.fail`; `fired` counts how often it struck."""

    operation: Operation | Literal["any"]
    failure: int | Breakage
    times: int
    after: int
    retry_after: float | str | None
    when: When
    role: str | None
    detail: str
    members: Mapping[str, object]
    seen: int = 0
    fired: int = 0

    @property
    def is_used_up(self) -> bool:
        """Whether it struck as often as it was to."""
        return self.fired >= self.times

    def strikes(self, operation: str, subjects: frozenset[str]) -> bool:
        """Count a call, and tell whether this fault strikes it."""
        if self.is_used_up or self.operation not in {operation, "any"}:
            return False
        if self.role is not None and self.role not in subjects:
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.fired += 1
        return True

    def spoil(self, answer: Response | None) -> Reply:
        """Return what becomes of the answer, or of none where the fault strikes before it."""
        if isinstance(self.failure, int):
            headers = {} if self.retry_after is None else {"Retry-After": _header(self.retry_after)}
            spoiled = problem_response(self.failure, self.detail, headers, self.members)
            return Reply(status=spoiled.status, headers=spoiled.headers, body=spoiled.body)
        body = b'{"roles": [' if answer is None else answer.body
        return Reply(
            status=200 if answer is None else answer.status,
            headers={"Content-Type": "application/json"} if answer is None else answer.headers,
            body=b"<html>not JSON</html>" if self.failure == "malformed" else body,
            lost=self.failure == "lost",
            truncated=self.failure == "truncated",
        )


def _header(retry_after: float | str) -> str:
    return retry_after if isinstance(retry_after, str) else f"{retry_after:g}"


def make_fault(  # noqa: C901 - a guard for each way to script nothing
    operation: str,
    failure: int | type[StatusError] | str,
    *,
    times: int,
    after: int,
    retry_after: float | str | None,
    when: str,
    role: str | None,
    detail: str | None,
    members: Mapping[str, object],
) -> Fault:
    """Return the fault that the arguments script.

    Raises:
        ValueError: They make no fault, or one that could never strike.
    """
    if operation not in {*OPERATIONS, "any"}:
        raise ValueError(f"operation must be one of {(*OPERATIONS, 'any')}, not {operation!r}")
    if isinstance(failure, type):
        failure = next((s for s, kind in STATUS_ERRORS.items() if kind is failure), 503)
    if isinstance(failure, int):
        if not 400 <= failure <= 599:  # noqa: PLR2004 - the statuses of failures
            raise ValueError(f"a failing status is 400 to 599, not {failure}")
    elif failure not in get_args(Breakage):
        raise ValueError(
            f"failure must be a status or one of {get_args(Breakage)}, not {failure!r}"
        )
    if times < 1 or after < 0:
        raise ValueError(f"it never strikes with times={times} and after={after}")
    if when not in get_args(When):
        raise ValueError(f"when must be one of {get_args(When)}, not {when!r}")
    if retry_after is not None and failure not in {429, 503}:
        raise ValueError(f"retry_after goes with 429 and 503, not with {failure!r}")
    if members and failure != 403:  # noqa: PLR2004
        raise ValueError(f"only a 403 has plan members, not {failure!r}")
    if role is not None and operation == "list":
        raise ValueError("a list is about no one role, so the fault would never strike")
    if role is not None and operation == "create" and is_role_id(role):
        raise ValueError("no ID is known before create, so the fault would never strike")
    return Fault(
        operation=cast("Operation", operation),
        failure=cast("int | Breakage", failure),
        times=times,
        after=after,
        retry_after=retry_after,
        when=cast("When", when),
        role=role,
        detail=detail or "scripted by the test",
        members=members,
    )


class Latency:
    """How long answers take: fixed, or drawn evenly between two bounds."""

    def __init__(self, seconds: float, up_to: float | None, seed: int) -> None:
        if not 0.0 <= seconds <= (seconds if up_to is None else up_to):
            raise ValueError(
                f"latency must be 0 or more, and up_to no less, not {seconds}, {up_to}"
            )
        self._low = seconds
        self._high = up_to
        self._random = None if up_to is None else random.Random(seed)  # noqa: S311 - no secret

    def __call__(self) -> float:
        if self._random is None or self._high is None:
            return self._low
        return self._random.uniform(self._low, self._high)


class TokenBucket:
    """A rate limit on the account's clock: so many calls a second, and a few at once."""

    def __init__(self, per_second: float, burst: int) -> None:
        if per_second <= 0.0 or burst < 1:
            raise ValueError("a rate limit needs per_second above 0 and burst of 1 or more")
        self._rate = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


@attrs.frozen(kw_only=True)
class Call:
    """One request that the account was asked, as its log keeps it."""

    operation: str
    """`list`, `get`, `create`, `update`, `delete`; the method and path of what is none."""
    api_key: str = attrs.field(repr=False)
    outcome: int | Breakage
    """The status of the answer, or how it was broken."""
    duration: float
    """Seconds that the answer took, on the account's clock."""
    attempt: int
    """Which attempt it was of the caller's, from 1."""
    at: datetime
    request: Request = attrs.field(repr=False, eq=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """What was asked: the ID, the fields of the body, the parameters of the query."""
        path, _, query = self.request.target.partition("?")
        given: dict[str, Any] = {}
        if self.operation in {"get", "update", "delete"}:
            given["role_id"] = role_id_of(path)
        given |= dict(parse_qsl(query))
        try:
            body = msgspec.json.decode(self.request.body or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            body = {"body": self.request.body}
        return given | (body if isinstance(body, dict) else {"body": body})

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        outcome = str(self.outcome)
        if isinstance(self.outcome, int) and self.outcome in TITLES:
            outcome += f" {TITLES[self.outcome]}"
        tail = "" if self.attempt == 1 else f", attempt {self.attempt}"
        tail += f", {self.duration:g} s" if self.duration else ""
        return f"{self.operation}({said}) -> {outcome}{tail}"
