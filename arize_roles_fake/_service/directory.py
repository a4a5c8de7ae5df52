"""The rules of users, spaces and projects, which are read only.

Filters by a text match a part of it, whatever the case. What the key may not see is left
out of lists, and is not found.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._directory.requests import ListProjects, ListSpaces, ListUsers
from arize_roles_async._values.permissions import Permission
from arize_roles_async._values.requests import ID_KINDS, check, flaw_if_given, id_kind
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.state import Grants, State, require
from arize_roles_fake._service.wire import ParsedRequest, decode_query, record_response

_STATUSES: Final = ("ACTIVE", "INVITED", "EXPIRED")
_PROJECT_TYPES: Final = ("APPLICATION", "HARNESS", "EXPERIMENT")


class _ListUsers(ListUsers, frozen=True, kw_only=True):
    status: list[str] = msgspec.field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__post_init__()
        check(*(("status", _choice_flaw(each, _STATUSES)) for each in self.status))


class _ListSpaces(ListSpaces, frozen=True, kw_only=True):
    org_id: str | UnsetType = UNSET


class _ListProjects(ListProjects, frozen=True, kw_only=True):
    space_name: str | UnsetType = UNSET
    project_type: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        flaw = flaw_if_given(partial(_choice_flaw, choices=_PROJECT_TYPES), self.project_type)
        check(("project_type", flaw))


def _list_users(state: State, grants: Grants, request: ParsedRequest) -> Response:
    require(grants, Permission.USER_READ)
    asked = decode_query(_ListUsers, request)

    def is_asked(user: User) -> bool:
        # The bot user of a service key has no address, and is in no list.
        email = user.email
        is_listed = email is not None and user.id not in state.records.blocked
        is_among = not asked.status or user.status in asked.status
        return is_listed and is_among and _has(email or "", asked.email)

    return state.page("users", asked, state.records.users, only=is_asked, newest_first=False)


def _list_spaces(state: State, grants: Grants, request: ParsedRequest) -> Response:
    asked = decode_query(_ListSpaces, request)

    def is_asked(space: Space) -> bool:
        is_in = asked.org_id in {UNSET, space.organization_id}
        return is_in and _has(space.name, asked.name) and _reaches(grants, space)

    return state.page("spaces", asked, state.records.spaces, only=is_asked)


def _list_projects(state: State, grants: Grants, request: ParsedRequest) -> Response:
    asked = decode_query(_ListProjects, request)
    if not isinstance(asked.space_id, UnsetType) and state.assumptions.unknown_space == 404:  # noqa: PLR2004
        _find(state, grants, "space", asked.space_id)

    def is_asked(project: Project) -> bool:
        space = state.records.spaces.by_id(project.space_id)
        return (
            asked.space_id in {UNSET, project.space_id}
            and asked.project_type in {UNSET, project.project_type}
            and _has(project.name, asked.name)
            and _has(space.name if space else "", asked.space_name)
            and _reaches(grants, project)
        )

    return state.page("projects", asked, state.records.projects, only=is_asked)


def _get(what: str, state: State, grants: Grants, request: ParsedRequest) -> Response:
    return record_response(200, _find(state, grants, what, request.id))


def _find(state: State, grants: Grants, what: str, asked: str) -> User | Space | Project:
    """Return what has an ID, where the account has it and the key sees it."""
    found: User | Space | Project | None = None
    if id_kind(asked) in ID_KINDS[what] and state.has(asked):
        found = state.entry(asked)
    if found is None or not _reaches(grants, found):
        raise state.not_found(what, asked)
    return found


def _reaches(grants: Grants, entry: User | Space | Project) -> bool:
    if isinstance(entry, User):
        return grants.allow(Permission.USER_READ)
    if isinstance(entry, Space):
        return grants.reach(Permission.SPACE_READ, entry.id)
    return grants.reach(Permission.PROJECT_READ, entry.id, entry.space_id)


def _has(text: str, part: str | UnsetType) -> bool:
    return isinstance(part, UnsetType) or part.casefold() in text.casefold()


def _choice_flaw(value: object, choices: tuple[str, ...]) -> str | None:
    return None if value in choices else f"must be one of {', '.join(choices)}"


HANDLERS: Final[dict[str, Callable[[State, Grants, ParsedRequest], Response]]] = {
    "users.list": _list_users,
    "users.get": partial(_get, "user"),
    "spaces.list": _list_spaces,
    "spaces.get": partial(_get, "space"),
    "projects.list": _list_projects,
    "projects.get": partial(_get, "project"),
}
