"""A service of canned answers with latency and a rate limit, as users have them.

Started as a process of its own it prints its port and lives until its input closes. `POST /limit`
with a JSON object sets it up anew; `GET /counts` answers with what was asked since.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from typing import Any

from tests.benchmarks.server import role_id

FIRST = 40
"""The requests that go out before a limit can be known; their refusals are counted apart."""


class Service:
    """A token bucket in front of a thousand creates."""

    def __init__(self) -> None:
        self.set_up({})

    def set_up(self, options: dict[str, Any]) -> None:
        self.rate = float(options.get("rate", math.inf))
        self.burst = int(options.get("burst", 1))
        self.retry_after = options.get("retry_after")
        self.latency = float(options.get("latency", 0.04))
        self.halve_after = options.get("halve_after")
        self.tokens, self.filled_at = float(self.burst), asyncio.get_running_loop().time()
        self.requests = self.refused = self.refused_late = 0
        self.order: list[str] = []

    def answer(self, body: bytes) -> bytes:
        """Return the answer to one create."""
        self.requests += 1
        now = asyncio.get_running_loop().time()
        if self.rate < math.inf:
            self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
            self.filled_at = now
            if self.tokens < 1.0:
                self.refused += 1
                self.refused_late += self.requests > FIRST
                wait = self.retry_after or max(1, math.ceil((1.0 - self.tokens) / self.rate))
                problem = {"title": "Rate limit exceeded", "status": 429}
                return _http(
                    "429 Too Many Requests",
                    json.dumps(problem).encode(),
                    f"Content-Type: application/problem+json\r\nRetry-After: {wait}\r\n",
                )
            self.tokens -= 1.0
        role = json.loads(body)
        self.order.append(role["name"])
        if len(self.order) == self.halve_after:
            self.rate /= 2
        role |= {
            "id": role_id(len(self.order)),
            "is_predefined": False,
            "created_at": "2026-03-01T09:30:00Z",
            "updated_at": "2026-03-01T09:30:00Z",
        }
        return _http("201 Created", json.dumps(role).encode())

    def counts(self) -> bytes:
        names = ("requests", "refused", "refused_late", "order")
        return _http("200 OK", json.dumps({name: getattr(self, name) for name in names}).encode())


def _http(status: str, body: bytes, headers: str = "Content-Type: application/json\r\n") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def main() -> None:
    service = Service()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or b"0"))
                target = head.split(b" ", 2)[1]
                if target == b"/limit":
                    service.set_up(json.loads(body))
                    answer = _http("200 OK", b"{}")
                elif target == b"/counts":
                    answer = service.counts()
                else:
                    await asyncio.sleep(service.latency / 2)
                    answer = service.answer(body)
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
