"""A request as the account's controls see it: what it is about, and which calls a test means."""

from collections.abc import Iterator
from typing import cast

import attrs

from arize_roles_async._roles.requests import is_role_id
from arize_roles_async._values.requests import text_flaw
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.service import BY_ID, OPERATIONS, verb
from arize_roles_fake._service.state import State
from arize_roles_fake._service.wire import parse_id, parse_json


@attrs.frozen
class CallFilter:
    """The calls that a fault, a latency or `FakeAccount.block` applies to; some call can match."""

    operation: str
    """The operation; `any` is all of them."""
    role: str | None
    """The name or ID of the role; None is every role."""

    def __str__(self) -> str:
        return repr(self.operation) + (f", role={self.role!r}" if self.role is not None else "")

    def __attrs_post_init__(self) -> None:
        if flaws := [*self.flaws()]:
            raise ValueError("; ".join(flaws))

    def flaws(self) -> Iterator[str]:
        """Yield each reason why no call can match."""
        if self.operation not in (*OPERATIONS, "any"):
            known = ", ".join(OPERATIONS)
            yield f"operation must be one of {known} and any, not {self.operation!r}"
            return
        if self.role is None:
            return
        if flaw := text_flaw(self.role):
            yield f"role {flaw}"
        elif verb(self.operation) == "list":
            yield "a list is about all roles, so role must not be given"
        elif self.operation.partition(".")[0] in {"users", "spaces", "projects"}:
            yield f"{self.operation} is about no role, so role must not be given"
        elif self.operation == "create" and is_role_id(self.role):
            yield "role must be a name for create, as the role has no ID yet"

    def match(self, incoming: "IncomingRequest") -> bool:
        operations = OPERATIONS if self.operation == "any" else (self.operation,)
        return not incoming.counts_as.isdisjoint(operations) and (
            self.role is None or self.role in incoming.about
        )


@attrs.define(kw_only=True, eq=False)
class CallState:
    """The account's state for one call of a client."""

    operation: str | None = None
    """The method that was called; None over HTTP, where only requests are seen."""
    name: str | None = None
    """The name of the role that the call looks for; None if it has an ID, and over HTTP."""
    requests: int = 0
    """The number of requests so far, without their later attempts; always 0 over HTTP."""


class CallRequest(Request, frozen=True, kw_only=True):
    """A request in process, which names the call that it is part of."""

    call: CallState
    unknown_key_is_first: bool = False
    """True if an unknown key counts as the account's first one."""


@attrs.define(kw_only=True, eq=False)
class IncomingRequest:
    """A request, everything that a `CallFilter` compares, and what the log says of it."""

    request: Request
    operation: str
    call: CallState
    attempt: int
    counts_as: set[str]
    about: set[str | None] = attrs.field(factory=set[str | None])
    """The names and IDs of each role that it is about."""
    role: str | None = None
    """The name of the role, as far as the account has it."""
    user: str | None = None
    resource: str | None = None


def incoming_of(
    state: State, operation: str, request: Request, call: CallState, attempt: int
) -> IncomingRequest:
    store, label, path_id = state.store, state.ids.label, parse_id(request.path)
    incoming = IncomingRequest(
        request=request, operation=operation, call=call, attempt=attempt, counts_as={operation}
    )
    # The first request of a `get` by a name is often a list, which counts as a `get`, too.
    if call.operation == "get" and call.requests == 1:
        incoming.counts_as.add("get")
    if operation == "list" and call.name is not None and "get" in incoming.counts_as:
        wanted = store.by_name(call.name)
        incoming.about = {call.name, None if wanted is None else wanted.id}
    elif operation == "create":
        incoming.role = _member(request, "name")
        incoming.about = {incoming.role}
    elif BY_ID.get(operation) == "role_id":
        role = store.by_id(path_id)
        incoming.role = None if role is None else role.name
        incoming.about = {path_id, incoming.role}
    elif operation.startswith("role_bindings."):
        binding = store.bindings.by_id(path_id) if operation in BY_ID else None
        role_ids = [_member(request, "role_id"), None if binding is None else binding.role_id]
        roles = [store.by_id(each) for each in role_ids if each is not None]
        names = [role.name for role in roles if role is not None]
        incoming.role = names[0] if names else None
        incoming.about = {*role_ids, *names}
        user = _member(request, "user_id") if binding is None else binding.user_id
        resource = _member(request, "resource_id") if binding is None else binding.resource_id
        incoming.user = None if user is None else label(user)
        incoming.resource = None if resource is None else label(resource)
    return incoming


def _member(request: Request, name: str) -> str | None:
    body = parse_json(request.body)
    value = cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else None
