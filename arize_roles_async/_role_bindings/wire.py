"""Requests of each operation on role bindings; `_wire.decode` reads the answers."""

import functools
from urllib.parse import quote as percent_encoded

from arize_roles_async._role_bindings.requests import (
    CreateRoleBinding,
    ListRoleBindings,
    UpdateRoleBinding,
)
from arize_roles_async._wire.encode import encode_body
from arize_roles_async._wire.request import BINDINGS_PATH, Request, segment


def list_request(page: ListRoleBindings) -> Request:
    """Return the request for one page."""
    target = f"{BINDINGS_PATH}?resource_type={page.resource_type}&limit={page.limit}"
    if page.user_id is not None:
        target += f"&user_id={percent_encoded(page.user_id, safe='')}"
    if page.cursor is not None:
        target += f"&cursor={percent_encoded(page.cursor, safe='')}"
    return Request(method="GET", target=target)


def create_request(binding: CreateRoleBinding) -> Request:
    """Return the request that makes a binding."""
    return Request(method="POST", target=BINDINGS_PATH, body=encode_body(binding))


def item_request(method: str, binding_id: str, changes: UpdateRoleBinding | None = None) -> Request:
    """Return a request about one binding."""
    body = None if changes is None else encode_body(changes)
    return Request(method=method, target=_binding_path(binding_id), body=body)


@functools.lru_cache(maxsize=1024)  # Quoting takes longer than all else that makes a request.
def _binding_path(binding_id: str) -> str:
    return f"{BINDINGS_PATH}/{segment(binding_id)}"
