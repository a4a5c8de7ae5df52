"""Measure what the guide's page `performance` shows, and write its tables.

Measure on a quiet machine, with the other clients installed.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import arize_roles_async
from tests.benchmarks.rows import ROWS

PAGE = Path(arize_roles_async.__file__).parent / "guide" / "performance.md"
_RUNS = 4
_SPEED = (
    *("get-cpu", "get-64", "get-256", "pages-16", "binding-cpu", "bindings-16"),
    *("https-get-cpu", "https-get-64", "https-pages-16", "get-threads", "decode", "walk"),
    *("import-client", "import-fake", "fake-get"),
)
_COUNTS = ("get-count", "get-64-count", "create-count", "page-count", "bindings-count")
_GROWTH = (
    *("walk-growth", "names-growth", "walk-memory"),
    *("flat-calls", "flat-pages", "flat-bindings"),
)

Results = Mapping[str, Mapping[str, Any]]
_ROWS = {row.key: row for row in ROWS}


def main() -> None:
    speed = [_measure(*_SPEED) for _ in range(_RUNS)]
    counts = _measure(*_COUNTS, *_GROWTH)
    text = PAGE.read_text("utf-8")
    for old, new in zip(find_tables(text), make_tables(speed, counts), strict=False):
        text = text.replace(old, new)
    PAGE.write_text(text, "utf-8")


def find_tables(text: str) -> list[str]:
    """Return the tables of a page, each without the end of its last line."""
    return re.findall(r"^\|.*(?:\n\|.*)*", text, re.MULTILINE)


def make_tables(speed: Sequence[Results], counts: Results) -> list[str]:
    """Return the first tables of the page, from the results of the rows by key."""
    return [
        _table("what | figure | against | ratio", (_speed(key, speed) for key in _SPEED)),
        _table("what | against | ratio | instructions", (_growth(key, counts) for key in _COUNTS)),
        _table("what | against | figure | from", (_growth(key, counts) for key in _GROWTH)),
    ]


def _measure(*rows: str) -> Results:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "results.json"
        command = ("-m", "tests.benchmarks", "--quick", "--json", str(path), "--only", *rows)
        subprocess.run((sys.executable, *command), check=False, stdout=sys.stderr)  # noqa: S603
        return {result["row"]: result for result in json.loads(path.read_text("utf-8"))["rows"]}


def _table(head: str, lines: Iterable[str]) -> str:
    cells = head.count("|") + 1
    return "\n".join(f"| {line} |" for line in (head, " | ".join(["---"] * cells), *lines))


def _shown(results: Sequence[Results], key: str, figure: str = "value") -> str:
    """Return the range of a figure, or the figure if it was measured once."""
    if any(figure not in each[key] for each in results):
        return "not measured"
    values = sorted(float(each[key][figure]) for each in results)
    low, high = f"{values[0]:.3g}", f"{values[-1]:.3g}"
    return low if low == high else f"{low} to {high}"


def _speed(key: str, results: Sequence[Results]) -> str:
    row = _ROWS[key]
    figure = row.figure.partition(",")[0]
    return f"{row.what} | {figure} | {row.baseline} | {_shown(results, key)}"


def _growth(key: str, results: Results) -> str:
    row = _ROWS[key]
    return f"{row.what} | {row.baseline} | {_shown([results], key)} | {results[key].get('beside')}"


if __name__ == "__main__":
    main()
