"""Connections, the attempts that use them, and the bodies that are read from them."""

import asyncio
import functools
import os
import socket
import struct
import weakref
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from arize_roles_async._aiohttp.deadlines import Deadline
from arize_roles_async._calls.transport import Call
from arize_roles_async._values.json import MAX_BODY
from arize_roles_async._wire.redaction import Secret

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

# The value of SO_LINGER with which a close resets the connection: 16-bit fields on Windows.
_NO_LINGER: Final = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)
_READ_AT_ONCE: Final = 256 * 1024
"""Bytes of the buffer that asyncio allocates for each read from a socket."""


def keep_read_buffers() -> None:
    """Make glibc keep the memory that asyncio reads into, instead of mapping it for each read.

    Until it has freed a larger block once, glibc maps each one of 128 KiB or more by itself and
    unmaps it again: a quarter of the time of a `get` over plain http, where all modules were
    compiled before. TLS frees one anyway.
    """
    bytes(2 * _READ_AT_ONCE)


class _Connection:
    """A connection that has carried a request, for as long as it is open."""

    def __init__(self, number: int, transport: asyncio.Transport) -> None:
        self.number = number
        self.transport = transport
        # Read now: asyncio's TLS transport has no socket any more once it was closed twice.
        self.socket: TransportSocket = transport.get_extra_info("socket")
        self.body: aiohttp.StreamReader | None = None
        """The body that is read from it."""
        self.failure: BaseException | None = None
        """The error that ended it."""


class Connections:
    """The connections of a session that have carried a request."""

    def __init__(self) -> None:
        self.open: dict[ResponseHandler, _Connection] = {}
        self.opened = 0
        """Connections so far."""
        self.distrusted = 0
        """The highest number of a connection that is not reused, nor those below it."""

    def add(self, protocol: ResponseHandler) -> _Connection:
        """Return the new connection of a protocol.

        Raises:
            ServerDisconnectedError: The server sent something already.
        """
        if protocol.should_close:
            raise aiohttp.ServerDisconnectedError("the server answered before any request")
        self.opened += 1
        transport, closed = cast("Any", protocol.transport), cast("Any", protocol.closed)
        connection = self.open[protocol] = _Connection(self.opened, transport)
        closed.add_done_callback(functools.partial(self._drop, protocol))
        return connection

    def _drop(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        connection = self.open.pop(protocol)
        body = connection.body
        # aiohttp would leave the reader waiting.
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientConnectionError("the connection was closed"))
        # A cancelled close cancels it.
        if not closed.cancelled() and (error := closed.exception()) is not None:
            connection.failure = error.__cause__


class Attempt:
    """One attempt, which sends its request once.

    aiohttp sends a GET or DELETE a second time by itself when a reused connection drops. But the
    call machine decides about retries, and must count each attempt.
    """

    def __init__(
        self,
        call: Call,
        limit: Deadline,
        connections: Connections,
        headers: Secret[CIMultiDict[str]],
    ) -> None:
        self.call = call
        self._limit = limit
        self._connections = connections
        self._headers = headers
        self.connection: _Connection | None = None
        """The connection that carries the request, until the response is complete."""
        self._failure: BaseException | None = None
        self._opened = 0

    def take(self, request: aiohttp.ClientRequest, connection: Connection) -> bool:
        """Take a connection, unless it must not carry the request.

        From here on the request may reach the service, which may be silent.
        """
        connections, protocol = self._connections, cast("ResponseHandler", connection.protocol)
        taken = connections.open.get(protocol)
        if taken is None:
            taken = connections.add(protocol)
        # An unsolicited answer would go to the next request on the connection.
        elif taken.number <= connections.distrusted or protocol.should_close:
            return False
        self.connection = taken
        self._opened = connections.opened
        # Added only now, so that nothing before this, such as a proxy or a tracer, sees the key.
        request.headers.update(self._headers.reveal())
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {self.call.keys[-1].reveal()}"
        self.call.mark_sent(self._limit.limit_silence())
        return True

    async def read(self, content: aiohttp.StreamReader) -> bytes:
        """Return a body; of one that is too long, only as much as shows that."""
        if self.connection is not None:
            self.connection.body = content
        chunks: list[bytes] = []
        size = 0
        while size <= MAX_BODY and not content.at_eof():
            self._limit.limit_silence()
            chunks.append(await content.readany())
            size += len(chunks[-1])
        return b"".join(chunks)

    def reset(self) -> None:
        """Reset the connection, so that the system sends nothing of the request later."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        # A closed socket raises OSError, and ValueError with uvloop. This has no `shutdown`.
        with suppress(OSError, ValueError, TypeError):
            # A close then discards what is not sent yet, also if aiohttp closed it just now.
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            if connection.transport.is_closing():
                # asyncio's TLS transport cannot be aborted any more after aiohttp closed it twice,
                # and waits 30 s for the server to end the session.
                connection.socket.shutdown(socket.SHUT_RD)
        connection.transport.abort()

    def distrust(self) -> None:
        """Reuse no connection that was open when this one failed.

        The cause, such as a firewall that forgot the connection, has often broken the others, too.
        """
        connections = self._connections
        connections.distrusted = max(connections.distrusted, self._opened)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the request once: a middleware, for a session that has its own connector."""
        if self._failure is not None:
            raise self._failure
        own = request.headers.get(hdrs.AUTHORIZATION)
        # A middleware that sends a request again has ours in it.
        if own is not None and own != f"Bearer {self.call.keys[-1].reveal()}":
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
            # A middleware may cancel a request that has already reached the service.
            self._failure = error
            raise
        finally:
            # Objects that refer to each other would be left to the garbage collector.
            delattr(request, "send")


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
        attempt: Any = current_attempt.get()()
        if attempt.connection is not None:
            raise attempt.connection.failure or aiohttp.ServerDisconnectedError
        while True:
            connection = await super().connect(req, traces, timeout)
            if attempt.take(req, connection):
                return connection
            connection.close()
