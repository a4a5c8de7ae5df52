"""The API key in a text that an error or a log line quotes."""

import copy
import json
import pickle

import pytest

from arize_roles_async import Response
from arize_roles_async._wire.redaction import Secret, redact, redacted_cause

LONG = 'ak-0123"\\89=='

QUOTED = '"\\\\\\ak/0123\\'


@pytest.mark.parametrize(
    ("text", "key", "redacted"),
    [
        (f"the key {LONG} is wrong", LONG, "the key [API key] is wrong"),
        (f"x{LONG}x", LONG, "x[API key]x"),
        (repr(f"/{LONG}"), f"/{LONG}", "'[API key]'"),
        (json.dumps(f"a {QUOTED} b"), QUOTED, '"a [API key] b"'),
        (json.dumps(json.dumps(f"a{QUOTED} b")), QUOTED, r'"\"a[API key] b\""'),
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
    ],
)
def test_redact(text: str, key: str, redacted: str) -> None:
    """A long key is redacted everywhere, a short one only after `Bearer`."""
    assert redact(text, Secret(key)) == redacted


@pytest.mark.parametrize("begin", ['"', "\\" * 4000, '"\\' * 2000])
def test_backslashes(begin: str) -> None:
    """A body of backslashes costs no more for a key with characters that are escaped."""
    body = "\\" * 1_000_000
    assert redact(body, Secret(f"{begin}01234567")) == body


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
        (rb"\ bearer-key", "bearer-key", rb"\ [API key]"),
        (b"\xff bearer-key", "bearer-key", b"\xff [API key]"),
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
