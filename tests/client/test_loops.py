"""A client serves one event loop at a time, and the next one once that was closed."""

import asyncio
import contextvars
import functools
import gc
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import trio
from asgiref.sync import async_to_sync

from arize_roles_async import AiohttpRolesClient, ClientStateError, RolesClient
from arize_roles_fake import FakeRolesClient
from tests.support.tls import Authority

BODY: Final = b'{"roles": [], "pagination": {"has_more": false}}'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that reset its connection."""


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Generator[str]:
    """Serve empty pages from a thread, so that they are there for one event loop after another."""
    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            scheme = "http" if context is None else "https"
            yield f"{scheme}://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def _no_warning(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hold that nothing is left to the garbage collector that it, or a log, complains about.

    But for the sockets of a loop that was closed by hand, which only the collector closes.
    """
    closed_by_hand.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        for _ in range(2):
            gc.collect()
    left = [str(each.message) for each in caught if each.category is ResourceWarning]
    if closed_by_hand:
        left = [each for each in left if not each.startswith(("unclosed <socket", "unclosed tr"))]
    assert left == []
    # At this point, `caplog.records` holds only what was logged after the test.
    records = [*caplog.get_records("call"), *caplog.records]
    assert [record for record in records if record.levelno >= logging.WARNING] == []


Run = Callable[[Callable[[], Any]], Any]


def by_asyncio_run(call: Callable[[], Any]) -> None:
    asyncio.run(call())


def by_async_to_sync(call: Callable[[], Any]) -> None:
    async_to_sync(call)()


closed_by_hand: list[asyncio.AbstractEventLoop] = []


def by_bare_loop(call: Callable[[], Any]) -> None:
    """Close a loop as nobody should, without the end that `asyncio.run` gives it."""
    loop = asyncio.new_event_loop()
    closed_by_hand.append(loop)
    loop.run_until_complete(call())
    loop.close()


EACH_RUN = pytest.mark.parametrize("run", [by_asyncio_run, by_async_to_sync, by_bare_loop])


async def use(roles: RolesClient) -> None:
    assert len(await roles.list(is_predefined=False)) == 0


def use_in_trio(roles: RolesClient) -> None:
    trio.run(use, roles)


def use_in_asyncio(roles: RolesClient) -> None:
    asyncio.run(use(roles))


@pytest.mark.usefixtures("_no_warning")
class TestOneAfterAnother:
    @EACH_RUN
    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
    def test_client(self, run: Run, tmp_path: Path, *, tls: bool) -> None:
        """A client opens anew in each loop, and leaves nothing behind."""
        authority = Authority(tmp_path)
        with served(authority.right() if tls else None) as url:
            roles = AiohttpRolesClient("key", base_url=url, ca_file=authority.pem)
            for _ in range(3):
                run(functools.partial(use, roles))
            asyncio.run(roles.aclose())

    @EACH_RUN
    def test_fake(self, run: Run) -> None:
        """So does the fake."""
        roles = FakeRolesClient()
        for _ in range(3):
            run(functools.partial(use, roles))

    def test_trio(self) -> None:
        """One run of trio after another is the same, and asyncio after trio."""
        roles = FakeRolesClient()
        trio.run(use, roles)
        trio.run(use, roles)
        asyncio.run(use(roles))
        trio.run(use, roles)

    @EACH_RUN
    def test_never_closed(self, run: Run) -> None:
        """A client that nobody closes is closed with its loop."""
        with served() as url:
            roles = AiohttpRolesClient("key", base_url=url)
            run(functools.partial(use, roles))
            if run is by_bare_loop:
                # Only the next loop can see that the last one was closed without an end.
                asyncio.run(roles.aclose())
            del roles

    @pytest.mark.parametrize("tls", [False, True])
    def test_generator(self, tmp_path: Path, *, tls: bool) -> None:
        """A client that an asynchronous generator holds at the end of a loop is closed once."""
        authority = Authority(tmp_path)

        async def sizes(url: str) -> AsyncGenerator[int]:
            async with AiohttpRolesClient("key", base_url=url, ca_file=authority.pem) as roles:
                while True:
                    yield len(await roles.list())

        async def leave(sizes: AsyncGenerator[int]) -> None:
            assert await anext(sizes) == 0

        with served(authority.right() if tls else None) as url:
            held = sizes(url)
            asyncio.run(leave(held))

    def test_closed_twice(self) -> None:
        """After its loop was closed without an end, a client may be closed more than once."""
        with served() as url:
            roles = AiohttpRolesClient("key", base_url=url)
            by_bare_loop(functools.partial(use, roles))
            asyncio.run(roles.aclose())
            asyncio.run(roles.aclose())

    def test_no_collection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client leaves it to Python when to collect garbage: a closed loop's can crash 3.11."""
        collected: list[str] = []
        with served() as url:
            roles = AiohttpRolesClient("key", base_url=url)
            by_bare_loop(functools.partial(use, roles))
            monkeypatch.setattr(gc, "collect", lambda: collected.append("by the client"))
            asyncio.run(use(roles))
            asyncio.run(roles.aclose())
            monkeypatch.undo()
        assert collected == []

    def test_filters(self) -> None:
        """Which warnings the application sees stays as it was."""
        with served() as url:
            roles = AiohttpRolesClient("key", base_url=url)
            by_bare_loop(functools.partial(use, roles))
            before = [*warnings.filters]
            asyncio.run(roles.aclose())
            assert [*warnings.filters] == before

    def test_calls_at_end(self) -> None:
        """Calls in the queue of a loop that ends do not delay those of the next loop."""

        async def leave(roles: RolesClient) -> None:
            calls = [asyncio.create_task(use(roles)) for _ in range(10)]
            await asyncio.sleep(0)
            assert not calls[0].done()

        with served() as url:
            roles = AiohttpRolesClient("key", base_url=url, max_concurrency=1)
            asyncio.run(leave(roles))
            asyncio.run(use(roles))


def test_calls_by_hand() -> None:
    """Loops that were closed by hand, with calls under way, leave the client to the next loop."""
    code = """
import asyncio, socket
from arize_roles_async import AiohttpRolesClient

with socket.create_server(("127.0.0.1", 0)) as silent:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    roles = AiohttpRolesClient("key", base_url=url, max_concurrency=5)
    for _ in range(10):
        loop = asyncio.new_event_loop()
        calls = [loop.create_task(roles.get(role="Role")) for _ in range(10)]
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        del loop, calls
print("done")
"""
    done = subprocess.run(  # noqa: S603 - the code is above
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("done\n", 0)


@pytest.mark.asyncio
async def test_other_context() -> None:
    """A call may end in another context, as one does whose loop was closed by hand."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with AiohttpRolesClient("key", base_url=url) as roles:
            call = roles.list().all()
            contextvars.copy_context().run(call.send, None)
            call.close()


def test_module_level() -> None:
    """A client of a module's is used by run after run, until the process ends, without a word."""
    with served() as url:
        code = f"""
import asyncio
from arize_roles_async import AiohttpRolesClient
roles = AiohttpRolesClient("key", base_url={url!r})
async def main():
    print(len(await roles.list()))
asyncio.run(main())
asyncio.run(main())
"""
        done = subprocess.run(  # noqa: S603 - the code is above
            [sys.executable, "-X", "dev", "-W", "default", "-c", code],
            check=False,
            capture_output=True,
            text=True,
        )
    assert (done.stdout, done.returncode) == ("0\n0\n", 0)
    assert "Unclosed" not in done.stderr
    assert "ResourceWarning" not in done.stderr


class TestTwoAtOnce:
    @pytest.mark.parametrize("runner", [asyncio.run, None], ids=["use", "close"])
    @pytest.mark.parametrize("fake", [False, True], ids=["client", "fake"])
    def test_asyncio(self, runner: object, *, fake: bool) -> None:
        """Two loops that are open at once cannot share a client, nor can one close it."""

        async def main(url: str) -> None:
            roles: RolesClient = (
                FakeRolesClient() if fake else AiohttpRolesClient("key", base_url=url)
            )
            await use(roles)
            await asyncio.to_thread(in_another_loop, roles)
            await use(roles)
            await roles.aclose()

        def in_another_loop(roles: RolesClient) -> None:
            with pytest.raises(ClientStateError, match="another event loop"):
                asyncio.run(use(roles) if runner else roles.aclose())

        with served() as url:
            asyncio.run(main(url))

    def test_trio(self) -> None:
        """Nor can two runs of trio in two threads, or one of trio and one of asyncio."""

        async def main() -> None:
            roles = FakeRolesClient()
            await use(roles)
            for run in (use_in_trio, use_in_asyncio):
                with pytest.raises(ClientStateError, match="another event loop"):
                    await trio.to_thread.run_sync(run, roles)
            await use(roles)

        trio.run(main)


class TestLentSession:
    def test_other_loop(self) -> None:
        """A lent session stays in its loop, so a client has none in the next."""
        with served() as url:
            clients: list[AiohttpRolesClient] = []

            async def first() -> None:
                async with aiohttp.ClientSession() as session:
                    clients.append(AiohttpRolesClient("key", base_url=url, session=session))
                    await use(clients[0])

            asyncio.run(first())
            with pytest.raises(
                ClientStateError, match=r"^the lent session belongs to another event loop$"
            ):
                asyncio.run(use(clients[0]))


@pytest.mark.parametrize("is_installed", [True, False])
def test_no_loop(is_installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """The fake runs where there is an event loop that it knows, whether trio is there or not."""
    if not is_installed:
        monkeypatch.setitem(sys.modules, "trio.lowlevel", None)
    call = FakeRolesClient().get(role="Admin")
    with pytest.raises(
        ClientStateError, match=r"^FakeRolesClient runs under asyncio or trio only$"
    ):
        call.send(None)


def test_trio_client() -> None:
    """The client that talks to the service runs under asyncio only; unused, it closes anywhere."""
    roles = AiohttpRolesClient("key", base_url="http://127.0.0.1:9")
    with pytest.raises(ClientStateError, match=r"^the client runs under asyncio only$"):
        trio.run(use, roles)
    trio.run(roles.aclose)


FORK: Final = """
import asyncio, os, sys
from arize_roles_async import AiohttpRolesClient, ClientStateError, RetryPolicy, RolesError

async def main():
    once = RetryPolicy(attempts=1)
    roles = AiohttpRolesClient("key", base_url="http://127.0.0.1:9", retry=once)
    try:
        await roles.list()
    except RolesError:
        pass
    if os.fork() == 0:
        try:
            asyncio.run(roles.list().all())
        except ClientStateError as error:
            os.write(1, str(error).encode())
        os._exit(0)
    os.wait()
    await roles.aclose()

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork() -> None:
    """After a fork under a running event loop, the child's error names the fork."""
    ran = subprocess.run(  # noqa: S603 - the code is above
        [sys.executable, "-W", "ignore", "-c", FORK], check=True, capture_output=True, text=True
    )

    assert ran.stdout == (
        "the client belongs to the process that forked this one, and to its event loop; make a "
        "client after the fork"
    )
