"""Plans that are made, the attempts of each change, and the errors of those that fail."""

import asyncio
import contextlib
import json
from typing import Any, Final
from unittest.mock import AsyncMock

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    Role,
    RolesConnectionError,
    RolesError,
    ServerError,
    ValidationError,
)
from arize_roles_async.as_code import (
    ApplyError,
    Change,
    Declaration,
    DeclaredRole,
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
    account_of,
    change,
    changes,
    contents,
    declaration,
    declared,
    ended,
    failure,
    mixed_account,
    remove,
    role_id,
    texts,
)
from tests.support.clients import Connect, both_clients, passed

UPDATE: Final = declaration(declared("A", permissions=WIDER))
DELETE: Final = declaration(absent=["A"])


class TestMaking:
    @both_clients
    async def test_all(self, connect: Connect) -> None:
        """The account is as declared, each role was read first, and each change is told."""
        account, told = mixed_account(), list[tuple[str, int]]()
        async with connect(account) as roles:
            await apply(
                roles,
                MIXED,
                on_plan=lambda plan: told.append((str(len(plan.changes)), 0)),
                on_change=lambda change: told.append((str(change), len(changes(account)))),
            )
            again = await plan(roles, MIXED)
        assert contents(account) == {
            **dict.fromkeys(("B", "New", "Same", "Undeclared"), (None, HELD)),
            "C": (None, WIDER),
        }
        assert again.changes == ()
        assert [call.operation for call in account.calls] == [
            "list",
            *("get", "update", "get", "update", "get", "delete", "get", "delete"),
            *("create", "list"),
        ]
        assert told == [
            *(("5", 0), ('update "B old" -> "B"', 1), ('update "C"', 2), ('delete "D"', 3)),
            *(('delete "E"', 4), ('create "New"', 5)),
        ]

    async def test_fields(self) -> None:
        """An update goes by ID and sends what differs and nothing else."""
        account = account_of("Name", "Permissions")
        account.add_role("Text", ["ROLE_READ"], description="Old", id=role_id("Text"))
        wanted = declaration(
            declared("Renamed", "Name"),
            declared("Permissions", permissions=WIDER),
            declared("Text"),
            DeclaredRole(name="Made", permissions=["ROLE_READ"], description="All new"),
            declared("Plain"),
        )
        await apply(FakeRolesClient(account), wanted)
        wider = ["DATASET_READ", "ROLE_READ"]
        assert changes(account) == [
            ("update", {"role_id": role_id("Permissions"), "permissions": wider}),
            ("update", {"role_id": role_id("Name"), "name": "Renamed"}),
            ("update", {"role_id": role_id("Text"), "description": None}),
            ("create", {"name": "Made", "permissions": ["ROLE_READ"], "description": "All new"}),
            ("create", {"name": "Plain", "permissions": ["ROLE_READ"]}),
        ]

    @pytest.mark.parametrize("name", ["on_plan", "on_change"])
    async def test_no_callback(self, name: str) -> None:
        """A callback that cannot be called, or is async, is refused before any request."""

        class Callback:
            async def __call__(self, _: object) -> None:
                pytest.fail("it was called")

        account, wrong = mixed_account(), f"^{name}: must be a function, and not async$"
        given: list[Any] = ["print", Callback(), Callback().__call__]
        for each in given:
            with pytest.raises(ValidationError, match=wrong):
                await apply(FakeRolesClient(account), MIXED, **{name: each})
        assert len(account.calls) == 0


class TestExpecting:
    async def test_stale(self) -> None:
        """Where it would do something else, nothing is changed."""
        account = mixed_account()
        roles = FakeRolesClient(account)
        expected = await plan(roles, MIXED)
        await roles.update(role_id=role_id("D"), description="Needed after all.")
        before, now = account.roles, (await plan(roles, MIXED)).checksum
        why = "nothing was changed: the plan differs from the expected one; "
        for form in (expected, expected.checksum):
            with pytest.raises(
                StalePlanError, match=f"^{why}the plan's checksum is now {now}$"
            ) as e:
                await apply(roles, MIXED, expected=form)
            assert e.value.plan
            assert e.value.plan.checksum == now
        assert account.roles == before

    async def test_other_version(self) -> None:
        """The checksum of another version is called that, and no other plan."""
        for checksum in ("0" * 64, f"1-{0:064}"):
            with pytest.raises(StalePlanError, match=r"another version than .* plan again; "):
                await apply(FakeRolesClient(mixed_account()), MIXED, expected=checksum)


class TestRefused:
    @pytest.mark.parametrize(
        ("fault", "stops"),
        [
            *((status, "one") for status in (400, 403, 404, 409, 422)),
            *((each, "all") for each in (401, 429, 500, 502, 503, "refused", "lost", "malformed")),
        ],
    )
    async def test_kinds(self, fault: Any, stops: str) -> None:  # noqa: ANN401 - any fault
        """A refusal stops one change; any other failure may meet every change, and ends the run."""
        account = mixed_account()
        account.fail("update", fault, times=None, about="B old")
        result = (await failure(FakeRolesClient(account))).result
        reached = [*result.made, *(each.change for each in result.refused)]
        assert (len(reached), len(result.refused)) == ((5, 1) if stops == "one" else (0, 0))
        assert (str(result.failed), len(result.not_reached)) == (
            ("None", 0) if stops == "one" else ('update "B old" -> "B"', 4)
        )

    async def test_result(self) -> None:
        """Text and JSON say what was made, what was refused and why."""
        account = mixed_account()
        account.fail("create", 403)
        account.bind("D", user="ada", resource="Space:1")
        error = await failure(FakeRolesClient(account))
        blocked, refused = error.result.refused
        assert isinstance(error.__cause__, ConflictError)
        assert (blocked.is_blocked, blocked.reason) == (True, str(error.__cause__))
        assert str(error) == (
            'made: 3 of 5, not reached: 0; delete "D" was not made: users still have the role: '
            f'{blocked.reason}; create "New" was not made: {refused.reason}'
        )
        data = json.loads(error.result.to_json())
        assert list(data) == [
            *("format_version", "account", "host", "checksum", "made", "refused", "failed"),
            *("may_have_been_made", "not_reached", "reason"),
        ]
        assert [data["format_version"], data["failed"], data["reason"]] == [2, None, None]
        assert [each["action"] for each in data["made"]] == ["update", "update", "delete"]
        assert data["refused"][1]["change"]["after"]["name"] == "New"
        assert data["refused"][1]["reason"].startswith("POST /v2/roles answered 403 ")

    async def test_look(self) -> None:
        """Only a refused delete says that users have the role, and not a refused look."""
        account = account_of("A")
        account.fail("get", 409)
        (refused,) = (await failure(FakeRolesClient(account), DELETE)).result.refused
        assert refused.is_blocked is False

    async def test_dependent(self) -> None:
        """What a refused update should have given is not taken from others; all else is made."""
        account = account_of()
        moved = {"A": ["TAG_READ"], "B": ["DATASET_READ"], "C": ["PROJECT_READ"]}
        for name, permissions in {**moved, "Other": ["ROLE_READ", "ROLE_UPDATE"]}.items():
            account.add_role(name, permissions)
        account.fail("update", 400, about="C")
        wanted = declaration(
            declared("A", permissions=["PROJECT_READ"]),
            declared("B", permissions=["TAG_READ"]),
            declared("C", permissions=["PROJECT_READ", "DATASET_READ"]),
            "Other",
        )
        text = str((await failure(FakeRolesClient(account), wanted)).result)
        assert text.startswith('made: 1 of 4, not reached: 2; update "C" was not made: ')
        assert text.endswith('; not reached: update "B", update "A"')


class TestFailing:
    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"name": "Other"}, "name"),
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

    @pytest.mark.parametrize(
        ("error", "may_be"),
        [
            (ForbiddenError("No.", status=403, from_service=True), False),
            (ForbiddenError("No.", status=403), True),
            (ServerError("No.", status=503, from_service=True), False),
            (RateLimitError("No.", status=429), False),
            (RolesConnectionError("No."), False),
            (OutcomeUnknownError("No."), True),
            (InvalidResponseError("No."), True),
        ],
    )
    async def test_doubt(
        self, monkeypatch: pytest.MonkeyPatch, error: RolesError, *, may_be: bool
    ) -> None:
        """Only a refusal, or a request that was not sent, leaves a change unmade for certain."""
        monkeypatch.setattr(FakeRolesClient, "create", AsyncMock(side_effect=error))
        failed = await failure(FakeRolesClient(account_of()), declaration("A"))
        assert failed.result.may_have_been_made is may_be

    @pytest.mark.parametrize(("operation", "may_be"), [("get", False), ("update", True)])
    async def test_cancelled(
        self, monkeypatch: pytest.MonkeyPatch, operation: str, *, may_be: bool
    ) -> None:
        """The result of a cancelled run says what may have been made; a look begins nothing."""
        cancelled = AsyncMock(side_effect=asyncio.CancelledError)
        monkeypatch.setattr(FakeRolesClient, operation, cancelled)
        roles = FakeRolesClient(mixed_account())
        run = Run(roles, await plan(roles, MIXED))
        with pytest.raises(asyncio.CancelledError):
            await run.finish()
        assert run.result is not None
        assert bool(run.result.failed) is may_be
        assert run.result.may_have_been_made is may_be
        assert run.result.reason == "the run was ended by CancelledError"
        assert len(run.result.not_reached) == 5 - may_be


def many(count: int) -> FakeAccount:
    account = account_of()
    for n in range(count):
        account.add_role(f"Role {n}", ["ROLE_READ", "TAG_READ"])
    return account


def stripped(count: int) -> Declaration:
    """Return what takes a permission from so many roles of `many`."""
    return declaration(*(f"Role {n}" for n in range(count)))


class TestRemovals:
    @pytest.mark.parametrize(
        ("there", "wanted", "limit", "is_refused"),
        [
            (10, stripped(3), None, False),
            (10, stripped(4), None, True),
            (9, stripped(9), None, False),
            (10, stripped(4), "40%", False),
            (10, stripped(5), "40%", True),
            (10, stripped(4), 4, False),
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


class TestWaiting:
    """The waits between the attempts of a change, in which others change the role."""

    async def test_stopped(self) -> None:
        """A run that is asked to stop does not wait for a further attempt."""
        account = account_of("A")
        account.fail("update", 429, retry_after=8)
        roles = FakeRolesClient(account)
        result = await ended(roles, UPDATE, lambda: bool(account.calls_of("update")))
        assert (passed(account), result.reason) == (0, "the run was stopped")
        assert result.not_reached == result.plan.changes

    async def test_attempts(self) -> None:
        """There are as many attempts as the client's policy has, and a 503 was none."""
        account = account_of("A")
        account.fail("update", 503, times=None)
        error = await failure(FakeRolesClient(account, timeout=None), UPDATE)
        assert len(account.calls_of("update")) == 3
        assert isinstance(error.__cause__, ServerError)

    async def test_closed(self) -> None:
        """The grace of a client that is closed is for the change under way, also in a wait."""
        account = account_of("A", "B")
        account.fail("update", 429, retry_after=8)
        roles, closing = FakeRolesClient(account), list[asyncio.Task[None]]()

        def close() -> bool:
            if account.calls_of("update") and not closing:
                closing.append(asyncio.create_task(roles.aclose(grace=20)))
            return False

        wanted = declaration(declared("A", permissions=WIDER), absent=["B"])
        result = await ended(roles, wanted, close)
        assert texts(result.made) == ['update "A"']
        assert str(result.failed) == 'delete "B"'
        assert result.reason == "the client is closed"
        await closing[0]


class TestTaken:
    """A create that is refused since a role has the name."""

    @pytest.mark.parametrize(("permissions", "is_made"), [(HELD, True), (WIDER, False)])
    async def test_others(self, permissions: frozenset[str], *, is_made: bool) -> None:
        """One that another run has made as declared counts as made; another one is a refusal."""
        account = account_of()

        def meddle(_: object) -> None:
            account.add_role("A", [*permissions], id=role_id("A"))

        made: list[str | None] = []
        with contextlib.suppress(ApplyError):
            await apply(
                FakeRolesClient(account),
                declaration("A"),
                on_plan=meddle,
                on_change=lambda change: made.append(change.created_id),
            )
        assert made == [role_id("A")] * is_made


class TestMeanwhile:
    """Somebody else changes a role between the plan and its change."""

    @pytest.mark.parametrize(
        ("wanted", "theirs", "reason"),
        [
            (UPDATE, {"permissions": [*WIDER], "description": None}, None),
            (DELETE, None, None),
            (UPDATE, None, "was deleted since the plan was made"),
            (
                UPDATE,
                {"name": "Theirs", "permissions": ["ROLE_READ", "TAG_READ", "TAG_CREATE"]},
                'was changed since the plan was made: its name is "Theirs", it gained TAG_CREATE',
            ),
            (
                DELETE,
                {"permissions": ["ROLE_READ"], "description": "X"},
                'was changed since the plan was made: it lost TAG_READ, its description is "X"',
            ),
        ],
    )
    async def test_changed(
        self, wanted: Declaration, theirs: dict[str, Any] | None, reason: str | None
    ) -> None:
        """What somebody else made as declared counts as made; all else of theirs stays."""
        account = account_of()
        account.add_role("A", ["ROLE_READ", "TAG_READ"], description="Old")

        def meddle(_: object) -> None:
            if theirs is None:
                remove(account, "A")
            else:
                change(account, "A", **theirs)

        made: list[Change] = []
        call = apply(FakeRolesClient(account), wanted, on_plan=meddle, on_change=made.append)
        with pytest.raises(ApplyError) if reason else contextlib.nullcontext() as caught:
            await call
        assert len(made) == (reason is None)
        if caught and reason:
            assert isinstance(caught.value.__cause__, StalePlanError)
            assert str(caught.value.__cause__) == f'"A" {reason}'
        assert len(changes(account)) == 1

    @pytest.mark.parametrize(
        ("error", "cause", "is_made"),
        [
            (NotFoundError("Gone."), None, True),
            (OutcomeUnknownError("Perhaps."), NotFoundError("Gone."), True),
            (OutcomeUnknownError("Perhaps."), RolesConnectionError("No."), False),
        ],
    )
    async def test_deleted_by_whom(
        self,
        monkeypatch: pytest.MonkeyPatch,
        error: RolesError,
        cause: RolesError | None,
        *,
        is_made: bool,
    ) -> None:
        """A delete counts as made if the role is gone afterwards, whoever deleted it."""
        error.__cause__ = cause
        monkeypatch.setattr(FakeRolesClient, "delete", AsyncMock(side_effect=error))
        result = await ended(FakeRolesClient(account_of("A")), DELETE)
        assert [len(result.made), result.may_have_been_made] == [is_made, not is_made]
