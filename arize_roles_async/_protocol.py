"""What applications type against."""

from types import TracebackType
from typing import Protocol, Self, overload, runtime_checkable

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.api_key import ApiKey
from arize_roles_async._calls.paging import RolePages
from arize_roles_async._values.models import Role
from arize_roles_async._values.options import RetryPolicy, Timeouts
from arize_roles_async._values.permissions import PermissionsArgument


@runtime_checkable
class RolesClient(Protocol):
    """Arize's roles API, as an application sees it.

    `AiohttpRolesClient` talks to the service and `arize_roles_fake.FakeRolesClient` to an account
    in memory; both behave as stated here. Arguments are keywords only.

    Every method checks its arguments before anything is sent. If `role_id` or `role` is wrong, a
    `ValidationError` says so; else it says all that is wrong with the others. Any other failure is
    a `RolesError` too: a `StatusError` for what the service answered, `RolesConnectionError`,
    `RolesTimeoutError` and `OutcomeUnknownError` where no whole answer came,
    `InvalidResponseError` for an answer that makes no sense, and `ClientStateError` after
    `aclose()`.

    Where Arize's reference is silent, this says what is assumed: that lists begin with the newest
    role and that their cursors miss and repeat none, that names are compared exactly and are free
    again after a deletion, and that a predefined role is refused with 403. With
    `arize_roles_fake.Assumptions` a test can have it otherwise.
    """

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | None = None,
    ) -> RolePages:
        """List roles: await the result for one page, or iterate it for all, newest first.

        Args:
            limit: Roles per page, 1 to 100. Left out, one page holds 50 and a walk asks for 100 at
                a time.
            cursor: The `next_cursor` of an earlier page, to continue after it.
            is_predefined: True for only the system's roles, False for only custom ones, None for
                all.

        Returns:
            A listing: `await` it for a `ListRolesResponse`, `async for role in` it for every
            role. A role that exists from a walk's start to its end is seen exactly once.

        Raises:
            ValidationError: At once, and not when it is awaited: an argument breaks its rule.
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
                anything else is a name. A role that the client has seen is asked for by its ID;
                other names are found by walking the list.

        Raises:
            NotFoundError: There is no such role; for a name, with the closest names.
        """
        ...

    async def create(
        self,
        *,
        name: str,
        permissions: PermissionsArgument,
        description: str | None = None,
    ) -> Role:
        r"""Make a custom role.

        Args:
            name: 1 to 255 characters: ASCII letters, digits, space and
                ``- _ . , ( ) [ ] ' " / : \ & @ # $ % ! ? + =``. Unique within the account,
                compared exactly.
            permissions: At least one; each a `Permission` or its identifier. One that is given
                twice counts once.
            description: At most 1000 characters.

        Returns:
            The role as the service holds it.

        Raises:
            ConflictError: The name is taken.
            ForbiddenError: The key lacks `ROLE_CREATE`, or the account's plan allows no more.
            OutcomeUnknownError: The role may have been made.

        If the answer to an attempt is lost and the next one finds the name taken, the role is
        looked for in the list. It is returned if this call can have made it: it is custom, not
        older than the first attempt by the service's clock (the `Date` of its answers), and as
        asked for or changed since. A `Date` is in whole seconds, so a role that somebody else made
        at most 1.5 s and one latency before the first attempt can be taken for it. If no answer
        had a `Date`, the clock of this machine is assumed to be less than five minutes off.
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
        """Change a custom role; what is left out keeps its value.

        Args:
            role_id: Its ID, used as it is.
            role: Its ID or its name, told apart as in `get`.
            name: A new name, under the rules of `create`.
            description: A new description; None clears it.
            permissions: What replaces all its permissions; at least one.

        Returns:
            The role after the change.

        Raises:
            NotFoundError: There is no such role.
            ConflictError: The new name is another role's.
            RoleRenamedError: The role with the name was renamed at the same moment, and the change
                was made to it; not noticed if the call gives it a new name itself.
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
            role: Its ID or its name, told apart as in `get`.

        Raises:
            NotFoundError: There is no such role.
            ConflictError: Users still have the role: its role bindings have to be removed first.
            ForbiddenError: The role is predefined, or the key lacks `ROLE_DELETE`.
            OutcomeUnknownError: The role may have been deleted.
        """
        ...

    def with_options(
        self,
        *,
        api_key: ApiKey | UnsetType = UNSET,
        timeout: float | Timeouts | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        background: bool | UnsetType = UNSET,
    ) -> Self:
        """Return a client with other options over the same connections; closing one closes both.

        Omitted options keep their values. All copies share the requests that may be under way at
        once. The copies with one key share the pace under a rate limit and the names that they
        know, and no other key's; of a client's keys, the hundred that were used last have these.

        Args:
            api_key: Another API key, or a function that returns it, as `AiohttpRolesClient` takes
                it.
            timeout: Seconds for a whole call; None is no limit on it. The limits on connecting and
                on silence are then the default ones. `Timeouts` sets every limit.
            retry: How often a call is tried.
            background: Whether its calls give way: each request goes only when no other call of
                the client waits, so these calls may wait until their own time is up. A client of
                your own that lets calls wait does the same; one that does not needs do nothing.

        Raises:
            ConfigurationError: A value is of the wrong type, or out of its range, or no header can
                carry the key.
        """
        ...

    async def aclose(self, *, grace: float = 0.0) -> None:
        """Close the client and all its copies; the end of an `async with` block does it at once.

        New calls are refused from now on with a `ClientStateError`. Those that are under way, or
        wait for their turn, may go on for `grace` seconds; each page of a walk is a call. Then they
        end with a `ClientStateError`, or, where a change may have been made, with an
        `OutcomeUnknownError`. This returns as soon as no call is under way.

        It may be called again, also while it waits: the shortest grace counts. If it is cancelled
        while it waits, it closes at once.

        Args:
            grace: Seconds, 0 or more. `FakeRolesClient` counts them on the account's clock.

        Raises:
            ConfigurationError: `grace` is no such number; the client stays open.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
