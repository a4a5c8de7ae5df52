"""The requests of every operation; other resources than roles have their own for a page."""

from urllib.parse import quote as percent_encoded

import msgspec

from arize_roles_async._roles.requests import ListRoles
from arize_roles_async._wire.request import ROLES_PATH, Request, item_path


def list_request(page: ListRoles) -> Request:
    target = f"{ROLES_PATH}?limit={page.limit}"
    if page.cursor is not None:
        target += f"&cursor={percent_encoded(page.cursor, safe='')}"
    if page.is_predefined is not None:
        target += f"&is_predefined={'true' if page.is_predefined else 'false'}"
    return Request(method="GET", target=target)


def create_request(collection: str, record: msgspec.Struct) -> Request:
    return Request(method="POST", target=collection, body=_encode(record))


def item_request(
    method: str, collection: str, item_id: str, changes: msgspec.Struct | None = None
) -> Request:
    body = None if changes is None else _encode(changes)
    return Request(method=method, target=item_path(collection, item_id), body=body)


def _encode(data: msgspec.Struct) -> bytes:
    return msgspec.json.encode(data, enc_hook=str)  # str() is for permissions that are no members
