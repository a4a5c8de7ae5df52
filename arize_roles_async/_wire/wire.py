"""The client's half of the wire, as bytes and without I/O: requests out, responses in.

`arize_roles_fake._service.wire` is the service's half.
"""

import contextlib
import functools
import math
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from arize_roles_async._values.errors import (
    InvalidResponseError,
    StatusError,
    ValidationError,
    status_error_class,
    validation_error,
)
from arize_roles_async._values.json import has_too_many_values, parse_json
from arize_roles_async._values.models import ListRolesResponse, Role
from arize_roles_async._values.requests import CreateRole, ListRoles, UpdateRole, is_role_id
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.redaction import redact

if TYPE_CHECKING:
    from arize_roles_async._values.error_details import ProblemDetails

ROLES_PATH: Final = "/v2/roles"
_MAX_PROBLEM: Final = 64 * 1024
"""Bytes of a problem document; the service's have a few hundred."""
_MAX_UNCOUNTED: Final = 400_000
"""Bytes of a page whose values are not counted before it is decoded."""
_MAX_EXCERPT: Final = 200
_MAX_EXCERPT_SOURCE: Final = 4 * 1024
"""Bytes of a body that an excerpt is made of: a character that is escaped takes up to 12."""
_MAX_QUOTED: Final = 500
_MAX_PATH: Final = 200
_REDIRECT: Final = range(300, 400)
_ABOUT_AN_ID: Final = frozenset({400, 404})


# `gc=False`: neither can be part of a cycle, and each object that the garbage collector counts has
# it run sooner.
class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An HTTP request without its connection, as every transport takes it."""

    method: str
    target: str
    """The path and query, percent-encoded, as on the request line."""
    body: bytes | None = None
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show as little as `repr`: rich would show the headers, and so the API key."""
        return [("method", self.method), ("target", self.target)]

    def __str__(self) -> str:
        """Return the method and the path, as a message or a log line tells them."""
        return f"{self.method} {one_line(self.path, _MAX_PATH)}"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An HTTP response without its connection.

    Header names are looked up as HTTP's registry writes them, or in a case-insensitive mapping.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    secret: str | None = None
    """The API key that was sent; an answer may echo it, and no error may quote it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show as little as `repr`: a traceback by rich would show every field of a struct."""
        return [("status", self.status)]

    def header(self, name: str) -> str | None:
        """Return a header as an error may quote it: on one line, without the API key."""
        value = self.headers.get(name)
        return None if value is None else one_line(self.redacted(value), _MAX_QUOTED)

    def redacted(self, text: str) -> str:
        """Return a text of the response as an error may quote it: without the API key."""
        return text if self.secret is None else redact(text, self.secret)

    def redacted_body(self) -> bytes:
        """Return the body as an error may quote it: without the API key."""
        if self.secret is None:
            return self.body
        body = self.body
        if b"\\" in body:
            # Escapes could hide the key, so JSON is encoded anew.
            with contextlib.suppress(ValueError):
                body = msgspec.json.encode(parse_json(body))
        return redact(body.decode("utf-8", "surrogateescape"), self.secret).encode(
            "utf-8", "surrogateescape"
        )


_M = TypeVar("_M", Role, ListRolesResponse)


# Decoders are made on first use, since making one takes longer than importing most modules; and one
# at a time, since msgspec shares what it knows of a class before it is complete, which crashes a
# second thread.
_making: Final = threading.Lock()


@functools.cache
def _role_decoder() -> "msgspec.json.Decoder[Role]":
    with _making:
        return msgspec.json.Decoder(Role)


@functools.cache
def _page_decoder() -> "msgspec.json.Decoder[ListRolesResponse]":
    with _making:
        return msgspec.json.Decoder(ListRolesResponse)


def list_request(page: ListRoles) -> Request:
    """Return the request for one page."""
    target = f"{ROLES_PATH}?limit={page.limit}"
    if page.cursor is not None:
        target += f"&cursor={quote(page.cursor, safe='')}"
    if page.is_predefined is not None:
        target += f"&is_predefined={'true' if page.is_predefined else 'false'}"
    return Request(method="GET", target=target)


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


def decode_role(request: Request, response: Response) -> Role:
    """Return the role that the service answered with, or raise what the answer means."""
    return _decode(request, response, _role_decoder(), Role)


def decode_page(request: Request, response: Response) -> ListRolesResponse:
    """Return the page that the service answered with, or raise what the answer means."""
    return _decode(request, response, _page_decoder(), ListRolesResponse)


def _decode(
    request: Request, response: Response, decoder: "msgspec.json.Decoder[_M]", model: type[_M]
) -> _M:
    if "json" not in response.headers.get("Content-Type", "application/json"):
        media_type = response.header("Content-Type") or ""
        raise invalid_response(request, response, f"its type is {media_type[:80]!a}, not JSON")
    # Counting takes half as long as decoding. A page of today's longest roles is below this bound,
    # and what is below it holds too few values to matter.
    if len(response.body) <= _MAX_UNCOUNTED or not has_too_many_values(response.body):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return decoder.decode(response.body)
    return _decode_slow(request, response, model)


def _decode_slow(request: Request, response: Response, model: type[_M]) -> _M:
    """Raise an error that names the field that is wrong, or return what only msgspec refuses."""
    from arize_roles_async._values import convert as _convert

    try:
        # The key is redacted before the conversion, since a traceback shows what each frame holds.
        return _convert.from_dict(model, _parse_redacted(response))
    except ValidationError as error:
        refused = error
    except ValueError as error:
        refused = validation_error(("$", str(error)))
    raise invalid_response(request, response, str(refused)) from refused


def status_error(request: Request, response: Response) -> StatusError:
    """Return the exception for an answer that is not a success."""
    status = response.status
    problem = parse_problem(response)
    from_service = problem is not None and bool(problem.title) and problem.status == status
    request_id = response.header("X-Request-Id")
    message = f"{request} answered {status}"
    if from_service and problem is not None:
        message += " " + _quote(": ".join(filter(None, (problem.title, problem.detail))))
        if status in _ABOUT_AN_ID and _is_no_role_id(request.path):
            message += "; role_id= takes an ID, and role= takes a name, too"
    elif status in _REDIRECT:
        message += f", a redirect to {_target(response)}, which this client does not follow"
    else:
        message += f", but not in the service's own words: {_describe(response, problem)}"
    wait = response_retry_after(response)
    if wait is not None:
        message += f" (retry after {wait:g} s)"
    if request_id is not None:
        message += f" (request id {request_id})"
    return status_error_class(status, from_service=from_service)(
        message,
        status=status,
        problem=problem,
        from_service=from_service,
        method=request.method,
        path=request.path,
        request_id=request_id,
        retry_after=wait,
    )


def response_retry_after(response: Response) -> float | None:
    """Return the seconds that an answer asks to wait; None if it does not say."""
    headers = response.headers
    return retry_after(headers.get("Retry-After"), headers.get("Date"), time.time())


def retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait (RFC 9110, section 10.2.3).

    Args:
        value: The header: a number of seconds, or a date.
        date: The answer's own `Date` header, which tells what time it is for the service.
        now: Seconds since the epoch, for an answer without one.

    Returns:
        Seconds, not below 0; None where the header is absent or is neither.
    """
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value) if len(value) < 16 else math.inf  # noqa: PLR2004 - past any wait
    moment = http_date(value)
    if moment is None:
        return None
    sent = http_date(date) if date is not None else None
    return max(0.0, moment - (now if sent is None else sent))


def http_date(date: str) -> float | None:
    """Return the seconds since the epoch that an HTTP date stands for, or None if it is not one."""
    try:
        moment = parsedate_to_datetime(date)
        # Every HTTP date is in GMT, and the oldest form does not say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError):
        return None


def _is_no_role_id(path: str) -> bool:
    """Tell whether a path is that of a role with an ID that cannot be one."""
    segment = path.removeprefix(f"{ROLES_PATH}/")
    return segment != path and not is_role_id(unquote(segment))


def _quote(text: str) -> str:
    return one_line(text, _MAX_QUOTED)


def _describe(response: Response, problem: "ProblemDetails | None") -> str:
    """Return what an answer of a gateway says: its title, the text of its page, or its bytes."""
    if problem is not None and (problem.title or problem.detail):
        return _quote(": ".join(filter(None, (problem.title, problem.detail))))
    if not response.body:
        return "it has no body"
    return _page_text(response) or excerpt(response)


def _page_text(response: Response) -> str:
    """Return what a page says, quoted, on one line, without the API key; empty if it is no page."""
    from arize_roles_async._wire.gateway_page import page_text

    text = page_text(response.body)
    return text and repr(_quote(response.redacted(text)))


def _target(response: Response) -> str:
    """Return where a redirect leads: scheme, host and path, since the rest may hold secrets."""
    location = response.header("Location") or ""
    try:
        parts = urlsplit(location)
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "nowhere that is a URL"
    return _quote(urlunsplit((parts.scheme, netloc, parts.path, "", ""))) or "nowhere"


def parse_problem(response: Response) -> "ProblemDetails | None":
    """Return the problem document that a body is, or None; members of a wrong type are left out."""
    from arize_roles_async._values.error_details import ProblemDetails

    if len(response.body) > _MAX_PROBLEM:
        return None
    try:
        data = _parse_redacted(response)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    members = cast("dict[str, Any]", data)
    given: dict[str, Any] = {}
    for name, member_type in _MEMBERS.items():
        if name in members and type(members[name]) is member_type:
            given[name] = members[name]
    extra = {name: members[name] for name in members if name not in _MEMBERS}
    return ProblemDetails(**given, extra=extra)


_MEMBERS: Final = {
    **dict.fromkeys(("title", "type", "detail", "instance", "entitlement", "required_plan"), str),
    **dict.fromkeys(("status", "limit", "current_count"), int),
}


def _parse_redacted(response: Response) -> object:
    """Return the JSON of a body without the API key.

    Raises:
        ValueError: It is not valid JSON, holds too many values, or is nested too deeply.
    """
    data = parse_json(response.body)
    key = response.secret
    # Looking into every string takes longer than all else. Escapes could hide the key.
    if key is None or not (b"\\" in response.body or key.encode() in response.body):
        return data
    try:
        return _redact_strings(data, response)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _redact_strings(value: object, response: Response) -> object:
    if isinstance(value, str):
        return response.redacted(value)
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {response.redacted(k): _redact_strings(v, response) for k, v in members.items()}
    if isinstance(value, list):
        return [_redact_strings(item, response) for item in cast("list[object]", value)]
    return value


def invalid_response(request: Request, response: Response, why: str) -> InvalidResponseError:
    """Return the exception for an answer that is not what the reference says."""
    message = f"{request} answered {response.status}, but not as expected: "
    message += response.redacted(why)
    quoted = excerpt(response)
    if not response.body:
        message += "; it has no body"
    elif response.body.lstrip().startswith(b"<") and (text := _page_text(response)):
        message += f"; it is a page that says {text}"
    else:
        message += f"; the body begins {quoted}"
    return InvalidResponseError(
        message,
        status=response.status,
        method=request.method,
        path=request.path,
        excerpt=quoted,
        request_id=response.header("X-Request-Id"),
    )


def excerpt(response: Response) -> str:
    """Return the beginning of a body, quoted, on one line, without the API key."""
    text = response.body[:_MAX_EXCERPT_SOURCE].decode("utf-8", "replace").replace("\\/", "/")
    # Escapes could hide the key.
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    return repr(one_line(response.redacted(text), _MAX_EXCERPT))
