"""Listings: shown, made from a function, and walked by several tasks."""

import asyncio
from typing import Any

import pytest

from arize_roles_async import (
    ClientStateError,
    InvalidResponseError,
    ListRolesResponse,
    PaginationMetadata,
    RolePages,
)
from arize_roles_fake import FakeRolesClient, make_role


def test_repr() -> None:
    """The repr of a listing says how to use it."""
    way = "<{}, not asked for yet: await it for {}, or use async for to walk all {}>"
    roles = FakeRolesClient()
    assert repr(roles.list()) == way.format("RolePages", "one page", "roles")
    assert repr(roles.by_name.find()) == way.format("FoundBindings", "all", "role bindings")


async def test_from_fetch() -> None:
    """A function that gets one page is asked for each, with the filters that were given."""
    fake = FakeRolesClient()
    asked: list[tuple[object, ...]] = []

    async def fetch(*, cursor: str | None, **given: Any) -> ListRolesResponse:  # noqa: ANN401
        asked.append((cursor is not None, given))
        return await fake.list(cursor=cursor, **given)

    await RolePages.from_fetch(fetch)
    await RolePages.from_fetch(fetch).all()
    assert len(await RolePages.from_fetch(fetch, limit=4, is_predefined=True).all()) == 7
    predefined = {"limit": 4, "is_predefined": True}
    assert asked == [
        *((False, {"limit": 50}), (False, {"limit": 100}), (False, predefined), (True, predefined))
    ]


@pytest.mark.parametrize(
    ("cursors", "what"),
    [
        ([None], "said that more follows, and gave no cursor for it"),
        (["a", "b", "a"], "gave the same cursor twice, so the walk would never end"),
        (["first"], "gave the same cursor twice, so the walk would never end"),
        (
            ["c" * 1000, "c" * 1001],
            "gave a cursor of 1001 characters, more than the 1000 that are sent back",
        ),
        (list(map(str, range(100))), "gave 100 empty pages in a row, and said that more follows"),
    ],
)
async def test_bad_cursor(cursors: list[str | None], what: str) -> None:
    """A page whose cursor cannot be followed ends the walk."""
    left = iter(cursors)

    async def fetch(**_: object) -> ListRolesResponse:
        pagination = PaginationMetadata(has_more=True, next_cursor=next(left))
        return ListRolesResponse(roles=(), pagination=pagination)

    with pytest.raises(InvalidResponseError) as caught:
        await RolePages.from_fetch(fetch, cursor="first").all()
    assert str(caught.value) == f"the service {what}"


async def test_empty_pages() -> None:
    """Fewer empty pages in a row, and more in all, do not end a walk."""
    role, numbers = make_role(), iter(range(1, 301))

    async def fetch(**_: object) -> ListRolesResponse:
        number = next(numbers)
        pagination = PaginationMetadata(has_more=number < 300, next_cursor=str(number))
        return ListRolesResponse(roles=() if number % 100 else (role,), pagination=pagination)

    assert (await RolePages.from_fetch(fetch).all()).roles == (role,) * 3


async def test_shared() -> None:
    """Of several tasks on one iterator, one goes on, and the others raise that it is running."""
    roles = FakeRolesClient()
    walked = aiter(roles.list(limit=3))

    async def walk() -> int:
        return len([role async for role in walked])

    first, *others = await asyncio.gather(walk(), walk(), walk(), return_exceptions=True)
    assert first == len(roles.account.roles)
    assert [type(end) for end in others] == [ClientStateError] * 2
    assert "already running" in str(others[0])


async def test_cancelled() -> None:
    """A walk whose page was cancelled goes on with the same page."""
    roles = FakeRolesClient()
    walked = aiter(roles.list())
    with roles.account.block("list") as blocked:
        waiting = asyncio.ensure_future(anext(walked))
        await blocked.reached()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert len([role async for role in walked]) == 7
