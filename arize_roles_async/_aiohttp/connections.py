"""Connections, the attempts that use them, and the bodies that are read from them."""

import asyncio
import functools
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict

from arize_roles_async._aiohttp import hooks
from arize_roles_async._aiohttp.internals import Inner, traces_of
from arize_roles_async._aiohttp.time_limits import AsyncioTimeLimit
from arize_roles_async._calls.transport import Call
from arize_roles_async._values.errors import ClientStateError
from arize_roles_async._values.json import MAX_BODY
from arize_roles_async._wire.redaction import redacted_cause
from arize_roles_async._wire.secrets import Secret

if TYPE_CHECKING:  # Where aiohttp lacks one of these, `check_aiohttp` says so.
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

# The value of SO_LINGER with which a close resets the connection: 16-bit fields on Windows.
_NO_LINGER: Final = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)


def keep_read_buffers() -> None:
    """Make glibc keep the 256 KiB that asyncio reads into, instead of mapping them for each read.

    Until it has freed a larger block once, glibc maps each one of 128 KiB or more by itself and
    unmaps it again: a quarter of the time of a `get` over plain http, where all modules were
    compiled before. TLS frees one anyway.
    """
    bytes(512 * 1024)


class UsedConnection:
    """A connection that has carried a request, for as long as it is open."""

    def __init__(self, number: int, transport: asyncio.Transport) -> None:
        self.number = number
        self.transport = transport
        # Read now: asyncio's TLS transport has no socket any more once it was closed twice.
        self.socket: Inner = transport.get_extra_info("socket")
        self.response: aiohttp.ClientResponse | None = None
        """The one that came on it last."""

    def reset(self) -> None:
        """Reset it, so that the system sends nothing of a request later."""
        # A closed socket raises OSError, and ValueError with uvloop. This has no `shutdown`.
        with suppress(OSError, ValueError, TypeError):
            # A close then discards what is not sent yet, also if aiohttp closed it just now.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            # asyncio's TLS transport cannot be aborted any more after aiohttp closed it twice,
            # and waits 30 s for the server to end the session.
            self.socket.shutdown(socket.SHUT_RD)
        self.abort()

    def abort(self) -> None:
        # Python 3.11.2 raises it for a TLS transport that was closed twice.
        with suppress(AttributeError):
            self.transport.abort()


class NotReusableError(Exception):
    """A connection must carry no other request; aiohttp closes it."""


class Connections:
    """The connections of a session that have carried a request."""

    def __init__(self) -> None:
        self._used: dict[ResponseHandler, UsedConnection] = {}
        self.opened = 0
        """Connections so far."""
        self.distrusted = 0
        """No connection of this number or a lower one is reused."""

    def take(self, protocol: "ResponseHandler") -> UsedConnection:
        """Return the connection of a protocol, which is about to carry a request.

        Raises:
            ServerDisconnectedError: It is new, and the server sent something already.
            NotReusableError: It has carried requests, and must carry no other.
        """
        connection = self._used.get(protocol)
        if connection is not None:
            # An unsolicited answer would go to the next request on the connection.
            if connection.number <= self.distrusted or protocol.should_close:
                raise NotReusableError
            return connection
        if protocol.should_close:
            raise aiohttp.ServerDisconnectedError("the server answered before any request")
        self.opened += 1
        transport, closed = cast("Inner", protocol.transport), cast("Inner", protocol.closed)
        connection = self._used[protocol] = UsedConnection(self.opened, transport)
        closed.add_done_callback(functools.partial(self._drop, protocol))
        return connection

    async def close(self, session: aiohttp.ClientSession) -> None:
        """Close a session of our own and every connection, whatever closing one of them raises.

        asyncio's TLS transport raises an AttributeError after it was closed twice.
        """
        with suppress(Exception):
            await session.close()
        for connection in [*self._used.values()]:
            connection.abort()

    def _drop(self, protocol: "ResponseHandler", closed: asyncio.Future[None]) -> None:
        response = self._used.pop(protocol).response
        body = None if response is None else response.content
        # aiohttp would leave the reader waiting.
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientConnectionError("the connection was closed"))
        # Otherwise asyncio would log it. A cancelled close cancels it.
        with suppress(asyncio.CancelledError):
            closed.exception()


class Attempt:
    """One attempt, which sends the request with the key: the last middleware of its session.

    aiohttp sends a GET or DELETE a second time by itself when a reused connection drops. But the
    call machine decides about retries, and must count each attempt. So nothing is sent after a
    failure, or when the attempt is over. Another middleware may send again after an answer, or
    twice at once, and the call takes note of it.
    """

    def __init__(
        self,
        call: Call,
        limit: AsyncioTimeLimit,
        connections: Connections,
        headers: Secret[CIMultiDict[str]],
    ) -> None:
        self.call = call
        self.limit = limit
        self.connections = connections
        self._headers = headers  # Nothing before the socket sees these.
        self.answers: dict[UsedConnection, Inner] = {}
        """The answers by the connection that carried the request last, None for none so far."""
        self._failure: BaseException | type[BaseException] | None = None
        """Nothing is sent any more."""
        self.traces: Sequence[Inner] = ()
        """The tracers of the session."""
        self._opened = 0

    async def __call__(
        self, request: Inner, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._failure is not None:
            raise self._failure
        if hooks.before_sending is not None:
            hooks.before_sending(request)
        self.traces = traces_of(request)
        request.attempt = self
        while True:
            try:
                return await handler(request)
            except NotReusableError:
                continue
            except BaseException as error:
                failure = self._without_key(error)
                # A middleware may cancel a request that has already reached the service.
                self._failure = failure
                if failure is error:
                    raise
            # Raised outside the handler, so that it does not carry the error.
            raise failure

    def _without_key(self, error: BaseException) -> BaseException:
        """Return an error, or one that says the same if it quotes an answer that echoes the key.

        Tracers see it, and write it to their spans.
        """
        if not (self.answers and isinstance(error, aiohttp.ClientError)):
            return error
        safe = redacted_cause(error, *self.call.keys)
        return error if safe is error else aiohttp.ClientError(str(safe))

    async def send_on(
        self,
        request: Inner,
        send: "Callable[[Inner, Connection], Awaitable[aiohttp.ClientResponse]]",
        connection: Inner,
    ) -> aiohttp.ClientResponse:
        """Send a request on a connection: from here on the service may have it, and be silent."""
        if self._failure is not None:
            raise self._failure
        taken = self.connections.take(connection.protocol)
        self._opened = self.connections.opened
        self.call.mark_sent(self.limit.start("read"))
        self.answers[taken] = None
        # Added only now, so that nothing before this, such as a proxy or a tracer, sees the key.
        request.headers.update(self._headers.reveal())
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {self.call.keys[-1].reveal()}"
        try:
            response = await send(request, connection)
        finally:
            # The response and its errors keep the headers.
            del request.headers[hdrs.AUTHORIZATION]
        self.answers[taken] = taken.response = response
        return response

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """Return a body; of one that is too long, only as much as shows that."""
        content = response.content
        body = bytearray()
        while len(body) <= MAX_BODY and not content.at_eof():
            self.limit.start("read")
            body += await content.readany()
        return bytes(body)

    def end(self) -> None:
        """End it, and with it every request that has no complete answer."""
        # A middleware may send in a task of its own, which outlives the attempt.
        self._failure = asyncio.CancelledError
        for connection, response in self.answers.items():
            if response is not None:
                if response.content is not None and response.content.is_eof():
                    continue  # The connection may carry another request by now.
                response.close()
            connection.reset()

    def distrust(self) -> None:
        """Reuse no connection that was open when this attempt sent its request.

        The cause, such as a firewall that forgot the connection, has often broken the others, too.
        """
        self.connections.distrusted = max(self.connections.distrusted, self._opened)


@functools.lru_cache
def sent_by_attempt(kind: Inner) -> Inner:
    """Return the class of the requests that an attempt sends, in place of a class of requests."""

    def send(request: Inner, connection: Inner) -> Awaitable[aiohttp.ClientResponse]:
        attempt: Attempt = request.attempt
        return attempt.send_on(request, kind.send, connection)

    # In slots, since a name that is new to requests under way would give each a dictionary.
    return type(kind.__name__, (kind,), {"send": send, "__slots__": "attempt"})


class PrivateCopy:
    """The middleware of a lent session before the attempt, which gets a copy of each request.

    Whoever holds the request itself does not see the key, and may send it twice at once. The time
    of connecting is limited here: aiohttp's own limit includes waiting for a connection of the
    session's pool.
    """

    def __init__(self, limit: AsyncioTimeLimit) -> None:
        self._limit = limit

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if hdrs.AUTHORIZATION in request.headers:
            raise ClientStateError(
                "the lent session sends an Authorization header of its own, where the API key "
                "belongs: from its default headers, a middleware, or netrc"
            )
        traces_of(request).append(self)
        given: Inner = type(request)
        kind = sent_by_attempt(given)
        copy = kind.__new__(kind)
        copy.__dict__ = {**vars(request), "headers": request.headers.copy()}
        return await handler(copy)

    async def send_connection_create_start(self) -> None:
        """Begin the limit: called as for a tracer, of whose other methods it needs none."""
        self._limit.start("connect")

    def __getattr__(self, _: str) -> Callable[..., Awaitable[None]]:
        return _do_nothing


async def _do_nothing(*_: object) -> None:
    pass
