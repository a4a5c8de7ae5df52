"""Measure, print a line for each row, and say with the exit status whether every row holds."""

import argparse
import asyncio
import fnmatch
import os
import sys
import warnings
from collections.abc import Sequence

from tests.benchmarks.harness import SIZES, Measured, Measures, NotMeasuredError, Size, serving
from tests.benchmarks.rows import ROWS, Row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    sizes = "fewer rounds, or as little as shows that rows work"
    parser.add_argument("--size", choices=SIZES, default="full", help=sizes)
    keys = f"rows like these ('get-*'): {', '.join(row.key for row in ROWS)}"
    parser.add_argument("--only", nargs="+", metavar="ROW", default=["*"], help=keys)
    arguments = parser.parse_args()
    rows = [row for row in ROWS if any(fnmatch.fnmatch(row.key, each) for each in arguments.only)]
    if not rows:
        parser.error(f"no such row: {', '.join(arguments.only)}")
    _quieten()
    return int(asyncio.run(_measure(SIZES[arguments.size], rows)))


def _quieten() -> None:
    # Neither a proxy nor an endpoint of the shell's may come between client and server.
    for name in list(os.environ):
        if name.startswith("ARIZE_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    # Arize's client prints notices about pre-release methods amid the table.
    os.environ["ARIZE_LOG_ENABLE"] = "false"
    # Modules compiled anew in every process would be measured as slow imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    warnings.simplefilter("ignore")


async def _measure(size: Size, rows: Sequence[Row]) -> bool:
    """Print each row as soon as it is measured, and return whether one misses."""
    misses = False
    async with serving(size) as bench:
        for source in dict.fromkeys(row.source for row in rows):
            figures, why = Measures(), "not on this system"
            try:
                figures = await source(bench)
            except NotMeasuredError as error:
                why = str(error)
            for row in (each for each in rows if each.source == source):
                result = figures.get(row.figure)
                verdict = row.verdict(result)
                print(f"{row.key:18} {verdict:12} {_shown(row, result, why)}", flush=True)
                misses = misses or verdict == "misses"
    return misses


def _shown(row: Row, result: Measured | None, why: str) -> str:
    if result is None:
        return why
    limit = "" if row.hold is None else f" (hold {row.hold:g})"
    against = f" against {row.baseline}" if row.baseline else ""
    return f"{result.value:.4g}{limit}: {row.figure} of {row.what}{against}; {result.beside}"


if __name__ == "__main__":
    sys.exit(main())
