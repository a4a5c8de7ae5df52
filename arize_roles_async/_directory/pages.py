"""The listings of users, spaces and projects: awaited for one page, or iterated for every item."""

from arize_roles_async._calls.paging import Pages
from arize_roles_async._directory import models
from arize_roles_async._directory.requests import FindProjects, ListSpaces, ListUsers


class UserPages(Pages[ListUsers, models.ListUsersResponse, models.User]):
    """A listing of users, made and used as `RolePages` is."""

    _noun = "users"
    _request_type = ListUsers


class SpacePages(Pages[ListSpaces, models.ListSpacesResponse, models.Space]):
    """A listing of spaces, made and used as `RolePages` is."""

    _noun = "spaces"
    _request_type = ListSpaces


class ProjectPages(Pages[FindProjects, models.ListProjectsResponse, models.Project]):
    """A listing of projects, made and used as `RolePages` is."""

    _noun = "projects"
    _request_type = FindProjects
