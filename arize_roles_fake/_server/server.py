"""The account over HTTP, for clients that need a socket."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from email.utils import format_datetime
from itertools import count
from typing import Any, Final, Self

from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal

from arize_roles_async._aiohttp.config import is_loopback
from arize_roles_async._values.errors import ClientStateError
from arize_roles_async._wire.request import Request
from arize_roles_fake._account.account import FakeAccount
from arize_roles_fake._server.control import PATH, Control, host_name, is_local_request, refused
from arize_roles_fake._server.web_page import HEADERS, web_page
from arize_roles_fake._service.arguments import without_none
from arize_roles_fake._service.wire import MAX_REQUEST
from arize_roles_fake._testing.faults import Reply, reply_of
from arize_roles_fake._testing.recorder import urls
from arize_roles_fake._testing.timeline import waiting_in_real_time

_POLL: Final = 0.02
# The address of this machine for a server that listens on every address.
_LOCAL_ADDRESS: Final[dict[Any, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Listener:
    """A listening socket, and the handlers of its requests."""

    def __init__(
        self,
        account_of: Callable[[str | None], FakeAccount],
        allowed_hosts: Collection[str] | None,
        control: Control | None = None,
    ) -> None:
        self._account_of = account_of
        """Returns the account that answers a request, by its header `Authorization`; for None that
        of the page, whose time the server's own refusals have."""
        self._allowed_hosts = allowed_hosts and [*map(str.lower, allowed_hosts)]
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_get("/", self._show)
        if control is not None:
            app.router.add_route("*", PATH, control.handle)
        # Every path: an ID may hold a newline, which a plain dot does not match.
        app.router.add_route("*", "/{tail:(?s:.*)}", self._answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            # Requests have no compressed bodies, and a bomb would hold up the event loop.
            auto_decompress=False,
            shutdown_timeout=0.5,
        )
        self._numbers = count(1)
        # Set by `listen`.
        self._site: web.TCPSite
        self._address: tuple[str, int]

    @asynccontextmanager
    async def running(self, host: str, port: int) -> AsyncGenerator[str]:
        """Yield the URL while the block runs."""
        try:
            yield await self.listen(host, port)
        finally:
            await _accept_pending()
            await self._runner.cleanup()

    async def listen(self, host: str, port: int) -> str:
        """Accept connections, and return the URL."""
        if self._runner.server is None:
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, host, port)
        await self._site.start()
        bound: Any = self._runner.addresses[0]
        self._address = (host, bound[1])
        address = _LOCAL_ADDRESS.get(bound[0], str(bound[0]))
        return f"http://{f'[{address}]' if ':' in address else address}:{bound[1]}"

    async def refuse(self) -> None:
        """Stop accepting connections, and drop the open ones."""
        assert self._runner.server is not None  # noqa: S101 - it listens
        await _accept_pending()
        await self._site.stop()
        transports = [connection.transport for connection in self._runner.server.connections]
        for transport in filter(None, transports):
            transport.abort()

    async def accept(self) -> None:
        """Accept connections again, on the same port."""
        await self.listen(*self._address)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        """Show the account's page to a browser on this machine."""
        if not is_local_request(request.host, request.remote):
            return refused(403, "only a browser on the same machine may see the page")
        return web.Response(headers=HEADERS, text=web_page(self._account_of(None)))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        host = host_name(request.host)
        allowed = self._allowed_hosts
        if allowed is not None and host not in allowed and not is_loopback(host):
            return self._refused(403, "the Host header names another machine")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refused(413, "the body is too long")
        account = self._account_of(request.headers.get("Authorization", ""))
        answer = account.handle(
            Request(
                method=request.method,
                target=request.raw_path,
                headers=request.headers,
                body=body or None,
            )
        )
        reply = reply_of(answer)
        with waiting_in_real_time(account):
            if reply.blocked is not None:
                try:
                    await reply.blocked.keep_open()
                except ClientStateError as error:
                    return self._refused(500, str(error))
            if reply.delay:
                await asyncio.sleep(reply.delay)
        return await _deliver(request, reply)

    def _refused(self, status: int, detail: str) -> web.Response:
        """Return the answer to a request that never reaches the account."""
        headers = {
            "Connection": "close",
            "Date": format_datetime(self._account_of(None).now(), usegmt=True),
            "X-Request-Id": f"fake-refused-{next(self._numbers)}",
        }
        return refused(status, detail, headers)


class RolesServer:
    """A server in a thread of its own, for synchronous and asynchronous code alike.

    Args:
        account: The account that answers; a fresh one by default.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Raises:
        OSError: On entering: the address cannot be listened on.
        OverflowError: On entering: there is no such port.
    """

    account: FakeAccount
    """The account that answers."""
    url: str
    """The URL of the server, once it runs."""

    @without_none
    def __init__(
        self, account: FakeAccount | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.account = FakeAccount() if account is None else account
        self._address = (host, port)
        self._listener: Listener
        self._exits: ExitStack
        self._portal: BlockingPortal

    @property
    def api_key(self) -> str:
        """The account's first API key."""
        return self.account.api_key

    def __enter__(self) -> Self:
        self._listener = Listener(lambda _: self.account, None)
        with ExitStack() as exits:
            self._portal = exits.enter_context(start_blocking_portal())
            running = self._listener.running(*self._address)
            self.url = exits.enter_context(self._portal.wrap_async_context_manager(running))
            urls.append((self.account, self.url))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        urls.remove((self.account, self.url))
        self._exits.close()

    @contextmanager
    def refuse_connections(self) -> Generator[None]:
        """Refuse new connections while the block runs, and drop the open ones.

        A change that gets no connection raises a `RolesConnectionError`: it was not made. A change
        that is sent on an earlier connection meets a dropped one.

        Raises:
            OSError: On leaving: another program took the port.
        """
        self._portal.call(self._listener.refuse)
        try:
            yield
        finally:
            self._portal.call(self._listener.accept)


async def _accept_pending() -> None:
    """Let each connection that is there reach its handler.

    asyncio forgets the socket of one that it accepts while its server closes, and leaves it to the
    garbage collector, which warns.
    """
    for _ in range(3):
        await asyncio.sleep(0)


async def _deliver(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send a reply, or drop the connection as the test scripted."""
    delivery = reply.delivery
    if delivery.part == "whole":
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body or None)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    while not delivery.ends and request.transport is not None:  # noqa: ASYNC110 - the caller waits
        await asyncio.sleep(_POLL)
    if delivery.part == "half":
        response.content_length = len(reply.body) + 1
        with suppress(ConnectionResetError):  # The caller may have left.
            await response.prepare(request)
            await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
