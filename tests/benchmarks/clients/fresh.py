"""Fresh interpreters, which time an import."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from subprocess import PIPE
from typing import Any

from tests.benchmarks.records import Figures


async def timed(code: str) -> Figures:
    clock = "1e3 * time.perf_counter()"
    timing = f"import time\nstart = {clock}\n{code}\nprint({clock} - start)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", timing, stdout=PIPE)
    return Figures({"import, ms": float((await process.communicate())[0])})


@contextlib.asynccontextmanager
async def operations(url: str, code: str) -> AsyncGenerator[Any]:
    del url
    yield {"import": lambda: timed(code)}
