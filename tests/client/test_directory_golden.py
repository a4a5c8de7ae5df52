"""Users, spaces and projects as bytes on the wire, written by hand from the REST reference."""

import functools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from arize_roles_async import (
    AccountRole,
    AmbiguousNameError,
    ListUsersResponse,
    NotFoundError,
    User,
)
from tests.client.test_golden import answer, client, page

USER = b"""{"id": "VXNlcjoxOmxQZzI=", "name": "Ada", "email": "ada@x.org", "status": "ACTIVE",
"role": {"type": "CUSTOM", "id": "Um9sZToxOmFCY0Q=", "name": "Analyst"}, "is_developer": false,
"created_at": "2026-11-24T08:30:00+00:00"}"""
SPACE = b"""{"id": "U3BhY2U6MTpiRnVM", "name": "ML", "description": "", "is_private": true,
"organization_id": "T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw==", "created_at": "2026-11-24T08:30:00+00:00"}"""
PROJECT = b"""{"id": "TW9kZWw6MTIzOmFCY0Q=", "name": "churn", "space_id": "U3BhY2U6MTpiRnVM",
"project_type": "HARNESS", "created_at": "2026-11-24T08:30:00+00:00"}"""

users, spaces, projects = (
    functools.partial(page, kind=kind) for kind in ("users", "spaces", "projects")
)
ADA, ML, CHURN = (json.loads(each)["id"] for each in (USER, SPACE, PROJECT))
OF_ML = "space_id=U3BhY2U6MTpiRnVM"


@pytest.mark.parametrize(
    ("method", "arguments", "answered", "line"),
    [
        ("get_user", {"user": ADA}, answer(USER), "users/VXNlcjoxOmxQZzI%3D"),
        ("get_space", {"space": ML}, answer(SPACE), "spaces/U3BhY2U6MTpiRnVM"),
        ("get_project", {"project": CHURN}, answer(PROJECT), "projects/TW9kZWw6MTIzOmFCY0Q%3D"),
        ("get_user", {"user": "ada@x.org"}, users(USER), "users?limit=100&email=ada%40x.org"),
        ("get_project", {"project": "churn"}, projects(PROJECT), "projects?limit=100&name=churn"),
        ("users", {"email": "x"}, users(USER), "users?limit=50&email=x"),
        ("spaces", {"limit": 7, "cursor": "c+"}, spaces(SPACE), "spaces?limit=7&cursor=c%2B"),
        ("projects", {"in_space": ML}, projects(PROJECT), f"projects?limit=50&{OF_ML}"),
    ],
)
async def test_request(method: str, arguments: dict[str, Any], answered: bytes, line: str) -> None:
    """A method sends this request, and returns what it answers."""
    async with client(answered) as (roles, script):
        found = await getattr(roles.directory, method)(**arguments)
    assert script.lines == [f"GET /v2/{line}"]
    shown = json.loads(answered.partition(b"\r\n\r\n")[2])
    assert found.to_dict() in (shown, *shown.get(f"{method.removeprefix('get_')}s", []))


async def test_in_space() -> None:
    """A space is looked up once a walk, also of the same listing; its ID is sent as it is.

    A space that is on two pages, since others were added between them, is one.
    """
    space, project = (each.replace(b"U3BhY2U6MTpiRnVM", b"ml") for each in (SPACE, PROJECT))
    other = project.replace(b'"churn"', b'"churn 2"')
    twice = (spaces(SPACE, cursor=b"c1"), spaces(SPACE))
    walk = (*twice, projects(PROJECT, cursor=b"c1"), projects(), spaces(space), projects())
    get = (spaces(space), projects(other, cursor=b"c1"), projects(project))
    async with client(*walk, *get) as (roles, script):
        listing = roles.directory.projects(in_space="ML", limit=7)
        assert [len(await listing.all()) for _ in range(2)] == [1, 0]
        assert (await roles.directory.get_project(project="churn", in_space="ML")).space_id == "ml"
    assert script.lines == [
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/spaces?limit=100&cursor=c1&name=ML",
        f"GET /v2/projects?limit=7&{OF_ML}",
        f"GET /v2/projects?limit=7&cursor=c1&{OF_ML}",
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/projects?limit=7&space_id=ml",
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/projects?limit=100&name=churn&space_id=ml",
        "GET /v2/projects?limit=100&cursor=c1&name=churn&space_id=ml",
    ]


EXPIRED = USER.replace(b"xQZzI", b"xQZzM").replace(b"ACTIVE", b"EXPIRED")
BOT = b'{"id":"VXNlcjox","email":null}'
OTHER = PROJECT.replace(b"FCY0Q", b"FCY0R").replace(b"RnVM", b"RnVN")
MANY = [SPACE.replace(b"MTpiRnVM", b"%02d" % number) for number in range(11)]
TEN = ", ".join(
    f"'U3BhY2U60{number}' (organization 'T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw==')" for number in range(10)
)


@pytest.mark.parametrize(
    ("kind", "name", "answered", "what", "ids"),
    [
        (
            *("user", "ada@x.org", users(EXPIRED, BOT, USER)),
            "2 users have the address 'ada@x.org'; give one of their IDs: ",
            "'VXNlcjoxOmxQZzM=' (status 'EXPIRED'), 'VXNlcjoxOmxQZzI=' (status 'ACTIVE')",
        ),
        (
            *("project", "churn", projects(PROJECT, OTHER)),
            "2 projects are named 'churn'; give in_space or one of their IDs: ",
            f"'{CHURN}' (space '{ML}'), 'TW9kZWw6MTIzOmFCY0R=' (space 'U3BhY2U6MTpiRnVN')",
        ),
        (
            *("space", "ML", spaces(*MANY)),
            *("11 spaces are named 'ML'; give one of their IDs: ", f"{TEN} and 1 more"),
        ),
    ],
)
async def test_ambiguous(kind: str, name: str, answered: bytes, what: str, ids: str) -> None:
    """Of several with one name none is taken; the message has ten IDs, and the error all."""
    async with client(answered) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await getattr(roles.directory, f"get_{kind}")(**{kind: name})
    assert str(caught.value) == what + ids
    assert (caught.value.name, len(caught.value.ids)) == (name, int(what.split(maxsplit=1)[0]))


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
    assert (caught.value.path, caught.value.from_service) == ("/v2/spaces", False)


async def test_least() -> None:
    """A user needs an ID alone, a space and a project what names them."""
    answers = (users(b'{"id":"a","email":null}'), projects(b'{"id":"c","name":"d","space_id":"b"}'))
    async with client(*answers) as (roles, _):
        directory = roles.directory
        assert (await directory.users()).to_dict()["users"] == [{"id": "a"}]
        assert (await directory.projects().all())[0].space_id == "b"


def test_shown() -> None:
    """Times are shown in ISO form; in a frame, a user's role is its name."""
    role = AccountRole(type="CUSTOM", name="Analyst", id="a")
    user = User(id="a", role=role, created_at=datetime(2026, 11, 24, tzinfo=UTC))
    assert repr(user).endswith("is_developer=None, created_at=2026-11-24T00:00:00+00:00)")
    assert repr(User(id="a")).endswith("created_at=None)")
    users = ListUsersResponse.of([user])
    assert users == ListUsersResponse.of((user,))
    assert list(users.to_df(convert_dtypes=False)["role"]) == ["Analyst"]
    assert str(AccountRole(type="PREDEFINED")) == "PREDEFINED"
