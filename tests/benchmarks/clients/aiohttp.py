"""Bare aiohttp with msgspec, written by hand as by somebody who wants objects with types."""

import contextlib
import itertools
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from tests.benchmarks.records import KEY, PAGE, ids_of, new_role

HEADERS = {"Authorization": f"Bearer {KEY}"}


class _Role(msgspec.Struct):
    id: str
    created_at: datetime
    updated_at: datetime
    name: str
    description: str
    permissions: list[str]
    is_predefined: bool


class _Page(msgspec.Struct):
    pagination: dict[str, bool | str]
    roles: list[_Role]


@contextlib.asynccontextmanager
async def operations(url: str) -> AsyncGenerator[Any]:
    roles, numbers = ids_of("Role"), itertools.count()
    role, page = map(msgspec.json.Decoder, (_Role, _Page))

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def fetch(path: str, decoder: Any) -> object:  # noqa: ANN401
            async with session.get(f"{url}/v2/{path}") as response:
                response.raise_for_status()
                decoded: object = decoder.decode(await response.read())
                return decoded

        async def create() -> object:
            body = msgspec.json.encode(new_role(next(numbers)))
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/v2/roles", data=body, headers=headers) as response:
                response.raise_for_status()
                return role.decode(await response.read())

        yield {
            "get": lambda: fetch(f"roles/{quote(next(roles), safe='')}", role),
            "new": create,
            "page": lambda: fetch(f"roles?limit={PAGE}", page),
        }
