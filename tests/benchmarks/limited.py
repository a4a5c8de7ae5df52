"""A service with latency and a rate limit, as users have them, which counts what it is asked.

It keeps roles, and knows just the HTTP that the measured clients use. Started as a process of its
own it prints its port and lives until its input closes. `POST /set-up` with a JSON object makes it
anew; `GET /counts` returns its counts since then.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import sys
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

from tests.benchmarks.server import role, role_id

FIRST = 40
"""The requests that go out before a limit can be known; their refusals are counted apart."""


class Service:
    """Roles behind a token bucket."""

    def __init__(self, now: float, options: dict[str, Any]) -> None:
        """Make a service; `options` are the arguments of `Limited.set_up`."""
        self.latency = float(options.get("latency", 0.04))
        self._rate = float(options.get("rate") or math.inf)
        self._burst = float(options.get("burst") or 1)
        self._retry_after: int | None = options.get("retry_after")
        self._halve_after: int | None = options.get("halve_after")
        self._first = int(options.get("first", FIRST))
        self._failing: set[str] = set(options.get("failing", ()))
        self._roles = {number: role(number) for number in range(options.get("roles", 0))}
        self._next = len(self._roles)
        self._tokens, self._filled_at = self._burst, now
        self._granted = self._refused = self._refused_late = 0
        self._targets: list[str] = []

    def counts(self) -> dict[str, Any]:
        return {
            "requests": len(self._targets),
            "refused": self._refused,
            "refused_late": self._refused_late,
            "targets": self._targets,
        }

    def answer(self, method: str, target: str, body: bytes, now: float) -> bytes:
        self._targets.append(target)
        if (wait := self._take_token(now)) is not None:
            self._refused += 1
            self._refused_late += len(self._targets) > self._first
            return _problem(429, "Too Many Requests", wait)
        if target in self._failing:
            self._failing.remove(target)
            return _problem(503, "Service Unavailable", 0)
        self._granted += 1
        if self._granted == self._halve_after:
            self._rate /= 2
        return self._route(method, target, body)

    def _take_token(self, now: float) -> int | None:
        """Take a token, or return what `Retry-After` says where there is none."""
        if self._rate == math.inf:
            return None
        refill = (now - self._filled_at) * self._rate
        self._tokens, self._filled_at = min(self._burst, self._tokens + refill), now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return None
        return self._retry_after or max(1, math.ceil((1.0 - self._tokens) / self._rate))

    def _route(self, method: str, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        if path == "/v2/roles":
            return self._page(query) if method == "GET" else self._create(json.loads(body))
        decoded = base64.b64decode(urllib.parse.unquote(path.rpartition("/")[2]))
        number = int(decoded.split(b":")[1])
        if number not in self._roles:
            return _problem(404, "Not Found")
        if method == "DELETE":
            del self._roles[number]
            return http("204 No Content", b"")
        if method == "PATCH":
            self._roles[number] |= json.loads(body)
        return _json("200 OK", self._roles[number])

    def _create(self, fields: dict[str, object]) -> bytes:
        number, self._next = self._next, self._next + 1
        created = role(number)
        del created["description"]
        self._roles[number] = created | fields
        return _json("201 Created", self._roles[number])

    def _page(self, query: str) -> bytes:
        asked = urllib.parse.parse_qs(query)
        begin, limit = int(asked.get("cursor", ["0"])[0]), int(asked.get("limit", ["50"])[0])
        numbers = [number for number in self._roles if number >= begin]
        pagination: dict[str, object] = {"has_more": len(numbers) > limit}
        if len(numbers) > limit:
            pagination["next_cursor"] = str(numbers[limit])
        roles = [self._roles[number] for number in numbers[:limit]]
        return _json("200 OK", {"roles": roles, "pagination": pagination})


def http(status: str, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _json(status: str, data: object) -> bytes:
    return http(status, json.dumps(data).encode(), "Content-Type: application/json\r\n")


def _problem(status: int, title: str, retry_after: int | None = None) -> bytes:
    headers = "Content-Type: application/problem+json\r\n"
    if retry_after is not None:
        headers += f"Retry-After: {retry_after}\r\n"
    body = json.dumps({"title": title, "status": status}).encode()
    return http(f"{status} {title}", body, headers)


class Limited(NamedTuple):
    """The process of such a service, from outside."""

    url: str

    def set_up(self, **options: object) -> None:
        """Have a new service there.

        Args:
            **options: `latency` in seconds, `roles` that are there, `failing` targets that are
                answered with 503 once; and of the limit `rate`, `burst`, `retry_after` and
                `halve_after`, as `Job` has them; `first`, the requests whose refusals are counted
                apart.
        """
        _ask(f"{self.url}/set-up", json.dumps(options).encode())

    def counts(self) -> Any:  # noqa: ANN401 - JSON
        """Return the `requests`, and `refused` of them, `refused_late`, and all `targets`."""
        return _ask(f"{self.url}/counts")


def _ask(url: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(url, body) as response:  # noqa: S310 - loopback
        return json.loads(response.read())


def target_of(number: int) -> str:
    """Return the target of the requests for a role."""
    return f"/v2/roles/{urllib.parse.quote(role_id(number), safe='')}"


async def main() -> None:
    loop = asyncio.get_running_loop()
    service = Service(loop.time(), {})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal service
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or b"0"))
                method, target, _ = head.decode("latin-1").split(" ", 2)
                if target == "/set-up":
                    service = Service(loop.time(), json.loads(body))
                    answer = http("200 OK", b"{}")
                elif target == "/counts":
                    answer = http("200 OK", json.dumps(service.counts()).encode())
                else:
                    await asyncio.sleep(service.latency / 2)
                    answer = service.answer(method, target, body, loop.time())
                    await asyncio.sleep(service.latency / 2)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
