"""The methods of a directory, written once for any transport.

The service finds what contains a text, whatever the case. So a look-up reads every page of that
list, and then compares: the first match may be another one's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from arize_roles_async._calls.call import Collection
from arize_roles_async._calls.driver import DrivenCall
from arize_roles_async._clients.client import BaseClient
from arize_roles_async._clients.notices import pre_release
from arize_roles_async._clients.paging import Pages
from arize_roles_async._directory import models
from arize_roles_async._directory.models import ListProjectsResponse, Project, Space, User
from arize_roles_async._directory.protocol import Directory
from arize_roles_async._directory.requests import (
    PROJECTS,
    SPACES,
    USERS,
    FindProjects,
    ProjectPages,
    SpacePages,
    UserPages,
    in_space_flaw,
)
from arize_roles_async._values import errors
from arize_roles_async._values import requests as rules
from arize_roles_async._values.models import ListResponse
from arize_roles_async._values.text import MAX_CLOSEST, append, quoted

_T = TypeVar("_T", bound=User | Space | Project)
_P = TypeVar("_P", bound=ListResponse[object])

_MAX_LISTED: Final = 10
_LONGEST_ID: Final = 200


class _Named(msgspec.Struct, Generic[_T, _P], frozen=True):
    """What is looked up by its name: users, spaces or projects."""

    noun: str
    collection: Collection
    model: type[_T]
    page: type[_P]
    pages: Callable[..., Pages[Any, _P, _T]]
    named_by: str
    """The field with its name, which is the filter of its list, too."""
    differs_by: str
    """The field that differs where several have one name."""


_USERS: Final = _Named("user", USERS, User, models.ListUsersResponse, UserPages, "email", "status")
_SPACES: Final = _Named(
    "space", SPACES, Space, models.ListSpacesResponse, SpacePages, "name", "organization_id"
)
_PROJECTS: Final = _Named(
    "project", PROJECTS, Project, ListProjectsResponse, ProjectPages, "name", "space_id"
)

beta = pre_release("directory", "BETA", errors.BetaWarning)


class BaseDirectory(BaseClient[object], Directory):
    @beta
    def users(
        self, *, email: rules.Text = UNSET, limit: int | None = None, cursor: str | None = None
    ) -> UserPages:
        return UserPages(partial(self._page, _USERS), limit=limit, cursor=cursor, email=email)

    @beta
    async def get_user(self, *, user: str) -> User:
        try:
            return await self._get(_USERS, user)
        except errors.ForbiddenError as error:
            if not rules.is_id(user):
                append(error, "; a user that is given by its ID needs no right to list users")
            raise

    @beta
    def spaces(
        self, *, name: rules.Text = UNSET, limit: int | None = None, cursor: str | None = None
    ) -> SpacePages:
        return SpacePages(partial(self._page, _SPACES), limit=limit, cursor=cursor, name=name)

    @beta
    async def get_space(self, *, space: str) -> Space:
        return await self._get(_SPACES, space)

    @beta
    def projects(
        self,
        *,
        name: rules.Text = UNSET,
        in_space: rules.Text = UNSET,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ProjectPages:
        fetch = partial(self._projects_page, [])
        return ProjectPages(fetch, limit=limit, cursor=cursor, name=name, in_space=in_space)

    @beta
    async def get_project(self, *, project: str, in_space: rules.Text = UNSET) -> Project:
        return await self._get(_PROJECTS, project, in_space)

    async def _page(self, kind: _Named[_T, _P], page: rules.PageRequest) -> _P:
        with self._begin(f"{kind.noun}s.list", kind.collection) as call:
            return await call.get_page(kind.collection, kind.page, page)

    async def _projects_page(self, found: list[str], page: FindProjects) -> ListProjectsResponse:
        """Return a page; `found` has the ID of the space of its walk."""
        with self._begin("projects.list", PROJECTS) as call:
            if not isinstance(page.in_space, UnsetType):
                # Once a walk, whose cursors are of one space: another may take the name meanwhile.
                if page.cursor is None or not found:
                    found[:] = [await _space_id(call, page.in_space)]
                page = replace(page, in_space=UNSET, space_id=found[0])
            return await call.get_page(PROJECTS, ListProjectsResponse, page)

    async def _get(self, kind: _Named[_T, Any], text: str, in_space: rules.Text = UNSET) -> _T:
        flaw = rules.flaw_if_given(partial(in_space_flaw, project=text), in_space)
        rules.check((kind.noun, rules.name_or_id_flaw(kind.noun, text)), ("in_space", flaw))
        with self._begin(f"{kind.noun}s.get", kind.collection) as call:
            return await _find(call, kind, text, in_space)


async def _space_id(call: DrivenCall[object], space: str) -> str:
    return space if rules.is_id(space) else (await _find(call, _SPACES, space)).id


async def _find(
    call: DrivenCall[object], kind: _Named[_T, Any], text: str, in_space: rules.Text = UNSET
) -> _T:
    """Return the item with an ID, or the one that has a name."""
    if rules.is_id(text):
        return await call.get_item(kind.collection, kind.model, text)
    filters = {kind.named_by: text}
    if not isinstance(in_space, UnsetType):
        filters["space_id"] = await _space_id(call, in_space)
    fetch = partial(call.get_page, kind.collection, kind.page)
    return await _only(kind, text, kind.pages(fetch, **filters))


async def _only(kind: _Named[_T, Any], name: str, listing: Pages[Any, Any, _T]) -> _T:
    """Return the one item that has a name, given the list of all that contain it."""
    compared = rules.as_compared if kind is _USERS else str
    found = [(getattr(each, kind.named_by) or "", each) async for each in listing]
    wanted = compared(name)
    # By their IDs: an item may be on two pages, where others were added between these.
    matches = [*{each.id: each for text, each in found if compared(text) == wanted}.values()]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        is_named = "has the address" if kind is _USERS else "is named"
        # No similar addresses: they are other people's.
        names = dict.fromkeys(text for text, _ in found if kind is not _USERS)
        closest = tuple(sorted(names, key=len)[:MAX_CLOSEST])
        similar = f"; similar: {', '.join(map(quoted, closest))}" if closest else ""
        message = f"no {kind.noun} {is_named} {quoted(name)}, as far as the key sees{similar}"
        path = kind.collection.path
        raise errors.NotFoundError(message, name=name, closest=closest, method="GET", path=path)
    are_named = "have the address" if kind is _USERS else "are named"
    instead = "in_space or one of their IDs" if kind is _PROJECTS else "one of their IDs"
    by = kind.differs_by
    ids = ", ".join(
        f"{quoted(each.id, _LONGEST_ID)} ({by.removesuffix('_id')} {quoted(getattr(each, by))})"
        for each in matches[:_MAX_LISTED]
    )
    more = f" and {len(matches) - _MAX_LISTED} more" if len(matches) > _MAX_LISTED else ""
    raise errors.AmbiguousNameError(
        f"{len(matches)} {kind.noun}s {are_named} {quoted(name)}; give {instead}: {ids}{more}",
        name=name,
        ids=tuple(each.id for each in matches),
    )
