"""Work whose cost may grow faster than what it is about, in process."""

import contextlib
import itertools
from collections.abc import AsyncGenerator
from typing import Any

from arize_roles_async import ListRolesResponse, PaginationMetadata, RolePages
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.benchmarks.records import Figures, permissions, role_name

_NAMES = 30


@contextlib.asynccontextmanager
async def operations(url: str, number: int) -> AsyncGenerator[Any]:
    """Yield a walk over so many pages, and calls by a few names in an account of so many roles."""
    del url

    async def walk() -> None:
        cursors = itertools.chain(map(str, range(1, number)), [None])

        async def fetch(**_: object) -> ListRolesResponse:
            cursor = next(cursors)
            pagination = PaginationMetadata(has_more=cursor is not None, next_cursor=cursor)
            return ListRolesResponse(roles=(), pagination=pagination)

        await RolePages.from_fetch(fetch).all()

    async def names() -> Figures:
        """Count the requests of a call by a name that was looked for before."""
        account, before = FakeAccount(), 0
        for index in range(number):
            account.add_role(name=role_name(index), permissions=permissions(index))
        client = FakeRolesClient(account)
        asked = [role_name(index) for index in range(0, number, number // _NAMES)]
        for _ in range(2):
            before = len(account.calls)
            for name in asked:
                await client.get(role=name)
        return Figures({"requests": (len(account.calls) - before) / len(asked)})

    yield {"walk": walk, "names": names}
