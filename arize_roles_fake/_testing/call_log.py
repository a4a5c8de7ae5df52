"""The log of an account's calls, bounded in entries and in bytes."""

import reprlib
import sys
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import attrs

from arize_roles_async._values.text import one_line
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.service import BY_ID
from arize_roles_fake._service.wire import TITLES, parse_id, parse_json, query_of
from arize_roles_fake._testing.fault_rules import Breakage

_MAX_TEXT = 600
_REPR = reprlib.Repr()
_REPR.maxlevel = 50
_REPR.maxdict = _REPR.maxlist = _REPR.maxstring = _REPR.maxlong = _REPR.maxother = sys.maxsize


@attrs.frozen(kw_only=True)
class LoggedCall:
    """One request to an account, as its log keeps it."""

    operation: str
    """`list`, `get`, `create`, `update`, `delete`, or one of role bindings, such as
    `role_bindings.create`; of anything else, the method and path."""
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
    user: str | None = attrs.field(default=None, repr=False)
    """The label of the user that the call is about, or None."""
    resource: str | None = attrs.field(default=None, repr=False)
    """The label of the space or project that the call is about, or None."""
    about: frozenset[str | None] = attrs.field(default=frozenset(), repr=False, eq=False)
    """The names, labels and IDs of all that the call is about."""

    @property
    def host(self) -> str | None:
        """The host that the client called, with its port if its URL has one.

        None for a `FakeRolesClient`, which has no URL.
        """
        return self.request.headers.get("Host")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the call: the ID, the fields of the body, the query's parameters."""
        given = query_of(self.request)
        if self.operation in BY_ID:
            given[BY_ID[self.operation]] = parse_id(self.request.path)
        body = parse_json(self.request.body)
        return given | (body if isinstance(body, dict) else {"body": body})

    def __str__(self) -> str:
        return describe(self, str)


def describe(call: LoggedCall, mask: Callable[[str], str]) -> str:
    """Return a call as one line; the texts of the caller go through `mask` before they are cut."""
    pairs = ", ".join(f"{name}={_REPR.repr(value)}" for name, value in call.arguments.items())
    role = None if call.operation == "create" else call.role
    names = {"": role, " of": call.user, " on": call.resource}.items()
    about = "".join(f"{word} {name!r}" for word, name in names if name is not None)
    outcome = str(call.outcome)
    if isinstance(call.outcome, int) and call.outcome in TITLES:
        outcome += f" {TITLES[call.outcome]}"
    tail = "" if call.attempt == 1 else f", attempt {call.attempt}"
    tail += f", {call.duration:g} s" if call.duration else ""
    # It may be a path, which is percent-encoded.
    plain = unquote(call.operation)
    operation = call.operation if mask(plain) == plain else mask(plain)
    parts = [one_line(mask(text), _MAX_TEXT) for text in (operation, pairs, about)]
    return "{}({}){}".format(*parts) + f" -> {outcome}{tail}"


class CallLog:
    """The newest calls of an account, bounded in number and in the bytes of their requests."""

    def __init__(self, max_calls: int = 10_000, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._calls: deque[LoggedCall] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: LoggedCall) -> None:
        """Add a call, and drop the oldest until the rest is within the limits."""
        self._calls.append(call)
        self._bytes += _size(call.request)
        while self._calls and (len(self._calls) > self._max_calls or self._bytes > self._max_bytes):
            self._bytes -= _size(self._calls.popleft().request)

    def calls(self) -> tuple[LoggedCall, ...]:
        return tuple(self._calls)

    def clear(self) -> None:
        self._calls.clear()
        self._bytes = 0


def _size(request: Request) -> int:
    headers = sum(len(name) + len(value) for name, value in request.headers.items())
    return len(request.target) + len(request.body or b"") + headers
