"""Plans that are made, and the errors of those that cannot be."""

import asyncio
import contextlib
import json
from typing import Any, Literal

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    Permission,
    Role,
    ValidationError,
)
from arize_roles_async.as_code import (
    ApplyError,
    ApplyResult,
    Declaration,
    DeclaredRole,
    PlanError,
    StalePlanError,
    TooManyRemovalsError,
    apply,
    plan,
)
from arize_roles_async.as_code.apply import Run
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.as_code.accounts import (
    HELD,
    MIXED,
    WIDER,
    Withholding,
    account_of,
    changes,
    contents,
    declaration,
    declared,
    failure,
    mixed_account,
    role_id,
    texts,
)
from tests.support.clients import Connect, both_clients


class TestMaking:
    @both_clients
    async def test_all(self, connect: Connect) -> None:
        """The account is as declared, and each role was read before it was changed or deleted."""
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
        assert [str(change) for change in made.made] == [
            'update "B old" -> "B"',
            'update "C"',
            'delete "D"',
            'delete "E"',
            'create "New"',
        ]
        assert [call.operation for call in account.calls] == [
            "list",
            *("get", "update", "get", "update", "get", "delete", "get", "delete"),
            *("create", "list"),
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
            new=["NEW_READ"],
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

    async def test_callbacks(self) -> None:
        """`on_plan` is called before the first change, `on_change` after each change."""
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
        """A callback that cannot be called, or is async, is refused before any request."""

        async def callback(_: object) -> None:
            pytest.fail("it was called")

        account = mixed_account()

        class Callback:
            async def __call__(self, _: object) -> None:
                pytest.fail("it was called")

        wrong: list[Any] = ["print", callback, Callback()]
        for each in wrong:
            with pytest.raises(
                ValidationError, match=f"^{name}: must be a function, and not async$"
            ):
                await apply(FakeRolesClient(account), MIXED, **{name: each})
        assert len(account.calls) == 0

    async def test_withheld_answer(self) -> None:
        """An answer without permissions, as a key gets that may not read, is no contradiction."""

        account = Withholding()
        account.only_changes = True
        account.add_role("A", ["ROLE_READ"])
        wanted = declaration(declared("A", permissions=WIDER), "B")
        await apply(FakeRolesClient(account), wanted)
        assert contents(account) == {"A": (None, WIDER), "B": (None, HELD)}


class TestExpecting:
    @pytest.mark.parametrize("wrong", [MIXED, 5])
    async def test_no_plan(self, wrong: Any) -> None:  # noqa: ANN401
        """`expected` is a plan or its checksum; anything else is refused before any request."""
        account = mixed_account()
        with pytest.raises(ValidationError, match=r"^expected: must be a Plan, its checksum or "):
            await apply(FakeRolesClient(account), MIXED, expected=wrong)
        assert len(account.calls) == 0

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
            "nothing was changed: the plan differs from the expected one; "
            f"the plan's checksum is now {now}"
        )
        assert caught.value.plan == await plan(roles, MIXED)

    async def test_other_version(self) -> None:
        """The checksum of another version is called that, and no other plan."""
        for checksum in ("0" * 64, f"1-{0:064}"):
            with pytest.raises(StalePlanError, match="was made by another version of this library"):
                await apply(FakeRolesClient(mixed_account()), MIXED, expected=checksum)


class TestFailing:
    async def test_first(self) -> None:
        """The first failure ends the run; text and JSON say what was made, failed, not reached."""
        account = mixed_account()
        account.fail("delete", 403)
        error = await failure(FakeRolesClient(account))
        assert texts(error.result.made) == ['update "B old" -> "B"', 'update "C"']
        assert str(error.result.failed) == 'delete "D"'
        assert texts(error.result.not_reached) == ['delete "E"', 'create "New"']
        assert error.result.may_have_been_made is False
        assert isinstance(error.__cause__, ForbiddenError)
        assert str(error) == (
            f'made: 2 of 5, not reached: 2; delete "D" was not made: {error.__cause__}; '
            'not reached: delete "E", create "New"'
        )
        assert [operation for operation, _ in changes(account)] == ["update", "update", "delete"]
        data = json.loads(error.result.to_json())
        assert list(data) == [
            *("format_version", "account", "host", "checksum", "made", "blocked", "failed"),
            *("may_have_been_made", "not_reached", "reason"),
        ]
        assert data["format_version"] == 1
        assert [each["action"] for each in data["made"]] == ["update", "update"]
        assert data["failed"]["before"]["name"] == "D"
        assert [each["action"] for each in data["not_reached"]] == ["delete", "create"]
        assert data["reason"] == str(error.__cause__)

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

        error = await failure(Contradicting(account_of("Old")), wanted)
        assert error.result.may_have_been_made is True
        assert str(error.__cause__) == f"the answer has a different {named}"

    async def test_bare(self) -> None:
        """An error that is made by hand has an empty result."""
        error = ApplyError("No.")
        assert (error.result.made, error.result.failed, error.result.not_reached) == ((), None, ())
        assert error.result.may_have_been_made is False

    async def test_long(self) -> None:
        """A message that is cut to one line of 1,500 characters begins with the counts."""
        account = account_of()
        account.fail("create", 403)
        wanted = declaration(*(f"Role {n}" for n in range(200)))
        error = await failure(FakeRolesClient(account), wanted)
        assert len(str(error)) == 1_500
        assert "\n" not in str(error)
        assert str(error).startswith("made: 0 of 200, not reached: 199; ")
        assert len(error.result.not_reached) == 199


class TestBlocked:
    """A delete that is refused since users have the role."""

    async def test_goes_on(self) -> None:
        """The other changes are made, and the error names the role and the reason."""
        account = mixed_account()
        account.bind("D", user="ada", resource="Space:1")
        error = await failure(FakeRolesClient(account))
        assert texts(error.result.made) == [
            *('update "B old" -> "B"', 'update "C"', 'delete "E"', 'create "New"'),
        ]
        assert texts(error.result.blocked) == ['delete "D"']
        assert (error.result.failed, error.result.not_reached) == (None, ())
        assert error.result.may_have_been_made is False
        assert isinstance(error.__cause__, ConflictError)
        assert str(error) == (
            f'made: 4 of 5, not reached: 0; users still have "D": {error.__cause__}; '
            'blocked: delete "D"'
        )
        account.unbind("D", user="ada", resource="Space:1")
        await apply(FakeRolesClient(account), MIXED)
        assert set(contents(account)) == {"B", "C", "New", "Same", "Undeclared"}


def many(count: int) -> FakeAccount:
    account = account_of()
    for n in range(count):
        account.add_role(f"Role {n}", ["ROLE_READ", "TAG_READ"])
    return account


def stripped(count: int, *, deleted: int = 0) -> Declaration:
    """Return what takes a permission from so many roles of `many`, and deletes as many others."""
    names = [f"Role {n}" for n in range(count + deleted)]
    return declaration(*names[:count], absent=names[count:])


class TestRemovals:
    async def test_error(self) -> None:
        """The error is one of plans, shows the plan, and says how to go on."""
        account = many(60)
        with pytest.raises(PlanError) as caught:
            await apply(FakeRolesClient(account), stripped(60))
        assert isinstance(caught.value, TooManyRemovalsError)
        assert caught.value.plan
        assert len(caught.value.plan.removals) == 60
        assert str(caught.value) == (
            "nothing was changed: 60 of 60 custom roles would be deleted or lose permissions, "
            "and the limit is 30%; expect a reviewed plan, or raise max_removals"
        )
        assert changes(account) == []

    @pytest.mark.parametrize(
        ("there", "wanted", "limit", "is_refused"),
        [
            (10, stripped(3), None, False),
            (10, stripped(4), None, True),
            (10, stripped(2, deleted=2), None, True),
            (9, stripped(9), None, False),
            (10, stripped(4), "40%", False),
            (10, stripped(5), "40%", True),
            (10, stripped(4), 4, False),
            (10, stripped(4), "4", False),
            (10, stripped(4), 3, True),
            (5, stripped(1), 0, True),
            (5, stripped(1), "10%", True),
        ],
    )
    async def test_limit(
        self, there: int, wanted: Declaration, limit: int | str | None, *, is_refused: bool
    ) -> None:
        """The limit is a number or a share, and 30 % of ten or more roles unless given."""
        account = many(there)
        with contextlib.suppress(TooManyRemovalsError):
            await apply(FakeRolesClient(account), wanted, max_removals=limit)
        assert (changes(account) == []) is is_refused

    async def test_reviewed(self) -> None:
        """A plan that was reviewed has no limit, and neither has giving or making."""
        account = many(20)
        roles = FakeRolesClient(account)
        await apply(roles, stripped(20), expected=await plan(roles, stripped(20)))
        wider = [declared(f"Role {n}", permissions=["ROLE_READ", "TAG_READ"]) for n in range(20)]
        await apply(roles, declaration(*wider, "New"))
        assert len(changes(account)) == 41

    @pytest.mark.parametrize("wrong", [-1, True, 0.3, "", "30 %", "all", "٣%"])
    async def test_wrong(self, wrong: Any) -> None:  # noqa: ANN401
        """Another limit is refused before anything is asked."""
        account = many(1)
        with pytest.raises(ValidationError, match=r"^max_removals: must be a number, or a share "):
            await apply(FakeRolesClient(account), Declaration(), max_removals=wrong)
        assert account.calls == ()


class TestStopping:
    @pytest.mark.parametrize(("operation", "may_be"), [("get", False), ("update", True)])
    async def test_cancelled_result(
        self, operation: Literal["get", "update"], *, may_be: bool
    ) -> None:
        """The result of a run that is cancelled says what may have been made."""
        task: asyncio.Task[ApplyResult]

        class Cancelling(FakeRolesClient):
            async def get(self, **role: Any) -> Role:  # noqa: ANN401
                if operation == "get":
                    task.cancel()
                    await asyncio.sleep(0)
                return await super().get(**role)

            async def update(self, **_: Any) -> Role:  # noqa: ANN401
                task.cancel()
                await asyncio.sleep(0)
                pytest.fail("it was not cancelled")

        roles = Cancelling(mixed_account())
        run = Run(roles, await plan(roles, MIXED))
        task = asyncio.ensure_future(run.finish())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.result is not None
        assert str(run.result.failed) == 'update "B old" -> "B"'
        assert run.result.may_have_been_made is may_be
        assert run.result.reason == "the run was ended by CancelledError"
        assert len(run.result.not_reached) == 4
