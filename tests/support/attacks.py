"""Servers that answer with whatever hurts a client most: what each sends, in any size.

A test runs them small, `python -m tests.tools.attacks` large.
"""

import asyncio
import functools
import gzip
import json
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs

from arize_roles_async import RolesClient
from tests.support.raw_http import Message, connection, read_message

Call = Callable[[RolesClient], Awaitable[object]]

ROLE_ID: Final = "Um9sZToxOmFCY0Q="
ESCAPES: Final = "\x1b[31mred\x1b[0m \x1b]0;title\x07\r\nsecond line\u202e\u2028\x9b2J\x00"
_ROLE: Final[dict[str, Any]] = {
    "id": ROLE_ID,
    "name": "AI Engineer",
    "permissions": ["NEWER_THAN_THIS"],
    "is_predefined": False,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
}
_END_OF_PAGE: Final = b'],"pagination":{"has_more":false}}'


@attrs.frozen(kw_only=True)
class Exchange:
    """One request that the server got, and the way to its client."""

    request: Message
    number: int
    """Which request of the server's it is, from 0."""
    size: int
    """The size of the attack, in units that each attack names."""
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes; raises `ConnectionError` when the client has gone."""
        self.writer.write(data)
        await self.writer.drain()


@attrs.frozen(kw_only=True)
class Attack:
    """A way to answer a client, and the call of the client's that it answers."""

    name: str
    answer: Callable[[Exchange], Awaitable[None]]
    call: Call
    small: int
    large: int

    def __str__(self) -> str:
        return self.name


# What the clients ask.


async def list_page(roles: RolesClient) -> object:
    return await roles.list()


async def walk(roles: RolesClient) -> object:
    return await roles.list().all()


async def get(roles: RolesClient) -> object:
    return await roles.get(role_id=ROLE_ID)


async def find(roles: RolesClient) -> object:
    return await roles.get(role="ba" * 99)


async def update(roles: RolesClient) -> object:
    return await roles.update(role="AI Engineer", name="Other")


async def create(roles: RolesClient) -> object:
    return await roles.create(name="AI Engineer", permissions=["PROJECT_READ"])


# What the servers answer.


def answer(
    body: bytes,
    *headers: bytes,
    status: bytes = b"200 OK",
    media_type: bytes = b"application/json",
) -> bytes:
    """Return a whole response."""
    lines = [
        b"HTTP/1.1 " + status,
        b"Content-Type: " + media_type,
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join([*lines, *headers, b"", body])


def repeat(start: bytes, item: bytes, end: bytes, size: int) -> bytes:
    """Return as many items, with commas between, as make a text of about `size` bytes."""
    count = max(1, (size - len(start) - len(end)) // (len(item) + 1))
    return start + (item + b",") * (count - 1) + item + end


def role(**members: object) -> bytes:
    return json.dumps({**_ROLE, **members}).encode()


@functools.lru_cache(maxsize=1)
def _made(make: Callable[[int], bytes], size: int) -> bytes:
    return make(size)


def _whole(make: Callable[[int], bytes]) -> Callable[[Exchange], Awaitable[None]]:
    async def respond(exchange: Exchange) -> None:
        await exchange.send(_made(make, exchange.size))

    return respond


def _empty_objects(size: int) -> bytes:
    return repeat(b'{"roles":[', b"{}", _END_OF_PAGE, size)


def _more_roles(size: int) -> bytes:
    return answer(repeat(b'{"roles":[', role(permissions=[]), _END_OF_PAGE, size))


def _unknown_permissions(size: int) -> bytes:
    head, _, tail = role().partition(b'["NEWER_THAN_THIS"]')
    return answer(repeat(head + b"[", b'"N_E"', b"]" + tail, size))


def _unknown_permissions_of_a_page(size: int) -> bytes:
    """As many as a page is read with: a thousand of each role, and of as many roles as fit."""
    held = role(permissions=[f"NEW_{number}" for number in range(1_000)])
    return answer(repeat(b'{"roles":[', held, _END_OF_PAGE, min(size, 50 * len(held))))


def _values_in_an_unknown_member(size: int) -> bytes:
    return answer(repeat(role()[:-1] + b',"x":[', b"[]", b"]}", size))


def _accepted_values(size: int) -> bytes:
    """As many values as a body is read with."""
    return answer(repeat(role()[:-1] + b',"x":[', b"{}", b"]}", min(size, 299_000)))


def _text(member: str, text: str) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        return answer(role(**{member: text * (size // len(text))}))

    return make


def _digits(size: int) -> bytes:
    return answer(role()[:-1] + b',"is_predefined":' + b"9" * size + b"}")


def _surrogates(size: int) -> bytes:
    return answer(role().replace(b"AI Engineer", b"\\ud800" * (size // 6)))


def _duplicates(size: int) -> bytes:
    return answer(repeat(b"{", b'"name":[]', b',"name":5}', size))


def _deep(opening: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        return answer(role()[:-1] + b',"x":' + opening * (size // len(opening)))

    return make


def _problem(status: bytes, **members: object) -> bytes:
    document = {"title": "Access forbidden", "status": int(status[:3]), **members}
    return answer(
        json.dumps(document).encode(), status=status, media_type=b"application/problem+json"
    )


def _problem_text(member: str, text: str) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        return _problem(b"403 Forbidden", **{member: text * (size // len(text))})

    return make


def _problem_members(size: int) -> bytes:
    members = b",".join(b'"%x":0' % number for number in range(size // 9))
    body = b'{"title":"T","status":403,' + members + b"}"
    return answer(body, status=b"403 Forbidden")


def _problem_list(size: int) -> bytes:
    return answer(repeat(b"[", b"{}", b"]", size), status=b"400 Bad Request")


def _page_of_a_gateway(size: int) -> bytes:
    body = b"<title>" + ESCAPES.encode() + b"</title>" + b"<div a=" * (size // 7)
    return answer(body, status=b"502 Bad Gateway", media_type=b"text/html")


def _key_in_escapes(size: int) -> bytes:
    # The key of the clients, `key-1234`, in other letters.
    spelled = b"".join(b"\\u%04x" % ord(c) for c in "key-1234 ")
    body = b'{"title":"' + spelled * (size // len(spelled)) + b'","status":403}'
    return answer(body, status=b"403 Forbidden")


async def _names(exchange: Exchange) -> None:
    """Pages of a hundred names that are the wanted one with its letters in another order."""
    more = exchange.number + 1 < exchange.size
    pagination = {"has_more": more} | ({"next_cursor": str(exchange.number)} if more else {})
    names = [("ab" * 99)[number % 9 :] + "ba" * (number % 5) for number in range(100)]
    roles = [{**_ROLE, "name": name} for name in names]
    await exchange.send(answer(json.dumps({"roles": roles, "pagination": pagination}).encode()))


async def _endless_pages(exchange: Exchange) -> None:
    pagination = {"has_more": True, "next_cursor": str(exchange.number)}
    roles = [{**_ROLE, "name": f"role {exchange.number}-{number}"} for number in range(100)]
    await exchange.send(answer(json.dumps({"roles": roles, "pagination": pagination}).encode()))


def _cursor(size: int) -> bytes:
    pagination = {"has_more": True, "next_cursor": "c/" * (size // 2)}
    return answer(json.dumps({"roles": [_ROLE], "pagination": pagination}).encode())


def _long_id(size: int) -> bytes:
    page = {"roles": [{**_ROLE, "id": "/" * size}], "pagination": {"has_more": False}}
    return answer(json.dumps(page).encode())


def _compressed(make: Callable[[int], bytes], *, layers: int = 1) -> Callable[[int], bytes]:
    def compress(size: int) -> bytes:
        body = make(size)
        for _ in range(layers):
            body = gzip.compress(body, mtime=0)
        return answer(body, b"Content-Encoding: " + b", ".join([b"gzip"] * layers))

    return compress


def _bomb(wbits: int, name: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        packer = zlib.compressobj(9, wbits=wbits)
        # After a full flush the same mebibyte is packed the same way again.
        first, again = (
            packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
        )
        packed = first + again * max(1, size // 2**20 - 1)
        return answer(packed, b"Content-Encoding: " + name)

    return make


def _header(name: bytes, value: Callable[[int], bytes], status: bytes = b"429 No") -> Any:  # noqa: ANN401
    def make(size: int) -> bytes:
        return answer(b"{}", name + b": " + value(size), status=status)

    return make


def _reason(size: int) -> bytes:
    return answer(b"", status=b"502 " + b"\x1b[31m" * (size // 5))


def _stream(head: bytes, piece: bytes) -> Callable[[Exchange], Awaitable[None]]:
    """Send a head, and then the same piece until `size` bytes are sent or the client goes."""

    async def respond(exchange: Exchange) -> None:
        await exchange.send(head)
        block = piece * max(1, 2**16 // len(piece))
        for _ in range(max(1, exchange.size // len(block))):
            await exchange.send(block)
        exchange.writer.close()

    return respond


async def _drip(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    await exchange.send(b"Content-Length: 1000000\r\n\r\n")
    for _ in range(exchange.size):
        await exchange.send(b" ")
        await asyncio.sleep(0.02)


_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
_KIB: Final = 2**10
_BODY: Final = 4 * 2**20 - 2**10  # Just below what is read of a body.
_FLOOD: Final = 256 * 2**20


def _body(name: str, make: Callable[[int], bytes], call: Call = get) -> Attack:
    return Attack(name=name, answer=_whole(make), call=call, small=64 * _KIB, large=_BODY)


def _flood(
    name: str, respond: Callable[[Exchange], Awaitable[None]], call: Call = list_page
) -> Attack:
    return Attack(name=name, answer=respond, call=call, small=64 * _KIB, large=_FLOOD)


ATTACKS: Final = (
    _body("objects without fields", lambda size: answer(_empty_objects(size)), list_page),
    _body("objects without fields, compressed", _compressed(_empty_objects), list_page),
    _body("objects without fields, compressed twice", _compressed(_empty_objects, layers=2), walk),
    _body("more roles than were asked for", _more_roles, list_page),
    _body("unknown permissions of one role", _unknown_permissions),
    _body("unknown permissions of a page", _unknown_permissions_of_a_page, list_page),
    _body("lists in an unknown member", _values_in_an_unknown_member),
    _body("as many objects as are read", _accepted_values),
    _body("name of megabytes", _text("name", "n")),
    _body("name of escape sequences", _text("name", ESCAPES)),
    _body("description outside the BMP", _text("description", "𝄞")),
    _body("timestamp of megabytes", _text("created_at", "2026-01-02T03:04:60")),
    _body("integer of megabytes", _digits),
    _body("surrogates", _surrogates),
    _body("duplicate members", _duplicates),
    _body("deep lists", _deep(b"[")),
    _body("deep objects", _deep(b'{"a":')),
    _body("problem with a detail of megabytes", _problem_text("detail", "d")),
    _body("problem with a title of escape sequences", _problem_text("title", ESCAPES)),
    _body("problem with members by the hundred thousand", _problem_members),
    _body("problem that is a list", _problem_list),
    _body("gateway's page of megabytes", _page_of_a_gateway),
    _body("API key in escapes", _key_in_escapes),
    _body("ID of megabytes", _long_id, update),
    _body("cursor of megabytes", _cursor, walk),
    _body("same cursor again", lambda _: _cursor(2), walk),
    Attack(name="names to compare", answer=_names, call=find, small=2, large=100),
    Attack(name="pages without end", answer=_endless_pages, call=find, small=1, large=1),
    _body("X-Request-Id of escapes", _header(b"X-Request-Id", lambda _: b"\x1b[31m\x9b2J" * 9)),
    _body("X-Request-Id, long", _header(b"X-Request-Id", lambda _: b"\xc2\x9b" * 3000)),
    _body("Retry-After of digits", _header(b"Retry-After", lambda _: b"9" * 5000)),
    _body(
        "Content-Type, long", _header(b"Content-Type", lambda _: b"\xe2\x80\xae" * 2000, b"200 OK")
    ),
    _body(
        "Location, long", _header(b"Location", lambda _: b"http://h/\xe2\x80\xae" * 700, b"302 F")
    ),
    _body("reason of escape sequences", lambda _: _reason(500), create),
    _body("reason of megabytes", _reason, create),
    _flood("bomb, gzip", _whole(_bomb(31, b"gzip"))),
    _flood("bomb, deflate", _whole(_bomb(15, b"deflate"))),
    _flood("body without end", _stream(_OK + b"Content-Type: application/json\r\n\r\n", b"[")),
    _flood("chunks of a byte", _stream(_CHUNKED, b"1\r\n[\r\n")),
    _flood("chunk extension without end", _stream(_CHUNKED + b"1;", b"x=y;")),
    _flood("headers without end", _stream(_OK, b"X-Padding: 1\r\n")),
    _flood("header without end", _stream(_OK + b"X-Padding: ", b"1")),
    _flood("trailers without end", _stream(_CHUNKED + b"0\r\n", b"X-Padding: 1\r\n")),
    _flood("status line without end", _stream(b"HTTP/1.1 200 ", b"O")),
    _flood("100 Continue without end", _stream(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    _flood("bytes that are not HTTP", _stream(b"", bytes(range(256)))),
    Attack(name="a byte now and then", answer=_drip, call=list_page, small=5, large=10_000),
)


# What is sent to a server.


@attrs.frozen(kw_only=True)
class ServerAttack:
    """A request to a server of the fake's, in pieces."""

    name: str
    pieces: Callable[[int], Iterable[bytes]]
    small: int
    large: int

    def __str__(self) -> str:
        return self.name


def _post(body: bytes, *headers: bytes) -> list[bytes]:
    lines = [
        *(b"POST /v2/roles HTTP/1.1", b"Host: localhost", b"Authorization: Bearer fake-api-key"),
        *(b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers),
    ]
    return [b"\r\n".join([*lines, b"", b""]), body]


def _posted(make: Callable[[int], bytes]) -> Callable[[int], Iterable[bytes]]:
    return lambda size: _post(make(size))


def _posted_bomb(size: int) -> Iterable[bytes]:
    return _post(gzip.compress(b" " * size, mtime=0), b"Content-Encoding: gzip")


def _new_role(**members: object) -> bytes:
    return json.dumps({"name": "A", "permissions": ["ROLE_READ"], **members}).encode()


def _requested(target: bytes) -> Callable[[int], Iterable[bytes]]:
    def pieces(size: int) -> Iterable[bytes]:
        yield b"GET " + target
        for _ in range(max(1, size // 2**14)):
            yield b"9" * 2**14
        yield b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer fake-api-key\r\n\r\n"

    return pieces


def _sent_headers(size: int) -> Iterable[bytes]:
    yield b"GET /v2/roles HTTP/1.1\r\nHost: localhost\r\n"
    for _ in range(max(1, size // 2**14)):
        yield b"X-Padding: 1\r\n" * 2**10


def _sent_chunks(size: int) -> Iterable[bytes]:
    head = _post(b"", b"Transfer-Encoding: chunked")[0]
    yield head.replace(b"Content-Length: 0\r\n", b"")
    for _ in range(max(1, size // 2**14)):
        yield b"1\r\n[\r\n" * 2**11


def _accepted(name: str, make: Callable[[int], bytes]) -> ServerAttack:
    """Return an attack with a body that the server reads."""
    return ServerAttack(name=name, pieces=_posted(make), small=16 * _KIB, large=2**18 - _KIB)


SERVER_ATTACKS: Final = (
    _accepted("objects by the ten thousand", lambda size: repeat(b"[", b"{}", b"]", size)),
    _accepted(
        "unknown fields by the hundred thousand",
        lambda size: b"{" + b",".join(b'"%x":0' % n for n in range(size // 9)) + b"}",
    ),
    _accepted(
        "unknown permissions by the hundred thousand",
        lambda size: repeat(b'{"name":"A","permissions":[', b'"N_E"', b"]}", size),
    ),
    _accepted("permission of a megabyte", lambda size: _new_role(permissions=["R" * size])),
    _accepted("name of a megabyte", lambda size: _new_role(name="é" * (size // 6))),
    _accepted("field of escape sequences", lambda size: _new_role(**{ESCAPES * (size // 120): 1})),
    _accepted("description of escape sequences", lambda _: _new_role(description=ESCAPES)),
    _accepted("deep lists in a body", lambda size: b"[" * size),
    _accepted("integer of a megabyte", lambda size: b'{"name":' + b"9" * size + b"}"),
    ServerAttack(
        name="body of 64 MiB",
        pieces=_posted(lambda size: b"[" * size),
        small=2**16,
        large=64 * 2**20,
    ),
    ServerAttack(name="bomb in a body", pieces=_posted_bomb, small=2**16, large=_FLOOD),
    ServerAttack(name="limit of digits", pieces=_requested(b"/v2/roles?limit="), small=1, large=1),
    ServerAttack(
        name="target without end", pieces=_requested(b"/v2/roles/"), small=2**15, large=_FLOOD
    ),
    ServerAttack(name="headers without end", pieces=_sent_headers, small=2**15, large=_FLOOD),
    ServerAttack(name="chunks without end", pieces=_sent_chunks, small=2**15, large=_FLOOD),
)


async def assault(url: str, attack: ServerAttack, size: int) -> bytes:
    """Send an attack to a server, and return what it answers, at most 64 KiB of it."""
    answered = b""
    # A server that refuses to read on resets the connection, at any of these points.
    with suppress(OSError):
        async with connection(url) as (reader, writer):
            with suppress(OSError):
                for piece in attack.pieces(size):
                    writer.write(piece)
                    await writer.drain()
            with suppress(TimeoutError):
                # One that waits for more is given a second.
                answered = await asyncio.wait_for(reader.read(2**16), 1.0)
    return answered


@asynccontextmanager
async def attacking(attack: Attack, size: int) -> AsyncGenerator[str]:
    """Serve an attack on loopback, and yield its URL."""
    number = 0
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                request = await read_message(reader)
                exchange = Exchange(request=request, number=number, size=size, writer=writer)
                number += 1
                await attack.answer(exchange)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.create_task(serve(reader, writer))] = writer

    async with await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**24) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in connections.values():
            writer.transport.abort()
        await asyncio.gather(*connections)
