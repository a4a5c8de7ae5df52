"""Requests about users, spaces and projects: their paths, their rules, and the listings."""

from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.call import Collection
from arize_roles_async._clients.paging import Pages
from arize_roles_async._directory import models
from arize_roles_async._values import requests as rules

DirectoryOperation = Literal[
    "users.list", "users.get", "spaces.list", "spaces.get", "projects.list", "projects.get"
]

USERS: Final = Collection(
    path="/v2/users", operations=("users.list", "users.get"), id_argument="user_id"
)
SPACES: Final = Collection(
    path="/v2/spaces", operations=("spaces.list", "spaces.get"), id_argument="space_id"
)
PROJECTS: Final = Collection(
    path="/v2/projects", operations=("projects.list", "projects.get"), id_argument="project_id"
)

_name_flaw: Final = partial(rules.text_flaw, longest=rules.MAX_NAME)


def in_space_flaw(in_space: object, project: object) -> str | None:
    """Return what is wrong with the space that a project is looked for in, or None."""
    if isinstance(project, str) and rules.is_id(project):
        return "must be left out where the project is an ID"
    return rules.name_or_id_flaw("space", in_space)


_FILTERS: Final[dict[str, Callable[[object], str | None]]] = {
    "email": _name_flaw,
    "name": _name_flaw,
    "in_space": partial(rules.name_or_id_flaw, "space"),
    "space_id": rules.id_flaw,
    # Those of the service that no method of the client has.
    "org_id": rules.id_flaw,
    "space_name": _name_flaw,
}


class _FilteredPage(rules.PageRequest, frozen=True, kw_only=True):
    """One page to list, with filters."""

    def __post_init__(self) -> None:
        values = {name: getattr(self, name, UNSET) for name in _FILTERS}
        given = [(name, value) for name, value in values.items() if value is not UNSET]
        self._check(*((name, rules.flaw_if_given(_FILTERS[name], value)) for name, value in given))


class ListUsers(_FilteredPage, frozen=True, kw_only=True):
    """One page of users to list."""

    email: str | UnsetType = UNSET


class ListSpaces(_FilteredPage, frozen=True, kw_only=True):
    """One page of spaces to list."""

    name: str | UnsetType = UNSET


class ListProjects(_FilteredPage, frozen=True, kw_only=True):
    """One page of projects to list, as it is sent."""

    name: str | UnsetType = UNSET
    space_id: str | UnsetType = UNSET


class FindProjects(ListProjects, frozen=True, kw_only=True):
    """One page of projects to list, of a space that is given by its name or ID."""

    in_space: str | UnsetType = UNSET


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
