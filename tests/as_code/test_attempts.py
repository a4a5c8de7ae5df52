"""The attempts of one change: the role is read before each, and others may change it meanwhile."""

from typing import Any, Final, Literal
from unittest.mock import AsyncMock, Mock

import pytest

from arize_roles_async import (
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    Role,
    RolesConnectionError,
    RolesError,
    ServerError,
)
from arize_roles_async.as_code import (
    Change,
    Declaration,
    StalePlanError,
    apply,
)
from arize_roles_fake import FakeRolesClient
from tests.as_code.accounts import (
    HELD,
    WIDER,
    account_of,
    change,
    changes,
    contents,
    declaration,
    declared,
    ended,
    failure,
    remove,
    texts,
)
from tests.support.clients import Connect, both_clients, passed


class TestWaiting:
    """The waits between the attempts of a change, in which others change the role."""

    UPDATE: Final = declaration(declared("A", permissions=WIDER))
    DELETE: Final = declaration(absent=["A"])

    @pytest.mark.parametrize("wanted", [UPDATE, DELETE])
    @pytest.mark.parametrize("fault", [429, "lost"])
    async def test_changed(self, wanted: Declaration, fault: Literal[429, "lost"]) -> None:
        """A role is read again before each attempt, so that the change of others stays."""
        account = account_of("A")
        account.fail("any", fault, after=2, retry_after=8 if fault == 429 else None)
        others = iter([{"permissions": ["ROLE_READ", "TAG_READ"]}])

        def meddle() -> bool:
            if len(account.calls) >= 3 and (fields := next(others, None)):
                change(account, "A", **fields)
            return False

        result = await ended(FakeRolesClient(account), wanted, meddle)
        assert result.may_have_been_made is (fault != 429)
        assert "was changed since the plan was made" in (result.reason or "")
        assert contents(account) == {"A": (None, frozenset({"ROLE_READ", "TAG_READ"}))}

    @both_clients
    @pytest.mark.parametrize("fault", [429, "lost"])
    async def test_again(self, connect: Connect, fault: Literal[429, "lost"]) -> None:
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
        result = await ended(FakeRolesClient(account), self.UPDATE, lambda: passed(account) > 1)
        assert passed(account) < 2
        assert result.not_reached == result.plan.changes
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

        result = await ended(FakeRolesClient(account), self.UPDATE, stop)
        assert [call.operation for call in account.calls] == ["list", "get", "update", "get"]
        assert result.failed is None

    async def test_stopped_open(self) -> None:
        """Where an attempt may have made the change, the result says so."""
        account = account_of("A")
        account.fail("update", "lost")
        roles = FakeRolesClient(account)
        result = await ended(roles, self.UPDATE, lambda: bool(account.calls_of("update")))
        assert str(result.failed) == 'update "A"'
        assert result.may_have_been_made is True

    async def test_refused_for_long(self) -> None:
        """A rate limit ends a change at the client's own limit, and never leaves it open."""
        account = account_of("A")
        account.fail("update", 429, times=None)
        error = await failure(FakeRolesClient(account, timeout=5), self.UPDATE)
        assert isinstance(error.__cause__, RateLimitError)
        assert error.result.may_have_been_made is False
        assert 3 < passed(account) < 6

    async def test_limited(self) -> None:
        """A 429 is waited out for a second at least, but not by a client that tries once."""
        account = account_of("A")
        account.fail("update", 429, retry_after=0, times=2)
        await failure(FakeRolesClient(account, retry=RetryPolicy(attempts=1)), self.UPDATE)
        assert passed(account) < 1
        assert len((await apply(FakeRolesClient(account), self.UPDATE)).made) == 1
        assert passed(account) >= 1

    async def test_attempts(self) -> None:
        """There are as many attempts as the client's policy has, and a 503 was none."""
        account = account_of("A")
        account.fail("update", 503, times=None)
        error = await failure(FakeRolesClient(account, timeout=None), self.UPDATE)
        assert len(account.calls_of("update")) == 3
        assert isinstance(error.__cause__, ServerError)

    async def test_other_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client of somebody else waits, too, with the default options."""
        account, sleep = account_of("A"), AsyncMock()
        account.fail("update", 503, retry_after=8)
        monkeypatch.setattr("anyio.sleep", sleep)
        methods = ["list", "get", "create", "update", "delete", "with_options"]
        other = Mock(spec=methods, wraps=FakeRolesClient(account))
        assert len((await apply(other, self.UPDATE)).made) == 1
        assert sum(call.args[0] for call in sleep.await_args_list) == pytest.approx(8)

    async def test_no_time(self) -> None:
        """A call that has used up its time is not made again."""
        account = account_of("A")
        account.fail("get", "silent", times=None)
        await failure(FakeRolesClient(account, timeout=5), self.UPDATE)
        assert len(account.calls_of("get")) == 1


class TestLostCreate:
    """A create whose answer was lost is looked for in the list before it is made again."""

    @both_clients
    async def test_made(self, connect: Connect) -> None:
        """A role that is there as declared is the one that was made, and the result has its ID."""
        account = account_of()
        account.fail("create", "lost", when="after", every_attempt=True)
        async with connect(account, retry=RetryPolicy()) as roles:
            first, second = (await apply(roles, declaration("A", "B"))).made
        assert contents(account) == {"A": (None, HELD), "B": (None, HELD)}
        ids = [role.id for role in account.roles]
        assert [second.created_id, first.to_dict()["id"]] == ids

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
        result = await ended(Late(account), declaration("A"))
        assert [bool(result.made), result.may_have_been_made] == [is_made, not is_made]
        expected = None if is_made else '"A" is not as declared: it gained DATASET_READ'
        assert result.reason == expected


class TestMeanwhile:
    """Somebody else changes a role between the plan and its change."""

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
            error = await failure(roles, wanted, on_change=rename)
        result = error.result
        assert texts(result.made) == ['update "A"']
        assert str(result.failed) == 'delete "Temp Analyst"'
        assert texts(result.not_reached) == ['create "New"']
        assert str(error) == (
            'made: 1 of 3, not reached: 1; delete "Temp Analyst" was not made: '
            '"Temp Analyst" was changed since the plan was made: its name is '
            '"Incident Responders", it gained ROLE_DELETE; not reached: create "New"'
        )
        assert set(contents(account)) == {"A", "Incident Responders"}

    @pytest.mark.parametrize(
        ("theirs", "drift"),
        [
            ({"permissions": ["ROLE_READ", "TAG_READ", "TAG_CREATE"]}, "it gained TAG_CREATE"),
            (
                {"permissions": ["ROLE_READ"], "description": "Theirs."},
                'it lost TAG_READ, its description is "Theirs."',
            ),
        ],
    )
    async def test_changed(self, theirs: dict[str, Any], drift: str) -> None:
        """A permission that somebody else gave or took stays so, and so does their description."""
        account = account_of()
        account.add_role("A", ["ROLE_READ", "TAG_READ"], description="Old")
        wanted = declared("A", permissions=["ROLE_READ", "TAG_READ", "DATASET_READ"])
        error = await failure(
            FakeRolesClient(account),
            declaration(wanted),
            on_plan=lambda _: change(account, "A", **theirs),
        )
        assert isinstance(error.__cause__, StalePlanError)
        assert str(error) == (
            'made: 0 of 1, not reached: 0; update "A" was not made: '
            f'"A" was changed since the plan was made: {drift}'
        )
        assert len(changes(account)) == 1

    async def test_gone(self) -> None:
        """A role that somebody else deleted is not updated."""
        account = account_of("A")
        roles = FakeRolesClient(account)
        error = await failure(roles, TestWaiting.UPDATE, on_plan=lambda _: remove(account, "A"))
        assert str(error).endswith(
            'update "A" was not made: "A" was deleted since the plan was made'
        )

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

        result = await ended(Unknown(account_of("A")), declaration(absent=["A"]))
        assert [len(result.made), result.may_have_been_made] == [is_made, not is_made]

    @pytest.mark.parametrize(
        ("wanted", "sent"), [(TestWaiting.DELETE, "delete"), (TestWaiting.UPDATE, "update")]
    )
    async def test_made(self, wanted: Declaration, sent: str) -> None:
        """A change that somebody else made first is done, and is not sent again."""
        account = account_of("A")

        def meddle(_: object) -> None:
            if sent == "delete":
                remove(account, "A")
            else:
                change(account, "A", permissions=[*WIDER])

        result = await apply(FakeRolesClient(account), wanted, on_plan=meddle)
        assert len(result.made) == 1
        assert [operation for operation, _ in changes(account)] == [sent]


class TestGateway:
    @pytest.mark.parametrize(
        ("error", "may_be"),
        [
            (ForbiddenError("No.", status=403, from_service=True), False),
            (ForbiddenError("No.", status=403), True),
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

        assert (
            await failure(Failing(account_of()), declaration("A"))
        ).result.may_have_been_made is may_be
