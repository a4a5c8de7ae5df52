"""The account over HTTP, for clients that need a socket."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from arize_roles_async._wire import MAX_BODY, Request
from arize_roles_fake._account import FakeAccount, Reply
from arize_roles_fake._dashboard import HEADERS, is_local_request, page
from arize_roles_fake._wire import problem_response

_POLL: Final = 0.02


@asynccontextmanager
async def serve(
    account: FakeAccount, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """Serve an account over HTTP for as long as the block runs.

        async with serve(account) as url:
            ...

    Args:
        account: What answers; the same one may stand behind in-process clients too.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Yields:
        The URL of the server, for `AiohttpRolesClient(base_url=url)`.

    Raises:
        OSError: The address can't be listened on.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/", _Dashboard(account).handle)
    # Everything, and a dot alone matches no newline, which an ID may hold.
    app.router.add_route("*", "/{tail:(?s:.*)}", _Handler(account).handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: Any = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        yield f"http://{shown}:{bound[1]}"
    finally:
        await runner.cleanup()


class RolesServer:
    """A server in a thread of its own, for synchronous code and for event loops of any kind.

        with RolesServer(account) as server:
            ...

    Args:
        account: What answers; a fresh account unless given.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Raises:
        OSError: On entering: the address can't be listened on.
    """

    url: str
    """The URL of the server, once it runs."""

    def __init__(
        self, account: FakeAccount | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.account: FakeAccount = FakeAccount() if account is None else account
        """What answers."""
        self._address = (host, port)
        self._ready: Future[str] = Future()
        self._stop: Callable[[], object] = str
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="arize-roles-server", daemon=True
        )

    @property
    def api_key(self) -> str:
        """The account's first API key."""
        return self.account.api_key

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._ready.result()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._stop()
        self._thread.join()

    async def _run(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        host, port = self._address
        try:
            async with serve(self.account, host=host, port=port) as url:
                self._ready.set_result(url)
                await stopped.wait()
        except Exception as error:  # noqa: BLE001 - raised where the server was entered
            self._ready.set_exception(error)


class _Dashboard:
    """The page for a person with a browser on this machine."""

    def __init__(self, account: FakeAccount) -> None:
        self._account = account

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not is_local_request(request.host, request.remote):
            refused = problem_response(403, "the page is for a browser on the same machine")
            return web.Response(status=403, headers=refused.headers, body=refused.body)
        return web.Response(headers=HEADERS, text=page(self._account))


class _Handler:
    """Every other request, which is the account's to answer."""

    def __init__(self, account: FakeAccount) -> None:
        self._account = account

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refused(413, "the body is too long")
        except (web.RequestPayloadError, HttpProcessingError):
            # Nothing more of it can be read, which the server would try.
            request.content.feed_eof()
            return self._refused(400, "the body is not encoded as its Content-Encoding says")
        reply = self._account.handle(
            Request(
                method=request.method,
                target=request.raw_path,
                headers=request.headers,
                body=body or None,
            )
        )
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.broken in {"silent", "unreachable"}:
            while request.transport is not None:  # noqa: ASYNC110 - until the caller gives up
                await asyncio.sleep(_POLL)
        if reply.broken not in {None, "malformed"}:
            return await _break_off(request, reply)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body or None)

    def _refused(self, status: int, detail: str) -> web.Response:
        """Return the answer to a request whose body was not read to its end."""
        date = format_datetime(self._account.now(), usegmt=True)
        refused = problem_response(status, detail, {"Connection": "close", "Date": date})
        return web.Response(status=status, headers=refused.headers, body=refused.body)


async def _break_off(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Drop the connection: before the first byte, or in the middle of the body."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if reply.broken == "truncated":
        response.content_length = len(reply.body) + 1
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
