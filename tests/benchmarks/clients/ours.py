"""This client."""

import contextlib
import gc
import itertools
import tracemalloc
from collections.abc import AsyncGenerator
from typing import Any

from arize_roles_async import AiohttpRolesClient, ListRolesResponse, Request, Response, RolesError
from arize_roles_async._wire import decode as _decode
from arize_roles_async._wire.secrets import Secret
from tests.benchmarks.records import HOSTILE, KEY, PAGE, Figures, ids_of, new_role, page_text


@contextlib.asynccontextmanager
async def operations(url: str, roles: int = 10_000) -> AsyncGenerator[Any]:
    """Yield what can be measured; `roles` are those that are read in a walk."""
    role_ids, numbers = ids_of("Role"), itertools.count()
    request = Request(method="GET", target="/v2/roles")
    headers = {"Content-Type": "application/json"}
    response = Response(status=200, headers=headers, body=page_text().encode())
    long = [(text * ((4 << 20) // len(text))).encode() for text in HOSTILE]
    hostile = [Response(status=409, headers={}, body=x, keys=(Secret(KEY),)) for x in long]

    async with AiohttpRolesClient(KEY, base_url=url) as client:
        patient = client.with_options(timeout=None)

        async def create(number: int) -> None:
            await patient.create(**new_role(number))

        async def walk() -> None:
            left = roles
            async for _ in client.list(limit=PAGE):
                left -= 1
                if not left:
                    return

        async def peak() -> Figures:
            # Python's own allocations and not the peak of the process: beside the interpreter and
            # its imports, a walk that held on to whole pages would pass unseen.
            tracemalloc.start()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            await walk()
            return Figures({"peak, kB": (tracemalloc.get_traced_memory()[1] - before) / 1e3})

        async def decode() -> object:
            return _decode.decode(ListRolesResponse, request, response)

        async def refuse() -> None:
            for each in hostile:
                with contextlib.suppress(RolesError):
                    _decode.decode(ListRolesResponse, request, each)

        yield {
            "get": lambda: client.get(role_id=next(role_ids)),
            "page": lambda: client.list(limit=PAGE),
            "create": create,
            "new": lambda: client.create(**new_role(next(numbers))),
            "walk": walk,
            "peak": peak,
            "decode": decode,
            "refuse": refuse,
        }
