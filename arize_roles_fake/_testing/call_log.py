"""The log of an account's calls, bounded in entries and in bytes."""

from collections import deque
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import attrs

from arize_roles_async._values.text import one_line
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.wire import TITLES, parse_json, parse_role_id
from arize_roles_fake._testing.faults import SINGLE_ROLE_OPS, Breakage

_MAX_TEXT = 600


@attrs.frozen(kw_only=True)
class LoggedCall:
    """One request to an account, as its log keeps it."""

    operation: str
    """`list`, `get`, `create`, `update`, `delete`; of anything else, the method and path."""
    role: str | None
    """The name of the role at that time; None if there was no such role."""
    api_key: str = attrs.field(repr=False)
    outcome: int | Breakage
    """The status of the answer, or the way in which the attempt failed without one."""
    duration: float
    """The latency of the answer, in seconds on the account's clock."""
    attempt: int
    """The number of the attempt within its call, from 1; always 1 for clients without a count."""
    at: datetime
    """The time of the request, on the account's clock."""
    request: Request = attrs.field(repr=False, eq=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the call: the ID, the fields of the body, the query's parameters."""
        path, _, query = self.request.target.partition("?")
        given: dict[str, Any] = {
            name: _query_value(name, value) for name, value in parse_qsl(query)
        }
        if self.operation in SINGLE_ROLE_OPS:
            given["role_id"] = parse_role_id(path)
        body = parse_json(self.request.body)
        return given | (body if isinstance(body, dict) else {"body": body})

    def __str__(self) -> str:
        pairs = (f"{name}={value!r}" for name, value in self.arguments.items())
        arguments = one_line(", ".join(pairs), _MAX_TEXT)
        about = f" {self.role!r}" if self.role is not None and self.operation != "create" else ""
        outcome = str(self.outcome)
        if isinstance(self.outcome, int) and self.outcome in TITLES:
            outcome += f" {TITLES[self.outcome]}"
        tail = "" if self.attempt == 1 else f", attempt {self.attempt}"
        tail += f", {self.duration:g} s" if self.duration else ""
        operation, about = one_line(self.operation, _MAX_TEXT), one_line(about, _MAX_TEXT)
        return f"{operation}({arguments}){about} -> {outcome}{tail}"


class CallLog:
    """The newest calls of an account, bounded in number and in the bytes of their requests."""

    def __init__(self, max_calls: int, max_bytes: int) -> None:
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._calls: deque[LoggedCall] = deque()
        self._bytes = 0
        self.total: int = 0
        """The number of calls so far."""

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: LoggedCall) -> None:
        """Add a call, and drop the oldest until the rest is within the limits."""
        self.total += 1
        self._calls.append(call)
        self._bytes += _size(call.request)
        while self._calls and (len(self._calls) > self._max_calls or self._bytes > self._max_bytes):
            self._bytes -= _size(self._calls.popleft().request)

    def calls(self) -> tuple[LoggedCall, ...]:
        """Return the kept calls, oldest first."""
        return tuple(self._calls)

    def clear(self) -> None:
        """Forget every call."""
        self._calls.clear()
        self._bytes = 0


def _size(request: Request) -> int:
    headers = sum(len(name) + len(value) for name, value in request.headers.items())
    return len(request.target) + len(request.body or b"") + headers


def _query_value(name: str, value: str) -> object:
    if name == "limit" and value.isascii() and value.isdecimal():
        return int(value) if len(value) < 10 else value  # noqa: PLR2004 - no limit is longer
    return {"true": True, "false": False}.get(value, value) if name == "is_predefined" else value
