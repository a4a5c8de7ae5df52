"""What an account holds: put there by a test or a file, and as the data of a file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import attrs
import msgspec

from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._directory.requests import ID_KINDS
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_async._roles.requests import permissions_flaw
from arize_roles_async._values.options import is_count
from arize_roles_async._values.permissions import AnyPermission, known_permission
from arize_roles_async._values.requests import id_kind
from arize_roles_async._values.text import quoted
from arize_roles_fake._service.ids import Ids, resource_type
from arize_roles_fake._service.state import Grants, State
from arize_roles_fake._service.wire import members_of
from arize_roles_fake._testing.account_file import (
    AccountData,
    BindingData,
    DirectoryData,
    KeyData,
    RoleData,
)
from arize_roles_fake._testing.make_role import make_role, reject_string, writable

_Thing = TypeVar("_Thing", bound=User | Space | Project)


def limit_custom_roles(state: State, count: int | None) -> None:
    if not (count is None or is_count(count)):
        raise ValueError(f"max_custom_roles must be an integer of 0 or more, not {quoted(count)}")
    state.max_custom_roles = count


def find_role(state: State, role: Role | str) -> Role:
    """Return a role of the account, given a role, an ID or a name, or raise `LookupError`."""
    wanted = role if isinstance(role, str) else role.id
    found = state.store.by_id(wanted) or state.store.by_name(wanted)
    if found is None:
        raise LookupError(f"no role has the ID or name {wanted!r}")
    return found


def add_role(state: State, name: str, fields: Mapping[str, Any]) -> Role:
    """Add a role with some of its fields, as `FakeAccount.add_role` takes them."""
    store = state.store
    taken = store.by_name(name)
    if taken is not None:
        raise ValueError(f"a role is already named {taken.name!r}")
    given: dict[str, Any] = {"created_at": state.now(), "permissions": ()}
    given |= {field: value for field, value in fields.items() if value is not None}
    given["id"] = given.get("id") or store.next_id()
    if store.by_id(given["id"]) is not None:
        raise ValueError(f"a role already has the ID {given['id']!r}")
    role = make_role(name=name, **given)
    state.extra_permissions |= {str(each) for each in role.permissions or () if not each.is_known}
    store.put(role)
    return role


def bind(state: State, data: BindingData) -> RoleBinding:
    """Add a role binding, as `FakeAccount.bind`; one of a file may have an ID and timestamps."""
    bindings, role_id = state.store.bindings, find_role(state, data.role).id
    user, resource = state.ids.of_user(data.user), state.ids.of_resource(data.resource)
    there = bindings.by_target(user, resource)
    if there is not None:
        name = find_role(state, there.role_id).name
        raise ValueError(f"{data.user!r} already has the role {name!r} on {data.resource!r}")
    created = writable(data.created_at or state.now())
    binding = RoleBinding(
        id=bindings.next_id() if data.id is None else data.id,
        role_id=role_id,
        user_id=user,
        resource_type=resource_type(resource),
        resource_id=resource,
        created_at=created,
        updated_at=writable(data.updated_at or created),
    )
    if bindings.by_id(binding.id) is not None:
        raise ValueError(f"a role binding already has the ID {binding.id!r}")
    bindings.put(binding)
    state.know(user, resource)
    return binding


def add_thing(state: State, thing: _Thing) -> _Thing:
    """Add a user, space or project, or replace the one with the ID, which stays as old as it is."""
    try:
        msgspec.json.decode(msgspec.json.encode(thing, enc_hook=str), type=type(thing))
    except msgspec.ValidationError as error:
        raise TypeError(str(error)) from error
    what = type(thing).__name__.lower()
    if id_kind(thing.id) not in ID_KINDS[what]:
        raise ValueError(f"{thing.id!r} is not the ID of a {what}")
    things = state.records_of(thing.id)
    known = things.by_id(thing.id) or thing
    thing = attrs.evolve(thing, created_at=writable(known.created_at or state.now()))
    things.put(thing)
    state.store.blocked.discard(thing.id)
    if isinstance(thing, Project):
        state.know(thing.space_id)
    return thing


def grants_of(
    state: State,
    grants: Iterable[AnyPermission | str] | None,
    on: Mapping[str, Iterable[AnyPermission | str]] | None = None,
) -> Grants:
    """Return the grants of a key, as `FakeAccount.add_key` takes them."""

    def known(permissions: Iterable[AnyPermission | str]) -> frozenset[str]:
        given = frozenset(map(str, reject_string(permissions)))
        unknown = (p for p in given - state.extra_permissions if not known_permission(p))
        if flawed := tuple(sorted(unknown)):
            raise ValueError(permissions_flaw(flawed))
        return given

    return Grants(
        None if grants is None else known(grants),
        {state.ids.of_resource(place): known(granted) for place, granted in (on or {}).items()},
    )


def fill(state: State, data: AccountData) -> None:
    """Replace everything in an account by the data of a file, or raise `ValueError`."""
    ids = Ids(data.tenant or "")
    state.clear(ids)
    state.extra_permissions = frozenset(data.extra_permissions)
    limit_custom_roles(state, data.max_custom_roles)
    store, directory = state.store, data.directory or DirectoryData()
    # Before the bindings, for which a user, space or project that is not there yet is made.
    added: list[User | Space | Project] = [*directory.users, *directory.spaces, *directory.projects]
    for thing in added:
        add_thing(state, thing)
    store.blocked.update(map(ids.of_user, directory.blocked))
    for each in data.roles:
        store.reserve(each.id or "")
    for binding in data.role_bindings:
        store.bindings.reserve(binding.id or "")
    for each in reversed(data.roles):
        fields = msgspec.structs.asdict(each)
        add_role(state, fields.pop("name"), fields)
    for binding in reversed(data.role_bindings):
        bind(state, binding)
    store.kept_names.extend(data.kept_names)
    store.created = max(store.created, data.roles_created)
    store.bindings.created = max(store.bindings.created, data.role_bindings_created)
    state.has_every_user, state.has_every_place = data.users is None, data.resources is None
    state.know(*map(ids.of_user, data.users or ()), *map(ids.of_resource, data.resources or ()))
    for key, grants in (data.keys or {}).items():
        if isinstance(grants, KeyData):
            state.keys[key] = grants_of(state, grants.grants, grants.on)
        else:
            state.keys[key] = grants_of(state, grants)


def data_of(state: State, now: datetime) -> AccountData:
    store, ids, bindings = state.store, state.ids, state.store.bindings
    directory = DirectoryData(
        users=store.users.in_order(),
        spaces=store.spaces.in_order(),
        projects=store.projects.in_order(),
        blocked=tuple(sorted(map(ids.unique_label, store.blocked))),
    )
    return AccountData(
        roles=tuple(RoleData(**members_of(role)) for role in reversed(store.in_order())),
        role_bindings=tuple(_binding_data(state, each) for each in reversed(bindings.in_order())),
        # Nobody else: those that there are stand in the directory.
        users=None if state.has_every_user else (),
        resources=None if state.has_every_place else (),
        directory=None if directory == DirectoryData() else directory,
        now=now,
        max_custom_roles=state.max_custom_roles,
        assumptions=state.assumptions.changed(),
        keys={key: _key_data(ids, grants) for key, grants in state.keys.items()},
        extra_permissions=tuple(sorted(state.extra_permissions)),
        kept_names=tuple(store.kept_names),
        roles_created=store.created if store.created > len(store) else 0,
        role_bindings_created=bindings.created if bindings.created > len(bindings) else 0,
        tenant=ids.tenant,
    )


def _binding_data(state: State, binding: RoleBinding) -> BindingData:
    return BindingData(
        role=find_role(state, binding.role_id).name,
        user=state.ids.unique_label(binding.user_id),
        resource=state.ids.unique_label(binding.resource_id),
        id=binding.id,
        created_at=binding.created_at,
        updated_at=binding.updated_at,
    )


def _key_data(ids: Ids, key: Grants) -> tuple[str, ...] | KeyData | None:
    if key.everywhere is None:
        return None
    grants = tuple(sorted(key.everywhere))
    if not key.on:
        return grants
    on = {ids.unique_label(each): tuple(sorted(granted)) for each, granted in key.on.items()}
    return KeyData(grants=grants, on=on)
