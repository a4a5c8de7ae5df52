"""The baselines, written as their users write them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import aiohttp

from tests.benchmarks.server import PAGE, role_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

KEY = "benchmark-key"


def some_ids() -> Iterator[str]:
    """Ids without end; more of them than URL caches hold, as in an application."""
    return itertools.cycle([role_id(number) for number in range(1000)])


class Calls(NamedTuple):
    get: Callable[[], Awaitable[object]]
    page: Callable[[], Awaitable[object]]


def baseline(name: str) -> Any:  # noqa: ANN401
    """A baseline's module: not a dependency, so type checkers may not find it."""
    return importlib.import_module(name)


@contextlib.asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncGenerator[Calls]:
    loads: Callable[[bytes], object] = baseline("orjson").loads
    ids = some_ids()

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:

        async def fetch(target: str) -> object:
            async with session.get(target) as response:
                response.raise_for_status()
                return loads(await response.read())

        yield Calls(
            get=lambda: fetch(f"{url}/v2/roles/{quote(next(ids), safe='')}"),
            page=lambda: fetch(f"{url}/v2/roles?limit={PAGE}"),
        )


class Arize:
    """Arize's own client, pointed at the canned server."""

    def __init__(self, port: int, connections: int) -> None:
        self._ids = some_ids()
        client = baseline("arize").ArizeClient(
            api_key=KEY,
            api_host="127.0.0.1",
            api_scheme="http",
            api_port=port,
            connection_pool_maxsize=connections,
        )
        self._roles = client.roles

    def get(self) -> object:
        return self._roles.get(role=next(self._ids))

    def walk(self) -> int:
        seen = 0
        page = self._roles.list(limit=PAGE)
        seen += len(page.roles)
        while page.pagination.has_more:
            page = self._roles.list(limit=PAGE, cursor=page.pagination.next_cursor)
            seen += len(page.roles)
        return seen

    def decode(self, body: bytes) -> object:
        """What its `list` does with the bytes of a response, by the same function."""
        return self._roles._api.api_client.deserialize(
            body.decode(), "ListRolesResponse", "application/json"
        )
