"""The protocol that applications type against."""

from typing import Protocol, overload, runtime_checkable

from msgspec import UNSET, UnsetType

from arize_roles_async._clients.protocol import Client
from arize_roles_async._roles.models import Role
from arize_roles_async._roles.requests import RolePages
from arize_roles_async._values.permissions import PermissionsArgument


@runtime_checkable
class RolesClient(Client, Protocol):
    """Arize's roles API, as an application sees it.

    `AiohttpRolesClient` talks to the service and `arize_roles_fake.FakeRolesClient` to an account
    in memory; both behave as stated here. Arguments are keywords only.

    Every method checks its arguments before anything is sent. An invalid `role_id` or `role` is
    reported alone; otherwise one `ValidationError` lists every invalid argument. All other failures
    are a `RolesError`, too: the guide's page `errors-and-retries` lists its classes.

    Where Arize's reference is silent, these docstrings assume: lists begin with the newest role,
    and their cursors neither miss nor repeat a role; names are compared exactly and are free again
    after a deletion; a change to a predefined role is refused with 403. A test can change these
    assumptions with `arize_roles_fake.Assumptions`.
    """

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | UnsetType = UNSET,
    ) -> RolePages:
        """List roles: await the result for one page, or iterate it for all, newest first.

        Args:
            limit: Roles per page, 1 to 100. By default, one page holds 50 and a walk asks for 100
                at a time.
            cursor: The `next_cursor` of an earlier page, to continue after it.
            is_predefined: True for only the system's roles, False for only custom ones; all, if it
                is left out.

        Returns:
            A listing: `await` it for a `ListRolesResponse`, `async for role in` it for every
            role. A role that exists from a walk's start to its end is seen exactly once.

        Raises:
            ValidationError: An argument breaks its rule; raised before the result is awaited.
        """
        ...

    @overload
    async def get(self, *, role_id: str) -> Role: ...
    @overload
    async def get(self, *, role: str) -> Role: ...
    async def get(self, *, role_id: str | None = None, role: str | None = None) -> Role:
        """Return one role.

        Args:
            role_id: Its ID, used as it is; at most 1000 characters, so that it fits into a URL.
            role: Its ID or its name. Strict base64 of UTF-8 text with a colon in it is an ID;
                anything else is a name. Pass the `id` of what you list, as the guide's page
                `role-bindings` says. A role that the client has seen is requested by its ID; other
                names are looked up by walking the list.

        Raises:
            NotFoundError: There is no such role; for a name, with the closest names.
        """
        ...

    async def create(
        self, *, name: str, permissions: PermissionsArgument, description: str | None = None
    ) -> Role:
        r"""Make a custom role.

        Args:
            name: 1 to 255 characters: ASCII letters, digits, space and
                ``- _ . , ( ) [ ] ' " / : \ & @ # $ % ! ? + =``. Unique within the account,
                compared exactly.
            permissions: At least one; each a `Permission` or its identifier. A permission that
                is given twice counts once.
            description: At most 1000 characters.

        Returns:
            The role as the service holds it.

        Raises:
            ConflictError: The name is taken.
            ForbiddenError: The key lacks `ROLE_CREATE`, or the account's plan allows no more.
            OutcomeUnknownError: The role may have been made.

        If the answer to an attempt is lost and the next attempt finds the name taken, the client
        looks for the role in the list. It returns the role if this call can have made it: the role
        is custom, not older than the first attempt by the service's clock (the `Date` of its
        answers), and either as requested or changed since. So an equal role that somebody else made
        a moment before can be mistaken for it: the guide's page `errors-and-retries` says how long.
        """
        ...

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
    async def update(
        self,
        *,
        role_id: str | None = None,
        role: str | None = None,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role:
        """Change a custom role; omitted arguments keep their values.

        The change goes to what had the name at the look-up, also if it is renamed before the change
        and another role takes the name; so does that of `delete`.

        Args:
            role_id: Its ID, used as it is.
            role: Its ID or its name, distinguished as in `get`.
            name: A new name, under the rules of `create`.
            description: A new description; None clears it.
            permissions: The permissions that replace all of its own; at least one.

        Returns:
            The role after the change.

        Raises:
            NotFoundError: There is no such role.
            ConflictError: The new name is another role's.
            ForbiddenError: The role is predefined, or the key lacks `ROLE_UPDATE`.
            OutcomeUnknownError: The change may have been made.
        """
        ...

    @overload
    async def delete(self, *, role_id: str) -> None: ...
    @overload
    async def delete(self, *, role: str) -> None: ...
    async def delete(self, *, role_id: str | None = None, role: str | None = None) -> None:
        """Delete a custom role; its name is free again.

        Args:
            role_id: Its ID, used as it is.
            role: Its ID or its name, distinguished as in `get`.

        Raises:
            NotFoundError: There is no such role.
            ConflictError: Users still have the role: its role bindings have to be removed first;
                `role_bindings.find(role_id=…)` shows those that the key may see.
            ForbiddenError: The role is predefined, or the key lacks `ROLE_DELETE`.
            OutcomeUnknownError: The role may have been deleted.
        """
        ...
