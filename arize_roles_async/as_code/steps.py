"""Steps: how a change of a kind looks at the account, what it sends, and what an answer says."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import attr

from arize_roles_async import Role, RolesClient, RolesError
from arize_roles_async._arize import ArizeClient
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._values import errors
from arize_roles_async.as_code.declaration import DeclaredRole
from arize_roles_async.as_code.places import BindingChange
from arize_roles_async.as_code.planning import Change, differing, only_in
from arize_roles_async.as_code.toml import quote


class StalePlanError(RolesError):
    """The account or the declaration has changed since the plan was made.

    Raised by `apply`, before any change, if the plan is not the expected one. As the cause of an
    `ApplyError` it names what differs from the plan; that was not changed.
    """

    plan: Any = None
    """The plan of the account as it is now; None if the error names a role or a binding."""


class Step(ABC):
    """How to make one change; a run is a loop over its steps."""

    looks_first: ClassVar[bool] = True
    """False if nobody has to look before a first attempt, since the service refuses a second."""

    @property
    def needs(self) -> Iterable[str]:
        """What other changes have to provide first; without it, the change is not tried."""
        return ()

    @property
    def provides(self) -> Iterable[str]:
        """What others may need."""
        return ()

    @abstractmethod
    async def is_made(self, client: RolesClient) -> bool:
        """Look whether it is made already; raise `StalePlanError` if the plan saw another state."""

    @abstractmethod
    async def send(self, client: RolesClient) -> None:
        """Send the change once, and compare the answer with what was asked."""

    async def is_settled(self, client: RolesClient, error: RolesError) -> bool:  # noqa: ARG002
        """Return whether an error of `send` shows that the change is made."""
        return False


def leaves_open(error: RolesError) -> bool:
    """Return whether a change may have been made although `send` ended in this error."""
    if isinstance(error, errors.ServerError | errors.RateLimitError):
        return False  # The client has looked.
    # A gateway's 4xx says nothing about the change.
    is_gateways = isinstance(error, errors.StatusError) and not error.from_service
    is_unknown = isinstance(error, errors.OutcomeUnknownError | errors.InvalidResponseError)
    return is_gateways or is_unknown


@attr.frozen
class _CreateRole(Step):
    after: DeclaredRole
    created: dict[str, str]
    looks_first = False

    @property
    def provides(self) -> Iterable[str]:
        return (f"role {self.after.name}",)

    async def is_made(self, client: RolesClient) -> bool:
        named = [role async for role in client.list() if role.name == self.after.name]
        if not named or differing(self.after, named[0]):
            return False
        self.created[self.after.name] = named[0].id
        return True

    async def send(self, client: RolesClient) -> None:
        fields: dict[str, Any] = {f: getattr(self.after, f) for f in differing(None, self.after)}
        role = await client.create(**fields)
        _expect_same(role, self.after)
        self.created[role.name] = role.id

    async def is_settled(self, client: RolesClient, error: RolesError) -> bool:
        # An earlier attempt, or another run, may have made the role that has the name.
        return isinstance(error, errors.ConflictError) and await self.is_made(client)


@attr.frozen
class _UpdateRole(Step):
    before: Role
    after: DeclaredRole

    @property
    def needs(self) -> Iterable[str]:
        return only_in(self.before, self.after)

    @property
    def provides(self) -> Iterable[str]:
        return only_in(self.after, self.before)

    async def is_made(self, client: RolesClient) -> bool:
        try:
            now = await client.get(role_id=self.before.id)
        except errors.NotFoundError as error:
            gone = f"{quote(self.after.name)} was deleted since the plan was made"
            raise StalePlanError(gone) from error
        is_other = bool(differing(self.before, now))
        if is_other and differing(now, self.after):
            raise _stale(self.before, now)
        return is_other

    async def send(self, client: RolesClient) -> None:
        changed = differing(self.before, self.after)
        fields: dict[str, Any] = {field: getattr(self.after, field) for field in changed}
        _expect_same(await client.update(role_id=self.before.id, **fields), self.after)


@attr.frozen
class _DeleteRole(Step):
    before: Role

    @property
    def needs(self) -> Iterable[str]:
        return (f"users of {self.before.id}",)

    async def is_made(self, client: RolesClient) -> bool:
        try:
            now = await client.get(role_id=self.before.id)
        except errors.NotFoundError:
            return True
        if differing(self.before, now):
            raise _stale(self.before, now)
        return False

    async def send(self, client: RolesClient) -> None:
        await client.delete(role_id=self.before.id)

    async def is_settled(self, client: RolesClient, error: RolesError) -> bool:  # noqa: ARG002
        # The role is gone, whoever deleted it.
        return isinstance(error.__cause__ or error, errors.NotFoundError)


@attr.frozen
class _ChangeOfBinding(Step):
    """What the three changes of a binding have in common."""

    change: BindingChange
    created: dict[str, str]

    @property
    def needs(self) -> Iterable[str]:
        change = self.change
        if change.after is not None and change.role_id is None:
            yield f"role {change.after}"
        if change.takes_right_to_bind:
            yield f"binder of {change.resource_id}"

    @property
    def provides(self) -> Iterable[str]:
        change = self.change
        if change.binding is not None:
            yield f"users of {change.binding.role_id}"
        if change.gives_right_to_bind:
            yield f"binder of {change.resource_id}"

    @property
    def role_id(self) -> str:
        """The ID of the role that the user gets."""
        return self.change.role_id or self.created[self.change.after or ""]


@attr.frozen
class _Give(_ChangeOfBinding):
    looks_first = False

    async def is_made(self, client: RolesClient) -> bool:
        found = await _found(client, self.change)
        if found is not None and found.role_id != self.role_id:
            raise _stale_binding(self.change)
        return found is not None

    async def send(self, client: RolesClient) -> None:
        await _bindings(client).create(
            user_id=self.change.user_id,
            role_id=self.role_id,
            resource_type=self.change.resource_type,
            resource_id=self.change.resource_id,
        )

    async def is_settled(self, client: RolesClient, error: RolesError) -> bool:
        # The user has a role there, perhaps this one; without a right the key sees none.
        return isinstance(error, errors.ConflictError) and await self.is_made(client)


@attr.frozen
class _Change(_ChangeOfBinding):
    async def is_made(self, client: RolesClient) -> bool:
        now = await _seen(client, self.change)
        if now is None:
            raise _stale_binding(self.change)
        if now.role_id == self.role_id:
            return True
        _expect_role(now, self.change)
        return False

    async def send(self, client: RolesClient) -> None:
        binding = self.change.binding
        assert binding is not None  # noqa: S101 - a give has none
        await _bindings(client).update(binding_id=binding.id, role_id=self.role_id)


@attr.frozen
class _Take(_ChangeOfBinding):
    async def is_made(self, client: RolesClient) -> bool:
        now = await _seen(client, self.change)
        if now is not None:
            _expect_role(now, self.change)
        return now is None

    async def send(self, client: RolesClient) -> None:
        binding = self.change.binding
        assert binding is not None  # noqa: S101 - a give has none
        await _bindings(client).delete(binding_id=binding.id)

    async def is_settled(self, client: RolesClient, error: RolesError) -> bool:
        # It is gone, unless the key lacks the right to take it.
        is_missing = isinstance(error.__cause__ or error, errors.NotFoundError)
        return is_missing and await self.is_made(client)


def step_of(change: Change | BindingChange, created: dict[str, str]) -> Step:
    """Return how to make a change; `created` has the IDs of the roles that the run creates."""
    if isinstance(change, BindingChange):
        if change.binding is None:
            return _Give(change, created)
        return _Take(change, created) if change.after is None else _Change(change, created)
    if change.after is None:
        assert change.before is not None  # noqa: S101 - a change has one of both
        return _DeleteRole(change.before)
    if change.before is None:
        return _CreateRole(change.after, created)
    return _UpdateRole(change.before, change.after)


def _bindings(client: RolesClient) -> RoleBindingsClient:
    assert isinstance(client, ArizeClient)  # noqa: S101 - as `seen` has checked
    return client.role_bindings


async def _seen(client: RolesClient, change: BindingChange) -> RoleBinding | None:
    """Return the binding of a change as it is now, or None if the user has none there."""
    assert change.binding is not None  # noqa: S101 - a give has none
    try:
        return await _bindings(client).get(binding_id=change.binding.id)
    except errors.NotFoundError:
        # Somebody may have made another one.
        return await _found(client, change)


async def _found(client: RolesClient, change: BindingChange) -> RoleBinding | None:
    wanted = {"user_id": change.user_id, "resource_id": change.resource_id}
    return await anext(_bindings(client).find(**wanted), None)


def _expect_role(now: RoleBinding, change: BindingChange) -> None:
    if change.binding is None or now.role_id != change.binding.role_id:
        raise _stale_binding(change)


def _stale_binding(change: BindingChange) -> StalePlanError:
    return StalePlanError(
        f"{quote(change.user)} has another role on {change.place}, or none, since the plan was made"
    )


def _stale(before: Role, now: Role) -> StalePlanError:
    fields = " and ".join(differing(before, now))
    return StalePlanError(f"{quote(before.name)} has another {fields} since the plan was made")


def _expect_same(answer: Role, asked: DeclaredRole) -> None:
    if others := " and ".join(differing(answer, asked)):
        raise errors.InvalidResponseError(f"the answer has a different {others}")
