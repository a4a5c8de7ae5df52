"""Role bindings as bytes on the wire, written by hand from the service's REST reference."""

import functools
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from operator import methodcaller
from typing import Any

import pytest

from arize_roles_async import (
    InvalidResponseError,
    ListRoleBindingsResponse,
    NotFoundError,
    OutcomeUnknownError,
    PaginationMetadata,
    RoleBinding,
    RoleBindingResourceType,
    RoleBindingsClient,
)
from tests.client.test_golden import NO_CONTENT, answer, client, problem
from tests.client.test_golden import page as page_of

BINDING = b"""{
  "id": "Um9sZUJpbmRpbmc6MTphQmNE",
  "role_id": "Um9sZToxOmFCY0Q=",
  "user_id": "VXNlcjoxOmFCY0Q=",
  "resource_type": "PROJECT",
  "resource_id": "TW9kZWw6MTpGdmxM",
  "created_at": "2026-11-24T08:30:00Z",
  "updated_at": "2026-11-24T09:45:30.5+01:00",
  "a_field_of_tomorrow": {"x": [1]}
}"""
EXPECTED = RoleBinding(
    id="Um9sZUJpbmRpbmc6MTphQmNE",
    role_id="Um9sZToxOmFCY0Q=",
    user_id="VXNlcjoxOmFCY0Q=",
    resource_type=RoleBindingResourceType.PROJECT,
    resource_id="TW9kZWw6MTpGdmxM",
    created_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
    updated_at=datetime(2026, 11, 24, 8, 45, 30, 500_000, tzinfo=UTC),
)
PATH = "/v2/role-bindings/Um9sZUJpbmRpbmc6MTphQmNE"
page = functools.partial(page_of, kind="role_bindings")
Use = Callable[[RoleBindingsClient], Awaitable[object]]

CREATE: Use = lambda bindings: bindings.create(  # noqa: E731 - a row of tables
    user_id="VXNlcjoxOmFCY0Q=",
    role_id="Um9sZToxOmFCY0Q=",
    resource_type="PROJECT",
    resource_id="TW9kZWw6MTpGdmxM",
)
GET: Use = lambda bindings: bindings.get(binding_id="Um9sZUJpbmRpbmc6MTphQmNE")  # noqa: E731
UPDATE: Use = lambda bindings: bindings.update(  # noqa: E731
    binding_id="Um9sZUJpbmRpbmc6MTphQmNE", role_id="Um9sZToxOmFCY0Q="
)
DELETE: Use = lambda bindings: bindings.delete(binding_id="Um9sZUJpbmRpbmc6MTphQmNE")  # noqa: E731


@pytest.mark.parametrize(
    ("use", "answered", "line", "body", "result"),
    [
        (GET, answer(BINDING), f"GET {PATH}", None, EXPECTED),
        (
            CREATE,
            answer(BINDING, 201),
            "POST /v2/role-bindings",
            {
                "role_id": "Um9sZToxOmFCY0Q=",
                "user_id": "VXNlcjoxOmFCY0Q=",
                "resource_type": "PROJECT",
                "resource_id": "TW9kZWw6MTpGdmxM",
            },
            EXPECTED,
        ),
        (UPDATE, answer(BINDING), f"PATCH {PATH}", {"role_id": "Um9sZToxOmFCY0Q="}, EXPECTED),
        (DELETE, NO_CONTENT, f"DELETE {PATH}", None, None),
    ],
)
async def test_one(use: Use, answered: bytes, line: str, body: Any, result: object) -> None:  # noqa: ANN401 - JSON
    """Each operation sends its method, path and body, and returns the binding."""
    async with client(answered) as (roles, script):
        assert await use(roles.role_bindings) == result
    (request,) = script.requests
    assert script.lines == [line]
    assert (json.loads(request.body) if request.body else None) == body


class Kind(str, Enum):  # noqa: UP042 - applications have such
    """The types of an application, whose `str` is not their text."""

    PROJECTS = "PROJECT"


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({"resource_type": "SPACE"}, "limit=50&resource_type=SPACE"),
        (
            {"resource_type": RoleBindingResourceType.PROJECT, "user_id": "a+/=", "limit": 7},
            "limit=7&resource_type=PROJECT&user_id=a%2B%2F%3D",
        ),
        ({"resource_type": Kind.PROJECTS}, "limit=50&resource_type=PROJECT"),
        (
            {"resource_type": "SPACE", "cursor": "b+/="},
            "limit=50&cursor=b%2B%2F%3D&resource_type=SPACE",
        ),
    ],
)
async def test_list(arguments: dict[str, Any], query: str) -> None:
    """A list sends its filters, and returns the page."""
    async with client(page(BINDING, cursor=b"n")) as (roles, script):
        found = await roles.role_bindings.list(**arguments)
    assert script.lines == [f"GET /v2/role-bindings?{query}"]
    assert found == ListRoleBindingsResponse(
        role_bindings=(EXPECTED,),
        pagination=PaginationMetadata(has_more=True, next_cursor="n"),
    )


async def test_find() -> None:
    """A search walks the spaces and then the projects, with the filters that the service has."""
    other = BINDING.replace(b"Um9sZToxOmFCY0Q=", b"Um9sZToyOmFCY0Q=")
    async with client(page(other), page(BINDING, other)) as (roles, script):
        found = roles.role_bindings.find(role_id="Um9sZToxOmFCY0Q=", user_id="VXNlcjoxOmFCY0Q=")
        assert [binding async for binding in found] == [EXPECTED]
    assert script.lines == [
        "GET /v2/role-bindings?limit=100&resource_type=SPACE&user_id=VXNlcjoxOmFCY0Q%3D",
        "GET /v2/role-bindings?limit=100&resource_type=PROJECT&user_id=VXNlcjoxOmFCY0Q%3D",
    ]


async def test_frames() -> None:
    """A page is short as text, and a frame of its bindings."""
    async with client(page(BINDING, BINDING)) as (roles, _):
        found = await roles.role_bindings.list(resource_type="PROJECT")
    assert repr(found).startswith(
        "ListRoleBindingsResponse(role_bindings=['Um9sZUJpbmRpbmc6MTphQmNE', 'Um9sZUJpbmRpbmc6"
    )
    columns = [*found.to_df().columns]
    assert columns[:4] == ["id", "role_id", "user_id", "resource_type"]
    assert found.to_polars().rows()[0][3] == "PROJECT"
    assert found.to_polars().columns == columns


async def test_newer_type() -> None:
    """A type of resource that is newer than the library is a string, and converts as one."""
    async with client(answer(BINDING.replace(b'"PROJECT"', b'"FOLDER"'))) as (roles, _):
        binding: Any = await GET(roles.role_bindings)
    assert (binding.resource_type, type(binding.resource_type)) == ("FOLDER", str)
    assert RoleBinding.from_dict(binding.to_dict()) == binding


@pytest.mark.parametrize(
    ("use", "answered", "error", "why"),
    [
        (
            GET,
            answer(BINDING.replace(b"aBcD", b"eFgH", 1).replace(b"TphQ", b"TpiQ")),
            *(InvalidResponseError, "another id"),
        ),
        (GET, answer(b"{}"), InvalidResponseError, "id"),
        (
            methodcaller("list", resource_type="SPACE", limit=1),
            page(BINDING, BINDING),
            *(InvalidResponseError, "it holds 2 items, more than the limit of 1"),
        ),
        (
            CREATE,
            answer(BINDING.replace(b"VXNlcjoxOmFCY0Q=", b"VXNlcjoyOmFCY0Q="), 201),
            *(OutcomeUnknownError, "another user_id than was asked for"),
        ),
        (
            CREATE,
            problem(404, b'{"title":"Resource not found","status":404}'),
            *(NotFoundError, "^POST /v2/role-bindings answered 404 Resource not found$"),
        ),
    ],
)
async def test_other_answer(use: Use, answered: bytes, error: type[Exception], why: str) -> None:
    """An answer that does not fit its request is refused; of a refusal its title is shown."""
    async with client(answered, page()) as (roles, _):
        with pytest.raises(error, match=why):
            await use(roles.role_bindings)
