"""Arize's own client, which blocks: its calls are made in threads."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.clients.fresh import timed
from tests.benchmarks.records import KEY, PAGE, ids_of, new_role, page_text

# Not a dependency, so type checkers may not find it.
arize: Any = importlib.import_module("arize")


@contextlib.asynccontextmanager
async def operations(url: str, threads: int = 1) -> AsyncGenerator[Any]:
    ids, loop = ids_of("Role"), asyncio.get_running_loop()
    roles = arize.ArizeClient(
        api_key=KEY,
        api_host="127.0.0.1",
        api_scheme="http",
        api_port=urlsplit(url).port,
        connection_pool_maxsize=threads,
    ).roles
    body = page_text()

    def walk() -> None:
        page = roles.list(limit=PAGE)
        while page.pagination.has_more:
            page = roles.list(limit=PAGE, cursor=page.pagination.next_cursor)

    async def decode() -> object:
        """Decode the text of a response with the function that its `list` uses."""
        return roles._api.api_client.deserialize(  # noqa: SLF001 - only there it is reached
            body, "ListRolesResponse", "application/json"
        )

    def create(number: int) -> Awaitable[object]:
        return loop.run_in_executor(pool, lambda: roles.create(**new_role(number)))

    with ThreadPoolExecutor(threads) as pool:
        yield {
            "get": lambda: roles.get(role=next(ids)),
            "create": create,
            "walk": walk,
            "decode": decode,
            "import": lambda: timed("from arize import ArizeClient"),
        }
