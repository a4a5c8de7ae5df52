"""What a plan says of an account and a declaration."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from arize_roles_async import Permission, Role, ValidationError
from arize_roles_async.as_code import (
    Change,
    Declaration,
    DeclaredRole,
    Plan,
    PlanError,
    compare,
    export,
    loads,
    plan,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, make_role
from tests.as_code.accounts import Withholding, account_of, declaration, declared, role_id

NOT_A_DECLARATION = r"^declaration: must be a Declaration, not str$"
NASTY = "``` \u202eevil\x1b[31m\nnext\x7f"

DECLARED = """
absent = ["Temp Analyst", "Long gone"]

[roles."AI Engineer"]
description = "Builds and evaluates models."
previously = ["ML Engineer"]
permissions = ["DATASET_CREATE", "DATASET_READ"]

[roles."Auditor"]
permissions = ["ROLE_READ"]

[roles."Reader"]
permissions = ["PROJECT_READ"]

[roles."temp  Analyst"]
description = "A newcomer."
permissions = ["ROLE_READ"]
"""

TEXT = """\
! update "ML Engineer" -> "AI Engineer"
-     description = "``\\u0060 \\U0000202eevil\\u001b[31m\\nnext\\U0000007f"
-     "DATASET_DELETE"
+     description = "Builds and evaluates models."
+     "DATASET_CREATE"
- delete "Temp Analyst"
-     "ROLE_READ"
+ create "Reader"
+     "PROJECT_READ"
+ create "temp  Analyst"
+     description = "A newcomer."
+     "ROLE_READ"
#     looks like "Temp Analyst"; if that was renamed, declare previously = ["Temp Analyst"] \
instead of absent
? "L\\u001b[2J\\U00000085" is not declared
  1 to update, 1 to delete, 2 to create; 1 as declared
  checksum 5923b4fb7ee1f01251c407baf7c7f027bd55e00bfadecaf19c376cb62e7456cd"""


@pytest.fixture
def account() -> FakeAccount:
    """An account whose texts would act on a terminal, a page and a fence."""
    account = account_of("Auditor", "Temp Analyst", predefined=True)
    account.add_role(
        "ML Engineer",
        ["DATASET_READ", "DATASET_DELETE"],
        description=NASTY,
        id=role_id("ML Engineer"),
    )
    account.add_role("L\x1b[2J\x85", ["NEW_READ"])
    return account


def planned(account: FakeAccount, declared: Declaration) -> Plan:
    return compare(account.roles, declared)


def violations(account: FakeAccount, declared: Declaration) -> list[tuple[str, str]]:
    with pytest.raises(PlanError) as caught:
        compare(account.roles, declared)
    return [(violation.field, violation.message) for violation in caught.value.violations]


class TestForms:
    def test_text(self, account: FakeAccount) -> None:
        """The text is a diff with its signs in the first column, and nothing raw in it."""
        assert str(planned(account, loads(DECLARED))) == TEXT

    def test_markdown(self, account: FakeAccount) -> None:
        """Markdown is the same text in a fence that nothing in it closes."""
        markdown = planned(account, loads(DECLARED)).to_markdown()
        assert markdown == f"```diff\n{TEXT}\n```\n"
        assert markdown.count("```") == 2

    def test_json(self, account: FakeAccount) -> None:
        """JSON is one line of ASCII."""
        text = planned(account, loads(DECLARED)).to_json()
        assert text.isascii()
        assert text.isprintable()
        assert json.loads(text) == {
            "changes": [
                {
                    "action": "update",
                    "id": "Um9sZTpNTCBFbmdpbmVlcg==",
                    "before": {
                        "name": "ML Engineer",
                        "description": NASTY,
                        "permissions": ["DATASET_DELETE", "DATASET_READ"],
                    },
                    "after": {
                        "name": "AI Engineer",
                        "description": "Builds and evaluates models.",
                        "permissions": ["DATASET_CREATE", "DATASET_READ"],
                    },
                    "note": None,
                },
                {
                    "action": "delete",
                    "id": "Um9sZTpUZW1wIEFuYWx5c3Q=",
                    "before": {
                        "name": "Temp Analyst",
                        "description": None,
                        "permissions": ["ROLE_READ"],
                    },
                    "after": None,
                    "note": None,
                },
                {
                    "action": "create",
                    "id": None,
                    "before": None,
                    "after": {
                        "name": "Reader",
                        "description": None,
                        "permissions": ["PROJECT_READ"],
                    },
                    "note": None,
                },
                {
                    "action": "create",
                    "id": None,
                    "before": None,
                    "after": {
                        "name": "temp  Analyst",
                        "description": "A newcomer.",
                        "permissions": ["ROLE_READ"],
                    },
                    "note": (
                        'looks like "Temp Analyst"; if that was renamed, declare '
                        'previously = ["Temp Analyst"] instead of absent'
                    ),
                },
            ],
            "unchanged": ["Auditor"],
            "undeclared": ["L\x1b[2J\x85"],
            "checksum": TEXT[-64:],
        }

    def test_nothing_to_do(self) -> None:
        """A plan without changes says so."""
        assert str(planned(account_of("A"), declaration("A"))) == (
            "  no changes; 1 as declared\n"
            "  checksum 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
        )

    def test_limit(self) -> None:
        """Markdown is cut after a whole line, and counts the lines that it leaves out."""
        roles = [declared(f"Role {n}", permissions=list(Permission)) for n in range(100)]
        plan = planned(account_of(), declaration(*roles))
        assert len(str(plan)) > 200_000
        markdown = plan.to_markdown()
        assert 64_900 < len(markdown) <= 65_000
        lines = markdown.split("\n")
        assert lines[:2] == ["```diff", '+ create "Role 0"']
        assert lines[-5] == f"  {len(str(plan).split(chr(10))) - 2 - (len(lines) - 6)} more lines"
        assert lines[-4:-2] == str(plan).split("\n")[-2:]
        assert lines[-2:] == ["```", ""]
        for limit in (300, 333, 421, 2_000):
            assert limit - 100 < len(plan.to_markdown(limit)) <= limit
        lengths = [len(plan.to_markdown(limit)) for limit in (309, 310, 326, 327)]
        assert lengths == [258, 283, 283, 300]

    def test_change(self) -> None:
        """A change without sides is nobody's, and has a text all the same."""
        assert str(Change(before=None, after=None)) == "create "


class TestChecksum:
    def test_literal(self, account: FakeAccount) -> None:
        """The checksum is the same on any machine."""
        assert planned(account, loads(DECLARED)).checksum == TEXT[-64:]

    def test_same(self, account: FakeAccount) -> None:
        """What a plan would not do does not count: notes, other roles, times, orders."""
        before = planned(account, loads(DECLARED))
        account.add_role("Another", ["ROLE_READ"])
        account.add_role("reader", ["ROLE_READ"])
        later = [
            attrs.evolve(
                role,
                updated_at=role.updated_at + timedelta(days=1),
                permissions=tuple(reversed(role.permissions or ())),
            )
            for role in reversed(account.roles)
        ]
        after = compare(later, loads(DECLARED))
        assert after != before
        assert after.checksum == before.checksum

    @pytest.mark.parametrize(
        "other",
        [
            {"before": "id"},
            {"before": "name"},
            {"before": "description"},
            {"before": "permissions"},
            {"after": "name"},
            {"after": "description"},
            {"after": "permissions"},
            {"before": None},
            {"after": None},
        ],
    )
    def test_differs(self, other: dict[str, str | None]) -> None:
        """Whatever a plan would do otherwise gives another checksum."""
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        before = Role(
            id="a",
            name="A",
            description="B",
            permissions=(Permission.ROLE_READ,),
            is_predefined=False,
            created_at=moment,
            updated_at=moment,
        )
        after = DeclaredRole(name="A", description="C", permissions=["DATASET_READ"])
        change = Change(before=before, after=after)
        ((side, field),) = other.items()
        value: Any = None
        if field is not None:
            value = ("ROLE_UPDATE",) if field == "permissions" else "Z"
            value = attrs.evolve(getattr(change, side), **{field: value})
        changed = attrs.evolve(change, **{side: value})
        sums = {Plan(changes=(c,), unchanged=(), undeclared=()).checksum for c in (change, changed)}
        assert len(sums) == 2


class TestComparing:
    def test_order(self) -> None:
        """Updates come first, then deletes, then creates, each by name."""
        account = account_of("Z old", "Y", "X", "W", "V")
        plan = planned(
            account,
            declaration(
                "B",
                "A",
                declared("Z", "Z old"),
                declared("Y", permissions=["DATASET_READ"]),
                absent=["X", "W"],
            ),
        )
        assert [str(change) for change in plan.changes] == [
            'update "Y"',
            'update "Z old" -> "Z"',
            'delete "W"',
            'delete "X"',
            'create "A"',
            'create "B"',
        ]
        assert [role.name for role in plan.undeclared] == ["V"]

    def test_identity(self) -> None:
        """A role that has a former name is renamed; the former name may stay in the file."""
        first = planned(account_of("Old"), declaration(declared("New", "Older", "Old")))
        assert [str(change) for change in first.changes] == ['update "Old" -> "New"']
        assert planned(account_of("New"), declaration(declared("New", "Old"))).changes == ()

    def test_sets(self) -> None:
        """Permissions compare as sets, and no description equals an empty one."""
        account = account_of()
        account.add_role("A", ["ROLE_READ", "DATASET_READ"])
        role = DeclaredRole(name="A", permissions=["DATASET_READ", "ROLE_READ"], description="")
        assert planned(account, declaration(role)).changes == ()

    def test_description_gone(self) -> None:
        """A description that is not declared is taken away."""
        account = account_of()
        account.add_role("A", ["ROLE_READ"], description="Old")
        assert str(planned(account, declaration("A"))).split("\n")[:2] == [
            '! update "A"',
            '-     description = "Old"',
        ]

    def test_description_kept(self) -> None:
        """A description that stays is not shown."""
        account = account_of()
        account.add_role("A", ["ROLE_READ"], description="Same")
        role = DeclaredRole(name="A", permissions=["TAG_READ"], description="Same")
        assert str(planned(account, declaration(role))).split("\n")[:3] == [
            '! update "A"',
            '-     "ROLE_READ"',
            '+     "TAG_READ"',
        ]

    def test_both_names(self) -> None:
        """A role and a former name that are both there are refused."""
        account = account_of("New", "Old", "Older")
        assert violations(account, declaration(declared("New", "Old"), "Older")) == [
            ('roles."New"', '"New" and "Old" exist, but are declared as one role')
        ]
        assert violations(account, declaration(declared("Newest", "Old", "Older"))) == [
            ('roles."Newest"', '"Old" and "Older" exist, but are declared as one role')
        ]

    def test_predefined(self) -> None:
        """No predefined role is changed, renamed or deleted."""
        account = account_of(predefined=True)
        wanted = declaration("Admin", declared("Boss", "Member"), absent=["Annotator"])
        assert violations(account, wanted) == [
            ('roles."Admin"', '"Admin" is predefined, and cannot be changed'),
            ('roles."Boss"', '"Member" is predefined, and cannot be changed'),
            ("absent", '"Annotator" is predefined, and cannot be changed'),
        ]

    def test_withheld(self) -> None:
        """A role whose permissions are withheld is neither compared nor deleted."""
        roles = [attrs.evolve(role, permissions=None) for role in account_of("A", "B", "C").roles]
        with pytest.raises(PlanError) as caught:
            compare(roles, declaration("A", absent=["B"]))
        assert [(v.field, v.message) for v in caught.value.violations] == [
            ('roles."A"', 'permissions of "A" are hidden without ROLE_READ'),
            ("absent", 'permissions of "B" are hidden without ROLE_READ'),
        ]

    def test_unknown_permission(self) -> None:
        """A permission that nobody knows is refused with the nearest, one that is held is not."""
        account = account_of()
        account.add_role("Holder", ["NEW_READ"])
        wanted = declaration(declared("A", permissions=["NEW_READ", "DATASET_RAED"]))
        ((field, message),) = violations(account, wanted)
        assert field == 'roles."A".permissions'
        assert message.startswith("'DATASET_RAED' is ")
        assert message.endswith("did you mean DATASET_READ?")
        assert len(planned(account, declaration(declared("A", permissions=["NEW_READ"]))).changes)

    def test_error(self) -> None:
        """The error is a ValidationError, holds every problem and pickles."""
        with pytest.raises(ValidationError) as caught:
            compare(account_of(predefined=True).roles, declaration("Admin", absent=["Member"]))
        for error in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):  # noqa: S301
            assert isinstance(error, PlanError)
            assert str(error) == (
                'roles."Admin": "Admin" is predefined, and cannot be changed; '
                'absent: "Member" is predefined, and cannot be changed'
            )
            assert len(error.violations) == 2

    def test_pickle(self, account: FakeAccount) -> None:
        """A plan pickles."""
        plan = planned(account, loads(DECLARED))
        assert pickle.loads(pickle.dumps(plan)) == plan  # noqa: S301 - our own


class TestNotes:
    def note(self, account: FakeAccount, wanted: Declaration) -> str | None:
        (note,) = (c.note for c in planned(account, wanted).changes if c.action == "create")
        return note

    def test_same_permissions(self) -> None:
        """A create with the permissions of an undeclared role may be a forgotten rename."""
        assert self.note(account_of("Old"), declaration("New")) == (
            'looks like "Old"; if that was renamed, declare previously = ["Old"]'
        )

    @pytest.mark.parametrize("similar", ["ai engineer", "AIEngineer", " AI  Engineer"])
    def test_similar_name(self, similar: str) -> None:
        """So may one whose name differs by case or spaces, which is looked at first."""
        account = account_of("Old")
        account.add_role(similar, ["PROJECT_READ"])
        assert self.note(account, declaration("AI Engineer")) == (
            f'looks like "{similar}"; if that was renamed, declare previously = ["{similar}"]'
        )

    def test_absent(self) -> None:
        """So may one that stands for a role that is deleted."""
        assert self.note(account_of("Old"), declaration("New", absent=["Old"])) == (
            'looks like "Old"; if that was renamed, declare previously = ["Old"] instead of absent'
        )

    def test_none(self) -> None:
        """Declared and predefined roles are not taken for a former self."""
        account = account_of("Same", predefined=True)
        assert self.note(account, declaration("Same", "New")) is None
        admin = account.role("Admin")
        assert admin is not None
        assert (
            self.note(account, declaration(declared("New", permissions=admin.permissions or ())))
            is None
        )


@pytest.mark.asyncio
class TestAsking:
    async def test_plan(self) -> None:
        """A plan takes the pages of one walk, and changes nothing."""
        account = account_of(*(f"Role {n}" for n in range(250)))
        made = await plan(FakeRolesClient(account), declaration("Role 0", "New", absent=["Role 7"]))
        assert len(made.changes) == 2
        assert [call.operation for call in account.calls] == ["list", "list", "list"]

    async def test_export(self, account: FakeAccount) -> None:
        """An export declares every custom role as it is, so that a plan of it is empty."""
        del account
        account = account_of("B", "A", predefined=True)
        account.add_role("C", ["NEW_READ", "ROLE_READ"], description=NASTY)
        roles = FakeRolesClient(account)
        exported = await export(roles)
        assert exported == declaration(
            "A",
            "B",
            DeclaredRole(name="C", permissions=["NEW_READ", "ROLE_READ"], description=NASTY),
        )
        assert (await plan(roles, loads(exported.to_toml()))).changes == ()

    async def test_export_withheld(self) -> None:
        """An export needs to see permissions."""

        account = Withholding()
        account.add_role("A", ["ROLE_READ"])
        with pytest.raises(
            PlanError, match='roles: permissions of "A" are hidden without ROLE_READ'
        ):
            await export(FakeRolesClient(account))

    async def test_export_odd(self) -> None:
        """An export refuses a role that no file may declare, by its name."""
        account = account_of()
        account.add_role("Tab\t", [])
        with pytest.raises(ValidationError) as caught:
            await export(FakeRolesClient(account))
        assert [violation.field for violation in caught.value.violations] == [
            'roles."Tab\\t".name',
            'roles."Tab\\t".permissions',
        ]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (5, "must be an iterable of roles, not int"),
        (make_role(), "must be an iterable of roles, not Role"),
        ("Admin", "must be an iterable of roles, not str"),
        ([5], "must hold roles, not int"),
        ([make_role(), None], "must hold roles, not None"),
    ],
)
def test_no_roles(roles: Any, message: str) -> None:  # noqa: ANN401 - whatever was given
    """What is not several roles is refused."""
    with pytest.raises(ValidationError) as caught:
        compare(roles, Declaration())
    assert str(caught.value) == f"roles: {message}"


def test_no_declaration() -> None:
    """So is what is not a declaration."""
    with pytest.raises(ValidationError, match=NOT_A_DECLARATION):
        compare([], "roles.toml")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.asyncio
async def test_nothing_sent() -> None:
    """Nothing is asked of the account then."""
    roles = FakeRolesClient()
    with pytest.raises(ValidationError, match=NOT_A_DECLARATION):
        await plan(roles, "roles.toml")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert roles.account.calls == ()
