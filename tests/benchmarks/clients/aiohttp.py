"""Bare aiohttp with msgspec, written by hand as by somebody who wants objects with types."""

import contextlib
import itertools
import ssl
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from tests.benchmarks.records import KEY, PAGE, ids_of, new_role

HEADERS = {"Authorization": f"Bearer {KEY}"}


class _Record(msgspec.Struct):
    id: str
    created_at: datetime
    updated_at: datetime


class _Role(_Record):
    name: str
    description: str
    permissions: list[str]
    is_predefined: bool


class _Binding(_Record):
    role_id: str
    user_id: str
    resource_type: str
    resource_id: str


class _Page(msgspec.Struct):
    pagination: dict[str, bool | str]
    roles: list[_Role] = []
    role_bindings: list[_Binding] = []


@contextlib.asynccontextmanager
async def operations(url: str, ca_file: str | None = None) -> AsyncGenerator[Any]:
    tls = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
    roles, bindings = ids_of("Role"), ids_of("RoleBinding")
    numbers = itertools.count()
    role, binding, page = map(msgspec.json.Decoder, (_Role, _Binding, _Page))

    async with aiohttp.ClientSession(
        headers=HEADERS, connector=aiohttp.TCPConnector(ssl=tls)
    ) as session:

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
            "binding": lambda: fetch(f"role-bindings/{quote(next(bindings), safe='')}", binding),
            "bindings": lambda: fetch(f"role-bindings?resource_type=SPACE&limit={PAGE}", page),
        }
