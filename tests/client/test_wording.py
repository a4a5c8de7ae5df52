"""Messages of errors, word for word, that no other test has."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import arize_roles_async
import arize_roles_fake
from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ConfigurationError,
    InvalidResponseError,
    ListRolesResponse,
    PaginationMetadata,
    RetryPolicy,
    RolePages,
    RolesClient,
    ValidationError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient

FetchPage = Callable[..., Awaitable[ListRolesResponse]]
ANOTHER_LOOP = (
    "the client belongs to another event loop that is still open; make a client for each loop"
)


def pages_with(*cursors: str | None) -> RolePages:
    """Return a listing whose pages have no roles, and these cursors."""
    left = iter(cursors)

    async def fetch(**_: object) -> ListRolesResponse:
        pagination = PaginationMetadata(has_more=True, next_cursor=next(left))
        return ListRolesResponse(roles=(), pagination=pagination)

    return RolePages.from_fetch(fetch)


class TestListing:
    """A listing that cannot be walked."""

    @pytest.mark.parametrize(
        ("cursors", "message"),
        [
            ([None], "the service said that more follows, and gave no cursor for it"),
            (
                ["a", "b", "a"],
                "the service gave the same cursor twice, so the walk would never end",
            ),
            (
                ["c" * 1000, "c" * 1001],
                (
                    "the service gave a cursor of 1001 characters, "
                    "more than the 1000 that are sent back"
                ),
            ),
        ],
    )
    @pytest.mark.asyncio
    async def test_cursor(self, cursors: list[str | None], message: str) -> None:
        """The service gives no cursor, or one that cannot be followed."""
        with pytest.raises(InvalidResponseError) as caught:
            await pages_with(*cursors).all()
        assert str(caught.value) == message

    def test_not_asynchronous(self) -> None:
        """A listing is walked in the wrong way."""
        with pytest.raises(TypeError) as caught:
            iter(pages_with())
        assert str(caught.value) == (
            "a listing is asynchronous: await it for one page, or use async for to walk all roles"
        )


class TestClient:
    """A client that is used wrongly."""

    @pytest.mark.parametrize(
        "make",
        [
            lambda: FakeRolesClient(FakeAccount()),
            lambda: AiohttpRolesClient("key", base_url="http://127.0.0.1:9"),
        ],
    )
    def test_another_loop(self, make: Callable[[], RolesClient]) -> None:
        """A client is used in a second event loop while its first one is open."""
        client = make()
        first = asyncio.new_event_loop()
        try:
            first.run_until_complete(client.__aenter__())
            with pytest.raises(ClientStateError) as caught:
                asyncio.run(client.aclose())
            first.run_until_complete(client.aclose())
        finally:
            first.close()
        assert str(caught.value) == ANOTHER_LOOP

    @pytest.mark.parametrize("attempts", [0, True, 1.5, "2"])
    def test_attempts(self, attempts: int) -> None:
        """The number of attempts must be an integer from 1."""
        with pytest.raises(ConfigurationError) as caught:
            RetryPolicy(attempts=attempts)
        assert str(caught.value) == (
            f"RetryPolicy.attempts must be an integer of at least 1, not {attempts!r}"
        )

    @pytest.mark.parametrize("target", [{}, {"role_id": "abc", "role": "abc"}])
    @pytest.mark.asyncio
    async def test_targets(self, target: dict[str, str]) -> None:
        """A call is about one role, which is given in one way."""
        anything: Any = FakeRolesClient()
        with pytest.raises(ValidationError) as caught:
            await anything.get(**target)
        assert str(caught.value) == "role_id, role: exactly one must be given"

    def test_unmade(self) -> None:
        """A client that is not set up yet has a repr that shows nothing."""
        client = AiohttpRolesClient.__new__(AiohttpRolesClient)
        assert repr(client) == "AiohttpRolesClient(base_url='')"

    def test_made(self) -> None:
        """A client's repr names the service, and shows no key."""
        client = AiohttpRolesClient("key", region="eu-west-1a")
        assert repr(client) == "AiohttpRolesClient(base_url='https://api.eu-west-1a.arize.com')"


@pytest.mark.parametrize("package", [arize_roles_async, arize_roles_fake])
def test_no_attribute(package: object) -> None:
    """The error for a missing name is that of any module."""
    with pytest.raises(AttributeError) as caught:
        package.Nothing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] # noqa: B018
    name = package.__name__  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    assert str(caught.value) == f"module {name!r} has no attribute 'Nothing'"
