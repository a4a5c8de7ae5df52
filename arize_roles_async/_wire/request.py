"""HTTP requests without a connection, and those of every operation, whatever its resource."""

import functools
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote as percent_encoded

import msgspec

from arize_roles_async._values.requests import PageRequest
from arize_roles_async._values.text import one_line

_MAX_PATH: Final = 200


# `gc=False`: neither can be part of a cycle, and each object that it tracks makes the garbage
# collector run sooner.
class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An HTTP request without its connection, as every transport takes it."""

    method: str
    target: str
    """The path and query, percent-encoded, as on the request line."""
    body: bytes | None = None
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show no more than `repr`: rich would show the headers, and so the API key."""
        return [("method", self.method), ("target", self.target)]

    def __str__(self) -> str:
        """Return the method and the path, for a message or a log line."""
        return f"{self.method} {one_line(self.path, _MAX_PATH)}"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


def page_request(collection: str, page: PageRequest) -> Request:
    """Return the request for one page of a list, without the fields that are None or left out."""
    fields = msgspec.structs.asdict(page).items()
    query = [f"{k}={_in_query(v)}" for k, v in fields if v not in (None, msgspec.UNSET)]
    return Request(method="GET", target=f"{collection}?{'&'.join(query)}")


def item_request(method: str, collection: str, item_id: str) -> Request:
    return Request(method=method, target=item_path(collection, item_id))


def change_request(collection: str, item_id: str | None, record: msgspec.Struct) -> Request:
    """Return the request that creates an item from a record, or changes the one with an ID."""
    # str() is for permissions that are no members.
    body = msgspec.json.encode(record, enc_hook=str)
    if item_id is None:
        return Request(method="POST", target=collection, body=body)
    return Request(method="PATCH", target=item_path(collection, item_id), body=body)


@functools.lru_cache(maxsize=1024)  # Encoding takes longer than all else that makes a request.
def item_path(collection: str, item_id: str) -> str:
    """Return the path of an item of a collection, with the whole ID in one segment."""
    # A segment of dots alone would mean the parent folder, and encoding leaves dots as they are.
    if not item_id.strip("."):
        return f"{collection}/{item_id.replace('.', '%2E')}"
    return f"{collection}/{percent_encoded(item_id, safe='')}"


def _in_query(value: str | bool | int) -> str:  # noqa: FBT001 - of a query
    # `str` of an enum's member is not always its text.
    return percent_encoded(value, safe="") if isinstance(value, str) else str(value).lower()
