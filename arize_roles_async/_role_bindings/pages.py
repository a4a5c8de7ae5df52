"""The result of `role_bindings.list()`: awaited for one page, or iterated for every binding."""

from collections.abc import Awaitable
from typing import Protocol

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from arize_roles_async._calls.paging import Pages
from arize_roles_async._role_bindings.models import (
    ListRoleBindingsResponse,
    RoleBinding,
    RoleBindingResourceType,
)
from arize_roles_async._role_bindings.requests import ListRoleBindings


class FetchRoleBindings(Protocol):
    """A function that gets one page of a listing; its arguments are those of `list`."""

    def __call__(
        self, *, resource_type: str, user_id: str | UnsetType, limit: int, cursor: str | None
    ) -> Awaitable[ListRoleBindingsResponse]:
        """Return an awaitable of the page."""
        ...


class RoleBindingPages(Pages[ListRoleBindings, ListRoleBindingsResponse, RoleBinding]):
    """A listing of role bindings, used as `RolePages` is."""

    _noun = "role bindings"
    _request_type = ListRoleBindings

    @staticmethod
    def from_fetch(
        fetch: FetchRoleBindings,
        *,
        resource_type: RoleBindingResourceType | str,
        user_id: str | UnsetType = UNSET,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> "RoleBindingPages":
        """Return a listing over a function of your own that gets one page.

        For each page, `fetch` is called with the keywords `resource_type`, `user_id`, `limit` and
        `cursor`. A user that was left out is `UNSET`, a cursor None. The others are the arguments
        of `RoleBindingsClient.list`.

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
