"""Every scenario behind nginx, haproxy and squid, at its full size.

`python -m tests.tools.infrastructure [NAME ...]` prints a row a scenario, and what is not as it
should be, and exits with 1 if anything is not. With names it runs those that contain one of them.
"""

import asyncio
import sys
import time
import warnings

from arize_roles_async import AlphaWarning
from tests.infrastructure.scenarios import SCENARIOS, run
from tests.support.processes import missing


def main(names: list[str]) -> int:
    """Run the scenarios, print the table and return the exit status."""
    warnings.simplefilter("ignore", AlphaWarning)
    calls = found = 0
    started = time.monotonic()
    for scenario in SCENARIOS:
        if not any(name in scenario.name for name in names or [""]):
            continue
        if reason := missing(*scenario.needs):
            print(f"SKIPPED: {scenario.name}: {reason}")
            continue
        verdict, complaints = asyncio.run(run(scenario, times=10))
        calls += len(verdict.calls)
        found += len(complaints)
        print(f"{scenario.name:40}{len(verdict.calls):6} calls{len(verdict.failed):6} failed")
        for complaint in complaints[:5]:
            print(f"  {complaint}", flush=True)
    print(f"\n{calls} calls in {time.monotonic() - started:.0f} s, {found} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
