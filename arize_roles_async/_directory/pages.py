"""The listings of users, spaces and projects: awaited for one page, or iterated for every item."""

from arize_roles_async._calls.paging import Pages
from arize_roles_async._directory import models
from arize_roles_async._directory.requests import FindProjects, ListSpaces, ListUsers


class UserPages(Pages[ListUsers, models.ListUsersResponse, models.User]):
    """A listing of users, used as `RolePages` is.

    Its first argument is a function that gets one page, called with an object of the page's
    `limit`, `cursor` and `email`. The others are those of `Directory.users`.
    """

    _noun = "users"
    _request_type = ListUsers


class SpacePages(Pages[ListSpaces, models.ListSpacesResponse, models.Space]):
    """A listing of spaces, made and used as `UserPages` is, with a `name`."""

    _noun = "spaces"
    _request_type = ListSpaces


class ProjectPages(Pages[FindProjects, models.ListProjectsResponse, models.Project]):
    """A listing of projects, made and used as `UserPages` is, with a `name` and an `in_space`."""

    _noun = "projects"
    _request_type = FindProjects
