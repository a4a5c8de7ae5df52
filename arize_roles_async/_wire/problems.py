"""Problem documents (RFC 9457) and the answers of gateways as exceptions."""

import re
from typing import TYPE_CHECKING, Any, Final, cast, get_args
from urllib.parse import urlsplit, urlunsplit

import attr

from arize_roles_async._values.errors import InvalidResponseError, StatusError, status_error_class
from arize_roles_async._values.json import parse_json
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import MAX_QUOTED, Response, beginning_of, excerpt
from arize_roles_async._wire.retry_after import retry_after

if TYPE_CHECKING:
    from arize_roles_async._values.problem_details import ProblemDetails

_MAX_PROBLEM: Final = 64 * 1024
"""Bytes of a problem document; the service's have a few hundred."""
_MAX_HTML: Final = 20_000
"""Characters of HTML that are searched for a title."""
# A pattern and not a compiled one: most programs that import this never need it.
_TITLE: Final = "(?i)<title[^<>]*>([^<]*)"
_REDIRECT: Final = range(300, 400)


def status_error(request: Request, response: Response, hint: str = "") -> StatusError:
    """Return the exception for an answer that is not a success.

    The message of a refusal by the service itself ends with the hint.
    """
    status = response.status
    problem = parse_problem(response)
    from_service = problem is not None and bool(problem.title) and problem.status == status
    request_id = response.header("X-Request-Id")
    message = f"{request} answered {status}"
    if from_service:
        message += f" {_summary(problem)}{hint}"
    elif status in _REDIRECT:
        message += f", a redirect to {_target(response)}, which this client does not follow"
    elif not response.body:
        message += ", but without a body (a proxy or gateway?)"
    else:
        text = _summary(problem) or html_title(response) or excerpt(response)
        message += f", but the body is not Arize's (a proxy or gateway?): {text}"
    wait = retry_after(response.headers)
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


def _summary(problem: "ProblemDetails | None") -> str:
    texts = () if problem is None else (problem.title, problem.detail)
    return one_line(": ".join(filter(None, texts)), MAX_QUOTED)


def html_title(response: Response) -> str:
    """Return the title of an HTML page, quoted, on one line, without the API key; or nothing.

    A gateway's page often begins with a DOCTYPE and styles, which mean nothing to a person.
    """
    import html

    found = re.search(_TITLE, beginning_of(response, _MAX_HTML))
    text = html.unescape(found[1]).strip() if found else ""
    return text and repr(one_line(text, MAX_QUOTED))


def _target(response: Response) -> str:
    """Return the target of a redirect: scheme, host and path, since the rest may have secrets."""
    location = response.header("Location") or ""
    try:
        scheme, netloc, path, _, _ = urlsplit(location)
    except ValueError:
        return "an invalid URL"
    target = urlunsplit((scheme, netloc.rpartition("@")[2], path, "", ""))
    return one_line(target, MAX_QUOTED) or "an unknown address"


def parse_problem(response: Response) -> "ProblemDetails | None":
    """Return a body as a problem document, or None; members of a wrong type are left out."""
    from arize_roles_async._values.problem_details import ProblemDetails

    if len(response.body) > _MAX_PROBLEM:
        return None
    try:
        # Before it is parsed, since others keep and show what is parsed.
        body = response.redacted(response.body.decode("utf-8", "surrogateescape"))
        data = parse_json(body.encode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    members = cast("dict[str, Any]", data)
    types = {f.name: get_args(f.type) for f in attr.fields(ProblemDetails) if f.name != "extra"}
    given = {name: m for name, m in members.items() if type(m) in types.get(name, ())}
    extra = {name: m for name, m in members.items() if name not in types}
    return ProblemDetails(**given, extra=extra)


def invalid_response(request: Request, response: Response, why: str) -> InvalidResponseError:
    """Return the exception for an answer that is not as the reference documents."""
    why = response.redacted(why)
    message = f"{request} answered {response.status}, but not as expected: {why}"
    quoted = excerpt(response)
    if not response.body:
        message += "; it has no body"
    elif title := html_title(response):
        message += f"; it is a page titled {title}"
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
