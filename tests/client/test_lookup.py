import asyncio

import pytest

from arize_roles_async import ForbiddenError
from arize_roles_fake import FakeRolesClient


@pytest.mark.asyncio
async def test_calls_that_share_a_walk_that_fails_get_an_error_of_their_own_each() -> None:
    roles = FakeRolesClient()
    roles.account.fail("list", 403)

    first, second = await asyncio.gather(
        roles.get(role="A"), roles.get(role="B"), return_exceptions=True
    )

    assert [call.operation for call in roles.account.calls] == ["list"]
    assert isinstance(first, ForbiddenError)
    assert isinstance(second, ForbiddenError)
    assert first is not second
    assert str(first) == str(second)


@pytest.mark.asyncio
async def test_nothing_is_kept_of_a_lookup_that_is_over() -> None:
    roles = FakeRolesClient()

    await asyncio.gather(*(roles.get(role=name) for name in ("Admin", "Member", "Read-only")))

    assert roles._lookup._queues == {}  # pyright: ignore[reportPrivateUsage]
