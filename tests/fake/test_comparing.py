"""Comparisons of a recording with the fake: differences, and the assumptions that explain them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from arize_roles_async import Request, Response
from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake._recording.compare import compare
from arize_roles_fake._recording.record import Answer, Recorded, Recording, record
from arize_roles_fake._recording.script import SCRIPT, Step
from arize_roles_fake._service.wire import problem_response
from tests.fake.conftest import Recorder, sending_to
from tests.fake.test_recording import answering
from tests.support.sizes import sized

RECORDING_0_3 = Path(__file__).parents[1] / "data" / "recording-0.3.json"
"""What version 0.3 recorded of a service whose unknown IDs are 400."""
ALIKE = "the fake is most like this service"
# The script asks about roles alone.
OTHERS = {
    *("unknown_space", "rebind_to_own_role", "binding_checks", "binding_updated_at"),
    "project_rights",
}
ASKED = [name for name in Assumptions.choices() if name not in OTHERS]


def assuming(**settings: Any) -> FakeAccount:  # noqa: ANN401 - checked by the class
    return FakeAccount(assumptions=Assumptions(**settings))


def otherwise(request: Request, answer: Response) -> Response:
    """Answer as a service that differs in bodies it refuses, roles it creates, and deletions."""
    match answer.status:
        case 400 if request.method != "GET":
            return problem_response(410, "said in other words")
        case 201:
            role = json.loads(answer.body) | {"owner": "somebody", "created_at": "yesterday"}
            if role["name"].endswith(" D"):  # Nothing is asked about it later.
                role["id"] = "17"
            return msgspec.structs.replace(answer, body=json.dumps(role).encode())
        case 204:
            return Response(status=200, headers={"Content-Type": "text/plain"}, body=b"gone")
        case _:
            return answer


# What its recording has, and the fake has not.
DIFFERENCES = [
    ("an empty name: status", "410", "400"),
    ("a missing name: body.title", "'Gone'", "'Invalid request parameters'"),
    ("the newest role: body.owner", "'<str>'", "'<absent>'"),
    ("a role created during a walk: body.id", "'<id, not base64 with a colon inside>'", "'<id>'"),
    ("the newest role: body.created_at", "'<not a time with an offset>'", "'<time>'"),
    ("deleting a role: body", "'<not a JSON object>'", "'<empty>'"),
    ("deleting a role: content_type", "'text/plain'", "None"),
]


class TestDifferences:
    """The lines of `compare`."""

    def test_otherwise(self, recorder: Recorder) -> None:
        """A service that assumes otherwise differs there."""
        recorder.record_here(answering(otherwise))
        assert {*recorder.compare(1)} >= {
            f"{where} is {was} in the recording and {now} in the fake"
            for where, was, now in DIFFERENCES
        }

    @staticmethod
    async def compared(step: Step, answer: Answer) -> list[str]:
        """Return the differences of a recording of one step."""
        recorded = Recorded(step=step, answer=answer)
        lines, _ = await compare(Recording(answers=(recorded,), questions=(step.question,)))
        return lines

    async def test_not_asked(self) -> None:
        """A step that the fake is not asked, as an answer lacks a value for it, is a difference."""
        step = Step(question="deleting", method="DELETE", role="<B.id>")
        answer = Answer(status=204, content_type=None, body="<empty>")
        assert await self.compared(step, answer) == [
            "deleting: body is '<empty>' in the recording and '<not asked>' in the fake",
            "deleting: status is 204 in the recording and 0 in the fake",
        ]

    async def test_angle_brackets(self) -> None:
        """A text of angle brackets holds no placeholder, and costs no more than any other."""
        step = Step(question="r", method="POST", body={"name": "<" * 100_000})
        lines = await self.compared(step, Answer(status=400, content_type=None, body=""))
        assert lines[0].startswith("r: body is '' in the recording and {")

    def test_hostile_rule(self, recorder: Recorder) -> None:
        """Neither a terminal nor a CI runner obeys the rules of a recording."""
        recorder.record_here(FakeAccount())
        data = json.loads(recorder.file.read_bytes())
        (step,) = [e for e in data["answers"] if e["step"]["rule"] == "deleting a deleted role"]
        step["step"]["rule"] = rule = "\x1b[2J##[group]"
        recorder.file.write_text(json.dumps({**data, "answers": [step], "rules": [rule]}))
        assert recorder.compare(1)[0].startswith(r"�[2J#\u0023[group]: body is {")


class TestAssumptions:
    """The assumptions that explain the differences."""

    @pytest.mark.parametrize("name", sized(ASKED[::8], ASKED))  # `test_all` asks for them together.
    def test_each(self, name: str, recorder: Recorder) -> None:
        """Each difference that one explains names the setting; with it none is left."""
        setting = f"{name}={Assumptions.choices()[name][1]}"
        recorder.record_here(FakeAccount(assumptions=Assumptions.parse([setting])))
        *differences, _, summary = recorder.compare(1)
        assert summary == f"{ALIKE} with --assume {setting}"
        assert differences
        assert all(line.endswith(f" (--assume {setting})") for line in differences)
        assert recorder.compare(0, "--assume", setting) == [
            f"0 differences in {len(SCRIPT)} answers"
        ]

    def test_all(self, recorder: Recorder) -> None:
        """Of a service that is otherwise in many points, each of them is found."""
        turned: dict[str, Any] = {name: Assumptions.choices()[name][-1] for name in ASKED}
        turned["list_order"] = "newest-first"  # Else both pagings answer the script alike.
        account = assuming(**turned)
        recorder.record_here(account)
        *differences, _, summary = recorder.compare(1)
        changed = json.loads(account.dump())["assumptions"].items()
        settings = " ".join(f"--assume {name}={value}" for name, value in changed)
        assert summary == f"{ALIKE} with {settings}"
        assert len(differences) > 20
        assert [line for line in differences if "(--assume " not in line] == []

    @pytest.mark.parametrize("others", [1, 150])
    def test_list_order(self, others: int, recorder: Recorder) -> None:
        """The order of a list is found in an account that has other roles, too."""
        account = assuming(list_order="oldest-first")
        for number in range(others):
            account.add_role(f"there {number}")
        recorder.record_here(account)
        assert recorder.compare(1)[-1] == f"{ALIKE} with --assume list_order=oldest-first"

    def test_unexplained(self, recorder: Recorder) -> None:
        """A difference that `--assume` does not explain names the assumption that would."""
        recorder.record_here(assuming(invalid_body=422))
        *differences, _, summary = recorder.compare(1, "--assume", "unknown_id=400")
        assert summary == f"{ALIKE} with --assume invalid_body=422"
        explained = (" (--assume invalid_body=422)", " (--assume unknown_id=404)")
        assert all(line.endswith(explained) for line in differences)

    def test_left_out(self, recorder: Recorder) -> None:
        """An assumption that the service does not share is named as one to leave out."""
        recorder.record_here(FakeAccount())
        *_, summary = recorder.compare(1, "--assume", "unknown_id=400")
        assert summary == f"{ALIKE} without --assume"

    def test_unknown(self, recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
        """A setting that is none is refused."""
        with pytest.raises(SystemExit) as caught:
            recorder.compare(2, "--assume", "body=422")
        assert caught.value.code == 2
        assert "'body' is not an assumption; these are: " in capsys.readouterr().err

    def test_turned_back(self) -> None:
        """A line names what explains it in the end, not what did until another explained more."""
        assumptions = Assumptions(duplicate_permissions="refused")
        account = FakeAccount(assumptions=assumptions)

        def create(rule: str, name: str, *permissions: str) -> Step:
            body = {"name": name, "permissions": permissions}
            return Step(question=rule, method="POST", body=body)

        # While duplicates are kept, a refused name is nearer to a refused body than a new role is.
        steps = (
            create("first", "<run> A", "ROLE_READ"),
            *(create(f"twice {n}", "<run> a", "ROLE_READ", "ROLE_READ") for n in range(3)),
            create("other case", "<run> a", "ROLE_READ"),
        )
        recording = asyncio.run(record(sending_to(account), asyncio.sleep, steps))
        lines, chosen = asyncio.run(compare(recording))
        assert chosen == assumptions
        note = " in the fake (--assume duplicate_permissions=refused)"
        assert [line for line in lines if not line.endswith(note)] == []


STEP: bytes = b'[{"step": {"rule": "r", "method": "GET", "body": '


class TestFile:
    """The files that `compare` reads."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"[", "this is not a recording: "),
            (b"{}", "this is not a recording: "),
            (STEP + b'"\xff"', "this is not a recording: "),
            (STEP + b"[" * 100_000, "this is not a recording: "),
            (
                b'{"format": 2, "steps": []}',
                "this recording has format 2, and this version of arize-roles-async reads formats",
            ),
            (None, "[Errno 2] "),
        ],
    )
    def test_wrong(self, text: bytes | None, message: str, recorder: Recorder) -> None:
        """A file that is no recording is refused, with the reason of who read it behind ours."""
        if text is not None:
            recorder.file.write_bytes(text)
        (line,) = recorder.compare(2)
        begin = f"cannot compare {recorder.file}: {message}"
        assert line.startswith(begin)
        assert len(line) > len(begin)

    @pytest.mark.parametrize(("kept", "as_in_0_3"), [(0, False), (5, False), (5, True)])
    def test_cut_off(self, kept: int, *, as_in_0_3: bool, recorder: Recorder) -> None:
        """A recording that lacks answers is refused, and the message names the steps."""
        recorder.record_here(FakeAccount())
        data = json.loads(recorder.file.read_bytes())
        answers = data["answers"][:kept]
        # Version 0.3 wrote a list of the answers alone.
        recorder.file.write_text(json.dumps(answers if as_in_0_3 else {**data, "answers": answers}))
        (line,) = recorder.compare(2)
        assert line.startswith(
            f"cannot compare {recorder.file}: the recording lacks the answers to {49 - kept} of 49 "
            "steps: "
        )
        assert ("a new role, " in line) is (kept == 0)
        assert line.endswith(", the name of a deleted role")

    def test_version_0_3(self, recorder: Recorder) -> None:
        """A recording of version 0.3 is compared as before."""
        recorder.file = RECORDING_0_3
        assert recorder.compare(0, "--assume", "unknown_id=400") == ["0 differences in 49 answers"]
