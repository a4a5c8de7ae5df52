"""The service in a process of its own, which can be killed, frozen and started again.

It journals each request that it carried out before it answers, so that a judge can hold what a
client reported against what happened. After a kill it carries the journaled changes out again, so
that it goes on where it was. The HTTP is the standard library's.

`python -m tests.support.upstream OPTIONS` serves until it is ended; `Upstream` starts that.
"""

import http.client
import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from multidict import CIMultiDict

from arize_roles_async import Request
from arize_roles_fake import FakeAccount
from tests.support.processes import HOST, LONGEST_WAIT, ROOT, Part

KEY: Final = "sk-upstream-7f3c9a1e55"
"""The API key that the service knows: a text that nothing else could contain by chance."""
_HEADERS: Final = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The behaviour of the service.

    Args:
        http: The version of HTTP that it answers with; 1.0 closes after each answer, and gives no
            length.
        delay: Seconds that each request takes.
        hold_every: Each so many-th change is carried out and answered `hold` seconds later; 0 is
            none.
        hold: Seconds.
        cut_every: Each so many-th answer to a method ends in its middle, after the effect.
        lose_every: Each so many-th answer to a method is not sent, after the effect.
        rate: Requests a second above which it answers 429 with `Retry-After`; 0 is no limit.
    """

    http: str = "1.1"
    delay: float = 0.0
    hold_every: int = 0
    hold: float = 0.0
    cut_every: int = 0
    lose_every: int = 0
    rate: float = 0.0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request that the service carried out or refused."""

    at: float
    """Seconds on the machine's monotonic clock, which every process shares."""
    wall: float
    """Seconds since the epoch."""
    method: str
    target: str
    body: str
    retry: str
    """Which of the client's attempts it was: the header `sdk-retry-count`."""
    status: int
    answer: str

    @property
    def is_effect(self) -> bool:
        """True if it changed the account."""
        return self.method != "GET" and 200 <= self.status < 300


def read_journal(path: Path) -> list[Entry]:
    """Return the entries of a journal, without a last line that a kill cut."""
    decoder = msgspec.json.Decoder(Entry)
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return [decoder.decode(line) for line in lines[:-1]]


class Upstream(Part):
    """The service's process; it ends with its block."""

    program = sys.executable
    cwd = ROOT
    ending = signal.SIGKILL

    def __init__(self, directory: Path, behaviour: Behaviour) -> None:
        super().__init__(directory, "upstream")
        self.journal = directory / "journal"
        self._behaviour = behaviour

    def command(self) -> list[str]:
        options = msgspec.json.encode(self._behaviour).decode()
        return ["-m", "tests.support.upstream", str(self.port), str(self.journal), options]

    def freeze(self) -> None:
        """Let no time pass for it; the kernel still takes connections and data in its name."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        self.signal(signal.SIGCONT)

    def entries(self) -> list[Entry]:
        """Return what it has journaled until now."""
        return read_journal(self.journal)

    def add(self, *names: str, description: str = "As it was.", age: float = 0.0) -> list[str]:
        """Make roles, past everything in between, and return their IDs.

        Args:
            names: Theirs.
            description: Theirs.
            age: For how many seconds they have been there already.
        """
        body = {"permissions": ["PROJECT_READ"], "description": description}
        return [self._ask("POST", "/v2/roles", {"name": name, **body}, age)["id"] for name in names]

    def rename(self, role_id: str, name: str) -> None:
        """Rename a role, past everything in between."""
        self._ask("PATCH", f"/v2/roles/{quote(role_id, safe='')}", {"name": name})

    def _ask(self, method: str, path: str, body: object, age: float = 0.0) -> dict[str, str]:
        headers = {**_HEADERS, "X-Age": str(age)}
        connection = http.client.HTTPConnection(HOST, self.port, timeout=LONGEST_WAIT)
        with closing(connection):
            connection.request(method, path, msgspec.json.encode(body), headers)
            answer = connection.getresponse()
            role: dict[str, str] = msgspec.json.decode(answer.read())
        assert answer.status < 300, role
        return role


class _Service:
    """The account with its journal: one request at a time, and the journal in their order."""

    def __init__(self, journal: Path, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._lock = threading.Lock()
        self._changes = itertools.count(1)
        # By method, so that each has its share of what is lost, in whatever order they come.
        self._answers: Counter[str] = Counter()
        past = read_journal(journal)
        # The same moments as then, so that roles keep when they were made.
        self._now = past[0].wall if past else time.time()
        self._account = FakeAccount(clock=self._clock)
        self._account.add_key(KEY)
        for entry in past:
            if entry.is_effect:
                self._now = entry.wall
                request = Request(
                    method=entry.method,
                    target=entry.target,
                    body=entry.body.encode() or None,
                    headers=_HEADERS,
                )
                again = self._account.handle(request)
                assert again.body.decode() == entry.answer, "the past came out otherwise"
        self._now = 0.0
        self._is_limited = False
        self._file = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        # A kill may have cut the last line, and the next entry must not become a part of it.
        os.truncate(self._file, journal.read_bytes().rfind(b"\n") + 1)

    def _clock(self) -> datetime:
        return datetime.fromtimestamp(self._now or time.time(), UTC)

    def carry_out(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        with self._lock:
            self._now = wall = time.time() - float(request.headers.get("X-Age", "0"))
            if self.behaviour.rate and not self._is_limited and _is_client(request.headers):
                self._account.limit_rate(self.behaviour.rate, burst=2)
                self._is_limited = True
            reply = self._account.handle(request)
            entry = Entry(
                at=time.monotonic(),
                wall=wall,
                method=request.method,
                target=request.target,
                body=(request.body or b"").decode(),
                retry=request.headers.get("sdk-retry-count", "0"),
                status=reply.status,
                answer=reply.body.decode(),
            )
            os.write(self._file, msgspec.json.encode(entry) + b"\n")
        return reply.status, reply.headers, reply.body

    def is_held(self, method: str) -> bool:
        every = self.behaviour.hold_every
        return bool(every) and method != "GET" and next(self._changes) % every == 0

    def fate(self, method: str, headers: Mapping[str, str]) -> str:
        """Return what becomes of an answer."""
        if "X-Lose" in headers:  # A proxy in front asks for it.
            return "lost"
        if not _is_client(headers):
            return "sent"
        with self._lock:
            self._answers[method] += 1
            number = self._answers[method]
        if self.behaviour.lose_every and number % self.behaviour.lose_every == 0:
            return "lost"
        if self.behaviour.cut_every and number % self.behaviour.cut_every == 0:
            return "cut"
        return "sent"


def _is_client(headers: Mapping[str, str]) -> bool:
    """Return True for a request of the client; only this one meets the service's faults."""
    return "sdk-language" in headers


class _Handler(BaseHTTPRequestHandler):
    service: _Service
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _carry_out(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        headers = CIMultiDict(self.headers.items())
        if _is_client(headers):
            time.sleep(self.service.behaviour.delay)
        status, more, answer = self.service.carry_out(
            Request(method=self.command, target=self.path, body=body or None, headers=headers)
        )
        if _is_client(headers) and self.service.is_held(self.command):
            time.sleep(self.service.behaviour.hold)
        fate = self.service.fate(self.command, headers)
        self.close_connection |= fate != "sent" or self.protocol_version == "HTTP/1.0"
        if fate != "lost":
            self._answer(status, more, answer, cut=fate == "cut")

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, *, cut: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.protocol_version == "HTTP/1.1" and status != 204:
            self.send_header("Content-Length", str(len(body)))
        if not (cut and not body):
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = _carry_out  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing; the journal holds it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Print what is wrong here, and nothing where a client went."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _serve(port: str, journal: str, options: str) -> None:
    behaviour = msgspec.json.decode(options, type=Behaviour)
    service, version = _Service(Path(journal), behaviour), f"HTTP/{behaviour.http}"
    handler = type("Handler", (_Handler,), {"service": service, "protocol_version": version})
    with _Server((HOST, int(port)), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
