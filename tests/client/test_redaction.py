"""The API key in a text that an error or a log line quotes."""

import copy
import html
import json
import pickle
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import Request, Response
from arize_roles_async._wire.problems import invalid_response, status_error
from arize_roles_async._wire.redaction import Secret, redact, redacted_cause

ASKED = Request(method="GET", target="/v2/roles")

LONG = 'ak-0123"\\89=='

QUOTED = '"\\\\\\ak/0123\\'


@pytest.mark.parametrize(
    ("text", "key", "redacted"),
    [
        (f"the key {LONG} is wrong", LONG, "the key [API key] is wrong"),
        (f"x{LONG}x", LONG, "x[API key]x"),
        (repr(f"/{LONG}"), f"/{LONG}", "'[API key]'"),
        (json.dumps(f"a {QUOTED} b"), QUOTED, '"a [API key] b"'),
        (json.dumps(json.dumps(f"a{QUOTED} b")), QUOTED, '""a[API key] b""'),
        ('not "\\\\0123456', '"\\\\0123456', "not [API key]"),
        (f"Bearer {LONG}", LONG, "Bearer [API key]"),
        (repr(LONG), LONG, "'[API key]'"),
        (json.dumps([LONG]), LONG, '["[API key]"]'),
        (repr("ak-01'23\"4567"), "ak-01'23\"4567", "'[API key]'"),
        ("nothing of it", LONG, "nothing of it"),
        ("test failed: the latest test", "test", "test failed: the latest test"),
        ("Authorization: Bearer test", "test", "Authorization: Bearer [API key]"),
        ("'authorization: bearer\ttest'", "test", "'authorization: bearer\t[API key]'"),
        ("bearer testing", "k", "bearer testing"),
        ("the key is 1234567", "1234567", "the key is 1234567"),
        ("the key is 12345678", "12345678", "the key is [API key]"),
        ("/?key=ak-0123%22%5c89%3D%3d", LONG, "/?key=[API key]"),
        ("ak-0123%2522%255C89==", LONG, "[API key]"),
        (r"ak\u002d0123\u0022\\89==", LONG, "[API key]"),
        ("Authorization: Bearer%20test", "test", "Authorization: Bearer [API key]"),
        ("<p>ak&#45;0123&quot;\\89&#x3D;&equals;", LONG, "<p>[API key]"),
        (
            "Basic dXNlcjpiZWFyZXItMDEyMzQ1Njc4OQ==",
            "bearer-0123456789",
            "Basic dXNlcjp[API key]Q==",
        ),
        ("Ym90L2JlYXJlci0wMTIzPz8_NDU2Nzg5IQ", "bearer-0123???456789", "Ym90L2[API key]IQ"),
        (f"{'k' * 20}%2B0123456789", f"{'k' * 20}+0123456789", "[API key]"),
        # The text of another library that ends with three points.
        ("b'bearer-0123456789-...'", "bearer-0123456789-0123456789", "b'[API key]...'"),
        ("bearer-01234567?", "bearer-0123456789", "bearer-01234567?"),
        (f"{'k' * 40}...", "k" * 50, "[API key]..."),
    ],
)
def test_redact(text: str, key: str, redacted: str) -> None:
    """A long key is redacted everywhere, a short one only after `Bearer`."""
    assert redact(text, Secret(key)) == redacted


@pytest.mark.parametrize("unit", ["\\", "%41", "&lt;", "\\u0041", "k"])
def test_cost(unit: str) -> None:
    """A long body of escapes, or of beginnings of a key, costs little."""
    body = f"{unit * 1_000_000} bearer-key"
    assert redact(body, Secret("bearer-key"), Secret("k" * 4_000)).endswith(" [API key]")


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded whole": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, escaped whole": lambda text: "".join(f"\\u{ord(c):04X}" for c in text),
    "HTML": html.escape,
    "HTML, by numbers": lambda text: "".join(f"&#{ord(c)};" for c in text),
}
IN_BASE64: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "Basic": lambda text: f"Basic {b64encode(f'user:{text}'.encode()).decode()}",
    "for URLs": lambda text: urlsafe_b64encode(f"{text}:".encode()).decode().rstrip("="),
}
KEYS = st.sampled_from(["".join(map(chr, range(33, 127))), "abcdefgh01234567+=", 'a"\\%']).flatmap(
    lambda signs: st.text(signs, min_size=5, max_size=600).map("ak-{}".format)
)


PART = 20
"""Characters of a key that a text must not show, or the whole of a shorter key."""


def parts_shown(text: str, key: str) -> list[str]:
    """Return the parts of a key that a text shows to somebody who decodes it twice."""
    parts = [key[begin : begin + PART] for begin in range(max(1, len(key) - PART + 1))]
    texts = {text}
    for _ in range(2):
        texts |= {decoded for each in texts for decoded in decodings(each)}
    return [part for part in parts if any(part in each for each in texts)]


def decodings(text: str) -> Iterator[str]:
    yield unquote(text, "latin-1")
    yield html.unescape(text)
    yield re.sub(r"\\+u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    yield re.sub(r"\\(.)", r"\1", text)
    for token in re.findall(r"[\w+/-]{8,}", text, re.ASCII):
        signs = token.replace("-", "+").replace("_", "/")
        for begin in range(4):
            whole = signs[begin:] + "A" * (-len(signs[begin:]) % 4)
            yield b64decode(whole).decode("latin-1")


@given(
    key=KEYS,
    names=st.tuples(*map(st.sampled_from, ([*IN_BASE64], [*ENCODINGS], [*ENCODINGS]))),
    before=st.integers(0, 4_400),
    times=st.integers(1, 60),
    status=st.sampled_from([200, 401, 409, 503]),
)
def test_echo(key: str, names: tuple[str, str, str], before: int, times: int, status: int) -> None:
    """No error shows a part of a key that an answer repeats, wherever its excerpt is cut."""
    first, second, third = names
    echo = ENCODINGS[third](ENCODINGS[second](IN_BASE64[first](key)))
    page = "." * before + f"{echo} " * times
    body = page if before % 2 else json.dumps({"title": "No", "status": status, "detail": page})
    answer = Response(status=status, headers={}, body=body.encode(), keys=(Secret(key),))
    for error in (status_error(ASKED, answer), invalid_response(ASKED, answer, "odd")):
        assert parts_shown(str(error), key) == []


@pytest.mark.parametrize("encode", [*ENCODINGS.values(), *IN_BASE64.values()])
def test_judge(encode: Callable[[str], str]) -> None:
    """The judge of parts sees each encoding of a key, and of a part of it."""
    key = f"{LONG}{'0123456789' * 3}"
    assert key[:20] in parts_shown(f"x {encode(key)} x", key)
    assert parts_shown(f"x {encode(key[:-9])} x", key)


def test_cause() -> None:
    """An error whose chain shows a key is kept as what it says, any other as it is."""
    safe, unsafe = OSError("no vault"), KeyError("x")
    unsafe.__cause__ = OSError(f"not {LONG}")

    assert redacted_cause(safe, Secret(LONG)) is safe
    assert repr(redacted_cause(unsafe, Secret(LONG))) == """RolesError("KeyError: 'x'")"""


def test_arguments() -> None:
    """So does one with a secret among its arguments that its text does not quote."""

    class QuietError(Exception):
        def __str__(self) -> str:
            return "an answer that is no HTTP"

        __repr__ = __str__

    quiet = QuietError(LONG.encode())
    assert str(redacted_cause(quiet, Secret(LONG))) == "QuietError: an answer that is no HTTP"
    assert redacted_cause(quiet, Secret(LONG)) is not quiet


@pytest.mark.parametrize(
    ("body", "key", "redacted"),
    [
        (rb'{"a":"bearer-k\u0065y"}', "bearer-key", b'{"a":"[API key]"}'),
        # Too long to be searched for a key that other escapes hide.
        (rb'["bearer-k\u0065y"]' + b" " * 2**16, "bearer-key", b'["[API key]"]'),
        (rb"\ bearer-key", "bearer-key", rb"\ [API key]"),
        (b"\xff bearer-key", "bearer-key", b"\xef\xbf\xbd [API key]"),
        (b"\xff bearer", "bearer-key", b"\xff bearer"),
        (
            b'{"a":["%62earer-key","\\""],"b%65arer-key":1}',
            "bearer-key",
            b'{"a":["[API key]","\\""],"[API key]":1}',
        ),
        (b'"bearer-key' + b"[" * 3_000, "bearer-key", b'"[API key]' + b"[" * 3_000),
        (b"bearer-key", None, b"bearer-key"),
    ],
)
def test_body(body: bytes, key: str | None, redacted: bytes) -> None:
    """A key goes from a body whatever the body is, and however JSON writes the key."""
    keys = () if key is None else (Secret(key),)
    response = Response(status=200, headers={}, body=body, keys=keys)
    assert response.redacted_body() == redacted


def test_secret() -> None:
    """A secret shows its value only when it is asked to, and leaves in no pickle or copy."""
    secret = Secret(LONG)
    assert secret.reveal() == LONG
    assert repr(secret) == str(secret) == "[secret]"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            leave(secret)
