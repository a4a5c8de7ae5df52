"""Whatever a server answers: an error of ours or a valid result, said on short single lines."""

import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from arize_roles_async import AiohttpRolesClient, RetryPolicy, RolesClient, RolesError, Timeouts
from tests.support.messages import assert_short_line, judging_log_lines, messages_of
from tests.support.raw_http import scripted
from tests.tools.mutated_answers import ROLE, ROLE_ID, assert_valid

HASTY = Timeouts(total=0.5, read=0.2)
ONCE = RetryPolicy(attempts=1)

ESCAPES: Final = "\x1b[31mred\x1b[0m \x1b]0;title\x07\r\nsecond line\u202e\u2028\x9b2J\x00"
MANY: Final = 2**14

Call = Callable[[RolesClient], Awaitable[object]]


def get(roles: RolesClient) -> Awaitable[object]:
    return roles.get(role_id=ROLE_ID)


def walk(roles: RolesClient) -> Awaitable[object]:
    return roles.list().all()


def update(roles: RolesClient) -> Awaitable[object]:
    return roles.update(role="AI Engineer", name="Other")


def create(roles: RolesClient) -> Awaitable[object]:
    return roles.create(name="AI Engineer", permissions=["PROJECT_READ"])


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Connection: close", *headers]
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([*lines, b"Content-Type: application/json", length, b"", body])


def role(**members: object) -> bytes:
    return answer(json.dumps({**ROLE, **members}).encode())


def page(item: bytes, cursor: bytes | None = None) -> bytes:
    more = b'true,"next_cursor":"%s"' % cursor if cursor else b"false"
    return b'{"roles":[%s],"pagination":{"has_more":%s}}' % (item, more)


def problem(**members: object) -> bytes:
    return answer(json.dumps({"status": 403, **members}).encode(), status=b"403 Forbidden")


def cut(end: bytes) -> bytes:
    """Answer with a role that goes on otherwise."""
    return answer(json.dumps(ROLE).encode()[:-1] + b',"x":' + end)


OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ATTACKS: Final[dict[str, tuple[Call, bytes]]] = {
    "objects without fields": (walk, answer(page(b"{}," * MANY + b"{}"))),
    "more roles than were asked for": (
        walk,
        answer(page(b",".join([json.dumps(ROLE).encode()] * 300))),
    ),
    "unknown permissions": (get, role(permissions=[f"NEW_{number}" for number in range(MANY)])),
    "long name": (get, role(name="n" * MANY)),
    "name of escape sequences": (get, role(name=ESCAPES * 99)),
    "long timestamp": (get, role(created_at="2026-01-02T03:04:60" * 999)),
    "long integer": (get, cut(b"9" * MANY + b"}")),
    "deep lists": (get, cut(b"[" * MANY)),
    "deep objects": (get, cut(b'{"a":' * MANY)),
    "as many values as are not read": (get, cut(b"[" + b"{}," * 210_000 + b"{}]}")),
    "long detail": (get, problem(title="T", detail="d" * MANY)),
    "title of escape sequences": (get, problem(title=ESCAPES * 99)),
    "problem of many members": (get, problem(**{f"{number:x}": 0 for number in range(MANY)})),
    "problem that is a list": (get, answer(b"[{},{}]", status=b"400 Bad Request")),
    "gateway's page": (
        get,
        answer(
            b"<title>" + ESCAPES.encode() * 99 + b"</title>" + b"<div a=" * MANY,
            status=b"502 Bad Gateway",
        ).replace(b"application/json", b"text/html"),
    ),
    "API key in escapes": (
        get,
        answer(
            b'{"title":"%s","status":403}' % b"".join(b"\\u%04x" % ord(c) for c in "key-1234 " * 9),
            status=b"403 Forbidden",
        ),
    ),
    "long ID": (update, answer(page(json.dumps({**ROLE, "id": "/" * MANY}).encode()))),
    "long cursor": (walk, answer(page(json.dumps(ROLE).encode(), b"c/" * MANY))),
    "same cursor again": (walk, answer(page(json.dumps(ROLE).encode(), b"c"))),
    "X-Request-Id of escapes": (
        get,
        answer(b"{}", b"X-Request-Id: " + b"\x1b[31m\x9b2J" * 9, status=b"429 No"),
    ),
    "long X-Request-Id": (
        get,
        answer(b"{}", b"X-Request-Id: " + b"\xc2\x9b" * 3000, status=b"429 No"),
    ),
    "Retry-After of digits": (get, answer(b"{}", b"Retry-After: " + b"9" * 5000, status=b"429 No")),
    "long Content-Type": (
        get,
        answer(b"{}").replace(b"application/json", b"\xe2\x80\xae" * 2000),
    ),
    "long Location": (
        get,
        answer(b"", b"Location: http://h/" + b"\xe2\x80\xae" * 700, status=b"302 F"),
    ),
    "reason of escape sequences": (create, answer(b"", status=b"502 " + b"\x1b[31m" * 100)),
    "bomb": (walk, answer(gzip.compress(b" " * 2**23), b"Content-Encoding: gzip")),
    "body without end": (walk, OK + b"\r\n" + b"[" * 2**23),
    "chunks of a byte": (walk, CHUNKED + b"1\r\n[\r\n" * MANY),
    "chunk extension without end": (walk, CHUNKED + b"1;" + b"x=y;" * MANY),
    "headers without end": (walk, OK + b"X-Padding: 1\r\n" * MANY),
    "header without end": (walk, OK + b"X-Padding: " + b"1" * MANY),
    "trailers without end": (walk, CHUNKED + b"0\r\n" + b"X-Padding: 1\r\n" * MANY),
    "status line without end": (walk, b"HTTP/1.1 200 " + b"O" * MANY),
    "100 Continue without end": (walk, b"HTTP/1.1 100 Continue\r\n\r\n" * MANY),
    "bytes that are not HTTP": (walk, bytes(range(256)) * 99),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ATTACKS)
async def test_answer(name: str) -> None:
    """Every attack ends in one of our errors or in a valid result."""
    call, attack = ATTACKS[name]
    with judging_log_lines():
        async with (
            scripted(*[attack] * 3) as server,
            AiohttpRolesClient("key-1234", base_url=server.url, timeout=HASTY, retry=ONCE) as roles,
        ):
            try:
                assert_valid(await call(roles))
            except RolesError as error:
                for message in messages_of(error):
                    assert_short_line(message)
