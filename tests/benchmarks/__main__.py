"""Measure, print the table, and say with the exit status whether every row holds."""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import importlib.metadata
import json
import os
import platform
import secrets
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import bulk, measures
from tests.benchmarks.harness import Bench, Measured, is_installed, pin, running
from tests.benchmarks.jobs import JOBS, draw
from tests.benchmarks.limited import Limited
from tests.benchmarks.rows import ROWS, table
from tests.benchmarks.server import Canned

if TYPE_CHECKING:
    from collections.abc import Mapping

MEASURES = (*bulk.MEASURES, *measures.MEASURES)
KEYS = tuple(row.key for row in ROWS)
VERSIONS_OF = (
    *("arize-roles-async", "aiohttp", "msgspec", "orjson", "arize"),
    *("httpx", "tenacity", "botocore", "pytest"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no long jobs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    parser.add_argument("--seed", type=int, help="what to draw limits with, to draw them again")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"only rows like these ('get-*'): {', '.join(KEYS)}"
    )
    arguments = parser.parse_args()
    wanted = {key for pattern in arguments.rows for key in fnmatch.filter(KEYS, pattern)}
    if arguments.rows and not wanted:
        parser.error(f"no such row: {', '.join(arguments.rows)}")
    seed = secrets.randbelow(1 << 16) if arguments.seed is None else arguments.seed

    started = time.perf_counter()
    _quieten()
    core = pin()
    with (
        running("tests.benchmarks.server", core) as canned,
        running("tests.benchmarks.limited", core) as limited,
    ):
        jobs = {job.key: job for job in (*JOBS, *draw(seed))}
        bench = Bench(Canned(canned), Limited(limited), jobs, quick=arguments.quick)
        results = asyncio.run(_measure(bench, wanted))
    about: dict[str, object] = {
        "quick": arguments.quick,
        "seed": seed,
        "seconds": round(time.perf_counter() - started),
        "pinned": core is not None,
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in VERSIONS_OF},
    }

    print(table(results))
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    verdicts = {row.key: row.verdict(results[row.key]) for row in ROWS if row.key in results}
    for verdict in ("misses", "not measured"):
        if found := [key for key in verdicts if verdicts[key] == verdict]:
            print(f"{verdict}: {', '.join(found)}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_report(about, results, verdicts), indent=2) + "\n")
    return int("misses" in verdicts.values())


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


async def _measure(bench: Bench, wanted: set[str]) -> Mapping[str, Measured | str]:
    results: dict[str, Measured | str] = {}
    for measure in MEASURES:
        if wanted and wanted.isdisjoint(measure.rows):
            continue
        absent = [name for name in measure.needs if not is_installed(name)]
        if absent:
            results |= dict.fromkeys(measure.rows, f"not installed: {', '.join(absent)}")
        elif measure.is_long and bench.quick and not wanted:
            results |= dict.fromkeys(measure.rows, "too long for a quick run")
        else:
            print(f"measuring {', '.join(measure.rows)}", file=sys.stderr)
            results |= zip(measure.rows, await measure.run(bench), strict=True)
    return results


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _report(
    about: Mapping[str, object],
    results: Mapping[str, Measured | str],
    verdicts: Mapping[str, str],
) -> dict[str, object]:
    rows = [
        {
            "row": row.key,
            "what": row.what,
            "baseline": row.baseline,
            "better": "higher" if row.higher_is_better else "lower",
            "hold": row.hold,
            "aim": row.aim,
            "verdict": verdicts[row.key],
            **({"why": result} if isinstance(result, str) else result._asdict()),
        }
        for row in ROWS
        if (result := results.get(row.key)) is not None
    ]
    return {"about": about, "rows": rows}


if __name__ == "__main__":
    sys.exit(main())
