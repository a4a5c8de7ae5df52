"""The result of `role_bindings.list()`: awaited for one page, or iterated for every binding."""

from collections.abc import Awaitable
from typing import Protocol

from msgspec.structs import asdict

from arize_roles_async._calls.paging import Pages
from arize_roles_async._role_bindings.models import (
    ListRoleBindingsResponse,
    RoleBinding,
    RoleBindingResourceType,
)
from arize_roles_async._role_bindings.requests import ListRoleBindings
from arize_roles_async._values.public import public


class FetchRoleBindings(Protocol):
    """A function that gets one page of a listing; its arguments are those of `list`."""

    def __call__(
        self, *, resource_type: str, user_id: str | None, limit: int, cursor: str | None
    ) -> Awaitable[ListRoleBindingsResponse]:
        """Return an awaitable of the page."""
        ...


@public("arize_roles_async")
class RoleBindingPages(Pages[ListRoleBindings, ListRoleBindingsResponse, RoleBinding]):
    """A listing that sends its requests only when it is awaited or iterated.

    `await bindings.list(…)` gives one page, `async for` every binding, page after page, and
    `await bindings.list(…).all()` every binding in one `ListRoleBindingsResponse`. Nothing is sent
    before that, and each starts afresh. Clients make listings; a client of your own makes one with
    `from_fetch`.

    Raises:
        ValidationError: An argument breaks its rule.
    """

    _noun = "role bindings"
    _request_type = ListRoleBindings
    _response = ListRoleBindingsResponse

    @staticmethod
    def from_fetch(
        fetch: FetchRoleBindings,
        *,
        resource_type: RoleBindingResourceType | str,
        user_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> "RoleBindingPages":
        """Return a listing over a function of your own that gets one page.

        Args:
            fetch: Called with the keywords `resource_type`, `user_id`, `limit` and `cursor` for
                each page. `user_id` and `cursor` may be None.
            resource_type: `SPACE` or `PROJECT`.
            user_id: The ID of a user, for only the bindings of that user.
            limit: Bindings a page, 1 to 100; None is 50 for one page and 100 a page in a walk.
            cursor: Where to begin, from an earlier page.

        Raises:
            ValidationError: An argument breaks its rule.
        """
        return RoleBindingPages(
            lambda request: fetch(**asdict(request)),
            resource_type=resource_type,
            user_id=user_id,
            limit=limit,
            cursor=cursor,
        )
