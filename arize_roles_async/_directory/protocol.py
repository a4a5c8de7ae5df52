"""The protocol of users, spaces and projects that applications type against."""

from typing import Protocol, runtime_checkable

from msgspec import UNSET

from arize_roles_async._clients.protocol import Client
from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._directory.requests import ProjectPages, SpacePages, UserPages
from arize_roles_async._values.requests import Text


@runtime_checkable
class Directory(Client, Protocol):
    """The users, spaces and projects of Arize, as far as the API key may see them; read only.

    `ArizeClient.directory` is one.

    Each is given by its name or its ID, told apart as in `RolesClient.get`. The service finds
    names that contain a text, whatever the case; the client reads all of these and compares. An
    address is compared whole, ASCII letters without case; any other name exactly. Each has at most
    255 characters. Nothing is kept: the next look-up asks again.

    Arguments are checked and failures raised as `RolesClient` says, with one `ValidationError` for
    all arguments.
    """

    def users(
        self, *, email: Text = UNSET, limit: int | None = None, cursor: str | None = None
    ) -> UserPages:
        """List users: await the result for one page, or iterate it for all, oldest first.

        Args:
            email: A part of the address, whatever the case; at most 255 characters.
            limit: As in `RolesClient.list`.
            cursor: As in `RolesClient.list`.

        Raises:
            ForbiddenError: While awaiting or iterating: the key may not list users.
        """
        ...

    async def get_user(self, *, user: str) -> User:
        """Return one user.

        Args:
            user: The user's whole address, or ID.

        Raises:
            NotFoundError: There is no such user, or the key does not see it.
            AmbiguousNameError: Several users have the address, such as an expired invitation
                beside a new one.
            ForbiddenError: For an address: the key may not list users.
        """
        ...

    def spaces(
        self, *, name: Text = UNSET, limit: int | None = None, cursor: str | None = None
    ) -> SpacePages:
        """List spaces, as `users` lists users: `name` is a part of the name, whatever the case."""
        ...

    async def get_space(self, *, space: str) -> Space:
        """Return one space.

        Args:
            space: Its exact name, or its ID.

        Raises:
            NotFoundError: There is no such space, or the key does not see it.
            AmbiguousNameError: Several spaces have the name, in different organizations.
        """
        ...

    def projects(
        self,
        *,
        name: Text = UNSET,
        in_space: Text = UNSET,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ProjectPages:
        """List projects, as `users` lists users: `name` is a part of the name, whatever the case.

        With `in_space`, the exact name or the ID of a space, only the projects of that space are
        listed. A name is looked up once a walk, with its first page and the errors of `get_space`.
        """
        ...

    async def get_project(self, *, project: str, in_space: Text = UNSET) -> Project:
        """Return one project.

        Args:
            project: Its exact name, or its ID.
            in_space: The exact name or the ID of the space that it is in; refused beside an ID.

        Raises:
            NotFoundError: There is no such project or space, or the key does not see it.
            AmbiguousNameError: Several projects or spaces have the name.
        """
        ...
