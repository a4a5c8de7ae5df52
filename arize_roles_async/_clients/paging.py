"""Listings: awaited for one page, or iterated for every item."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from typing import Any, ClassVar, Final, Generic, NoReturn, Self, TypeVar

from msgspec import UNSET
from msgspec.structs import asdict, replace

from arize_roles_async._values.errors import ClientStateError, InvalidResponseError
from arize_roles_async._values.json import MAX_ID
from arize_roles_async._values.models import ListResponse
from arize_roles_async._values.requests import DEFAULT_LIMIT, MAX_LIMIT, PageRequest

_R = TypeVar("_R", bound=PageRequest)
_P = TypeVar("_P", bound=ListResponse[Any])
_T = TypeVar("_T")

_MAX_EMPTY: Final = 100


class Asynchronous:
    """What is awaited or iterated with `async for`: a plain loop or condition is a mistake."""

    _noun: ClassVar[str]
    """The word for the items, in a message."""
    _awaited: ClassVar[str] = ""
    """The words for what an `await` gives, if that is possible."""

    def _how(self) -> str:
        how = f"use async for to walk all {self._noun}"
        return f"await it for {self._awaited}, or {how}" if self._awaited else how

    def __iter__(self) -> NoReturn:
        raise TypeError(f"a listing is asynchronous: {self._how()}")

    __bool__ = __iter__


class Pages(Asynchronous, Generic[_R, _P, _T]):
    """A listing of any resource, as `RolePages` describes it; `fetch` gets one page."""

    _awaited = "one page"
    _request_type: ClassVar[Any]
    """The class of the request for a page."""

    def __init__(
        self,
        fetch: Callable[[_R], Awaitable[_P]],
        *,
        limit: int | None = None,
        **fields: Any,  # noqa: ANN401 - the request checks them
    ) -> None:
        self._fetch = fetch
        one_page = DEFAULT_LIMIT if limit is None else limit
        self._request: _R = self._request_type(limit=one_page, **fields)
        self._walk_limit = MAX_LIMIT if limit is None else limit

    @classmethod
    def from_fetch(cls, fetch: Callable[..., Awaitable[_P]], **arguments: Any) -> Self:  # noqa: ANN401
        """Return a listing over a function of your own that gets one page.

        For each page, `fetch` is called with the keywords `limit` and `cursor`, which may be None,
        and the filters that were given.

        Args:
            fetch: The function.
            arguments: Those of the client's method that lists, such as `RolesClient.list`.

        Raises:
            ValidationError: An argument breaks its rule.
        """

        def fetch_page(request: _R) -> Awaitable[_P]:
            fields = asdict(request)
            return fetch(**{k: v for k, v in fields.items() if v is not UNSET})

        return cls(fetch_page, **arguments)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, not asked for yet: {self._how()}>"

    def __await__(self) -> Generator[object, object, _P]:
        return self._fetch(self._request).__await__()

    def __aiter__(self) -> AsyncIterator[_T]:
        return _ItemIterator(self.pages())

    def pages(self) -> AsyncIterator[_P]:
        """Return an iterator over the pages, each fetched when it is asked for.

        Raises:
            InvalidResponseError: While iterating: the service gave a cursor for the second time,
                none although more follows, or 100 empty pages in a row.
            ClientStateError: While iterating: another task waits for the next page of the same
                iterator.
        """
        return Walk(self._fetch, replace(self._request, limit=self._walk_limit))

    async def all(self) -> _P:
        """Return every item, all pages gathered into one response."""
        pages = [page async for page in self.pages()]
        return pages[0].of(item for page in pages for item in page)


# Classes, not generators: a generator that is left early must be closed, which takes a task of the
# event loop, or else leads to a warning.


class Walk(AsyncIterator[_P], Generic[_R, _P]):
    """A walk over all pages, which iterates them."""

    def __init__(self, fetch: Callable[[_R], Awaitable[_P]], first: _R) -> None:
        self.fetch: Callable[[_R], Awaitable[_P]] = fetch
        """Gets the next page."""
        self.next: _R | None = first
        """The request for the next page; None at the end."""
        self.is_fetching: bool = False
        # Hashes, so that a long walk does not keep every cursor.
        self._cursors: set[int] = set()
        self._empty = 0
        """Pages without an item since the last one with an item."""

    async def __anext__(self) -> _P:
        if self.is_fetching:
            raise ClientStateError(
                "the iteration is already running: another task waits for its next page, and each "
                "task needs an iteration of its own"
            )
        asked = self.next
        if asked is None:
            raise StopAsyncIteration
        self.is_fetching = True
        try:
            page = await self.fetch(asked)
        finally:
            self.is_fetching = False
        self.next = None
        if page.pagination.has_more:
            self._empty = 0 if len(page) else self._empty + 1
            cursor = self._new_cursor(page, asked)
            self.next = replace(asked, cursor=cursor)
        return page

    def _new_cursor(self, page: ListResponse[object], asked: _R) -> str:
        cursor = page.pagination.next_cursor
        if not cursor:
            why = "said that more follows, and gave no cursor for it"
        elif (length := len(cursor)) > MAX_ID:
            why = f"gave a cursor of {length} characters, more than the {MAX_ID} that are sent back"
        elif hash(cursor) in self._cursors or cursor == asked.cursor:
            why = "gave the same cursor twice, so the walk would never end"
        elif self._empty >= _MAX_EMPTY:
            why = f"gave {_MAX_EMPTY} empty pages in a row, and said that more follows"
        else:
            self._cursors.add(hash(cursor))
            return cursor
        raise InvalidResponseError(f"the service {why}")


class _ItemIterator(AsyncIterator[_T]):
    def __init__(self, pages: AsyncIterator[Iterable[_T]]) -> None:
        self._pages = pages
        self._items: Iterator[_T] = iter(())

    async def __anext__(self) -> _T:
        while True:
            for item in self._items:
                return item
            self._items = iter(await anext(self._pages))
