"""The HTTP server where it is more than the account: its thread, its address, its own answers."""

import asyncio
import contextlib
import gc
import gzip
import io
import logging
import socket
import threading
import urllib.error
import urllib.request

import aiohttp
import pytest

import arize_roles_fake
from arize_roles_async import AiohttpRolesClient, RolesConnectionError
from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake._testing.fault_rules import Breakage
from tests.support.clients import ONCE, ask, serve
from tests.support.event_loop import until
from tests.support.modules import modules_of
from tests.support.raw_http import connection

LIST = b"GET /v2/roles HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer fake-api-key\r\n\r\n"


def test_thread() -> None:
    """A server in a thread ends with its block, and may run again, perhaps at another port."""
    server = RolesServer(host="::1")
    for _ in range(2):
        before = {*threading.enumerate()}
        with server, urllib.request.urlopen(server.url) as answer:  # noqa: S310
            assert answer.status == 200
            assert server.url.startswith("http://[::1]:")
            # A program that forgets to stop it ends all the same.
            assert all(each.daemon for each in {*threading.enumerate()} - before)
        assert {*threading.enumerate()} == before
        with pytest.raises(urllib.error.URLError) as caught:
            urllib.request.urlopen(server.url)  # noqa: S310
        assert isinstance(caught.value.reason, ConnectionRefusedError)


def test_key_not_kept() -> None:
    """No cache of the package keeps the key of a request."""
    ask(FakeAccount(api_key="key-of-a-request"), "GET /v2/roles/Um9sZTowOm5vbmU%3D")
    members = [each for module in modules_of(arize_roles_fake) for each in vars(module).values()]
    kept = str([gc.get_referents(each) for each in members if hasattr(each, "cache_info")])
    assert "Um9sZTowOm5vbmU%3D" in kept
    assert "key-of-a-request" not in kept


def test_late_connection() -> None:
    """A connection that it accepts as it ends is closed, too."""
    with RolesServer() as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        late = socket.create_connection(address, timeout=10)
    with late, contextlib.suppress(ConnectionError):
        assert late.recv(1) == b""


async def test_foreign_host(account: FakeAccount, caplog: pytest.LogCaptureFixture) -> None:
    """A host that is not allowed is refused, on the account's time; no call, nor any log record."""
    caplog.set_level(logging.INFO)
    async with (
        serve(account, allowed_hosts=["one.example"]) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/v2/roles", headers={"Host": "two.example"}) as answer,
    ):
        assert answer.status == 403
        assert answer.headers.getall("Date") == ["Thu, 01 Jan 2026 12:00:00 GMT"]
        assert answer.headers["Connection"] == "close"
        assert answer.headers["X-Request-Id"] == "fake-refused-1"
        problem = await answer.json(content_type=None)
        assert problem["detail"] == "the Host header names another machine"
    assert (len(account.calls), caplog.records) == (0, [])


async def test_long_body(account: FakeAccount) -> None:
    """A body of 256 KiB is read, as it is; a longer one is a problem, and ends the connection."""
    headers = {"Authorization": f"Bearer {account.api_key}", "Content-Type": "application/json"}
    longest = 256 * 1024
    async with serve(account) as url, aiohttp.ClientSession(headers=headers) as session:
        body = io.BytesIO(b" " * longest)
        async with session.post(f"{url}/v2/roles", data=body) as answer:
            assert answer.status == 400
            assert (await answer.json(content_type=None))["detail"].startswith("body: is not")
        zipped, encoding = gzip.compress(b"{}"), {"Content-Encoding": "gzip"}
        async with session.post(f"{url}/v2/roles", data=zipped, headers=encoding) as answer:
            assert (await answer.json(content_type=None))["detail"].startswith("body: is not")
        body = io.BytesIO(b" " * (longest + 1))
        async with session.post(f"{url}/v2/roles", data=body) as answer:
            assert answer.status == 413
            assert answer.content_type == "application/problem+json"
            assert answer.headers["Connection"] == "close"
            assert (await answer.json(content_type=None))["detail"] == "the body is too long"


@pytest.mark.parametrize("failure", ["lost", "truncated"])
async def test_caller_left(failure: Breakage, caplog: pytest.LogCaptureFixture) -> None:
    """A caller that left before its answer broke off disturbs nobody."""
    account = FakeAccount(api_key="fake-api-key")
    account.slow_down(0.02)
    account.fail("list", failure)
    async with serve(account) as url, connection(url) as (_, writer):
        writer.write(LIST)
        await until(lambda: len(account.calls) == 1)
        writer.transport.abort()
    assert caplog.records == []


async def test_truncated() -> None:
    """A truncated answer has the headers of the whole one, and half of its body."""
    account = FakeAccount(api_key="fake-api-key")
    whole = ask(account, "GET /v2/roles").body
    account.fail("list", "truncated", when="after")
    async with serve(account) as url, connection(url) as (reader, writer):
        writer.write(LIST)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(whole) // 2)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {len(whole) + 1}".encode() in head
    assert whole.startswith(body)


async def test_refuse_connections(arize_env: RolesServer) -> None:
    """While it refuses connections nothing happens, also on those that are there already."""
    async with AiohttpRolesClient(retry=ONCE) as roles:
        await roles.list()
        with arize_env.refuse_connections():
            for _ in range(2):
                with pytest.raises(RolesConnectionError):
                    await roles.list()
            with pytest.raises(RolesConnectionError) as caught:
                await roles.create(name="A", permissions=["ROLE_READ"])
        assert not caught.value.sent
        with pytest.raises(ZeroDivisionError), arize_env.refuse_connections():
            raise ZeroDivisionError
        await roles.create(name="A", permissions=["ROLE_READ"])
    arize_env.account.assert_roles({"A": {"ROLE_READ"}})


async def test_ends_soon() -> None:
    """A server that ends waits for a slow answer a second, and not a minute."""
    account = FakeAccount()
    account.slow_down(3600)
    async with asyncio.timeout(20.0), serve(account) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v2/roles HTTP/1.1\r\nHost: test\r\n\r\n")
        await until(lambda: account.calls)
    writer.close()
    await writer.wait_closed()


ESCAPES = b"\\u001b[31m\\u001b]0;title\\u0007\\r\\nline\\u202e\\u2028\\u0000"
MANY = 2**14
BODIES = {
    "objects": b"[" + b"{}," * MANY + b"{}]",
    "unknown fields": b"{" + b",".join(b'"%x":0' % number for number in range(MANY)) + b"}",
    "field of escapes": b'{"' + ESCAPES * 99 + b'":1}',
    "deep lists": b"[" * MANY,
    "long integer": b'{"name":' + b"9" * MANY + b"}",
    "body of megabytes": b"[" * 2**21,
}
POST = LIST.replace(b"GET", b"POST").removesuffix(b"\r\n") + b"Content-Type: application/json\r\n"
BOMB = gzip.compress(b" " * 2**24)
ATTACKS = {
    **{name: POST + b"Content-Length: %d\r\n\r\n" % len(b) + b for name, b in BODIES.items()},
    "bomb": POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    "limit of digits": LIST.replace(b"/roles", b"/roles?limit=" + b"9" * MANY),
    "target without end": b"GET /v2/roles/" + b"9" * MANY,
    "headers without end": LIST.removesuffix(b"\r\n") + b"X-Padding: 1\r\n" * MANY,
    "chunks without end": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n[\r\n" * MANY,
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack(name: str) -> None:
    """Whatever is sent, the answer and the log say something of one line and bounded length."""
    account, answered = FakeAccount(), b""
    account.add_key("fake-api-key")
    async with serve(account) as url:
        # A server that refuses to read on resets the connection, at any of these points.
        with contextlib.suppress(OSError, TimeoutError):
            async with connection(url) as (reader, writer):
                writer.write(ATTACKS[name])
                answered = await asyncio.wait_for(reader.read(2**16), 1.0)
    head, _, body = answered.partition(b"\r\n\r\n")
    said = body.decode() if b"problem+json" in head else ""
    for text in (said, *map(str, account.calls)):
        assert text.isprintable()
        assert len(text) <= 2000
