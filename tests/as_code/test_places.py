"""Who has which role, declared beside the roles: plans of places, and how they are applied."""

import asyncio
import contextlib
import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from arize_roles_async import ListUsersResponse, Permission, ValidationError, as_code
from arize_roles_async.as_code import Declaration, DeclaredPlace, apply, export, loads, plan
from arize_roles_async.as_code.apply import Run
from arize_roles_async.as_code.planning import compare
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake._service.service import Operation
from tests.as_code.accounts import BINDER, account_of, declared, ended, role_id
from tests.contract.wrapping import Wrapper
from tests.support.clients import Connect, answer, both_clients

ML, CHURN = "Space:ML", "Project:ML/churn"
ADA, BOB, CYD, EVE = (f"{name}@example.com" for name in ("ada", "bob", "cyd", "eve"))


@pytest.fixture
def account() -> FakeAccount:
    """An account in which Ada may bind in the space ML, and two others have a role there."""
    account = account_of("Viewer", "Editor")
    account.add_role("Admin", BINDER, id=role_id("Admin"))
    account.add_space("ML")
    account.add_project("churn", space="ML")
    for user in (ADA, BOB, CYD, EVE):
        account.add_user(user)
    account.bind("Admin", user=ADA, resource=ML)
    account.bind("Viewer", user=BOB, resource=ML)
    account.bind("Viewer", user=EVE, resource=ML)
    return account


def place(users: dict[str, str], **fields: Any) -> DeclaredPlace:  # noqa: ANN401
    """Return the space ML with the roles of users; who has an empty one is absent."""
    absent = [user for user, role in users.items() if not role]
    users = {user: role for user, role in users.items() if role}
    return DeclaredPlace(space="ML", users=users, absent=absent, **fields)


def only(users: dict[str, str]) -> Declaration:
    """Return a declaration of all who have a role in ML, for the account above."""
    return Declaration(places=[place(users, only=True)], anchor=role_id("Viewer"))


async def violation(account: FakeAccount, wanted: Declaration) -> str:
    with pytest.raises(as_code.PlanError) as caught:
        await plan(FakeRolesClient(account), wanted)
    (found,) = caught.value.violations
    return str(found)


@both_clients
async def test_run(connect: Connect, account: FakeAccount) -> None:
    """One run moves users and deletes their role, in that order; the next plan is empty."""
    account.add_role("Old", ["ROLE_READ"], id=role_id("Old"))
    account.bind("Old", user=BOB, resource=CHURN)
    wanted = Declaration(
        roles=[declared("New")],
        absent=["Old"],
        places=[
            place({CYD: "New", BOB: "Editor", EVE: ""}),
            DeclaredPlace(space="ML", project="churn", users={BOB: "New"}),
        ],
    )
    made: list[str] = []
    async with connect(account) as roles:
        first = await plan(roles, wanted)
        await apply(
            roles, wanted, expected=first.checksum, on_change=lambda each: made.append(str(each))
        )
        again = await plan(roles, wanted)
    assert made == [
        'create "New"',
        f'give "New" to "{CYD}" on space "ML"',
        f'change "{BOB}" from "Old" to "New" on project "churn" in space "ML"',
        f'change "{BOB}" from "Viewer" to "Editor" on space "ML"',
        f'take "Viewer" from "{EVE}" on space "ML"',
        'delete "Old"',
    ]
    assert again.all_changes == ()
    account.assert_bindings(
        {(ADA, ML): "Admin", (BOB, ML): "Editor", (CYD, ML): "New", (BOB, CHURN): "New"}
    )


TEXT = f"""\
  for any account, since no file has an anchor
? "Admin" is not declared
? "Editor" is not declared
? "Viewer" is not declared
  space "ML"
+ give "Editor" to "{CYD}"
~ change "{BOB}" from "Viewer" to "Editor"
- take "Viewer" from "{EVE}"
? "{ADA}" has "Admin" on space "ML"
#     "zoe@example.com" is not there, so "Viewer" waits
  no changes; 0 as declared, 3 not declared
  role bindings: 1 to give, 1 to change, 1 to take; 0 as declared, 1 not declared, 1 waiting
  checksum """


async def test_forms(account: FakeAccount) -> None:
    """A plan shows each place with its changes, what was made by hand, and who waits."""
    account.add_user("dan@example.com")
    users = {CYD: "Editor", BOB.upper(): "Editor", "zoe@example.com": "Viewer", EVE: ""}
    users["dan@example.com"] = ""  # He has no role here, and none to lose.
    wanted = Declaration(places=[place(users)])
    planned = await plan(FakeRolesClient(account), wanted)
    assert str(planned).startswith(TEXT)
    assert not planned.is_as_declared
    (shown,) = planned.to_dict()["places"]
    assert [each["action"] for each in shown["changes"]] == ["give", "change", "take"]
    assert planned.to_markdown().count("?") == 4
    without = compare(account.roles, attrs.evolve(wanted, places=()))
    assert "places" not in without.to_dict()
    assert planned.checksum != without.checksum


async def test_only(account: FakeAccount) -> None:
    """`only` takes the roles of people whom nobody names, and of nobody without an address."""
    hidden = account.add_user(None, id="hidden")
    account.bind("Viewer", user=hidden.id, resource=ML)
    roles = FakeRolesClient(account)
    users = (await roles.directory.users()).users
    listed = [attrs.evolve(user, email=None) if user.email == EVE else user for user in users]
    json = {"Content-Type": "application/json"}
    account.fail("users.list", 200, body=ListUsersResponse.of(listed).to_json(), headers=json)
    planned = await plan(roles, only({ADA: "Admin"}))
    assert [*map(str, planned.all_changes)] == [f'take "Viewer" from "{BOB}" on space "ML"']


async def test_waiting(account: FakeAccount) -> None:
    """While somebody is not there, `only` takes nobody's role: it may be a typing error."""
    before = account.bindings()
    wanted = only({"adda@example.com": "Admin", BOB: "Viewer"})
    planned = (await apply(FakeRolesClient(account), wanted)).plan
    assert planned.places[0].notes == (
        '"adda@example.com" is not there, so "Admin" waits',
        "so nobody else loses a role here meanwhile",
    )
    assert account.bindings() == before


TAG = "TAG_READ"
RENAMED = '{permissions = ["ROLE_READ"], previously = ["Viewer"]}'
NOBODY = 'spaces."ML": nobody would be left on it who '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('spaces.ML.users."ada@example.com" = "Viewer"', NOBODY),
        ('spaces.ML.absent = ["ada@example.com"]', NOBODY),
        (f'spaces.ML.users."{BOB}" = "Viewer"\nroles.Admin.permissions = ["ROLE_READ"]', NOBODY),
        ('spaces.ML.users."bob@example.com" = "Nobody"', "there is no role"),
        (f'spaces.ML.users."{BOB}" = "Viewer"\nroles.New = {RENAMED}', "there is no role"),
        ("spaces.XX = {}", 'spaces."XX": there is no space "XX", as '),
        ("projects.ML.X = {}", 'projects."ML"."X": there is no project "X", as far as the key '),
        ("spaces.Two = {}", '2 spaces are named "Two"; give an ID: '),
        ('spaces.ML.users."old@example.com" = "Viewer"', "2 users have the address; give one of"),
        ("spaces = {ML = {}, U3BhY2U6Tg = {}}", "declared more than once, by its name and its ID"),
        (f'spaces.ML.users = {{"{BOB}" = "Admin", VXNlcjpC = "Viewer"}}', "once here, by the ID"),
        (f'spaces.ML = {{users."{BOB}" = "Admin", absent = ["VXNlcjpC"]}}', "more than once here"),
    ],
)
async def test_refused(account: FakeAccount, text: str, message: str) -> None:
    """What fits no account is refused before anything is changed."""
    for organization in ("one", "two"):
        account.add_space("Two", organization=organization)
    account.add_user("old@example.com", status="EXPIRED", id="VXNlcjox")
    account.add_user("old@example.com", status="INVITED", id="VXNlcjoy")
    ids = {"U3BhY2U6Tg": account.id(ML), "VXNlcjpC": account.id(BOB)}
    for given, real in ids.items():
        text = re.sub(rf'"?{given}"?', f'"{real}"', text)
    assert message in await violation(account, loads(text))


@pytest.mark.parametrize(
    ("wanted", "user", "role"),
    [
        (place({CYD: "Viewer"}), CYD, "Editor"),
        (place({BOB: "Editor"}), BOB, "Admin"),
        (place({BOB: "Editor"}), BOB, None),
        (place({BOB: ""}), BOB, "Editor"),
    ],
)
async def test_meanwhile(
    account: FakeAccount, wanted: DeclaredPlace, user: str, role: str | None
) -> None:
    """What somebody else gave, changed or took since the plan stays as it is."""

    def meddle() -> None:
        with contextlib.suppress(LookupError):
            account.unbind("Viewer", user=user, resource=ML)
        with contextlib.suppress(LookupError, ValueError):
            account.bind(role or "", user=user, resource=ML)

    result = await ended(FakeRolesClient(account), Declaration(places=[wanted]), meddle)
    (refused,) = result.refused
    assert refused.reason.startswith(f'"{user}" has another role on space "ML", or none, since ')
    users = {account.label(each.user_id): each.role_id for each in account.bindings()}
    assert users.get(user) == (role and role_id(role))


async def test_gone(account: FakeAccount) -> None:
    """A take counts as made if the binding is gone, whoever took it, and not if it may not be."""
    lines = iter([None, "DELETE"])

    def permit() -> None:
        if next(lines) is not None:
            answer(account, f"DELETE /v2/role-bindings/{account.bindings('Viewer')[-1].id}")

    wanted = Declaration(places=[place({EVE: ""})])
    account.add_key("key", grants={*Permission} - {"ROLE_BINDING_DELETE"})
    async with FakeRolesClient(account, api_key="key") as roles:
        assert len((await ended(roles, wanted)).refused) == 1
    assert len((await ended(FakeRolesClient(account), wanted, permit)).made) == 1


@pytest.mark.parametrize("fault", ["lost", 503, None])
async def test_made(
    account: FakeAccount,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,  # noqa: ANN401
) -> None:
    """A change whose answer was lost, or that somebody else made, is made, also by a wrapper."""
    monkeypatch.setattr("random.uniform", min)  # no waits between attempts
    roles: Any = Wrapper(FakeRolesClient(account))
    users = {CYD: "New", BOB: "Editor", EVE: ""}
    wanted = Declaration(roles=[declared("New")], places=[place(users)])
    run = Run(roles, await plan(roles, wanted))
    if fault is None:
        await apply(roles, wanted)
    else:
        for operation in ("create", "role_bindings.create", "update", "delete"):
            changed: Any = operation if "create" in operation else f"role_bindings.{operation}"
            account.fail(changed, fault, when="after")
    assert len((await run.finish()).made) == 4
    account.assert_bindings({(ADA, ML): "Admin", (BOB, ML): "Editor", (CYD, ML): "New"})


ROLES = {"Binder": BINDER, "Wide": ["ROLE_READ", "TAG_READ"], "Next": ["ROLE_READ"], "Boss": BINDER}
"""The roles of the next test; Ada may bind, Bob has the wide role."""


@pytest.mark.parametrize(
    ("fault", "roles", "users", "order"),
    [
        # Who gets a role gets it after it is created.
        ("create", {"New": "ROLE_READ"}, {CYD: "New"}, "create, give"),
        # Who gets a role that loses a permission does not get the permission.
        ("update", {"Wide": "ROLE_READ"}, {CYD: "Wide"}, "update, give"),
        # Who loses a role that gets a permission does not get the permission.
        ("role_bindings.delete", {"Wide": "ROLE_READ DATASET_READ"}, {BOB: ""}, "take, update"),
        # Who moves from a role that loses a permission keeps it until then.
        ("role_bindings.update", {"Wide": "ROLE_READ"}, {BOB: "Next"}, "change, update"),
        # Somebody may bind at any time.
        ("role_bindings.create", {"Binder": "ROLE_READ"}, {CYD: "Boss"}, "give, update"),
        ("role_bindings.create", {}, {ADA: "", CYD: "Boss"}, "give, take"),
        ("update", {"Wide": " ".join(BINDER)}, {ADA: ""}, "update, take"),
        # A role is deleted after its last user has left it.
        ("role_bindings.update", {"Wide": ""}, {BOB: "Next"}, "change, delete"),
        # Who moves leaves a role before it changes, and comes after the other one has.
        ("update", {"Wide": TAG, "Next": TAG}, {BOB: "Next"}, "update, change, update"),
    ],
)  # fmt: skip
async def test_between(
    fault: Operation, roles: dict[str, str], users: dict[str, str], order: str
) -> None:
    """Wherever a run stops, nobody has more than is declared, and somebody may bind."""
    account = account_of()
    for name, permissions in ROLES.items():
        account.add_role(name, permissions)
    account.bind("Binder", user=ADA, resource=ML)
    account.bind("Wide", user=BOB, resource=ML)
    account.add_user(CYD)
    wanted = Declaration(
        roles=[declared(name, permissions=has.split()) for name, has in roles.items() if has],
        absent=[name for name, has in roles.items() if not has],
        places=[place(users)],
    )
    planned = await plan(FakeRolesClient(account), wanted)
    assert ", ".join(each.action for each in planned.all_changes) == order
    account.fail(fault, 403)
    result = await ended(FakeRolesClient(account), wanted)
    assert [len(result.made), len(result.refused)] == [0, 1]
    await apply(FakeRolesClient(account), wanted)


async def test_round() -> None:
    """Users who change round between roles that change round, too, take two runs."""
    account = account_of("A", "B")
    account.bind("A", user=ADA, resource=ML)
    account.bind("B", user=BOB, resource=ML)
    wider = [declared(name, permissions=["ROLE_READ", "TAG_READ"]) for name in "AB"]
    wanted = Declaration(roles=wider, places=[place({ADA: "B", BOB: "A"})])
    assert "4 changes wait for each other" in await violation(account, wanted)


@pytest.mark.parametrize(
    ("absent", "left"),
    [([], "1 role binding, so the delete is refused"), ([CYD], "no role binding")],
)
async def test_left(account: FakeAccount, absent: list[str], left: str) -> None:
    """The note of a delete counts the bindings that the plan neither takes nor changes."""
    account.bind("Viewer", user=CYD, resource=CHURN)
    there = place(dict.fromkeys(absent, ""), project="churn")
    places = [place({BOB: "Editor", EVE: ""}), there]
    made = await plan(FakeRolesClient(account), Declaration(absent=["Viewer"], places=places))
    assert [each.note for each in made.changes] == [f"the key sees {left} after this plan"]


async def test_removals(account: FakeAccount) -> None:
    """Takes on declared places are limited as removals from roles are."""
    for n in range(10):
        account.bind("Viewer", user=f"user-{n}@example.com", resource=ML)
    wanted = Declaration(places=[place({f"user-{n}@example.com": "" for n in range(4)})])
    with pytest.raises(as_code.TooManyRemovalsError, match="4 of 13 role bindings on declared "):
        await apply(FakeRolesClient(account), wanted)
    await apply(FakeRolesClient(account), wanted, max_removals=4)
    assert len(account.bindings()) == 9


async def test_checksum(account: FakeAccount) -> None:
    """A plan that was reviewed is refused once it has other changes, or gives another new role."""
    new = [declared("New A"), declared("New B")]
    wanted = [Declaration(roles=new, places=[place({CYD: role.name})]) for role in new]
    reviewed = await plan(FakeRolesClient(account), wanted[0])
    with pytest.raises(as_code.StalePlanError):
        await apply(FakeRolesClient(account), wanted[1], expected=reviewed)
    account.bind("Viewer", user=CYD, resource=ML)
    with pytest.raises(as_code.StalePlanError):
        await apply(FakeRolesClient(account), wanted[0], expected=reviewed)


async def test_other_client(account: FakeAccount) -> None:
    """A client of roles alone is refused."""
    roles: Any = SimpleNamespace(list=FakeRolesClient(account).list)
    with pytest.raises(ValidationError, match="must be a client with role_bindings and directory"):
        await plan(roles, Declaration(places=[place({})]))


async def test_export(account: FakeAccount) -> None:
    """An export declares what the key sees, by names where these are unique: nothing changes."""
    account.bind("Editor", user=CYD, resource=CHURN)
    other, like_an_id = "U3BhY2U6Mg==", account.add_space("U3BhY2U6Mw==").id
    account.add_space("ML", id=other, organization="other")
    account.add_project("churn", space=other)
    account.add_user(ADA, id="VXNlcjoy", status="EXPIRED")
    account.add_user(None, id="bot")
    churn = account.id("Project:2/churn")
    for user, place in (
        (CYD, other),
        (CYD, churn),
        (CYD, like_an_id),
        ("VXNlcjoy", ML),
        ("bot", ML),
    ):
        account.bind("Viewer", user=user, resource=place)
    roles = FakeRolesClient(account)
    exported = await export(roles, anchored=True, bindings=True)
    read = loads(exported.to_toml())
    planned = await plan(roles, read)
    assert planned.all_changes == ()
    has = f'"{account.id("bot")}" has "Viewer" on space "ML"'
    assert [each for place in planned.places for each in place.undeclared] == [has]
    (note,) = exported.notes
    assert note.message.startswith("left out, since the key does not see all: ")
    ml = account.id(ML)
    there = {(each.space, each.project) for each in read.places}
    assert there == {(ml, None), (other, None), (like_an_id, None), (ml, "churn"), (other, "churn")}
    assert "VXNlcjoy" in str(read.places)


async def test_tenant(account: FakeAccount) -> None:
    """Three hundred bindings take so many changes, also under a limit and with a run cut short."""
    users = [f"user-{n}@example.com" for n in range(300)]
    for n, user in enumerate(users):
        account.add_user(user)
        if n < 200:
            account.bind("Viewer", user=user, resource=ML)
    roles = dict.fromkeys(users, "") | dict.fromkeys(users[100:], "Editor")
    wanted = Declaration(places=[place(roles)])
    account.limit_rate(20, burst=5)
    made: list[str] = []

    def note(change: object) -> None:
        made.append(str(change))
        if len(made) == 150:
            first.cancel()

    run = apply(FakeRolesClient(account), wanted, max_removals="100%", on_change=note)
    first = asyncio.create_task(run)
    with pytest.raises(asyncio.CancelledError):
        await first
    await apply(FakeRolesClient(account), wanted, max_removals="100%", on_change=note)
    assert len(made) == len({*made}) == 300
    answered = [call for call in account.calls if call.outcome != 429]
    assert sum(call.operation == "role_bindings.create" for call in answered) == 100
    # What a limit refused looks whether it was made, with a list of the user's.
    asked = Counter(call.operation for call in answered if "user_id" not in call.arguments)
    # A change or a take looks first; each of both runs has one walk over each kind.
    changes = {"role_bindings.update": 100, "role_bindings.delete": 100, "role_bindings.get": 200}
    walks = {"role_bindings.list": 3 + 4, "users.list": 2 * 4, "list": 2, "spaces.list": 2}
    assert asked == changes | walks
