"""A request as the account's controls see it: what it is about, and which calls a test means."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import attrs

from arize_roles_async._roles.requests import is_role_id
from arize_roles_async._values.requests import text_flaw
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.operations import BY_ID, OPERATIONS, verb
from arize_roles_fake._service.state import State
from arize_roles_fake._service.wire import parse_id, parse_json

if TYPE_CHECKING:
    from arize_roles_fake._testing.faults import ScriptedFault


@attrs.frozen(kw_only=True)
class Subject:
    """What a request is about, as far as the account has it."""

    role: str | None = None
    """The name of the role."""
    roles: frozenset[str | None] = frozenset()
    """The names and IDs of each role that it is about."""
    user: str | None = None
    """The label of the user."""
    resource: str | None = None
    """The label of the space or project."""


def subject_of(state: State, operation: str, request: Request) -> Subject:
    """Return what a request is about."""
    store, label = state.store, state.ids.label
    if operation == "create":
        name = _member(request, "name")
        return Subject(role=name, roles=frozenset({name}))
    if BY_ID.get(operation) == "role_id":
        role_id = parse_id(request.path)
        role = store.by_id(role_id)
        name = None if role is None else role.name
        return Subject(role=name, roles=frozenset({role_id, name}))
    if not operation.startswith("role_bindings."):
        return Subject(roles=frozenset({None}))
    binding = store.bindings.by_id(parse_id(request.path)) if operation in BY_ID else None
    role_ids = [_member(request, "role_id"), None if binding is None else binding.role_id]
    found = [store.by_id(each) for each in role_ids if each is not None]
    names = [role.name for role in found if role is not None]
    user = _member(request, "user_id") if binding is None else binding.user_id
    resource = _member(request, "resource_id") if binding is None else binding.resource_id
    return Subject(
        role=names[0] if names else None,
        roles=frozenset({None, *names, *role_ids}),
        user=None if user is None else label(user),
        resource=None if resource is None else label(resource),
    )


def _member(request: Request, name: str) -> str | None:
    """Return a text in the body of a request, or None."""
    body = parse_json(request.body)
    value = cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else None


@attrs.frozen
class CallFilter:
    """The calls that a fault, a latency or `FakeAccount.block` applies to."""

    operation: str
    """The operation; `any` is all of them."""
    role: str | None
    """The name or ID of the role; None is every role."""

    def __str__(self) -> str:
        return repr(self.operation) + (f", role={self.role!r}" if self.role is not None else "")

    def check(self) -> None:
        """Raise `ValueError` if no call can match."""
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
        flaw = text_flaw(self.role)
        if flaw is not None:
            yield f"role {flaw}"
        elif verb(self.operation) == "list":
            yield "a list is about all roles, so role must not be given"
        elif self.operation.partition(".")[0] in {"users", "spaces", "projects"}:
            yield f"{self.operation} is about no role, so role must not be given"
        elif self.operation == "create" and is_role_id(self.role):
            yield "role must be a name for create, as the role has no ID yet"

    def match(self, incoming: "IncomingRequest") -> bool:
        """Return whether a request is part of one of these calls."""
        operations = OPERATIONS if self.operation == "any" else (self.operation,)
        return not incoming.counts_as.isdisjoint(operations) and (
            self.role is None or self.role in incoming.subject.roles
        )


@attrs.define(kw_only=True, eq=False)
class CallState:
    """The account's state for one call of a client."""

    operation: str | None = None
    """The method that was called; None over HTTP, where only requests are seen."""
    name: str | None = None
    """The name of the role that the call looks for; None if it has an ID, and over HTTP."""
    requests: int = 0
    """The number of requests so far, without their later attempts."""
    fault: "ScriptedFault | None" = None
    """The fault that strikes every attempt of the request under way, and perhaps those after it."""


@attrs.frozen(kw_only=True)
class IncomingRequest:
    """A request, and everything that a `CallFilter` compares."""

    request: Request
    operation: str
    subject: Subject
    call: CallState
    attempt: int
    """The number of the attempt, from 1."""
    counts_as: set[str]
    """The operations that it counts as."""


class CallRequest(Request, frozen=True, kw_only=True):
    """A request in process, which names the call that it is part of."""

    call: CallState
    unknown_key_is_first: bool = False
    """True if an unknown key counts as the account's first one."""
