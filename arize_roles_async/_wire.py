"""What goes over the wire, as bytes and without I/O: requests and responses, for both sides.

The client encodes requests and decodes responses; the fake account decodes those requests and
encodes those responses.
"""

import contextlib
import functools
import re
import threading
import time
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from arize_roles_async._errors import (
    InvalidResponseError,
    Problem,
    StatusError,
    ValidationError,
    Violation,
    status_error_class,
)
from arize_roles_async._models import ListRolesResponse, Role
from arize_roles_async._options import retry_after
from arize_roles_async._permissions import Permission, UnknownPermission
from arize_roles_async._requests import CreateRole, ListRoles, UpdateRole, each_once

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


# The fake service's side: requests in.


def decode_list(query: str) -> ListRoles:
    """Return the page that a query string asks for.

    Raises:
        ValidationError: A parameter breaks its rule; unknown ones are ignored.
    """
    given = dict(parse_qsl(query, keep_blank_values=True))
    names = ListRoles.__struct_fields__
    arguments: dict[str, Any] = {name: given[name] for name in names if name in given}
    if "limit" in given and re.fullmatch(r"-?[0-9]{1,9}", given["limit"]):
        arguments["limit"] = int(given["limit"])
    if given.get("is_predefined") in {"true", "false"}:
        arguments["is_predefined"] = given["is_predefined"] == "true"
    return ListRoles(**arguments)


def decode_create(body: bytes, newer: Container[str] = ()) -> CreateRole:
    """Return the role that a body asks to make; raises `ValidationError` for each broken rule.

    Args:
        body: What was sent.
        newer: Identifiers that the service knows and this version of the library does not.
    """
    return _decode_body(body, CreateRole, newer, required=("name", "permissions"))


def decode_update(body: bytes, newer: Container[str] = ()) -> UpdateRole:
    """Return the changes that a body asks for; raises `ValidationError` for each broken rule.

    Args:
        body: What was sent.
        newer: Identifiers that the service knows and this version of the library does not.
    """
    return _decode_body(body, UpdateRole, newer, required=())


_B = TypeVar("_B", CreateRole, UpdateRole)


def _decode_body(
    body: bytes, model: type[_B], newer: Container[str], *, required: tuple[str, ...]
) -> _B:
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValidationError(violations=(Violation("body", f"is no JSON: {error}"),)) from error
    if not isinstance(data, dict):
        raise ValidationError(violations=(Violation("body", "must be an object"),))
    given = cast("dict[str, Any]", data)
    known = model.__struct_fields__
    missing = [name for name in required if name not in given]
    violations = [Violation(n, "is no field that a caller sets") for n in given if n not in known]
    violations += [Violation(name, "is required") for name in missing]
    arguments = {name: given[name] for name in known if name in given}
    if isinstance(arguments.get("permissions"), list):
        arguments["permissions"] = each_once(
            UnknownPermission(p) if isinstance(p, str) and p in newer else p
            for p in arguments["permissions"]
        )
    try:
        # A placeholder for what is missing lets the rest be checked in the same pass.
        placeholders: dict[str, Any] = {"name": "-", "permissions": (Permission.ROLE_READ,)}
        made = model(**{name: placeholders[name] for name in missing}, **arguments)
    except ValidationError as error:
        violations += error.violations
    else:
        if not violations:
            return made
    raise ValidationError(violations=tuple(violations))


def role_id_of(path: str) -> str:
    """Return the ID that a role's path holds; undoes `role_path`."""
    return unquote(path.removeprefix(f"{ROLES_PATH}/"), errors="surrogateescape")


# The fake service's side: responses out.

_DOCS: Final = "https://arize.com/docs/ax/rest-reference/errors"
TITLES: Final = {
    400: "Invalid request parameters",
    401: "Authentication required",
    403: "Access forbidden",
    404: "Resource not found",
    405: "Method not allowed",
    409: "Resource conflict",
    413: "Payload too large",
    422: "Unprocessable Entity",
    429: "Rate limit exceeded",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
"""The titles that the reference shows, and HTTP's own for what it does not document."""
_ANCHORS: Final = {
    400: "invalid-request",
    401: "authentication-required",
    403: "access-forbidden",
    404: "resource-not-found",
    409: "resource-conflict",
    422: "unprocessable-entity",
    429: "rate-limit-exceeded",
    503: "service-unavailable",
}
_JSON: Final = {"Content-Type": "application/json"}


def role_members(role: Role, *, with_permissions: bool = True) -> dict[str, Any]:
    """Return a role as the service writes it: what is absent is left out."""
    members: dict[str, Any] = {"id": role.id, "name": role.name}
    if role.description is not None:
        members["description"] = role.description
    if with_permissions and role.permissions is not None:
        members["permissions"] = role.permissions
    members["is_predefined"] = role.is_predefined
    members["created_at"] = role.created_at
    members["updated_at"] = role.updated_at
    return members


def role_response(status: int, role: Role, *, with_permissions: bool) -> Response:
    """Return the answer that holds one role."""
    return _json(status, role_members(role, with_permissions=with_permissions))


def page_response(
    roles: Iterable[Role], next_cursor: str | None, *, with_permissions: bool
) -> Response:
    """Return the answer that holds a page; with a cursor there is more."""
    pagination: dict[str, Any] = {"has_more": next_cursor is not None}
    if next_cursor is not None:
        pagination["next_cursor"] = next_cursor
    each = [role_members(role, with_permissions=with_permissions) for role in roles]
    return _json(200, {"roles": each, "pagination": pagination})


def _json(status: int, data: object) -> Response:
    return Response(status=status, headers=_JSON, body=_encoded(data))


def problem_response(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Response:
    """Return a failure as a problem document; `members` are those a 403 may add."""
    problem: dict[str, object] = {"title": TITLES.get(status, f"Status {status}"), "status": status}
    if status in _ANCHORS:
        problem["type"] = f"{_DOCS}#{_ANCHORS[status]}"
    return Response(
        status=status,
        headers={"Content-Type": "application/problem+json", **(headers or {})},
        body=msgspec.json.encode({**problem, "detail": detail, **(members or {})}),
    )
