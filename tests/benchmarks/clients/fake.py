"""The fake, in process."""

import contextlib
import itertools
from collections.abc import AsyncGenerator
from typing import Any

from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.benchmarks.records import permissions, role_name


@contextlib.asynccontextmanager
async def operations(url: str) -> AsyncGenerator[Any]:
    del url
    account = FakeAccount()
    made = [account.add_role(role_name(number), permissions(number)) for number in range(100)]
    ids, client = itertools.cycle(role.id for role in made), FakeRolesClient(account)
    yield {"get": lambda: client.get(role_id=next(ids))}
