"""Users, spaces, projects and role bindings of an account: as a test adds and inspects them."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from arize_roles_async import AccountRole, Project, Space, User
from arize_roles_fake import FakeAccount
from tests.support.clients import answer, request_binding


def listed(account: FakeAccount, kind: str, query: str = "", **key: str) -> list[str]:
    """Return the addresses or names of a list."""
    _, page = answer(account, f"GET /v2/{kind}?{query}", **key)
    return [each["email" if kind == "users" else "name"] for each in page[kind]]


def got(account: FakeAccount, kind: str, label: str, **key: str) -> tuple[int, Any]:
    """Return the status and the JSON of the answer for one thing, by its label or ID."""
    return answer(account, f"GET /v2/{kind}/{account.id(label).replace('=', '%3D')}", **key)


@pytest.mark.parametrize(
    ("label", "project", "space"),
    [
        ("Project:ML/churn", "churn", "ML"),
        ("Project:1", "1", "default"),
        # The service may have such an ID, too.
        *((f"Project:{name}", name, "default") for name in ("/x", "x/", "/")),
    ],
)
def test_labels(account: FakeAccount, label: str, project: str, space: str) -> None:
    """What is bound is there by its label, and so is the space before the slash of a project."""
    account.add_role("A")
    account.bind("A", user="ada@example.com", resource=account.id(label))
    assert listed(account, "users") == ["ada@example.com"]
    assert (listed(account, "projects"), listed(account, "spaces")) == ([project], [space])


ROLE = AccountRole(type="CUSTOM", name="Analyst", id="Um9sZToxOmFCY0Q=")
Add = Callable[..., User | Space | Project]
ADDED: list[tuple[Add, str, dict[str, object]]] = [
    (FakeAccount.add_user, "users", {"name": "A", "status": "INVITED", "role": ROLE}),
    (FakeAccount.add_user, "users", {"is_developer": True}),
    (FakeAccount.add_space, "spaces", {"description": "d", "is_private": True}),
    (partial(FakeAccount.add_project, space="ML"), "projects", {"project_type": "HARNESS"}),
]


@pytest.mark.parametrize(("add", "kind", "given"), ADDED)
def test_every_field(account: FakeAccount, add: Add, kind: str, given: dict[str, object]) -> None:
    """Every field is written, for clients that need them all, and has a type."""
    made = add(account, "a@x.org", **given)
    _, body = got(account, kind, made.id)
    assert body.keys() == type(made).model_fields.keys()
    assert type(made).from_dict(body) == made
    assert {name: getattr(made, name) for name in given} == given
    for name in given:
        with pytest.raises(TypeError, match=rf"\$\.{name}"):
            add(account, "a@x.org", **{name: 1.5})


def test_replaced(account: FakeAccount) -> None:
    """With an ID that is there, the thing is renamed, and stays as old as it is."""
    assert request_binding(account, "ada@example.com", "Space:ML") == 201
    account.advance(60)
    renamed = account.add_space("Old", id=account.id("Space:ML"))
    role = account.add_role("B", ["ROLE_READ"], id=account.roles[0].id)
    assert renamed.created_at == role.created_at == account.bindings()[0].created_at
    assert role.updated_at == account.now()
    moment = account.now() + timedelta(days=1)
    role = account.add_role("B", ["ROLE_READ"], id=role.id, updated_at=moment)
    assert role.updated_at == moment
    assert (listed(account, "spaces"), account.roles) == (["Old"], (role,))
    account.assert_bindings({("ada@example.com", "Space:ML"): "B"})


def test_second_values(account: FakeAccount) -> None:
    """A name may be the ID of something else, a space empty, and a project of no type."""
    other = account.add_role("A").id
    space = account.add_space(account.id("Space:Ops"))
    account.add_project(other, space=space.id, project_type=None)
    account.add_user(account.id("bob"), id="ada", name=other)
    account.add_role(account.id("ada"))
    assert listed(account, "spaces") == [account.id("Space:Ops")]
    _, page = answer(account, "GET /v2/projects")
    (project,) = page["projects"]
    assert (project["name"], "project_type" in project) == (other, False)
    assert listed(account, "projects", "project_type=APPLICATION") == []
    assert listed(account, "users") == [account.id("bob")]
    assert account.bindings(other) == ()
    empty = account.add_space("Empty").id
    assert listed(account, "projects", f"space_id={quote(empty)}") == []


def test_blocked(account: FakeAccount) -> None:
    """A blocked user is in no list, is a 404, loses the roles and can have none, until added."""
    for user in ("ada@example.com", "eve@example.com"):
        assert request_binding(account, user, "Space:ML") == 201
    account.block_user("ada@example.com")
    assert got(account, "users", "ada@example.com")[0] == 404
    assert request_binding(account, "ada@example.com", "Space:ML") == 404
    assert listed(account, "users") == ["eve@example.com"]
    account.assert_bindings({("eve@example.com", "Space:ML"): "A"})
    account.add_user("ada@example.com")
    assert got(account, "users", "ada@example.com")[0] == 200


def test_unknown_is_there(account: FakeAccount) -> None:
    """Where nobody is declared, an ID is anybody's; one of another kind is nobody's."""
    _, user = got(account, "users", "ada@example.com")
    assert (user["email"], user["name"]) == ("ada@example.com", "ada")
    assert not user["is_developer"]
    assert got(account, "users", "bob")[1]["email"] == "bob@fake.invalid"
    assert got(account, "spaces", user["id"])[0] == 404
    assert got(account, "spaces", "Space:ML")[0] == 200
    of_space = f"space_id={account.id('Space:ML').replace('=', '%3D')}"
    assert listed(account, "projects", of_space) == listed(account, "spaces") == []
    assert listed(account, "users") == []


def test_assert_bindings() -> None:
    """A difference is shown by labels, or by an ID whose label stands for another one."""
    account = FakeAccount()
    account.bind("Admin", user="ada", resource="Space:1")
    account.bind("Admin", user="bob", resource="Project:1")
    account.assert_bindings({("ada", "Space:1"): "Admin", ("bob", "Project:1"): "Admin"})
    account.bind("Admin", user="bob", resource="UHJvamVjdDox")  # base64 of Project:1
    users = [account.label(each.user_id) for each in account.bindings("Admin")]
    assert (users, account.bindings("Member")) == (["ada", "bob", "bob"], ())
    with pytest.raises(AssertionError) as caught:
        account.assert_bindings({("ada", "Space:1"): "Member", ("eve", "Space:1"): "Admin"})
    assert str(caught.value) == (
        "the role bindings are not as expected (- is missing, + is not expected):\n"
        "  + 'ada' on 'Space:1': 'Admin'\n"
        "  - 'ada' on 'Space:1': 'Member'\n"
        "  + 'bob' on 'Project:1': 'Admin'\n"
        "  + 'bob' on 'UHJvamVjdDox': 'Admin'\n"
        "  - 'eve' on 'Space:1': 'Admin'"
    )


@pytest.mark.parametrize("loaded", [False, True])
def test_undeclared(loaded: bool) -> None:  # noqa: FBT001
    """Who or what is neither declared, added nor bound is unknown, also once a file is loaded."""
    account = FakeAccount(users=["ada", "VXNlcjpldmU="], resources=["Space:1"])
    account.add_user("sue")
    account.bind(account.add_role("A"), user="joe", resource="Space:3")
    if loaded:
        account = FakeAccount.load(account.dump())
    for user, place, status in (
        *(("ada", "Space:1", 201), ("VXNlcjpldmU=", "Space:1", 201), ("joe", "Space:1", 201)),
        *(("bob", "Space:1", 404), ("eve", "Space:1", 404), ("sue", "Space:3", 201)),
        *(("ada", "Space:2", 403), ("bob", "Space:2", 403)),
    ):
        assert request_binding(account, user, place) == status
    of_bob = f"resource_type=SPACE&user_id={quote(account.id('bob'))}"
    assert answer(account, f"GET /v2/role-bindings?{of_bob}")[0] == 404
