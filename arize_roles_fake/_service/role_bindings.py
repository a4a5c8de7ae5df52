"""The rules of role bindings that need the account's state.

Where the reference is silent, `Assumptions` decides.
"""

from collections.abc import Callable
from typing import Final

import attrs
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from arize_roles_async._role_bindings.models import RoleBinding, RoleBindingResourceType
from arize_roles_async._role_bindings.requests import (
    RESOURCE_KINDS,
    CreateRoleBinding,
    ListRoleBindings,
    UpdateRoleBinding,
)
from arize_roles_async._values.details import Violation
from arize_roles_async._values.permissions import Permission
from arize_roles_async._values.requests import id_kind
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.state import Grants, RefusedError, State
from arize_roles_fake._service.wire import (
    InvalidBodyError,
    ParsedRequest,
    decode_query,
    record_response,
)


def _list(state: State, grants: Grants, request: ParsedRequest) -> Response:
    asked = decode_query(ListRoleBindings, request)
    if not isinstance(asked.user_id, UnsetType):
        _require_user(state, asked.user_id)

    def is_asked(binding: RoleBinding) -> bool:
        return (
            binding.resource_type == asked.resource_type
            and asked.user_id in {UNSET, binding.user_id}
            and _allows(state, grants, Permission.ROLE_BINDING_READ, binding)
        )

    return state.page("role_bindings", asked, state.records.bindings, only=is_asked)


def _create(state: State, grants: Grants, request: ParsedRequest) -> Response:
    new = state.body(request, CreateRoleBinding)
    if id_kind(new.resource_id) not in RESOURCE_KINDS[new.resource_type]:
        flaw = f"{new.resource_id[:80]!r} is not the ID of a {new.resource_type}"
        raise InvalidBodyError(violations=(Violation("resource_id", flaw),))
    right = Permission.ROLE_BINDING_CREATE
    if not (state.has(new.resource_id) and _allows(state, grants, right, new)):
        raise RefusedError(403, f"the API key lacks {right} there")
    _require_user(state, new.user_id)
    _require_role(state, new.role_id)
    there = state.records.bindings.by_target(new.user_id, new.resource_id)
    if there is not None:
        raise RefusedError(409, f"the user already has a role on the resource, by {there.id!r}")
    now, new_id = state.now(), state.records.bindings.next_id()
    given = {**asdict(new), "resource_type": RoleBindingResourceType(new.resource_type)}
    binding = RoleBinding(**given, id=new_id, created_at=now, updated_at=now)
    state.records.bindings.put(binding)
    state.add_implied(new.user_id, new.resource_id)
    return record_response(201, binding)


def _get(state: State, grants: Grants, request: ParsedRequest) -> Response:
    return record_response(200, _visible(state, grants, request, Permission.ROLE_BINDING_READ))


def _update(state: State, grants: Grants, request: ParsedRequest) -> Response:
    changes = state.body(request, UpdateRoleBinding)
    binding = _visible(
        state, grants, request, Permission.ROLE_BINDING_CREATE, Permission.ROLE_BINDING_DELETE
    )
    _require_role(state, changes.role_id)
    if changes.role_id == binding.role_id and state.assumptions.rebind_to_own_role != 200:  # noqa: PLR2004 - that it succeeds
        raise RefusedError(state.assumptions.rebind_to_own_role, "the user already has this role")
    moment = state.now() if state.assumptions.binding_updated_at == "moves" else binding.updated_at
    changed = attrs.evolve(binding, role_id=changes.role_id, updated_at=moment)
    state.records.bindings.put(changed)
    return record_response(200, changed)


def _delete(state: State, grants: Grants, request: ParsedRequest) -> Response:
    binding = _visible(state, grants, request, Permission.ROLE_BINDING_DELETE)
    state.records.bindings.remove(binding)
    return Response(status=204, headers={}, body=b"")


def _visible(
    state: State, grants: Grants, request: ParsedRequest, *needed: Permission
) -> RoleBinding:
    """Return the binding of a request; without the rights on its resource, it is not found."""
    binding = state.records.bindings.by_id(request.id)
    if binding is None or not all(_allows(state, grants, each, binding) for each in needed):
        raise state.not_found("role binding", request.id)
    return binding


def _allows(
    state: State, grants: Grants, permission: Permission, there: CreateRoleBinding | RoleBinding
) -> bool:
    """Return whether a key grants a permission where a role binding is or is to be."""
    where: str | None = there.resource_id
    if there.resource_type == "PROJECT" and state.assumptions.project_rights == "space":
        where = state.entry(there.resource_id).space_id
    return grants.allow(permission, where)


def _require_user(state: State, user_id: str) -> None:
    if id_kind(user_id) != "User" or not state.has(user_id):
        raise state.not_found("user", user_id)


def _require_role(state: State, role_id: str) -> None:
    if state.records.roles.by_id(role_id) is None:
        raise state.not_found("role", role_id)


HANDLERS: Final[dict[str, Callable[[State, Grants, ParsedRequest], Response]]] = {
    "role_bindings.list": _list,
    "role_bindings.create": _create,
    "role_bindings.get": _get,
    "role_bindings.update": _update,
    "role_bindings.delete": _delete,
}
