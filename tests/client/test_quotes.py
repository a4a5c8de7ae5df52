"""Errors quote as much of an answer as is written here, and not a character more."""

import json
from collections.abc import Callable

import pytest
from rich.pretty import pretty_repr

from arize_roles_async import (
    InvalidResponseError,
    ProblemDetails,
    Request,
    Response,
    Role,
    StatusError,
)
from arize_roles_async._roles.requests import ROLES
from arize_roles_async._wire.decode import decode
from arize_roles_async._wire.problems import parse_problem, status_error
from arize_roles_async._wire.secrets import Secret
from arize_roles_fake import FakeRolesClient

ASKED = Request(method="GET", target="/v2/roles/Um9sZToxOmFCY0Q%3D?a=b")


def refusal(status: int, body: bytes = b"", **headers: str) -> StatusError:
    return status_error(ASKED, Response(status=status, headers=headers, body=body))


def said(title: str, detail: str, status: int = 409) -> bytes:
    return json.dumps({"title": title, "detail": detail, "status": status}).encode()


def odd(body: bytes, kind: str = "application/json") -> str:
    """Return the message of an answer that is no role."""
    headers = {"Content-Type": kind}
    with pytest.raises(InvalidResponseError) as caught:
        decode(Role, ASKED, Response(status=200, headers=headers, body=body))
    return str(caught.value)


LENGTHS: dict[str, tuple[int, Callable[[str], object]]] = {
    "path": (200, lambda text: Request(method="GET", target=text)),
    "problem": (481, lambda text: refusal(409, said("Resource conflict", text))),
    "gateway's problem": (500, lambda text: refusal(409, said("", text))),
    "header": (500, lambda text: refusal(409, b"", **{"X-Request-Id": text}).request_id),
    "body": (200, lambda text: refusal(409, text.encode())),
    "title of a page": (500, lambda text: refusal(502, f"<title>{text} </title>".encode())),
    "redirect": (500, lambda text: refusal(302, Location=text)),
}


@pytest.mark.parametrize(("length", "quote"), LENGTHS.values(), ids=LENGTHS)
def test_length(length: int, quote: Callable[[str], object]) -> None:
    """Of each part of an exchange, so many characters are quoted."""
    assert "c" * length in str(quote("c" * length))
    assert "c" * (length - 1) + "…" in str(quote("c" * (length + 1)))


def test_problem_document() -> None:
    """A problem document has 64 KiB at most."""
    body = said("Resource conflict", "d")
    padded = body.ljust(64 * 1024)
    assert refusal(409, padded).from_service
    assert not refusal(409, padded + b" ").from_service
    assert parse_problem(Response(status=409, headers={}, body=padded + b" ")) is None


def test_members() -> None:
    """A problem document has members that nobody knows, and none of a wrong type."""
    body = b'{"title": "No", "instance": 5, "status": true, "parts": [true, null]}'
    expected = ProblemDetails(title="No", extra={"parts": [True, None]})
    assert {parse_problem(Response(status=400, headers={}, body=body))} == {expected}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"{}", "'{}'"),
        (b'{"detail": "No upstream"}', "No upstream"),
        (b'{"title": "Down", "detail": "No upstream"}', "Down: No upstream"),
        (b"caf\xe9", "'caf�'"),
        (b"<html><TITLE>Down\n for  maintenance</TITLE><p>Later.", "'Down for maintenance'"),
        (b'<title lang="en">Down &amp; out</title>', "'Down & out'"),
        (b"<title></title>Later", "'<title></title>Later'"),
        (b"x" * 20_000 + b"<title>Down", "'" + "x" * 199 + "\u2026'"),
    ],
)
def test_gateway(body: bytes, shown: str) -> None:
    """A gateway's answer is quoted by its title and detail, or else by its beginning."""
    assert str(refusal(499, body)) == (
        "GET /v2/roles/Um9sZToxOmFCY0Q%3D answered 499, but the body is not Arize's "
        f"(a proxy or gateway?): {shown}"
    )


def test_not_shown() -> None:
    """Of a request its line is shown, of an answer its status, and neither's headers nor body."""
    answer = Response(status=200, headers={"X": "y"}, body=b"[]", keys=(Secret("bearer-key"),))
    assert repr(ASKED) == "<Request GET /v2/roles/Um9sZToxOmFCY0Q%3D?a=b>"
    assert repr(answer) == "<Response 200, 2 bytes>"
    assert pretty_repr(answer) == "Response(status=200)"


@pytest.mark.parametrize(
    ("status", "location", "why"),
    [
        (300, "https://user:pass@host:1/a?b#c", ", a redirect to https://host:1/a, which"),
        (302, "", ", a redirect to an unknown address, which this client does not follow"),
        (302, "http://[", ", a redirect to an invalid URL, which this client does not"),
        (400, "/a", ", but without a body (a proxy or gateway?)"),
    ],
)
def test_redirect(status: int, location: str, why: str) -> None:
    """A redirect's target is quoted without its credentials and its query."""
    assert f" answered {status}{why}" in str(refusal(status, Location=location))


def test_content_type() -> None:
    """Of a content type that is not JSON's, 80 characters."""
    assert f"its type is 'text/{'t' * 75}', not JSON" in odd(b"{}", f"text/{'t' * 76}")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "; it has no body"),
        (b"<title>Down", "; it is a page titled 'Down'"),
        (b"<", "; the body begins '<'"),
        (b"[]", "$: must be an object, not list; the body begins '[]'"),
        (b"{", "; the body begins '{'"),
        (b'{"":' * 100_000, "…'"),
    ],
)
def test_invalid(body: bytes, why: str) -> None:
    """The error says what came in place of a role."""
    message = odd(body)
    asked = "GET /v2/roles/Um9sZToxOmFCY0Q%3D answered 200, but not as expected: "
    assert message.startswith(asked)
    assert message.endswith(why)


READ = "as it is base64 of a text with a colon: to reach a role of that name, find it in list() and"


@pytest.mark.parametrize(
    ("line", "status", "hint"),
    [
        # An ID that may have been meant as a name.
        ("GET /v2/roles/Reader", 404, "; role_id= takes only an ID, role= takes an ID or a name"),
        ("GET /v2/roles/R106", 404, f"; 'R106' was read as an ID, {READ} pass its ID as role_id="),
        ("GET /v2/roles/Um9sZToxOmFCY0Q%3D", 404, ""),
        ("GET /v2/roles/Reader", 409, ""),
        ("GET /v2/roles", 404, ""),
        ("DELETE /v2/roles/R106", 409, "; role_bindings.find(role_id='R106') shows who has it"),
    ],
)
def test_hint(line: str, status: int, hint: str) -> None:
    """The error for an ID says what takes a name; that for a role in use, what finds its users.

    A gateway's own answer says nothing of the service, so it has no hint.
    """
    method, target = line.split()
    request = Request(method=method, target=target)
    assert ROLES.hint(request, status) == hint
    problem = b'{"title": "Resource not found", "status": %d}' % status
    for body, end in ((problem, f"Resource not found{hint}"), (b"<p>", "'<p>'")):
        answer = Response(status=status, headers={}, body=body)
        assert str(status_error(request, answer, hint)).endswith(end)


async def test_hinted() -> None:
    """The hint stands at the end of the message."""
    with pytest.raises(StatusError, match=r"role= takes an ID or a name \(request id fake-1\)$"):
        await FakeRolesClient().get(role_id="Reader")
