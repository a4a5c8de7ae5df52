"""A call in the log of an account, and how it is shown."""

import reprlib
import sys
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote

import attrs

from arize_roles_async._values.text import one_line
from arize_roles_fake._service.wire import TITLES
from arize_roles_fake._testing.fault_rules import Breakage
from arize_roles_fake._testing.received import ReceivedCall

_MAX_TEXT = 600
_REPR = reprlib.Repr()
_REPR.maxlevel = 50
_REPR.maxdict = _REPR.maxlist = _REPR.maxstring = _REPR.maxlong = _REPR.maxother = sys.maxsize


@attrs.frozen(kw_only=True)
class LoggedCall(ReceivedCall):
    """One request to an account, as its log keeps it."""

    api_key: str = attrs.field(repr=False)
    outcome: int | Breakage
    """The status of the answer, or the way in which the attempt failed without one."""
    duration: float
    """The latency of the answer, in seconds on the account's clock."""
    at: datetime
    """The time of the request, on the account's clock."""

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
