"""Measure, print the table, and say with the exit status whether every row holds."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.harness import Measured, pin
from tests.benchmarks.measures import MEASURES, Bench
from tests.benchmarks.rows import ROWS, table
from tests.benchmarks.server import canned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEYS = tuple(row.key for row in ROWS)
VERSIONS_OF = ("arize-roles-async", "aiohttp", "msgspec", "orjson", "arize", "pytest")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, in under two minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"only these rows: {', '.join(KEYS)}"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.rows).difference(KEYS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")

    started = time.perf_counter()
    _quieten()
    server_core = pin()
    with canned(server_core) as server:
        bench = Bench(server, quick=arguments.quick)
        results = asyncio.run(_measure(bench, arguments.rows or KEYS))
    about: dict[str, object] = {
        "quick": arguments.quick,
        "seconds": round(time.perf_counter() - started),
        "pinned": server_core is not None,
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in VERSIONS_OF},
    }

    print(table(results))
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    verdicts = {row.key: row.verdict(results[row.key]) for row in ROWS if row.key in results}
    for verdict, meaning in (("MISS", "below what must hold"), ("missing", "not measured")):
        if found := [key for key in verdicts if verdicts[key] == verdict]:
            print(f"{meaning}: {', '.join(found)}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_report(about, results, verdicts), indent=2) + "\n")
    return int("MISS" in verdicts.values())


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


async def _measure(bench: Bench, wanted: Iterable[str]) -> Mapping[str, Measured | str]:
    results: dict[str, Measured | str] = {}
    for measure in MEASURES:
        if not set(measure.rows).intersection(wanted):
            continue
        print(f"measuring {', '.join(measure.rows)}", file=sys.stderr)
        absent = [name for name in measure.needs if not _installed(name)]
        if absent:
            results |= dict.fromkeys(measure.rows, ", ".join(absent))
        else:
            results |= zip(measure.rows, await measure.run(bench), strict=True)
    return results


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package around it is missing already
        return False


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
            **({"missing": result} if isinstance(result, str) else result._asdict()),
        }
        for row in ROWS
        if (result := results.get(row.key)) is not None
    ]
    return {"about": about, "rows": rows}


if __name__ == "__main__":
    sys.exit(main())
