"""Measurements that need a process of their own.

Run as `python -m tests.benchmarks.probes NAME URL`, prints one number. Imports
stay inside the functions: each probe must load only what it is about.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path


async def memory_bare(url: str) -> float:
    import aiohttp

    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session,
        session.get(f"{url}/v2/roles/Um9sZToxOmJuY2g%3D") as response,
    ):
        await response.json()
        return _resident_mb()


async def memory_ours(url: str) -> float:
    from arize_roles_async import AiohttpRolesClient

    async with AiohttpRolesClient("key", base_url=url) as roles:
        await roles.get(role_id="Um9sZToxOmJuY2g=")
        return _resident_mb()


def _resident_mb() -> float:
    # getrusage's peak would do, were it not handed down from the parent process.
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    probe = {"memory-bare": memory_bare, "memory-ours": memory_ours}[sys.argv[1]]
    print(asyncio.run(probe(sys.argv[2])))


if __name__ == "__main__":
    main()
