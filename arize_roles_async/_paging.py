"""What `list()` returns: await it for one page, or iterate it for every role."""

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

from msgspec.structs import replace

from arize_roles_async._errors import InvalidResponseError
from arize_roles_async._models import ListRolesResponse, PaginationMetadata, Role
from arize_roles_async._requests import DEFAULT_LIMIT, MAX_LIMIT, ListRoles

Fetch = Callable[[ListRoles], Awaitable[ListRolesResponse]]
"""What gets one page."""


class RolePages:
    """A listing that has not been asked for yet.

        page = await roles.list()               # one page
        async for role in roles.list(): ...     # every role, page after page
        everything = await roles.list().all()   # every role, in one ListRolesResponse

    Nothing is sent before one of them, and each starts afresh.

    Args:
        fetch: Gets one page.
        limit: Roles a page; None is 50 for one page, and 100 a page where all are walked.
        cursor: Where to begin, from a page before.
        is_predefined: Only predefined roles, only custom ones, or, with None, all.

    Raises:
        ValidationError: An argument breaks its rule.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | None = None,
    ) -> None:
        self._fetch = fetch
        self._one = ListRoles(
            limit=DEFAULT_LIMIT if limit is None else limit,
            cursor=cursor,
            is_predefined=is_predefined,
        )
        self._each = self._one if limit is not None else replace(self._one, limit=MAX_LIMIT)

    def __await__(self) -> Generator[Any, Any, ListRolesResponse]:
        return self._fetch(self._one).__await__()

    def __aiter__(self) -> AsyncIterator[Role]:
        return _Walk(self.pages())

    def pages(self) -> "AsyncIterator[ListRolesResponse]":
        """Return an iterator over the pages, each fetched when it is asked for.

        Raises:
            InvalidResponseError: While iterating: the service gave a cursor for the second time,
                or said that more follows without one.
        """
        return _PageWalk(self._fetch, self._each)

    async def all(self) -> ListRolesResponse:
        """Return every role, all pages gathered into one response."""
        roles = [role async for role in self]
        return ListRolesResponse(roles=tuple(roles), pagination=PaginationMetadata(has_more=False))


# Classes and not generators: a generator that is left early has to be closed, by a task of the
# event loop's or with a warning; these are just dropped.


class _PageWalk(AsyncIterator[ListRolesResponse]):
    def __init__(self, fetch: Fetch, first: ListRoles) -> None:
        self._fetch = fetch
        self._next: ListRoles | None = first
        # Hashes, so that a long walk holds a few bytes a page and not every cursor.
        self._seen = array("q")

    async def __anext__(self) -> ListRolesResponse:
        asked = self._next
        if asked is None:
            raise StopAsyncIteration
        page = await self._fetch(asked)
        self._next = self._after(asked, page.pagination) if page.pagination.has_more else None
        return page

    def _after(self, asked: ListRoles, pagination: PaginationMetadata) -> ListRoles:
        cursor = pagination.next_cursor
        if not cursor:
            raise InvalidResponseError(
                "the service said that more roles follow, and gave no cursor for them"
            )
        if hash(cursor) in self._seen or cursor == asked.cursor:
            raise InvalidResponseError(
                "the service gave the same cursor twice, so the walk would never end"
            )
        self._seen.append(hash(cursor))
        return replace(asked, cursor=cursor)


class _Walk(AsyncIterator[Role]):
    def __init__(self, pages: AsyncIterator[ListRolesResponse]) -> None:
        self._pages = pages
        self._roles: Iterator[Role] = iter(())

    async def __anext__(self) -> Role:
        while True:
            for role in self._roles:
                return role
            self._roles = iter((await anext(self._pages)).roles)
