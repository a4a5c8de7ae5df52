"""A client in event loops, one after the other, and in threads."""

import asyncio
import contextvars
import gc
import logging
import socket
import ssl
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import pytest
import trio
from asgiref.sync import async_to_sync

from arize_roles_async import (
    AiohttpRolesClient,
    ClientStateError,
    ListRolesResponse,
    RateLimitError,
    RetryPolicy,
    RolesClient,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.support.documentation import definitions
from tests.support.processes import HOST, ROOT, ran
from tests.support.raw_http import PAGE
from tests.support.sizes import sized
from tests.support.tls import Authority


class Handler(BaseHTTPRequestHandler):
    """Answers with a listing without roles."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Generator[str]:
    """Serve from threads, so that it is there for one event loop after another."""
    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http{'s' * (context is not None)}://localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    """Let the garbage collector look through no objects but those of this module's tests."""
    gc.collect()
    gc.freeze()


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


async def use(roles: RolesClient) -> None:
    assert len(await roles.list(is_predefined=False)) == 0


Run = Callable[[RolesClient], None]


closed_by_hand: list[asyncio.AbstractEventLoop] = []


def by_bare_loop(roles: RolesClient) -> None:
    """Close a loop as nobody should, without the end that `asyncio.run` gives it."""
    loop = asyncio.new_event_loop()
    closed_by_hand.append(loop)
    loop.run_until_complete(use(roles))
    loop.close()


RUNS: dict[str, Run] = {
    "asyncio": lambda roles: asyncio.run(use(roles)),
    "asgiref": async_to_sync(use),
    "bare loop": by_bare_loop,
}
EACH_RUN = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


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
                run(roles)
            asyncio.run(roles.aclose())

    def test_trio(self) -> None:
        """The fake and its copies run in trio, in asyncio after it, and in trio again."""
        roles = FakeRolesClient(max_concurrency=1)
        roles.account.add_key("other-api-key")
        other = roles.with_options(api_key="other-api-key")

        async def use_all() -> None:
            for each in (roles, other, other):
                await use(each)

        trio.run(use_all)
        asyncio.run(use_all())
        trio.run(use_all)

    @EACH_RUN
    def test_never_closed(self, run: Run) -> None:
        """A client that nobody closes is closed with its loop."""
        with served() as url:
            roles = AiohttpRolesClient("key", base_url=url)
            run(roles)
            # Only the next loop can see that the last one was closed without an end.
            for _ in range(2 * (run is by_bare_loop)):
                asyncio.run(roles.aclose())
            del roles

    def test_generator(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A client that an asynchronous generator holds at the end of a loop is closed once."""
        authority = Authority(tmp_path)

        async def sizes(url: str) -> AsyncGenerator[int]:
            async with AiohttpRolesClient("key", base_url=url, ca_file=authority.pem) as roles:
                while True:
                    yield len(await roles.list())

        async def leave(sizes: AsyncGenerator[int]) -> None:
            assert await anext(sizes) == 0

        with served(authority.right()) as url:
            held = sizes(url)
            asyncio.run(leave(held))
        assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


def test_rate_limit() -> None:
    """After a 429, the wait that the service asks for counts in the next loop as well."""
    account = FakeAccount()
    roles = FakeRolesClient(account, retry=RetryPolicy(attempts=1))
    account.fail("list", 429, retry_after=20)
    before = account.now()
    with pytest.raises(RateLimitError):
        asyncio.run(use(roles))
    asyncio.run(use(roles))
    assert account.now() - before >= timedelta(seconds=20)


def test_left_walk() -> None:
    """A search that a closed loop left behind is none of the next loop's."""
    roles, loop = FakeRolesClient(), asyncio.new_event_loop()
    with roles.account.block("list") as blocked:
        left = loop.create_task(roles.get(role="Admin"))
        loop.run_until_complete(blocked.reached())
        loop.close()
    assert not left.done()
    assert asyncio.run(asyncio.wait_for(roles.get(role="Admin"), 5.0)).name == "Admin"


async def test_other_context() -> None:
    """A call may end in another context, as one does whose loop was closed by hand."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with AiohttpRolesClient("key", base_url=url) as roles:
            call = roles.list().all()
            contextvars.copy_context().run(call.send, None)
            call.close()


@pytest.mark.parametrize("is_fake", [False, True])
def test_paused_loop(*, is_fake: bool) -> None:
    """Two loops that are open at once share no client, and only its own one closes it."""
    fake = FakeRolesClient(FakeAccount(predefined=False))
    with served() as url, asyncio.Runner() as own, asyncio.Runner() as other:
        roles = fake if is_fake else AiohttpRolesClient("key", base_url=url)
        own.run(use(roles))
        for call in (use(roles), roles.aclose()):
            with pytest.raises(ClientStateError, match="another event loop"):
                other.run(call)
        own.run(use(roles))
        own.run(roles.aclose())


def test_lent_session() -> None:
    """A lent session stays in its loop, so a client has none in the next."""

    async def first(url: str) -> AiohttpRolesClient:
        async with aiohttp.ClientSession() as session:
            roles = AiohttpRolesClient("key", base_url=url, session=session)
            await use(roles)
            return roles

    with served() as url:
        roles = asyncio.run(first(url))
        with pytest.raises(ClientStateError, match=r"^the lent session belongs to another event"):
            asyncio.run(use(roles))


@pytest.mark.parametrize("is_installed", [True, False])
def test_no_loop(is_installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """The fake runs where there is an event loop that it knows, whether trio is there or not."""
    if not is_installed:
        monkeypatch.setitem(sys.modules, "trio.lowlevel", None)
    call = FakeRolesClient().get(role="Admin")
    with pytest.raises(ClientStateError, match="FakeRolesClient runs under asyncio or trio only"):
        call.send(None)


def test_trio_client() -> None:
    """The client that talks to the service runs under asyncio only; unused, it closes anywhere."""
    roles = AiohttpRolesClient("key", base_url="http://127.0.0.1:9")
    with pytest.raises(ClientStateError, match=r"^the client runs under asyncio only$"):
        trio.run(use, roles)
    trio.run(roles.aclose)


# Without the lock in `_wire`, about every other process fails.
def test_threads_decode() -> None:
    """Threads that decode their first answers at once do not disturb one another."""
    for _ in range(sized(1, 8)):
        done = ran(sys.executable, ROOT / "tests/support/in_threads.py")
        assert (done.returncode, done.stderr) == (0, "")


def test_threads_share(arize_env: RolesServer) -> None:
    """Requests to the WSGI application of the guide share one client, in many threads."""
    arize_env.account.add_role("AI Engineer")
    names, start = definitions("arize_roles_async/guide/threads.md"), Mock()
    with names["stack"], ThreadPoolExecutor(8) as pool:
        answers = [
            b"".join(each) for each in pool.map(names["app"], ["environ"] * 40, [start] * 40)
        ]
    pages = [ListRolesResponse.from_json(answer) for answer in answers]
    assert [[role.name for role in page] for page in pages] == [["AI Engineer"]] * 40
    assert len(arize_env.account.calls) == 40
