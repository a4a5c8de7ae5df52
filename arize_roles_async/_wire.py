"""What goes over the wire, as bytes and without I/O: requests and responses, for both sides.

The client encodes requests and decodes responses; the fake account decodes those requests and
encodes those responses.
"""

import contextlib
import functools
import re
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from arize_roles_async._errors import (
    InvalidResponseError,
    Problem,
    StatusError,
    ValidationError,
    status_error_class,
)
from arize_roles_async._models import ListRolesResponse, Role
from arize_roles_async._options import retry_after
from arize_roles_async._requests import CreateRole, ListRoles, UpdateRole

ROLES_PATH: Final = "/v2/roles"
MAX_BODY: Final = 16 * 1024 * 1024
_EXCERPT: Final = 200
_SECRET: Final = "[API key]"  # noqa: S105 - what stands in its place
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)


# Structs and no attrs classes: each call makes some, and a struct is made in a fifth of the time.


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request without its connection: what either transport is handed."""

    method: str
    target: str
    """The path and query, percent-encoded, as on the request line."""
    body: bytes | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP response without its connection.

    Header names are looked up as HTTP's registry writes them, or in a case-insensitive mapping.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    secret: str | None = None
    """The API key that was sent, which no error may quote from an answer that echoes it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.body)} bytes>"

    def without_secret(self) -> "Response":
        """Return the response as an error may quote it."""
        secret = self.secret
        if secret is None:
            return self
        return msgspec.structs.replace(
            self,
            # Names arrive in any case, and a dict knows only the one they are looked up in.
            headers={n.title(): v.replace(secret, _SECRET) for n, v in self.headers.items()},
            body=_without(secret, self.body),
            secret=None,
        )


def _without(secret: str, body: bytes) -> bytes:
    if b"\\" in body:
        # Escapes could spell the secret in other letters, so what is JSON is spelled anew.
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            body = msgspec.json.encode(msgspec.json.decode(body))
        body = body.replace(msgspec.json.encode(secret)[1:-1], _SECRET.encode())
    return body.replace(secret.encode(), _SECRET.encode())


_M = TypeVar("_M", Role, ListRolesResponse)


# On first use: making a decoder takes longer than importing most modules. One at a time: msgspec
# hands out what it knows of a class before it is complete, which crashes a second thread.
_making: Final = threading.Lock()


@functools.cache
def _role_decoder() -> "msgspec.json.Decoder[Role]":
    with _making:
        return msgspec.json.Decoder(Role)


@functools.cache
def _page_decoder() -> "msgspec.json.Decoder[ListRolesResponse]":
    with _making:
        return msgspec.json.Decoder(ListRolesResponse)


# The client's side: requests out.


def list_request(page: ListRoles) -> Request:
    """Return the request for one page."""
    query = {"limit": str(page.limit)}
    if page.cursor is not None:
        query["cursor"] = page.cursor
    if page.is_predefined is not None:
        query["is_predefined"] = "true" if page.is_predefined else "false"
    encoded = urlencode(query, quote_via=quote, safe="")
    return Request(method="GET", target=f"{ROLES_PATH}?{encoded}")


def create_request(role: CreateRole) -> Request:
    """Return the request that makes a role."""
    return Request(method="POST", target=ROLES_PATH, body=_encoded(role))


def get_request(role_id: str) -> Request:
    """Return the request for one role."""
    return Request(method="GET", target=role_path(role_id))


def update_request(role_id: str, changes: UpdateRole) -> Request:
    """Return the request that changes a role."""
    return Request(method="PATCH", target=role_path(role_id), body=_encoded(changes))


def delete_request(role_id: str) -> Request:
    """Return the request that deletes a role."""
    return Request(method="DELETE", target=role_path(role_id))


@functools.lru_cache(maxsize=1024)  # Quoting takes longer than all else that makes a request.
def role_path(role_id: str) -> str:
    """Return the path of a role: the whole ID in one segment, whatever it holds."""
    # A segment of dots alone would be taken for a step up, and quote() leaves dots as they are.
    segment = quote(role_id, safe="") if role_id.strip(".") else role_id.replace(".", "%2E")
    return f"{ROLES_PATH}/{segment}"


def _encoded(data: object) -> bytes:
    return msgspec.json.encode(data, enc_hook=str)  # str() is for permissions that are no members


# The client's side: responses in.


def decode_role(request: Request, response: Response) -> Role:
    """Return the role that the service answered with, or raise what the answer means."""
    return _decode(request, response, _role_decoder(), Role)


def decode_page(request: Request, response: Response) -> ListRolesResponse:
    """Return the page that the service answered with, or raise what the answer means."""
    return _decode(request, response, _page_decoder(), ListRolesResponse)


def _decode(
    request: Request, response: Response, decoder: "msgspec.json.Decoder[_M]", model: type[_M]
) -> _M:
    if response.status not in _SUCCESS:
        raise error_of(request, response)
    media_type = response.headers.get("Content-Type", "application/json")
    if "json" not in media_type:
        shown = response.without_secret().headers["Content-Type"][:80]
        raise invalid_response(request, response, f"its type is {shown!a}, not JSON")
    try:
        return decoder.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return _second_look(request, response, model)


def _second_look(request: Request, response: Response, model: type[_M]) -> _M:
    from arize_roles_async import _convert

    response = response.without_secret()
    try:
        return _convert.from_json(model, response.body)
    except ValidationError as error:
        refused = error
    raise invalid_response(request, response, str(refused)) from refused


def error_of(request: Request, response: Response) -> StatusError:
    """Return the exception for an answer that is no success: the one way from bytes to errors."""
    response = response.without_secret()
    problem = _problem(response)
    headers = response.headers
    request_id = headers.get("X-Request-Id")
    said = f"{request.method} {request.path} answered {response.status}"
    if problem is not None and (problem.title or problem.detail):
        said += " " + _printable(": ".join(filter(None, (problem.title, problem.detail))))
    elif response.status in _REDIRECT:
        said += ", a redirect, which this client does not follow"
    elif response.body:
        said += f" with a body that is no problem document: {excerpt(response.body)}"
    wait = retry_after(headers.get("Retry-After"), headers.get("Date"), time.time())
    if wait is not None:
        said += f" (retry after {wait:g} s)"
    if request_id is not None:
        said += f" (request id {_printable(request_id)})"
    return status_error_class(response.status)(
        said,
        status=response.status,
        problem=problem,
        method=request.method,
        path=request.path,
        request_id=request_id,
        retry_after=wait,
    )


def _problem(response: Response) -> Problem | None:
    try:
        data = msgspec.json.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    members = cast("dict[str, Any]", data)
    kinds = {"status": int, "limit": int, "current_count": int}
    return Problem(
        **{
            name: members[name]
            for name in Problem.__struct_fields__
            if type(members.get(name)) is kinds.get(name, str)
        }
    )


def invalid_response(request: Request, response: Response, why: str) -> InvalidResponseError:
    """Return the exception for an answer that is not what the reference says."""
    said = f"{request.method} {request.path} answered {response.status}, and not as expected: {why}"
    if request.method != "GET" and response.status in _SUCCESS:
        said += "; by its status the change was made"
    shown = excerpt(response.without_secret().body)
    return InvalidResponseError(
        f"{said}; the body begins {shown}" if response.body else said,
        status=response.status,
        method=request.method,
        path=request.path,
        excerpt=shown,
    )


def excerpt(body: bytes) -> str:
    """Return the beginning of a body, quoted, on one line and safe to print."""
    text = body[:_EXCERPT].decode("utf-8", "replace")
    return f"{_printable(text)!r}" + ("…" if len(body) > _EXCERPT else "")


def _printable(text: str) -> str:
    folded = re.sub(r"\s+", " ", text)
    return "".join(c if c.isprintable() else "�" for c in folded)
