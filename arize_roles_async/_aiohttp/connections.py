"""Connections, the attempts that take one each, and the bodies that are read from them."""

import asyncio
import functools
import os
import socket
import struct
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from arize_roles_async._aiohttp.deadlines import limit_silence
from arize_roles_async._calls.transport import Call
from arize_roles_async._values.json import MAX_BODY
from arize_roles_async._wire.redaction import Secret

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

# The option that has a close reset the connection; Windows has it in 16 bits each.
_NO_LINGER: Final = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)
_READ_AT_ONCE: Final = 256 * 1024
"""Bytes that asyncio makes room for whenever it reads from a socket."""


def keep_read_buffers() -> None:
    """Make glibc keep the memory that asyncio reads into, instead of mapping it for each read.

    Until it has freed a larger block once, glibc maps each one of 128 KiB or more by itself and
    unmaps it again, which takes three system calls and page faults: a sixth of the time of a `get`
    over plain http in the benchmark. TLS frees one anyway.
    """
    bytes(2 * _READ_AT_ONCE)


class Connections:
    """Which connections of a session may carry a request."""

    def __init__(self) -> None:
        self._numbers: dict[ResponseHandler, int] = {}
        self.opened = 0
        """Connections so far."""
        self.distrusted = 0
        """Connections, from the first on, that carry no more requests since one of them failed."""

    def may_carry(self, connection: ResponseHandler) -> bool:
        """Return whether a connection may carry a request.

        Raises:
            ServerDisconnectedError: It is new, and the server sent something already.
        """
        number = self._numbers.get(connection)
        if number is not None:
            # An unsolicited answer would go to the next request on the connection.
            return number > self.distrusted and not connection.should_close
        if connection.should_close:
            raise aiohttp.ServerDisconnectedError("the server answered before any request")
        self.opened += 1
        self._numbers[connection] = self.opened
        closed: Any = connection.closed
        closed.add_done_callback(functools.partial(self._drop, connection))
        return True

    def _drop(self, connection: ResponseHandler, closed: asyncio.Future[None]) -> None:
        del self._numbers[connection]
        # asyncio would log an exception that was never retrieved. A cancelled close cancels it.
        with suppress(asyncio.CancelledError):
            closed.exception()


class Attempt:
    """One attempt, which sends its request once.

    aiohttp sends a GET or DELETE a second time by itself when a reused connection drops. But the
    call machine decides about retries, and must count each attempt.
    """

    __slots__ = (
        "__weakref__",
        "_connections",
        "_failure",
        "_headers",
        "_now",
        "_opened",
        "_protocol",
        "_socket",
        "_transport",
        "call",
    )

    def __init__(
        self,
        call: Call,
        connections: Connections,
        headers: Secret[CIMultiDict[str]],
        now: Callable[[], float],
    ) -> None:
        self.call = call
        self._connections = connections
        self._headers = headers
        self._now = now
        self._protocol: ResponseHandler | None = None
        self._transport: asyncio.Transport | None = None
        self._socket: TransportSocket
        self._failure: BaseException | None = None
        self._opened = 0

    def refuse_second(self) -> None:
        """Raise the failure of the first connection, if there was one."""
        if self._protocol is not None:
            raise self._protocol.exception() or aiohttp.ServerDisconnectedError

    def take(self, request: aiohttp.ClientRequest, connection: Connection) -> bool:
        """Take a connection, unless it must not carry the request.

        From here on the request may reach the service, which may be silent.
        """
        protocol = cast("Any", connection.protocol)
        if not self._connections.may_carry(protocol):
            return False
        self._protocol = protocol
        self._transport = protocol.transport
        # Now, since asyncio's TLS transport has no socket any more once it was closed twice.
        self._socket = protocol.transport.get_extra_info("socket")
        self._opened = self._connections.opened
        # Added only now, so that nothing before this, such as a proxy or a tracer, sees the key.
        request.headers.update(self._headers.reveal())
        request.headers["Authorization"] = self._authorization
        now = self._now()
        self.call.mark_sent(now)
        limit_silence(self.call, now)
        return True

    @contextmanager
    def ending(self, content: aiohttp.StreamReader) -> Generator[None]:
        """End a body while it is read if its connection is closed, which aiohttp does not do."""
        closed = cast("Any", self._protocol).closed
        end = functools.partial(_end, content)
        closed.add_done_callback(end)
        try:
            yield
        finally:
            closed.remove_done_callback(end)

    def complete(self) -> None:
        """Note that the response is complete, so that the connection may be used again."""
        self._transport = None

    def reset(self) -> None:
        """Reset the connection, so that the system sends nothing of the request later."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        # A closed socket raises OSError, and ValueError with uvloop. This has no `shutdown`.
        with suppress(OSError, ValueError, TypeError):
            # A close then discards what is not sent yet, also if aiohttp closed it just now.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            if transport.is_closing():
                # asyncio's TLS transport cannot be aborted any more after aiohttp closed it twice,
                # and waits 30 s for the server to end the session.
                self._socket.shutdown(socket.SHUT_RD)
        transport.abort()

    def distrust(self) -> None:
        """Use no connection again that was open when this one failed.

        What broke one, such as a firewall that forgot it, often broke the others as well.
        """
        connections = self._connections
        connections.distrusted = max(connections.distrusted, self._opened)

    @property
    def _authorization(self) -> str:
        return f"Bearer {self.call.keys[-1].reveal()}"

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the request once: a middleware, for a session that has its own connector."""
        if self._failure is not None:
            raise self._failure
        # A middleware that sends a request again has ours in it.
        if request.headers.get("Authorization", self._authorization) != self._authorization:
            raise OwnAuthorizationError
        send = request.send

        async def send_checked(connection: Connection) -> aiohttp.ClientResponse:
            if not self.take(request, connection):
                raise _UnfitError
            return await send(connection)

        # A middleware does not see the connection that aiohttp chose; only `send` is passed it.
        # Without this, a lent session would send requests on dead connections.
        setattr(request, "send", send_checked)  # noqa: B010 - no type checker sees a method as one
        try:
            while True:
                with suppress(_UnfitError):
                    return await handler(request)
        except BaseException as error:
            self._failure = error
            raise


class OwnAuthorizationError(Exception):
    """The lent session sends an `Authorization` of its own."""


class _UnfitError(Exception):
    """A connection that must not carry the request; aiohttp closes it."""


current_attempt: ContextVar[weakref.ref[Attempt]] = ContextVar("current_attempt")
"""The attempt that the running task makes.

Weak, since asyncio keeps the context in which a connection was made as long as the connection.
"""


class Connector(aiohttp.TCPConnector):
    """A connector that hands out only connections that may carry the attempt's request."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        attempt = cast("Attempt", current_attempt.get()())
        attempt.refuse_second()
        while True:
            connection = await super().connect(req, traces, timeout)
            if attempt.take(req, connection):
                return connection
            connection.close()


async def read_body(content: aiohttp.StreamReader, before_each: Callable[[], object]) -> bytes:
    """Return a body, or as much of it as shows that it is too long."""
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_BODY and not content.at_eof():
        before_each()
        chunks.append(await content.readany())
        size += len(chunks[-1])
    return b"".join(chunks)


def _end(content: aiohttp.StreamReader, _: asyncio.Future[None]) -> None:
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientConnectionError("it was closed"))
