"""The fake, in process."""

import contextlib
import itertools
from collections.abc import AsyncGenerator
from typing import Any

from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.benchmarks.records import PAGE, id_of, permissions, role_name


@contextlib.asynccontextmanager
async def operations(url: str, roles: int, bindings: int = 0) -> AsyncGenerator[Any]:
    """Yield calls to an account of so many roles, and so many users with a binding each."""
    del url
    account = FakeAccount()
    ids = [
        account.add_role(name=role_name(number), permissions=permissions(number)).id
        for number in range(roles)
    ]
    # Strides over the whole account: a handful of ids would always be in the cache.
    some, numbers = itertools.cycle(ids[:: max(1, roles // 997)]), itertools.count(roles)
    users = [
        account.bind(next(some), user=id_of("User", number), resource=id_of("Space", 1)).user_id
        for number in range(bindings)
    ]
    some_users = itertools.cycle(users[:: max(1, bindings // 997)])
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

    async def bind() -> None:
        """Give a user a role, give it again, take it away, and delete a role that nobody has."""
        new = {
            "user_id": next(some_users),
            "resource_type": "SPACE",
            "resource_id": id_of("Space", 2),
        }
        await client.role_bindings.ensure(role_id=ids[0], **new)
        await client.role_bindings.ensure(role_id=ids[0], **new)
        assert await client.role_bindings.remove(**new)
        role = await client.create(name="For nobody", permissions=["PROJECT_READ"])
        await client.delete(role_id=role.id)

    async def pages() -> None:
        assert len((await client.list(limit=PAGE)).roles) == PAGE
        page = await client.list(limit=PAGE - 1, cursor=half_way)
        assert len(page.roles) == PAGE - 1

    # Roles come and go, as they do in an account that is in use.
    for _ in range(roles // 20):
        await live()
    half_way: str | None = None
    for _ in range(roles // 2 // PAGE):
        half_way = (await client.list(limit=PAGE, cursor=half_way)).pagination.next_cursor
    yield {"get": get, "live": live, "bind": bind, "pages": pages}
