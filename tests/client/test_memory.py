"""The memory that a call takes and gives back."""

import gc
import platform
import subprocess
import sys

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient
from arize_roles_async._calls.call import Call
from arize_roles_fake import FakeAccount, RolesServer, serve
from tests.support.processes import ROOT, clean_environment

CALLS = 200
COUNT = """
import asyncio, resource, sys, warnings

warnings.simplefilter("ignore")
url, key, role_id, calls = sys.argv[1:]


async def count(call):
    for _ in range(20):
        await call()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(int(calls)):
        await call()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

"""
OURS = """
from arize_roles_async import AiohttpRolesClient


async def main():
    async with AiohttpRolesClient(key, base_url=url) as roles:
        await count(lambda: roles.get(role_id=role_id))


asyncio.run(main())
"""
BARE_AIOHTTP = """
import aiohttp


async def main():
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

        async def get():
            async with session.get(f"{url}/v2/roles/{role_id}") as response:
                assert response.status == 200
                await response.read()

        await count(get)


asyncio.run(main())
"""


def page_faults(program: str) -> int:
    """Return how often the system gave a program more memory during its calls."""
    counted: list[int] = []
    with RolesServer() as server:
        role_id = server.account.add_role("Reader").id
        arguments = (server.url, server.api_key, role_id, str(CALLS))
        # Twice: where a program has its modules compiled, that frees large blocks, too.
        for _ in range(2):
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", COUNT + program, *arguments],
                check=True,
                capture_output=True,
                cwd=ROOT,
                env=clean_environment(),
                text=True,
            )
            counted.append(int(done.stdout))
    return counted[-1]


@pytest.mark.full
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep the memory")
class TestPageFaults:
    """Allocations, measured in a process of their own."""

    def test_none(self) -> None:
        """A call reads into memory that the process has already."""
        assert page_faults(OURS) < CALLS / 4

    def test_control(self) -> None:
        """Without a client that takes care of that, each read takes more of it."""
        assert page_faults(BARE_AIOHTTP) >= CALLS


@pytest.mark.asyncio
@pytest.mark.parametrize("lent", [False, True])
async def test_garbage(*, lent: bool) -> None:
    """A call leaves nothing behind that only the garbage collector would free."""

    def count() -> int:
        # Something of an earlier test may hold a few.
        return sum(isinstance(each, Call) for each in gc.get_objects())

    account = FakeAccount()
    gc.collect()
    gc.disable()
    try:
        before = count()
        async with serve(account) as url, aiohttp.ClientSession() as session:
            roles = AiohttpRolesClient(
                account.api_key, base_url=url, session=session if lent else None
            )
            async with roles:
                for _ in range(10):
                    await roles.list()

                # The timer of an idle connection may hold its last one.
                assert count() <= before + 1
    finally:
        gc.enable()
