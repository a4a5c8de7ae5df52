"""The rules of users, spaces and projects, which are read only.

Filters by a text match a part of it, whatever the case. A thing that the key may not see is left
out of lists, and is not found.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._directory.requests import ListProjects, ListSpaces, ListUsers
from arize_roles_async._values.permissions import Permission
from arize_roles_async._values.requests import check, id_flaw, id_kind, text_flaw
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.grants import Grants
from arize_roles_fake._service.state import State, require
from arize_roles_fake._service.wire import decode_query, page_response, parse_id, record_response

_STATUSES: Final = ("ACTIVE", "INVITED", "EXPIRED")
_PROJECT_TYPES: Final = ("APPLICATION", "HARNESS", "EXPERIMENT")


class _ListSpaces(ListSpaces, frozen=True, kw_only=True):
    org_id: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(("org_id", None if self.org_id is None else id_flaw(self.org_id)))


class _ListProjects(ListProjects, frozen=True, kw_only=True):
    space_name: str | None = None
    project_type: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            ("space_name", None if self.space_name is None else text_flaw(self.space_name, 255)),
            ("project_type", _choice_flaw(self.project_type, (None, *_PROJECT_TYPES))),
        )


def _list_users(state: State, grants: Grants, request: Request) -> Response:
    require(grants, Permission.USER_READ)
    asked = decode_query(ListUsers, _query(request))
    given = parse_qsl(_query(request), keep_blank_values=True)
    statuses = [value for name, value in given if name == "status"]
    check(*(("status", _choice_flaw(each, _STATUSES)) for each in statuses))

    def is_asked(user: User) -> bool:
        # The bot user of a service key has no address, and is in no list.
        email = user.email
        is_listed = email is not None and user.id not in state.store.blocked
        return is_listed and _has(email or "", asked.email) and _is_among(user.status, statuses)

    filters: dict[str, object] = {"email": asked.email, "status": sorted(statuses)}
    users, cursor = state.page(
        asked, filters, state.store.users, "all", only=is_asked, newest_first=False
    )
    return page_response("users", users, cursor)


def _get_user(state: State, grants: Grants, request: Request) -> Response:
    return _get(state, request, lambda _: grants.may(Permission.USER_READ), "user", "User")


def _list_spaces(state: State, grants: Grants, request: Request) -> Response:
    asked = decode_query(_ListSpaces, _query(request))

    def is_asked(space: Space) -> bool:
        is_in = asked.org_id in {None, space.organization_id}
        return is_in and _has(space.name, asked.name) and _sees_space(grants, space.id)

    filters: dict[str, object] = {"name": asked.name, "org_id": asked.org_id}
    spaces, cursor = state.page(asked, filters, state.store.spaces, "all", only=is_asked)
    return page_response("spaces", spaces, cursor)


def _get_space(state: State, grants: Grants, request: Request) -> Response:
    return _get(state, request, lambda space: _sees_space(grants, space.id), "space", "Space")


def _list_projects(state: State, grants: Grants, request: Request) -> Response:
    asked = decode_query(_ListProjects, _query(request))
    around = asked.space_name
    if asked.space_id is not None and state.assumptions.unknown_space == 404:  # noqa: PLR2004
        space = state.store.spaces.by_id(asked.space_id)
        if space is None or not _sees_space(grants, space.id):
            raise state.not_found("Space", "space", asked.space_id)

    def is_asked(project: Project) -> bool:
        space = state.store.spaces.by_id(project.space_id)
        return (
            asked.space_id in {None, project.space_id}
            and asked.project_type in {None, project.project_type}
            and _has(project.name, asked.name)
            and (around is None or (space is not None and _has(space.name, around)))
            and _sees_project(grants, project)
        )

    filters: dict[str, object] = {
        "name": asked.name,
        "space_id": asked.space_id,
        "space_name": around,
        "project_type": asked.project_type,
    }
    projects, cursor = state.page(asked, filters, state.store.projects, "all", only=is_asked)
    return page_response("projects", projects, cursor)


def _get_project(state: State, grants: Grants, request: Request) -> Response:
    kinds = "Model", "Project"
    return _get(state, request, lambda it: _sees_project(grants, it), "project", *kinds)


def _get(
    state: State, request: Request, is_seen: Callable[[Any], bool], what: str, *kinds: str
) -> Response:
    """Answer with a user, space or project, where the account has it and the key sees it."""
    asked = parse_id(request.path)
    kind, found = id_kind(asked), None
    if kind in kinds and asked not in state.store.blocked:
        found = state.records_of(asked).by_id(asked)
        if found is None and state.has(asked, state.users if what == "user" else state.resources):
            found = state.derived(asked)
    if found is None or not is_seen(found):
        raise state.not_found(kind if kind in kinds else kinds[0], what, asked)
    return record_response(200, found)


def _sees_space(grants: Grants, space_id: str) -> bool:
    return grants.sees(Permission.SPACE_READ, space_id)


def _sees_project(grants: Grants, project: Project) -> bool:
    return grants.sees(Permission.PROJECT_READ, project.id, project.space_id)


def _query(request: Request) -> str:
    return request.target.partition("?")[2]


def _has(text: str, part: str | None) -> bool:
    return part is None or part.casefold() in text.casefold()


def _is_among(value: str | None, values: list[str]) -> bool:
    return not values or value in values


def _choice_flaw(value: str | None, choices: tuple[str | None, ...]) -> str | None:
    return None if value in choices else f"must be one of {', '.join(filter(None, choices))}"


HANDLERS: Final[dict[str, Callable[[State, Grants, Request], Response]]] = {
    "users.list": _list_users,
    "users.get": _get_user,
    "spaces.list": _list_spaces,
    "spaces.get": _get_space,
    "projects.list": _list_projects,
    "projects.get": _get_project,
}
