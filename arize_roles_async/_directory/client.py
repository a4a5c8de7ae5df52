"""The methods of a directory, written once for any transport.

The service finds what contains a text, whatever the case. So a look-up reads every page of that
list, and then compares: the first match may be another one's.
"""

import functools
import operator
import string
from typing import Any, Final, TypeVar

import msgspec

from arize_roles_async._calls.client import BaseClient
from arize_roles_async._calls.driver import DrivenCall
from arize_roles_async._calls.paging import Pages
from arize_roles_async._calls.resource import Resource
from arize_roles_async._calls.stage import pre_release
from arize_roles_async._directory.models import (
    ListProjectsResponse,
    ListSpacesResponse,
    ListUsersResponse,
    Project,
    Space,
    User,
)
from arize_roles_async._directory.operations import PROJECTS, SPACES, USERS
from arize_roles_async._directory.pages import ProjectPages, SpacePages, UserPages
from arize_roles_async._directory.protocol import Directory
from arize_roles_async._directory.requests import (
    FindProjects,
    ListProjects,
    in_space_flaw,
    is_id,
    project_flaw,
    space_flaw,
    user_flaw,
)
from arize_roles_async._values.errors import (
    AmbiguousNameError,
    BetaWarning,
    ForbiddenError,
    NotFoundError,
)
from arize_roles_async._values.models import ListResponse
from arize_roles_async._values.requests import PageRequest, check
from arize_roles_async._values.text import extend, quoted

_T = TypeVar("_T", bound="User | Space | Project")
_P = TypeVar("_P", bound=ListResponse[Any])

_MAX_SIMILAR: Final = 3
_MAX_LISTED: Final = 10
_LONGEST_ID: Final = 200
# `str.lower` maps more than these: the Kelvin sign, too, becomes a `k`.
_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class _About(msgspec.Struct, frozen=True):
    """The words of a look-up that finds nothing, or several things."""

    resource: Resource
    one: str
    several: str
    told_apart_by: str
    instead: str = "one of their IDs"


_ADDRESSES: Final = _About(USERS, "user has the address", "users have the address", "status")
_SPACES: Final = _About(SPACES, "space is named", "spaces are named", "organization_id")
_PROJECTS: Final = _About(
    PROJECTS, "project is named", "projects are named", "space_id", "in_space or one of their IDs"
)

beta = pre_release("directory", "BETA", BetaWarning)


class BaseDirectory(BaseClient, Directory):
    """The methods of `Directory`, whatever the transport."""

    _resource = USERS

    def __repr__(self) -> str:
        return "<Directory>"

    @beta
    def users(
        self, *, email: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> UserPages:
        fetch = functools.partial(self._page, USERS, ListUsersResponse)
        return UserPages(fetch, limit=limit, cursor=cursor, email=email)

    @beta
    async def get_user(self, *, user: str) -> User:
        check(("user", user_flaw(user)))
        call = self._begin("users.get", resource=USERS)
        with call.time_limit:
            if is_id(user):
                return await call.get(USERS, User, user)
            fetch = functools.partial(call.page, USERS, ListUsersResponse)
            try:
                return await _only(_ADDRESSES, user, UserPages(fetch, email=user))
            except ForbiddenError as error:
                extend(error, "; a user that is given by its ID needs no right to list users")
                raise

    @beta
    def spaces(
        self, *, name: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> SpacePages:
        fetch = functools.partial(self._page, SPACES, ListSpacesResponse)
        return SpacePages(fetch, limit=limit, cursor=cursor, name=name)

    @beta
    async def get_space(self, *, space: str) -> Space:
        check(("space", space_flaw(space)))
        call = self._begin("spaces.get", resource=SPACES)
        with call.time_limit:
            if is_id(space):
                return await call.get(SPACES, Space, space)
            return await _find_space(call, space)

    @beta
    def projects(
        self,
        *,
        name: str | None = None,
        in_space: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ProjectPages:
        return ProjectPages(
            self._page_of_projects, limit=limit, cursor=cursor, name=name, in_space=in_space
        )

    @beta
    async def get_project(self, *, project: str, in_space: str | None = None) -> Project:
        flaw = None if in_space is None else in_space_flaw(in_space, project)
        check(("project", project_flaw(project)), ("in_space", flaw))
        call = self._begin("projects.get", resource=PROJECTS)
        with call.time_limit:
            if is_id(project):
                return await call.get(PROJECTS, Project, project)
            space_id = await _space_id(call, in_space)
            fetch = functools.partial(_page_of_projects, call, space_id)
            return await _only(_PROJECTS, project, ProjectPages(fetch, name=project))

    async def _page(self, resource: Resource, response: type[_P], page: PageRequest) -> _P:
        call = self._begin(resource.operations[0], resource=resource)
        with call.time_limit:
            return await call.page(resource, response, page)

    async def _page_of_projects(self, page: FindProjects) -> ListProjectsResponse:
        call = self._begin("projects.list", resource=PROJECTS)
        with call.time_limit:
            # The ID is not kept: another space may have the name at the next page.
            return await _page_of_projects(call, await _space_id(call, page.in_space), page)


async def _page_of_projects(
    call: DrivenCall, space_id: str | None, page: FindProjects
) -> ListProjectsResponse:
    asked = ListProjects(limit=page.limit, cursor=page.cursor, name=page.name, space_id=space_id)
    return await call.page(PROJECTS, ListProjectsResponse, asked)


async def _space_id(call: DrivenCall, space: str | None) -> str | None:
    return space if space is None or is_id(space) else (await _find_space(call, space)).id


async def _find_space(call: DrivenCall, name: str) -> Space:
    fetch = functools.partial(call.page, SPACES, ListSpacesResponse)
    return await _only(_SPACES, name, SpacePages(fetch, name=name))


async def _only(about: _About, name: str, listing: Pages[Any, Any, _T]) -> _T:
    """Return the one item that has a name, given the list of all that contain it."""
    is_address = about is _ADDRESSES
    field = "email" if is_address else "name"
    found = [(getattr(each, field) or "", each) async for each in listing]
    is_same = _is_same_address if is_address else operator.eq
    matches = [each for text, each in found if is_same(text, name)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        # No similar addresses: they are other people's.
        names = [] if is_address else [text for text, _ in found]
        closest = tuple(sorted(dict.fromkeys(names), key=len)[:_MAX_SIMILAR])
        similar = f"; similar: {', '.join(map(quoted, closest))}" if closest else ""
        raise NotFoundError(
            f"no {about.one} {quoted(name)}, as far as the key sees{similar}",
            name=name,
            closest=closest,
            method="GET",
            path=about.resource.path,
        )
    label = about.told_apart_by.removesuffix("_id")
    ids = ", ".join(
        f"{quoted(each.id, _LONGEST_ID)} ({label} {quoted(getattr(each, about.told_apart_by))})"
        for each in matches[:_MAX_LISTED]
    )
    more = f" and {len(matches) - _MAX_LISTED} more" if len(matches) > _MAX_LISTED else ""
    raise AmbiguousNameError(
        f"{len(matches)} {about.several} {quoted(name)}; give {about.instead}: {ids}{more}",
        name=name,
        ids=tuple(each.id for each in matches),
    )


def _is_same_address(one: str, other: str) -> bool:
    return one.translate(_ASCII_LOWER) == other.translate(_ASCII_LOWER)
