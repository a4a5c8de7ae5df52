"""A call as an account receives it: what it is about, and which calls a test means."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import attrs

from arize_roles_async._values.requests import is_id, text_flaw
from arize_roles_async._wire.request import Request
from arize_roles_fake._service.service import BY_ID, OPERATIONS
from arize_roles_fake._service.state import State
from arize_roles_fake._service.wire import ParsedRequest

_LABELED: Final = ("user_id", "resource_id", "project_id", "space_id")
_NAMING: Final = (*_LABELED, "role_id", "binding_id", "name", "email", "space_name")
"""The arguments that name what a request is about."""


@attrs.frozen(kw_only=True)
class ReceivedCall:
    """A request to an account, by the operation that it asks for."""

    operation: str
    """`list`, `get`, `create`, `update`, `delete`, or one of role bindings, such as
    `role_bindings.create`; of anything else, the method and path."""
    role: str | None
    """The name of the role at that time; None if there was no such role."""
    attempt: int
    """The number of the attempt within its call, from 1; always 1 for clients without a count."""
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


def received(state: State, parsed: ParsedRequest, attempt: int) -> ReceivedCall:
    """Return the call of a request, with what it is about as far as the account has it."""
    operation, arguments = parsed.operation, _arguments(parsed)
    naming = _NAMING if operation in OPERATIONS else ()
    given = {name: arguments[name] for name in naming if isinstance(arguments.get(name), str)}
    binding = state.records.bindings.by_id(given.get("binding_id", ""))
    if binding is not None:
        given |= {"user_id": binding.user_id, "resource_id": binding.resource_id}
        given["bound_role_id"] = binding.role_id
    role_ids = [given[each] for each in ("role_id", "bound_role_id") if each in given]
    names = [role.name for role in map(state.records.roles.by_id, role_ids) if role is not None]
    labels = {name: state.ids.label_or_id(given[name]) for name in _LABELED if name in given}
    places = (label for name, label in labels.items() if name != "user_id")
    return ReceivedCall(
        operation=operation,
        role=given.get("name") if operation == "create" else next(iter(names), None),
        user=labels.get("user_id"),
        resource=next(places, None),
        about=frozenset({*given.values(), *names, *labels.values()}),
        attempt=attempt,
        request=parsed.request,
        arguments=arguments,
    )


def _arguments(asked: ParsedRequest) -> dict[str, Any]:
    """Return the parameters of the query, the ID in the path, and the fields of the body."""
    by_id = {BY_ID[asked.operation]: asked.id} if asked.operation in BY_ID else {}
    body = asked.body if asked.flaw is None else asked.request.body
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {"body": body}
    return {**asked.query, **by_id, **(fields if asked.request.body else {})}


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

    def match(self, call: ReceivedCall) -> bool:
        operations = OPERATIONS if self.operation == "any" else (self.operation,)
        return call.operation in operations and (self.about is None or self.about in call.about)
