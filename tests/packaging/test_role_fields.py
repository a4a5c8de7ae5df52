"""Every place that has to know each field of `Role`: one who adds a field finds them all here."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import pytest

from arize_roles_async import Permission, Role
from arize_roles_fake import FakeAccount, FakeRolesClient, make_role
from arize_roles_fake._testing.make_role import RoleFields
from tests.client.test_golden import ROLE as BY_HAND
from tests.fake.test_openapi import described

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


def account() -> FakeAccount:
    """Return an account that holds the role alone."""
    held = FakeAccount(predefined=False)
    held.add_role(**{name: getattr(ROLE, name) for name in FIELDS})
    return held


PLACES: Final[dict[str, Callable[[], Iterable[Any]]]] = {
    "add_role and make_role": lambda: {"name", "permissions", *RoleFields.__annotations__},
    "dump": lambda: json.loads(account().dump())["roles"][0],
    "the OpenAPI description": lambda: described()["components"]["schemas"]["Role"]["properties"],
    "the bytes written by hand": lambda: json.loads(BY_HAND),
}
"""Those that `client/test_responses.py` and `client/test_frames.py` do not hold for every model."""


@pytest.mark.parametrize("place", PLACES)
def test_place(place: str) -> None:
    """Each place knows every field, and no other."""
    assert sorted(PLACES[place]()) == sorted(FIELDS)


async def test_value() -> None:
    """The value of every field arrives: by `make_role`, by `add_role`, dumped and over the wire."""
    assert make_role(**{name: getattr(ROLE, name) for name in FIELDS}) == ROLE
    roles = FakeRolesClient(FakeAccount.load(account().dump()))
    assert await roles.get(role_id=ROLE.id) == ROLE
    assert (await roles.list()).roles == (ROLE,)
