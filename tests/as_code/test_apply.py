"""Plans that are made, and the errors of those that cannot be."""

import asyncio
import contextlib
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any, Final, Literal

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    Permission,
    RateLimitError,
    RetryPolicy,
    Role,
    RolesConnectionError,
    RolesError,
    ServerError,
    StatusError,
    ValidationError,
)
from arize_roles_async.as_code import (
    ApplyError,
    ApplyResult,
    Change,
    Declaration,
    DeclaredRole,
    Plan,
    PlanError,
    StalePlanError,
    TooManyRemovalsError,
    apply,
    plan,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.as_code.accounts import (
    Gateway,
    Withholding,
    account_of,
    change,
    changes,
    contents,
    declaration,
    declared,
    remove,
    role_id,
)
from tests.support.clients import Connect, both_clients, passed

pytestmark = pytest.mark.asyncio

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

    async def test_identity(self) -> None:
        """A renamed role keeps its ID, its age and its bindings."""
        account = account_of("Old")
        before = account.role("Old")
        account.bind("Old", user="ada", resource="Space:1")
        await apply(FakeRolesClient(account), declaration(declared("New", "Old")))
        after = account.role("New")
        assert before is not None
        assert after is not None
        assert (after.id, after.created_at) == (before.id, before.created_at)
        assert [account.label(binding.user_id) for binding in account.bindings("New")] == ["ada"]

    async def test_at_the_limit(self) -> None:
        """At the plan's limit, a delete makes the room that a create needs."""
        account = account_of("A", "B")
        account.max_custom_roles = 2
        await apply(FakeRolesClient(account), declaration("A", "Z", absent=["B"]))
        assert set(contents(account)) == {"A", "Z"}

    async def test_nothing(self) -> None:
        """A role that is as declared is left alone, to the last field."""
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

    @pytest.mark.parametrize("name", ["on_plan", "on_change", "on_result", "stop"])
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
        assert account.calls_in_all == 0

    async def test_no_plan(self) -> None:
        """`expected` is a plan or its checksum; anything else is refused before any request."""
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
            "nothing was changed: the plan differs from the expected one; "
            f"the plan's checksum is now {now}"
        )
        assert caught.value.plan == await plan(roles, MIXED)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301

    async def test_other_version(self) -> None:
        """The checksum of another version is called that, and no other plan."""
        for checksum in ("0" * 64, f"1-{0:064}"):
            with pytest.raises(StalePlanError, match="was made by another version of this library"):
                await apply(FakeRolesClient(mixed_account()), MIXED, expected=checksum)

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
        """A declaration that does not fit the account is refused before anything is changed."""
        account = mixed_account()
        with pytest.raises(PlanError):
            await apply(FakeRolesClient(account), declaration("Admin", "New"))
        assert changes(account) == []

    async def test_no_walk(self) -> None:
        """The error of a walk is raised as it is, and nothing was changed."""
        account = mixed_account()
        account.fail("list", "refused", times=None)
        with pytest.raises(RolesConnectionError):
            await apply(FakeRolesClient(account), MIXED)
        assert changes(account) == []


async def failure(account: FakeAccount, wanted: Declaration = MIXED) -> ApplyError:
    """Return the error that applying ends in, after checking its copies."""
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

    async def test_taken(self) -> None:
        """A name that was taken meanwhile is a conflict of another kind."""
        account = mixed_account()
        account.fail("create", 409)
        error = await failure(account)
        assert str(error) == (
            f'made: 4 of 5, not reached: 0; create "New" was not made: {error.__cause__}'
        )

    async def test_unknown(self) -> None:
        """A change whose answer was lost is reported as one that may have been made."""
        account = mixed_account()
        account.fail("update", "lost")
        error = await failure(account)
        assert str(error).startswith(
            'made: 0 of 5, not reached: 4; update "B old" -> "B" may have been made: '
        )
        assert error.result.may_have_been_made is True
        assert error.result.made == ()
        assert isinstance(error.__cause__, OutcomeUnknownError)
        await apply(FakeRolesClient(account), MIXED)
        assert set(contents(account)) == {"B", "C", "New", "Same", "Undeclared"}

    async def test_nothing_happened(self) -> None:
        """A change that was never sent was not made."""
        account = mixed_account()
        account.fail("update", "refused")
        error = await failure(account)
        assert error.result.may_have_been_made is False

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
        with pytest.raises(ApplyError, match=r"(create|update) .* may have been made: ") as caught:
            await apply(Contradicting(account), wanted)
        assert caught.value.result.may_have_been_made is True
        assert str(caught.value.__cause__) == f"the answer has a different {named}"

    async def test_bare(self) -> None:
        """An error that is made by hand has an empty result."""
        error = ApplyError("No.")
        assert (error.result.made, error.result.failed, error.result.not_reached) == ((), None, ())
        assert error.result.may_have_been_made is False

    async def test_long(self) -> None:
        """A message that is cut to one line of 1,500 characters begins with the counts."""
        account = account_of()
        account.fail("create", 403)
        error = await failure(account, declaration(*(f"Role {n}" for n in range(1_000))))
        assert len(str(error)) == 1_500
        assert "\n" not in str(error)
        assert str(error).startswith("made: 0 of 1000, not reached: 999; ")
        assert len(error.result.not_reached) == 999


class TestBlocked:
    """A delete that is refused since users have the role."""

    def bound_account(self) -> FakeAccount:
        account = mixed_account()
        account.bind("D", user="ada", resource="Space:1")
        return account

    async def test_goes_on(self) -> None:
        """The other changes are made, and the error names the role and the reason."""
        account = self.bound_account()
        error = await failure(account)
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

    async def test_later_failure(self) -> None:
        """A failure after it ends the run, and both are reported."""
        account = self.bound_account()
        account.fail("create", 403)
        error = await failure(account)
        assert texts(error.result.blocked) == ['delete "D"']
        assert str(error.result.failed) == 'create "New"'
        assert isinstance(error.__cause__, ForbiddenError)
        assert error.result.to_dict()["blocked"][0]["before"]["name"] == "D"


class TestWaiting:
    """The waits between the attempts of a change, in which others change the role."""

    UPDATE: Final = declaration(declared("A", permissions=WIDER))
    DELETE: Final = declaration(absent=["A"])

    @both_clients
    @pytest.mark.parametrize("wanted", [UPDATE, DELETE])
    @pytest.mark.parametrize("fault", [429, 503, "lost"])
    async def test_changed(
        self, connect: Connect, wanted: Declaration, fault: Literal[429, 503, "lost"]
    ) -> None:
        """A role is read again before each attempt, so that the change of others stays."""
        account = account_of("A")
        account.fail("any", fault, after=2, retry_after=8 if fault == 429 else None)
        others = iter([{"permissions": ["ROLE_READ", "TAG_READ"]}])

        def meddle() -> bool:
            if account.calls_in_all >= 3 and (fields := next(others, None)):
                change(account, "A", **fields)
            return False

        async with connect(account, retry=RetryPolicy()) as roles:
            with pytest.raises(ApplyError) as caught:
                await apply(roles, wanted, stop=meddle)
        assert isinstance(caught.value.__cause__, StalePlanError)
        assert caught.value.result.may_have_been_made is (fault != 429)
        assert contents(account) == {"A": (None, frozenset({"ROLE_READ", "TAG_READ"}))}

    @both_clients
    @pytest.mark.parametrize("fault", [429, 502, 503, "lost"])
    async def test_again(self, connect: Connect, fault: Literal[429, 502, 503, "lost"]) -> None:
        """Every kind of change is tried again, and a role that was not touched is changed once."""
        account = account_of("A", "B")
        for operation in ("update", "delete", "create"):
            account.fail(operation, fault)
        wanted = declaration(declared("A", permissions=WIDER), "New", absent=["B"])
        async with connect(account, retry=RetryPolicy()) as roles:
            assert len((await apply(roles, wanted)).made) == 3
        assert contents(account) == {"A": (None, WIDER), "New": (None, HELD)}

    async def test_stopped(self) -> None:
        """A run that is asked to stop in a wait sends nothing more, and has changed nothing."""
        account = account_of("A")
        account.fail("update", 429, retry_after=8)
        with pytest.raises(ApplyError) as caught:
            await apply(
                FakeRolesClient(account),
                self.UPDATE,
                stop=lambda: passed(account) > 1,
            )
        assert passed(account) < 2
        assert caught.value.result.not_reached == caught.value.result.plan.changes
        assert [call.operation for call in account.calls] == ["list", "get", "update"]

    async def test_stopped_in_queue(self) -> None:
        """A change that waits for its turn after the read is not sent once the run is to stop."""
        account = account_of("A")
        account.fail("update", 429)
        looked: list[float] = []

        def stop() -> bool:
            if len(account.calls_of("get")) > 1:
                looked.append(passed(account))
            return bool(looked) and passed(account) > looked[0]

        with pytest.raises(ApplyError) as caught:
            await apply(FakeRolesClient(account), self.UPDATE, stop=stop)
        assert [call.operation for call in account.calls] == ["list", "get", "update", "get"]
        assert caught.value.result.failed is None

    async def test_stopped_open(self) -> None:
        """Where an attempt may have made the change, the result says so."""
        account = account_of("A")
        account.fail("update", "lost")
        with pytest.raises(ApplyError) as caught:
            await apply(
                FakeRolesClient(account),
                self.UPDATE,
                stop=lambda: bool(account.calls_of("update")),
            )
        assert str(caught.value.result.failed) == 'update "A"'
        assert caught.value.result.may_have_been_made is True

    async def test_refused_for_long(self) -> None:
        """A rate limit ends a change at the client's own limit, and never leaves it open."""
        account = account_of("A")
        account.fail("update", 429, times=None)
        with pytest.raises(ApplyError) as caught:
            await apply(FakeRolesClient(account), self.UPDATE)
        assert isinstance(caught.value.__cause__, RateLimitError)
        assert caught.value.result.may_have_been_made is False
        assert 25 < passed(account) < 31

    async def test_attempts(self) -> None:
        """There are as many attempts as the client's policy has, and a 503 was none."""
        account = account_of("A")
        account.fail("update", 503, times=None)
        with pytest.raises(ApplyError) as caught:
            await apply(FakeRolesClient(account), self.UPDATE)
        assert len(account.calls_of("update")) == 3
        assert isinstance(caught.value.__cause__, ServerError)

    async def test_no_time(self) -> None:
        """A call that has used up its time is not made again."""
        account = account_of("A")
        account.fail("get", "silent", times=None)
        with pytest.raises(ApplyError):
            await apply(FakeRolesClient(account, timeout=5), self.UPDATE)
        assert len(account.calls_of("get")) == 1


class TestLostCreate:
    """A create whose answer was lost is looked for in the list before it is made again."""

    @both_clients
    async def test_made(self, connect: Connect) -> None:
        """A role that is there as declared is the one that was made."""
        account = account_of()
        account.fail("create", "lost", when="after", every_attempt=True)
        async with connect(account, retry=RetryPolicy()) as roles:
            result = await apply(roles, declaration("A"))
        assert texts(result.made) == ['create "A"']
        assert contents(account) == {"A": (None, HELD)}

    @pytest.mark.parametrize(("permissions", "is_made"), [(HELD, True), (WIDER, False)])
    async def test_taken(self, permissions: frozenset[str], *, is_made: bool) -> None:
        """One that turns up with the next attempt is, too; one that differs is reported."""

        class Late(FakeRolesClient):
            async def create(self, **fields: Any) -> Role:  # noqa: ANN401
                if next(attempts) == 1:
                    raise OutcomeUnknownError("No answer.") from RolesConnectionError("Lost.")
                account.add_role("A", [*permissions])
                return await super().create(**fields)

        account, attempts = account_of("B"), iter([1, 2])
        ended: list[ApplyResult] = []
        with contextlib.suppress(ApplyError):
            await apply(Late(account), declaration("A"), on_result=ended.append)
        assert [bool(ended[0].made), ended[0].may_have_been_made] == [is_made, not is_made]
        expected = None if is_made else '"A" is not as declared: it gained DATASET_READ'
        assert ended[0].reason == expected


class TestMeanwhile:
    """Somebody else changes a role between the plan and its change."""

    async def stopped(
        self, account: FakeAccount, wanted: Declaration, meddle: Callable[[], None]
    ) -> ApplyError:
        with pytest.raises(ApplyError) as caught:
            await apply(FakeRolesClient(account), wanted, on_plan=lambda _: meddle())
        assert isinstance(caught.value.__cause__, StalePlanError)
        assert caught.value.result.may_have_been_made is False
        return caught.value

    @both_clients
    async def test_renamed(self, connect: Connect) -> None:
        """A role that was renamed and got more rights is not deleted for its old name."""
        account = account_of("A", "Temp Analyst")
        wanted = declaration(declared("A", permissions=WIDER), "New", absent=["Temp Analyst"])

        def rename(_: Change) -> None:
            change(
                account,
                "Temp Analyst",
                name="Incident Responders",
                permissions=["ROLE_READ", "ROLE_DELETE"],
            )

        async with connect(account) as roles:
            with pytest.raises(ApplyError) as caught:
                await apply(roles, wanted, on_change=rename)
        result = caught.value.result
        assert texts(result.made) == ['update "A"']
        assert str(result.failed) == 'delete "Temp Analyst"'
        assert texts(result.not_reached) == ['create "New"']
        assert str(caught.value) == (
            'made: 1 of 3, not reached: 1; delete "Temp Analyst" was not made: '
            '"Temp Analyst" was changed since the plan was made: its name is '
            '"Incident Responders", it gained ROLE_DELETE; not reached: create "New"'
        )
        assert set(contents(account)) == {"A", "Incident Responders"}

    async def test_gained(self) -> None:
        """A permission that somebody else gave is not taken away."""
        account = account_of("A")
        error = await self.stopped(
            account,
            declaration(declared("A", permissions=WIDER)),
            lambda: change(account, "A", permissions=["ROLE_READ", "TAG_READ"]),
        )
        assert str(error) == (
            'made: 0 of 1, not reached: 0; update "A" was not made: '
            '"A" was changed since the plan was made: it gained TAG_READ'
        )
        assert contents(account) == {"A": (None, frozenset({"ROLE_READ", "TAG_READ"}))}

    async def test_lost(self) -> None:
        """One that somebody else took is not given back, and their description stays."""
        account = account_of()
        account.add_role("A", ["ROLE_READ", "TAG_READ"], description="Old")
        error = await self.stopped(
            account,
            declaration(declared("A", permissions=["ROLE_READ", "TAG_READ", "DATASET_READ"])),
            lambda: change(account, "A", permissions=["ROLE_READ"], description="Theirs."),
        )
        assert str(error).endswith(
            '"A" was changed since the plan was made: it lost TAG_READ, '
            'its description is "Theirs."'
        )
        assert contents(account) == {"A": ("Theirs.", HELD)}

    async def test_gone(self) -> None:
        """A role that somebody else deleted is not updated."""
        account = account_of("A")
        wanted = declaration(declared("A", permissions=WIDER))
        error = await self.stopped(account, wanted, lambda: remove(account, "A"))
        assert str(error).endswith(
            'update "A" was not made: "A" was deleted since the plan was made'
        )

    async def test_deleted(self) -> None:
        """A delete that somebody else made first is done."""
        account = account_of("A", "B")
        result = await apply(
            FakeRolesClient(account),
            declaration("C", absent=["A", "B"]),
            on_plan=lambda _: remove(account, "A"),
        )
        assert texts(result.made) == ['delete "A"', 'delete "B"', 'create "C"']
        assert set(contents(account)) == {"C"}

    async def test_deleted_late(self) -> None:
        """It counts as made, too, where they make it after the role was read."""

        class Late(FakeRolesClient):
            async def delete(self, **role: Any) -> None:  # noqa: ANN401
                remove(account, "A")
                await super().delete(**role)

        account = account_of("A")
        result = await apply(Late(account), declaration(absent=["A"]))
        assert texts(result.made) == ['delete "A"']

    @pytest.mark.parametrize(
        ("cause", "is_made"), [(NotFoundError("Gone."), True), (RolesConnectionError("No."), False)]
    )
    async def test_deleted_by_whom(self, cause: RolesError, *, is_made: bool) -> None:
        """A delete counts as made if the role is gone afterwards, whoever deleted it."""

        class Unknown(FakeRolesClient):
            async def delete(self, **_: Any) -> None:  # noqa: ANN401
                raise OutcomeUnknownError("Perhaps.") from cause

        ended: list[ApplyResult] = []
        with contextlib.suppress(ApplyError):
            await apply(Unknown(account_of("A")), declaration(absent=["A"]), on_result=ended.append)
        assert [len(ended[0].made), ended[0].may_have_been_made] == [is_made, not is_made]

    async def test_made(self) -> None:
        """An update that somebody else made first is done, and is not sent again."""
        account = account_of("A")
        result = await apply(
            FakeRolesClient(account),
            declaration(declared("A", permissions=WIDER)),
            on_plan=lambda _: change(account, "A", permissions=[*WIDER]),
        )
        assert texts(result.made) == ['update "A"']
        assert len(account.calls_of("update")) == 1

    async def test_unread(self) -> None:
        """A role that cannot be read is not changed."""
        account = mixed_account()
        account.fail("get", 403)
        error = await failure(account)
        assert str(error.result.failed) == 'update "B old" -> "B"'
        assert error.result.may_have_been_made is False
        assert changes(account) == []


class TestOrder:
    MOVE: Final = declaration(
        declared("From", permissions=["TAG_READ"]), declared("To", permissions=WIDER)
    )

    @pytest.mark.parametrize("count", [0, 1])
    async def test_moved(self, count: int) -> None:
        """A permission that moves is held by a role wherever the run stops."""
        account = account_of()
        account.add_role("From", ["TAG_READ", "DATASET_READ"])
        account.add_role("To", ["ROLE_READ"])
        account.fail("update", 403, after=count)
        await failure(account, self.MOVE)
        held = {str(p) for role in account.roles for p in role.permissions or ()}
        assert "DATASET_READ" in held

    async def test_new_permission(self) -> None:
        """A permission newer than the library outlives a run that fails to create its holder."""
        account = account_of()
        account.add_role("From", ["NEW_READ", "ROLE_READ"])
        wanted = declaration("From", declared("To", permissions=["NEW_READ"]), new=["NEW_READ"])
        account.fail("create", 403)
        await failure(account, wanted)
        await apply(FakeRolesClient(account), wanted)
        assert contents(account) == {"From": (None, HELD), "To": (None, frozenset({"NEW_READ"}))}


class TestGateway:
    @both_clients
    @pytest.mark.parametrize("status", [401, 403, 404, 409])
    async def test_page(self, connect: Connect, status: int) -> None:
        """After an answer of a gateway, the change may have been made."""
        account = Gateway(predefined=False)
        account.status = status
        account.add_role("A", ["ROLE_READ"])
        async with connect(account) as roles:
            with pytest.raises(ApplyError) as caught:
                await apply(roles, declaration(declared("A", permissions=WIDER)))
        assert caught.value.result.may_have_been_made is True
        assert contents(account) == {"A": (None, WIDER)}

    @pytest.mark.parametrize(
        ("error", "may_be"),
        [
            (ForbiddenError("No.", status=403, from_service=True), False),
            (ForbiddenError("No.", status=403), True),
            (StatusError("No.", status=404), True),
            (ServerError("No.", status=503, from_service=True), True),
            (RateLimitError("No.", status=429), False),
            (RolesConnectionError("No."), False),
            (OutcomeUnknownError("No."), True),
            (InvalidResponseError("No."), True),
        ],
    )
    async def test_error(self, error: RolesError, *, may_be: bool) -> None:
        """Only a refusal, or a request that was not sent, leaves a change unmade for certain."""

        class Failing(FakeRolesClient):
            async def create(self, **_: Any) -> Role:  # noqa: ANN401
                raise error

        with pytest.raises(ApplyError) as caught:
            await apply(Failing(account_of()), declaration("A"))
        assert caught.value.result.may_have_been_made is may_be


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
    async def refused(
        self,
        account: FakeAccount,
        wanted: Declaration,
        **options: Any,  # noqa: ANN401
    ) -> str | None:
        try:
            await apply(FakeRolesClient(account), wanted, **options)
        except TooManyRemovalsError as error:
            assert changes(account) == []
            return str(error)
        return None

    async def test_mass(self) -> None:
        """More than 30 % of the roles are not stripped, and the error says how to go on."""
        assert await self.refused(many(60), stripped(60)) == (
            "nothing was changed: 60 of 60 custom roles would be deleted or lose permissions, "
            "and the limit is 30%; expect a reviewed plan, or raise max_removals"
        )

    async def test_error(self) -> None:
        """The error is one of plans, shows the plan, and pickles."""
        with pytest.raises(PlanError) as caught:
            await apply(FakeRolesClient(many(60)), stripped(60))
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):  # noqa: S301
            assert isinstance(error, TooManyRemovalsError)
            assert error.plan
            assert len(error.plan.removals) == 60

    @pytest.mark.parametrize(
        ("there", "wanted", "options", "is_refused"),
        [
            (10, stripped(3), {}, False),
            (10, stripped(4), {}, True),
            (10, stripped(2, deleted=2), {}, True),
            (9, stripped(9), {}, False),
            (10, stripped(4), {"max_removals": "40%"}, False),
            (10, stripped(5), {"max_removals": "40%"}, True),
            (10, stripped(10), {"max_removals": "100%"}, False),
            (10, stripped(4), {"max_removals": 4}, False),
            (10, stripped(4), {"max_removals": "4"}, False),
            (10, stripped(4), {"max_removals": 3}, True),
            (5, stripped(1), {"max_removals": 0}, True),
            (5, stripped(1), {"max_removals": "10%"}, True),
        ],
    )
    async def test_limit(
        self, there: int, wanted: Declaration, options: dict[str, Any], *, is_refused: bool
    ) -> None:
        """The limit is a number or a share, and 30 % of ten or more roles unless given."""
        assert (await self.refused(many(there), wanted, **options) is not None) is is_refused

    async def test_given(self) -> None:
        """Giving permissions and making roles has no limit."""
        account = many(20)
        wider = ["ROLE_READ", "TAG_READ", "TAG_CREATE"]
        given = [declared(f"Role {n}", permissions=wider) for n in range(20)]
        await apply(FakeRolesClient(account), declaration(*given, "New"))
        assert len(changes(account)) == 21

    async def test_reviewed(self) -> None:
        """Nor has a plan that was reviewed."""
        account = many(20)
        roles = FakeRolesClient(account)
        reviewed = await plan(roles, stripped(20))
        await apply(roles, stripped(20), expected=reviewed.checksum)
        assert len(changes(account)) == 20

    @pytest.mark.parametrize("wrong", [-1, True, 0.3, "", "30 %", "all", "٣%"])
    async def test_wrong(self, wrong: Any) -> None:  # noqa: ANN401
        """Another limit is refused before anything is asked."""
        account = many(1)
        with pytest.raises(ValidationError, match=r"^max_removals: must be a number, or a share "):
            await apply(FakeRolesClient(account), Declaration(), max_removals=wrong)
        assert account.calls == ()


class Stop(BaseException):
    """Interruptions that no library may catch."""


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
        """An exception of `on_plan` ends the run before any change."""
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

    @pytest.mark.parametrize("count", range(1, 9))
    async def test_asked(self, count: int) -> None:
        """A run that is asked to stop ends before its next request, and says how far it came."""
        account = mixed_account()
        ended: list[ApplyResult] = []

        def stop() -> bool:
            return account.calls_in_all >= count

        with pytest.raises(ApplyError) as caught:
            await apply(FakeRolesClient(account), MIXED, on_result=ended.append, stop=stop)
        result = caught.value.result
        assert account.calls_in_all == count
        assert len(changes(account)) == len(result.made)
        assert result.failed is None
        assert len(result.not_reached) == 5 - len(result.made)
        assert ended == [result]
        assert str(caught.value).startswith(
            f"made: {len(result.made)} of 5, not reached: {len(result.not_reached)}; "
            "the run was stopped; not reached: "
        )

    async def test_asked_late(self) -> None:
        """A run that is asked to stop during its last request has made every change."""
        account = account_of()
        result = await apply(
            FakeRolesClient(account),
            declaration("A"),
            stop=lambda: bool(account.calls_of("create")),
        )
        assert texts(result.made) == ['create "A"']

    @pytest.mark.parametrize(("operation", "may_be"), [("get", False), ("update", True)])
    async def test_cancelled_result(
        self, operation: Literal["get", "update"], *, may_be: bool
    ) -> None:
        """The result of a run that is cancelled says what may have been made."""
        account = mixed_account()
        ended: list[ApplyResult] = []
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

        task = asyncio.ensure_future(apply(Cancelling(account), MIXED, on_result=ended.append))
        with pytest.raises(asyncio.CancelledError):
            await task
        (result,) = ended
        assert str(result.failed) == 'update "B old" -> "B"'
        assert result.may_have_been_made is may_be
        assert result.reason == "the run was ended by CancelledError"
        assert len(result.not_reached) == 4


class TestResult:
    async def test_json(self) -> None:
        """The JSON of a result says what was made, what failed and what was not reached."""
        account = mixed_account()
        account.fail("delete", 403)
        data = json.loads((await failure(account)).result.to_json())
        assert list(data) == [
            *("format_version", "account", "host", "checksum", "made", "blocked", "failed"),
            *("may_have_been_made", "not_reached", "reason"),
        ]
        assert data["format_version"] == 1
        assert [each["action"] for each in data["made"]] == ["update", "update"]
        assert data["failed"]["before"]["name"] == "D"
        assert [each["action"] for each in data["not_reached"]] == ["delete", "create"]
        assert "403" in data["reason"]

    async def test_done(self) -> None:
        """The result of a whole run has every change, and no reason."""
        result = await apply(FakeRolesClient(mixed_account()), MIXED)
        assert result.made == result.plan.changes
        assert str(result) == "made: 5 of 5, not reached: 0"
        assert result.to_dict()["reason"] is None
        assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own


@both_clients
@pytest.mark.arize_roles(unused_faults="allow")
async def test_plan_sends_nothing(connect: Connect) -> None:
    """On an account on which every change fails, a plan is made, for no change was sent."""
    account = mixed_account()
    for operation in ("create", "update", "delete"):
        account.fail(operation, 500, times=None)
    async with connect(account) as roles:
        assert len((await plan(roles, MIXED)).changes) == 5
        with pytest.raises(ApplyError):  # The control: here one was sent, and it failed.
            await apply(roles, MIXED)
    assert [call.operation for call in account.calls] == ["list", "list", "get", "update", "get"]
