"""Plans: the comparison of an account with a declaration, and its text."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any, Final
from unittest.mock import AsyncMock, Mock

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arize_roles_async import ValidationError, as_code
from arize_roles_async.as_code import Declaration, DeclaredPlace, export, plan
from arize_roles_async.as_code.planning import compare
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.as_code.accounts import MIXED, account_of, declaration, declared, mixed_account, role_id
from tests.contract.wrapping import Wrapper
from tests.support.clients import START

PERMISSIONS = ["DATASET_READ", "PROJECT_READ", "TAG_READ", "ROLE_READ"]
TWO = ("DATASET_READ", "ROLE_READ")
Held = Sequence[str]
NASTY = "``` \u202eevil\x1b[31m\nnext\x7f"
WHOLE = [
    "  for any account, since no file has an anchor",
    '- delete "Gone"',
    '-     "ROLE_READ"',
    '+ create "New"',
    '+     "ROLE_READ"',
]
WITHHELD = "its permissions are withheld: the API key lacks ROLE_READ"


def planned(account: FakeAccount, declared: Declaration) -> as_code.Plan:
    return compare(account.roles, declared)


def violations(account: FakeAccount, declared: Declaration) -> list[tuple[str, str]]:
    with pytest.raises(as_code.PlanError) as caught:
        compare(account.roles, declared)
    return [(violation.field, violation.message) for violation in caught.value.violations]


class TestForms:
    def test_undeclared(self) -> None:
        """Roles that are not declared are counted; in Markdown they are a block of its own."""
        names = [f"Role {n:03}" for n in range(174)]
        plan = planned(account_of("A", *names), declaration("A"))
        counts = "  no changes; 1 as declared, 174 not declared"
        lines = [f'? "{name}" is not declared' for name in names]
        assert str(plan).split("\n")[1:-1] == [*lines, counts]
        main, folded = plan.to_markdown().split("<details><summary>174 not declared</summary>")
        assert main.split("\n")[2] == counts
        assert folded.split("\n") == ["", "", "```diff", *lines, "```", "", "</details>", ""]
        assert len(plan.to_markdown(1_000)) <= 1_000
        assert "<details>" not in plan.to_markdown(300)

    @pytest.mark.parametrize(
        ("limit", "kept"), [(322, WHOLE[:4]), (302, [*WHOLE[:2], WHOLE[3]]), (287, WHOLE[:2])]
    )
    def test_left_out(self, limit: int, kept: list[str]) -> None:
        """Permissions go first, then titles, and deletes last."""
        wanted = declaration("New", absent=["Gone"])
        markdown = planned(account_of("Gone", "Other"), wanted).to_markdown(limit)
        lines = markdown.split("\n")
        assert lines[1].startswith("  shortened: ")
        assert lines[2:-4] == kept


def test_same_checksum() -> None:
    """Notes, other roles, times and orders do not count, as a plan changes none of them."""
    account = mixed_account()
    account.add_role("D", TWO, id=role_id("D"))
    before = planned(account, MIXED)
    account.add_role("Another", ["ROLE_READ"])
    account.add_role("new", ["ROLE_READ"])
    later = [
        attrs.evolve(r, updated_at=START, permissions=tuple(reversed(r.permissions or ())))
        for r in reversed(account.roles)
    ]
    after = compare(later, MIXED)
    assert after != before
    assert after.checksum == before.checksum


def hasty(changes: Sequence[as_code.Change]) -> list[as_code.Change]:
    """Return the changes that take what a later one gives."""
    return [
        change
        for n, change in enumerate(changes)
        if {*change.takes} & {given for other in changes[n + 1 :] for given in other.gives}
    ]


@given(st.lists(st.tuples(*[st.sets(st.sampled_from(PERMISSIONS), min_size=1)] * 2), max_size=4))
@example([({PERMISSIONS[n]}, {PERMISSIONS[n - 1]}) for n in range(3)])  # R2 is the first.
def test_any(roles: list[tuple[set[str], set[str]]]) -> None:
    """Where there is a safe order, a plan has one."""
    account = account_of()
    for n, (held, _) in enumerate(roles):
        account.add_role(f"R{n}", held)
    wanted = [declared(f"R{n}", permissions=each) for n, (_, each) in enumerate(roles)]
    changes = planned(account, declaration(*wanted)).changes
    assert not hasty(changes) or all(hasty(order) for order in permutations(changes))


class TestComparing:
    def test_stranger(self) -> None:
        """A former name that a younger role has is that role's, and a note says so."""
        account = account_of("New", "Old")
        account.add_role("Younger", ["TAG_READ"], created_at=START + timedelta(seconds=1))
        made = planned(account, declaration(declared("New", "Younger")))
        assert made.changes == ()
        is_other = '"Younger" is younger than "New", so it is another role'
        assert made.notes == (f'{is_other}: take "Younger" out of previously',)
        assert f"\n# {is_other}: " in str(made)
        ((_, message),) = violations(account, declaration(declared("New", "Old")))
        assert message == '"New" and "Old" exist, but are declared as one role'

    def test_misfit(self) -> None:
        """No predefined role is changed, renamed or deleted, and any other account is refused."""
        account = account_of(predefined=True)
        wanted = declaration("Admin", declared("Boss", "Member"), absent=["Annotator"])
        paths = ['roles."Admin"', 'roles."Boss".previously."Member"', 'absent."Annotator"']
        why = "is predefined, and cannot be changed"
        assert violations(account, wanted) == [(path, why) for path in paths]
        ((path, message),) = violations(account, Declaration(anchor="Um9sZTpB"))
        assert path == "anchor"
        assert message.startswith('no role has the ID "Um9sZTpB": this is another account, or ')

    async def test_withheld(self) -> None:
        """A role whose permissions are withheld is neither compared nor deleted, nor exported."""
        roles = [attrs.evolve(role, permissions=None) for role in account_of("A", "B", "C").roles]
        with pytest.raises(as_code.PlanError) as caught:
            compare(roles, declaration("A", absent=["B"]))
        found = [(each.field, each.message) for each in caught.value.violations]
        assert found == [('roles."A"', WITHHELD), ('absent."B"', WITHHELD)]
        listed = AsyncMock(return_value=Mock(roles=roles))
        with pytest.raises(as_code.PlanError, match=f'; roles."A": {WITHHELD}$'):
            await export(Mock(**{"list.return_value.all": listed}))

    def test_ignored(self) -> None:
        """A role that is ignored is left alone, and a plan does not list it."""
        account = account_of("Legacy Admin", "Other")
        plan = planned(account, Declaration(ignored=["Legacy Admin", "Not there"]))
        assert [role.name for role in plan.undeclared] == ["Other"]
        assert "Legacy" not in str(plan)
        assert plan.custom_roles == 2
        plan = planned(account, as_code.loads('undeclared = "ignore"'))
        assert (plan.undeclared, plan.custom_roles) == ((), 2)


class TestNotes:
    @pytest.mark.parametrize(
        ("roles", "name", "permissions", "former"),
        [
            # It has the permissions of an undeclared role.
            ({"Old": TWO}, "New", TWO, "Old"),
            # One permission is no likeness.
            ({"Old": ["ROLE_READ"]}, "New", ["ROLE_READ"], None),
            # Of those that hold the same, the most alike, such as after a new prefix.
            ({"ml-reader": TWO, "ml-writer": TWO}, "risk-writer", TWO, "ml-writer"),
            # Its name is like the other's, and one of the two has what the other has.
            ({"Old": TWO[:1], " AI  engineer": TWO[:1]}, "AI Engineer", TWO, " AI  engineer"),
            ({"Analyst": ["ROLE_READ"]}, "Data Analyst", ["TAG_READ", "DATASET_READ"], None),
            # Of such roles, it is the one with the most of its permissions.
            (
                {"Analyst": TWO, "Temp Analyst": TWO[:1]},
                "Data Analyst",
                [*TWO, "TAG_READ"],
                "Analyst",
            ),
        ],
    )
    def test_former(
        self, roles: dict[str, Held], name: str, permissions: Held, former: str | None
    ) -> None:
        """A create may be a forgotten rename, of a role that is like it, and not ignored."""
        account = account_of()
        for each, held in roles.items():
            account.add_role(each, held)
        note = f'looks like "{former}"; if that was renamed, declare previously = ["{former}"]'
        wanted = declaration(declared(name, permissions=permissions))
        for ignored, expected in (([*roles], None), ([], note if former else None)):
            (made,) = planned(account, attrs.evolve(wanted, ignored=ignored)).changes
            assert made.note == expected

    def test_many(self) -> None:
        """A bounded number of names is compared, and a note counts the others."""
        others = account_of(*(f"Role {n}" for n in range(400)))
        plan = planned(others, declaration(*(f"Rolle {n}" for n in range(130))))
        assert sum(each.note is not None for each in plan.changes) == 20
        left = "110 more new roles were not compared with those that are not declared"
        assert plan.notes == (left,)


async def test_users() -> None:
    """If there are deletes, a walk of the role bindings shows whether users have the roles."""
    account = account_of("A", "B")
    for user in ("ada", "eve"):
        account.bind("B", user=user, resource="Space:1")
    wanted = declaration(absent=["A", "B"])
    refused = "the key sees 2 role bindings, so the delete is refused"
    wrapped: Any = Wrapper(FakeRolesClient(account))
    for roles in (FakeRolesClient(account), wrapped):
        notes = [each.note for each in (await plan(roles, wanted)).changes]
        assert notes == ["the key sees no role binding", refused]
    account.fail("role_bindings.list", 401)
    made = await plan(FakeRolesClient(account), wanted)
    assert [each.note for each in made.changes] == [None, None]
    assert made.notes[0].startswith("role bindings were not read: GET /v2/role-bindings ")


async def test_export() -> None:
    """An export declares every custom role as it is, and may have the ID of the oldest."""
    account = account_of("B", "A", predefined=True)
    account.add_role("C", ["NEW_READ", "ROLE_READ"], description=NASTY)
    roles = FakeRolesClient(account)
    exported = await export(roles)
    assert (exported.notes, exported.anchor) == ((), None)
    hostile = attrs.evolve(declared("C", permissions=["NEW_READ", "ROLE_READ"]), description=NASTY)
    both = Declaration(roles=[declared("A"), declared("B"), hostile], new_permissions=["NEW_READ"])
    assert exported == both
    assert (await plan(roles, as_code.loads(exported.to_toml()))).changes == ()
    anchored = await export(roles, anchored=True)
    assert anchored.anchor == role_id("B")
    assert "for any account" not in str(await plan(roles, anchored))
    with pytest.raises(as_code.PlanError, match=r"^anchor: the account has no custom role$"):
        await export(FakeRolesClient(account_of()), anchored=True)


def test_other_checksum() -> None:
    """The same changes to another account have another checksum."""
    wanted = attrs.evolve(declaration("A", "New"), account="a")
    other, predefined = account_of(), account_of("A", predefined=True)
    other.add_role("A", ["ROLE_READ"], id=role_id("A of another account"))
    roles = account_of("A").roles
    plans = [
        *(compare(roles, attrs.evolve(wanted, account=label)) for label in ("a", "b", None)),
        *(compare(roles, wanted, host=host) for host in ("a", "b")),
        compare(other.roles, wanted),
        compare(predefined.roles, wanted),
    ]
    assert [str(plan.changes[0]) for plan in plans] == ['create "New"'] * 7
    assert len({plan.checksum for plan in plans}) == 7


WRONG: Any = 5
PLACE: Final = DeclaredPlace(space="S", only=WRONG)
OF_NUMBER: Final = DeclaredPlace(space="S", users={WRONG: "A"})
ARGUMENTS: Final[dict[str, Callable[[Any], Any]]] = {
    "declaration: must be a Declaration": lambda roles: plan(roles, WRONG),
    "on_change: must be": lambda roles: as_code.apply(roles, MIXED, on_change=AsyncMock()),
    "roles: must be a list of DeclaredRole objects": lambda _: Declaration(roles=WRONG),
    "roles: must hold DeclaredRole objects": lambda _: Declaration(roles=[WRONG]),
    "absent: must be a list of names": lambda _: Declaration(absent="x"),
    "new_permissions: must be a list of perm": lambda _: Declaration(new_permissions=WRONG),
    "users: must be a mapping": lambda _: DeclaredPlace(space="S", users=WRONG),
    'spaces."S".only: must be true or false': lambda _: Declaration(places=[PLACE]),
    'spaces."S".users."5": is neither an address': lambda _: Declaration(places=[OF_NUMBER]),
}


@pytest.mark.parametrize("message", ARGUMENTS)
async def test_arguments(message: str) -> None:
    """Arguments of other types are refused, and nothing is asked of the account."""
    roles = FakeRolesClient()
    with pytest.raises(ValidationError) as caught:
        await ARGUMENTS[message](roles)
    assert str(caught.value).startswith(message)
    assert roles.account.calls == ()
