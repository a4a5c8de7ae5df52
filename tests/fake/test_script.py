"""The requests of a recording, and the parts that it keeps of the fake's answers."""

import re
from pathlib import Path

import msgspec
import pytest

from arize_roles_async import Request, Response
from arize_roles_fake import FakeAccount
from arize_roles_fake._recording.record import record

ASKED = Path(__file__).parents[1] / "data" / "script.txt"


async def asked() -> list[str]:
    """Record an account, and return what was asked and recorded, a line each."""
    account = FakeAccount(api_key="sesame")
    lines: list[str] = []

    async def send(request: Request) -> Response:
        headers = {"Authorization": "Bearer sesame", **request.headers}
        answer = account.handle(msgspec.structs.replace(request, headers=headers))
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


@pytest.mark.asyncio
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
