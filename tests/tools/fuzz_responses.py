"""Any bytes for a body, any status, any headers: a call returns a valid model or raises our error.

`python -m tests.tools.fuzz_responses [N]` runs N examples, 100,000 unless given: most of them as
responses that a transport returns, and one in 25 as raw bytes on a socket, through aiohttp.
"""

import asyncio
import copy
import json
import pickle
import sys
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    ListRolesResponse,
    Request,
    Response,
    RetryPolicy,
    Role,
    RolesClient,
    RolesError,
    Timeouts,
)
from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.driver import Destination
from arize_roles_async._calls.transport import Call, Event, TimeLimit, Transport
from arize_roles_async._client import BaseRolesClient
from arize_roles_async._wire.redaction import Secret
from tests.support.messages import assert_short_line, judging_log_lines, messages_of

ROLE: Final[dict[str, Any]] = {
    "id": "Um9sZToxOmFCY0Q=",
    "name": "AI Engineer",
    "description": "Looks at projects.",
    "permissions": ["PROJECT_READ", "NEWER_THAN_THIS"],
    "is_predefined": False,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05+09:00",
}
PAGE: Final = {"roles": [ROLE, ROLE], "pagination": {"has_more": True, "next_cursor": "abc"}}
PROBLEM: Final = {
    "type": "https://arize.com/docs/ax/rest-reference/errors#access-forbidden",
    "title": "Access forbidden",
    "status": 403,
    "detail": "the plan allows no more",
    "limit": 5,
    "current_count": 5,
    "required_plan": "PRO",
}


# What may come


JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.datetimes().map(datetime.isoformat)
    | st.sampled_from(["2026-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00", "A" * 300, "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def _spoiled(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return documents of which members are other, or are not there."""

    def spoil(other: dict[str, Any], gone: set[str]) -> bytes:
        kept = {**document, **other}
        return json.dumps({name: kept[name] for name in kept if name not in gone}).encode()

    names = st.sampled_from(sorted(document))
    others = st.fixed_dictionaries({}, optional=dict.fromkeys(document, JSON))
    return st.builds(spoil, others, st.sets(names, max_size=2))


def _cut(body: bytes, start: int, end: int, filling: bytes) -> bytes:
    return body[:start] + filling + body[end:]


WHOLE: Final = st.one_of(
    st.sampled_from([json.dumps(document).encode() for document in (ROLE, PAGE, PROBLEM)]),
    _spoiled(ROLE),
    _spoiled(PROBLEM),
    _spoiled(PAGE),
    _spoiled(ROLE).map(lambda role: b'{"roles": [%s], "pagination": {"has_more": false}}' % role),
)
BODIES: Final = st.one_of(
    WHOLE,
    st.builds(_cut, WHOLE, st.integers(0, 400), st.integers(0, 400), st.binary(max_size=8)),
    st.binary(),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"<title>\x1b[31m\n" * 2000, b'{"title": "%s", "status": 403}' % (b"t" * 9000)]
    ),
    st.sampled_from([b"", b"null", b"[" * 5000, b"9" * 5000, b"\xef\xbb\xbf{}", b'{"a":' * 3000]),
)
STATUSES: Final = st.one_of(
    st.sampled_from([200, 201]),
    st.sampled_from([200, 201, 204, 302, 400, 403, 404, 409, 429, 500, 503]),
    st.integers(100, 999),
)
TEXT: Final = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
VALUES: Final = TEXT | st.sampled_from(
    [
        *("application/json", "application/problem+json", "text/html", "APPLICATION/JSON; x=y"),
        *("0", "-1", "1.5", "9" * 400, "²", "Thu, 01 Jan 2026 12:00:00 GMT", "Thu, 01 Jan 99999"),
        *("Thu, 99 Jan 2026 12:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "gzip", "br", "x"),
        *("\x1b[31mred\x9b2J", "\u202e" * 5000),
    ]
)
NAMES: Final = st.sampled_from(
    ["Content-Type", "Retry-After", "Date", "X-Request-Id", "retry-after", "content-type", "X"]
)
HEADERS: Final = st.lists(st.tuples(NAMES, VALUES), max_size=4)

Operation = Callable[[RolesClient], Awaitable[object]]


async def _list(roles: RolesClient) -> object:
    return await roles.list()


async def _get(roles: RolesClient) -> object:
    return await roles.get(role_id="Um9sZToxOmFCY0Q=")


async def _create(roles: RolesClient) -> object:
    return await roles.create(name="AI Engineer", permissions=["PROJECT_READ"])


async def _update(roles: RolesClient) -> object:
    return await roles.update(role_id="Um9sZToxOmFCY0Q=", name="AI Engineer")


async def _delete(roles: RolesClient) -> object:
    await roles.delete(role_id="Um9sZToxOmFCY0Q=")
    return None


async def _walk(roles: RolesClient) -> object:
    return await roles.list().all()


OPERATIONS: Final = st.sampled_from([_list, _get, _create, _update, _delete, _walk])


# What must become of it


ended: Final = Counter[str]()


async def _ends_well(operation: Operation, roles: RolesClient) -> None:
    try:
        result = await operation(roles)
    except RolesError as error:
        ended[type(error).__name__] += 1
        assert_presentable(error)
    else:
        ended["result"] += 1
        assert_valid(result)


def assert_presentable(error: RolesError) -> None:
    """Check that an error copies, pickles and prints, with its causes, on short single lines."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    for other in (again, copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
    for message in messages_of(error):
        assert_short_line(message)


def assert_valid(result: object) -> None:
    """Check that a result is what its type says, through and through."""
    match result:
        case None:
            pass
        case Role():
            texts = (result.id, result.name, result.description or "")
            assert all(type(text) is str for text in texts)
            assert result.id
            assert type(result.is_predefined) is bool
            assert result.created_at.utcoffset() is not None
            assert result.updated_at.utcoffset() is not None
            assert all(type(p.value) is str for p in result.permissions or ())
            assert Role.from_json(result.to_json()) == result
            assert repr(result)
            hash(result)
        case ListRolesResponse():
            assert type(result.pagination.has_more) is bool
            assert isinstance(result.pagination.next_cursor, str | None)
            for role in result.roles:
                assert_valid(role)
        case _:
            raise AssertionError(f"a call returned {result!r}")


# The wire functions, under the loop that every call goes through


class _Canned(Transport):
    """Answers every request alike."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._sent = 0
        self.time = 0.0
        self.now = lambda: self.time

    async def send(self, request: Request, call: Call) -> Response:  # noqa: ARG002
        self._sent += 1
        # A walk with a cursor on every page ends, for the cursor is the same, and 429s by the time.
        assert self._sent < 100
        return self._response

    def check_open(self) -> bool:
        return False

    def event(self, call: Call) -> Event:
        del call
        return _Pause(self)

    def time_limit(self, call: Call) -> TimeLimit:
        del call
        return nullcontext()  # No time passes here.

    async def aclose(self, grace: float) -> None:
        pass


class _Pause(Event):
    """A wait between attempts, in which only the transport's clock goes on."""

    def __init__(self, transport: _Canned) -> None:
        self._transport = transport

    def set(self) -> None:
        raise AssertionError("a call counted as too late")

    async def wait(self, seconds: float) -> bool:
        assert 0.0 <= seconds <= 30.0
        self._transport.time += seconds
        return False


def run_to_its_end(steps: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing, without an event loop."""
    try:
        steps.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited for something")


def fuzz_wire(examples: int) -> None:
    """Run examples of responses that a transport returns."""

    @_settings(examples)
    @given(operation=OPERATIONS, status=STATUSES, headers=HEADERS, body=BODIES)
    def example(
        operation: Operation, status: int, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        response = Response(
            status=status, headers=CIMultiDict(headers), body=body, keys=(Secret("Engineer"),)
        )
        roles = BaseRolesClient(
            Destination(_Canned(response), 40),
            KeySource(Secret("Engineer")),
            Timeouts(),
            RetryPolicy(attempts=2),
        )
        run_to_its_end(_ends_well(operation, roles))

    with judging_log_lines():
        example()


# Raw bytes through aiohttp


def _answer(
    version: bytes, status: int, reason: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> bytes:
    lines = [b"%s %d %s" % (version, status, reason)]
    lines += [b"%s: %s" % header for header in headers]
    return b"\r\n".join([*lines, b"", body])


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _sized(body: bytes) -> bytes:
    return _answer(b"HTTP/1.1", 200, b"OK", [(b"Content-Length", b"%d" % len(body))], body)


RAW_NAMES: Final = st.sampled_from(
    [
        *(b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Content-Type", b"Date"),
        *(b"Retry-After", b"Connection", b"Set-Cookie", b"Location", b"X-Request-Id", b"Upgrade"),
        *(b"WWW-Authenticate", b"Content-Disposition", b"Link"),
    ]
) | st.binary(max_size=8)
RAW_VALUES: Final = st.sampled_from(
    [
        *(b"0", b"5", b"999", b"-1", b"chunked", b"gzip", b"deflate", b"br", b"zstd", b"close"),
        *(b"keep-alive", b"upgrade", b"a=b; Max-Age=x", b"=;=", b"http://[", b"//", b"text/html"),
        *(b"application/json", b"\xff\xfe", b"a;" * 50),
    ]
) | st.binary(max_size=12)
WIRES: Final = st.one_of(
    st.builds(
        _answer,
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP"]),
        STATUSES,
        st.binary(max_size=5) | st.just(b"OK"),
        st.lists(st.tuples(RAW_NAMES, RAW_VALUES), max_size=4),
        BODIES | BODIES.map(_chunk),
    ),
    BODIES.map(_sized),
    st.binary(),
)


def fuzz_socket(examples: int) -> None:
    """Run examples of bytes that a server sends."""
    unhandled: list[object] = []
    wire = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(wire)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def call(operation: Operation, url: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: unhandled.append(c))
        limits = Timeouts(total=5.0)
        async with AiohttpRolesClient(
            "key-1234", base_url=url, timeout=limits, retry=RetryPolicy(attempts=1)
        ) as roles:
            await _ends_well(operation, roles)

    with asyncio.Runner() as runner:
        server = runner.run(_start(serve))
        port = server.sockets[0].getsockname()[1]

        @_settings(examples)
        @given(operation=OPERATIONS, sent=WIRES)
        def example(operation: Operation, sent: bytes) -> None:
            nonlocal wire
            wire = sent
            runner.run(call(operation, f"http://127.0.0.1:{port}"))
            assert unhandled == []

        with judging_log_lines():
            example()
        server.close()


async def _start(serve: Callable[..., Awaitable[None]]) -> asyncio.Server:
    return await asyncio.start_server(serve, "127.0.0.1", 0)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


def main() -> int:
    """Run the examples, print how they ended and return the exit status."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", AlphaWarning)
    started = time.monotonic()
    on_socket = examples // 25
    fuzz_wire(examples - on_socket)
    fuzz_socket(on_socket)
    for kind, count in ended.most_common():
        print(f"{count:8}  {kind}")
    print(f"\n{examples} examples in {time.monotonic() - started:.0f} s, none ended otherwise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
