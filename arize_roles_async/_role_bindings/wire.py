"""The request for a page of role bindings."""

from urllib.parse import quote as percent_encoded

from arize_roles_async._role_bindings.requests import ListRoleBindings
from arize_roles_async._wire.request import BINDINGS_PATH, Request


def list_request(page: ListRoleBindings) -> Request:
    """Return the request for one page."""
    target = f"{BINDINGS_PATH}?resource_type={page.resource_type}&limit={page.limit}"
    if page.user_id is not None:
        target += f"&user_id={percent_encoded(page.user_id, safe='')}"
    if page.cursor is not None:
        target += f"&cursor={percent_encoded(page.cursor, safe='')}"
    return Request(method="GET", target=target)
