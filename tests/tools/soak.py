"""Mixed calls at concurrency 64 with 1 % faults, through the HTTP server, for minutes.

`python -m tests.tools.soak [SECONDS]` runs for 600 seconds unless given, prints its figures, and
exits with 1 where the account is not as was reported, memory grew or a file descriptor
leaked.
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
from typing import Final

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
    *((500, "before"), (500, "after"), (429, "before"), (504, "after")),
)
BROKEN_BODIES: Final = (("truncated", "after"), ("malformed", "after"))


class Soak:
    """A run, and what it found."""

    def __init__(self, seconds: float) -> None:
        self.account = FakeAccount(keep_calls=1_000)
        self.ended = Counter[str]()
        self.faults = 0
        self.untrue: list[str] = []
        self._began = time.monotonic()
        self._seconds = seconds
        self._random = random.Random(1)  # noqa: S311 - the same in every run

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._began > self._seconds

    async def run(self) -> bool:
        """Run it, print the figures and return whether all is well."""
        async with serve(self.account) as url:
            key = self.account.api_key
            descriptors = _descriptors()
            async with AiohttpRolesClient(key, base_url=url, max_concurrency=WORKERS) as roles:
                workers = [Worker(self, number, roles) for number in range(WORKERS)]
                measured = asyncio.create_task(self._measured())
                async with asyncio.TaskGroup() as group:
                    for worker in workers:
                        group.create_task(worker.work())
                first = await measured
                calls = self.ended.total()
                expected = {n: r for worker in workers for n, r in worker.model.items()}
            # Each role is as was reported.
            actual = {role.name: role for role in self.account.roles if not role.is_predefined}
            del workers
            await asyncio.sleep(0.5)
            gc.collect()
            left = _descriptors() - descriptors
        last = _memory()
        for kind, count in self.ended.most_common():
            print(f"{count:10,}  {kind}")
        print(f"calls          {calls:,} in {self._seconds:g} s, {self.faults:,} faults")
        print(f"roles          {len(actual)}, {'as' if actual == expected else 'NOT as'} expected")
        print(f"memory         {first:.1f} MiB after the start, {last:.1f} MiB at the end")
        print(f"peak memory    {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MiB")
        print(f"descriptors    {left} left open")
        for said in self.untrue[:20]:
            print(f"UNTRUE: {said}")
        return not self.untrue and actual == expected and left <= 0 and last <= first * GROWTH

    async def _measured(self) -> float:
        await asyncio.sleep(min(60.0, self._seconds / 4))
        gc.collect()
        return _memory()

    def maybe_fail(self) -> None:
        """Script a fault for about one call in a hundred."""
        # In a row at times, so that a call gives up.
        times = self._random.choice((1, 1, 1, 3))
        if self._random.random() >= FAULT_RATE / times:
            return
        if not self.account.pending_faults:
            # The faults that have struck are kept, but nothing here reads them.
            self.account.clear_faults()
        operation = self._random.choice(("list", "get", "create", "update", "delete"))
        failures = FAILURES if operation == "delete" else FAILURES + BROKEN_BODIES
        failure, when = self._random.choice(failures)
        self.account.fail(operation, failure, when=when, times=times)  # type: ignore[arg-type]
        self.faults += times


class Worker:
    """One caller among many, with roles of its own that nobody else touches."""

    def __init__(self, soak: Soak, number: int, roles: RolesClient) -> None:
        self.model: dict[str, Role] = {}
        self._soak = soak
        self._roles = roles
        self._names = [f"Worker {number} role {n}" for n in range(6)]
        self._random = random.Random(number)  # noqa: S311 - the same in every run
        self._calls = 0

    async def work(self) -> None:
        """Make one call after the other until the time is over."""
        while not self._soak.is_over:
            self._soak.maybe_fail()
            name = self._random.choice(self._names)
            self._calls += 1
            try:
                said = await self._call(name)
            except (OutcomeUnknownError, InvalidResponseError) as error:
                said = type(error).__name__
                await self._look(name)
            except RolesError as error:
                said = type(error).__name__
            self._soak.ended[said] += 1

    async def _call(self, name: str) -> str:
        known = self.model.get(name)
        by = {"role": name} if self._random.random() < 0.1 or known is None else {}
        permissions = self._random.sample(list(Permission), 3)
        description = f"Call {self._calls}"
        if known is None:
            self.model[name] = await self._roles.create(
                name=name, permissions=permissions, description=description
            )
            return "create"
        target = by or {"role_id": known.id}
        match self._random.randrange(10):
            case 0 | 1:
                await self._roles.delete(**target)
                del self.model[name]
                return "delete"
            case 2 | 3 | 4:
                self.model[name] = await self._roles.update(
                    **target, permissions=permissions, description=description
                )
                return "update"
            case 5:
                page = await self._roles.list(limit=20)
                self._expect(len(page) == 20 or len(page) < WORKERS, "a page is full")
                return "list"
            case _:
                role = await self._roles.get(**target)
                self._expect(role == known, f"{role} is {known}")
                return "get"

    async def _look(self, name: str) -> None:
        """Read a role whose outcome is unknown, as a caller should."""
        while True:
            with contextlib.suppress(RolesError):
                page = await self._roles.list().all()
                found = next((role for role in page if role.name == name), None)
                break
        self.model.pop(name, None)
        if found is not None:
            self.model[name] = found

    def _expect(self, holds: object, what: str) -> None:
        if not holds:
            self._soak.untrue.append(f"it does not hold that {what}")


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
