"""Every place that has to know each field of `Role`: one who adds a field finds them all here."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import yaml
from pydantic import TypeAdapter

from arize_roles_async import ListRolesResponse, PaginationMetadata, Permission, Role
from arize_roles_fake import FakeAccount, FakeRolesClient, make_role
from arize_roles_fake._testing.make_role import RoleFields
from tests.client.test_golden import ROLE as BY_HAND

FIELDS: Final = [field.name for field in attrs.fields(Role)]

# Every field has a value of its own here: neither its default nor what `add_role` would choose.
ROLE: Final = Role(
    id="Um9sZToxOmFCY0Q=",
    name="AI Engineer",
    description="Looks at projects.",
    permissions=(Permission.PROJECT_READ,),
    is_predefined=True,
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    updated_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
)
PAGE: Final = ListRolesResponse(roles=(ROLE,), pagination=PaginationMetadata(has_more=False))


def account() -> FakeAccount:
    """Return an account that holds the role and nothing else."""
    held = FakeAccount(predefined=False)
    held.add_role(**{name: getattr(ROLE, name) for name in FIELDS})
    return held


def described() -> dict[str, Any]:
    text = (Path(__file__).parents[1] / "data" / "openapi.yaml").read_text("utf-8")
    schema: dict[str, Any] = yaml.safe_load(text)["components"]["schemas"]["Role"]
    return schema


PLACES: Final[dict[str, Callable[[], Iterable[Any]]]] = {
    "to_dict": ROLE.to_dict,
    "pydantic": lambda: TypeAdapter(Role).json_schema()["properties"],
    "to_json": lambda: json.loads(ROLE.to_json()),
    "to_df": lambda: PAGE.to_df(exclude_none=False).columns,
    "to_polars": lambda: PAGE.to_polars().columns,
    "repr": lambda: re.findall(r"[(,] ?(\w+)=", repr(ROLE)),
    "model_fields": lambda: Role.model_fields,
    "add_role and make_role": lambda: {"name", "permissions", *RoleFields.__annotations__},
    "dump": lambda: json.loads(account().dump())["roles"][0],
    "the OpenAPI description": lambda: described()["properties"],
    "the bytes written by hand": lambda: json.loads(BY_HAND),
}


def test_values() -> None:
    """The role of this file has a value for every field that is not the field's default."""
    for field in attrs.fields(Role):
        assert getattr(ROLE, field.name) not in {field.default, None, False}, field.name


@pytest.mark.parametrize("place", PLACES)
def test_place(place: str) -> None:
    """Each place knows every field, and no other."""
    assert sorted(PLACES[place]()) == sorted(FIELDS)


COPIES: Final[dict[str, Callable[[], object]]] = {
    "from_dict": lambda: Role.from_dict(ROLE.to_dict()),
    "from_json": lambda: Role.from_json(ROLE.to_json()),
    "add_role": lambda: account().roles[0],
    "make_role": lambda: make_role(**{name: getattr(ROLE, name) for name in FIELDS}),
    "load": lambda: FakeAccount.load(account().dump()).roles[0],
}


@pytest.mark.parametrize("copy", COPIES)
def test_value(copy: str) -> None:
    """The value of every field arrives."""
    assert COPIES[copy]() == ROLE


async def test_wire() -> None:
    """The service writes every field, and the client reads it."""
    async with FakeRolesClient(account()) as roles:
        assert await roles.get(role_id=ROLE.id) == ROLE
        assert (await roles.list()).roles == (ROLE,)
