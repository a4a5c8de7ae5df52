"""Laws over every argument of an account that names a thing, and over all that a file keeps."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import quote

import pytest

from arize_roles_async import AiohttpRolesClient, AuthenticationError
from arize_roles_fake import FakeAccount, mock_arize
from tests.support.clients import START, Act, account_at_noon, answer, ask

IDS: Final = {
    "User": "VXNlcjoxOmxQZzI=",
    "Space": "U3BhY2U6MTpiRnVM",
    "Model": "TW9kZWw6MTpGdmxM",
    "Role": "Um9sZToyOmFCY0Q=",
    "Organization": "T3JnYW5pemF0aW9uOjE=",
}
"""An ID of each kind."""

Give = Callable[[FakeAccount, str], object]
ARGUMENTS: Final[dict[tuple[str, str], tuple[tuple[str, ...], str, Give]]] = {
    ("bind", "role"): (("Role",), "A", lambda a, x: a.bind(x, user="eve", resource="Space:9")),
    ("bind", "user"): (("User",), "eve", lambda a, x: a.bind("A", user=x, resource="Space:9")),
    ("bind", "resource"): (
        ("Space", "Model"),
        "Space:9",
        lambda a, x: a.bind("A", user="eve", resource=x),
    ),
    ("unbind", "role"): (("Role",), "A", lambda a, x: a.unbind(x, user="ada", resource="Space:1")),
    ("unbind", "user"): (("User",), "ada", lambda a, x: a.unbind("A", user=x, resource="Space:1")),
    ("unbind", "resource"): (
        ("Space", "Model"),
        "Space:1",
        lambda a, x: a.unbind("A", user="ada", resource=x),
    ),
    ("bindings", "role"): (("Role",), "A", lambda a, x: a.bindings(x)),
    ("block_user", "user"): (("User",), "ada", lambda a, x: a.block_user(x)),
    ("add_user", "id"): (("User",), "ada", lambda a, x: a.add_user("new@x.org", id=x)),
    ("add_space", "id"): (("Space",), "Space:9", lambda a, x: a.add_space("New", id=x)),
    ("add_space", "organization"): (
        ("Organization",),
        "Acme",
        lambda a, x: a.add_space("New", organization=x),
    ),
    ("add_project", "id"): (
        ("Model", "Project"),
        "Project:9",
        lambda a, x: a.add_project("new", space="ML", id=x),
    ),
    ("add_project", "space"): (("Space",), "Space:9", lambda a, x: a.add_project("new", space=x)),
    ("add_key", "on"): (
        ("Space", "Model"),
        "Space:9",
        lambda a, x: a.add_key("k", grants=(), on={x: ["ROLE_READ"]}),
    ),
}
"""For each argument that names a thing: the kinds of its IDs, a name or label, and its use."""


def world() -> FakeAccount:
    account = account_at_noon()
    account.add_role("A")
    account.bind("A", user="ada", resource="Space:1")
    return account


def test_every_argument() -> None:
    """The laws see every argument that names a thing."""
    names = {"role", "user", "resource", "space", "organization", "id", "on"}
    methods = dict(inspect.getmembers(FakeAccount, inspect.isfunction))
    found = {
        (method, each)
        for method, function in methods.items()
        for each in inspect.signature(function).parameters
        if each in names and not method.startswith("_")
    }
    # These give back a label, and hold an `AccountRole`.
    assert found - {("label", "id"), ("add_user", "role")} == ARGUMENTS.keys()


@pytest.mark.parametrize(
    ("give", "other"),
    [
        (give, other)
        for kinds, _, give in ARGUMENTS.values()
        for kind, other in IDS.items()
        if kind not in kinds
    ],
)
def test_other_kind(give: Give, other: str) -> None:
    """The ID of something else is refused, and nothing is changed."""
    account = world()
    before = account.dump()
    with pytest.raises((ValueError, LookupError)):
        give(account, other)
    assert account.dump() == before


@pytest.mark.parametrize(("label", "give"), [each[1:] for each in ARGUMENTS.values()])
def test_label_or_id(label: str, give: Give) -> None:
    """A name or label does the same as the ID."""
    by_label, by_id = world(), world()
    ids = {
        "A": by_id.roles[0].id,
        "Acme": world().add_space("Other", organization="Acme").organization_id,
    }
    results = give(by_label, label), give(by_id, ids.get(label) or by_id.id(label))
    assert results[0] == results[1]
    assert by_label.dump() == by_id.dump()


def test_same_name() -> None:
    """Without an ID, what is added replaces nothing that differs in its organization or space."""
    account = world()
    one = account.add_space("ML", organization="a")
    other = account.add_space("ML", organization="b")
    assert account.add_space("ML", organization="b", is_private=True).id == other.id
    assert [*map(account.label, (one.id, other.id))] == ["Space:ML", "Space:ML (2)"]
    account.add_space("Renamed", id=one.id)
    assert account.add_space("ML", organization="a").id not in {one.id, other.id}
    churn = account.add_project("churn", space=other.id)
    assert (churn.space_id, account.label(churn.id)) == (other.id, "Project:ML (2)/churn")


def named_as_id(account: FakeAccount) -> None:
    """Bind a role whose name is another one's ID."""
    other = account.add_role("Other", id="Um9sZTo5OmFhYWE=")
    account.bind(account.add_role(other.id), user="eve", resource="Project:ML/churn")


def given_and_deleted(account: FakeAccount) -> None:
    """Delete a role with an ID that the account made, and one with the ID of the fourth."""
    other = FakeAccount(api_key="fake-api-key", predefined=False)
    ids = [other.add_role(name).id for name in "ABCD"]
    made, given = account.add_role("B"), account.add_role("D", id=ids[3])
    for each in (made, given):
        assert ask(account, f"DELETE /v2/roles/{quote(each.id)}").status == 204


def grant_newer(account: FakeAccount) -> None:
    """Let a key have a permission that no role has any more."""
    role = account.add_role("Newer", ["COMET_LAUNCH"])
    account.add_key("newer", grants=["COMET_LAUNCH"])
    assert ask(account, f"DELETE /v2/roles/{quote(role.id)}").status == 204


def remove_key(account: FakeAccount) -> None:
    account.add_key("old")
    account.remove_key("old")


KEPT: Final[list[Act]] = [
    remove_key,
    grant_newer,
    lambda a: a.add_key("reader", grants=["TAG_READ"], on={"Space:1": ["ROLE_READ"]}),
    given_and_deleted,
    named_as_id,
    lambda a: a.add_role("Newer", ["COMET_LAUNCH"], created_at=START - timedelta(days=1)),
    lambda a: a.block_user("ada"),
    lambda a: a.bind("A", user="VXNlcjo=", resource="UHJvamVjdDox"),
    lambda a: a.add_user("ada@example.com", id="old", status="EXPIRED"),
    lambda a: a.add_space("Ops", organization="Research"),
    lambda a: a.add_project("fraud", space="ML", project_type=None),
    lambda a: setattr(a, "max_custom_roles", 1),
    lambda a: a.advance(60),
]
"""What a test can do to an account, and a file keeps."""


async def behaviour(account: FakeAccount) -> list[object]:
    """Return what an account does and holds, in the words of its users."""
    with mock_arize(account):
        found: list[object] = []
        for key in ("old", "other"):
            async with AiohttpRolesClient(key) as roles:
                try:
                    found += await roles.list().all()
                except AuthenticationError:
                    found.append(401)
    newer = {"name": "Z", "permissions": ["COMET_LAUNCH"]}
    found.append(answer(account, "POST /v2/roles", newer)[0])
    found += [account.add_role(name).id for name in "XY"]
    found += [account.bind("X", user=user, resource="Space:7").id for user in ("u", "v")]
    return [*found, account.bindings(), account.now(), account.dump()]


@pytest.mark.parametrize("act", KEPT)
async def test_kept(act: Act) -> None:
    """An account that is loaded does and holds the same as the one that was dumped."""
    account = world()
    act(account)
    loaded = FakeAccount.load(account.dump(), clock=lambda: START)
    assert await behaviour(loaded) == await behaviour(account)


def test_foreign_cursor() -> None:
    """A cursor is foreign to another account, to its own after a reset, and once it is altered."""
    account = world()
    account.add_role("B")
    _, page = answer(account, "GET /v2/roles?limit=1")
    again = f"GET /v2/roles?cursor={quote(page['pagination']['next_cursor'])}"
    assert answer(account, again)[0] == 200
    assert answer(account, again.replace("cursor=", "cursor=-"))[0] == 400
    assert answer(FakeAccount.load(account.dump()), again)[0] == 400
    account.reset()
    assert answer(account, again)[0] == 400


@dataclass
class Subclass(FakeAccount):
    """An account that has no hash, and equals another one."""

    size: int = 1

    def __post_init__(self) -> None:
        super().__init__()


async def test_dataclass() -> None:
    """A subclass may be a dataclass: accounts are told apart by identity."""
    one, other = Subclass(), Subclass()
    assert one == other
    one.add_role("A")
    with mock_arize({one.api_key: one, other.api_key: other}):
        async with AiohttpRolesClient(other.api_key) as roles:
            assert len(await roles.list().all()) == 7
            assert len(await roles.with_options(api_key=one.api_key).list().all()) == 8
