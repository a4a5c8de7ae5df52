"""A server of canned responses, cheap enough that the client is what is measured.

It speaks just the HTTP that the measured clients use: one request at a time on
a connection, bodies with a Content-Length, fixed bytes for an answer. Started
as a process of its own it prints its port and lives until its input closes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import urllib.parse
import urllib.request
from functools import cache
from typing import NamedTuple

PAGE = 100
PERMISSIONS_PER_ROLE = 12

_RESOURCES = ("PROJECT", "DATASET", "PROMPT", "EVALUATOR", "DASHBOARD", "CUSTOM_METRIC")
_ACTIONS = ("CREATE", "READ", "UPDATE", "DELETE")
_PERMISSIONS = tuple(f"{resource}_{action}" for resource in _RESOURCES for action in _ACTIONS)


def role_id(number: int) -> str:
    return base64.b64encode(f"Role:{number}:bnch".encode()).decode()


def role_name(number: int) -> str:
    return f"Benchmark role {number}"


def permissions(number: int) -> list[str]:
    return [
        _PERMISSIONS[(number + offset) % len(_PERMISSIONS)]
        for offset in range(PERMISSIONS_PER_ROLE)
    ]


def role(number: int) -> dict[str, object]:
    return {
        "id": role_id(number),
        "name": role_name(number),
        "description": f"What the people of team {number} may do.",
        "permissions": permissions(number),
        "is_predefined": False,
        "created_at": "2026-03-01T09:30:00.123456Z",
        "updated_at": "2026-03-02T10:45:30.654321Z",
    }


def page_body(page: int, pages: int) -> bytes:
    pagination: dict[str, object] = {"has_more": page + 1 < pages}
    if page + 1 < pages:
        pagination["next_cursor"] = f"p{page + 1}"
    roles = [role(number) for number in range(page * PAGE, (page + 1) * PAGE)]
    return json.dumps({"roles": roles, "pagination": pagination}, separators=(",", ":")).encode()


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@cache
def _role_answer(target: bytes) -> bytes:
    role_id = urllib.parse.unquote(target.rpartition(b"/")[2].decode())
    number = int(base64.b64decode(role_id).split(b":")[1])
    return _answer(json.dumps(role(number), separators=(",", ":")).encode())


class _Pages:
    """The pages of one walk, as whole responses, and how many were asked for."""

    def __init__(self) -> None:
        self._served = 0
        self._answers = [_answer(page_body(0, 1))]

    def reset(self, pages: int) -> int:
        served, self._served = self._served, 0
        self._answers = [_answer(page_body(page, pages)) for page in range(pages)]
        return served

    def answer(self, target: bytes) -> bytes:
        self._served += 1
        _, found, rest = target.partition(b"cursor=p")
        return self._answers[int(rest.partition(b"&")[0]) if found else 0]


class _Connection(asyncio.Protocol):
    def __init__(self, pages: _Pages) -> None:
        self._pages = pages
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, complete, body = self._buffer.partition(b"\r\n\r\n")
        if not complete:
            return
        # Only a PATCH brings a body, and its answer must wait for all of it.
        if head.startswith(b"PATCH"):
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            if len(body) < int(length):
                return
        self._buffer = b""
        assert self._transport is not None
        self._transport.write(self._route(head.split(b" ", 2)[1]))

    def _route(self, target: bytes) -> bytes:
        if target.startswith(b"/v2/roles/"):
            return _role_answer(target)
        if target.startswith(b"/v2/roles"):
            return self._pages.answer(target)
        return _answer(b"%d" % self._pages.reset(int(target.removeprefix(b"/pages/"))))


async def _main() -> None:
    loop = asyncio.get_running_loop()
    pages = _Pages()
    # A thousand callers connect at once; a full backlog would be timed as theirs.
    server = await loop.create_server(lambda: _Connection(pages), "127.0.0.1", 0, backlog=2048)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


class Canned(NamedTuple):
    """The process of such a server, from outside."""

    url: str

    def set_pages(self, pages: int) -> int:
        """Make every walk this long; returns the pages served since the last call."""
        with urllib.request.urlopen(f"{self.url}/pages/{pages}") as response:  # noqa: S310 # loopback
            return int(response.read())


if __name__ == "__main__":
    asyncio.run(_main())
