"""What a call is about: faults that strike it by a name, and the calls of the log."""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import pytest

from arize_roles_async import ForbiddenError
from arize_roles_fake import FakeAccount
from arize_roles_fake._service.service import OPERATIONS
from tests.support.clients import account_at_noon, answer, three_clients

# Most of the faults are meant to strike nothing.
pytestmark = pytest.mark.arize_roles(unused_faults="allow")

LABELS: Final = ("ada@x.org", "Space:ML", "Project:ML/churn")
ROLE: Final = {"A", "<role>"}
USER: Final = {"ada@x.org", "<ada@x.org>"}
SPACE: Final = {"Space:ML", "<Space:ML>"}
PROJECT: Final = {"Project:ML/churn", "<Project:ML/churn>"}
BOUND: Final = {*ROLE, *USER, *PROJECT, "<binding>"}

REQUESTS: Final[dict[str, tuple[str, dict[str, object] | None, set[str]]]] = {
    "list": ("GET /v2/roles", None, set()),
    "get": ("GET /v2/roles/<role>", None, ROLE),
    "create": ("POST /v2/roles", {"name": "B", "permissions": ["ROLE_READ"]}, {"B"}),
    "update": ("PATCH /v2/roles/<role>", {"description": "d"}, ROLE),
    "delete": ("DELETE /v2/roles/<role>", None, ROLE),
    "role_bindings.list": (
        "GET /v2/role-bindings?resource_type=SPACE&user_id=<ada@x.org>",
        None,
        USER,
    ),
    "role_bindings.create": (
        "POST /v2/role-bindings",
        {
            "role_id": "<role>",
            "user_id": "<ada@x.org>",
            "resource_type": "SPACE",
            "resource_id": "<Space:ML>",
        },
        {*ROLE, *USER, *SPACE},
    ),
    "role_bindings.get": ("GET /v2/role-bindings/<binding>", None, BOUND),
    "role_bindings.update": (
        "PATCH /v2/role-bindings/<binding>",
        {"role_id": "<new>"},
        {*BOUND, "New", "<new>"},
    ),
    "role_bindings.delete": ("DELETE /v2/role-bindings/<binding>", None, BOUND),
    "users.list": ("GET /v2/users?email=ada@x.org", None, {"ada@x.org"}),
    "users.get": ("GET /v2/users/<ada@x.org>", None, USER),
    "spaces.list": ("GET /v2/spaces?name=Space:ML", None, {"Space:ML"}),
    "spaces.get": ("GET /v2/spaces/<Space:ML>", None, SPACE),
    "projects.list": ("GET /v2/projects?space_id=<Space:ML>", None, SPACE),
    "projects.get": ("GET /v2/projects/<Project:ML/churn>", None, PROJECT),
}
"""A request of each operation, and what it is about; IDs are in angle brackets."""
NO_NAMES: Final = ("SPACE", "d", "ROLE_READ", "ada")
"""Texts of requests that name nothing."""
NAMES: Final = sorted({*NO_NAMES, *(name for *_, names in REQUESTS.values() for name in names)})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_about(operation: str) -> None:
    """A fault strikes a call by each name of what it is about, and `calls_of` finds it by that.

    The names are those of before the call, and those that it gives. What refuses a name for a fault
    refuses it for `calls_of`.
    """
    line, body, about = REQUESTS[operation]
    for name in NAMES:
        account = account_at_noon()
        role = account.add_role("A", ["ROLE_READ"])
        bound = account.bind(role, user="ada@x.org", resource="Project:ML/churn")
        ids = {"<role>": role.id, "<binding>": bound.id, "<new>": account.add_role("New").id}
        ids |= {f"<{label}>": account.id(label) for label in LABELS}
        asked = line
        for each, id_ in ids.items():
            asked = asked.replace(each, quote(id_))
        given = body and {key: ids.get(str(text), text) for key, text in body.items()}
        fault = account.fail("any", 503, about=ids.get(name, name))
        assert (answer(account, asked, given)[0] == 503) is (name in about)
        assert fault.failed_requests == (name in about)
        find: Any = account.calls_of
        assert len(find("any", about=ids.get(name, name))) == (name in about)
        if operation == "list" or (operation == "create" and name[0] == "<"):
            with pytest.raises(ValueError, match="about must "):
                find(operation, about=ids.get(name, name))
        else:
            assert len(find(operation, about=ids.get(name, name))) == (name in about)


def test_foreign() -> None:
    """A label is no name of what another account has under it."""
    account = account_at_noon()
    account.fail("users.get", 503, about="ada")
    assert answer(account, f"GET /v2/users/{quote(FakeAccount().id('ada'))}", None)[0] != 503
    assert account.calls_of("users.get", about="ada") == ()


LOOK_UPS: Final[dict[str, Callable[[Any], Awaitable[object]]]] = {
    "get": lambda client: client.get(role="A"),
    "users.get": lambda client: client.directory.get_user(user="ada@x.org"),
    "spaces.get": lambda client: client.directory.get_space(space="ML"),
    "projects.get": lambda client: client.directory.get_project(project="churn"),
}


def test_every_operation() -> None:
    """The laws are about all, and about each `get` with a name."""
    assert REQUESTS.keys() == {*OPERATIONS}
    gets = {each for each in OPERATIONS if each.endswith("get")}
    assert LOOK_UPS.keys() == gets - {"role_bindings.get"}


@three_clients
@pytest.mark.parametrize("operation", LOOK_UPS)
async def test_look_up(account: FakeAccount, roles: Any, operation: Any) -> None:  # noqa: ANN401
    """A look-up by a name is a list, for faults and in the log."""
    account.add_role("A")
    account.bind("A", user="ada@x.org", resource="Project:ML/churn")
    listing: Any = operation.replace("get", "list")
    account.fail(operation, 409)
    account.fail(listing, ForbiddenError)
    with pytest.raises(ForbiddenError):
        await LOOK_UPS[operation](roles)
    assert [(each.operation, each.outcome) for each in account.calls] == [(listing, 403)]
