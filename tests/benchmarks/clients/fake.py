"""The fake, in process."""

import contextlib
import itertools
from collections.abc import AsyncGenerator
from typing import Any

from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.benchmarks.records import Figures, permissions, role_name


@contextlib.asynccontextmanager
async def operations(url: str, roles: int) -> AsyncGenerator[Any]:
    """Yield calls to an account of so many roles."""
    del url
    account = FakeAccount()
    ids = [
        account.add_role(name=role_name(number), permissions=permissions(number)).id
        for number in range(roles)
    ]
    # Strides over the whole account: a handful of ids would always be in the cache.
    some, numbers = itertools.cycle(ids[:: max(1, roles // 997)]), itertools.count(roles)
    client = FakeRolesClient(account)

    async def get() -> None:
        await client.get(role_id=next(some))

    async def live() -> None:
        """Create a role, change another, and delete the first one."""
        number = next(numbers)
        role = await client.create(name=role_name(number), permissions=permissions(number))
        await get()
        await client.update(role_id=next(some), description=f"Changed by {number}.")
        await client.delete(role_id=role.id)

    async def names() -> Figures:
        """Count the requests of a call by a name that was looked for before."""
        fresh, before = FakeRolesClient(account), 0
        asked = range(0, roles, roles // 30)
        for _ in range(2):
            before = len(account.calls)
            for number in asked:
                await fresh.get(role=role_name(number))
        return Figures({"requests": (len(account.calls) - before) / len(asked)})

    # Roles come and go, as they do in an account that is in use.
    for _ in range(roles // 20):
        await live()
    yield {"get": get, "live": live, "names": names}
