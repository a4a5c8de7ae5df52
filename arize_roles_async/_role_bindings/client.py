"""The methods of role bindings, written once for any transport.

For a binding, not found also means that the key lacks a right: it proves nothing, unless this call
has seen the binding before.
"""

from collections.abc import AsyncIterator
from typing import Final

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.client import BaseClient
from arize_roles_async._calls.driver import Lookup
from arize_roles_async._calls.stage import pre_release
from arize_roles_async._role_bindings import changes
from arize_roles_async._role_bindings.models import (
    ListRoleBindingsResponse,
    RoleBinding,
    RoleBindingResourceType,
)
from arize_roles_async._role_bindings.operations import ROLE_BINDINGS
from arize_roles_async._role_bindings.pages import RoleBindingPages
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._role_bindings.requests import (
    CreateRoleBinding,
    ListRoleBindings,
    Target,
    resource_id_flaw,
)
from arize_roles_async._values.errors import BetaWarning
from arize_roles_async._values.requests import check, id_flaw, is_same_id

_FOUND_BY: Final = {"role_id": "role", "user_id": "user", "resource_id": "space or project"}

beta = pre_release("role_bindings", "BETA", BetaWarning)


class BaseRoleBindingsClient(BaseClient[Lookup], RoleBindingsClient):
    """The methods of `RoleBindingsClient`, whatever the transport."""

    _resource = ROLE_BINDINGS

    @beta
    def list(
        self,
        *,
        resource_type: RoleBindingResourceType | str,
        user_id: str | UnsetType = UNSET,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RoleBindingPages:
        return RoleBindingPages(
            self._list_page,
            resource_type=resource_type,
            user_id=user_id,
            limit=limit,
            cursor=cursor,
        )

    @beta
    async def get(self, *, binding_id: str) -> RoleBinding:
        check(("binding_id", id_flaw(binding_id, "role binding")))
        call = self._begin("role_bindings.get")
        with call.time_limit:
            return await call.get(ROLE_BINDINGS, RoleBinding, binding_id)

    @beta
    async def create(
        self,
        *,
        user_id: str,
        role_id: str,
        resource_type: RoleBindingResourceType | str,
        resource_id: str,
    ) -> RoleBinding:
        new = CreateRoleBinding(
            user_id=user_id, role_id=role_id, resource_type=resource_type, resource_id=resource_id
        )
        call = self._begin("role_bindings.create")
        with call.time_limit:
            return await changes.create(call, new)

    @beta
    async def update(self, *, binding_id: str, role_id: str) -> RoleBinding:
        check(
            ("binding_id", id_flaw(binding_id, "role binding")),
            ("role_id", id_flaw(role_id, "role")),
        )
        call = self._begin("role_bindings.update")
        with call.time_limit:
            updated = await changes.update(call, binding_id, role_id)
            if is_same_id(updated.role_id, role_id):
                return updated
            raise changes.changed_since(call)

    @beta
    async def delete(self, *, binding_id: str) -> None:
        check(("binding_id", id_flaw(binding_id, "role binding")))
        call = self._begin("role_bindings.delete")
        with call.time_limit:
            await changes.delete(call, binding_id, was_seen=False)

    @beta
    async def ensure(
        self,
        *,
        user_id: str,
        role_id: str,
        resource_type: RoleBindingResourceType | str,
        resource_id: str,
    ) -> RoleBinding:
        new = CreateRoleBinding(
            user_id=user_id, role_id=role_id, resource_type=resource_type, resource_id=resource_id
        )
        call = self._begin("role_bindings.list")
        with call.time_limit:
            return await changes.ensure(call, new)

    @beta
    async def remove(
        self, *, user_id: str, resource_type: RoleBindingResourceType | str, resource_id: str
    ) -> bool:
        target = Target(user_id=user_id, resource_type=resource_type, resource_id=resource_id)
        call = self._begin("role_bindings.list")
        with call.time_limit:
            return await changes.remove(call, target)

    @beta
    def find(
        self,
        *,
        role_id: str | UnsetType = UNSET,
        user_id: str | UnsetType = UNSET,
        resource_id: str | UnsetType = UNSET,
    ) -> AsyncIterator[RoleBinding]:
        given = {"role_id": role_id, "user_id": user_id, "resource_id": resource_id}
        wanted = {name: value for name, value in given.items() if not isinstance(value, UnsetType)}
        check(*((name, id_flaw(value, _FOUND_BY[name])) for name, value in wanted.items()))
        types = [
            each
            for each in RoleBindingResourceType
            if resource_id is UNSET or resource_id_flaw(resource_id, each) is None
        ]
        return changes.MatchingWalk(self._list_page, types, wanted)

    async def _list_page(self, page: ListRoleBindings) -> ListRoleBindingsResponse:
        call = self._begin("role_bindings.list")
        with call.time_limit:
            return await call.page(ROLE_BINDINGS, ListRoleBindingsResponse, page)
