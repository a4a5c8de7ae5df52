"""A call in the log of an account, and how it is shown."""

import reprlib
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import attrs

from arize_roles_async._values.text import one_line
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.wire import TITLES
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
    arguments: Mapping[str, Any] = attrs.field(repr=False, eq=False)
    """The arguments of the call: the ID, the fields of the body, the query's parameters."""
    user: str | None = attrs.field(default=None, repr=False)
    """The label of the user that the call is about, or None."""
    resource: str | None = attrs.field(default=None, repr=False)
    """The label of the space or project that the call is about, or None."""
    about: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False)
    """The names, labels and IDs of all that the call is about."""

    @property
    def host(self) -> str | None:
        """The host that the client called, with its port if its URL has one.

        None for a `FakeRolesClient`, which has no URL.
        """
        return self.request.headers.get("Host")

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
