"""The service that clients are measured with: cheap, or with latency and a rate limit.

It knows just the HTTP that the measured clients use: one request at a time on a connection, bodies
with a Content-Length.
"""

import asyncio
import base64
import bisect
import json
import math
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final

from tests.benchmarks.records import binding, role
from tests.support.rate_limit import Bucket, Limit

TURN: Final = 20.0
"""Seconds of each rate of a service that has several by turns."""


class Service:
    """Roles and role bindings behind a token bucket; counts requests and late answers of 429."""

    def __init__(self) -> None:
        self.set_up()

    def set_up(
        self,
        *,
        latency: float = 0.0,
        roles: int = 0,
        rate: float = math.inf,
        burst: int = 1,
        retry_after: int | None = None,
        halve_after: int | None = None,
        turns: Sequence[float] = (),
        first: int = 40,
    ) -> None:
        """Begin anew, with so many roles and, up to 1,000, role bindings.

        Answers take `latency` seconds. The bucket holds `burst` tokens, gets `rate` a second, and
        half as many after `halve_after` grants; `turns` are rates that last `TURN` seconds each.
        `Retry-After` is the time until there is a token, if `retry_after` is None. Refusals of the
        `first` requests, which nobody can avoid, are not late.
        """
        self._requests = 0
        self.refused_late = 0
        self._latency, self._first = latency, first
        limit = Limit(rate, burst, retry_after, halfway=0.5 if halve_after else 1.0)
        self._bucket = Bucket(limit, half=halve_after or 0)
        self._turns, self._begun_at = turns, math.nan
        self._answers: dict[str, bytes] = {}
        self._next = roles
        self._records = {
            "roles": {number: role(number) for number in range(roles)},
            "role-bindings": {number: binding(number) for number in range(min(roles, 1000))},
        }

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
        if (wait := self._take_token(now)) is not None:
            self.refused_late += self._requests > self._first
            return _problem(429, wait)
        if method != "GET":
            self._answers.clear()
            return self._route(method, target, body)
        if target not in self._answers:
            self._answers[target] = self._route(method, target, body)
        return self._answers[target]

    def _take_token(self, now: float) -> float | None:
        """Take a token, or return what `Retry-After` says where there is none."""
        limit = self._bucket.limit
        if limit.rate == math.inf:
            return None
        if self._turns:
            if math.isnan(self._begun_at):
                self._begun_at = now
            turn = int((now - self._begun_at) // TURN)
            self._bucket.limit = limit._replace(rate=self._turns[turn % len(self._turns)])
        return self._bucket.take(now)

    def _route(self, method: str, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        _, _, collection, *segments = path.split("/")
        records = self._records[collection]
        if method == "POST":
            number, self._next = self._next, self._next + 1
            records[number] = role(number) | json.loads(body)
            return _json(201, records[number])
        if not segments:
            return _page(collection.replace("-", "_"), records, query)
        number = int(base64.b64decode(urllib.parse.unquote(segments[0])).split(b":")[1])
        return _json(200, records[number])


def _page(field: str, records: dict[int, dict[str, object]], query: str) -> bytes:
    asked = dict(urllib.parse.parse_qsl(query))
    numbers = list(records)
    begin = bisect.bisect_left(numbers, int(asked.get("cursor", 0)))
    end = begin + int(asked.get("limit", 50))
    shown = [records[number] for number in numbers[begin:end]]
    pagination: dict[str, object] = {"has_more": end < len(numbers)}
    if end < len(numbers):
        pagination["next_cursor"] = str(numbers[end])
    return _json(200, {field: shown, "pagination": pagination})


def _http(status: int, body: bytes, headers: str) -> bytes:
    head = f"HTTP/1.1 {status} Reason\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _json(status: int, data: object) -> bytes:
    body = json.dumps(data, separators=(",", ":")).encode()
    return _http(status, body, "Content-Type: application/json\r\n")


def _problem(status: int, retry_after: float | None = None) -> bytes:
    headers = "Content-Type: application/problem+json\r\n"
    if retry_after is not None:
        headers += f"Retry-After: {retry_after}\r\n"
    return _http(status, json.dumps({"title": "Reason", "status": status}).encode(), headers)


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
