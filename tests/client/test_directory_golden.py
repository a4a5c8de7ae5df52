"""Users, spaces and projects as bytes on the wire, written by hand from the REST reference."""

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import UNSET

from arize_roles_async import (
    AccountRole,
    AmbiguousNameError,
    ArizeClient,
    ListProjectsResponse,
    ListSpacesResponse,
    ListUsersResponse,
    NotFoundError,
    Project,
    Space,
    User,
    ValidationError,
)
from tests.client.test_golden import answer, client, page

USER = b"""{"id": "VXNlcjoxOmxQZzI=", "name": "Ada", "email": "ada@example.com",
"created_at": "2026-11-24T08:30:00Z", "status": "ACTIVE",
"role": {"type": "CUSTOM", "id": "Um9sZToxOmFCY0Q=", "name": "Analyst"},
"is_developer": false, "a_field_of_tomorrow": [1]}"""
SPACE = b"""{"id": "U3BhY2U6MTpiRnVM", "name": "ML", "description": "", "is_private": true,
"organization_id": "T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw==", "created_at": "2026-11-24T08:30:00Z"}"""
PROJECT = b"""{"id": "TW9kZWw6MTIzOmFCY0Q=", "name": "churn", "space_id": "U3BhY2U6MTpiRnVM",
"project_type": null, "created_at": "2026-11-24T08:30:00Z"}"""

BORN = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
ADA = User(
    id="VXNlcjoxOmxQZzI=",
    name="Ada",
    email="ada@example.com",
    status="ACTIVE",
    role=AccountRole(type="CUSTOM", name="Analyst", id="Um9sZToxOmFCY0Q="),
    is_developer=False,
    created_at=BORN,
)
ML = Space(
    id="U3BhY2U6MTpiRnVM",
    name="ML",
    description="",
    organization_id="T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw==",
    is_private=True,
    created_at=BORN,
)
CHURN = Project(
    id="TW9kZWw6MTIzOmFCY0Q=", name="churn", space_id="U3BhY2U6MTpiRnVM", created_at=BORN
)


USERS = ListUsersResponse.of((ADA,))
SPACES = ListSpacesResponse.of((ML,))
PROJECTS = ListProjectsResponse.of((CHURN,))
users, spaces, projects = (
    functools.partial(page, kind=kind) for kind in ("users", "spaces", "projects")
)
Use = Callable[[ArizeClient], Awaitable[object]]
USES: dict[str, Use] = {
    "user's id": lambda roles: roles.directory.get_user(user="VXNlcjoxOmxQZzI="),
    "address": lambda roles: roles.directory.get_user(user="ada@example.com"),
    "space's id": lambda roles: roles.directory.get_space(space="U3BhY2U6MTpiRnVM"),
    "space": lambda roles: roles.directory.get_space(space="ML"),
    "project's id": lambda roles: roles.directory.get_project(project="TW9kZWw6MTIzOmFCY0Q="),
    "project": lambda roles: roles.directory.get_project(project="churn"),
    "project in an id": lambda roles: roles.directory.get_project(
        project="churn", in_space="U3BhY2U6MTpiRnVM"
    ),
    "project in a space": lambda roles: roles.directory.get_project(project="churn", in_space="ML"),
    "users": lambda roles: roles.directory.users(email="x").all(),
    "spaces": lambda roles: roles.directory.spaces(name="x", limit=7, cursor="c+").all(),
    "projects": lambda roles: roles.directory.projects(name="x", in_space="U3BhY2U6MTpiRnVM").all(),
    "projects of a space": lambda roles: roles.directory.projects(in_space="ML", limit=7).all(),
}
SPACE_PAGE, PROJECT_PAGE = spaces(SPACE), projects(PROJECT)
OF_ML = "space_id=U3BhY2U6MTpiRnVM"


@pytest.mark.parametrize(
    ("use", "answers", "lines", "result"),
    [
        ("user's id", [answer(USER)], ["users/VXNlcjoxOmxQZzI%3D"], ADA),
        ("address", [users(USER)], ["users?limit=100&email=ada%40example.com"], ADA),
        ("space's id", [answer(SPACE)], ["spaces/U3BhY2U6MTpiRnVM"], ML),
        (
            "space",
            [spaces(SPACE.replace(b'"ML"', b'"MLops"'), cursor=b"c1"), SPACE_PAGE],
            ["spaces?limit=100&name=ML", "spaces?limit=100&cursor=c1&name=ML"],
            ML,
        ),
        ("project's id", [answer(PROJECT)], ["projects/TW9kZWw6MTIzOmFCY0Q%3D"], CHURN),
        ("project", [PROJECT_PAGE], ["projects?limit=100&name=churn"], CHURN),
        (
            "project in an id",
            [PROJECT_PAGE],
            [f"projects?limit=100&name=churn&{OF_ML}"],
            CHURN,
        ),
        (
            "project in a space",
            [SPACE_PAGE, projects(cursor=b"c1"), PROJECT_PAGE],
            [
                "spaces?limit=100&name=ML",
                f"projects?limit=100&name=churn&{OF_ML}",
                f"projects?limit=100&cursor=c1&name=churn&{OF_ML}",
            ],
            CHURN,
        ),
        ("users", [users(USER)], ["users?limit=100&email=x"], USERS),
        ("spaces", [SPACE_PAGE], ["spaces?limit=7&cursor=c%2B&name=x"], SPACES),
        ("projects", [PROJECT_PAGE], [f"projects?limit=100&name=x&{OF_ML}"], PROJECTS),
        (
            "projects of a space",
            [SPACE_PAGE, projects(PROJECT, cursor=b"c1"), SPACE_PAGE, projects()],
            [
                "spaces?limit=100&name=ML",
                f"projects?limit=7&{OF_ML}",
                "spaces?limit=100&name=ML",
                f"projects?limit=7&cursor=c1&{OF_ML}",
            ],
            PROJECTS,
        ),
    ],
)
async def test_requests(use: str, answers: list[bytes], lines: list[str], result: object) -> None:
    """A look-up or a walk sends these requests, and returns what they answer."""
    async with client(*answers) as (roles, script):
        assert await USES[use](roles) == result
    assert script.lines == [f"GET /v2/{line}" for line in lines]


@pytest.mark.parametrize(
    ("use", "answered", "message"),
    [
        (
            "space",
            spaces(SPACE, SPACE.replace(b"RnVM", b"RnVN").replace(b"l6Vw==", b"l6Vg==")),
            (
                "2 spaces are named 'ML'; give one of their IDs: 'U3BhY2U6MTpiRnVM' "
                "(organization 'T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw=='), 'U3BhY2U6MTpiRnVN' "
                "(organization 'T3JnYW5pemF0aW9uOjEwMDE6eFl6Vg==')"
            ),
        ),
        (
            "address",
            users(USER.replace(b"xQZzI", b"xQZzM").replace(b"ACTIVE", b"EXPIRED"), USER),
            (
                "2 users have the address 'ada@example.com'; give one of their IDs: "
                "'VXNlcjoxOmxQZzM=' (status 'EXPIRED'), 'VXNlcjoxOmxQZzI=' (status 'ACTIVE')"
            ),
        ),
        (
            "project",
            projects(PROJECT, PROJECT.replace(b"FCY0Q", b"FCY0R").replace(b"RnVM", b"RnVN")),
            (
                "2 projects are named 'churn'; give in_space or one of their IDs: "
                "'TW9kZWw6MTIzOmFCY0Q=' (space 'U3BhY2U6MTpiRnVM'), "
                "'TW9kZWw6MTIzOmFCY0R=' (space 'U3BhY2U6MTpiRnVN')"
            ),
        ),
    ],
)
async def test_ambiguous(use: str, answered: bytes, message: str) -> None:
    """Of several with one name, also an expired invitation, none is taken: give an ID."""
    async with client(answered) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await USES[use](roles)
    assert str(caught.value) == message


async def test_many_matches() -> None:
    """Of many matches the message has ten, and the error the IDs of all."""
    many = [SPACE.replace(b"U3BhY2U6MTpiRnVM", b"U3BhY2U6%02d" % n) for n in range(12)]
    async with client(spaces(*many)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_space(space="ML")
    assert caught.value.name == "ML"
    assert caught.value.ids[10:] == ("U3BhY2U610", "U3BhY2U611")
    assert str(caught.value).endswith(" and 2 more")
    assert str(caught.value).count("organization") == 10


async def test_similar_names() -> None:
    """The shortest names that contain the one that is sought are named."""
    names = [b"html lab", b"ML", b"ML Platform Team", b"emlo", b"ML Platform Team"]
    found = spaces(*(SPACE.replace(b'"ML"', b'"%s"' % name) for name in names))
    async with client(found) as (roles, _):
        with pytest.raises(NotFoundError) as caught:
            await roles.directory.get_space(space="ml")
    assert str(caught.value) == (
        "no space is named 'ml', as far as the key sees; similar: 'ML', 'emlo', 'html lab'"
    )
    assert caught.value.closest == ("ML", "emlo", "html lab")
    assert caught.value.name == "ml"
    assert not caught.value.from_service


async def test_other_form() -> None:
    """The ID that a look-up finds is sent as it is, whatever its form."""
    space, project = (each.replace(b"U3BhY2U6MTpiRnVM", b"ml") for each in (SPACE, PROJECT))
    answers = (spaces(space), projects(cursor=b"c1"), projects(project))
    async with client(*answers) as (roles, script):
        assert (await roles.directory.get_project(project="churn", in_space="ML")).space_id == "ml"
    assert script.lines == [
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/projects?limit=100&name=churn&space_id=ml",
        "GET /v2/projects?limit=100&cursor=c1&name=churn&space_id=ml",
    ]


async def test_unset() -> None:
    """None leaves a space out, and no other value that is no text does."""
    async with client() as (roles, script):
        with pytest.raises(ValidationError, match="in_space: must be a string, not UnsetType"):
            await roles.directory.get_project(project="churn", in_space=cast("Any", UNSET))
    assert script.lines == []


async def test_least() -> None:
    """A user needs an ID alone, a space and a project what names them."""
    answers = (
        users(b'{"id":"VXNlcjox","email":null}'),
        spaces(b'{"id":"U3BhY2U6MQ==","name":"ML"}'),
        projects(b'{"id":"TW9kZWw6MQ==","name":"churn","space_id":"U3BhY2U6MQ=="}'),
    )
    async with client(*answers) as (roles, _):
        directory = roles.directory
        assert (await directory.users()).to_dict()["users"] == [{"id": "VXNlcjox"}]
        assert [space.name async for space in directory.spaces()] == ["ML"]
        assert (await directory.projects().all())[0].space_id == "U3BhY2U6MQ=="


async def test_shown() -> None:
    """Times are shown in ISO form; in a frame, a user's role is its name."""
    assert repr(CHURN) == (
        "Project(id='TW9kZWw6MTIzOmFCY0Q=', name='churn', space_id='U3BhY2U6MTpiRnVM', "
        "project_type=None, created_at=2026-11-24T08:30:00+00:00)"
    )
    assert repr(User(id="a")).endswith("created_at=None)")
    assert list(USERS.to_df()["role"]) == ["Analyst"]
    assert str(AccountRole(type="PREDEFINED")) == "PREDEFINED"
