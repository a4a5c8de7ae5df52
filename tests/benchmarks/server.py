"""The service that clients are measured with: cheap, or with latency and a rate limit.

It knows just the HTTP that the measured clients use: one request at a time on a connection, bodies
with a Content-Length.
"""

import asyncio
import base64
import json
import urllib.parse
from typing import Any

from tests.benchmarks.records import role
from tests.support.rate_limit import Bucket


class Service:
    """Roles behind a rate limit; counts requests and late answers of 429."""

    def __init__(self) -> None:
        self.set_up()

    def set_up(
        self,
        *,
        roles: int = 0,
        limiter: Bucket | None = None,
        latency: float = 0.0,
        first: int = 40,
    ) -> None:
        """Begin anew, with so many roles.

        Answers take `latency` seconds. Without a limiter, every request is granted. Refusals of
        the `first` requests, which nobody can avoid, are not late.
        """
        self._requests = 0
        self.refused_late = 0
        self._limiter, self._latency, self._first = limiter, latency, first
        self._answers: dict[str, bytes] = {}
        self._roles = [role(number) for number in range(roles)]

    def receive(
        self, method: str, target: str, body: bytes, transport: asyncio.WriteTransport
    ) -> None:
        loop = asyncio.get_running_loop()
        if not (half := self._latency / 2):
            transport.write(self.answer(method, target, body, 0.0))
            return

        def answer() -> None:
            loop.call_later(half, transport.write, self.answer(method, target, body, loop.time()))

        loop.call_later(half, answer)

    def answer(self, method: str, target: str, body: bytes, now: float) -> bytes:
        self._requests += 1
        wait = self._limiter.take(now) if self._limiter else None
        if wait is not None:
            self.refused_late += self._requests > self._first
            problem = {"title": "Reason", "status": 429}
            return _json(429, problem, f"Retry-After: {wait}\r\n")
        if method != "GET":
            self._answers.clear()
            return self._route(method, target, body)
        if target not in self._answers:
            self._answers[target] = self._route(method, target, body)
        return self._answers[target]

    def _route(self, method: str, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        if method == "POST":
            self._roles.append(role(len(self._roles)) | json.loads(body))
            return _json(201, self._roles[-1])
        role_id = urllib.parse.unquote(path.removeprefix("/v2/roles")[1:])
        if not role_id:
            return _page(self._roles, query)
        return _json(200, self._roles[int(base64.b64decode(role_id).split(b":")[1])])


def _page(roles: list[dict[str, object]], query: str) -> bytes:
    asked = dict(urllib.parse.parse_qsl(query))
    begin = int(asked.get("cursor", 0))
    end = begin + int(asked.get("limit", 50))
    pagination: dict[str, object] = {"has_more": end < len(roles)}
    if end < len(roles):
        pagination["next_cursor"] = str(end)
    return _json(200, {"roles": roles[begin:end], "pagination": pagination})


def _json(status: int, data: object, headers: str = "") -> bytes:
    body = json.dumps(data, separators=(",", ":")).encode()
    headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status} Reason\r\n{headers}\r\n".encode() + body


class Connection(asyncio.Protocol):
    """A client's connection to a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, complete, body = self._buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if complete and len(body) >= int(length or b"0"):
            self._buffer = b""
            method, target, _ = head.decode("latin-1").split(" ", 2)
            self._service.receive(method, target, body, self._transport)
