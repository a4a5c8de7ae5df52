"""The service's half of the wire: requests in, records, pages and problem documents out."""

import functools
import re
from collections.abc import Container, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl, unquote

import attrs
import msgspec

from arize_roles_async._directory.models import AccountRole, Project, Space, User
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_async._roles.requests import CreateRole, normalize_permissions
from arize_roles_async._values import json as _json
from arize_roles_async._values.base_errors import ValidationError, validation_error
from arize_roles_async._values.details import Violation
from arize_roles_async._values.models import Model
from arize_roles_async._values.permissions import Permission, UnknownPermission
from arize_roles_async._values.requests import PageRequest
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response

MAX_REQUEST: Final = 256 * 1024
"""The most bytes of a body that are read; every permission and the longest texts take 20,000."""

_MAX_NAME: Final = 60
_PLACEHOLDERS: Final = {"permissions": (Permission.ROLE_READ,), "resource_type": "SPACE"}
_MANAGED: Final = {field.name for field in attrs.fields(Role)} - {*CreateRole.__struct_fields__}
"""The fields that only the service sets; those of a role binding are among them."""


class ParsedRequest(msgspec.Struct, frozen=True):
    """A request, parsed where it comes in."""

    request: Request
    operation: str
    id: str
    """The ID at the end of the path."""
    query: dict[str, Any]
    body: object
    """The value of the JSON."""
    flaw: str | None
    """Why the body is no JSON."""


def parse(request: Request, operation: str) -> ParsedRequest:
    body: object = None
    flaw: str | None = "is not valid JSON: it is empty"
    if request.body:
        try:
            body, flaw = _json.parse_json(request.body), None
        except ValueError as error:
            flaw = str(error)
    segment, query = _last_segment(request.path), _query_of(request)
    return ParsedRequest(request, operation, segment, query, body, flaw)


_Q = TypeVar("_Q", bound=PageRequest)


def decode_query(model: type[_Q], request: ParsedRequest) -> _Q:
    """Return the page that a request asks for, or raise `ValidationError`."""
    given = request.query
    known, required = _fields(model)
    arguments = {name: given[name] for name in known if name in given}
    if "status" in arguments:  # The one parameter that may be repeated.
        status = arguments["status"]
        arguments["status"] = [status] if isinstance(status, str) else sorted(status)
    missing = [(name, "is required") for name in required if name not in given]
    if missing:
        raise validation_error(*missing)
    asked: _Q = _of_any_kind(model)(**arguments)
    return asked


def _query_of(request: Request) -> dict[str, Any]:
    """Return the query of a request, with a list of the values of a parameter that is repeated."""
    texts: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.target.partition("?")[2], keep_blank_values=True):
        texts.setdefault(name, []).append(value)
    given: dict[str, Any] = {name: each if each[1:] else each[0] for name, each in texts.items()}
    if re.fullmatch(r"-?[0-9]{1,9}", str(given.get("limit"))):
        given["limit"] = int(given["limit"])
    if given.get("is_predefined") in ("true", "false"):
        given["is_predefined"] = given["is_predefined"] == "true"
    return given


class InvalidBodyError(ValidationError):
    """A body is valid JSON and breaks a rule."""


_B = TypeVar("_B", bound=msgspec.Struct)


def decode_body(
    model: type[_B], request: ParsedRequest, extra_permissions: Container[str], *, duplicates: bool
) -> _B:
    """Decode the body of a request, or raise `ValidationError` with each rule that it breaks.

    `extra_permissions` are known, too. With `duplicates` a permission may be named twice.
    """
    if request.flaw is not None:
        raise validation_error(("body", request.flaw))
    body = request.body
    if not isinstance(body, dict):
        raise InvalidBodyError(violations=(Violation("body", "must be an object"),))
    given = cast("dict[str, Any]", body)
    known, required = _fields(model)
    missing = [name for name in required if name not in given]
    violations = [
        Violation(
            one_line(name, _MAX_NAME),
            "cannot be set by a caller" if name in _MANAGED else "is not a known field",
        )
        for name in given
        if name not in known
    ]
    violations += [Violation(name, "is required") for name in missing]
    arguments = {name: given[name] for name in known if name in given}
    if isinstance(arguments.get("permissions"), list):
        permissions = [
            UnknownPermission(p) if isinstance(p, str) and p in extra_permissions else p
            for p in arguments["permissions"]
        ]
        arguments["permissions"] = normalize_permissions(permissions)
        if not duplicates and len(arguments["permissions"]) < len(permissions):
            violations.append(Violation("permissions", "must not hold one permission twice"))
    try:
        # With placeholders for what is missing, the rest is checked in the same pass.
        placeholders = {name: _PLACEHOLDERS.get(name, "-") for name in missing}
        made: _B = _of_any_kind(model)(**placeholders, **arguments)
    except ValidationError as error:
        violations += error.violations
    else:
        if not violations:
            return made
    raise InvalidBodyError(violations=tuple(violations))


@functools.cache
def _of_any_kind(model: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - a type of the same objects
    """Return a model of requests that takes IDs of any kind: nothing is found by a wrong one."""
    kind = {"_takes_any_kind": True}
    return msgspec.defstruct(model.__name__, [], bases=(model,), namespace=kind, frozen=True)


@functools.cache
def _fields(model: type[msgspec.Struct]) -> tuple[list[str], list[str]]:
    """Return the names of all fields of a request, and of those that it must have."""
    fields = msgspec.structs.fields(model)
    return [field.name for field in fields], [field.name for field in fields if field.required]


def bearer(authorization: str) -> str:
    """Return the API key in a header `Authorization`; an empty text if there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


@functools.lru_cache(maxsize=1024)  # Unquoting takes longer than finding the record.
def _last_segment(path: str) -> str:
    return unquote(path.rpartition("/")[2], errors="surrogateescape")


_DOCS: Final = "https://arize.com/docs/ax/rest-reference/errors"
_DOCUMENTED: Final = {
    400: ("Invalid request parameters", "invalid-request"),
    401: ("Authentication required", "authentication-required"),
    403: ("Access forbidden", "access-forbidden"),
    404: ("Resource not found", "resource-not-found"),
    409: ("Resource conflict", "resource-conflict"),
    422: ("Unprocessable Entity", "unprocessable-entity"),
    429: ("Rate limit exceeded", "rate-limit-exceeded"),
    503: ("Service Unavailable", "service-unavailable"),
}
"""The title of each status that the reference documents, and the anchor in its type."""
TITLES: Final = {
    **{each.value: each.phrase for each in HTTPStatus if each >= HTTPStatus.BAD_REQUEST},
    **{status: title for status, (title, _) in _DOCUMENTED.items()},
}
"""The titles of failures: those of the reference, and otherwise HTTP's own."""
_JSON: Final = {"Content-Type": "application/json"}
_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    each: tuple(field.name for field in attrs.fields(each))
    for each in (Role, RoleBinding, User, Space, Project, AccountRole)
}


def members_of(record: Model) -> dict[str, Any]:
    """Return a record as the service writes it, without the members that have no value."""
    members = {name: getattr(record, name) for name in _FIELDS[type(record)]}
    return {
        name: members_of(value) if isinstance(value, Model) else value
        for name, value in members.items()
        if value is not None
    }


def record_response(status: int, record: Model) -> Response:
    """Return the answer that holds one record."""
    return _json_response(status, members_of(record))


def page_response(collection: str, records: Iterable[Model], next_cursor: str | None) -> Response:
    """Return the answer that holds a page; with a cursor, more follows."""
    pagination: dict[str, Any] = {"has_more": next_cursor is not None}
    if next_cursor is not None:
        pagination["next_cursor"] = next_cursor
    return _json_response(200, {collection: [*map(members_of, records)], "pagination": pagination})


def _json_response(status: int, data: object) -> Response:
    return Response(status=status, headers=_JSON, body=msgspec.json.encode(data, enc_hook=str))


def problem_response(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Response:
    """Return a failure as a problem document; `members` are those a 403 may add."""
    problem: dict[str, object] = {"title": TITLES.get(status, f"Status {status}"), "status": status}
    if status in _DOCUMENTED:
        problem["type"] = f"{_DOCS}#{_DOCUMENTED[status][1]}"
    return Response(
        status=status,
        headers={"Content-Type": "application/problem+json", **(headers or {})},
        body=msgspec.json.encode({**problem, "detail": detail, **(members or {})}),
    )
