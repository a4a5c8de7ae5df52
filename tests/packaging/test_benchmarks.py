"""The benchmark: its service limits right, its rows can say no, and each can be measured."""

import math
import sys
from pathlib import Path

import pytest

import arize_roles_async
from tests.benchmarks.harness import Measured
from tests.benchmarks.jobs import JOBS
from tests.benchmarks.rows import GROWTH, ROWS, SPEED
from tests.benchmarks.server import Service
from tests.support.processes import ran
from tests.support.rate_limit import Bucket, Limit

SOME = ("100-short-*", "4x250-*", "get-*", "pages-16", "import-fake", "walk-memory", "fake-*")


def create(service: Service, now: float) -> tuple[int, str | None]:
    """Return the status of a create, and its `Retry-After`."""
    answer = service.answer("POST", "/v2/roles", b'{"name": "Team"}', now).decode()
    _, found, rest = answer.partition("Retry-After: ")
    return int(answer.split(" ")[1]), rest.partition("\r\n")[0] if found else None


def test_bucket() -> None:
    """The service grants a burst, then its rate, and says when there is a token."""
    service = Service()
    service.set_up(limiter=Bucket(Limit(0.5, 2)))

    assert [create(service, 0.0) for _ in range(3)] == [(201, None), (201, None), (429, "2")]
    assert [create(service, 2.0) for _ in range(2)] == [(201, None), (429, "2")]


def test_page() -> None:
    """The guide's page has every row of time and every limit."""
    page = Path(arize_roles_async.__file__).with_name("guide") / "performance.md"
    cells = {
        cell.strip() for line in page.read_text("utf-8").split("\n") for cell in line.split("|")
    }
    assert cells >= {row.what for row in (*SPEED, *GROWTH)} | {job.limit for job in JOBS}


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        ("decode", 0.35, "holds"),
        ("decode", 0.36, "misses"),
        ("get-64", 0.99, "misses"),
        ("get-64", 1.0, "holds"),
        ("16x100-429s", math.inf, ""),
    ],
)
def test_verdict(row: str, value: float, verdict: str) -> None:
    """A row says whether it holds, be more or less the better."""
    (found,) = [each for each in ROWS if each.key == row]

    assert found.verdict(Measured(value, "")) == verdict


@pytest.mark.full
def test_rows() -> None:
    """The command measures the rows that patterns name."""
    command = (sys.executable, "-m", "tests.benchmarks", "--size", "tiny", "--only", *SOME)
    lines = ran(*command, timeout=None).stdout.splitlines()
    assert {"get-cpu", "100-short-time", "walk-memory"} <= {line.split()[0] for line in lines}
    unmeasured = {line.split()[0] for line in lines if "not measured" in line}
    assert unmeasured <= {"get-threads"}  # it needs Arize's client
