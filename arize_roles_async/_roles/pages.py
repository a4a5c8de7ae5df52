"""The result of `roles.list()`: awaited for one page, or iterated for every role."""

from collections.abc import Awaitable
from typing import Protocol

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from arize_roles_async._calls.paging import Pages
from arize_roles_async._roles.models import ListRolesResponse, Role
from arize_roles_async._roles.requests import ListRoles


class FetchPage(Protocol):
    """A function that gets one page of a listing; its arguments are those of `list`."""

    def __call__(
        self, *, limit: int, cursor: str | None, is_predefined: bool | UnsetType
    ) -> Awaitable[ListRolesResponse]:
        """Return an awaitable of the page."""
        ...


class RolePages(Pages[ListRoles, ListRolesResponse, Role]):
    """A listing that sends its requests only when it is awaited or iterated.

    `await roles.list()` gives one page, `async for role in roles.list()` every role, page after
    page, and `await roles.list().all()` every role in one `ListRolesResponse`. Nothing is sent
    before that, and each starts afresh. Clients make listings; a client of your own makes one with
    `from_fetch`.
    """

    _noun = "roles"
    _request_type = ListRoles

    @staticmethod
    def from_fetch(
        fetch: FetchPage,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | UnsetType = UNSET,
    ) -> "RolePages":
        """Return a listing over a function of your own that gets one page.

        For each page, `fetch` is called with the keywords `limit`, `cursor` and `is_predefined`. A
        filter that was left out is `UNSET`, a cursor None. The others are the arguments of
        `RolesClient.list`.

        Raises:
            ValidationError: An argument breaks its rule.
        """
        return RolePages(
            lambda request: fetch(**asdict(request)),
            limit=limit,
            cursor=cursor,
            is_predefined=is_predefined,
        )
