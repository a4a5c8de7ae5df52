"""Fresh interpreters, which time an import."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from subprocess import PIPE
from typing import Any

from tests.benchmarks.records import Figures


@contextlib.asynccontextmanager
async def operations(url: str, code: str) -> AsyncGenerator[Any]:
    del url
    timed = f"import time\nstart = time.perf_counter()\n{code}\n"
    timed += "print(1e3 * (time.perf_counter() - start))"

    async def run() -> Figures:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", timed, stdout=PIPE)
        printed, _ = await process.communicate()
        return Figures({"import, ms": float(printed)})

    yield {"import": run}
