"""The requests of every operation, whatever its resource."""

from urllib.parse import quote as percent_encoded

import msgspec

from arize_roles_async._values.requests import PageRequest
from arize_roles_async._wire.request import Request, item_path


def page_request(collection: str, page: PageRequest) -> Request:
    """Return the request for one page of a list; fields that are None are left out."""
    given = ((name, getattr(page, name)) for name in page.__struct_fields__)
    query = "&".join(f"{name}={_in_query(value)}" for name, value in given if value is not None)
    return Request(method="GET", target=f"{collection}?{query}")


def create_request(collection: str, record: msgspec.Struct) -> Request:
    """Return the request that makes a record."""
    return Request(method="POST", target=collection, body=_encode(record))


def item_request(
    method: str, collection: str, item_id: str, changes: msgspec.Struct | None = None
) -> Request:
    """Return a request about one record."""
    body = None if changes is None else _encode(changes)
    return Request(method=method, target=item_path(collection, item_id), body=body)


def _in_query(value: str | bool | int) -> str:  # noqa: FBT001 - of a query
    # `str` of an enum's member is not always its text.
    return percent_encoded(value, safe="") if isinstance(value, str) else str(value).lower()


def _encode(data: msgspec.Struct) -> bytes:
    return msgspec.json.encode(data, enc_hook=str)  # str() is for permissions that are no members
