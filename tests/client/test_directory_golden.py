"""Users, spaces and projects as bytes on the wire, written by hand from the REST reference."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from arize_roles_async import (
    AccountRole,
    AmbiguousNameError,
    ArizeClient,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    Project,
    Space,
    User,
)
from tests.client.test_golden import answer, client, problem

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.filterwarnings("ignore::arize_roles_async.BetaWarning"),
]

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


def page(kind: str, *items: bytes, more: bytes = b'{"has_more":false}') -> bytes:
    return answer(b'{"%s":[%s],"pagination":%s}' % (kind.encode(), b",".join(items), more))


Use = Callable[[ArizeClient], Awaitable[object]]

BY_USER_ID: Use = lambda roles: roles.directory.get_user(user="VXNlcjoxOmxQZzI=")  # noqa: E731 - a row of tables
BY_ADDRESS: Use = lambda roles: roles.directory.get_user(user="ADA+x@example.com")  # noqa: E731
BY_SPACE_ID: Use = lambda roles: roles.directory.get_space(space="U3BhY2U6MTpiRnVM")  # noqa: E731
BY_SPACE: Use = lambda roles: roles.directory.get_space(space="ML")  # noqa: E731
BY_PROJECT_ID: Use = lambda roles: roles.directory.get_project(project="TW9kZWw6MTIzOmFCY0Q=")  # noqa: E731
BY_PROJECT: Use = lambda roles: roles.directory.get_project(project="churn")  # noqa: E731
IN_SPACE_ID: Use = lambda roles: roles.directory.get_project(  # noqa: E731
    project="churn", in_space="U3BhY2U6MTpiRnVM"
)


@pytest.mark.parametrize(
    ("use", "answered", "line", "result"),
    [
        (BY_USER_ID, answer(USER), "GET /v2/users/VXNlcjoxOmxQZzI%3D", ADA),
        (BY_SPACE_ID, answer(SPACE), "GET /v2/spaces/U3BhY2U6MTpiRnVM", ML),
        (BY_PROJECT_ID, answer(PROJECT), "GET /v2/projects/TW9kZWw6MTIzOmFCY0Q%3D", CHURN),
        (BY_SPACE, page("spaces", SPACE), "GET /v2/spaces?limit=100&name=ML", ML),
        (BY_PROJECT, page("projects", PROJECT), "GET /v2/projects?limit=100&name=churn", CHURN),
        (
            IN_SPACE_ID,
            page("projects", PROJECT),
            "GET /v2/projects?limit=100&name=churn&space_id=U3BhY2U6MTpiRnVM",
            CHURN,
        ),
    ],
)
async def test_one(use: Use, answered: bytes, line: str, result: object) -> None:
    """Each look-up sends one request, and returns the thing."""
    async with client(answered) as (roles, script):
        assert await use(roles) == result
    assert script.lines == [line]


async def test_address() -> None:
    """An address is encoded for the query, and compared whole, ASCII letters without case."""
    user = USER.replace(b"ada@", b"Ada+X@")
    async with client(page("users", user)) as (roles, script):
        assert (await roles.directory.get_user(user="aDA+x@example.com")).name == "Ada"
    assert script.lines == ["GET /v2/users?limit=100&email=aDA%2Bx%40example.com"]


@pytest.mark.parametrize(
    "other", ["xada@example.com", "ada@example.com.br", "ad\u0430@example.com"]
)
async def test_other_address(other: str) -> None:
    """An address that only contains the one that is sought is another user's, and not named."""
    found = page("users", USER.replace(b"ada@example.com", other.encode()))
    async with client(found) as (roles, _):
        with pytest.raises(NotFoundError) as caught:
            await roles.directory.get_user(user="ada@example.com")
    assert str(caught.value) == (
        "no user has the address 'ada@example.com', as far as the key sees"
    )
    assert caught.value.closest == ()


async def test_kelvin_sign() -> None:
    """The Kelvin sign, whose lower case is a k, is another letter."""
    found = page("users", USER.replace(b"ada@", "mi\u212ae@".encode()))
    async with client(found) as (roles, _):
        with pytest.raises(NotFoundError):
            await roles.directory.get_user(user="mike@example.com")


async def test_every_page() -> None:
    """A match on a later page is found."""
    more = b'{"has_more":true,"next_cursor":"c1"}'
    longer = SPACE.replace(b'"ML"', b'"MLops"')
    first, last = page("spaces", longer, more=more), page("spaces", SPACE)
    async with client(first, last) as (roles, script):
        assert await roles.directory.get_space(space="ML") == ML
    assert script.lines == [
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/spaces?limit=100&cursor=c1&name=ML",
    ]


async def test_two_spaces() -> None:
    """Two spaces of one name are an error that names the ID and the organization of each."""
    other = SPACE.replace(b"U3BhY2U6MTpiRnVM", b"U3BhY2U6Mjp4").replace(b"eFl6Vw==", b"aaaa")
    async with client(page("spaces", SPACE, other)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_space(space="ML")
    assert str(caught.value) == (
        "2 spaces are named 'ML'; give one of their IDs: 'U3BhY2U6MTpiRnVM' "
        "(organization 'T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw=='), 'U3BhY2U6Mjp4' "
        "(organization 'T3JnYW5pemF0aW9uOjEwMDE6aaaa')"
    )
    assert caught.value.name == "ML"
    assert caught.value.ids == ("U3BhY2U6MTpiRnVM", "U3BhY2U6Mjp4")


async def test_expired_invitation() -> None:
    """An expired invitation beside a new one is told apart by its status."""
    old = USER.replace(b"VXNlcjoxOmxQZzI=", b"VXNlcjoyOng=").replace(b"ACTIVE", b"EXPIRED")
    async with client(page("users", old, USER)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_user(user="ada@example.com")
    assert str(caught.value) == (
        "2 users have the address 'ada@example.com'; give one of their IDs: 'VXNlcjoyOng=' "
        "(status 'EXPIRED'), 'VXNlcjoxOmxQZzI=' (status 'ACTIVE')"
    )


async def test_two_projects() -> None:
    """Projects of one name in two spaces: the space or an ID is asked for."""
    other = PROJECT.replace(b"TW9kZWw6MTIzOmFCY0Q=", b"TW9kZWw6MTI0OmFCY0Q=").replace(
        b"U3BhY2U6MTpiRnVM", b"U3BhY2U6Mjp4"
    )
    async with client(page("projects", PROJECT, other)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_project(project="churn")
    assert str(caught.value) == (
        "2 projects are named 'churn'; give in_space or one of their IDs: "
        "'TW9kZWw6MTIzOmFCY0Q=' (space 'U3BhY2U6MTpiRnVM'), "
        "'TW9kZWw6MTI0OmFCY0Q=' (space 'U3BhY2U6Mjp4')"
    )


async def test_many_matches() -> None:
    """Of many matches the message has ten, and the error the IDs of all."""
    many = [SPACE.replace(b"U3BhY2U6MTpiRnVM", b"U3BhY2U6%02d" % n) for n in range(12)]
    async with client(page("spaces", *many)) as (roles, _):
        with pytest.raises(AmbiguousNameError) as caught:
            await roles.directory.get_space(space="ML")
    assert len(caught.value.ids) == 12
    assert str(caught.value).endswith(" and 2 more")
    assert str(caught.value).count("organization") == 10


async def test_similar_names() -> None:
    """The shortest names that contain the one that is sought are named."""
    names = [b"html lab", b"ML", b"ML Platform Team", b"emlo", b"ML Platform Team"]
    found = page("spaces", *(SPACE.replace(b'"ML"', b'"%s"' % name) for name in names))
    async with client(found) as (roles, _):
        with pytest.raises(NotFoundError) as caught:
            await roles.directory.get_space(space="ml")
    assert str(caught.value) == (
        "no space is named 'ml', as far as the key sees; similar: 'ML', 'emlo', 'html lab'"
    )
    assert caught.value.closest == ("ML", "emlo", "html lab")
    assert caught.value.name == "ml"
    assert not caught.value.from_service


async def test_in_named_space() -> None:
    """The space of a project is looked up by its name first."""
    answers = page("spaces", SPACE), page("projects", PROJECT)
    async with client(*answers) as (roles, script):
        assert await roles.directory.get_project(project="churn", in_space="ML") == CHURN
    assert script.lines == [
        "GET /v2/spaces?limit=100&name=ML",
        "GET /v2/projects?limit=100&name=churn&space_id=U3BhY2U6MTpiRnVM",
    ]


async def test_may_not_list_users() -> None:
    """A 403 of the users says that an ID needs no such right."""
    async with client(problem(403, b'{"title":"Access forbidden","status":403}')) as (roles, _):
        with pytest.raises(ForbiddenError) as caught:
            await roles.directory.get_user(user="ada@example.com")
    assert str(caught.value).endswith(
        "; a user that is given by its ID needs no right to list users"
    )


@pytest.mark.parametrize(
    ("use", "answered"),
    [
        (BY_USER_ID, answer(USER.replace(b"lPg2", b"lPg3").replace(b"xQZzI", b"xQZzM"))),
        (BY_SPACE_ID, answer(SPACE.replace(b"bFuL", b"bFuM").replace(b"RnVM", b"RnVN"))),
        (BY_PROJECT_ID, answer(PROJECT.replace(b"FCY0Q", b"FCY0R"))),
    ],
)
async def test_other_answer(use: Use, answered: bytes) -> None:
    """An answer that holds another thing is not taken for the one that was asked for."""
    async with client(answered) as (roles, _):
        with pytest.raises(InvalidResponseError, match="it holds another id than"):
            await use(roles)


@pytest.mark.parametrize(
    ("walk", "kind", "lines"),
    [
        (
            lambda roles: roles.directory.users(email="x"),
            "users",
            ["GET /v2/users?limit=50&email=x"],
        ),
        (
            lambda roles: roles.directory.spaces(name="x", limit=7, cursor="c+"),
            "spaces",
            ["GET /v2/spaces?limit=7&cursor=c%2B&name=x"],
        ),
        (
            lambda roles: roles.directory.projects(name="x", in_space="U3BhY2U6MTpiRnVM"),
            "projects",
            ["GET /v2/projects?limit=50&name=x&space_id=U3BhY2U6MTpiRnVM"],
        ),
    ],
)
async def test_page(
    walk: Callable[[ArizeClient], Awaitable[list[object]]], kind: str, lines: list[str]
) -> None:
    """A list sends its filters, and gives one page when it is awaited."""
    async with client(page(kind)) as (roles, script):
        assert len(await walk(roles)) == 0
    assert script.lines == lines


async def test_least() -> None:
    """A user needs an ID alone, a space and a project what names them."""
    answers = (
        page("users", b'{"id":"VXNlcjox","email":null}'),
        page("spaces", b'{"id":"U3BhY2U6MQ==","name":"ML"}'),
        page("projects", b'{"id":"TW9kZWw6MQ==","name":"churn","space_id":"U3BhY2U6MQ=="}'),
    )
    async with client(*answers) as (roles, _):
        directory = roles.directory
        assert (await directory.users()).to_dict()["users"] == [{"id": "VXNlcjox"}]
        assert [space.name async for space in directory.spaces()] == ["ML"]
        assert (await directory.projects().all())[0].space_id == "U3BhY2U6MQ=="
