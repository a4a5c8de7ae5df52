"""Role bindings as bytes on the wire, written by hand from the service's REST reference."""

import functools
from datetime import UTC, datetime
from enum import Enum
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
)
from tests.client.test_golden import NO_CONTENT, answer, client, problem
from tests.client.test_golden import page as page_of

ID, ROLE, USER = "Um9sZUJpbmRpbmc6MTphQmNE", "Um9sZToxOmFCY0Q=", "VXNlcjoxOmFCY0Q="
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
page = functools.partial(page_of, kind="role_bindings")
CREATE = {
    "user_id": USER,
    "role_id": ROLE,
    "resource_type": "PROJECT",
    "resource_id": "TW9kZWw6MTpGdmxM",
}
CREATED = (
    '{"user_id":"VXNlcjoxOmFCY0Q=","resource_type":"PROJECT","resource_id":"TW9kZWw6MTpGdmxM",'
    '"role_id":"Um9sZToxOmFCY0Q="}'
)


class Kind(str, Enum):  # noqa: UP042 - applications have such
    """The types of an application, whose `str` is not their text."""

    PROJECTS = "PROJECT"


@pytest.mark.parametrize(
    ("method", "arguments", "line", "body"),
    [
        ("get", {"binding_id": ID}, f"GET /{ID}", ""),
        ("create", CREATE, "POST ", CREATED),
        ("update", {"binding_id": ID, "role_id": ROLE}, f"PATCH /{ID}", f'{{"role_id":"{ROLE}"}}'),
        ("delete", {"binding_id": ID}, f"DELETE /{ID}", ""),
        ("list", {"resource_type": "SPACE"}, "GET ?limit=50&resource_type=SPACE", ""),
        (
            "list",
            {"resource_type": RoleBindingResourceType.PROJECT, "user_id": "a+/=", "limit": 7},
            *("GET ?limit=7&resource_type=PROJECT&user_id=a%2B%2F%3D", ""),
        ),
        ("list", {"resource_type": Kind.PROJECTS}, "GET ?limit=50&resource_type=PROJECT", ""),
        (
            "list",
            {"resource_type": "SPACE", "cursor": "b+/="},
            *("GET ?limit=50&cursor=b%2B%2F%3D&resource_type=SPACE", ""),
        ),
    ],
)
async def test_call(method: str, arguments: dict[str, Any], line: str, body: str) -> None:
    """Each operation sends its method, path, query and body, and returns what is answered."""
    listed = ListRoleBindingsResponse(
        role_bindings=(EXPECTED,), pagination=PaginationMetadata(has_more=True, next_cursor="n")
    )
    ends = {
        "list": (page(BINDING, cursor=b"n"), listed),
        "create": (answer(BINDING, 201), EXPECTED),
        "delete": (NO_CONTENT, None),
    }
    answered, result = ends.get(method, (answer(BINDING), EXPECTED))
    async with client(answered) as (roles, script):
        assert await getattr(roles.role_bindings, method)(**arguments) == result
    verb, target = line.split(" ")
    assert script.lines == [f"{verb} /v2/role-bindings{target}"]
    assert script.requests[0].body.decode() == body


async def test_find() -> None:
    """A search walks the spaces and then the projects, with the filters that the service has."""
    other = BINDING.replace(b"Um9sZToxOmFCY0Q=", b"Um9sZToyOmFCY0Q=")
    async with client(page(other), page(BINDING, other)) as (roles, script):
        found = roles.role_bindings.find(role_id=ROLE, user_id=USER)
        assert [binding async for binding in found] == [EXPECTED]
    assert script.lines == [
        "GET /v2/role-bindings?limit=100&resource_type=SPACE&user_id=VXNlcjoxOmFCY0Q%3D",
        "GET /v2/role-bindings?limit=100&resource_type=PROJECT&user_id=VXNlcjoxOmFCY0Q%3D",
    ]


async def test_frames() -> None:
    """A page is a frame of its bindings."""
    async with client(page(BINDING)) as (roles, _):
        found = await roles.role_bindings.list(resource_type="PROJECT")
    columns = ["id", "role_id", "user_id", "resource_type"]
    assert [*found.to_df().columns][:4] == found.to_polars().columns[:4] == columns
    assert found.to_polars().rows()[0][3] == "PROJECT"


async def test_newer_type() -> None:
    """A type of resource that is newer than the library is a string, and converts as one."""
    async with client(answer(BINDING.replace(b'"PROJECT"', b'"FOLDER"'))) as (roles, _):
        binding: Any = await roles.role_bindings.get(binding_id=ID)
    assert (binding.resource_type, type(binding.resource_type)) == ("FOLDER", str)
    assert RoleBinding.from_dict(binding.to_dict()) == binding


@pytest.mark.parametrize(
    ("method", "arguments", "answered", "error", "why"),
    [
        (
            *("get", {"binding_id": "Um9sZUJpbmRpbmc6MjphQmNE"}, answer(BINDING)),
            *(InvalidResponseError, "another id"),
        ),
        ("get", {"binding_id": ID}, answer(b"{}"), InvalidResponseError, "id"),
        (
            *("list", {"resource_type": "SPACE", "limit": 1}, page(BINDING, BINDING)),
            *(InvalidResponseError, "it holds 2 items, more than the limit of 1"),
        ),
        (
            *("list", {"resource_type": "SPACE", "limit": 1}, page(BINDING, b"{}")),
            *(InvalidResponseError, "it holds 2 items, more than the limit of 1"),
        ),
        (
            *("create", {**CREATE, "user_id": "VXNlcjoyOmFCY0Q="}, answer(BINDING, 201)),
            *(OutcomeUnknownError, "another user_id than was asked for"),
        ),
        (
            *("create", CREATE, problem(404, b'{"title":"Resource not found","status":404}')),
            *(NotFoundError, "^POST /v2/role-bindings answered 404 Resource not found$"),
        ),
    ],
)
async def test_other_answer(
    method: str, arguments: dict[str, Any], answered: bytes, error: type[Exception], why: str
) -> None:
    """An answer that does not fit its request is refused; of a refusal its title is shown."""
    async with client(answered, page()) as (roles, _):
        with pytest.raises(error, match=why):
            await getattr(roles.role_bindings, method)(**arguments)
