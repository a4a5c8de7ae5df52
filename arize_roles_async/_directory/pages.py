"""The listings of users, spaces and projects: awaited for one page, or iterated for every item."""

from arize_roles_async._calls.paging import Pages
from arize_roles_async._directory.models import (
    ListProjectsResponse,
    ListSpacesResponse,
    ListUsersResponse,
    Project,
    Space,
    User,
)
from arize_roles_async._directory.requests import FindProjects, ListSpaces, ListUsers
from arize_roles_async._values.public import public


@public("arize_roles_async")
class UserPages(Pages[ListUsers, ListUsersResponse, User]):
    """A listing of users, used as `RolePages` is.

    Args:
        fetch: Gets a page, given its `limit`, `cursor` and `email` as one object.
        limit: Users a page, 1 to 100; None is 50 for one page and 100 a page in a walk.
        cursor: Where to begin, from an earlier page.
        email: A part of the address.
    """

    _noun = "users"
    _request_type = ListUsers


@public("arize_roles_async")
class SpacePages(Pages[ListSpaces, ListSpacesResponse, Space]):
    """A listing of spaces, made and used as `UserPages` is, with a `name`."""

    _noun = "spaces"
    _request_type = ListSpaces


@public("arize_roles_async")
class ProjectPages(Pages[FindProjects, ListProjectsResponse, Project]):
    """A listing of projects, made and used as `UserPages` is, with a `name` and an `in_space`."""

    _noun = "projects"
    _request_type = FindProjects
