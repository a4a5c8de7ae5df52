"""Mixed calls at concurrency 64 with 1 % faults, through the HTTP server, for minutes.

`python -m tests.tools.soak [SECONDS]` runs for 600 seconds unless given, prints its figures, and
exits with 1 where the account is not as was reported, memory grew or a file descriptor leaked.
"""

import asyncio
import contextlib
import gc
import random
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    InvalidResponseError,
    OutcomeUnknownError,
    Permission,
    Role,
    RolesClient,
    RolesError,
)
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
    """A run, and what it found: the roles as they were reported, and how calls ended."""

    def __init__(self, seconds: float) -> None:
        self.account = FakeAccount(keep_calls=1_000, predefined=False)
        self.reported: dict[str, Role] = {}
        self.ended = Counter[str]()
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self._random = random.Random(1)  # noqa: S311 - the same in every run

    async def run(self) -> bool:
        """Run it, print the figures and return whether all is well."""
        async with serve(self.account) as url:
            key = self.account.api_key
            descriptors = _descriptors()
            async with AiohttpRolesClient(key, base_url=url, max_concurrency=WORKERS) as roles:
                measured = asyncio.create_task(self._measured())
                await asyncio.gather(*(self._work(roles, number) for number in range(WORKERS)))
                first = await measured
            actual = {role.name: role for role in self.account.roles}
            await asyncio.sleep(0.5)
            gc.collect()
            left = _descriptors() - descriptors
        last = _memory()
        for kind, count in self.ended.most_common():
            print(f"{count:10,}  {kind}")
        is_true = actual == self.reported
        print(f"roles          {len(actual)}, {'as' if is_true else 'NOT as'} reported")
        print(f"memory         {first:.1f} MiB after the start, {last:.1f} MiB at the end")
        print(f"descriptors    {left} left open")
        return is_true and left <= 0 and last <= first * GROWTH

    async def _measured(self) -> float:
        await asyncio.sleep(min(60.0, self._seconds / 4))
        gc.collect()
        return _memory()

    def _maybe_fail(self) -> None:
        """Script a fault for about one call in a hundred."""
        # In a row at times, so that a call gives up.
        times = self._random.choice((1, 1, 1, 3))
        if self._random.random() >= FAULT_RATE / times:
            return
        if not self.account.pending_faults:
            # The faults that have struck are kept, but nothing here reads them.
            self.account.clear_faults()
        operation: Any = self._random.choice(("list", "get", "create", "update", "delete"))
        failure: Any = self._random.choice(FAILURES[: 9 if operation == "delete" else None])
        self.account.fail(operation, failure[0], when=failure[1], times=times)

    async def _work(self, roles: RolesClient, number: int) -> None:
        """Make one call after the other, of roles that no other worker touches."""
        names = [f"Worker {number} role {n}" for n in range(6)]
        while time.monotonic() < self._end:
            self._maybe_fail()
            name = self._random.choice(names)
            try:
                said = await self._call(roles, name)
            except (OutcomeUnknownError, InvalidResponseError) as error:
                said = type(error).__name__
                await self._look(roles, name)
            except RolesError as error:
                said = type(error).__name__
            self.ended[said] += 1

    async def _call(self, roles: RolesClient, name: str) -> str:
        known = self.reported.get(name)
        changes: Any = {
            "permissions": self._random.sample(list(Permission), 3),
            "description": f"Call {self.ended.total()}",
        }
        if known is None:
            self.reported[name] = await roles.create(name=name, **changes)
            return "create"
        is_by_name = self._random.random() < 0.1
        target: Any = {"role": name} if is_by_name else {"role_id": known.id}
        match self._random.choice(("delete", "update", "update", "get", "get", "list")):
            case "delete":
                await roles.delete(**target)
                del self.reported[name]
                return "delete"
            case "update":
                self.reported[name] = await roles.update(**target, **changes)
                return "update"
            case "list":
                await roles.list(limit=20)
                return "list"
            case _:
                return "get" if await roles.get(**target) == known else "UNTRUE get"

    async def _look(self, roles: RolesClient, name: str) -> None:
        """Read a role whose outcome is unknown, as a caller should."""
        while True:
            with contextlib.suppress(RolesError):
                page = await roles.list().all()
                break
        self.reported.pop(name, None)
        self.reported |= {role.name: role for role in page if role.name == name}


def _memory() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main() -> int:
    """Run the soak and return the exit status."""
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", AlphaWarning)
    soak = Soak(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
    return 0 if asyncio.run(soak.run()) and not soak.ended["UNTRUE get"] else 1


if __name__ == "__main__":
    sys.exit(main())
