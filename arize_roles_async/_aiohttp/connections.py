"""The connections of a session that have carried a request."""

import asyncio
import functools
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import aiohttp

if TYPE_CHECKING:  # Where aiohttp lacks one of these, `check_aiohttp` says so.
    from aiohttp.client_proto import ResponseHandler

    from arize_roles_async._aiohttp.internals import Inner

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
