"""The rules of roles that need the account's state.

Where the reference is silent, `Assumptions` decides.
"""

from collections.abc import Callable, Iterable
from typing import Final

import attrs
from msgspec import UNSET
from msgspec.structs import asdict

from arize_roles_async._roles.models import Role
from arize_roles_async._roles.requests import CreateRole, ListRoles, UpdateRole
from arize_roles_async._values.permissions import AnyPermission, Permission
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.state import Grants, RefusedError, State, require
from arize_roles_fake._service.wire import ParsedRequest, decode_query, record_response

_ORDERS: Final[dict[str, Callable[[tuple[AnyPermission, ...]], Iterable[AnyPermission]]]] = {
    "as-sent": tuple,
    "sorted": sorted,
    "reversed": reversed,
}


def _list(state: State, grants: Grants, request: ParsedRequest) -> Response:
    require(grants, Permission.ROLE_READ)
    asked = decode_query(ListRoles, request)

    def is_asked(role: Role) -> bool:
        return asked.is_predefined in {UNSET, role.is_predefined}

    return state.page("roles", asked, state.records.roles, only=is_asked)


def _create(state: State, grants: Grants, request: ParsedRequest) -> Response:
    require(grants, Permission.ROLE_CREATE)
    new = state.body(request, CreateRole)
    name = _as_stored(state, new.name)
    _require_free(state, name)
    limit = state.max_custom_roles
    roles = () if limit is None else state.records.roles.in_order()
    custom = sum(not each.is_predefined for each in roles)
    if limit is not None and custom >= limit:
        raise RefusedError(
            403,
            "the account's plan allows no more custom roles",
            entitlement="CUSTOM_ROLES",  # The reference does not publish it.
            limit=limit,
            current_count=custom,
            required_plan="ENTERPRISE",
        )
    now = state.now()
    role = Role(
        id=state.records.roles.next_id(),
        name=name,
        description=None if new.description is UNSET else new.description or None,
        permissions=_in_order(state, new.permissions),
        is_predefined=False,
        created_at=now,
        updated_at=now,
    )
    state.records.roles.put(role)
    return _answer(201, role, grants)


def _get(state: State, grants: Grants, request: ParsedRequest) -> Response:
    require(grants, Permission.ROLE_READ)
    return _answer(200, _existing(state, request), grants)


def _update(state: State, grants: Grants, request: ParsedRequest) -> Response:
    require(grants, Permission.ROLE_UPDATE)
    changes = state.body(request, UpdateRole)
    role = _custom(state, request, "updated")
    given = {field: value for field, value in asdict(changes).items() if value is not UNSET}
    if changes.name is not UNSET:
        given["name"] = name = _as_stored(state, changes.name)
        if name != role.name:
            _require_free(state, name, but_for=role)
        elif state.assumptions.rename_to_own_name != 200:  # noqa: PLR2004 - that it succeeds
            raise RefusedError(
                state.assumptions.rename_to_own_name, f"the role is already named {name!r}"
            )
    if "description" in given:
        given["description"] = given["description"] or None
    if "permissions" in given:
        given["permissions"] = _in_order(state, given["permissions"])
    changed = attrs.evolve(role, **given, updated_at=state.now())
    state.records.roles.put(changed)
    return _answer(200, changed, grants)


def _delete(state: State, grants: Grants, request: ParsedRequest) -> Response:
    require(grants, Permission.ROLE_DELETE)
    role = _custom(state, request, "deleted")
    bindings = len(state.records.bindings.of_role(role))
    if bindings:
        counted = f"{bindings} role binding{'' if bindings == 1 else 's'}"
        raise RefusedError(409, f"{role.name!r} cannot be deleted: it still has {counted}")
    state.records.roles.remove(role)
    if state.assumptions.deleted_name == "kept":
        state.records.kept_names.append(role.name)
    return Response(status=204, headers={}, body=b"")


def _as_stored(state: State, name: str) -> str:
    """Return a name as the service stores it."""
    if state.assumptions.name_comparison != "trimmed":
        return name
    trimmed = name.strip()
    if not trimmed:
        raise RefusedError(state.assumptions.invalid_body, "name: must not be only spaces")
    return trimmed


def _require_free(state: State, name: str, *, but_for: Role | None = None) -> None:
    taken = state.records.roles.by_name(name)
    if taken is not None and taken is not but_for:
        raise RefusedError(409, f"a role is already named {taken.name!r}")
    normalize = state.records.roles.normalize
    if normalize(name) in map(normalize, state.records.kept_names):
        raise RefusedError(409, f"{name!r} was the name of a deleted role")


def _in_order(state: State, permissions: tuple[AnyPermission, ...]) -> tuple[AnyPermission, ...]:
    """Return permissions in the order of answers."""
    return tuple(_ORDERS[state.assumptions.permission_order](permissions))


def _existing(state: State, request: ParsedRequest) -> Role:
    role = state.records.roles.by_id(request.id)
    if role is None:
        raise state.not_found("role", request.id, unknown=state.assumptions.unknown_id)
    return role


def _custom(state: State, request: ParsedRequest, done: str) -> Role:
    role = _existing(state, request)
    if role.is_predefined:
        status = state.assumptions.predefined_refusal
        raise RefusedError(status, f"{role.name!r} is a predefined role and cannot be {done}")
    return role


def _answer(status: int, role: Role, grants: Grants) -> Response:
    if not grants.allow(Permission.ROLE_READ):
        role = attrs.evolve(role, permissions=None)
    return record_response(status, role)


HANDLERS: Final[dict[str, Callable[[State, Grants, ParsedRequest], Response]]] = {
    "list": _list,
    "create": _create,
    "get": _get,
    "update": _update,
    "delete": _delete,
}
