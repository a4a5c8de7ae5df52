"""How a plan is made, and what is told where it cannot be."""

import asyncio
import copy
import pickle
from typing import Any, Final, Literal

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    OutcomeUnknownError,
    Permission,
    RetryPolicy,
    Role,
    RolesConnectionError,
    ValidationError,
)
from arize_roles_async.as_code import (
    ApplyError,
    Change,
    Declaration,
    DeclaredRole,
    Plan,
    PlanError,
    StalePlanError,
    apply,
    plan,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.as_code.accounts import (
    Withholding,
    account_of,
    changes,
    contents,
    declaration,
    declared,
    role_id,
)
from tests.support.clients import Connect, both_clients

pytestmark = pytest.mark.asyncio

When = Literal["before", "after"]

HELD: Final = frozenset({"ROLE_READ"})
WIDER: Final = frozenset({"DATASET_READ", "ROLE_READ"})

MIXED: Final = declaration(
    declared("B", "B old"),
    declared("C", permissions=WIDER),
    declared("New"),
    "Same",
    absent=["D", "E"],
)
"""Two updates, two deletes and a create, for the account below."""


def mixed_account() -> FakeAccount:
    return account_of("B old", "C", "D", "E", "Same", "Undeclared", predefined=True)


class TestMaking:
    @both_clients
    async def test_all(self, connect: Connect) -> None:
        """The account is as declared; one walk and a request a change were made, in order."""
        account = mixed_account()
        async with connect(account) as roles:
            made = await apply(roles, MIXED)
            again = await plan(roles, MIXED)
        assert contents(account) == {
            "B": (None, HELD),
            "C": (None, WIDER),
            "New": (None, HELD),
            "Same": (None, HELD),
            "Undeclared": (None, HELD),
        }
        assert again.changes == ()
        assert [str(change) for change in made.changes] == [
            'update "B old" -> "B"',
            'update "C"',
            'delete "D"',
            'delete "E"',
            'create "New"',
        ]
        assert [call.operation for call in account.calls] == [
            *("list", "update", "update", "delete", "delete", "create", "list")
        ]

    async def test_fields(self) -> None:
        """An update goes by ID and sends what differs and nothing else."""
        account = account_of("Name", "Permissions")
        for name in ("Text", "Gone"):
            account.add_role(name, ["ROLE_READ"], description="Old", id=role_id(name))
        wanted = declaration(
            declared("Renamed", "Name"),
            declared("Permissions", permissions=["ROLE_READ", "NEW_READ", "DATASET_READ"]),
            DeclaredRole(name="Text", permissions=["ROLE_READ"], description="New"),
            declared("Gone"),
            DeclaredRole(name="Made", permissions=["ROLE_READ"], description="All new"),
            declared("Plain"),
        )
        account.add_role("Holder", ["NEW_READ"])
        await apply(FakeRolesClient(account), wanted)
        assert changes(account) == [
            ("update", {"role_id": role_id("Gone"), "description": None}),
            (
                "update",
                {
                    "role_id": role_id("Permissions"),
                    "permissions": ["DATASET_READ", "NEW_READ", "ROLE_READ"],
                },
            ),
            ("update", {"role_id": role_id("Name"), "name": "Renamed"}),
            ("update", {"role_id": role_id("Text"), "description": "New"}),
            (
                "create",
                {"name": "Made", "permissions": ["ROLE_READ"], "description": "All new"},
            ),
            ("create", {"name": "Plain", "permissions": ["ROLE_READ"]}),
        ]

    async def test_identity(self) -> None:
        """A renamed role keeps its ID, its age and its bindings."""
        account = account_of("Old")
        before = account.role("Old")
        account.bind("Old", user="ada", resource="space")
        await apply(FakeRolesClient(account), declaration(declared("New", "Old")))
        after = account.role("New")
        assert before is not None
        assert after is not None
        assert (after.id, after.created_at) == (before.id, before.created_at)
        assert [binding.user for binding in account.bindings("New")] == ["ada"]

    async def test_at_the_limit(self) -> None:
        """At the plan's limit, a delete makes the room that a create needs."""
        account = account_of("A", "B")
        account.max_custom_roles = 2
        await apply(FakeRolesClient(account), declaration("A", "Z", absent=["B"]))
        assert set(contents(account)) == {"A", "Z"}

    async def test_nothing(self) -> None:
        """What is as declared is left alone, to the last field."""
        account = account_of("A", "B")
        before = account.roles
        account.advance(60)
        await apply(FakeRolesClient(account), declaration("A", absent=["C"]))
        assert account.roles == before
        assert changes(account) == []

    async def test_empty(self) -> None:
        """An empty declaration deletes nothing."""
        account = account_of("A", predefined=True)
        before = account.roles
        await apply(FakeRolesClient(account), Declaration())
        assert account.roles == before

    async def test_callbacks(self) -> None:
        """The plan is told before the first change, each change after it was made."""
        account = mixed_account()
        told: list[tuple[str, int]] = []
        await apply(
            FakeRolesClient(account),
            MIXED,
            on_plan=lambda plan: told.append(("plan", len(plan.changes))),
            on_change=lambda change: told.append((str(change), len(changes(account)))),
        )
        assert told == [
            ("plan", 5),
            ('update "B old" -> "B"', 1),
            ('update "C"', 2),
            ('delete "D"', 3),
            ('delete "E"', 4),
            ('create "New"', 5),
        ]

    @pytest.mark.parametrize("name", ["on_plan", "on_change"])
    async def test_no_callback(self, name: str) -> None:
        """What cannot be called, or has to be awaited, is refused before anything is asked."""

        async def tell(_: object) -> None:
            pytest.fail("it was called")

        account = mixed_account()

        class Teller:
            async def __call__(self, _: object) -> None:
                pytest.fail("it was called")

        wrong: list[Any] = ["print", tell, Teller()]
        for each in wrong:
            with pytest.raises(
                ValidationError, match=f"^{name}: must be a function, and not async$"
            ):
                await apply(FakeRolesClient(account), MIXED, **{name: each})
        assert account.calls_in_all == 0

    async def test_no_plan(self) -> None:
        """What is expected is a plan or its checksum; else nothing is asked."""
        account = mixed_account()
        wrong: Any = [MIXED]
        with pytest.raises(
            ValidationError, match=r"^expected: must be a Plan, its checksum or None, not list$"
        ):
            await apply(FakeRolesClient(account), MIXED, expected=wrong)
        assert account.calls_in_all == 0

    async def test_withheld_answer(self) -> None:
        """An answer without permissions, as a key gets that may not read, is no contradiction."""

        account = Withholding()
        account.only_changes = True
        account.add_role("A", ["ROLE_READ"])
        wanted = declaration(declared("A", permissions=WIDER), "B")
        await apply(FakeRolesClient(account), wanted)
        assert contents(account) == {"A": (None, WIDER), "B": (None, HELD)}


class TestExpecting:
    @pytest.mark.parametrize("by_checksum", [False, True])
    async def test_expected(self, *, by_checksum: bool) -> None:
        """A plan that would do what was expected is made."""
        account = mixed_account()
        roles = FakeRolesClient(account)
        expected = await plan(roles, MIXED)
        account.add_role("Another", ["ROLE_READ"])
        await apply(roles, MIXED, expected=expected.checksum if by_checksum else expected)
        assert (await plan(roles, MIXED)).changes == ()

    @pytest.mark.parametrize(
        "meddle",
        [
            {"role_id": role_id("B old"), "description": "Changed meanwhile."},
            {"role_id": role_id("C"), "permissions": ["ROLE_READ", "PROJECT_READ"]},
            {"role_id": role_id("D"), "description": "Needed after all."},
            {"role_id": role_id("Same"), "permissions": ["PROJECT_READ"]},
            {"role_id": role_id("Undeclared"), "name": "New"},
        ],
    )
    async def test_stale(self, meddle: dict[str, Any]) -> None:
        """Where it would do something else, nothing is changed."""
        account = mixed_account()
        roles = FakeRolesClient(account)
        expected = await plan(roles, MIXED)
        await roles.update(**meddle)
        before = account.roles
        for form in (expected, expected.checksum):
            with pytest.raises(StalePlanError) as caught:
                await apply(roles, MIXED, expected=form)
        assert account.roles == before
        now = (await plan(roles, MIXED)).checksum
        assert str(caught.value) == (
            f"nothing was changed, as the plan is not the expected one; its checksum is now {now}"
        )
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301

    async def test_other_declaration(self) -> None:
        """A declaration that has changed makes a plan stale as well."""
        account = mixed_account()
        roles = FakeRolesClient(account)
        expected = await plan(roles, MIXED)
        with pytest.raises(StalePlanError):
            await apply(roles, Declaration(), expected=expected)
        with pytest.raises(StalePlanError):
            await apply(roles, MIXED, expected="")

    async def test_refused(self) -> None:
        """What does not fit the account is refused before anything is changed."""
        account = mixed_account()
        with pytest.raises(PlanError):
            await apply(FakeRolesClient(account), declaration("Admin", "New"))
        assert changes(account) == []

    async def test_no_walk(self) -> None:
        """A walk that fails is told as it is, and nothing was changed."""
        account = mixed_account()
        account.fail("list", "refused", times=None)
        with pytest.raises(RolesConnectionError):
            await apply(FakeRolesClient(account), MIXED)
        assert changes(account) == []


async def failure(account: FakeAccount, wanted: Declaration = MIXED) -> ApplyError:
    """Return the error that applying ends in, after a look at its copies."""
    with pytest.raises(ApplyError) as caught:
        await apply(FakeRolesClient(account, retry=RetryPolicy(attempts=1)), wanted)
    for error in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):  # noqa: S301
        assert isinstance(error, ApplyError)
        assert str(error) == str(caught.value)
        assert vars(error) == vars(caught.value)
    return caught.value


def texts(changes: tuple[Change, ...]) -> list[str]:
    return [str(change) for change in changes]


class TestFailing:
    async def test_first(self) -> None:
        """The first failure ends the run: what was made, what failed and what was not reached."""
        account = mixed_account()
        account.fail("delete", 403)
        error = await failure(account)
        assert texts(error.made) == ['update "B old" -> "B"', 'update "C"']
        assert str(error.failed) == 'delete "D"'
        assert texts(error.not_reached) == ['delete "E"', 'create "New"']
        assert error.may_have_been_made is False
        assert isinstance(error.__cause__, ForbiddenError)
        assert str(error) == (
            f'delete "D" was not made: {error.__cause__}; made before: 2; '
            'not reached: delete "E", create "New"'
        )
        assert [operation for operation, _ in changes(account)] == ["update", "update", "delete"]

    async def test_bound(self) -> None:
        """A bound role is not deleted, and the error says why."""
        account = mixed_account()
        account.bind("E", user="ada", resource="space")
        error = await failure(account)
        assert str(error).startswith(
            'delete "E" was not made, as the role is still bound to users: '
        )
        assert str(error).endswith('; made before: 3; not reached: create "New"')
        assert error.may_have_been_made is False
        assert isinstance(error.__cause__, ConflictError)
        account.unbind("E", user="ada", resource="space")
        await apply(FakeRolesClient(account), MIXED)
        assert set(contents(account)) == {"B", "C", "New", "Same", "Undeclared"}

    async def test_taken(self) -> None:
        """A name that was taken meanwhile is a conflict of another kind."""
        account = mixed_account()
        account.fail("create", 409)
        error = await failure(account)
        assert str(error).startswith(f'create "New" was not made: {error.__cause__}; ')
        assert str(error).endswith("; made before: 4; not reached: none")

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_unknown(self, when: When) -> None:
        """A change whose answer was lost may have been made, and is told so."""
        account = mixed_account()
        account.fail("update", "lost", when=when)
        error = await failure(account)
        assert str(error).startswith('update "B old" -> "B" may have been made: ')
        assert error.may_have_been_made is True
        assert error.made == ()
        assert isinstance(error.__cause__, OutcomeUnknownError)
        await apply(FakeRolesClient(account), MIXED)
        assert set(contents(account)) == {"B", "C", "New", "Same", "Undeclared"}

    async def test_nothing_happened(self) -> None:
        """A change that was never sent was not made."""
        account = mixed_account()
        account.fail("update", "refused")
        error = await failure(account)
        assert error.may_have_been_made is False

    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"name": "Other"}, "name"),
            ({"description": "Other"}, "description"),
            ({"permissions": (Permission.PROJECT_READ,)}, "permissions"),
            ({"permissions": (), "description": "Other"}, "description and permissions"),
            ({"permissions": None, "description": "Other"}, "description"),
        ],
    )
    @pytest.mark.parametrize("wanted", [declaration("New"), declaration(declared("New", "Old"))])
    async def test_contradicted(
        self, other: dict[str, Any], named: str, wanted: Declaration
    ) -> None:
        """A change that is answered with another role than was asked is not taken for made."""

        class Contradicting(FakeRolesClient):
            async def create(self, **fields: Any) -> Role:  # noqa: ANN401
                return attrs.evolve(await super().create(**fields), **other)

            async def update(self, **fields: Any) -> Role:  # noqa: ANN401
                return attrs.evolve(await super().update(**fields), **other)

        account = account_of("Old")
        with pytest.raises(ApplyError, match=r"^(create|update) .* may have been made: ") as caught:
            await apply(Contradicting(account), wanted)
        assert caught.value.may_have_been_made is True
        assert str(caught.value.__cause__) == f"the answer has a different {named}"

    async def test_bare(self) -> None:
        """An error that is made by hand tells of no change."""
        error = ApplyError("No.")
        assert (error.made, error.failed, error.not_reached) == ((), None, ())
        assert error.may_have_been_made is False

    async def test_long(self) -> None:
        """However much was not reached, the message is one line of 1,500 characters."""
        account = account_of()
        account.fail("create", 403)
        error = await failure(account, declaration(*(f"Role {n}" for n in range(1_000))))
        assert len(str(error)) == 1_500
        assert "\n" not in str(error)
        assert len(error.not_reached) == 999


class Stop(BaseException):
    """What no library may catch."""


class TestStopping:
    @both_clients
    @pytest.mark.parametrize("count", range(5))
    async def test_killed(self, connect: Connect, count: int) -> None:
        """Killed after each k of n changes, n - k are left, and the next run makes them."""
        account = mixed_account()

        def stop(_: Change) -> None:
            if len(changes(account)) > count:
                raise Stop

        async with connect(account) as roles:
            with pytest.raises(Stop):
                await apply(roles, MIXED, on_change=stop)
            left = await plan(roles, MIXED)
            assert len(left.changes) == 5 - (count + 1)
            account.clear_calls()
            await apply(roles, MIXED)
        assert len(changes(account)) == 5 - (count + 1)
        assert set(contents(account)) == {"B", "C", "New", "Same", "Undeclared"}

    async def test_killed_first(self) -> None:
        """What stops it at the plan stops it before any change."""
        account = mixed_account()

        def stop(_: Plan) -> None:
            raise Stop

        with pytest.raises(Stop):
            await apply(FakeRolesClient(account), MIXED, on_plan=stop)
        assert changes(account) == []

    @both_clients
    async def test_cancelled(self, connect: Connect) -> None:
        """A cancellation ends it where it is, and is passed on."""
        account = mixed_account()

        def cancel(_: Change) -> None:
            task.cancel()

        async with connect(account) as roles:
            task = asyncio.ensure_future(apply(roles, MIXED, on_change=cancel))
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(changes(account)) <= 2
        assert contents(account).keys() >= {"B", "D", "E", "Undeclared"}


@both_clients
async def test_plan_sends_nothing(connect: Connect) -> None:
    """On an account on which every change fails, a plan is made, for no change was sent."""
    account = mixed_account()
    for operation in ("create", "update", "delete"):
        account.fail(operation, 500, times=None)
    async with connect(account) as roles:
        assert len((await plan(roles, MIXED)).changes) == 5
        with pytest.raises(ApplyError):  # The control: here one was sent, and it failed.
            await apply(roles, MIXED)
    assert [call.operation for call in account.calls] == ["list", "list", "update"]
