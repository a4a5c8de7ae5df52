"""The HTTP server where it is more than the account: its thread, its address, its own answers."""

import asyncio
import io
import logging
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator

import aiohttp
import pytest

from arize_roles_async import AiohttpRolesClient
from arize_roles_fake import FakeAccount, RolesServer, serve
from arize_roles_fake._server.server import Listener
from tests.support.attacks import SERVER_ATTACKS, Attack, assault
from tests.support.clients import account_at_noon
from tests.support.event_loop import skipping_loop, until
from tests.support.messages import assert_short_line


def test_thread() -> None:
    """A server in a thread ends with its block."""
    with RolesServer() as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert (server.api_key, len(server.account.roles)) == (server.account.api_key, 7)
        # A program that forgets to stop it ends all the same.
        assert ("arize-roles-server", True) in {
            (thread.name, thread.daemon) for thread in threading.enumerate()
        }
    assert "arize-roles-server" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(server.url)  # noqa: S310


def test_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block is not left before the server has closed, however long that takes."""
    close, closed = Listener.close, list[bool]()

    async def close_late(self: Listener) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        await close(self)
        closed.append(True)

    monkeypatch.setattr(Listener, "close", close_late)
    with RolesServer():
        assert not closed

    assert closed


def test_cannot_listen() -> None:
    """A server that cannot listen raises when its block is entered."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = RolesServer(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"), server:
            pass


@pytest.mark.asyncio
async def test_no_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """Requests are in the account's log alone, not in that of the program."""
    caplog.set_level(logging.INFO)
    account = FakeAccount()
    async with (
        serve(account) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/v2/roles") as answer,
    ):
        assert answer.status == 401
    assert len(account.calls) == 1
    assert caplog.records == []


@pytest.mark.asyncio
async def test_ipv6() -> None:
    """A server on an IPv6 address has it in brackets."""
    async with serve(FakeAccount(), host="::1") as url, aiohttp.ClientSession() as session:
        assert url.startswith("http://[::1]:")
        async with session.get(f"{url}/v2/roles") as answer:
            assert answer.status == 401


@pytest.mark.asyncio
@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])  # noqa: S104
async def test_every_address(host: str, shown: str) -> None:
    """A server on every address has the URL at which this machine reaches it."""
    account = FakeAccount()
    async with (
        serve(account, host=host) as url,
        AiohttpRolesClient(account.api_key, base_url=url) as roles,
    ):
        assert url.startswith(f"http://{shown}:")
        assert len((await roles.list()).roles) == 7


@pytest.mark.asyncio
async def test_foreign_host() -> None:
    """A host that is not allowed is refused, on the account's time, and is no call."""
    account = account_at_noon()
    async with (
        serve(account, allowed_hosts=["one.example"]) as url,
        aiohttp.ClientSession() as session,
    ):
        for host, status in (("one.example:1", 401), ("[::1]", 401), ("two.example", 403)):
            async with session.get(f"{url}/v2/roles", headers={"Host": host}) as answer:
                assert answer.status == status
                assert answer.headers.getall("Date") == ["Thu, 01 Jan 2026 12:00:00 GMT"]
                problem = await answer.json(content_type=None)
    assert answer.headers["Connection"] == "close"
    assert problem["detail"] == "the Host header names another machine"
    assert len(account.calls) == 2


@pytest.mark.asyncio
async def test_longest_body() -> None:
    """A body of 256 KiB is read."""
    account = FakeAccount()
    headers = {"Authorization": f"Bearer {account.api_key}", "Content-Type": "application/json"}
    body = io.BytesIO(b" " * (256 * 1024))
    async with (
        serve(account) as url,
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v2/roles", data=body) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json(content_type=None))["detail"].startswith("body: is not")


@pytest.mark.asyncio
async def test_long_body() -> None:
    """A body that is too long is a problem, and ends the connection."""
    async with serve(FakeAccount()) as url, aiohttp.ClientSession() as session:
        body = io.BytesIO(b" " * (256 * 1024 + 1))
        async with session.post(f"{url}/v2/roles", data=body) as answer:
            assert answer.status == 413
            assert answer.content_type == "application/problem+json"
            assert answer.headers["Connection"] == "close"
            assert (await answer.json(content_type=None))["detail"] == "the body is too long"


@pytest.mark.asyncio
async def test_caller_left(caplog: pytest.LogCaptureFixture) -> None:
    """A caller that left before its answer was lost disturbs nobody."""
    account = FakeAccount()
    account.slow_down(0.02)
    account.fail("list", "lost")
    async with serve(account) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /v2/roles HTTP/1.1\r\nHost: test\r\n"
            b"Authorization: Bearer " + account.api_key.encode() + b"\r\n\r\n"
        )
        while not account.calls:  # noqa: ASYNC110 - an account has no event for a call
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v2/roles") as answer:
            assert answer.status == 401
    assert [call.outcome for call in account.calls] == ["lost", 401]
    assert caplog.records == []


def test_ends_soon() -> None:
    """A server that ends waits for a slow answer a second, and not a minute."""

    async def end() -> float:
        account = FakeAccount()
        account.slow_down(3600)
        loop = asyncio.get_running_loop()
        async with serve(account) as url:
            host, port = url.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /v2/roles HTTP/1.1\r\nHost: test\r\n\r\n")
            await until(lambda: account.calls)
            before = loop.time()
        writer.close()
        await writer.wait_closed()
        return loop.time() - before

    with asyncio.Runner(loop_factory=skipping_loop) as runner:
        assert runner.run(end()) < 30


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/projects", 404),
        ("POST", "/", 404),
        ("PUT", "/v2/roles", 405),
        ("POST", "/v2/roles/abc", 405),
    ],
)
@pytest.mark.asyncio
async def test_no_operation(method: str, path: str, status: int) -> None:
    """A request that is not an operation is answered with a problem document."""
    account = FakeAccount()
    async with serve(account) as url, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {account.api_key}"}
        async with session.request(method, f"{url}{path}", headers=headers) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
            assert (await answer.json())["status"] == status


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", SERVER_ATTACKS, ids=str)
async def test_attack(attack: Attack) -> None:
    """Whatever is sent, the answer and the log say something of one line and bounded length."""
    account = FakeAccount()
    account.add_key("fake-api-key")
    async with serve(account) as url:
        answered = await assault(url, attack, attack.small)
    head, _, body = answered.partition(b"\r\n\r\n")
    said = body.decode() if b"problem+json" in head else ""
    for text in (said, *map(str, account.calls)):
        assert_short_line(text)


@pytest.mark.asyncio
async def test_slow_body() -> None:
    """A body whose pieces each come in time is read to its end."""
    account = FakeAccount()

    async def pieces() -> AsyncGenerator[bytes]:
        for piece in (b'{"name": "A",', b' "permissions"', b': ["ROLE_READ"]', b"}"):
            yield piece
            await asyncio.sleep(0)

    headers = {"Authorization": f"Bearer {account.api_key}", "Content-Type": "application/json"}
    async with (
        serve(account) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v2/roles", data=pieces(), headers=headers) as answer,
    ):
        assert answer.status == 201
    account.assert_roles({"A": {"ROLE_READ"}})


@pytest.mark.asyncio
async def test_caller_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """A caller that leaves before the part of a broken answer is no error of the server's."""
    account = FakeAccount()
    account.fail("list", "truncated")
    account.slow_down(0.1)
    async with serve(account) as url:
        port = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        authorization = f"Authorization: Bearer {account.api_key}"
        writer.write(f"GET /v2/roles HTTP/1.1\r\nHost: x\r\n{authorization}\r\n\r\n".encode())
        await until(lambda: account.calls_in_all == 1)
        writer.transport.abort()
    assert [record.getMessage() for record in caplog.records] == []
