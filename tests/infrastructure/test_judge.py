"""The judge can say no: in each of its columns, to calls made up and to clients that lie."""

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    PaginationMetadata,
    Role,
    RoleRenamedError,
    RolesConnectionError,
)
from tests.infrastructure import liars
from tests.infrastructure.load import MakeCall
from tests.infrastructure.scenarios import SCENARIOS, Scenario, run
from tests.support.judge import Call, Judge, Row
from tests.support.proxies import missing
from tests.support.upstream import Behaviour, Entry

pytestmark = pytest.mark.usefixtures("unmeasured")

JUDGE = Judge(total=1.0, secrets=("hunter2",))
CLEAR = Judge(total=1.0, clear=True)
RESENDING = Judge(total=1.0, resends=True)
UNKNOWN = OutcomeUnknownError("it may have been made")
GONE = NotFoundError("gone")
RENAMED = RoleRenamedError("renamed", name="Role", renamed_to="New")
REFUSED = RolesConnectionError("no connection")


TIMES = {"started": 10.0, "ended": 11.0}


def role(mark: str = "mark", *, id: str = "id-1", name: str = "Role") -> Role:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Role(
        id=id,
        name=name,
        description=mark,
        permissions=(),
        is_predefined=False,
        created_at=moment,
        updated_at=moment,
    )


def entry(
    method: str,
    at: float,
    *,
    mark: str = "mark",
    id: str = "id-1",
    name: str = "Role",
    status: int = 0,
    retry: str = "0",
) -> Entry:
    """Return what the service journals of a change to a role."""
    answer = {"id": id, "name": name, "description": mark}
    return Entry(
        at=at,
        wall=at,
        method=method,
        target="/v2/roles" if method == "POST" else f"/v2/roles/{id}",
        body="" if method == "DELETE" else json.dumps({"description": mark}),
        retry=retry,
        status=status or {"POST": 201, "PATCH": 200, "DELETE": 204}[method],
        answer="" if method == "DELETE" else json.dumps(answer),
    )


def call(operation: str, outcome: object = None, **more: object) -> Call:
    """Return a call from 10 to 11 that returned or raised `outcome`."""
    error = outcome if isinstance(outcome, BaseException) else None
    result = None if error else outcome
    of_a_role = {} if operation in {"create", "list"} else {"role_id": "id-1"}
    mark = "id-1" if operation == "delete" else "mark"
    given: dict[str, Any] = {
        "mark": mark,
        "name": "Role",
        "started": 10.0,
        "ended": 11.0,
        **of_a_role,
        **more,
    }
    return Call(operation=operation, result=result, error=error, **given)


THERE = entry("POST", 1.0, mark="seed")
CREATED = entry("POST", 10.5)
UPDATED = entry("PATCH", 10.5)
DELETED = entry("DELETE", 10.5)
TAKEN = entry("POST", 10.6, status=409)


def page(*roles: Role) -> ListRolesResponse:
    return ListRolesResponse(roles=roles, pagination=PaginationMetadata(has_more=False))


@pytest.mark.parametrize(
    ("judge", "outcome", "journal"),
    [
        (JUDGE, call("create", role()), [CREATED]),
        (JUDGE, call("create", UNKNOWN), [CREATED]),
        (JUDGE, call("create", UNKNOWN), []),
        (JUDGE, call("create", REFUSED), []),
        (JUDGE, call("create", ConflictError("taken")), [THERE]),
        (JUDGE, call("update", role()), [THERE, UPDATED]),
        (JUDGE, call("update", GONE), [THERE, entry("DELETE", 5.0)]),
        (JUDGE, call("delete"), [THERE, DELETED]),
        (JUDGE, call("delete", GONE), []),
        (JUDGE, call("get", role("seed")), [THERE]),
        (JUDGE, call("get", role()), [THERE, UPDATED]),
        (JUDGE, call("get", GONE), [THERE, entry("DELETE", 10.5, mark="x")]),
        (JUDGE, call("list", page(role("seed"))), [THERE]),
        (CLEAR, call("create", REFUSED), []),
        (JUDGE, call("update", role(), by_name=True), [THERE, UPDATED]),
        (JUDGE, call("update", RENAMED, by_name=True), [THERE, entry("PATCH", 10.5, name="New")]),
        (JUDGE, call("update", GONE, by_name=True), [entry("POST", 10.5, mark="x")]),
        (JUDGE, call("update", GONE, by_name=True), [THERE, entry("PATCH", 5.0, name="New")]),
        (
            RESENDING,
            call("create", ConflictError("taken")),
            [CREATED, entry("POST", 10.6, status=409)],
        ),
    ],
)
def test_true(judge: Judge, outcome: Call, journal: list[Entry]) -> None:
    """A true outcome leads to no complaint."""
    assert judge.judge([outcome], journal).complaints == []


@pytest.mark.parametrize(
    ("judge", "outcome", "journal", "why"),
    [
        (JUDGE, call("create", role()), [], "it made []"),
        (JUDGE, call("create", role()), [THERE], "it made []"),
        (JUDGE, call("create", role(id="id-2")), [CREATED], "it made ['id-1']"),
        (JUDGE, call("create", role()), [entry("POST", 12.0)], "it made []"),
        (JUDGE, call("create", REFUSED), [CREATED], "it says that nothing happened, and it did"),
        (JUDGE, call("create", REFUSED), [entry("POST", 99.0)], "it says that nothing happened"),
        (JUDGE, call("create", ConflictError("taken")), [CREATED], "it says that nothing happened"),
        (JUDGE, call("create", ConflictError("taken")), [], "nothing was in its way"),
        (JUDGE, call("create", GONE), [], "nothing was looked for"),
        (JUDGE, call("update", role()), [THERE], "it changed nothing"),
        (JUDGE, call("update", role("other")), [THERE, UPDATED], "it changed something else"),
        (JUDGE, call("update", GONE), [THERE], "the role was there all the time"),
        (JUDGE, call("update", ConflictError("taken")), [THERE], "nothing was in its way"),
        (JUDGE, call("update", role(name="New"), by_name=True), [THERE, UPDATED], "something else"),
        (JUDGE, call("update", RENAMED, by_name=True), [THERE, UPDATED], "it changed ['Role']"),
        (JUDGE, call("update", RENAMED, by_name=True), [THERE], "it changed []"),
        (JUDGE, call("update", GONE, by_name=True), [THERE], "a role had the name all the time"),
        (JUDGE, call("create", role()), [entry("POST", 1.0)], "it made []"),
        (JUDGE, call("delete"), [THERE], "it deleted nothing"),
        (JUDGE, call("delete", GONE), [THERE], "the role was there all the time"),
        (JUDGE, call("delete", GONE), [THERE, DELETED], "it says that nothing"),
        (JUDGE, call("get", UNKNOWN), [THERE], "nothing was changed"),
        (JUDGE, call("get", role()), [THERE], "was never so"),
        (JUDGE, call("get", role("seed")), [THERE, entry("PATCH", 5.0)], "was never so"),
        (JUDGE, call("get", role("seed", id="id-2")), [THERE], "no role id-2"),
        (JUDGE, call("get", GONE), [THERE], "the role was there all the time"),
        (JUDGE, call("list", page(role("other"))), [THERE], "was never so"),
        (JUDGE, call("list"), [], "it returned something else"),
        (CLEAR, call("create", UNKNOWN), [], "all is known"),
        (JUDGE, call("update", role()), [THERE, UPDATED, UPDATED], "more than once for one"),
    ],
)  # fmt: skip
def test_wrong(judge: Judge, outcome: Call, journal: list[Entry], why: str) -> None:
    """The judge counts a false outcome as wrong, and says why."""
    (wrong,) = judge.judge([outcome], journal).wrong

    assert why in wrong


class TestColumns:
    def test_foreign(self) -> None:
        """An exception that is not one of the library's is foreign."""
        assert len(JUDGE.judge([call("create", OSError("broken"))], []).foreign) == 1

    def test_overrun(self) -> None:
        """A call that ends well after its total limit has overrun it."""
        assert len(JUDGE.judge([call("create", REFUSED, ended=13.0)], []).overruns) == 1

    def test_secret_in_error(self) -> None:
        """A secret in an error, or in what caused it, is found."""
        error = RolesConnectionError("no connection")
        error.__cause__ = OSError("refused for hunter2")

        assert JUDGE.judge([call("create", error)], []).secrets == (
            "create mark: RolesConnectionError",
        )

    def test_secret_in_result(self) -> None:
        """A secret in what a call returned is found."""
        assert len(JUDGE.judge([call("get", role("hunter2"))], []).secrets) == 1

    def test_secret_in_log(self) -> None:
        """A secret in another text is found, and the text is named."""
        assert JUDGE.judge([], [], {"a log": "so hunter2"}).secrets == ("a log",)

    def test_late(self) -> None:
        """An effect that comes after the call has ended is late."""
        late = [THERE, UPDATED, entry("PATCH", 12.0, retry="1")]

        assert len(JUDGE.judge([call("update", role())], late).late) == 1

    def test_resent(self) -> None:
        """An outcome that is false because a proxy resent the request is counted apart."""
        twice = [THERE, DELETED, entry("DELETE", 10.6, status=404)]
        verdict = RESENDING.judge([call("delete", GONE)], twice)

        assert (verdict.wrong, len(verdict.resent)) == ((), 2)

    def test_cancelled(self) -> None:
        """Of a call that its caller gave up nothing is wrong, and late effects count."""
        outcome = call("update", TimeoutError(), cancelled=True)
        verdict = JUDGE.judge([outcome], [THERE, entry("PATCH", 12.0)])

        assert (verdict.complaints, len(verdict.late)) == ([], 1)

    def test_row(self) -> None:
        """A verdict is a row of counts."""
        row = Row(scenario="name", verdict=JUDGE.judge([call("create", REFUSED)], []))

        assert row.cells() == (
            *("name", "1", "0", "RolesConnectionError 1", "0", "0", "0", "0", "0", "0"),
        )


def scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


# The answer of every third request is lost, and each is sent once.
LOST = attrs.evolve(
    scenario("answers lost"), behaviour=Behaviour(lose_every=3), attempts=1, calls=24
)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("scenario", "liar", "column"),
    [
        (scenario("pages: 503, 503, 503"), liars.claimer, "wrong"),
        (LOST, liars.denier, "wrong"),
        (LOST, liars.repeater, "wrong"),
        (scenario("413"), liars.evader, "wrong"),
        (scenario("413"), liars.guesser, "wrong"),
        (scenario("nothing there"), liars.blurter, "foreign"),
        (scenario("nothing there"), liars.blurter, "secrets"),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
async def test_liar(scenario: Scenario, liar: MakeCall, column: str) -> None:
    """A client that lies is caught; `test_scenarios` makes the same calls without it."""
    if reason := missing(*scenario.needs):
        pytest.skip(reason)

    outcome = await run(scenario, make_call=liar)

    assert getattr(outcome.verdict, column) != ()
