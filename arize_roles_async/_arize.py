"""A client of roles with what belongs to them: role bindings, the directory, and names."""

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from arize_roles_async._roles.client import BaseRolesClient
from arize_roles_async._roles.protocol import RolesClient

if TYPE_CHECKING:
    from arize_roles_async._directory.by_name import ByName
    from arize_roles_async._directory.protocol import Directory
    from arize_roles_async._role_bindings.protocol import RoleBindingsClient

    # To pyright, a cached property does not implement a property.
    cached_property = property
else:
    from functools import cached_property

    # For `typing.get_type_hints`: imported on first use, since most programs need none of them.
    ByName = Directory = RoleBindingsClient = Any


@runtime_checkable
class ArizeClient(RolesClient, Protocol):
    """A `RolesClient` that leads to role bindings, to names, and to the clients of these.

    Every client of this package and the fake is one. An application that needs more than roles
    types against it.
    """

    @property
    def role_bindings(self) -> "RoleBindingsClient":
        """The client of role bindings: who has which role where.

        It shares the key, the options and the connections of this client; closing one closes both.
        """
        ...

    @property
    def directory(self) -> "Directory":
        """The client of users, spaces and projects, which shares the same."""
        ...

    @property
    def by_name(self) -> "ByName":
        """Role bindings by the names of users, roles, spaces and projects, over these clients."""
        ...


class BaseArizeClient(BaseRolesClient, ArizeClient):
    """The clients of every resource, whatever the transport."""

    @cached_property
    def role_bindings(self) -> "RoleBindingsClient":
        from arize_roles_async._role_bindings.client import BaseRoleBindingsClient

        return self._copy_as(BaseRoleBindingsClient)

    @cached_property
    def directory(self) -> "Directory":
        from arize_roles_async._directory.client import BaseDirectory

        return self._copy_as(BaseDirectory)

    @property
    def by_name(self) -> "ByName":
        from arize_roles_async._directory import by_name

        # Not kept: it refers to this client.
        return by_name.ByName(self, self.role_bindings, self.directory)
