"""Recordings of a service: what they hold, what they leave behind, and how they end."""

import asyncio
import functools
import io
import itertools
import json
import os
import random
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from arize_roles_async import (
    Permission,
    RateLimitError,
    Request,
    Response,
    RolesTimeoutError,
    ServerError,
    StatusError,
    Timeouts,
)
from arize_roles_fake import Assumptions, FakeAccount, LoggedCall, RolesServer
from arize_roles_fake.__main__ import main
from arize_roles_fake._recording.record import Recording, decode, encode, record, record_service
from arize_roles_fake._recording.script import Step
from tests.fake.conftest import Recorder, sending_to
from tests.support.clients import ask
from tests.support.full_disk import full_disk
from tests.support.sizes import sized

ASKED = Path(__file__).parents[1] / "data" / "script.txt"
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

AnswerOf = Callable[[Request, Response], Response]


class OtherAccount(FakeAccount):
    """An account that differs from the fake in one point, to stand in for the service."""

    answer_of: AnswerOf

    def handle(self, request: Request) -> Response:
        reply = super().handle(request)
        answer = self.answer_of(request, reply)
        return msgspec.structs.replace(
            reply, status=answer.status, headers=answer.headers, body=answer.body
        )


def answering(answer_of: AnswerOf) -> OtherAccount:
    account = OtherAccount()
    account.answer_of = answer_of
    return account


def reply(body: object, status: int = 200, **headers: str) -> Response:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=given, body=text)


def left_behind(account: FakeAccount) -> str:
    """Return the line that names the roles of a run by what their names hold."""
    mark = account.calls_of("create")[0].arguments["name"].removesuffix(" A")
    return f"may be left behind: roles whose names hold {mark!r}"


def run(answer_of: Callable[[Request], Response], *steps: Step) -> tuple[Recording, list[str]]:
    """Record some steps, and return the recording and what was asked."""
    asked: list[str] = []

    async def send(request: Request) -> Response:
        asked.append(f"{request.method} {request.target}")
        return answer_of(request)

    return asyncio.run(record(send, asyncio.sleep, steps)), asked


def made(request: Request, **members: object) -> Response:
    """Return the answer to a create, of a role as requested but for some members."""
    return reply({"id": FOREIGN_ID, **json.loads(request.body or b"{}"), **members}, 201)


MAKING = Step(question="making", method="POST", body={"name": "<run>"}, save="A")


def test_nothing_foreign(recorder: Recorder) -> None:
    """A recording holds no key, and no role of others."""
    foreign = {"id": FOREIGN_ID, "name": "Private too", "description": "Nobody knows."}

    def tells_all(request: Request, answer: Response) -> Response:
        if request.method == "PATCH":  # Shows a role that is not the script's.
            return reply(foreign)
        if answer.status == 404:
            problem = {"title": "your key is Bearer open-sesame", "status": 404}
            return reply(problem, 404, Content_Type="text/open-sesame; charset=utf-8")
        return answer

    account = answering(tells_all)
    account.add_key("open-sesame")
    account.remove_key(account.api_key)
    account.add_role("Private", [Permission.USER_DELETE], description="Nobody knows.")
    recorder.record(account)
    text = recorder.file.read_text("utf-8")
    for secret in ("sesame", "Private", "Nobody knows", "USER_DELETE", FOREIGN_ID, "Annotator"):
        assert secret not in text
    assert '"<another role>"' in text
    assert '"your key is Bearer [API key]"' in text
    assert '"content_type": "text/[API key]"' in text


class TestHarmsNobody:
    """Whatever a service answers, what is not the script's own stays as it is."""

    def test_account_as_before(self, recorder: Recorder) -> None:
        """Every role of the run is deleted, once, also where a listing is long.

        That holds whatever status unknown IDs have.
        """
        account = FakeAccount(assumptions=Assumptions(unknown_id=400))
        for number in range(150):
            account.add_role(f"there {number}")
        before = account.roles
        assert recorder.record(account) == ""
        assert account.roles == before

    def test_unmarked(self, recorder: Recorder) -> None:
        """A role without the run's mark is not deleted, although it was answered as created."""

        def lenient(request: Request, answer: Response) -> Response:
            if answer.status != 400 or request.method != "POST":
                return answer
            role = account.add_role(f"odd {len(account.roles)}")
            return reply({"id": role.id, "name": role.name}, 201)

        account = answering(lenient)
        said = recorder.record(account)
        assert {role.name.split()[0] for role in account.roles if not role.is_predefined} == {"odd"}
        left = "may be left behind: an empty name: a role was created without the run's mark"
        assert left in said.splitlines()

    def test_nothing_created(self, recorder: Recorder) -> None:
        """Steps that need a role which was not created are skipped and named, with a status."""
        account = FakeAccount(max_custom_roles=0)
        lines = recorder.record(account, 1).splitlines()
        assert not account.calls_of("delete")
        assert {call.role for call in account.calls_of("update")} == {"Project Admin"}
        skipped = "skipped, since an earlier answer lacked a value for it: deleting a role"
        assert skipped in lines
        assert lines[-1] == "compare refuses a recording with skipped steps"

    def test_left(self, recorder: Recorder) -> None:
        """Roles that the key may not delete again are named, or if the service stops answering."""
        account = FakeAccount()
        account.add_key(account.api_key, grants=["ROLE_READ", "ROLE_CREATE"])
        assert recorder.record(account) == f"{left_behind(account)}\n"
        account = FakeAccount()
        account.fail("any", "lost", times=None, after=4)
        assert recorder.record(account, 1).endswith(f"\n{left_behind(account)}\n")

    def test_predefined_only(self, recorder: Recorder) -> None:
        """A role that the answer does not call predefined is not renamed, nor to another name."""

        def filter_ignored(request: Request, answer: Response) -> Response:
            if "is_predefined=true" not in request.target:
                return answer
            return reply({"roles": [{"id": role.id, "name": role.name, "is_predefined": False}]})

        account = answering(filter_ignored)
        role = account.add_role("Private")
        recorder.record(account, 1)
        assert account.calls_of("update", role=role.name) == ()
        assert account.role("Private") == role

    def test_endless_listing(self, recorder: Recorder) -> None:
        """Cleaning up ends although the listing does not, and deletes no more than was created."""
        pages = itertools.count()

        def endless(request: Request, answer: Response) -> Response:
            if not request.target.startswith("/v2/roles?limit=100") or len(account.calls) < 10:
                return answer
            mark, page = account.calls_of("create")[0].arguments["name"], next(pages)
            roles = [{"id": f"Um9sZTo{page}{n}", "name": mark} for n in range(100)]
            return reply({"roles": roles, "pagination": {"next_cursor": str(page)}})

        account = answering(endless)
        recorder.record(account)
        assert next(pages) == 50
        # Those of the script, and then one for each role that it may have created.
        assert len(account.calls_of("delete")) == len(account.calls_of("create")) + 3

    @pytest.mark.parametrize("seed", range(sized(6, 20)))
    def test_odd_answers(self, seed: int, recorder: Recorder) -> None:
        """Whatever the bodies are, no request harms a role of others, and none is a traceback."""
        chance = random.Random(seed)  # noqa: S311

        def odd(_: Request, answer: Response) -> Response:
            if chance.random() < 0.5:
                return answer
            status = chance.choice([200, 201, 204, 400, 404, 500])
            return reply(chance.choice(ODD_BODIES), status, Content_Type="application/json")

        account = answering(odd)
        account.add_role("Private", ["ROLE_READ"], id=FOREIGN_ID)
        before = account.roles
        recorder.record(account, 0, 1)
        assert {*before} <= {*account.roles}
        assert harmful(account) == []

    @pytest.mark.parametrize("body", ODD_BODIES)
    def test_odd_body(self, body: object) -> None:
        """A member of another type than the reference's counts as none."""
        recording, _ = run(lambda _: reply(body), MAKING)
        assert [each.answer.status for each in recording.answers] == [200]

    def test_judge(self) -> None:
        """The judge of the odd answers sees a change of a role of others."""
        account = FakeAccount()
        account.add_role("Private", id=FOREIGN_ID)
        ask(account, f"DELETE /v2/roles/{FOREIGN_ID}")
        assert [call.operation for call in harmful(account)] == ["delete"]


def harmful(account: FakeAccount) -> list[LoggedCall]:
    """Return the calls that would change a role which is not a run's own."""
    return [
        call
        for call in account.calls
        if call.operation in {"update", "delete"}
        and "recording " not in (call.role or "recording ")
        and not (call.operation == "update" and call.arguments.get("name") == call.role)
    ]


class TestAnswer:
    """The recorded part of an answer."""

    @staticmethod
    def recorded(body: object) -> object:
        """Return what is recorded of an answer with a body."""
        # A page that is cleaned up from must not be taken for an endless one.
        recording, _ = run(
            lambda request: reply(body if request.target == "/v2/roles" else {}),
            Step(question="asked", method="GET"),
        )
        return recording.answers[0].answer.body

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("application/json ; charset=utf-8", "application/json"),
            ("text/\udcff; a=b", "text/�"),  # Bytes that are not UTF-8, which JSON cannot hold.
        ],
    )
    def test_content_type(self, given: str, kept: str) -> None:
        """A content type is recorded without its parameters, as far as JSON can hold it."""
        recording, _ = run(
            lambda _: reply({}, Content_Type=given), Step(question="r", method="GET")
        )
        assert [each.answer.content_type for each in decode(encode(recording)).answers] == [kept]

    def test_deep(self) -> None:
        """Of a body that is nested deeply, twenty levels are recorded."""
        nested: Any = 17
        cut: Any = "<too deep>"
        for level in range(30):
            nested = {"roles": nested}
            cut = {"roles": cut} if level < 21 else cut
        assert self.recorded(nested) == cut
        nested, cut = 17, "<too deep>"
        for level in range(30):
            nested = [nested]
            cut = [cut] if level < 20 else cut
        assert self.recorded({"roles": nested}) == {"roles": cut}

    @pytest.mark.parametrize(
        ("body", "kept"),
        [
            # Of a value that may be anybody's only its type.
            (
                {"a": "x", "b": 1, "c": None, "d": [True, {"e": 0.5}], "status": 200},
                {
                    "a": "<str>",
                    "b": "<int>",
                    "c": "<NoneType>",
                    "d": ["<bool>", {"e": "<float>"}],
                    "status": 200,
                },
            ),
            # An object with an ID or a name, and without the run's mark, is somebody else's.
            (
                {"a": {"id": "x"}, "b": {"name": "y"}, "c": {}, "roles": [{"id": "x"}, 1]},
                {"a": "<another role>", "b": "<another role>", "c": {}, "roles": ["<int>"]},
            ),
            # Of a time, whether it has an offset.
            ({"created_at": "2026-01-01T00:00:00Z"}, {"created_at": "<time>"}),
            *(
                ({"updated_at": moment}, {"updated_at": "<not a time with an offset>"})
                for moment in ("2026-01-01T00:00:00", 17)
            ),
        ],
    )
    def test_body(self, body: object, kept: object) -> None:
        """Of a body it is recorded as much as may be shown."""
        assert self.recorded(body) == kept


class TestOwn:
    """The roles that a run takes for its own."""

    @pytest.mark.parametrize(
        ("status", "created"), [(199, False), (200, True), (299, True), (300, False)]
    )
    def test_created(self, status: int, created: bool) -> None:  # noqa: FBT001
        """A create with the answer of a success may have left something."""
        recording, _ = run(
            lambda each: reply(FOREIGN if each.method == "POST" else {}, status), MAKING
        )
        assert bool(recording.left) is created

    @pytest.mark.parametrize(
        ("status", "gone"),
        [
            *((199, False), (200, True), (201, False), (202, True), (203, False), (204, True)),
            *((205, False), (403, False), (404, True), (405, False)),
        ],
    )
    def test_gone(self, status: int, gone: bool) -> None:  # noqa: FBT001
        """A role is left unless the answer to its deletion says that it is gone, or soon is."""
        recording, _ = run(
            lambda each: reply(b"", status) if each.method == "DELETE" else made(each), MAKING
        )
        assert (recording.left == ()) is gone

    @pytest.mark.parametrize(
        ("other", "skipped"),
        [({}, []), ({"name": "Private"}, ["deleting"]), ({"is_predefined": True}, ["deleting"])],
    )
    def test_saved(self, other: dict[str, Any], skipped: list[str]) -> None:
        """A role is used later only if its name holds the run's mark and it is not predefined."""

        deleting = Step(question="deleting", method="DELETE", role="<A.id>")
        recording, _ = run(
            lambda each: made(each, **other) if each.method == "POST" else reply({}),
            *(MAKING, deleting),
        )
        assert recording.missing == skipped

    def test_cursor(self) -> None:
        """A cursor is sent back as it came, whatever it holds."""
        pagination = {"has_more": True, "next_cursor": "a b/+&="}
        first = Step(question="first", method="GET", save="page")
        second = Step(question="second", method="GET", query={"cursor": "<page.cursor>"})
        _, asked = run(lambda _: reply({"pagination": pagination}), first, second, MAKING)
        custom = "GET /v2/roles?limit=100&is_predefined=false"
        assert asked == [
            *(custom, "GET /v2/roles", "GET /v2/roles?cursor=a%20b%2F%2B%26%3D"),
            *("POST /v2/roles", custom, f"{custom}&cursor=a%20b%2F%2B%26%3D"),
        ]


class TestBusy:
    """Answers that pass: they are asked again, and none is recorded; or that do not come."""

    async def test_waits(self, arize_env: RolesServer) -> None:
        """A recording waits as long as the service asks for, or a second, and a minute at most."""
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        arize_env.account.fail("create", 429, retry_after=3)
        arize_env.account.fail("get", 503, after=1)
        arize_env.account.fail("update", 503, retry_after=900)
        arize_env.account.fail("delete", 429, times=5, retry_after=2)
        recording = await record_service(arize_env.url, sleep=sleep)
        assert waits == [3.0, 1.0, *[2.0] * 5, 60.0]
        assert not {429, 503} & {each.answer.status for each in recording.answers}

    @pytest.mark.parametrize(("status", "error"), [(429, RateLimitError), (503, ServerError)])
    async def test_lasting(
        self, status: int, error: type[StatusError], arize_env: RolesServer
    ) -> None:
        """One that does not pass ends the recording, and its roles are deleted."""

        async def sleep(_: float) -> None:
            pass

        arize_env.account.fail("update", status, times=None)
        with pytest.raises(error, match=f"answered {status}"):
            await record_service(arize_env.url, sleep=sleep)
        arize_env.account.assert_roles({})

    async def test_bounded_wait(self, arize_env: RolesServer) -> None:
        """It does not wait for a service for ever."""
        arize_env.account.slow_down(0.5)
        with pytest.raises(RolesTimeoutError, match="list took too long"):
            await record_service(arize_env.url, timeouts=Timeouts(total=0.02))


class TestFile:
    """The file that `record` writes, and what it says of it."""

    def test_full_disk(self, recorder: Recorder) -> None:
        """On a full disk an earlier recording stays as it was, and the error names the file."""
        recorder.file.write_text("before")
        with full_disk():
            said = recorder.record(FakeAccount(), 1)
        assert said.startswith("nothing was recorded: [Errno ")
        assert str(recorder.file) in said
        assert recorder.file.read_text() == "before"

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
    @pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
    def test_encoding(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, encoding: str
    ) -> None:
        """Its name is printed in UTF-8, also where the standard output has another encoding."""
        shown = io.BytesIO()
        stream = io.TextIOWrapper(shown, encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        name = "日\udcff.json"
        recorder.record(FakeAccount(), out=name)
        file = recorder.file.parent / name
        assert main(["compare", str(file)]) == 0
        stream.flush()
        assert shown.getvalue().decode().endswith("日�.json\n0 differences in 49 answers\n")


class TestNothing:
    """A recording that cannot be made: it says so, and writes no file."""

    def test_all_or_nothing(self, recorder: Recorder) -> None:
        """It is written only if every call was answered."""
        account = FakeAccount()
        account.fail("update", "lost", times=None)
        said = recorder.record(account, 1)
        assert said.startswith("nothing was recorded: PATCH /v2/roles/")
        assert not recorder.file.exists()
        account.assert_roles({})

    @pytest.mark.parametrize(
        ("arguments", "message", "calls"),
        [
            ({"out": "nowhere/recording.json"}, "[Errno ", 0),
            ({"out": "."}, "[Errno ", 0),
            (
                {"key": "wrong"},
                "GET /v2/roles answered 401 Authentication required: the API key is unknown\n",
                1,
            ),
            ({"key": ""}, "no API key: pass api_key, or set ARIZE_API_KEY", 0),
            (
                {"key": "sesame", "url": "http://example.com"},
                "plain http would send the API key to example.com unprotected",
                0,
            ),
        ],
    )
    def test_refused(
        self, arguments: dict[str, Any], message: str, calls: int, recorder: Recorder
    ) -> None:
        """Files and keys that cannot be used are named after one request at most."""
        account = FakeAccount()
        said = recorder.record(account, 1, **arguments)
        assert said.startswith(f"nothing was recorded: {message}")
        assert "left behind" not in said
        assert len(account.calls) == calls
        assert not recorder.file.exists()


class TestStopped:
    """A recording that a signal stops."""

    @staticmethod
    def interrupted(number: signal.Signals, *methods: str) -> OtherAccount:
        """Return an account that sends a signal with its answers once it was asked to create 3."""

        def interrupt(request: Request, answer: Response) -> Response:
            if len(account.calls_of("create")) == 3 and request.method in methods:
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            return answer

        account = answering(interrupt)
        return account

    @pytest.mark.parametrize(
        ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
    )
    def test_cleans_up(self, number: signal.Signals, status: int, recorder: Recorder) -> None:
        """It deletes its roles, also one that is being created then, and has its own status."""
        account = self.interrupted(number, "POST")
        said = recorder.record(account, status)
        assert said == f"nothing was recorded: stopped by {number.name}\n"
        assert len(account.calls_of("create")) == 3
        account.assert_roles({})
        assert not recorder.file.exists()

    def test_left(self, recorder: Recorder) -> None:
        """A second signal ends the clean-up, and the roles that may be left are named."""
        account = self.interrupted(signal.SIGTERM, "POST", "DELETE")
        assert recorder.record(account, 143) == (
            f"nothing was recorded: stopped by SIGTERM\n{left_behind(account)}\n"
        )


async def asked() -> list[str]:
    """Record an account, and return what was asked and recorded, a line each."""
    account = FakeAccount(api_key="sesame")
    lines: list[str] = []

    async def send(request: Request) -> Response:
        answer = await sending_to(account)(request)
        words = [
            request.method,
            request.target,
            *(f"{name}: {value}" for name, value in request.headers.items()),
            (request.body or b"").decode(),
            f"-> {answer.status}",
        ]
        lines.append(" ".join(filter(None, words)))
        return answer

    async def sleep(_: float) -> None:
        pytest.fail("nothing is to be waited for")

    recording = await record(send, sleep)
    steps = [
        f"{each.step.question}: {line} {each.answer.content_type} "
        + msgspec.json.encode(each.answer.body).decode()
        for each, line in zip(recording.answers, lines[1:], strict=False)
    ]
    cleaning = [f"cleaning up: {line}" for line in lines[1 + len(steps) :]]
    return [f"other roles: {lines[0]}", *steps, *cleaning]


def shortened(line: str) -> str:
    """Return a line without what is long, or other in each run."""
    line = re.sub(r"recording [0-9a-f]{16}", "<run>", line)
    line = re.sub(r"(.)\1{99,}", lambda found: f"{found[1]} times {len(found[0])}", line)
    return re.sub(r"cursor=(?!bWFk)[\w%-]+", "cursor=<cursor>", line)


async def test_asked() -> None:
    """A recording asks this, in this order, and cleans up behind itself.

    Each run marks the names of its roles in its own way.
    """
    expected = ASKED.read_text("utf-8").splitlines()
    marks: list[str] = []
    for _ in range(2):
        lines = await asked()
        assert [shortened(line) for line in lines] == expected
        marks += {*re.findall(r"recording [0-9a-f]{16}", "".join(lines))}
    assert len(set(marks)) == len(marks) == 2
