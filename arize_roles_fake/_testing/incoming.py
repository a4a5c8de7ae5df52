"""A request as the account's controls see it: what it is about, and which calls a test means."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from arize_roles_async._values.requests import is_id, text_flaw
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.service import BY_ID, OPERATIONS
from arize_roles_fake._service.state import State
from arize_roles_fake._service.wire import ParsedRequest, parse

if TYPE_CHECKING:
    from arize_roles_fake._testing.call_log import LoggedCall


_LABELED: Final = ("user_id", "resource_id", "project_id", "space_id")
_NAMING: Final = (*_LABELED, "role_id", "binding_id", "name", "email", "space_name")
"""The arguments that name what a request is about."""


@attrs.frozen
class Matcher:
    """The calls that a fault, a latency or `FakeAccount.block` applies to; some call can match."""

    operation: str
    """The operation; `any` is all of them."""
    about: str | None
    """The name of a role, the label of a user, space or project, or an ID; None is everything."""

    def __str__(self) -> str:
        return repr(self.operation) + (f", about={self.about!r}" if self.about is not None else "")

    def __attrs_post_init__(self) -> None:
        if flaws := [*self.flaws()]:
            raise ValueError("; ".join(flaws))

    def flaws(self) -> Iterator[str]:
        """Yield each reason why no call can match."""
        if self.operation not in (*OPERATIONS, "any"):
            known = ", ".join(OPERATIONS)
            yield f"operation must be one of {known} and any, not {self.operation!r}"
            return
        if self.about is None:
            return
        if flaw := text_flaw(self.about):
            yield f"about {flaw}"
        elif self.operation == "list":
            yield "a list is about all roles, so about must not be given"
        elif self.operation == "create" and is_id(self.about):
            yield "about must be a name for create, as the role has no ID yet"

    def match(self, call: "IncomingRequest | LoggedCall") -> bool:
        operations = OPERATIONS if self.operation == "any" else (self.operation,)
        return call.operation in operations and (self.about is None or self.about in call.about)


class ClientCall:
    """One call of a client, of which each of its requests is a part."""


class InProcessRequest(Request, frozen=True, kw_only=True):
    """A request in process, which names the call that it is part of."""

    call: ClientCall
    unknown_key_is_first: bool = False
    """True if an unknown key counts as the account's first one."""


@attrs.define(eq=False)
class IncomingRequest:
    """A request, everything that a `Matcher` compares, and what the log says of it."""

    parsed: ParsedRequest
    operation: str
    call: ClientCall
    attempt: int
    arguments: dict[str, Any]
    about: frozenset[str] = frozenset()
    """The names, labels and IDs of what it is about."""
    role: str | None = None
    """The name of the role, as far as the account has it."""
    user: str | None = None
    resource: str | None = None


def incoming_of(
    state: State, operation: str, request: Request, call: ClientCall, attempt: int
) -> IncomingRequest:
    records, parsed = state.records, parse(request)
    arguments = _arguments(operation, parsed)
    incoming = IncomingRequest(parsed, operation, call, attempt, arguments)
    if operation not in OPERATIONS:
        return incoming
    given = {name: arguments[name] for name in _NAMING if isinstance(arguments.get(name), str)}
    role_ids = [given["role_id"]] if "role_id" in given else []
    if (binding := records.bindings.by_id(given.get("binding_id", ""))) is not None:
        given |= {"user_id": binding.user_id, "resource_id": binding.resource_id}
        role_ids.append(binding.role_id)
    names = [role.name for each in role_ids if (role := records.roles.by_id(each)) is not None]
    labels = {name: state.ids.label_or_id(given[name]) for name in _LABELED if name in given}
    incoming.about = frozenset({*given.values(), *role_ids, *names, *labels.values()})
    incoming.role = given.get("name") if operation == "create" else next(iter(names), None)
    incoming.user = labels.pop("user_id", None)
    incoming.resource = next(iter(labels.values()), None)
    return incoming


def _arguments(operation: str, asked: ParsedRequest) -> dict[str, Any]:
    """Return the parameters of the query, the ID in the path, and the fields of the body."""
    by_id = {BY_ID[operation]: asked.id} if operation in BY_ID else {}
    body = asked.body if asked.flaw is None else asked.request.body
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {"body": body}
    return {**asked.query, **by_id, **(fields if asked.request.body else {})}
