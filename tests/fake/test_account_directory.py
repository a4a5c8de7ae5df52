"""Users, spaces and projects of an account: by labels, added, replaced, blocked, and in files."""

import json
from typing import Any

import pytest

from arize_roles_async import AccountRole
from arize_roles_fake import FakeAccount
from tests.support.clients import START, account_at_noon, ask


@pytest.fixture
def account() -> FakeAccount:
    return account_at_noon()


def listed(account: FakeAccount, kind: str, query: str = "", key: str | None = None) -> list[str]:
    """Return the addresses or names of a list."""
    answer = ask(account, f"GET /v2/{kind}?{query}", key=key)
    assert answer.status == 200, answer.body
    name = "email" if kind == "users" else "name"
    return [each[name] for each in json.loads(answer.body)[kind]]


def got(account: FakeAccount, kind: str, id: str, key: str | None = None) -> object:
    """Return what the answer for one thing holds, or its status if there is no such thing."""
    answer = ask(account, f"GET /v2/{kind}/{id.replace('=', '%3D')}", key=key)
    return json.loads(answer.body) if answer.status == 200 else answer.status


def request_binding(account: FakeAccount, user: str, resource: str) -> int:
    """Return the status of a request that gives a user the role A."""
    role = account.role("A") or account.add_role("A", ["PROJECT_READ"])
    body = {
        "role_id": role.id,
        "user_id": account.id(user),
        "resource_type": resource.partition(":")[0].upper(),
        "resource_id": account.id(resource),
    }
    return ask(account, "POST /v2/role-bindings", json.dumps(body).encode()).status


def test_labels(account: FakeAccount) -> None:
    """What is bound is there by its label, and so is the space of a project."""
    account.add_role("A", ["PROJECT_READ"])
    account.bind("A", user="ada@example.com", resource="Project:ML/churn")
    account.bind("A", user="ada@example.com", resource="Project:1")
    assert listed(account, "users") == ["ada@example.com"]
    assert listed(account, "spaces") == ["default", "ML"]
    assert listed(account, "projects") == ["1", "churn"]


@pytest.mark.parametrize("name", ["/x", "x/", "/"])
def test_slash(account: FakeAccount, name: str) -> None:
    """A project whose label has a slash, but no text on both sides of it, is in the default space.

    The service may have such an ID, too.
    """
    account.add_role("A", ["PROJECT_READ"])
    account.bind("A", user="ada@example.com", resource=account.id(f"Project:{name}"))
    assert listed(account, "projects") == [name]
    assert listed(account, "spaces") == ["default"]


def test_bound_over_http(account: FakeAccount) -> None:
    """What a request binds is there, and stays when the binding goes."""
    assert request_binding(account, "eve@example.com", "Space:ML") == 201
    account.unbind("A", user="eve@example.com", resource="Space:ML")
    assert listed(account, "users") == ["eve@example.com"]
    assert listed(account, "spaces") == ["ML"]


def test_declared() -> None:
    """What is declared is there; what is added later is, too, and can have roles."""
    account = FakeAccount(users=["ada@example.com"], resources=["Space:ML"])
    account.add_user("eve@example.com")
    account.add_project("churn", space="ML")
    assert listed(account, "users") == ["ada@example.com", "eve@example.com"]
    assert listed(account, "projects") == ["churn"]
    assert request_binding(account, "eve@example.com", "Project:ML/churn") == 201


SPACE_ID, PROJECT_ID = "U3BhY2U6MQ==", "TW9kZWw6MQ=="


@pytest.mark.parametrize(
    ("method", "arguments", "error", "message"),
    [
        ("add_user", {"email": "a@x.org", "id": SPACE_ID}, ValueError, "be the ID of a Space"),
        ("add_user", {"email": None}, ValueError, "user must not be empty"),
        ("add_user", {"email": "a@x.org", "role": "ADMIN"}, TypeError, r"\$\.role"),
        ("add_space", {"name": "ML", "id": PROJECT_ID}, ValueError, "not the ID of a space"),
        ("add_space", {"name": "ML", "id": "ML"}, ValueError, "must be a space or a project"),
        ("add_space", {"name": "ML", "description": "\ud800"}, ValueError, "surrogates"),
        ("add_space", {"name": None}, TypeError, r"\$\.name"),
        ("add_project", {"name": "p", "space": "ML", "id": SPACE_ID}, ValueError, "not the ID of"),
        ("add_project", {"name": 5, "space": "ML"}, TypeError, r"\$\.name"),
        ("bind", {"role": "A", "user": PROJECT_ID, "resource": "Space:1"}, ValueError, "the ID of"),
        ("__init__", {"users": "ada"}, TypeError, "users must be a list"),
        ("__init__", {"resources": "Space:1"}, TypeError, "resources must be a list"),
    ],
)
def test_refused(
    account: FakeAccount,
    method: str,
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    """The ID of another kind, or a value that no answer can carry, is refused; nothing is added."""
    account.add_role("A", ["PROJECT_READ"])
    before = account.dump()
    with pytest.raises(error, match=message):
        getattr(account, method)(**arguments)
    assert account.dump() == before


def test_every_field(account: FakeAccount) -> None:
    """Every field is written, for clients that need them all."""
    role = AccountRole(type="CUSTOM", name="Analyst", id="Um9sZToxOmFCY0Q=")
    user = account.add_user(
        "ada@example.com", name="Ada", status="INVITED", role=role, is_developer=True
    )
    space = account.add_space("ML", description="d", is_private=True)
    project = account.add_project("churn", space="ML", project_type="HARNESS")
    created = {"created_at": "2026-01-01T12:00:00Z"}
    assert got(account, "users", account.id("ada@example.com")) == created | {
        "id": user.id,
        "name": "Ada",
        "email": "ada@example.com",
        "status": "INVITED",
        "role": {"type": "CUSTOM", "name": "Analyst", "id": "Um9sZToxOmFCY0Q="},
        "is_developer": True,
    }
    assert got(account, "spaces", account.id("Space:ML")) == created | {
        "id": space.id,
        "name": "ML",
        "description": "d",
        "organization_id": space.organization_id,
        "is_private": True,
    }
    assert got(account, "projects", account.id("Project:ML/churn")) == created | {
        "id": project.id,
        "name": "churn",
        "space_id": space.id,
        "project_type": "HARNESS",
    }


@pytest.mark.parametrize(
    ("kind", "query", "names"),
    [
        ("users", "status=INVITED", ["b@x.org"]),
        ("users", "status=INVITED&status=ACTIVE", ["a@x.org", "b@x.org"]),
        ("users", "status=EXPIRED", []),
        ("users", "email=A%40X", ["a@x.org"]),
        ("spaces", "name=m", ["ML"]),
        ("projects", "space_name=ml", ["churn"]),
        ("projects", "project_type=EXPERIMENT", ["tried"]),
        ("projects", "name=R", ["tried", "churn"]),
    ],
)
def test_filters(account: FakeAccount, kind: str, query: str, names: list[str]) -> None:
    """Lists have the filters of the reference, also those that no client of ours sends."""
    account.add_user("a@x.org")
    account.add_user("b@x.org", status="INVITED")
    account.add_project("churn", space="ML")
    account.add_project("tried", space="Ops", project_type="EXPERIMENT")
    assert listed(account, kind, query) == names


def test_organization(account: FakeAccount) -> None:
    """Two spaces may have one name in two organizations, each of which can be asked for."""
    account.add_space("ML")
    other = account.add_space("ML", id="Space:Other/ML", organization="Other")
    assert other.organization_id is not None
    answer = ask(account, f"GET /v2/spaces?org_id={other.organization_id.replace('=', '%3D')}")
    assert [each["id"] for each in json.loads(answer.body)["spaces"]] == [other.id]
    again = account.add_space("ML", id=other.id, organization=other.organization_id)
    assert again == other


@pytest.mark.parametrize(
    "query",
    ["users?status=GONE", "users?status=", "spaces?org_id=", "projects?project_type=X"],
)
def test_refused_filter(account: FakeAccount, query: str) -> None:
    """A filter that breaks its rule is a 400."""
    assert ask(account, f"GET /v2/{query}").status == 400


def test_replaced(account: FakeAccount) -> None:
    """With an ID that is there, the thing is renamed, and stays as old as it is."""
    account.add_role("A", ["PROJECT_READ"])
    account.bind("A", user="ada@example.com", resource="Space:ML")
    account.advance(60)
    renamed = account.add_space("Old", id=account.id("Space:ML"))
    assert renamed.created_at == account.bindings()[0].created_at
    assert listed(account, "spaces") == ["Old"]
    account.assert_bindings({("ada@example.com", "Space:ML"): "A"})


def test_blocked(account: FakeAccount) -> None:
    """A blocked user is in no list, is a 404, loses the roles and can have none, until added."""
    account.add_role("A", ["PROJECT_READ"])
    account.bind("A", user="ada@example.com", resource="Space:ML")
    account.bind("A", user="eve@example.com", resource="Space:ML")
    account.block_user("ada@example.com")
    ada = account.id("ada@example.com")
    assert got(account, "users", ada) == 404
    assert request_binding(account, "ada@example.com", "Space:ML") == 404
    assert listed(account, "users") == ["eve@example.com"]
    account.assert_bindings({("eve@example.com", "Space:ML"): "A"})
    assert listed(FakeAccount.load(account.dump()), "users") == ["eve@example.com"]
    account.add_user("ada@example.com")
    assert got(account, "users", ada) != 404


def test_file(account: FakeAccount) -> None:
    """A file keeps what no label says, and nothing else."""
    account.add_user("ada@example.com")
    account.add_user("ada@example.com", id="old", status="EXPIRED")
    account.add_space("ML")
    account.add_project("churn", space="ML", project_type=None)
    data = json.loads(account.dump())
    assert [each["status"] for each in data["directory"]["users"]] == ["ACTIVE", "EXPIRED"]
    assert "spaces" not in data["directory"]
    assert [each["name"] for each in data["directory"]["projects"]] == ["churn"]
    loaded = FakeAccount.load(account.dump(), clock=lambda: START)
    assert listed(loaded, "users") == ["ada@example.com", "ada@example.com"]
    assert listed(loaded, "projects") == ["churn"]
    assert loaded.dump() == account.dump()


def test_file_order(account: FakeAccount) -> None:
    """Users whom a file has come oldest first, also those who only have roles there."""
    account.add_role("A", ["PROJECT_READ"])
    account.add_user("ada@example.com", name="Countess")
    account.advance(60)
    account.bind("A", user="bob@example.com", resource="Space:ML")
    account.advance(60)
    account.add_user("eve@example.com", name="E.")
    account.bind("A", user="ada@example.com", resource="Space:ML")
    loaded = FakeAccount.load(account.dump())
    users = ["ada@example.com", "bob@example.com", "eve@example.com"]
    assert listed(loaded, "users") == listed(account, "users") == users


def test_snapshot(account: FakeAccount) -> None:
    """A snapshot and a reset have what there was before."""
    account.add_user("ada@example.com")
    before = account.snapshot()
    account.add_user("eve@example.com")
    account.block_user("ada@example.com")
    account.restore(before)
    assert listed(account, "users") == ["ada@example.com"]
    account.reset()
    assert listed(account, "users") == []


def test_snapshot_of_declared() -> None:
    """After `restore` there is nobody whom somebody declared since."""
    account = FakeAccount(users=["ada@example.com"], resources=["Space:ML"])
    before = account.snapshot()
    account.add_user("eve@example.com")
    account.add_space("Ops")
    account.restore(before)
    assert got(account, "users", account.id("eve@example.com")) == 404
    assert got(account, "spaces", account.id("Space:Ops")) == 404
    assert got(account, "spaces", account.id("Space:ML")) != 404


def test_sees_space(account: FakeAccount) -> None:
    """A key that may do something on a space sees it and its projects."""
    account.add_project("churn", space="ML")
    account.add_project("other", space="Ops")
    account.add_key("k", grants=[], on={"Space:ML": ["ROLE_BINDING_READ"]})
    assert listed(account, "spaces", key="k") == ["ML"]
    assert listed(account, "projects", key="k") == ["churn"]
    assert got(account, "projects", account.id("Project:Ops/other"), key="k") == 404


def test_unknown_is_there(account: FakeAccount) -> None:
    """Where nobody is declared, an ID is anybody's; one of another kind is nobody's."""
    user: Any = got(account, "users", account.id("ada@example.com"))
    assert (user["email"], user["name"]) == ("ada@example.com", "ada")
    assert not user["is_developer"]
    assert got(account, "spaces", user["id"]) == 404
    assert got(account, "spaces", account.id("Space:ML")) != 404
    of_space = f"space_id={account.id('Space:ML').replace('=', '%3D')}"
    assert listed(account, "projects", of_space) == listed(account, "spaces") == []
    assert listed(account, "users") == []
