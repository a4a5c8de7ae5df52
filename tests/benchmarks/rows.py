"""The rows: what is measured, against what, how good it must be, and the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.jobs import DRAWN, JOBS, SHARED_JOBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.benchmarks.harness import Measured
    from tests.benchmarks.jobs import SharedJob

BARE = "bare aiohttp + orjson"


class Row(NamedTuple):
    """One line of the table. Without `hold` it informs and cannot be missed."""

    key: str
    what: str
    baseline: str
    hold: float | None = None
    aim: float | None = None
    higher_is_better: bool = False
    sign: str = ""

    def verdict(self, result: Measured | str) -> str:
        if isinstance(result, str):
            return "not measured"
        if self.hold is None:
            return ""
        if not self._meets(result.value, self.hold):
            return "misses"
        return "holds" if self.aim is None or not self._meets(result.value, self.aim) else "aim"

    def _meets(self, value: float, target: float) -> bool:
        return value >= target if self.higher_is_better else value <= target

    def target(self, target: float | None) -> str:
        if target is None:
            return ""
        return f"{'≥' if self.higher_is_better else '≤'} {self.sign}{target:g}"


_JOBS = (
    *((job.key, f"{job.calls:,} creates, {job.limit}", job.refused, job.time) for job in JOBS),
    # What was drawn is shown beside what came of it.
    *((key, "1,000 creates, a limit that was drawn", (0.1, 0.05), (1.4, 1.2)) for key in DRAWN),
)


def _shared(job: SharedJob) -> tuple[Row, ...]:
    limit = f"{job.rate:g}/s, burst {job.burst}"
    what = f"{job.processes} processes of {job.calls} creates, {limit}"
    return (
        Row(f"{job.key}-failed", f"{what}: failed", "", 0, 0),
        Row(f"{job.key}-429s", f"{what}: late 429s per success", ""),
        Row(f"{job.key}-time", f"{what}: time", "the ideal", *job.time),
        Row(f"{job.key}-last", f"{what}: the last one's time", "the first one's", *job.last),
    )


ROWS = (
    *(Row(f"{key}-failed", f"{what}: failed", "", 0, 0) for key, what, *_ in _JOBS),
    *(
        Row(f"{key}-429s", f"{what}: late 429s per success", "", *refused)
        for key, what, refused, _ in _JOBS
    ),
    *(
        Row(
            f"{key}-order",
            f"{what}: order of completion",
            "the order of start",
            0.99,
            1,
            higher_is_better=True,
        )
        for key, what, *_ in _JOBS
    ),
    *(Row(f"{key}-time", f"{what}: time", "the ideal", *time) for key, what, _, time in _JOBS),
    *(row for job in SHARED_JOBS for row in _shared(job)),
    Row("reconcile-failed", "reconciling 500 roles, 20/s, burst 5: failed", "", 0, 0),
    Row("reconcile-requests", "reconciling 500 roles, 20/s, burst 5: requests", "", 450, 430),
    Row("known-get", "`get` by a known name, 5,000 roles: requests", "", 1, 1),
    Row("known-change", "`update`, `delete` by a known name: requests", "", 2, 2),
    Row("cold-names", "100 names at once, none known: requests a call", "", 0.6, 0.5),
    Row("retried-place", "a retried call among 2,000: sent after", "", 80),
    Row("get-64", "`get` throughput, 64 in flight", BARE, 1.00, 1.11, higher_is_better=True),
    Row("get-256", "`get` throughput, 256 in flight", BARE, 1.05, 1.11, higher_is_better=True),
    Row("tail-256", "p99 / p50 of those 256", "itself", 2.0, 1.2),
    Row("get-cpu", "CPU of one sequential `get`", BARE, 1.05, 0.94),
    Row("decode", "page of 100 roles, bytes to models", "Arize's client", 0.35, 0.20),
    Row("pages-16", "pages of 100, 16 in flight, cost", BARE, 1.12, 1.00),
    Row("walk", "walk of 10,000 roles, cost", "Arize's client in a thread", 0.40, 0.30),
    Row(
        "get-threads",
        "`get` throughput, 64 in flight, every core free",
        "Arize's client, 64 threads",
        3.5,
        4.5,
        higher_is_better=True,
    ),
    Row("import-client", "import of the client, wall", "bare aiohttp", 1.12, 1.06),
    Row("import-fake", "import of the fake and models", "import of the client", 0.60, 0.40),
    Row("memory", "memory after the first call", "bare aiohttp", 3.0, 1.5, sign="+"),
    Row(
        "fake-get",
        "`FakeRolesClient.get`",
        "our client over loopback to a canned server",
        0.35,
        0.20,
    ),
    Row("fake-fresh", "a fresh `FakeAccount` and client", "one `FakeRolesClient.get`", 2, 1),
    *(
        Row(f"flat-{operation}", f"{what}: account of 100,000", "the same on 100", 1.3, 1.1)
        for operation, what in (
            ("get", "`get`"),
            ("create", "`create`"),
            ("update", "`update`"),
            ("delete", "`delete`"),
            ("page", "a page of 100"),
            ("deep-page", "a page of 99 from half way"),
        )
    ),
    Row("walk-memory", "peak memory of a walk of 100,000 roles", "a walk of 30,000", 1.1, 1.05),
    Row(
        "shared-walks",
        "walks made by 1,000 concurrent updates by name, 10,000 roles",
        "one walk",
        3,
        2,
    ),
    Row(
        "worst-answer",
        "longest block of the event loop by one hostile answer, s",
        "none",
        0.25,
        0.1,
    ),
    Row("plugin", "pytest plugin, cost at start-up", "none"),
)


def table(results: Mapping[str, Measured | str]) -> str:
    """A Markdown table; what is beside the numbers comes last, as it may be long."""
    cells: list[tuple[str, ...]] = [
        ("what", "against", "hold", "aim", "measured", "spread", "", "ours : theirs")
    ]
    cells += [_cells(row, results[row.key]) for row in ROWS if row.key in results]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]) - 1)]
    cells.insert(1, tuple("-" * width for width in (*widths, 3)))
    return "\n".join(_line(line, (*widths, 0)) for line in cells)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _cells(row: Row, result: Measured | str) -> tuple[str, ...]:
    head = (row.what, row.baseline, row.target(row.hold), row.target(row.aim))
    verdict = row.verdict(result)
    if isinstance(result, str):
        return (*head, "", "", verdict, result)
    beside = f"{_number(result.ours)} {result.unit}".rstrip()
    if result.theirs is not None:
        beside = f"{_number(result.ours)} : {_number(result.theirs)} {result.unit}".rstrip()
    beside = "; ".join([beside, *(f"{p} {_number(n)}" for p, n in (result.peers or {}).items())])
    if result.spread is None:
        return (*head, _count(result.value), "", verdict, beside)
    low, high = result.spread
    return (
        *head,
        f"{row.sign}{result.value:.2f}",
        f"{low:.2f} to {high:.2f}",
        verdict,
        beside,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(value: float) -> str:
    return f"{value:,}" if value == int(value) else f"{value:.4f}"
