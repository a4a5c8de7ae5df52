"""Measure, print a table, and say with the exit status whether every row holds."""

import argparse
import asyncio
import fnmatch
import json
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from tests.benchmarks.harness import SIZES, Measured, Measures, NotMeasuredError, Size, serving
from tests.benchmarks.rows import ROWS, Row

_LINE = "| {:18} | {:46} | {:18} | {:28} | {:7} | {:7} | {:8} | {:14} | {:6} | {} |"
_HEADER = ("row", "what", "figure", "against", "hold", "aim", "measured", "spread", "", "beside")
_VERSIONS = ("arize-roles-async", "aiohttp", "msgspec", "arize", "httpx", "tenacity", "botocore")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no long jobs")
    parser.add_argument("--tiny", action="store_true", help="as little as shows that rows work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="ROW",
        default=["*"],
        help=f"rows like these ('get-*'), long ones, too: {', '.join(row.key for row in ROWS)}",
    )
    arguments = parser.parse_args()
    rows = [row for row in ROWS if any(fnmatch.fnmatch(row.key, each) for each in arguments.only)]
    if not rows:
        parser.error(f"no such row: {', '.join(arguments.only)}")
    size = SIZES["tiny" if arguments.tiny else "quick" if arguments.quick else "full"]
    if arguments.only != ["*"]:
        size = size._replace(longest=math.inf)

    started = time.perf_counter()
    _quieten()
    results = asyncio.run(_measure(size, rows))
    about = {
        "seconds": round(time.perf_counter() - started),
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{each.name: each.version for each in distributions() if each.name in _VERSIONS},
    }
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    for verdict in ("misses", "not measured"):
        if found := [result["row"] for result in results if result["verdict"] == verdict]:
            print(f"{verdict}: {', '.join(map(str, found))}")
    if arguments.json is not None:
        report = {"about": about, "rows": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return int(any(result["verdict"] == "misses" for result in results))


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


async def _measure(size: Size, rows: Sequence[Row]) -> list[dict[str, object]]:
    """Print each row as soon as it is measured, and return all results."""
    results: list[dict[str, object]] = []
    print(_LINE.format(*_HEADER), _LINE.format(*["---"] * len(_HEADER)), sep="\n")
    async with serving(size) as bench:
        for source in dict.fromkeys(row.source for row in rows):
            figures, why = Measures(), "not on this system"
            try:
                figures = await source(bench)
            except NotMeasuredError as error:
                why = str(error)
            for row in rows:
                if row.source == source:
                    result = figures.get(row.figure)
                    print(_LINE.format(*_cells(row, result, why)), flush=True)
                    shown = {"why": why} if result is None else result._asdict()
                    results.append({"row": row.key, "verdict": row.verdict(result), **shown})
    return results


def _cells(row: Row, result: Measured | None, why: str) -> Sequence[str]:
    sign = "≥" if row.higher_is_better else "≤"
    targets = ["" if target is None else f"{sign} {target:g}" for target in (row.hold, row.aim)]
    head = (row.key, row.what, row.figure, row.baseline, *targets)
    if result is None:
        return (*head, "", "", row.verdict(result), why)
    spread = "" if result.spread is None else "{:.2f} to {:.2f}".format(*result.spread)
    return (*head, f"{result.value:.4g}", spread, row.verdict(result), result.beside)


if __name__ == "__main__":
    sys.exit(main())
