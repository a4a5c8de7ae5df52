"""Every scenario behind nginx, haproxy and squid, at its full size.

`python -m tests.tools.infrastructure [NAME ...]` prints a row a scenario, and what is not as it
should be, and exits with 1 if anything is not. With names it runs those that contain one of them.
"""

import argparse
import asyncio
import sys
import time
import warnings
from typing import Final

from arize_roles_async import AlphaWarning
from tests.infrastructure.scenarios import SCENARIOS, run
from tests.support.judge import Row
from tests.support.proxies import missing

SHOWN: Final = 5
"""Complaints that are printed of a scenario; often all are the same."""


def main() -> int:
    """Run the scenarios, print the table and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of scenarios")
    parser.add_argument("--times", type=int, default=10, help="how often as many calls as in tests")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AlphaWarning)

    rows: list[Row] = []
    shown: list[str] = []
    found = 0
    started = time.monotonic()
    for scenario in SCENARIOS:
        if options.names and not any(name in scenario.name for name in options.names):
            continue
        if reason := missing(*scenario.needs):
            print(f"SKIPPED: {scenario.name}: {reason}")
            continue
        outcome = asyncio.run(run(scenario, times=options.times))
        rows.append(Row(scenario=scenario.name, verdict=outcome.verdict))
        found += len(outcome.complaints)
        shown += [f"{scenario.name}: {each}" for each in outcome.complaints[:SHOWN]]
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    print(Row.table(rows))
    print("\n".join(shown))
    calls = sum(row.verdict.calls for row in rows)
    print(f"\n{calls} calls in {time.monotonic() - started:.0f} s, {found} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
