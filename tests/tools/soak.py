"""Mixed calls at concurrency 64 with 1 % faults, through the HTTP server, for minutes.

`python -m tests.tools.soak [SECONDS]` runs for 600 seconds unless given, prints its figures, and
exits with 1 where memory grew or a file descriptor leaked. The other judges hold what calls say
against the account; this one has the time that a leak needs.
"""

import asyncio
import gc
import random
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

from arize_roles_async import AiohttpRolesClient, AlphaWarning, RolesClient, RolesError
from arize_roles_fake import FakeAccount, serve

WORKERS: Final = 64
FAULT_RATE: Final = 0.01
# The most that the memory of a flat run may grow: what the allocator keeps to itself.
GROWTH: Final = 1.2
FAILURES: Final = (
    *(("lost", "before"), ("lost", "after"), (502, "before"), (502, "after"), (503, "before")),
    *((500, "before"), (500, "after"), (429, "before"), (504, "after"), ("truncated", "after")),
)


class Soak:
    """A run, and how its calls ended."""

    def __init__(self, seconds: float) -> None:
        self._account = FakeAccount(keep_calls=1_000)
        self._ended = Counter[str]()
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self._random = random.Random(1)  # noqa: S311 - the same in every run

    async def run(self) -> bool:
        """Run it, print the figures and return whether all is well."""
        async with serve(self._account) as url:
            key = self._account.api_key
            descriptors = _descriptors()
            async with AiohttpRolesClient(key, base_url=url, max_concurrency=WORKERS) as roles:
                measured = asyncio.create_task(self._measured())
                await asyncio.gather(*(self._work(roles, number) for number in range(WORKERS)))
                first = await measured
            await asyncio.sleep(0.5)
            gc.collect()
            left = _descriptors() - descriptors
        last = _memory()
        for kind, count in self._ended.most_common():
            print(f"{count:10,}  {kind}")
        print(f"memory         {first:.1f} MiB after the start, {last:.1f} MiB at the end")
        print(f"descriptors    {left} left open")
        return left <= 0 and last <= first * GROWTH

    async def _measured(self) -> float:
        await asyncio.sleep(min(60.0, self._seconds / 4))
        gc.collect()
        return _memory()

    async def _work(self, roles: RolesClient, number: int) -> None:
        """Make one call after the other, of roles that no other worker touches."""
        while time.monotonic() < self._end:
            role = f"Worker {number} role {self._random.randrange(6)}"
            operation = self._random.choice(("list", "get", "get", "create", "update", "delete"))
            self._maybe_fail(operation)
            try:
                await self._call(roles, operation, role)
            except RolesError as error:
                self._ended[type(error).__name__] += 1
            else:
                self._ended[operation] += 1

    def _maybe_fail(self, operation: Any) -> None:  # noqa: ANN401 - a name of `fail`'s
        """Script a fault for about one call in a hundred, in a row at times."""
        times = self._random.choice((1, 1, 1, 3))
        if self._random.random() >= FAULT_RATE / times:
            return
        if not self._account.pending_faults:
            # The faults that have struck are kept, but nothing here reads them.
            self._account.clear_faults()
        failure: Any = self._random.choice(FAILURES[: 9 if operation == "delete" else None])
        self._account.fail(operation, failure[0], when=failure[1], times=times)

    async def _call(self, roles: RolesClient, operation: str, role: str) -> None:
        match operation:
            case "list":
                await roles.list(limit=20)
            case "create":
                await roles.create(name=role, permissions=["PROJECT_READ"])
            case "update":
                await roles.update(role=role, description=f"Call {self._ended.total()}")
            case "delete":
                await roles.delete(role=role)
            case _:
                await roles.get(role=role)


def _memory() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main() -> int:
    """Run the soak and return the exit status."""
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", AlphaWarning)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    return 0 if asyncio.run(Soak(seconds).run()) else 1


if __name__ == "__main__":
    sys.exit(main())
