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
    clock = "1e3 * time.perf_counter()"
    timed = f"import time\nstart = {clock}\n{code}\nprint({clock} - start)"

    async def run() -> Figures:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", timed, stdout=PIPE)
        return Figures({"import, ms": float((await process.communicate())[0])})

    yield {"import": run}
