"""Users, spaces and projects as bytes on the wire, written by hand from the REST reference."""

import functools
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET

from arize_roles_async import (
    AccountRole,
    AmbiguousNameError,
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

USER = b"""{"id": "VXNlcjoxOmxQZzI=", "name": "Ada", "email": "ada@x.org",
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
    email="ada@x.org",
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

RESULTS = {
    "get_user": ADA,
    "get_space": ML,
    "get_project": CHURN,
    "users": ListUsersResponse.of((ADA,)),
    "spaces": ListSpacesResponse.of((ML,)),
    "projects": ListProjectsResponse.of((CHURN,)),
}
users, spaces, projects = (
    functools.partial(page, kind=kind) for kind in ("users", "spaces", "projects")
)
OF_ML = "space_id=U3BhY2U6MTpiRnVM"


@pytest.mark.parametrize(
    ("method", "arguments", "answered", "line"),
    [
        ("get_user", {"user": ADA.id}, answer(USER), "users/VXNlcjoxOmxQZzI%3D"),
        ("get_user", {"user": "ada@x.org"}, users(USER), "users?limit=100&email=ada%40x.org"),
        ("get_space", {"space": ML.id}, answer(SPACE), "spaces/U3BhY2U6MTpiRnVM"),
        ("get_project", {"project": CHURN.id}, answer(PROJECT), "projects/TW9kZWw6MTIzOmFCY0Q%3D"),
        ("get_project", {"project": "churn"}, projects(PROJECT), "projects?limit=100&name=churn"),
        ("users", {"email": "x"}, users(USER), "users?limit=50&email=x"),
        ("spaces", {"limit": 7, "cursor": "c+"}, spaces(SPACE), "spaces?limit=7&cursor=c%2B"),
        ("projects", {"in_space": ML.id}, projects(PROJECT), f"projects?limit=50&{OF_ML}"),
    ],
)
async def test_request(method: str, arguments: dict[str, Any], answered: bytes, line: str) -> None:
    """A method sends this request, and returns what it answers."""
    async with client(answered) as (roles, script):
        assert await getattr(roles.directory, method)(**arguments) == RESULTS[method]
    assert script.lines == [f"GET /v2/{line}"]


async def test_walk_of_space() -> None:
    """A walk through the projects of a space looks the space up for each page."""
    answers = (spaces(SPACE), projects(PROJECT, cursor=b"c1"), spaces(SPACE), projects())
    async with client(*answers) as (roles, script):
        assert await roles.directory.projects(in_space="ML", limit=7).all() == RESULTS["projects"]
    assert script.lines == [
        "GET /v2/spaces?limit=100&name=ML",
        f"GET /v2/projects?limit=7&{OF_ML}",
        "GET /v2/spaces?limit=100&name=ML",
        f"GET /v2/projects?limit=7&cursor=c1&{OF_ML}",
    ]


async def test_other_form() -> None:
    """The ID that a look-up finds is sent as it is, whatever its form, for each page."""
    space, project = (each.replace(b"U3BhY2U6MTpiRnVM", b"ml") for each in (SPACE, PROJECT))
    other = project.replace(b'"churn"', b'"churn 2"')
    answers = (spaces(space), projects(other, cursor=b"c1"), projects(project))
    async with client(*answers) as (roles, script):
        assert (await roles.directory.get_project(project="churn", in_space="ML")).space_id == "ml"
    assert script.lines == [
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/projects?limit=100&name=churn&space_id=ml",
        "GET /v2/projects?limit=100&cursor=c1&name=churn&space_id=ml",
    ]


async def test_same_address() -> None:
    """Where an expired invitation has the address of a user, too, neither is taken."""
    expired = USER.replace(b"xQZzI", b"xQZzM").replace(b"ACTIVE", b"EXPIRED")
    bot = b'{"id":"VXNlcjox","email":null}'
    async with client(users(expired, bot, USER)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_user(user="ada@x.org")
    assert str(caught.value) == (
        "2 users have the address 'ada@x.org'; give one of their IDs: "
        "'VXNlcjoxOmxQZzM=' (status 'EXPIRED'), 'VXNlcjoxOmxQZzI=' (status 'ACTIVE')"
    )


async def test_same_project() -> None:
    """Of projects with one name in several spaces none is taken: give the space, or an ID."""
    other = PROJECT.replace(b"FCY0Q", b"FCY0R").replace(b"RnVM", b"RnVN")
    async with client(projects(PROJECT, other)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_project(project="churn")
    assert str(caught.value) == (
        "2 projects are named 'churn'; give in_space or one of their IDs: 'TW9kZWw6MTIzOmFCY0Q=' "
        "(space 'U3BhY2U6MTpiRnVM'), 'TW9kZWw6MTIzOmFCY0R=' (space 'U3BhY2U6MTpiRnVN')"
    )


async def test_many_matches() -> None:
    """Of many matches the message has ten, and the error the IDs of all."""
    many = [SPACE.replace(b"U3BhY2U6MTpiRnVM", b"U3BhY2U6%02d" % n) for n in range(12)]
    async with client(spaces(*many)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_space(space="ML")
    assert caught.value.name == "ML"
    assert caught.value.ids[10:] == ("U3BhY2U610", "U3BhY2U611")
    first, *others = str(caught.value).split(", ")
    assert first == (
        "12 spaces are named 'ML'; give one of their IDs: "
        "'U3BhY2U600' (organization 'T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw==')"
    )
    assert len(others) == 9
    assert others[-1].endswith(" and 2 more")


async def test_similar_names() -> None:
    """The shortest names that contain the one that is sought are named."""
    names = [b"html lab", b"ML", b"ML Platform Team", b"emlo", b"ML"]
    found = spaces(*(SPACE.replace(b'"ML"', b'"%s"' % name) for name in names))
    async with client(found) as (roles, _):
        with pytest.raises(NotFoundError) as caught:
            await roles.directory.get_space(space="ml")
    assert str(caught.value) == (
        "no space is named 'ml', as far as the key sees; similar: 'ML', 'emlo', 'html lab'"
    )
    assert caught.value.closest == ("ML", "emlo", "html lab")
    assert not caught.value.from_service


async def test_unset() -> None:
    """None leaves a space out, and no other value that is no text does."""
    unset: Any = UNSET
    async with client() as (roles, _):
        with pytest.raises(ValidationError, match="in_space: must be a string, not UnsetType"):
            await roles.directory.get_project(project="churn", in_space=unset)


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
    assert list(ListUsersResponse.of((ADA,)).to_df()["role"]) == ["Analyst"]
    assert str(AccountRole(type="PREDEFINED")) == "PREDEFINED"
