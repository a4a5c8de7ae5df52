"""Recordings of a service: what they hold, what they leave, and how they differ from the fake."""

import asyncio
import functools
import gc
import itertools
import json
import random
import signal
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from arize_roles_async import (
    AuthenticationError,
    Permission,
    RateLimitError,
    Request,
    Response,
    RolesTimeoutError,
    ServerError,
    StatusError,
    Timeouts,
)
from arize_roles_async._aiohttp.client import AiohttpTransport
from arize_roles_fake import Assumptions, FakeAccount, LoggedCall, Reply, RolesServer
from arize_roles_fake.__main__ import main
from arize_roles_fake._recording.compare import compare
from arize_roles_fake._recording.record import (
    Answer,
    Recorded,
    Recording,
    decode,
    encode,
    record,
    record_service,
)
from arize_roles_fake._recording.script import SCRIPT, Step
from arize_roles_fake._service.wire import problem_response
from tests.support.sizes import sized

TITLE_400 = "Invalid request parameters"
ODD_ID = "<A.id, not base64 with a colon inside>"
ODD_TIME = "<not a time with an offset>"

AnswerOf = Callable[[Request, Response], Response]


class OtherAccount(FakeAccount):
    """An account that differs from the fake in one point, to stand in for the service."""

    def __init__(self, answer_of: AnswerOf) -> None:
        super().__init__()
        self.answer_of = answer_of

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        answer = self.answer_of(request, reply)
        return msgspec.structs.replace(
            reply, status=answer.status, headers=answer.headers, body=answer.body
        )


def as_assumed(_: Request, answer: Response) -> Response:
    return answer


def bodies_are_422(request: Request, answer: Response) -> Response:
    if answer.status == 400 and request.method != "GET":
        return problem_response(422, "said in other words")
    return answer


def fields_are_added(_: Request, answer: Response) -> Response:
    if answer.status == 201:
        body = {**json.loads(answer.body), "owner": "somebody@example.com"}
        return Response(status=201, headers=answer.headers, body=json.dumps(body).encode())
    return answer


def ids_are_numbers(_: Request, answer: Response) -> Response:
    if answer.status != 201:
        return answer
    body = {**json.loads(answer.body), "id": "17", "created_at": "yesterday"}
    return Response(status=201, headers=answer.headers, body=json.dumps(body).encode())


def deletion_is_text(_: Request, answer: Response) -> Response:
    if answer.status != 204:
        return answer
    return Response(status=200, headers={"Content-Type": "text/plain"}, body=b"gone")


def recorded(
    answer_of: AnswerOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    account: FakeAccount | None = None,
    *,
    statuses: Collection[int] = (0,),
) -> Path:
    """Record a service over HTTP with the command, and return the file."""
    file = tmp_path / "recording.json"
    with RolesServer(account or OtherAccount(answer_of)) as server:
        monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
        assert main(["record", "--base-url", server.url, "--out", str(file)]) in statuses
    return file


def test_as_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that is as assumed does not differ."""
    file = recorded(as_assumed, tmp_path, monkeypatch)
    assert main(["compare", str(file)]) == 0
    assert capsys.readouterr().out == (
        f"{len(SCRIPT)} answers are in {file}\n0 differences in {len(SCRIPT)} answers\n"
    )


# What the recording of each has, and the fake has not.
DIFFERENCES: dict[AnswerOf, list[tuple[str, str, str]]] = {
    bodies_are_422: [
        ("an empty name: status", "422", "400"),
        ("a missing name: body.title", "'Unprocessable Entity'", f"{TITLE_400!r}"),
    ],
    fields_are_added: [("the newest role: body.owner", "'<str>'", "'<absent>'")],
    ids_are_numbers: [
        ("a new role: body.id", f"{ODD_ID!r}", "'<A.id>'"),
        ("the newest role: body.created_at", f"{ODD_TIME!r}", "'<time>'"),
    ],
    deletion_is_text: [
        ("deleting a role: body", "'<not a JSON object>'", "'<empty>'"),
        ("deleting a role: content_type", "'text/plain'", "None"),
    ],
}


@pytest.mark.parametrize("answer_of", sized([*DIFFERENCES][::3], [*DIFFERENCES]))
def test_otherwise(
    answer_of: AnswerOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A service that assumes otherwise differs there."""
    file = recorded(answer_of, tmp_path, monkeypatch)
    assert main(["compare", str(file)]) == 1
    lines = {line.partition(" (--assume ")[0] for line in capsys.readouterr().out.splitlines()}
    assert lines >= {
        f"{where} is {was} in the recording and {now} in the fake"
        for where, was, now in DIFFERENCES[answer_of]
    }


def test_nothing_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording holds no key, and no role of others."""

    def tells_all(request: Request, answer: Response) -> Response:
        if request.method == "PATCH":  # Shows a role that is not the script's.
            return Response(status=200, headers={}, body=json.dumps(foreign).encode())
        if answer.status == 404:
            problem = {"title": "your key is Bearer sesame", "status": 404}
            return Response(status=404, headers={}, body=json.dumps(problem).encode())
        return answer

    account = OtherAccount(tells_all)
    account.add_key("sesame")
    account.remove_key(account.api_key)
    account.add_role("Private", [Permission.USER_DELETE], description="Nobody knows.")
    foreign = {"id": "Um9sZTo5OTph", "name": "Private too", "description": "Nobody knows."}
    text = recorded(tells_all, tmp_path, monkeypatch, account).read_text("utf-8")
    for secret in ("sesame", "Private", "Nobody knows", "USER_DELETE", "Um9sZTo5OTph", "Annotator"):
        assert secret not in text
    assert '"<another role>"' in text
    assert '"your key is Bearer [API key]"' in text


class TestHarmsNobody:
    """Whatever a service answers, what is not the script's own stays as it is."""

    def test_account_as_before(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every role of the run is deleted again, also where a listing is long."""
        account = OtherAccount(as_assumed)
        for number in range(150):
            account.add_role(f"there {number}")
        before = account.roles
        recorded(as_assumed, tmp_path, monkeypatch, account)
        assert account.roles == before

    def test_unmarked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A role without the run's mark is not deleted, although it was answered as created."""

        def lenient(request: Request, answer: Response) -> Response:
            if answer.status != 400 or request.method != "POST":
                return answer
            role = account.add_role(f"odd {len(account.roles)}")
            body = json.dumps({"id": role.id, "name": role.name}).encode()
            return Response(status=201, headers=answer.headers, body=body)

        account = OtherAccount(lenient)
        recorded(lenient, tmp_path, monkeypatch, account)
        assert {role.name.split()[0] for role in account.roles if not role.is_predefined} == {"odd"}
        left = "may be left behind: an empty name: a role was created without the run's mark"
        assert left in capsys.readouterr().err.splitlines()

    def test_nothing_created(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Steps that need a role which was not created are skipped and named, with a status."""
        account = OtherAccount(as_assumed)
        account.max_custom_roles = 0
        recorded(as_assumed, tmp_path, monkeypatch, account, statuses=[1])
        assert not account.calls_of("delete")
        assert {call.role for call in account.calls_of("update")} == {"Project Admin"}
        skipped = "skipped, since an earlier answer lacked a value for it: deleting a role"
        lines = capsys.readouterr().err.splitlines()
        assert skipped in lines
        assert lines[-1] == "compare refuses a recording with skipped steps"

    def test_not_deleted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Roles that the key may not delete again are named by what their names hold."""
        account = OtherAccount(as_assumed)
        account.add_key(account.api_key, grants=["ROLE_READ", "ROLE_CREATE"])
        recorded(as_assumed, tmp_path, monkeypatch, account)
        mark = account.calls_of("create")[0].arguments["name"].removesuffix(" A")
        said = capsys.readouterr().err
        assert said.splitlines() == [f"may be left behind: roles whose names hold {mark!r}"]
        assert all(mark in role.name for role in account.roles if not role.is_predefined)

    def test_deleted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Roles that the script deleted are not deleted again, whatever status unknown IDs have."""
        account = FakeAccount(assumptions=Assumptions(unknown_id=400))
        recorded(as_assumed, tmp_path, monkeypatch, account)
        assert capsys.readouterr().err == ""
        account.assert_roles({})

    def test_not_cleaned_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Roles of a run whose service stops answering are named, too."""
        account = OtherAccount(as_assumed)
        account.fail("any", "lost", times=None, after=4)
        with RolesServer(account) as server:
            monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
            file = tmp_path / "recording.json"
            assert main(["record", "--base-url", server.url, "--out", str(file)]) == 1
        mark = account.calls_of("create")[0].arguments["name"].removesuffix(" A")
        said = capsys.readouterr().err
        assert said.endswith(f"\nmay be left behind: roles whose names hold {mark!r}\n")

    def test_predefined_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A role that the answer does not call predefined is not renamed, nor to another name."""

        def filter_ignored(request: Request, answer: Response) -> Response:
            if "is_predefined=true" not in request.target:
                return answer
            body = {"roles": [{"id": role.id, "name": role.name, "is_predefined": False}]}
            return Response(status=200, headers={}, body=json.dumps(body).encode())

        account = OtherAccount(filter_ignored)
        role = account.add_role("Private")
        recorded(filter_ignored, tmp_path, monkeypatch, account, statuses=[1])
        assert account.calls_of("update", role=role.name) == ()
        assert account.role("Private") == role

    def test_endless_listing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Cleaning up ends although the listing does not, and deletes no more than was created."""
        pages = itertools.count()

        def endless(request: Request, answer: Response) -> Response:
            if not request.target.startswith("/v2/roles?limit=100") or len(account.calls) < 10:
                return answer
            mark = account.calls_of("create")[0].arguments["name"]
            page = next(pages)
            roles = [{"id": f"Um9sZTo{page}{n}", "name": mark} for n in range(100)]
            body = {"roles": roles, "pagination": {"has_more": True, "next_cursor": str(page)}}
            return Response(status=200, headers={}, body=json.dumps(body).encode())

        account = OtherAccount(endless)
        recorded(endless, tmp_path, monkeypatch, account)
        assert next(pages) == 50
        # Those of the script, and then one for each role that it may have created.
        assert len(account.calls_of("delete")) == len(account.calls_of("create")) + 3

    @pytest.mark.parametrize("seed", range(sized(6, 20)))
    def test_odd_answers(self, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the bodies are, no request harms a role of others, and none is a traceback."""
        chance = random.Random(seed)  # noqa: S311

        def odd(_: Request, answer: Response) -> Response:
            if chance.random() < 0.5:
                return answer
            return Response(
                status=chance.choice([200, 201, 204, 400, 404, 500]),
                headers={"Content-Type": "application/json"},
                body=json.dumps(chance.choice(ODD_BODIES)).encode(),
            )

        account = OtherAccount(odd)
        account.add_role("Private", ["ROLE_READ"], id=FOREIGN_ID)
        before = account.roles
        recorded(odd, tmp_path, monkeypatch, account, statuses=[0, 1])
        assert {*before} <= {*account.roles}
        assert harmful(account) == []

    def test_judge(self) -> None:
        """The judge of the test above sees a change of a role of others."""
        account = FakeAccount()
        account.add_role("Private", id=FOREIGN_ID)
        headers = {"Authorization": f"Bearer {account.api_key}"}
        target = f"/v2/roles/{FOREIGN_ID}"
        account.handle(Request(method="DELETE", target=target, headers=headers))
        assert [call.operation for call in harmful(account)] == ["delete"]


FOREIGN_ID = "Um9sZTo5OTph"
FOREIGN = {"id": FOREIGN_ID, "name": "Private", "is_predefined": False}
DEEP: Any = functools.reduce(lambda inner, _: {"roles": [inner]}, range(200), FOREIGN)
ODD_BODIES: list[Any] = [
    *(None, [], "text", 17, {}, FOREIGN, DEEP, [FOREIGN]),
    {"roles": [FOREIGN], "pagination": {"has_more": True, "next_cursor": "again"}},
    {"roles": [{**FOREIGN, "is_predefined": "true"}], "pagination": None},
    {"roles": [None, 17, {"id": None, "name": None}], "pagination": [1]},
    {"roles": FOREIGN, "pagination": {"next_cursor": 17}},
    {"id": ["x"], "name": {"y": 1}, "permissions": 5, "created_at": 17},
]


def harmful(account: FakeAccount) -> list[LoggedCall]:
    """Return the calls that would change a role which is not a run's own."""
    return [
        call
        for call in account.calls
        if call.operation in {"update", "delete"}
        and "recording " not in (call.role or "recording ")
        and not (call.operation == "update" and call.arguments.get("name") == call.role)
    ]


# The script asks about roles alone.
ASKED = [
    name for name in Assumptions.choices() if name not in {"rebind_to_own_role", "binding_checks"}
]


# `test_assumptions_named` asks for all of them together.
@pytest.mark.parametrize("name", sized(ASKED[::6], ASKED))
def test_assumption_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each difference that an assumption explains names the setting; with all of them none is."""
    value = Assumptions.choices()[name][1]
    assumed = Assumptions.parse([f"{name}={value}"])
    recorded(as_assumed, tmp_path, monkeypatch, FakeAccount(assumptions=assumed))
    assert main(["compare", str(tmp_path / "recording.json")]) == 1
    *differences, _, summary = capsys.readouterr().out.splitlines()[1:]
    assert summary == f"the fake is most like this service with --assume {name}={value}"
    assert differences
    assert all(line.endswith(f" (--assume {name}={value})") for line in differences)


def test_assumptions_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a service that is otherwise in many points, each of them is found."""
    turned: dict[str, Any] = {name: Assumptions.choices()[name][-1] for name in ASKED}
    turned["list_order"] = "newest-first"  # Else both pagings answer the script alike.
    assumed = Assumptions(**turned)
    recorded(as_assumed, tmp_path, monkeypatch, FakeAccount(assumptions=assumed))
    assert main(["compare", str(tmp_path / "recording.json")]) == 1
    *differences, _, summary = capsys.readouterr().out.splitlines()[1:]
    settings = " ".join(f"--assume {name}={value}" for name, value in assumed.changed().items())
    assert summary == f"the fake is most like this service with {settings}"
    assert len(differences) > 20
    assert [line for line in differences if "(--assume " not in line] == []


class TestAssumed:
    """`compare --assume`, with which a run of CI asks for what nobody has explained."""

    @pytest.fixture
    def file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Path:
        """Return the recording of a service that refuses bodies with 422."""
        account = FakeAccount(assumptions=Assumptions(invalid_body=422))
        file = recorded(as_assumed, tmp_path, monkeypatch, account)
        capsys.readouterr()
        return file

    def test_explained(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Differences that the assumptions explain are none, and the exit status is 0."""
        assert main(["compare", str(file), "--assume", "invalid_body=422"]) == 0
        assert capsys.readouterr().out == f"0 differences in {len(SCRIPT)} answers\n"

    def test_unexplained(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A difference that they do not explain is shown, with the assumption that would."""
        assert main(["compare", str(file), "--assume", "unknown_id=400"]) == 1
        *differences, _, summary = capsys.readouterr().out.splitlines()
        assert summary == "the fake is most like this service with --assume invalid_body=422"
        explained = (" (--assume invalid_body=422)", " (--assume unknown_id=404)")
        assert all(line.endswith(explained) for line in differences)

    def test_assumed_wrongly(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An assumption that the service does not share is named as one to leave out."""
        file = recorded(as_assumed, tmp_path, monkeypatch)
        capsys.readouterr()
        assert main(["compare", str(file), "--assume", "unknown_id=400"]) == 1
        *_, summary = capsys.readouterr().out.splitlines()
        assert summary == "the fake is most like this service without --assume"

    def test_no_assumption(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A setting that is none is refused."""
        with pytest.raises(SystemExit) as caught:
            main(["compare", str(file), "--assume", "body=422"])
        assert caught.value.code == 2
        assert "'body' is not an assumption; these are: " in capsys.readouterr().err


def test_assumption_turned_back() -> None:
    """A line names what explains it in the end, not what did so until another explained more."""

    def as_recorded(assumptions: Assumptions, *steps: Step) -> Recording:
        account = FakeAccount(assumptions=assumptions)
        headers = {"Authorization": f"Bearer {account.api_key}"}

        async def send(request: Request) -> Response:
            return account.handle(msgspec.structs.replace(request, headers=headers))

        return asyncio.run(record(send, asyncio.sleep, steps))

    def create(rule: str, name: str, *permissions: str) -> Step:
        return Step(rule=rule, method="POST", body={"name": name, "permissions": permissions})

    # While duplicates are kept, a refused name is nearer to a refused body than a new role is.
    first = create("first", "<run> A", "ROLE_READ")
    other_case = create("other case", "<run> a", "ROLE_READ")
    twice = [create(f"twice {n}", "<run> a", "ROLE_READ", "ROLE_READ") for n in range(3)]
    refused = Assumptions(duplicate_permissions="refused")
    lines, chosen = asyncio.run(compare(as_recorded(refused, first, *twice, other_case)))
    assert chosen == refused
    note = " in the fake (--assume duplicate_permissions=refused)"
    assert [line for line in lines if not line.endswith(note)] == []


def recorded_body(body: bytes, **headers: str) -> Answer:
    """Return what is recorded of an answer with a body."""

    async def send(request: Request) -> Response:
        # A page that is cleaned up from must not be taken for an endless one.
        own = request.target == "/v2/roles"
        return Response(status=200, headers=headers, body=body if own else b"{}")

    step = Step(rule="asked", method="GET")
    recording = asyncio.run(record(send, asyncio.sleep, (step,)))
    (only,) = recording.answers
    return only.answer


class TestAnswer:
    """The recorded part of an answer."""

    def test_content_type(self) -> None:
        """A content type is recorded without its parameters."""
        headers = {"Content-Type": "application/json ; charset=utf-8"}
        assert recorded_body(b"{}", **headers).content_type == "application/json"

    def test_deep(self) -> None:
        """Of a body that is nested deeply, twenty levels are recorded."""
        body = b'{"roles":' * 30 + b"17" + b"}" * 30
        expected: object = "<too deep>"
        for _ in range(21):
            expected = {"roles": expected}
        assert recorded_body(body).body == expected
        expected = "<too deep>"
        for _ in range(20):
            expected = [expected]
        lists = b'{"roles":' + b"[" * 30 + b"]" * 30 + b"}"
        assert recorded_body(lists).body == {"roles": expected}

    def test_values(self) -> None:
        """Of a value that may be anybody's only its type is recorded."""
        body = b'{"a": "x", "b": 1, "c": null, "d": [true, {"e": 0.5}], "status": 200}'
        assert recorded_body(body).body == {
            "a": "<str>",
            "b": "<int>",
            "c": "<NoneType>",
            "d": ["<bool>", {"e": "<float>"}],
            "status": 200,
        }

    def test_foreign(self) -> None:
        """An object with an ID or a name, and without the run's mark, is somebody else's."""
        body = b'{"a": {"id": "x"}, "b": {"name": "y"}, "c": {}, "roles": [{"id": "x"}, 1]}'
        another = "<another role>"
        assert recorded_body(body).body == {"a": another, "b": another, "c": {}, "roles": ["<int>"]}

    @pytest.mark.parametrize(
        ("moment", "kept"),
        [
            ("2026-01-01T00:00:00Z", "<time>"),
            ("2026-01-01T00:00:00", "<not a time with an offset>"),
            (17, "<not a time with an offset>"),
        ],
    )
    def test_times(self, moment: object, kept: str) -> None:
        """A time is recorded as such, if it has an offset."""
        body = json.dumps({"created_at": moment, "updated_at": moment}).encode()
        assert recorded_body(body).body == {"created_at": kept, "updated_at": kept}


@pytest.mark.parametrize(
    ("status", "created"), [(199, False), (200, True), (299, True), (300, False)]
)
def test_created(status: int, created: bool) -> None:  # noqa: FBT001
    """A create with the answer of a success may have left something."""

    async def send(request: Request) -> Response:
        body = b'{"id": "Um9sZTo5OTph", "name": "odd"}' if request.method == "POST" else b"{}"
        return Response(status=status, headers={}, body=body)

    step = Step(rule="making", method="POST", body={"name": "odd"})
    recording = asyncio.run(record(send, asyncio.sleep, (step,)))
    assert bool(recording.left) is created


@pytest.mark.parametrize(
    ("status", "gone"),
    [
        *((199, False), (200, True), (201, False), (202, True), (203, False), (204, True)),
        *((205, False), (403, False), (404, True), (405, False)),
    ],
)
def test_gone(status: int, gone: bool) -> None:  # noqa: FBT001
    """A role is left unless the answer to its deletion says that it is gone, or soon will be."""

    async def send(request: Request) -> Response:
        if request.method == "DELETE":
            return Response(status=status, headers={}, body=b"")
        body = {"id": "Um9sZTo5OTph", **json.loads(request.body or b"{}")}
        return Response(status=201, headers={}, body=json.dumps(body).encode())

    step = Step(rule="making", method="POST", body={"name": "<run>"})
    recording = asyncio.run(record(send, asyncio.sleep, (step,)))
    assert (recording.left == ()) is gone


def test_first_role() -> None:
    """Of a listing, the first role is used."""
    asked: list[str] = []

    async def send(request: Request) -> Response:
        asked.append(f"{request.method} {request.target}")
        roles = [{"id": each, "name": each, "is_predefined": True} for each in ("one", "two")]
        return Response(status=200, headers={}, body=json.dumps({"roles": roles}).encode())

    first = Step(rule="first", method="GET", save="predefined")
    second = Step(rule="second", method="GET", role="<predefined.id>")
    asyncio.run(record(send, asyncio.sleep, (first, second)))
    assert asked[1:] == ["GET /v2/roles", "GET /v2/roles/one"]


@pytest.mark.parametrize(
    ("other", "skipped"),
    [({}, []), ({"name": "Private"}, ["deleting"]), ({"is_predefined": True}, ["deleting"])],
)
def test_saved(other: dict[str, Any], skipped: list[str]) -> None:
    """A role is used later only if its name holds the run's mark and it is not predefined."""

    async def send(request: Request) -> Response:
        if request.method != "POST":
            return Response(status=200, headers={}, body=b"{}")
        body = {
            **json.loads(request.body or b""),
            "id": FOREIGN_ID,
            "is_predefined": False,
            **other,
        }
        return Response(status=201, headers={}, body=json.dumps(body).encode())

    making = Step(rule="making", method="POST", body={"name": "<run>"}, save="A")
    deleting = Step(rule="deleting", method="DELETE", role="<A.id>")
    assert asyncio.run(record(send, asyncio.sleep, (making, deleting))).missing == skipped


def test_cursor() -> None:
    """A cursor is sent back as it came, whatever it holds."""
    asked: list[str] = []

    async def send(request: Request) -> Response:
        asked.append(f"{request.method} {request.target}")
        body = b'{"roles": [], "pagination": {"has_more": true, "next_cursor": "a b/+&="}}'
        return Response(status=200, headers={}, body=body)

    first = Step(rule="first", method="GET", save="page")
    second = Step(rule="second", method="GET", query={"cursor": "<page.cursor>"})
    making = Step(rule="making", method="POST", body={"name": "<run>"})
    asyncio.run(record(send, asyncio.sleep, (first, second, making)))
    assert asked == [
        "GET /v2/roles?limit=100&is_predefined=false",
        "GET /v2/roles",
        "GET /v2/roles?cursor=a%20b%2F%2B%26%3D",
        "POST /v2/roles",
        "GET /v2/roles?limit=100&is_predefined=false",
        "GET /v2/roles?limit=100&is_predefined=false&cursor=a%20b%2F%2B%26%3D",
    ]


class TestBusy:
    """Answers that pass: they are asked again, and none is recorded."""

    @pytest.mark.asyncio
    async def test_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A recording waits as long as the service asks for, or a second, and a minute at most."""
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        with RolesServer() as server:
            server.account.fail("create", 429, retry_after=3)
            server.account.fail("get", 503, after=1)
            server.account.fail("update", 503, retry_after=900)
            server.account.fail("delete", 429, times=5, retry_after=2)
            monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
            recording = await record_service(server.url, sleep=sleep)
        assert waits == [3.0, 1.0, *[2.0] * 5, 60.0]
        assert not {429, 503} & {each.answer.status for each in recording.answers}

    @pytest.mark.asyncio
    @pytest.mark.parametrize(("status", "error"), [(429, RateLimitError), (503, ServerError)])
    async def test_lasting(
        self, status: int, error: type[StatusError], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that does not pass ends the recording, and its roles are deleted."""

        async def sleep(_: float) -> None:
            pass

        with RolesServer() as server:
            server.account.fail("update", status, times=None)
            monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
            with pytest.raises(error, match=f"answered {status}"):
                await record_service(server.url, sleep=sleep)
            server.account.assert_roles({})


def test_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording is written only if every call was answered."""
    file = tmp_path / "recording.json"
    with RolesServer() as server:
        server.account.fail("update", "lost", times=None)
        monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
        assert main(["record", "--base-url", server.url, "--out", str(file)]) == 1
    assert capsys.readouterr().err.startswith("nothing was recorded: PATCH /v2/roles/")
    assert not file.exists()
    server.account.assert_roles({})


def test_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service is asked nothing if the file's folder is not there."""
    with RolesServer() as server:
        monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
        out = str(tmp_path / "nowhere" / "recording.json")
        assert main(["record", "--base-url", server.url, "--out", out]) == 1
    assert capsys.readouterr().err.startswith("nothing was recorded: [Errno 2] No such file")
    assert server.account.calls_in_all == 0


class TestRefusedKey:
    """A key that the service refuses ends the recording."""

    def test_wrong(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A wrong key is said after one request, and nothing may be left behind."""
        file = tmp_path / "recording.json"
        with RolesServer() as server:
            monkeypatch.setenv("ARIZE_API_KEY", "wrong")
            assert main(["record", "--base-url", server.url, "--out", str(file)]) == 1
        assert capsys.readouterr().err == (
            "nothing was recorded: GET /v2/roles answered 401 Authentication required: the API key "
            "is unknown\n"
        )
        assert server.account.calls_in_all == 1
        assert not file.exists()

    @pytest.mark.asyncio
    async def test_removed(self) -> None:
        """A key that is removed meanwhile leaves roles, which the error names."""
        account = FakeAccount()
        headers = {"Authorization": f"Bearer {account.api_key}"}

        async def send(request: Request) -> Response:
            answer = account.handle(msgspec.structs.replace(request, headers=headers))
            if len(account.calls) == 3:
                account.remove_key(account.api_key)
            return answer

        with pytest.raises(AuthenticationError) as caught:
            await record(send, asyncio.sleep)
        mark = account.calls[1].arguments["name"].removesuffix(" A")
        assert caught.value.__notes__ == [f"may be left behind: roles whose names hold {mark!r}"]


class TestStopped:
    """A recording that a signal stops."""

    @pytest.mark.parametrize(
        ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
    )
    def test_cleans_up(
        self,
        number: signal.Signals,
        status: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """It deletes its roles, also one that is being created then, and has its own status."""
        file = tmp_path / "recording.json"

        def interrupt(request: Request, answer: Response) -> Response:
            if len(account.calls_of("create")) == 3 and request.method == "POST":
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            return answer

        account = OtherAccount(interrupt)
        recorded(interrupt, tmp_path, monkeypatch, account, statuses=[status])
        assert capsys.readouterr() == ("", f"nothing was recorded: stopped by {number.name}\n")
        assert len(account.calls_of("create")) == 3
        account.assert_roles({})
        assert not file.exists()

    def test_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A second signal ends the clean-up, and the roles that may be left are named."""

        def interrupt(request: Request, answer: Response) -> Response:
            if len(account.calls_of("create")) == 3 and request.method in {"POST", "DELETE"}:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            return answer

        account = OtherAccount(interrupt)
        recorded(interrupt, tmp_path, monkeypatch, account, statuses=[143])
        mark = account.calls_of("create")[0].arguments["name"].removesuffix(" A")
        assert capsys.readouterr().err == (
            "nothing was recorded: stopped by SIGTERM\n"
            f"may be left behind: roles whose names hold {mark!r}\n"
        )


@pytest.mark.asyncio
async def test_bounded_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording does not wait for a service for ever."""
    before = open_sessions()
    with RolesServer() as server:
        server.account.slow_down(0.5)
        monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
        with pytest.raises(RolesTimeoutError, match="took too long"):
            await record_service(server.url, timeouts=Timeouts(total=0.02))
    assert open_sessions() == before


@pytest.mark.asyncio
async def test_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording leaves no connection open, neither of its key nor of the one nobody knows."""
    before = open_sessions()
    with RolesServer() as server:
        monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
        await record_service(server.url)
        assert open_sessions() == before


def open_sessions() -> list[aiohttp.ClientSession]:
    """Return every session that is not closed."""
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, aiohttp.ClientSession) and not each.closed
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "operation"),
    [("GET", "list"), ("POST", "create"), ("PATCH", "update"), ("DELETE", "delete")],
)
async def test_silent(method: str, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that gets no answer says to what."""
    account = FakeAccount()

    async def send(_: object, request: Request, __: object) -> Response:
        if request.method == method:
            await asyncio.Event().wait()
        headers = {"Authorization": f"Bearer {account.api_key}", **request.headers}
        return account.handle(msgspec.structs.replace(request, headers=headers))

    monkeypatch.setattr(AiohttpTransport, "send", send)
    monkeypatch.setenv("ARIZE_API_KEY", "sesame")
    with pytest.raises(RolesTimeoutError) as caught:
        await record_service(None, timeouts=Timeouts(total=0.05))
    assert str(caught.value).startswith(f"{operation} took too long (total limit of 0.05 s")


def test_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording that cannot be written ends in a message."""
    with RolesServer() as server:
        monkeypatch.setenv("ARIZE_API_KEY", server.api_key)
        assert main(["record", "--base-url", server.url, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("nothing was recorded: [Errno ")


def test_plain_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key goes to no other machine over plain http."""
    monkeypatch.setenv("ARIZE_API_KEY", "sesame")
    out = str(tmp_path / "recording.json")
    assert main(["record", "--base-url", "http://example.com", "--out", out]) == 1
    assert capsys.readouterr().err.startswith(
        "nothing was recorded: plain http would send the API key to example.com unprotected"
    )


@pytest.mark.asyncio
async def test_odd_content_type() -> None:
    """A content type of bytes that are not UTF-8 is recorded as far as JSON can hold it."""

    async def send(_: Request) -> Response:
        return Response(status=200, headers={"Content-Type": "text/\udcff; a=b"}, body=b"")

    recording = await record(send, asyncio.sleep, SCRIPT[:1])
    assert [each.answer.content_type for each in decode(encode(recording)).answers] == ["text/�"]


def test_record_needs_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`record` needs a key."""
    monkeypatch.delenv("ARIZE_API_KEY", raising=False)
    assert main(["record", "--out", str(tmp_path / "recording.json")]) == 1
    assert "no API key: pass api_key, or set ARIZE_API_KEY" in capsys.readouterr().err


LAST = "deleting a deleted role"
STEP: bytes = b'[{"step": {"rule": "r", "method": "GET", "body": '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[", "this is not a recording: Input data was truncated"),
        (b"{}", "this is not a recording: Object missing required field `rules`"),
        (b"17", "this is not a recording: Expected `object | array`, got `int`"),
        (
            b'{"format": 2, "steps": []}',
            "this recording has format 2, and this version of arize-roles-async reads formats",
        ),
        (b"[{}]", "this is not a recording: Object missing required field `step` - at `$[0]`"),
        (STEP + b'"\xff"', "this is not a recording: 'utf-8' codec can't decode byte 0xff"),
        (STEP + b"[" * 100_000, "this is not a recording: maximum recursion depth exceeded"),
        (None, "[Errno 2] No such file"),
    ],
)
def test_compare_needs_file(
    text: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`compare` needs a recording."""
    file = tmp_path / "recording.json"
    if text is not None:
        file.write_bytes(text)
    assert main(["compare", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"cannot compare {file}: {message}")


def test_angle_brackets() -> None:
    """A text of angle brackets holds no placeholder, and costs no more than any other."""
    step = Step(rule="r", method="POST", body={"name": "<" * 100_000})
    answer = Answer(status=400, content_type=None, body="")
    recording = Recording(rules=("r",), answers=(Recorded(step=step, answer=answer),))
    differences, _ = asyncio.run(compare(recording))
    assert differences[0].startswith("r: body is '' in the recording and {")


def test_hostile_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a terminal nor a CI runner obeys the rules of a recording."""
    file = recorded(as_assumed, tmp_path, monkeypatch)
    capsys.readouterr()
    data = json.loads(file.read_bytes())
    (step,) = [each for each in data["answers"] if each["step"]["rule"] == LAST]
    step["step"]["rule"] = rule = "\x1b[2J##[group]"
    file.write_text(json.dumps({**data, "answers": [step], "rules": [rule]}))
    assert main(["compare", str(file)]) == 1
    assert capsys.readouterr().out.startswith(r"�[2J#\u0023[group]: body is {")


class TestIncomplete:
    """A recording that lacks answers, which `compare` refuses."""

    @pytest.mark.parametrize("kept", [0, 5])
    def test_cut_off(
        self,
        kept: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The message names the steps."""
        file = recorded(as_assumed, tmp_path, monkeypatch)
        data = json.loads(file.read_bytes())
        file.write_text(json.dumps({**data, "answers": data["answers"][:kept]}))
        assert main(["compare", str(file)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(
            f"cannot compare {file}: the recording lacks the answers to {49 - kept} of 49 steps: "
        )
        assert ("a new role, " in said) is (kept == 0)
        assert said.endswith(", the name of a deleted role\n")

    def test_of_version_0_3(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A list of answers, as version 0.3 wrote it, is judged by the same script."""
        file = tmp_path / "recording.json"
        file.write_text(json.dumps(json.loads(RECORDING_0_3.read_bytes())[:5]))
        assert main(["compare", str(file)]) == 2
        assert "lacks the answers to 44 of 49 steps" in capsys.readouterr().err


RECORDING_0_3 = Path(__file__).parents[1] / "data" / "recording-0.3.json"
"""What version 0.3 recorded of a service whose unknown IDs are 400."""


def test_version_0_3(capsys: pytest.CaptureFixture[str]) -> None:
    """A recording of version 0.3 is compared as before."""
    assert main(["compare", str(RECORDING_0_3), "--assume", "unknown_id=400"]) == 0
    assert capsys.readouterr().out == "0 differences in 49 answers\n"


@pytest.mark.parametrize("others", [1, 150])
def test_list_order(
    others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order of a list is found in an account that has other roles, too."""
    account = FakeAccount(assumptions=Assumptions(list_order="oldest-first"))
    for number in range(others):
        account.add_role(f"there {number}")
    file = recorded(as_assumed, tmp_path, monkeypatch, account)
    assert main(["compare", str(file)]) == 1
    summary = capsys.readouterr().out.splitlines()[-1]
    assert summary == "the fake is most like this service with --assume list_order=oldest-first"


@pytest.mark.asyncio
async def test_not_asked() -> None:
    """A step that the fake is not asked, as the recording lacks a value for it, is a difference."""
    step = Step(rule="deleting", method="DELETE", role="<B.id>")
    answer = Answer(status=204, content_type=None, body="<empty>")
    recording = Recording(answers=(Recorded(step=step, answer=answer),), rules=("deleting",))
    lines, _ = await compare(recording)
    assert lines == [
        "deleting: body is '<empty>' in the recording and '<not asked>' in the fake",
        "deleting: status is 204 in the recording and 0 in the fake",
    ]
