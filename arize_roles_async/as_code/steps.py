"""Steps: how a change of a kind looks at the account, what it sends, and what an answer says."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import attr

from arize_roles_async import Role, RolesClient, RolesError
from arize_roles_async._values import errors
from arize_roles_async.as_code.declaration import DeclaredRole
from arize_roles_async.as_code.planning import Change, differing
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
    looks_first = False

    async def is_made(self, client: RolesClient) -> bool:
        named = [role async for role in client.list() if role.name == self.after.name]
        return bool(named) and not differing(self.after, named[0])

    async def send(self, client: RolesClient) -> None:
        fields: dict[str, Any] = {f: getattr(self.after, f) for f in differing(None, self.after)}
        _expect_same(await client.create(**fields), self.after)

    async def is_settled(self, client: RolesClient, error: RolesError) -> bool:
        # An earlier attempt, or another run, may have made the role that has the name.
        return isinstance(error, errors.ConflictError) and await self.is_made(client)


@attr.frozen
class _UpdateRole(Step):
    before: Role
    after: DeclaredRole

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


def step_of(change: Change) -> Step:
    """Return how to make a change."""
    if change.after is None:
        assert change.before is not None  # noqa: S101 - a change has one of both
        return _DeleteRole(change.before)
    return _UpdateRole(change.before, change.after) if change.before else _CreateRole(change.after)


def _stale(before: Role, now: Role) -> StalePlanError:
    fields = " and ".join(differing(before, now))
    return StalePlanError(f"{quote(before.name)} has another {fields} since the plan was made")


def _expect_same(answer: Role, asked: DeclaredRole) -> None:
    if others := " and ".join(differing(answer, asked)):
        raise errors.InvalidResponseError(f"the answer has a different {others}")
