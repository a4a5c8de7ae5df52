"""Measure what the guide's page `performance` shows, and write its tables; 50 minutes long.

Measure on a quiet machine, with the other clients installed.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import arize_roles_async
from tests.benchmarks.jobs import JOBS, Job
from tests.benchmarks.rows import COUNTED, GROWTH, OF_JOBS, SPEED, Row
from tests.support.processes import passed_on

PAGE = Path(arize_roles_async.__file__).parent / "guide" / "performance.md"
_RUNS = 4
_PEERS = next(job for job in JOBS if job.has_peers and job.rate == 100)

Results = Mapping[str, Mapping[str, Any]]


def main() -> None:
    speed = [_measure(SPEED, "--quick") for _ in range(_RUNS)]
    counts = _measure((*COUNTED, *GROWTH), "--quick")
    jobs = _measure(OF_JOBS)
    text = PAGE.read_text("utf-8")
    for old, new in zip(find_tables(text), make_tables(speed, counts, jobs), strict=True):
        text = text.replace(old, new)
    PAGE.write_text(text, "utf-8")


def find_tables(text: str) -> list[str]:
    """Return the tables of a page, each without the end of its last line."""
    return re.findall(r"^\|.*(?:\n\|.*)*", text, re.MULTILINE)


def make_tables(speed: Sequence[Results], counts: Results, jobs: Results) -> list[str]:
    """Return the tables of the page, from the results of the rows by key."""
    costs = "limit | late 429s per success | time over the ideal"
    return [
        _table("what | figure | against | ratio", (_speed(row, speed) for row in SPEED)),
        _table("what | against | ratio | instructions", (_once(row, counts) for row in COUNTED)),
        _table("what | against | figure | from", (_once(row, counts) for row in GROWTH)),
        _table(f"creates | {costs}", (_job(job, jobs) for job in JOBS)),
        _table("client | failed | time over the ideal", _peers(jobs)),
    ]


def _measure(rows: Iterable[Row], *options: str) -> Results:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "results.json"
        command = ("-m", "tests.benchmarks", "--json", path, *options, "--only")
        keys = (row.key for row in rows)
        passed_on(sys.executable, *command, *keys, check=False, stdout=sys.stderr)
        return {result["row"]: result for result in json.loads(path.read_text("utf-8"))}


def _table(head: str, lines: Iterable[str]) -> str:
    cells = head.count("|") + 1
    return "\n".join(f"| {line} |" for line in (head, " | ".join(["---"] * cells), *lines))


def _shown(results: Sequence[Results], key: str) -> str:
    """Return the range of a figure, or the figure if it was measured once."""
    if any("value" not in each[key] for each in results):
        return "not measured"
    values = sorted(float(each[key]["value"]) for each in results)
    low, high = f"{values[0]:.3g}", f"{values[-1]:.3g}"
    return low if low == high else f"{low} to {high}"


def _speed(row: Row, results: Sequence[Results]) -> str:
    figure = row.figure.partition(",")[0]
    return f"{row.what} | {figure} | {row.baseline} | {_shown(results, row.key)}"


def _once(row: Row, results: Results) -> str:
    beside = results[row.key].get("beside")
    return f"{row.what} | {row.baseline} | {_shown([results], row.key)} | {beside}"


def _job(job: Job, results: Results) -> str:
    each = f" by each of {job.processes} processes" if job.processes > 1 else ""
    cells = [f"{job.calls:,}{each}"]
    for figure in ("429s", "time"):
        result = results[f"{job.key}-{figure}"]
        value, worst = f"{result.get('value', 0):.3g}", f"{result.get('beside')}".split("; ")[0]
        cells.append(value if worst == f"worst {value}" else f"{value}, {worst}")
    return " | ".join((cells[0], job.limit, *cells[1:]))


def _peers(results: Results) -> Iterable[str]:
    failed, time = (results[f"{_PEERS.key}-{figure}"] for figure in ("failed", "time"))
    yield f"this client | {failed.get('value', 0):g} | {time.get('value', 0):.3g}"
    for client in f"{failed.get('beside')}".split("; ")[1:]:
        yield "{} | {} | ".format(*client.rsplit(" ", 1))


if __name__ == "__main__":
    main()
