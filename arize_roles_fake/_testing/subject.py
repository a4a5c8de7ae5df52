"""The role, user and resource that a request is about."""

from typing import cast

import attrs

from arize_roles_async._wire.request import Request
from arize_roles_fake._service.operations import BY_ID
from arize_roles_fake._service.state import State
from arize_roles_fake._service.wire import parse_id, parse_json


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
