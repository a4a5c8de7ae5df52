"""Whatever hurts a client or a server most: what is sent to it, in any size.

A test sends it small, `python -m tests.tools.attacks` large.
"""

import asyncio
import functools
import gzip
import itertools
import json
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs

from arize_roles_async import RolesClient
from tests.support.raw_http import connection, read_message

Call = Callable[[RolesClient], Awaitable[object]]
Make = Callable[[int], bytes]
Pieces = Callable[[int], Iterable[bytes]]

ROLE_ID: Final = "Um9sZToxOmFCY0Q="
ESCAPES: Final = "\x1b[31mred\x1b[0m \x1b]0;title\x07\r\nsecond line\u202e\u2028\x9b2J\x00"
PAUSE: Final = b""
"""A piece after which the attacker waits a moment."""
_ROLE: Final[dict[str, Any]] = {
    "id": ROLE_ID,
    "name": "AI Engineer",
    "permissions": ["NEWER_THAN_THIS"],
    "is_predefined": False,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
}
_END_OF_PAGE: Final = b'],"pagination":{"has_more":false}}'
_KIB: Final = 2**10
_BODY: Final = 4 * 2**20 - 2**10  # Just below what is read of a body.
_FLOOD: Final = 256 * 2**20


@attrs.frozen(kw_only=True)
class Attack:
    """What is sent, in pieces of a size whose unit each attack names.

    Attributes:
        name: Its name.
        pieces: Returns what is sent.
        small: The size in a test.
        large: The size in the tool.
        call: The call that it answers; None if it is sent to a server.
    """

    name: str
    pieces: Pieces
    small: int = 64 * _KIB
    large: int = _BODY
    call: Call | None = None

    def __str__(self) -> str:
        return self.name


# Answers to a client.


def _answer(
    body: bytes, *headers: bytes, status: bytes = b"200 OK", media_type: bytes = b"application/json"
) -> bytes:
    """Return a whole response."""
    lines = [b"HTTP/1.1 " + status, b"Connection: close", b"Content-Type: " + media_type]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), *headers, b"", body])


def _repeat(start: bytes, item: bytes, end: bytes, size: int) -> bytes:
    """Return as many items, with commas between, as make a text of about `size` bytes."""
    count = max(1, (size - len(start) - len(end)) // (len(item) + 1))
    return start + (item + b",") * (count - 1) + item + end


def _role(**members: object) -> bytes:
    return json.dumps({**_ROLE, **members}).encode()


def _repeated(start: bytes, item: bytes, end: bytes, *, most: int = _BODY, **answer: Any) -> Make:  # noqa: ANN401
    """Answer with as many items as make the size."""
    return lambda size: _answer(_repeat(start, item, end, min(size, most)), **answer)


def _roles(item: bytes, most: int = _BODY) -> Make:
    return _repeated(b'{"roles":[', item, _END_OF_PAGE, most=most)


def _unknown_member(item: bytes, most: int = _BODY) -> Make:
    return _repeated(_role()[:-1] + b',"x":[', item, b"]}", most=most)


def _text(member: str, text: str) -> Make:
    return lambda size: _answer(_role(**{member: text * (size // len(text))}))


def _raw(text: bytes, end: bytes = b"") -> Make:
    """Answer with a role whose end is a text over and over."""
    return lambda size: _answer(_role()[:-1] + b',"x":' + text * (size // len(text)) + end)


def _problem(member: str, text: str) -> Make:
    def make(size: int) -> bytes:
        document = {"title": "T", "status": 403, member: text * (size // len(text))}
        media_type = b"application/problem+json"
        body = json.dumps(document).encode()
        return _answer(body, status=b"403 Forbidden", media_type=media_type)

    return make


def _members(size: int) -> bytes:
    """Return an object with very many members."""
    return b'{"status":403,' + b",".join(b'"%x":0' % number for number in range(size // 9)) + b"}"


def _key_in_escapes(size: int) -> bytes:
    # The key of the clients, `key-1234`, in other letters.
    spelled = b"".join(b"\\u%04x" % ord(c) for c in "key-1234 ")
    body = b'{"title":"' + spelled * (size // len(spelled)) + b'","status":403}'
    return _answer(body, status=b"403 Forbidden")


def _page(role: dict[str, Any], cursor: str | None = None) -> bytes:
    pagination = {"has_more": True, "next_cursor": cursor} if cursor else {"has_more": False}
    return _answer(json.dumps({"roles": [role], "pagination": pagination}).encode())


def _names(size: int) -> Iterable[bytes]:
    """Yield a page of names that are the wanted one with its letters in another order."""
    number = next(_NUMBERS)
    names = [("ab" * 99)[each % 9 :] + "ba" * (each % 5) for each in range(100)]
    more = {"has_more": True, "next_cursor": str(number)} if number % size else {"has_more": False}
    roles = [{**_ROLE, "name": name} for name in names]
    yield _answer(json.dumps({"roles": roles, "pagination": more}).encode())


_NUMBERS: Final = itertools.count(1)


def _compressed(layers: int) -> Make:
    def make(size: int) -> bytes:
        body = _repeat(b'{"roles":[', b"{}", _END_OF_PAGE, size)
        for _ in range(layers):
            body = gzip.compress(body, mtime=0)
        return _answer(body, b"Content-Encoding: " + b", ".join([b"gzip"] * layers))

    return make


def _bomb(wbits: int, name: bytes) -> Make:
    def make(size: int) -> bytes:
        packer = zlib.compressobj(9, wbits=wbits)
        # After a full flush the same mebibyte is packed the same way again.
        first, again = (
            packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
        )
        packed = first + again * max(1, size // 2**20 - 1)
        return _answer(packed, b"Content-Encoding: " + name)

    return make


def _header(line: bytes, status: bytes = b"429 No") -> Make:
    return lambda _: _answer(b"{}", line, status=status)


def _stream(head: bytes, piece: bytes, size: int) -> Iterable[bytes]:
    """Yield a head, and then the same piece until `size` bytes are sent."""
    yield head
    block = piece * max(1, 2**16 // len(piece))
    yield from itertools.repeat(block, max(1, size // len(block)))


def _drip(size: int) -> Iterable[bytes]:
    yield _OK + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    for _ in range(size):
        yield from (b" ", PAUSE)


_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def _list(roles: RolesClient) -> Awaitable[object]:
    return roles.list()


def _walk(roles: RolesClient) -> Awaitable[object]:
    return roles.list().all()


def _get(roles: RolesClient) -> Awaitable[object]:
    return roles.get(role_id=ROLE_ID)


def _find(roles: RolesClient) -> Awaitable[object]:
    return roles.get(role="ba" * 99)


def _update(roles: RolesClient) -> Awaitable[object]:
    return roles.update(role="AI Engineer", name="Other")


def _create(roles: RolesClient) -> Awaitable[object]:
    return roles.create(name="AI Engineer", permissions=["PROJECT_READ"])


def _body(name: str, make: Make, call: Call = _get, large: int = _BODY) -> Attack:
    @functools.lru_cache(maxsize=1)
    def pieces(size: int) -> tuple[bytes]:
        return (make(size),)

    return Attack(name=name, pieces=pieces, call=call, large=large)


def _flood(name: str, head: bytes, piece: bytes) -> Attack:
    pieces = functools.partial(_stream, head, piece)
    return Attack(name=name, pieces=pieces, call=_list, large=_FLOOD)


ATTACKS: Final = (
    _body("objects without fields", _roles(b"{}"), _list),
    _body("objects without fields, compressed", _compressed(1), _list),
    _body("objects without fields, compressed twice", _compressed(2), _walk),
    _body("more roles than were asked for", _roles(_role(permissions=[])), _list),
    _body(
        "unknown permissions of one role",
        _repeated(_role().partition(b'["NEWER')[0] + b"[", b'"N_E"', b'],"is_predefined":false}'),
    ),
    # As many as a page is read with: a thousand of each role, and of as many roles as fit.
    _body(
        "unknown permissions of a page",
        _roles(_role(permissions=[f"NEW_{number}" for number in range(1_000)]), most=500_000),
        _list,
    ),
    _body("lists in an unknown member", _unknown_member(b"[]")),
    _body("as many objects as are read", _unknown_member(b"{}", most=299_000)),
    _body("name of megabytes", _text("name", "n")),
    _body("name of escape sequences", _text("name", ESCAPES)),
    _body("description outside the BMP", _text("description", "𝄞")),
    _body("timestamp of megabytes", _text("created_at", "2026-01-02T03:04:60")),
    _body("integer of megabytes", _raw(b"9", b"}")),
    _body("duplicate members", _repeated(b"{", b'"name":[]', b',"name":5}')),
    _body("deep lists", _raw(b"[")),
    _body("deep objects", _raw(b'{"a":')),
    _body("problem with a detail of megabytes", _problem("detail", "d")),
    _body("problem with a title of escape sequences", _problem("title", ESCAPES)),
    _body(
        "problem with members by the hundred thousand",
        lambda size: _answer(_members(size), status=b"403 Forbidden"),
    ),
    _body("problem that is a list", _repeated(b"[", b"{}", b"]", status=b"400 Bad Request")),
    _body(
        "gateway's page of megabytes",
        _repeated(
            *(b"<title>" + ESCAPES.encode() + b"</title>", b"<div a=", b""),
            status=b"502 Bad Gateway",
            media_type=b"text/html",
        ),
    ),
    _body("API key in escapes", _key_in_escapes),
    _body("ID of megabytes", lambda size: _page({**_ROLE, "id": "/" * size}), _update),
    _body("cursor of megabytes", lambda size: _page(_ROLE, "c/" * (size // 2)), _walk),
    _body("same cursor again", lambda _: _page(_ROLE, "c"), _walk),
    Attack(name="names to compare", pieces=_names, call=_find, small=2, large=100),
    _body("X-Request-Id of escapes", _header(b"X-Request-Id: " + b"\x1b[31m\x9b2J" * 9)),
    _body("X-Request-Id, long", _header(b"X-Request-Id: " + b"\xc2\x9b" * 3000)),
    _body("Retry-After of digits", _header(b"Retry-After: " + b"9" * 5000)),
    _body("Content-Type, long", _header(b"Content-Type: " + b"\xe2\x80\xae" * 2000, b"200 OK")),
    _body("Location, long", _header(b"Location: http://h/" + b"\xe2\x80\xae" * 700, b"302 F")),
    _body(
        "reason of escape sequences",
        lambda _: _answer(b"", status=b"502 " + b"\x1b[31m" * 100),
        _create,
    ),
    _body(
        "reason of megabytes",
        lambda size: _answer(b"", status=b"502 " + b"\x1b[31m" * (size // 5)),
        _create,
    ),
    _body("bomb, gzip", _bomb(31, b"gzip"), _list, _FLOOD),
    _body("bomb, deflate", _bomb(15, b"deflate"), _list, _FLOOD),
    _flood("body without end", _OK + b"Content-Type: application/json\r\n\r\n", b"["),
    _flood("chunks of a byte", _CHUNKED, b"1\r\n[\r\n"),
    _flood("chunk extension without end", _CHUNKED + b"1;", b"x=y;"),
    _flood("headers without end", _OK, b"X-Padding: 1\r\n"),
    _flood("header without end", _OK + b"X-Padding: ", b"1"),
    _flood("trailers without end", _CHUNKED + b"0\r\n", b"X-Padding: 1\r\n"),
    _flood("status line without end", b"HTTP/1.1 200 ", b"O"),
    _flood("100 Continue without end", PAUSE, b"HTTP/1.1 100 Continue\r\n\r\n"),
    _flood("bytes that are not HTTP", PAUSE, bytes(range(256))),
    Attack(name="a byte now and then", pieces=_drip, call=_list, small=5, large=10_000),
)

# Requests to a server.

_KEY: Final = b"Host: localhost\r\nAuthorization: Bearer fake-api-key\r\n"
_POST: Final = b"POST /v2/roles HTTP/1.1\r\nContent-Type: application/json\r\n" + _KEY


def _posted(name: str, make: Make, large: int = 2**18 - _KIB, *headers: bytes) -> Attack:
    def pieces(size: int) -> Iterable[bytes]:
        body = make(size)
        lines = [b"Content-Length: %d" % len(body), *headers, b"", b""]
        return (_POST + b"\r\n".join(lines), body)

    return Attack(name=name, pieces=pieces, small=16 * _KIB, large=large)


def _sent(name: str, head: bytes, piece: bytes, large: int = _FLOOD) -> Attack:
    pieces = functools.partial(_stream, head, piece)
    return Attack(name=name, pieces=pieces, small=2**15, large=large)


def _new_role(**members: object) -> bytes:
    return json.dumps({"name": "A", "permissions": ["ROLE_READ"], **members}).encode()


SERVER_ATTACKS: Final = (
    _posted("objects by the ten thousand", lambda size: _repeat(b"[", b"{}", b"]", size)),
    _posted("unknown fields by the hundred thousand", _members),
    _posted(
        "unknown permissions by the hundred thousand",
        lambda size: _repeat(b'{"name":"A","permissions":[', b'"N_E"', b"]}", size),
    ),
    _posted("permission of a megabyte", lambda size: _new_role(permissions=["R" * size])),
    _posted("name of a megabyte", lambda size: _new_role(name="é" * (size // 6))),
    _posted("field of escape sequences", lambda size: _new_role(**{ESCAPES * (size // 120): 1})),
    _posted("description of escape sequences", lambda _: _new_role(description=ESCAPES)),
    _posted("deep lists in a body", lambda size: b"[" * size),
    _posted("integer of a megabyte", lambda size: b'{"name":' + b"9" * size + b"}"),
    _posted("body of 64 MiB", lambda size: b"[" * size, 64 * 2**20),
    _posted(
        "bomb in a body",
        lambda size: gzip.compress(b" " * size, mtime=0),
        _FLOOD,
        b"Content-Encoding: gzip",
    ),
    Attack(
        name="limit of digits",
        pieces=lambda _: (
            b"GET /v2/roles?limit=" + b"9" * 2**14 + b" HTTP/1.1\r\n" + _KEY,
            b"\r\n",
        ),
    ),
    _sent("target without end", b"GET /v2/roles/", b"9"),
    _sent("headers without end", b"GET /v2/roles HTTP/1.1\r\n" + _KEY, b"X-Padding: 1\r\n"),
    _sent(
        "chunks without end", _POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n", _FLOOD
    ),
)


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        if not piece:
            await asyncio.sleep(0.02)


async def assault(url: str, attack: Attack, size: int) -> bytes:
    """Send an attack to a server, and return what it answers, at most 64 KiB of it."""
    answered = b""
    # A server that refuses to read on resets the connection, at any of these points.
    with suppress(OSError):
        async with connection(url) as (reader, writer):
            with suppress(OSError):
                await _send(writer, attack.pieces(size))
            with suppress(TimeoutError):
                # One that waits for more is given a second.
                answered = await asyncio.wait_for(reader.read(2**16), 1.0)
    return answered


@asynccontextmanager
async def attacking(attack: Attack, size: int) -> AsyncGenerator[str]:
    """Serve an attack on loopback, and yield its URL."""
    attack.pieces(size)  # What takes long to make is made before a client waits for it.
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await read_message(reader)
            await _send(writer, attack.pieces(size))
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.create_task(serve(reader, writer))] = writer

    async with await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**24) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in connections.values():
            writer.transport.abort()
        await asyncio.gather(*connections)
