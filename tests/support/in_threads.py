"""Uses the library from many threads at once, as unkindly as can be: `python in_threads.py WHAT`.

A process of its own, because what goes wrong here may crash it. Every thread gives way as often as
it can, also in the middle of C code: there, only the garbage collector's callbacks do.
"""

import asyncio
import gc
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    ListRolesResponse,
    Request,
    Response,
    Role,
)
from arize_roles_async._wire.decode import decode as decode_as
from arize_roles_fake import FakeAccount, serve

THREADS = 8
ROLE = (
    b'{"id": "Um9sZTox", "name": "Reader", "permissions": ["PROJECT_READ"], "is_predefined": false,'
    b'"created_at": "2026-03-01T09:30:00Z", "updated_at": "2026-03-01T09:30:00Z"}'
)
PAGE = b'{"roles": [' + ROLE + b'], "pagination": {"has_more": false}}'


def decode(thread: int) -> None:
    request = Request(method="GET", target="/v2/roles")
    body = ROLE if thread % 2 else PAGE
    response = Response(status=200, headers={}, body=body)
    if thread % 2:
        assert decode_as(Role, request, response).name == "Reader"
    else:
        assert decode_as(ListRolesResponse, request, response)[0].name == "Reader"


def call(thread: int) -> None:
    async def main() -> None:
        account = FakeAccount()
        role = account.add_role(f"Role {thread}")
        async with (
            serve(account) as url,
            AiohttpRolesClient(account.api_key, base_url=url) as roles,
        ):
            for _ in range(50):
                assert await roles.get(role_id=role.id) == role

    asyncio.run(main())


def give_way(_phase: str, _info: dict[str, int]) -> None:
    time.sleep(0)


def at_once(each: Callable[[int], None]) -> None:
    ready = threading.Barrier(THREADS)

    def run(thread: int) -> None:
        ready.wait()
        each(thread)

    sys.setswitchinterval(1e-6)
    gc.set_threshold(1 if each is decode else 20)
    gc.callbacks.append(give_way)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


if __name__ == "__main__":
    warnings.simplefilter("ignore", AlphaWarning)
    at_once({"decode": decode, "call": call}[sys.argv[1]])
