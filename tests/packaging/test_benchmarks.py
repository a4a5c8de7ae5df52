"""The benchmark: its rows can say no, each can be measured, and the page has them."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.harness import Measured
from tests.benchmarks.page import PAGE, find_tables, make_tables
from tests.benchmarks.rows import ROWS

SOME = (
    *("get-*", "https-get-*", "pages-16", "binding*", "import-fake"),
    *("walk-memory", "walk-growth", "fake-*", "flat-*"),
)


def test_page() -> None:
    """The guide's page has the tables that the command writes, with all their rows."""
    results = {row.key: {"value": 1.0, "beside": "worst 1"} for row in ROWS}
    fresh = make_tables([results], results)
    shown = find_tables(PAGE.read_text("utf-8"))
    # The others are of version 0.3.
    assert [_rows(table) for table in shown[: len(fresh)]] == [_rows(table) for table in fresh]


def _rows(table: str) -> list[list[str]]:
    """Return the first two cells of each line."""
    return [line.split(" | ")[:2] for line in table.splitlines()]


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        ("walk-growth", 11.0, "aim"),
        ("walk-growth", 13.0, "holds"),
        ("walk-growth", 13.1, "misses"),
        ("get-64", 0.99, "misses"),
        ("get-64", 1.0, "holds"),
        ("get-64", 1.11, "aim"),
        ("bindings-count", math.inf, ""),
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
    command = ("-m", "tests.benchmarks", "--tiny", "--json", str(results), "--only", *SOME)
    subprocess.run((sys.executable, *command), check=False, stdout=subprocess.PIPE)  # noqa: S603

    report = json.loads(results.read_text("utf-8"))
    figures = {row["row"]: row.get("value") for row in report["rows"]}
    assert figures["get-cpu"] > 0
    unmeasured = {row["row"] for row in report["rows"] if "why" in row}
    assert unmeasured <= {"get-threads"}  # it needs Arize's client
