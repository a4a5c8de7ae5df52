"""The benchmark: its service limits right, its rows can say no, and each can be measured."""

import json
import math
import sys
from pathlib import Path

import pytest

from tests.benchmarks.harness import Measured
from tests.benchmarks.page import PAGE, find_tables, make_tables
from tests.benchmarks.rows import ROWS
from tests.benchmarks.server import Service
from tests.support.processes import ran
from tests.support.rate_limit import Bucket, Limit

SOME = (
    *("100-short-*", "4x250-*", "get-*", "https-get-*", "pages-16", "import-fake"),
    *("walk-memory", "fake-*", "redaction"),
)


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
    """The guide's page has the tables that the command writes, with all their rows."""
    results = {row.key: {"value": 1.0, "beside": "worst 1"} for row in ROWS}
    fresh = make_tables([results], results, results)
    shown = find_tables(PAGE.read_text("utf-8"))
    assert [_rows(table) for table in shown[:-1]] == [_rows(table) for table in fresh[:-1]]
    # The last one has the other clients that are installed.
    assert _rows(shown[-1])[0] == _rows(fresh[-1])[0]


def _rows(table: str) -> list[list[str]]:
    """Return the first two cells of each line."""
    return [line.split(" | ")[:2] for line in table.splitlines()]


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
def test_rows(tmp_path: Path) -> None:
    """The command measures the rows that patterns name, and writes them down."""
    results = tmp_path / "results.json"
    command = ("-m", "tests.benchmarks", "--tiny", "--json", results, "--only", *SOME)
    ran(sys.executable, *command, timeout=None)

    report = json.loads(results.read_text("utf-8"))
    figures = {row["row"]: row.get("value") for row in report}
    assert figures["get-cpu"] > 0
    unmeasured = {row["row"] for row in report if "why" in row}
    assert unmeasured <= {"get-threads"}  # it needs Arize's client
