"""Every method of a client, written once for any transport.

The methods check their arguments and run each call with a driver.
"""

from functools import partial
from typing import overload

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.call import FindOutcome
from arize_roles_async._calls.driver import DrivenCall
from arize_roles_async._clients.client import BaseClient
from arize_roles_async._clients.notices import pre_release
from arize_roles_async._roles.lookup import NameLookup
from arize_roles_async._roles.models import ListRolesResponse, Role
from arize_roles_async._roles.protocol import RolesClient
from arize_roles_async._roles.requests import (
    ROLES,
    CreateRole,
    ListRoles,
    RolePages,
    UpdateRole,
    normalize_permissions,
)
from arize_roles_async._values import errors
from arize_roles_async._values.base_errors import validation_error
from arize_roles_async._values.permissions import PermissionsArgument
from arize_roles_async._values.requests import check, id_flaw, is_id, is_same_name, name_or_id_flaw

alpha = pre_release("roles", "ALPHA (BETA in Arize's newest clients)", errors.AlphaWarning)


class BaseRolesClient(BaseClient[NameLookup], RolesClient):
    _collection = ROLES

    @alpha
    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | UnsetType = UNSET,
    ) -> RolePages:
        return RolePages(self._list_page, limit=limit, cursor=cursor, is_predefined=is_predefined)

    @overload
    async def get(self, *, role_id: str) -> Role: ...
    @overload
    async def get(self, *, role: str) -> Role: ...
    @alpha
    async def get(self, *, role_id: str | None = None, role: str | None = None) -> Role:
        target, is_name = _parse_target(role_id, role)
        with self._begin("get") as call:
            return await (self._find(call, target) if is_name else self._get(call, target))

    @alpha
    async def create(
        self, *, name: str, permissions: PermissionsArgument, description: str | None = None
    ) -> Role:
        new = CreateRole(
            name=name,
            permissions=normalize_permissions(permissions),
            description=UNSET if description is None else description,
        )
        with self._begin("create") as call:
            find = partial(self._find_created, call, new)
            role = await call.change(ROLES, Role, new, find)
            call.lookup.learn([role])
            return role

    @overload
    async def update(
        self,
        *,
        role_id: str,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role: ...
    @overload
    async def update(
        self,
        *,
        role: str,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role: ...
    @alpha
    async def update(
        self,
        *,
        role_id: str | None = None,
        role: str | None = None,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role:
        target, is_name = _parse_target(role_id, role)
        changes = UpdateRole(
            name=UNSET if name is None else name,
            description=description,
            permissions=UNSET if permissions is None else normalize_permissions(permissions),
        )
        with self._begin("update") as call:
            found_id = (await self._find(call, target)).id if is_name else target
            find = partial(self._find_updated, call, found_id, changes)
            updated = await call.change(ROLES, Role, changes, find, found_id)
            call.lookup.learn([updated])
            return updated

    @overload
    async def delete(self, *, role_id: str) -> None: ...
    @overload
    async def delete(self, *, role: str) -> None: ...
    @alpha
    async def delete(self, *, role_id: str | None = None, role: str | None = None) -> None:
        target, is_name = _parse_target(role_id, role)
        with self._begin("delete") as call:
            found_id = (await self._find(call, target)).id if is_name else target
            await call.delete_item(ROLES, Role, found_id, was_found=True)

    async def _list_page(self, page: ListRoles) -> ListRolesResponse:
        with self._begin("list") as call:
            return await self._fetch(call, page)

    async def _fetch(self, call: DrivenCall[NameLookup], page: ListRoles) -> ListRolesResponse:
        response = await call.get_page(ROLES, ListRolesResponse, page)
        call.lookup.learn(response.roles)
        return response

    async def _get(self, call: DrivenCall[NameLookup], role_id: str) -> Role:
        role = await call.get_item(ROLES, Role, role_id)
        call.lookup.learn([role])
        return role

    async def _find(self, call: DrivenCall[NameLookup], name: str) -> Role:
        if not call.keys:
            await call.ask_key()
        fetch, get = partial(self._fetch, call), partial(self._get, call)
        return await call.lookup.find(name, call, fetch, get)

    # These read the account again to find out whether a change was made, after the failure of its
    # last attempt: see `DrivenCall.send`.

    async def _find_created(
        self, call: DrivenCall[NameLookup], new: CreateRole, step: FindOutcome
    ) -> Role | UnsetType:
        """Return the role that this call made."""
        failure = step.failure
        found = await self._find_similar(call, new.name)
        if found is None:
            # If it was taken and nobody has it any longer, this call may have made that role.
            in_doubt = isinstance(failure, errors.ConflictError)
        else:
            is_new = not found.is_predefined and call.may_be_since(found.created_at)
            is_as_asked = _matches(found, new) or found.updated_at > found.created_at
            if is_new and is_as_asked and found.name == new.name:
                return found
            # Whoever has made it since, this call may have made it first.
            in_doubt = is_new or found.permissions is None
        # After other failures, an earlier attempt may still make the role.
        is_final = step.all_refused or isinstance(
            failure, errors.ConflictError | errors.ForbiddenError
        )
        if is_final and not in_doubt:
            raise failure
        return UNSET

    async def _find_similar(self, call: DrivenCall[NameLookup], name: str) -> Role | None:
        """Return the role with a name, or with one that differs by case and outer spaces."""
        similar: Role | None = None
        async for role in RolePages(partial(self._fetch, call)):
            if role.name == name:
                return role
            if is_same_name(role.name, name):
                similar = role
        return similar

    async def _find_updated(
        self, call: DrivenCall[NameLookup], role_id: str, changes: UpdateRole, step: FindOutcome
    ) -> Role | UnsetType:
        """Return the role if it is as this call requested."""
        # A role that is gone may have been deleted after this call changed it.
        role = await self._get(call, role_id)
        if _matches(role, changes):
            return role
        is_taken = changes.name is not UNSET and not is_same_name(changes.name, role.name)
        # If somebody changed it since, this call may have changed it first.
        is_untouched = not call.may_be_since(role.updated_at)
        is_conflict = is_taken and isinstance(step.failure, errors.ConflictError)
        if is_conflict or (step.all_refused and is_untouched):
            raise step.failure
        return UNSET


def _parse_target(role_id: str | None, role: str | None) -> tuple[str, bool]:
    """Return the ID or name that was given, and whether it is a name."""
    if role is None and role_id is not None:
        check(("role_id", id_flaw(role_id, "role")))
        return role_id, False
    if role_id is None and role is not None:
        check(("role", name_or_id_flaw("role", role)))
        return role, not is_id(role)
    raise validation_error(("role_id, role", "exactly one must be given"))


def _matches(role: Role, asked: CreateRole | UpdateRole) -> bool:
    """Return whether a role is as requested."""
    if asked.name is not UNSET and role.name != asked.name:
        return False
    is_kept = asked.description is UNSET and isinstance(asked, UpdateRole)
    if not is_kept and (role.description or "") != (asked.description or ""):
        return False
    return asked.permissions is UNSET or set(role.permissions or ()) == set(asked.permissions)
