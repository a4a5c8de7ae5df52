"""The methods of role bindings, written once for any transport.

For a binding, not found also means that the key lacks a right: it proves nothing, unless this call
has found the binding before.
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.call import FindOutcome
from arize_roles_async._calls.driver import DrivenCall
from arize_roles_async._clients.client import BaseClient
from arize_roles_async._clients.notices import pre_release
from arize_roles_async._clients.paging import Asynchronous
from arize_roles_async._role_bindings.models import (
    ListRoleBindingsResponse,
    ResourceTypeArgument,
    RoleBinding,
    RoleBindingResourceType,
)
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._role_bindings.requests import (
    ROLE_BINDINGS,
    CreateRoleBinding,
    ListRoleBindings,
    RoleBindingPages,
    Target,
    UpdateRoleBinding,
    resource_id_flaw,
)
from arize_roles_async._values import errors
from arize_roles_async._values.requests import Text, check, flaw_if_given, id_flaw, is_same_id
from arize_roles_async._values.text import append

_ROUNDS: Final = 3
_FOUND_BY: Final = {"role_id": "role", "user_id": "user", "resource_id": "space or project"}

beta = pre_release("role_bindings", "BETA", errors.BetaWarning)


class BaseRoleBindingsClient(BaseClient[object], RoleBindingsClient):
    _collection = ROLE_BINDINGS

    @beta
    def list(
        self,
        *,
        resource_type: ResourceTypeArgument,
        user_id: Text = UNSET,
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
        with self._begin("role_bindings.get") as call:
            return await call.get_item(ROLE_BINDINGS, RoleBinding, binding_id)

    @beta
    async def create(
        self, *, user_id: str, role_id: str, resource_type: ResourceTypeArgument, resource_id: str
    ) -> RoleBinding:
        new = CreateRoleBinding(
            user_id=user_id, role_id=role_id, resource_type=resource_type, resource_id=resource_id
        )
        with self._begin("role_bindings.create") as call:
            return await self._create(call, new)

    @beta
    async def update(self, *, binding_id: str, role_id: str) -> RoleBinding:
        check(
            ("binding_id", id_flaw(binding_id, "role binding")),
            ("role_id", id_flaw(role_id, "role")),
        )
        with self._begin("role_bindings.update") as call:
            return await self._update(call, binding_id, role_id)

    @beta
    async def delete(self, *, binding_id: str) -> None:
        check(("binding_id", id_flaw(binding_id, "role binding")))
        with self._begin("role_bindings.delete") as call:
            await call.delete_item(ROLE_BINDINGS, RoleBinding, binding_id, was_found=False)

    @beta
    async def ensure(
        self, *, user_id: str, role_id: str, resource_type: ResourceTypeArgument, resource_id: str
    ) -> RoleBinding:
        new = CreateRoleBinding(
            user_id=user_id, role_id=role_id, resource_type=resource_type, resource_id=resource_id
        )
        with self._begin("role_bindings.list") as call:
            failure: errors.StatusError | None = None
            before: RoleBinding | None = None
            for _ in range(_ROUNDS):
                found = await self._find(call, new)
                if found is not None and is_same_id(found.role_id, new.role_id):
                    return found
                # A binding that is as before shows that nobody else hindered the change.
                if found is not None and found == before:
                    break
                try:
                    return await self._give(call, found, new)
                except (errors.ConflictError, errors.NotFoundError) as error:
                    if found is None and isinstance(error, errors.NotFoundError):
                        raise  # There is no such role.
                    failure, before = error, found
            assert failure is not None  # noqa: S101 - each round failed
            raise _explained(failure, before, new.role_id)

    @beta
    async def remove(
        self, *, user_id: str, resource_type: ResourceTypeArgument, resource_id: str
    ) -> bool:
        target = Target(user_id=user_id, resource_type=resource_type, resource_id=resource_id)
        with self._begin("role_bindings.list") as call:
            found = await self._find(call, target)
            if found is None:
                return False
            call.next_operation("role_bindings.delete")
            try:
                await call.delete_item(ROLE_BINDINGS, RoleBinding, found.id, was_found=True)
            except errors.NotFoundError as error:
                left = await self._find(call, target)
                if left is None or left.id != found.id:
                    return call.maybe_applied
                append(error, _NO_RIGHT)
                raise
            return True

    @beta
    def find(
        self, *, role_id: Text = UNSET, user_id: Text = UNSET, resource_id: Text = UNSET
    ) -> AsyncIterator[RoleBinding]:
        given = {"role_id": role_id, "user_id": user_id, "resource_id": resource_id}
        wanted = {name: value for name, value in given.items() if not isinstance(value, UnsetType)}
        rules = {name: functools.partial(id_flaw, of=of) for name, of in _FOUND_BY.items()}
        check(*((name, flaw_if_given(rules[name], value)) for name, value in wanted.items()))
        types = [
            each
            for each in RoleBindingResourceType
            if resource_id is UNSET or resource_id_flaw(resource_id, each) is None
        ]
        return _Found(self._list_page, types, wanted)

    async def _list_page(self, page: ListRoleBindings) -> ListRoleBindingsResponse:
        with self._begin("role_bindings.list") as call:
            return await call.get_page(ROLE_BINDINGS, ListRoleBindingsResponse, page)

    async def _give(
        self, call: DrivenCall[object], found: RoleBinding | None, new: CreateRoleBinding
    ) -> RoleBinding:
        """Create a binding, or change the role of the one that was found."""
        if found is None:
            given = await self._create(call, new, adopts=True)
        else:
            given = await self._update(call, found.id, new.role_id, adopts=True)
        for is_last in (False, True):
            if is_same_id(given.role_id, new.role_id):
                break
            # Somebody has changed it since. If this fails, the change was made all the same.
            call.note_made()
            given = await self._update(call, given.id, new.role_id, adopts=not is_last)
        return given

    async def _create(
        self, call: DrivenCall[object], new: CreateRoleBinding, *, adopts: bool = False
    ) -> RoleBinding:
        call.next_operation("role_bindings.create")
        find = functools.partial(self._find_created, call, new, adopts=adopts)
        return await call.change(ROLE_BINDINGS, RoleBinding, new, find)

    async def _update(
        self, call: DrivenCall[object], binding_id: str, role_id: str, *, adopts: bool = False
    ) -> RoleBinding:
        call.next_operation("role_bindings.update")
        find = functools.partial(self._find_updated, call, binding_id, role_id, adopts=adopts)
        changes = UpdateRoleBinding(role_id=role_id)
        return await call.change(ROLE_BINDINGS, RoleBinding, changes, find, binding_id)

    async def _find(self, call: DrivenCall[object], target: Target) -> RoleBinding | None:
        """Return the binding of a user on a resource, or None if the key sees none."""
        wanted = {"user_id": target.user_id, "resource_id": target.resource_id}
        fetch = functools.partial(call.get_page, ROLE_BINDINGS, ListRoleBindingsResponse)
        return await anext(_Found(fetch, [target.resource_type], wanted), None)

    async def _find_created(
        self, call: DrivenCall[object], new: CreateRoleBinding, step: FindOutcome, *, adopts: bool
    ) -> RoleBinding | UnsetType:
        """Return the binding that this call made, or if it adopts, whoever made it."""
        found = await self._find(call, new)
        if found is None:
            return UNSET
        is_new = adopts or call.may_be_since(found.created_at)
        has_role = is_same_id(found.role_id, new.role_id)
        if is_new and (adopts or has_role or found.updated_at > found.created_at):
            return found
        # If the one that is there is older, this call made none.
        if isinstance(step.failure, errors.StatusError) and not is_new:
            raise step.failure
        return UNSET

    async def _find_updated(
        self,
        call: DrivenCall[object],
        binding_id: str,
        role_id: str,
        step: FindOutcome,
        *,
        adopts: bool,
    ) -> RoleBinding | UnsetType:
        """Return the binding if it has the role that this call gave it, or another if it adopts."""
        binding = await call.get_item(ROLE_BINDINGS, RoleBinding, binding_id)
        is_answered = isinstance(step.failure, errors.InvalidResponseError)
        if is_same_id(binding.role_id, role_id) or (adopts and is_answered):
            return binding
        # If somebody changed it since, this call may have changed it first.
        if step.all_refused and not call.may_be_since(binding.updated_at):
            raise step.failure
        return UNSET


def _explained(
    failure: errors.StatusError, found: RoleBinding | None, role_id: str
) -> errors.StatusError:
    """Return the failure of `ensure`, with what may be its cause."""
    if isinstance(failure, errors.ConflictError) and found is None:
        append(failure, _HIDDEN)
    # If the answer names the role, there is no such role.
    elif isinstance(failure, errors.NotFoundError) and role_id not in str(failure):
        append(failure, _NO_ROLE_OR_RIGHT)
    return failure


_HIDDEN: Final = "; the key sees no such binding, so it may lack ROLE_BINDING_READ on the resource"
_NO_ROLE_OR_RIGHT: Final = (
    "; the key sees the binding, so there may be no such role, or the key may lack "
    "ROLE_BINDING_CREATE or ROLE_BINDING_DELETE on the resource"
)
_NO_RIGHT: Final = "; the key sees the binding, so it may lack ROLE_BINDING_DELETE on the resource"


class _Found(Asynchronous, AsyncIterator[RoleBinding]):
    """The bindings of some types, one type after the other, that have the wanted values."""

    _noun = "role bindings"

    def __init__(
        self,
        fetch: Callable[[ListRoleBindings], Awaitable[ListRoleBindingsResponse]],
        types: Iterable[str],
        wanted: Mapping[str, str],
    ) -> None:
        user_id = wanted.get("user_id", UNSET)
        self._walks = [
            aiter(RoleBindingPages(fetch, resource_type=each, user_id=user_id)) for each in types
        ]
        self._wanted = wanted

    async def __anext__(self) -> RoleBinding:
        while self._walks:
            async for binding in self._walks[0]:
                if all(is_same_id(getattr(binding, name), x) for name, x in self._wanted.items()):
                    return binding
            del self._walks[0]
        raise StopAsyncIteration
