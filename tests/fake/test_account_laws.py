"""Laws over every argument of an account, and over all that a file keeps."""

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, get_args, get_type_hints
from urllib.parse import quote

import pytest
from _pytest.mark import ParameterSet

from arize_roles_async import AiohttpRolesClient, AuthenticationError, Request, RolesError
from arize_roles_fake import (
    Assumptions,
    FakeAccount,
    FakeRolesClient,
    RolesServer,
    make_role,
    mock_arize,
)
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.make_role import RoleFields
from arize_roles_fake._testing.received import Matcher
from tests.support.clients import START, Act, account_at_noon, answer, ask

GIVEN: Final[dict[str, Any]] = {
    "expected": {},
    "failure": 503,
    "id": "Space:1",
    "operation": "list",
    "per_second": 1,
    "request": Request(method="GET", target="/"),
    "resource": "Space:1",
    "role": "Admin",
    "seconds": 1,
    "settings": (),
    "source": '{"roles": []}',
}
"""A value of each argument that some method needs; of any other, a text will do."""
OWNERS: Final[dict[type, Callable[[], object]]] = {
    **{each: each for each in (FakeAccount, Assumptions, RolesServer)},
    Blocked: lambda: Blocked(Matcher("list", None)),
}
FUNCTIONS: Final[list[Callable[..., Any]]] = [
    *(FakeAccount, Assumptions, RolesServer, FakeRolesClient, make_role, mock_arize),
    *(
        getattr(owner, name)
        for owner in OWNERS
        for name in dir(owner)
        if name[0] != "_" and callable(getattr(owner, name))
    ),
]


def parameters() -> Iterator[ParameterSet]:
    """Yield each argument of each function, and whether it may be None."""
    for function in FUNCTIONS:
        for name, each in inspect.signature(function).parameters.items():
            is_given = each.kind is each.VAR_KEYWORD
            takes_none = each.default is None or type(None) in get_args(each.annotation)
            for one in get_type_hints(RoleFields) if is_given else [name]:
                if one != "self":
                    title = f"{function.__qualname__}-{one}"
                    yield pytest.param(function, one, is_given or takes_none, id=title)


@pytest.mark.arize_roles(unused_faults="allow")
@pytest.mark.parametrize(("function", "name", "takes_none"), [*parameters()])
def test_none(function: Callable[..., Any], name: str, takes_none: bool) -> None:  # noqa: FBT001 - a parameter
    """None is a value that the signature has, or an error that names the argument."""
    owner = next((each for each in OWNERS if vars(each).get(function.__name__) is function), None)
    parameters = inspect.signature(function).parameters.items()
    needed = {each for each, it in parameters if it.default is it.empty}
    given = {each: GIVEN.get(each, "A") for each in needed - {"self", "fields", "sizes"}}
    places: list[Any] = [] if owner is None else [OWNERS[owner]()]
    if name == "sizes":
        places.append(None)
    else:
        given[name] = None
    if name == "email":
        given["id"] = "bot"  # A user without an address needs one.
    if takes_none:
        function(*places, **given)
        return
    with pytest.raises((TypeError, ValueError, RolesError)) as caught:
        function(*places, **given)
    assert re.search(rf"\b{name} must (not be None|be .*, not None)$", str(caught.value))


@pytest.mark.parametrize("name", sorted({*dir(FakeAccount)} & {f.__name__ for f in FUNCTIONS}))
def test_unknown(name: str) -> None:
    """An error about the arguments of a method names it as the test wrote it."""
    with pytest.raises(TypeError, match=rf"^FakeAccount\.{name}\(\) "):
        getattr(FakeAccount(), name)(nonsense=1)


IDS: Final = {
    "User": "VXNlcjoxOmxQZzI=",
    "Space": "U3BhY2U6MTpiRnVM",
    "Model": "TW9kZWw6MTpGdmxM",
    "Role": "Um9sZToyOmFCY0Q=",
    "Organization": "T3JnYW5pemF0aW9uOjE=",
}
"""An ID of each kind."""

NAMED: Final[dict[str, tuple[str, ...]]] = {
    "role": ("Role",),
    "user": ("User",),
    "space": ("Space",),
    "organization": ("Organization",),
    "resource": ("Space", "Model"),
    "on": ("Space", "Model"),
    "add_user id": ("User",),
    "add_space id": ("Space",),
    "add_project id": ("Model", "Project"),
}
"""The kinds of the IDs that an argument takes, of an `id` by its method."""

CALLS: Final[list[tuple[str, dict[str, str], list[str]]]] = [
    ("bind", {"role": "A", "user": "eve", "resource": "Space:9"}, ["role", "user", "resource"]),
    ("unbind", {"role": "A", "user": "ada", "resource": "Space:1"}, ["role", "user", "resource"]),
    ("bindings", {"role": "A"}, ["role"]),
    ("block_user", {"user": "ada"}, ["user"]),
    ("add_user", {"email": "new@x.org", "id": "ada"}, ["id"]),
    ("add_space", {"name": "New", "id": "Space:9"}, ["id"]),
    ("add_space", {"name": "New", "organization": "Acme"}, ["organization"]),
    ("add_project", {"name": "new", "space": "ML", "id": "Project:9"}, ["id"]),
    ("add_project", {"name": "new", "space": "Space:9"}, ["space"]),
    ("add_key", {"key": "k", "on": "Space:9"}, ["on"]),
]
"""A call of each method, and its arguments that name a thing, by a name or label."""

ARGUMENTS: Final = [(method, given, name) for method, given, names in CALLS for name in names]


def call(account: FakeAccount, method: str, given: dict[str, str]) -> object:
    options: dict[str, Any] = given
    if "on" in given:
        options = {**given, "grants": (), "on": {given["on"]: ["ROLE_READ"]}}
    return getattr(account, method)(**options)


def world() -> FakeAccount:
    account = account_at_noon(assumptions=Assumptions(deleted_name="kept"))
    account.add_role("A")
    account.bind("A", user="ada", resource="Space:1")
    return account


def test_every_argument() -> None:
    """The laws see every argument that names a thing."""
    methods = dict(inspect.getmembers(FakeAccount, inspect.isfunction))
    found = {
        (method, each)
        for method, function in methods.items()
        for each in inspect.signature(function).parameters
        if each in {*NAMED, "id"} and not method.startswith("_")
    }
    # These give back a label, and hold an `AccountRole`.
    assert found - {("label", "id"), ("add_user", "role")} == {
        (m, name) for m, _, name in ARGUMENTS
    }


@pytest.mark.parametrize(("method", "given", "name"), ARGUMENTS)
def test_other_kind(method: str, given: dict[str, str], name: str) -> None:
    """The ID of something else is refused, and nothing is changed."""
    account = world()
    before = account.dump()
    kinds = NAMED[f"{method} id" if name == "id" else name]
    for other in (id_ for kind, id_ in IDS.items() if kind not in kinds):
        with pytest.raises((ValueError, LookupError)):
            call(account, method, {**given, name: other})
    assert account.dump() == before


@pytest.mark.parametrize(("method", "given", "name"), ARGUMENTS)
def test_label_or_id(method: str, given: dict[str, str], name: str) -> None:
    """A name or label does the same as the ID."""
    by_label, by_id = world(), world()
    ids = {
        "A": by_id.roles[0].id,
        "Acme": world().add_space("Other", organization="Acme").organization_id,
    }
    id_ = ids.get(given[name]) or by_id.id(given[name])
    assert call(by_label, method, given) == call(by_id, method, {**given, name: id_})
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


def replace_first_key(account: FakeAccount) -> None:
    account.add_key("other")
    account.remove_key(account.api_key)


def bind_again(account: FakeAccount) -> None:
    account.unbind("A", user="ada", resource="Space:1")
    account.bind(account.add_role("B"), user="ada", resource="Space:1")


def rebind(account: FakeAccount) -> None:
    account.advance(60)
    binding, role = account.bindings()[0], account.add_role("B")
    answer(account, f"PATCH /v2/role-bindings/{quote(binding.id)}", {"role_id": role.id})
    assert account.bindings()[0].updated_at > binding.updated_at


KEPT: Final[list[Act]] = [
    given_and_deleted,
    named_as_id,
    bind_again,
    rebind,
    lambda a: a.add_role("Newer", ["COMET_LAUNCH"], created_at=START - timedelta(days=1)),
    lambda a: a.block_user("ada"),
    lambda a: a.bind("A", user="VXNlcjo=", resource="UHJvamVjdDox"),
    lambda a: a.add_user("ada@example.com", id="old", status="EXPIRED"),
    lambda a: a.add_space("Ops", organization="Research"),
    lambda a: a.add_project("fraud", space="ML", project_type=None),
    remove_key,
    replace_first_key,
    grant_newer,
    lambda a: a.add_key("reader", grants=["TAG_READ"], on={"Space:1": ["ROLE_READ"]}),
    lambda a: a.add_key("reader", grants=[], on={"Space:1": ["ROLE_READ"]}),
    lambda a: setattr(a, "max_custom_roles", 1),
    lambda a: a.advance(60),
]
SCRIPTS: Final[list[Act]] = [
    lambda a: a.fail("list", 500),
    lambda a: a.slow_down(1),
    lambda a: a.limit_rate(0.001),
    lambda a: a.shorten_pages(0),
    lambda a: ask(a, "GET /v2/roles"),
]
"""What a test can do to an account; a file keeps all but scripts."""


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
    found.append(answer(account, "GET /v2/spaces", key="reader"))
    for name, permission in (("B", "ROLE_READ"), ("Z", "COMET_LAUNCH")):
        role = {"name": name, "permissions": [permission]}
        found.append(answer(account, "POST /v2/roles", role)[0])
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


@pytest.mark.parametrize("act", KEPT + SCRIPTS)
async def test_reset(act: Act) -> None:
    """A reset takes everything back, and leads to what was there when the account was loaded."""
    usual, account = (FakeAccount.load(world().dump(), clock=lambda: START) for _ in range(2))
    act(account)
    account.reset()
    assert (account.calls, account.unused_faults) == ((), ())
    assert await behaviour(account) == await behaviour(usual)
