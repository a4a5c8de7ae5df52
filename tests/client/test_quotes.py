"""Errors quote as much of an answer as is written here, not a character more, and no API key."""

import copy
import html
import json
import pickle
import re
from base64 import b64encode
from collections.abc import Callable
from html.entities import html5
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from arize_roles_async import (
    InvalidResponseError,
    ProblemDetails,
    Request,
    Response,
    Role,
    RolesError,
    StatusError,
)
from arize_roles_async._roles.requests import ROLES
from arize_roles_async._wire.decode import decode
from arize_roles_async._wire.problems import invalid_response, parse_problem, status_error
from arize_roles_async._wire.redaction import redact, redacted_cause
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


# The API key in a text that is quoted.

LONG = "ak-0123/4567+89=="
SIGNS = "-._~+/="
NAMES = {char: name for name, char in html5.items() if char in SIGNS and name[0].islower()}


def each_sign(write: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(write(c) if c in SIGNS else c for c in text)


ONCE: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded, each sign": each_sign(lambda c: f"%{ord(c):02x}"),
    "JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, each sign": each_sign(lambda c: f"\\u{ord(c):04X}"),
    "HTML": html.escape,
    "HTML by name": each_sign(lambda c: f"&{NAMES.get(c, f'#{ord(c)};')}"),
    "HTML by number": each_sign(lambda c: f"&#{ord(c):03};"),
    "HTML by hexadecimal number": each_sign(lambda c: f"&#x{ord(c):x};"),
}
WRITINGS: dict[str, Callable[[str], str]] = {
    **ONCE,
    "percent-encoded, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON, twice": lambda text: ONCE["JSON"](ONCE["JSON"](text)),
    "HTML, twice": lambda text: html.escape(ONCE["HTML by number"](text)),
    "HTML, three times": lambda text: html.escape(html.escape(ONCE["HTML by name"](text))),
    "UTF-16": lambda text: text.encode("utf-16-be").decode(),
    "UTF-32, as Python shows bytes": lambda text: repr(text.encode("utf-32-le"))[2:-1],
}
WRITTEN = pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)


@pytest.mark.parametrize(
    ("text", "key", "redacted"),
    [
        (f"the key {LONG} is wrong", LONG, "the key [API key] is wrong"),
        (f"x{LONG}x", LONG, "x[API key]x"),
        ("test failed: the latest test", "test", "test failed: the latest test"),
        ("Authorization: Bearer test", "test", "Authorization: Bearer [API key]"),
        ("'authorization: bearer\ttest'", "test", "'authorization: bearer\t[API key]'"),
        ("Authorization: Bearer%20test", "test", "Authorization: Bearer%20[API key]"),
        ("the key is 1234567", "1234567", "the key is 1234567"),
        ("the key is 12345678", "12345678", "the key is [API key]"),
        (f"…{'b' * 24}", f"{'a' * 40}{'b' * 24}", "…[API key]"),
        (f"the end is {'a' * 8}{'b' * 24}!", f"{'a' * 40}{'b' * 24}", "the end is [API key]!"),
        # What is not found.
        (f"…{'b' * 23}", f"{'a' * 40}{'b' * 23}", f"…{'b' * 23}"),
        ("the key is ABCDEFGH", "abcdefgh", "the key is ABCDEFGH"),
        ("abcd\nefgh", "abcdefgh", "abcd\nefgh"),
        ("%61bcdefgh", "abcdefgh", "%61bcdefgh"),
        (b64encode(b"abcdefgh").decode(), "abcdefgh", "YWJjZGVmZ2g="),
        # The text of another library that cuts what it quotes.
        ("b'bearer-012345678'...", "bearer-0123456789-0123456789", "b'[API key]'..."),
        ("bearer-01234567?", "bearer-0123456789", "bearer-01234567?"),
    ],
)
def test_redact(text: str, key: str, redacted: str) -> None:
    """A long key is redacted everywhere, a short one only after `Bearer`."""
    assert redact(text, Secret(key)) == redacted


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("key", ["abcdefgh", "k" * 40])
def test_several(key: str, order: int) -> None:
    """Of a key that begins as another one, nothing stays behind."""
    keys = [Secret(each) for each in (key, f"{key}-of-another", "quite-another-key")]
    text = " ".join(key.reveal() for key in keys)
    assert redact(text, *keys[::order]) == "[API key] [API key] [API key]"


@WRITTEN
@pytest.mark.parametrize("key", [LONG, *(f"a{sign}bcdefgh" for sign in SIGNS)])
def test_written(write: Callable[[str], str], key: str) -> None:
    """Each sign of a key may be written as JSON, URLs and HTML do; the judge of echoes reads it."""
    for known in (key, f"{'x' * 24}{key:->24}"):
        text = write(known[-24:])
        assert known[-24:] in read(f"<{text}>")
        assert re.fullmatch(
            r"<(\\x00|\0)*\[API key\](\\x00|\0)*>", redact(f"<{text}>", Secret(known))
        )


def read(text: str) -> str:
    """Return a text as somebody reads it who undoes what is written otherwise, three times."""
    text = re.sub(r"\\x00|[\0�]", "", text)
    for _ in range(3):
        text = re.sub(r"\\+u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
        text = html.unescape(unquote(text)).replace("\\", "")
    return text


KEYS = st.from_regex(r"[A-Za-z0-9._~+/-]{8,600}={0,2}", fullmatch=True)


@given(
    key=KEYS,
    write=st.sampled_from([*WRITINGS.values()]),
    before=st.integers(0, 4_400),
    times=st.integers(1, 60),
    status=st.sampled_from([200, 401, 409, 503]),
)
def test_echo(key: str, write: Callable[[str], str], before: int, times: int, status: int) -> None:
    """No error shows 16 characters of a key that an answer repeats, wherever it is cut."""
    page = "\n" * before + f"{write(key)} " * times
    body = page if before % 2 else json.dumps({"title": "No", "status": status, "detail": page})
    title = page.replace("\n", "!")
    for text in (body, f"<title>{title}"):
        answer = Response(
            status=status, headers={"X-Request-Id": title}, body=text.encode(), keys=(Secret(key),)
        )
        for error in (status_error(ASKED, answer), invalid_response(ASKED, answer, "odd")):
            assert key[:16] not in read(f"{error} {error.request_id}")


def test_kept() -> None:
    """A short error without a secret is kept as a cause; one with a password, as what it says."""
    safe, unsafe = OSError("no vault"), OSError("http://user:hunter2@vault")
    assert redacted_cause(safe, Secret(LONG)) is safe
    assert type(redacted_cause(OSError("x" * 1_501), Secret(LONG))) is RolesError
    shown = redacted_cause(unsafe, Secret(LONG))
    assert repr(shown) == "RolesError('OSError: http://user:[password]@vault')"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (rb'{"detail": "\"ak\u002d0123/4567\u002b89=\u003d\""}', '"[API key]"'),
        (rb'{"detail": "x\\\/ak-0123/4567+89=="}', "x\\/[API key]"),
        (b'{"detail": "\xff"}', None),
    ],
)
def test_problem(body: bytes, detail: str | None) -> None:
    """A key goes from a problem document, which stays JSON, or is none."""
    answer = Response(status=400, headers={}, body=body, keys=(Secret(LONG),))
    problem = parse_problem(answer)
    assert (problem and problem.detail) == detail


def test_secret() -> None:
    """A secret shows its value only when it is asked to, and leaves in no pickle or copy."""
    secret = Secret(LONG)
    assert secret.reveal() == LONG
    assert repr(secret) == str(secret) == "[secret]"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            leave(secret)
