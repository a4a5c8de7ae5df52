"""The protocol of role bindings that applications type against."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from msgspec import UNSET

from arize_roles_async._clients.protocol import Client
from arize_roles_async._role_bindings.models import ResourceTypeArgument, RoleBinding
from arize_roles_async._role_bindings.requests import RoleBindingPages
from arize_roles_async._values.requests import Text


@runtime_checkable
class RoleBindingsClient(Client, Protocol):
    """Arize's role bindings, as an application sees them: who has which role where.

    `ArizeClient.role_bindings` is one. Arguments are keywords only, and take IDs, which
    `roles.directory` finds; `roles.by_name` takes names.

    Arguments are checked and failures raised as `RolesClient` says, with one `ValidationError` for
    all arguments; an ID that says another kind breaks a rule, too.

    The service does not show a binding that the key may not see: most methods answer 404 for it.
    So a 404 means that there is no such binding, or that the key lacks a right.

    A request whose answer was lost may arrive after its call has ended, and make the change then,
    however the call ended: no client can know that.
    """

    def list(
        self,
        *,
        resource_type: ResourceTypeArgument,
        user_id: Text = UNSET,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RoleBindingPages:
        """List role bindings: await the result for one page, or iterate it for all, newest first.

        Args:
            resource_type: `SPACE` or `PROJECT`; all bindings of a user are two lists.
            user_id: The ID of a user, for only the bindings of that user.
            limit: As in `RolesClient.list`.
            cursor: As in `RolesClient.list`.

        Returns:
            A listing: `await` it for a `ListRoleBindingsResponse`, `async for binding in` it for
            every binding. It holds only the bindings on resources where the key has
            `ROLE_BINDING_READ`, and does not show that others are left out.

        Raises:
            ValidationError: An argument breaks its rule; raised before the result is awaited.
            NotFoundError: While awaiting or iterating: the account has no such user.
        """
        ...

    async def get(self, *, binding_id: str) -> RoleBinding:
        """Return one role binding.

        Args:
            binding_id: Its ID; at most 1000 characters, so that it fits into a URL.

        Raises:
            NotFoundError: There is no such binding, or the key lacks `ROLE_BINDING_READ` on its
                resource.
        """
        ...

    async def create(
        self, *, user_id: str, role_id: str, resource_type: ResourceTypeArgument, resource_id: str
    ) -> RoleBinding:
        """Give a user a role on a space or project.

        Args:
            user_id: The ID of the user.
            role_id: The ID of the role.
            resource_type: `SPACE` or `PROJECT`.
            resource_id: The ID of the space or project.

        Returns:
            The binding as the service holds it.

        Raises:
            ConflictError: The user already has a role on the resource, the same or another one.
            ForbiddenError: The key lacks `ROLE_BINDING_CREATE` on the resource, or there is no such
                resource.
            NotFoundError: There is no such user or role.
            OutcomeUnknownError: The binding may have been made.

        If the answer to an attempt is lost and a later one is a refusal, the client looks for the
        binding on the resource among those of the user, and judges it as `RolesClient.create` does
        a role. So an equal one that somebody else made meanwhile can be mistaken for it, too.
        """
        ...

    async def update(self, *, binding_id: str, role_id: str) -> RoleBinding:
        """Change the role of a binding; its user and resource stay.

        Returns:
            The binding after the change.

        Raises:
            NotFoundError: There is no such binding or role, or the key lacks `ROLE_BINDING_CREATE`
                or `ROLE_BINDING_DELETE` on the resource.
            OutcomeUnknownError: The change may have been made; also if the answer shows another
                role, which somebody else has given since.
        """
        ...

    async def delete(self, *, binding_id: str) -> None:
        """Take a role away from a user, by the ID of the binding.

        Raises:
            NotFoundError: There is no such binding, or the key lacks `ROLE_BINDING_DELETE` on its
                resource.
            OutcomeUnknownError: The binding may have been deleted. If an answer was lost, a
                binding that is not visible may have been so before the call; `remove` looks first,
                and so finds out.
        """
        ...

    async def ensure(
        self, *, user_id: str, role_id: str, resource_type: ResourceTypeArgument, resource_id: str
    ) -> RoleBinding:
        """Give a user a role on a space or project, whatever role the user has there.

        The client looks among the user's bindings first, and then creates or updates one, or does
        nothing if the user has the role. If others change the binding at the same moment, it does
        so again, three times in all, and then raises the last error. The arguments are those of
        `create`.

        Returns:
            The binding with this role. If somebody changes the role before the answer is there, the
            binding gets this role again.

        Raises:
            ConflictError: The user has a binding there that the key may not see.
            ForbiddenError: The key lacks `ROLE_BINDING_CREATE` on the resource, or there is no such
                resource.
            NotFoundError: There is no such user or role, or the key lacks a right to change the
                binding.
            OutcomeUnknownError: The change may have been made.
        """
        ...

    async def remove(
        self, *, user_id: str, resource_type: ResourceTypeArgument, resource_id: str
    ) -> bool:
        """Remove the role that a user has on a space or project, whichever it is.

        The arguments are those of `create`, without the role.

        Returns:
            True if this call removed a binding; False if the key sees none there. That proves
            nothing: there may be one on a resource where the key lacks `ROLE_BINDING_READ`.

        Raises:
            NotFoundError: There is no such user, or the key sees the binding and lacks
                `ROLE_BINDING_DELETE` on the resource.
            OutcomeUnknownError: The binding may have been removed.

        If an answer was lost and the binding is no longer visible, it counts as removed by this
        call, although somebody else may have removed it, or the key may have lost its right within
        the call: no answer shows that.
        """
        ...

    def find(
        self, *, role_id: Text = UNSET, user_id: Text = UNSET, resource_id: Text = UNSET
    ) -> AsyncIterator[RoleBinding]:
        """Walk the bindings of a role, a user or a resource, on spaces first and then on projects.

        The service filters by user alone, so the other filters read every binding that the key may
        see; for a resource, only those on spaces or those on projects, as its ID says. Without
        filters, these are the result.

        Returns:
            An iterator, to be used with `async for`. It yields only the bindings on resources where
            the key has `ROLE_BINDING_READ`.

        Raises:
            ValidationError: An argument breaks its rule; raised before the iteration.
            NotFoundError: While iterating: the account has no such user.
        """
        ...
