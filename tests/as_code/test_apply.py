"""Plans that are made, how each change ends, and what a run says of it."""

import asyncio
import contextlib
import json
from typing import Any, Final, cast
from urllib.parse import quote

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    Role,
    Timeouts,
    as_code,
)
from arize_roles_async.as_code import Declaration, apply, plan
from arize_roles_async.as_code.apply import Run
from arize_roles_fake import FakeRolesClient
from arize_roles_fake._service.service import Operation
from tests.as_code.accounts import (
    MIXED,
    WIDER,
    account_of,
    changes,
    contents,
    declaration,
    declared,
    ended,
    mixed_account,
    role_id,
)
from tests.support.clients import Connect, answer, both_clients

UPDATE: Final = declaration(declared("A", permissions=WIDER), declared("B", permissions=WIDER))
DELETE: Final = declaration(absent=["A", "B"])
CREATE: Final = declaration("X", "Y")
WANTED: Final[dict[Operation, tuple[Declaration, str]]] = {
    "create": (CREATE, "X"),
    "update": (UPDATE, "A"),
    "delete": (DELETE, "A"),
}


@both_clients
async def test_all(connect: Connect) -> None:
    """Each role is read first, an update sends what differs, and each change is told."""
    account, told = mixed_account(), list[str]()
    async with connect(account) as roles:

        def tell(change: object) -> None:
            told.append(f"{change}: {len(changes(account))}")

        await apply(roles, MIXED, on_change=tell)
        again = await plan(roles, MIXED)
    assert again.changes == ()
    asked = " ".join(call.operation for call in account.calls)
    assert asked == "list get update get update get delete get delete create list"
    wider = {"permissions": ["DATASET_READ", "ROLE_READ"], "description": None}
    assert changes(account) == [
        ("update", {"role_id": role_id("B old"), "name": "B"}),
        ("update", {"role_id": role_id("C"), **wider}),
        *(("delete", {"role_id": role_id(name)}) for name in "DE"),
        ("create", {"name": "New", "permissions": ["ROLE_READ"]}),
    ]
    done = ('update "B old" -> "B"', 'update "C"', 'delete "D"', 'delete "E"', 'create "New"')
    assert told == [f"{each}: {n}" for n, each in enumerate(done, 1)]


PAGE: Final = {"body": "<html>"}
"""The answer of a gateway."""
ENDS: Final[dict[str, list[tuple[Any, dict[str, Any]]]]] = {
    "refused": [(400, {}), (403, {}), (409, {}), (422, {})],
    "failed": [(401, {}), (429, {}), (503, {}), ("refused", {}), (429, PAGE)],
    "open": [(500, {"times": 1}), (502, {}), ("lost", {}), (403, PAGE), (404, PAGE), (503, PAGE)],
    "made": [("lost", {"when": "after"}), (503, {"times": 2})],
}
"""How a change ends, by what its requests meet."""


@pytest.mark.parametrize(
    ("end", "fault"), [(end, each) for end, faults in ENDS.items() for each in faults]
)
@pytest.mark.parametrize("operation", WANTED)
async def test_ends(operation: Operation, end: str, fault: tuple[Any, dict[str, Any]]) -> None:
    """A refusal stops one change; any other failure may meet every change, and ends the run."""
    account = account_of("A", "B")
    wanted, name = WANTED[operation]
    options: dict[str, Any] = {"about": name, "times": None, **fault[1]}
    account.fail(operation, fault[0], **options)
    result = await ended(FakeRolesClient(account), wanted)
    first, second = result.plan.changes
    goes_on = end in {"refused", "made"}
    assert [each.change for each in result.refused] == [first] * (end == "refused")
    is_blocked = (operation, fault) == ("delete", (409, {}))
    assert any(each.is_blocked for each in result.refused) is is_blocked
    assert (result.failed, result.not_reached) == ((None, ()) if goes_on else (first, (second,)))
    assert [*result.made] == [first] * (end == "made") + [second] * goes_on
    assert result.may_have_been_made is (end == "open")


async def test_refused_look() -> None:
    """Only the answer to a delete says that users have the role, and not that to a look at it."""
    account = account_of("A", "B")
    account.fail("get", 409, about="A")
    result = await ended(FakeRolesClient(account), DELETE)
    assert [each.is_blocked for each in result.refused] == [False]


async def test_refused_in_doubt() -> None:
    """A refusal does not show that an earlier request, without an answer, changed nothing."""
    account = account_of("A", "B")
    account.fail("update", "lost", about="A")
    account.fail("update", 403, about="A")
    result = await ended(FakeRolesClient(account), UPDATE)
    assert (result.failed is None, result.may_have_been_made) == (False, True)


async def test_contradicted() -> None:
    """A change that is answered with another role than was asked is not taken for made."""

    class Contradicting(FakeRolesClient):
        async def update(self, **fields: Any) -> Role:  # noqa: ANN401
            return attrs.evolve(await super().update(**fields), permissions=(), description="Other")

    result = await ended(Contradicting(account_of("A", "B")), UPDATE)
    assert result.may_have_been_made is True
    assert result.reason == "the answer has a different description and permissions"


async def test_callback_raises() -> None:
    """A change counts as made before its callback is called, which may raise."""
    account = account_of("A", "B")
    account.fail("update", 503, times=2, retry_after=5)
    run = Run(FakeRolesClient(account), await plan(FakeRolesClient(account), UPDATE))

    def fail(_: object) -> None:
        assert run.waits_for is None
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run.finish(fail)
    result = run.result
    assert [*map(str, result.made), result.failed] == ['update "A"', None]
    assert [*map(str, result.not_reached)] == ['update "B"']


async def test_first_cause() -> None:
    """The cause of the error is the first of two refusals."""
    account = account_of("A", "B")
    for status in (409, 400):
        account.fail("update", status)
    with pytest.raises(as_code.ApplyError) as caught:
        await apply(FakeRolesClient(account), UPDATE)
    assert type(caught.value.__cause__) is ConflictError


async def test_dependent() -> None:
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
    with pytest.raises(as_code.ApplyError) as caught:
        await apply(FakeRolesClient(account), wanted)
    reason = str(caught.value.__cause__)
    assert reason.startswith("PATCH /v2/roles/")
    assert str(caught.value) == (
        f'made: 1 of 4, not reached: 2; update "C" was not made: {reason}; '
        'not reached: update "B"; not reached: update "A"'
    )
    data = json.loads(json.dumps(caught.value.result.to_dict()))
    assert list(data) == [
        *("format_version", "account", "host", "checksum", "made", "refused", "failed"),
        *("may_have_been_made", "not_reached", "reason"),
    ]
    assert data["refused"][0]["change"]["after"]["name"] == "C"


@pytest.mark.parametrize(
    ("there", "stripped", "limit", "is_refused"),
    [
        *((10, 3, None, False), (10, 4, None, True), (9, 9, None, False)),
        *((10, 4, "40%", False), (10, 5, "40%", True)),
        *((10, 4, 4, False), (10, 4, 3, True), (5, 1, 0, True)),
    ],
)
async def test_removals(
    there: int, stripped: int, limit: int | str | None, *, is_refused: bool
) -> None:
    """The limit is a number or a share, and 30 % of ten or more roles unless given."""
    account = account_of()
    for n in range(there):
        account.add_role(f"Role {n}", ["ROLE_READ", "TAG_READ"])
    wanted = declaration(*(f"Role {n}" for n in range(stripped)))
    with contextlib.suppress(as_code.TooManyRemovalsError):
        await apply(FakeRolesClient(account), wanted, max_removals=limit)
    assert (changes(account) == []) is is_refused


async def test_gone_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that a delete with an unknown outcome did not find is deleted, whoever did it."""
    roles = FakeRolesClient(account_of("A"))

    async def delete(_: object, *, role_id: str) -> None:
        assert answer(roles.account, f"DELETE /v2/roles/{quote(role_id)}")[0] == 204
        raise OutcomeUnknownError from NotFoundError()

    monkeypatch.setattr(FakeRolesClient, "delete", delete)
    assert len((await apply(roles, declaration(absent=["A"]))).made) == 1


class TestWaiting:
    @pytest.mark.parametrize(
        ("fault", "options", "attempts", "seconds"),
        [
            *((503, {}, 3, 10.0), (429, {}, 20, 95.0)),
            (503, {"retry": RetryPolicy(attempts=5)}, 5, 20.0),
            (429, {"retry": RetryPolicy(attempts=1)}, 1, 0.0),
            (503, {"retry": RetryPolicy(max_retry_after=4.0)}, 1, 0.0),
            (503, {"timeout": Timeouts(total=4.0)}, 1, 0.0),
        ],
    )
    async def test_attempts(
        self, fault: int, options: dict[str, Any], attempts: int, seconds: float
    ) -> None:
        """A change waits between attempts, which end with the policy, the time or a long wait."""
        account = account_of("A", "B")
        account.fail("update", fault, times=None, retry_after=5)
        began, given = account.now(), cast("Any", {"timeout": None, **options})
        await ended(FakeRolesClient(account, **given), UPDATE)
        assert len(account.calls_of("update")) == attempts
        assert (account.now() - began).total_seconds() >= seconds

    async def test_closed(self) -> None:
        """The grace of a client that is closed is for the change under way, also in a wait."""
        account = account_of("A", "B")
        account.fail("update", 429, retry_after=8)
        roles, closing = FakeRolesClient(account), list[asyncio.Task[None]]()

        def close() -> None:
            if account.calls_of("update") and not closing:
                closing.append(asyncio.create_task(roles.aclose(grace=20)))

        result = await ended(roles, UPDATE, close)
        assert [*map(str, result.made), str(result.failed)] == ['update "A"', 'update "B"']
        assert result.reason == "the client is closed"
        await closing[0]


class TestMeanwhile:
    """Somebody else acts between the plan and its first change."""

    @pytest.mark.parametrize(
        ("wanted", "theirs", "reason"),
        [
            (UPDATE, {"permissions": WIDER}, None),
            (DELETE, None, None),
            (UPDATE, None, '"A" was deleted since the plan was made'),
            (
                UPDATE,
                {"name": "Theirs", "permissions": ["ROLE_READ", "TAG_READ"]},
                '"A" has another name and permissions since the plan was made',
            ),
            (DELETE, {"description": "X"}, '"A" has another description since the plan was made'),
            (CREATE, {"name": "X"}, None),
            (CREATE, {"name": "X", "permissions": WIDER}, "POST /v2/roles answered 409 "),
        ],
    )
    async def test_changed(
        self, wanted: Declaration, theirs: dict[str, Any] | None, reason: str | None
    ) -> None:
        """What somebody else made as declared counts as made; all else of theirs stays."""
        account = account_of("A")
        wanted = attrs.evolve(wanted, roles=wanted.roles[:1], absent=wanted.absent[:1])
        kept: list[object] = []

        def meddle() -> None:
            if theirs is None:
                answer(account, f"DELETE /v2/roles/{role_id('A')}")
            else:
                fields: dict[str, Any] = {"name": "A", "permissions": ["ROLE_READ"], **theirs}
                account.add_role(**fields, id=role_id("A"))
            kept.append(contents(account))

        result = await ended(FakeRolesClient(account), wanted, meddle)
        reasons = [each.reason[: len(reason or "")] for each in result.refused]
        assert reasons == ([reason] if reason else [])
        assert len(result.made) == (reason is None)
        assert contents(account) == kept[0]

    async def test_gone(self) -> None:
        """A delete counts as made if the role is gone, whoever deleted it after the look."""
        account = account_of("A", "B")
        account.fail("delete", 404, about="A")
        assert len((await ended(FakeRolesClient(account), DELETE)).made) == 2
