"""Answers of any status, members and bytes, while calls are cancelled and clients closed.

The calls go over http and https, on asyncio and uvloop; `pytest --full` makes 5,000 of each. A call
may end in a result, one of our errors, or a cancellation that somebody asked for. It ends at once
with its client, and at the end of its own time with a lent session. No socket, task, timer or slot
is left.
"""

import asyncio
import copy
import itertools
import json
import pickle
import random
import ssl
import tempfile
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import aiohttp
import attrs
from anyio.from_thread import start_blocking_portal

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    ListRolesResponse,
    RetryPolicy,
    Role,
    RolesClient,
    RolesError,
    Timeouts,
)
from arize_roles_async._aiohttp.connections import UsedConnection
from arize_roles_async._aiohttp.time_limits import TimedEvent
from arize_roles_async._calls.queue import Queue
from tests.support.messages import assert_short_line, judging_log_lines, messages_of
from tests.support.raw_http import read_message
from tests.support.tls import Authority

UVLOOP_TIMER: Final = "SSLProtocol._start_handshake"
"""Objects that uvloop keeps for a minute after a cancelled TLS handshake, in bare aiohttp, too."""
UVLOOP_COMPLAINT: Final = "Fatal error on SSL protocol"
"""uvloop's complaint if aiohttp closes a TLS transport that it reads from, in bare aiohttp, too."""
SOON: Final = 200
"""Steps of the loop, of 5 ms or more on a busy machine, until what a close ends has ended."""
AT_LAST: Final = 2_000
"""Steps until every call has ended, as its own time is over."""
AT_ONCE: Final = 100
"""Calls of a round."""
SLOTS: Final = 8

# What is called, and what must become of it

ROLE: Final[dict[str, Any]] = {
    "id": "Um9sZToxOmFCY0Q=",
    "name": "AI Engineer",
    "description": "Looks at projects.",
    "permissions": ["PROJECT_READ", "NEWER_THAN_THIS"],
    "is_predefined": False,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05+09:00",
}
ROLE_ID: Final = str(ROLE["id"])
CALLS: Final[list[Callable[[RolesClient], Awaitable[object]]]] = [
    lambda roles: roles.list(),
    lambda roles: roles.list().all(),
    lambda roles: roles.get(role_id=ROLE_ID),
    lambda roles: roles.get(role="AI Engineer"),
    lambda roles: roles.create(name="AI Engineer", permissions=["PROJECT_READ"]),
    lambda roles: roles.update(role_id=ROLE_ID, description="New."),
    lambda roles: roles.delete(role_id=ROLE_ID),
    lambda roles: roles.delete(role="AI Engineer"),
]


def assert_presentable(error: RolesError) -> None:
    """Check that an error copies, pickles and prints, with its causes, on short single lines."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    for other in (again, copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
    for message in messages_of(error):
        assert_short_line(message)


def assert_valid(result: object) -> None:
    """Check that a result is what its type says, through and through."""
    if result is None:
        return
    assert isinstance(result, Role | ListRolesResponse), f"a call returned {result!r}"
    again: object = type(result).from_json(result.to_json())
    assert (again, repr(again), hash(again)) == (result, repr(result), hash(result))
    for role in [result] if isinstance(result, Role) else result.roles:
        assert role.id


# What the server answers

PAGE: Final = {"roles": [ROLE, ROLE], "pagination": {"has_more": True, "next_cursor": "abc"}}
JSON: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 1.5, 9**99, "", "A" * 300, "\ud800", "\x1b[31m\x9b2J"),
    *([], [[]], {}, [None], {"name": 5}, [ROLE], ["A", "A"]),
    *("2026-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00"),
)
PROBLEM: Final[dict[str, Any]] = {
    "type": "https://arize.com/docs/ax/rest-reference/errors#access-forbidden",
    "title": "Access forbidden",
    "status": 403,
    "detail": "the plan allows no more",
    "limit": 5,
    "current_count": 5,
    "required_plan": "PRO",
}
STATUSES: Final = (200, 201, 204, 302, 400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504)

NAMES: Final = (
    *(b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Content-Type", b"Date"),
    *(b"Retry-After", b"Connection", b"Set-Cookie", b"Location", b"X-Request-Id", b"Upgrade"),
    *(b"WWW-Authenticate", b"Content-Disposition", b"Link", b"\xff"),
)
VALUES: Final = (
    *(b"0", b"5", b"999", b"-1", b"chunked", b"gzip", b"deflate", b"br", b"zstd", b"close"),
    *(b"keep-alive", b"upgrade", b"a=b; Max-Age=x", b"=;=", b"http://[", b"//", b"text/html"),
    *(b"application/json", b"\xff\xfe", b"a;" * 50, b"x" * 9000, b"a\x00b"),
)


def spoiled(document: dict[str, Any], chance: random.Random) -> bytes:
    """Return a document with a member that is other, or is not there."""
    name = chance.choice(sorted(document))
    other = {**document, name: chance.choice(JSON)}
    kept = {key: other[key] for key in other if key != name or chance.random() < 0.8}
    return json.dumps(kept).encode()


def response(status: int, body: bytes, media_type: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (status, media_type, len(body)) + body


def good(start: str) -> bytes:
    """Return a documented answer to a request."""
    method, target, _ = start.split(" ")
    if method == "DELETE":
        return b"HTTP/1.1 204 No Content\r\n\r\n"
    document: object = ROLE
    if method == "GET" and target.partition("?")[0].endswith("/roles"):
        document = {"roles": [ROLE], "pagination": {"has_more": False}}
    return response(201 if method == "POST" else 200, json.dumps(document).encode())


def mutated(answer: bytes, chance: random.Random) -> bytes:
    """Return an answer as it should not be."""
    at = chance.randrange(len(answer))
    head, _, body = answer.partition(b"\r\n\r\n")
    chunked = head.replace(b"Content-Length:", b"Transfer-Encoding: chunked\r\nX:") + b"\r\n\r\n"
    header = b"\r\n%s: %s\r\n" % (chance.choice(NAMES), chance.choice(VALUES))
    status, role = chance.choice(STATUSES), spoiled(ROLE, chance)
    return chance.choice(
        [
            response(200, role),
            response(200, b'{"roles": [%s], "pagination": {"has_more": false}}' % role),
            response(200, spoiled(PAGE, chance)),
            response(status, spoiled(PROBLEM, chance), b"application/problem+json"),
            response(status, body),
            answer[:at] + chance.randbytes(chance.randrange(1, 9)) + answer[at + 1 :],
            answer[:at] + answer[at + chance.randrange(1, 9) :],
            answer[:at],
            answer + answer,
            *[answer.replace(b"\r\n", header, 1)] * 3,
            answer.replace(b" 20", b" %d" % chance.randrange(10, 100), 1),
            answer.replace(b"/1.1", chance.choice([b"/1.0", b"/2.0", b""]), 1),
            chunked + b"zz\r\n" + body,
            chunked + b"%x\r\n%s\r\n" % (len(body), body),
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x10",
            chance.randbytes(60),
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\nConnection: close\r\n\r\n" + body,
        ]
    )


class Server:
    """Answers in a thread of its own, so that what is left in the loop of the calls is theirs."""

    def __init__(self, chance: random.Random) -> None:
        self.open = 0
        self.held = 0
        """Requests that wait for as many others as there are slots; while `holding`."""
        self.holding = False
        self._chance = chance

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                await self._answer((await read_message(reader)).start, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _answer(self, start: str, writer: asyncio.StreamWriter) -> None:
        answer = good(start)
        if self.holding:
            self.held += 1
            while self.holding and self.held < SLOTS:  # noqa: ASYNC110 - no event is set for it
                await asyncio.sleep(0.001)
        elif self._chance.random() < 0.6:
            answer = mutated(answer, self._chance)
        if not self.holding and self._chance.random() < 0.3:
            cut = self._chance.randrange(len(answer) + 1)
            writer.write(answer[:cut])
            await asyncio.sleep(self._chance.choice([0.0, 0.002, 0.005, 0.5]))
            answer = answer[cut:]
        writer.write(answer)
        await writer.drain()
        if not self.holding and self._chance.random() < 0.1:
            raise ConnectionError


@asynccontextmanager
async def listening(server: Server, context: ssl.SSLContext | None) -> AsyncGenerator[int]:
    """Run a server, and yield its port."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as it:
        yield it.sockets[0].getsockname()[1]


# How it ended


class _Timers:
    """Records the timers that were set in a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set: list[asyncio.TimerHandle] = []
        # One of them uses the other, in asyncio and in uvloop.
        for name in ("call_later", "call_at"):
            setattr(loop, name, self._recorded(getattr(loop, name)))

    def _recorded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            self._set.append(function(*args, **kwargs))
            return self._set[-1]

        return record

    def left(self) -> int:
        """Return how many are still to fire."""
        now = self._loop.time()
        self._set = [each for each in self._set if not each.cancelled() and each.when() > now]
        left = {id(each): repr(each) for each in self._set}
        return sum(UVLOOP_TIMER not in each for each in left.values())


async def remaining(count: Callable[[], int], steps: int = SOON) -> int:
    """Return how many of something are left after steps of the loop, or at once if none are."""
    for _ in range(steps):
        if not count():
            break
        await asyncio.sleep(0.005)
    return count()


@attrs.frozen
class Rounds:
    """Rounds of calls on one kind of loop and over one scheme."""

    faults: Counter[str]
    """Those that were seen, by kind."""
    server: Server
    url: str
    ca_file: Path
    chance: random.Random

    async def run(self, calls: int) -> None:
        """Make calls, a hundred a round."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complain)
        timers = _Timers(loop)
        for _ in range(0, calls, AT_ONCE):
            await self._round(self.chance.choice(["stay", "aclose", "session"]))
            self._count("a task is left", len(asyncio.all_tasks()) - 1)
            self._count("a socket is left", await remaining(lambda: self.server.open))
            self._count("a timer is left", await remaining(timers.left))

    def _count(self, fault: str, number: int = 1) -> None:
        if number:
            self.faults[fault] += number

    def _complain(self, _: object, context: dict[str, Any]) -> None:
        if context["message"] != UVLOOP_COMPLAINT:
            self._count(f"the loop complains: {context['message']}")

    async def _round(self, kind: str) -> None:
        session = aiohttp.ClientSession() if kind == "session" else None
        roles = AiohttpRolesClient(
            "key-1234",
            base_url=self.url,
            ca_file=self.ca_file,
            session=session,
            timeout=Timeouts(total=3.0, connect=2.0, read=0.2),
            retry=RetryPolicy(attempts=2, backoff=0.01),
            max_concurrency=SLOTS,
        )
        asked: set[int] = set()
        tasks = [asyncio.create_task(self._call(roles, asked, n)) for n in range(AT_ONCE)]
        for number in self.chance.sample(range(AT_ONCE), AT_ONCE // 2):
            await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.001, 0.003]))
            if not tasks[number].done():
                asked.add(number)
                tasks[number].cancel()
            if kind != "stay" and self.chance.random() < 0.04:
                break
        if session is not None:
            await session.close()
        elif kind == "aclose":
            await asyncio.gather(roles.aclose(), roles.with_options(timeout=1.0).aclose())
        # Nothing says that a lent session was closed, and a call may wait after a 429 meanwhile.
        steps = SOON if kind == "aclose" else AT_LAST
        late = await remaining(lambda: sum(not task.done() for task in tasks), steps)
        self._count("a call outlives a close, or its own time", late)
        asked.update(range(AT_ONCE))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if kind == "stay":
            await self._probe(roles)
        await roles.aclose()
        await asyncio.sleep(0)

    async def _call(self, roles: AiohttpRolesClient, asked: set[int], number: int) -> None:
        try:
            result = await self.chance.choice(CALLS)(roles)
        except RolesError as error:
            assert_presentable(error)
        except asyncio.CancelledError:
            if number not in asked:
                self._count("a CancelledError for which nobody asked")
        except BaseException as error:  # noqa: BLE001 - these are what it looks for
            self._count(f"{type(error).__name__}: {error}"[:100])
        else:
            assert_valid(result)

    async def _probe(self, roles: AiohttpRolesClient) -> None:
        """Check that as many calls as there are slots are under way at once, and others follow."""
        self.server.held, self.server.holding = 0, True
        # With a key of its own it does not wait after a 429 of the others.
        unlimited = Timeouts(total=None, connect=None, read=None)
        roles = roles.with_options(api_key="key-5678", timeout=unlimited)
        calls = [asyncio.ensure_future(roles.list(limit=1)) for _ in range(3 * SLOTS)]
        await remaining(lambda: sum(not call.done() for call in calls), AT_LAST)
        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        self.server.holding = False
        self._count("a call is stuck", sum(isinstance(end, BaseException) for end in ends))


def reset_of_before(connection: UsedConnection) -> None:
    """Reset a connection as before version 0.3."""
    connection.transport.get_extra_info("socket")
    connection.transport.abort()


def mostly(real: Callable[[Any], object], skipped: int) -> Callable[[Any], object]:
    """Return a method that does nothing each time so many times are over."""
    times = itertools.count(1)
    return lambda self: None if next(times) % skipped == 0 else real(self)


PLANTED: Final[dict[str, AbstractContextManager[object]]] = {
    "an old reset": patch.object(UsedConnection, "reset", reset_of_before),
    "a slot leaks": patch.object(Queue, "exit", mostly(Queue.exit, 50)),
    "a wake-up is lost": patch.object(TimedEvent, "set", mostly(TimedEvent.set, 2)),
}


def new_uvloop() -> asyncio.AbstractEventLoop:
    """Return an event loop of uvloop's to which timers can be recorded."""
    import uvloop

    class Loop(uvloop.Loop):
        """One with a `__dict__`."""

    return Loop()


LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": new_uvloop,
}


def run(calls: int, *, loop: str, tls: bool, seed: int) -> Counter[str]:
    """Make calls and return the faults that were seen, by kind."""
    faults = Counter[str]()
    chance = random.Random(seed)  # noqa: S311 - no secret
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        judging_log_lines(),
        asyncio.Runner(loop_factory=LOOPS[loop]) as runner,
    ):
        warnings.simplefilter("ignore", AlphaWarning)
        authority = Authority(Path(folder))
        server = Server(random.Random(seed + 1))  # noqa: S311 - no secret
        listens = listening(server, authority.right() if tls else None)
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(listens) as port:
            url = f"{'https' if tls else 'http'}://localhost:{port}"
            runner.run(Rounds(faults, server, url, authority.pem, chance).run(calls))
    return faults
