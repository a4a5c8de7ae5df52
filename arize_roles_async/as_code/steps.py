"""Steps: how a change looks at the account, what it sends, and what an answer says."""

from contextlib import suppress
from typing import Any, cast

import attr

from arize_roles_async import ArizeClient, RolesClient, RolesError
from arize_roles_async._role_bindings.protocol import RoleBindingsClient
from arize_roles_async._values import errors
from arize_roles_async.as_code.places import BindingChange
from arize_roles_async.as_code.planning import differing
from arize_roles_async.as_code.toml import quote


class StalePlanError(RolesError):
    """The account or the declaration has changed since the plan was made.

    Raised by `apply`, before any change, if the plan is not the expected one. As the cause of an
    `ApplyError` it names what differs from the plan; that was not changed.
    """

    plan: Any = None
    """The plan of the account as it is now; None if the error names a role or a binding."""


@attr.define
class Step:
    """How to make a change of a role; a run is a loop over its steps."""

    change: Any = None
    created: dict[str, str] = attr.field(factory=dict[str, str])
    """The IDs of the roles that the run created, by their names."""
    is_sending: bool = False
    """A request is under way that may make the change."""
    is_tried: bool = False
    """Such a request was sent."""
    is_open: bool = False
    """It may have made the change, and its answer does not show it."""

    @property
    def looks_first(self) -> bool:
        """False before a first create, as the service refuses a second one."""
        return self.change.action not in {"create", "give"}

    async def is_made(self, client: RolesClient) -> bool:
        """Look whether it is made already; raise `StalePlanError` if the plan saw another state."""
        before, after = self.change.before, self.change.after
        if before is None:
            found = [role async for role in client.list() if role.name == after.name]
            if not found or differing(after, found[0]):
                return False
            self.created[after.name] = found[0].id
            return True
        try:
            now = await client.get(role_id=before.id)
        except errors.NotFoundError as error:
            if after is None:
                return True
            gone = f"{quote(after.name)} was deleted since the plan was made"
            raise StalePlanError(gone) from error
        fields = " and ".join(differing(before, now))
        if fields and (after is None or differing(now, after)):
            why = f"{quote(before.name)} has another {fields} since the plan was made"
            raise StalePlanError(why)
        return bool(fields)

    async def send(self, client: RolesClient) -> None:
        """Send the change once, and compare the answer with what was asked."""
        before, after = self.change.before, self.change.after
        if after is None:
            await client.delete(role_id=before.id)
            return
        fields: dict[str, Any] = {
            field: getattr(after, field) for field in differing(before, after)
        }
        made = await (
            client.update(role_id=before.id, **fields) if before else client.create(**fields)
        )
        if others := " and ".join(differing(made, after)):
            raise errors.InvalidResponseError(f"the answer has a different {others}")
        self.created[made.name] = made.id

    async def attempt(self, client: RolesClient, once: RolesClient) -> RolesError | None:
        """Send the change by a client that tries once; return the error unless it was made."""
        was_open, self.is_open = self.is_open, True
        self.is_tried = self.is_sending = True
        try:
            await self.send(once)
        except RolesError as error:
            self.is_open = was_open or _leaves_open(error)
            return None if await self._is_settled(client, error) else error
        finally:
            self.is_sending = False
        return None

    async def _is_settled(self, client: RolesClient, error: RolesError) -> bool:
        """Return whether an error of `send` shows that the change is made."""
        if self.change.action in {"delete", "take"}:
            is_missing = isinstance(error.__cause__ or error, errors.NotFoundError)
            # It is gone, whoever did it, unless the key lacks the right to take it.
            return is_missing and (self.change.action == "delete" or await self.is_made(client))
        # An earlier attempt, or another run, may have made what is there.
        is_taken = not self.looks_first and isinstance(error, errors.ConflictError)
        return is_taken and await self.is_made(client)


class BindingStep(Step):
    """How to make a change of a role binding."""

    change: BindingChange

    @property
    def _role_id(self) -> str | None:
        after = self.change.after
        return self.change.role_id or (after and self.created[after])

    async def is_made(self, client: RolesClient) -> bool:
        """Look as for a role; of a binding that is gone, whether the user has another one."""
        now, before = None, self.change.binding
        if before is not None:
            with suppress(errors.NotFoundError):
                now = await _bindings(client).get(binding_id=before.id)
        if now is None:
            wanted = {"user_id": self.change.user_id, "resource_id": self.change.resource_id}
            with suppress(errors.NotFoundError):  # The user is gone.
                now = await anext(_bindings(client).find(**wanted), None)
        has, had = (now and now.role_id), (before and before.role_id)
        if has == self._role_id:
            return True
        if has == had:
            return False
        why = f"has another role on {self.change.place}, or none, since the plan was made"
        raise StalePlanError(f"{quote(self.change.user)} {why}")

    async def send(self, client: RolesClient) -> None:
        """Send it once; the client compares the answer."""
        change, bindings, role_id = self.change, _bindings(client), self._role_id
        if change.binding is None:
            where = {"resource_type": change.resource_type, "resource_id": change.resource_id}
            await bindings.create(user_id=change.user_id, role_id=str(role_id), **where)
        elif role_id is None:
            await bindings.delete(binding_id=change.binding.id)
        else:
            await bindings.update(binding_id=change.binding.id, role_id=role_id)


def _bindings(client: RolesClient) -> RoleBindingsClient:
    return cast("ArizeClient", client).role_bindings  # As `seen` has checked.


def _leaves_open(error: RolesError) -> bool:
    """Return whether a change may have been made although `send` ended in this error."""
    if isinstance(error, errors.ServerError | errors.RateLimitError):
        return False  # The client has looked.
    # A gateway's 4xx says nothing about the change.
    is_gateways = isinstance(error, errors.StatusError) and not error.from_service
    is_unknown = isinstance(error, errors.OutcomeUnknownError | errors.InvalidResponseError)
    return is_gateways or is_unknown
