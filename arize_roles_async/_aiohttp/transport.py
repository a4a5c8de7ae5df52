"""The transport over aiohttp: a session, its connections, and the attempts that use them."""

import asyncio
import functools
import os
import re
import socket
import ssl
import struct
import sys
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from arize_roles_async._aiohttp import hooks
from arize_roles_async._aiohttp.config import Config, flaw_of_plain_http
from arize_roles_async._aiohttp.failures import Failures
from arize_roles_async._aiohttp.internals import Inner, body_of, loop_of, middlewares_of, traces_of
from arize_roles_async._asyncio import AsyncioTimeLimit, AsyncioTransport, running_loop
from arize_roles_async._calls.transport import Call
from arize_roles_async._values.errors import ClientStateError, ConfigurationError
from arize_roles_async._values.json import MAX_BODY
from arize_roles_async._version import __version__
from arize_roles_async._wire.problems import invalid_response
from arize_roles_async._wire.redaction import redacted_cause
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import SUCCESS, Response
from arize_roles_async._wire.secrets import Secret, without_frames

if TYPE_CHECKING:  # Where aiohttp lacks one of these, `check_aiohttp` says so.
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection


_USER_AGENT: Final = f"arize-roles-async/{__version__} aiohttp/{aiohttp.__version__}"
_REFUSALS: Final = range(400, 600)
_PROXY_AUTHENTICATION_REQUIRED: Final = 407
_HASHED: Final = r"[0-9a-f]{8}\.[0-9]+"
"""The names of certificates in a folder that OpenSSL reads."""
_client_timeout: Final = functools.lru_cache(aiohttp.ClientTimeout)
"""Returns limits of aiohttp's: making them takes 8 us, a fifteenth of a call."""


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
        limit: AsyncioTimeLimit[Call],
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
        handled = sys.exception()
        while True:
            try:
                return await handler(request)
            except NotReusableError:
                continue
            except BaseException as error:
                # Whoever is between here and the socket has the request with the key.
                failure = without_frames(self._without_key(error), handled)
                # A middleware may cancel a request that has already reached the service.
                self._failure = failure
                if failure is error:
                    raise
            # Raised outside the handler, so that it does not carry the error.
            raise failure

    def _without_key(self, error: BaseException) -> BaseException:
        """Return an error, or one that says the same if it quotes the key, as an echo does.

        Tracers see it, and write it to their spans.
        """
        if not (self.answers and isinstance(error, Exception)):
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

    Whoever has the request itself does not see the key, and may send it twice at once. The time
    of connecting is limited here: aiohttp's own limit includes waiting for a connection of the
    session's pool. Where the request goes is known only here, too: its middlewares may change that.
    """

    def __init__(self, limit: AsyncioTimeLimit[Call], *, allow_http: bool) -> None:
        self._limit = limit
        self._allow_http = allow_http

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if hdrs.AUTHORIZATION in request.headers:
            raise ClientStateError(
                "the lent session sends an Authorization header of its own, where the API key "
                "belongs: from its default headers, a middleware, or netrc"
            )
        url, proxy = request.url, request.proxy
        if url.scheme == "http" and not self._allow_http:
            flaw = flaw_of_plain_http(url.host or "", proxy.host if proxy else None)
            if flaw is not None:
                raise ClientStateError(flaw)
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


class AiohttpTransport(AsyncioTransport):
    """One session and its connections."""

    _session_owner: AsyncGenerator[None] | None = None
    mocked_in: asyncio.AbstractEventLoop | None = None
    """The event loop of the last call that a test led elsewhere: see `hooks`."""

    def __init__(self, config: Config, session: aiohttp.ClientSession | None) -> None:
        self._config = config
        # aiohttp would convert a plain dict anew for each request. Without the key, which is a
        # call's.
        self._headers = Secret(CIMultiDict({"User-Agent": _USER_AGENT} if session is None else {}))
        self._headers.reveal().update(config.headers.reveal())
        self._url = URL(config.base_url, encoded=True)
        self.host = self._url.host_port_subcomponent
        self._base_path = self._url.raw_path.rstrip("/")
        self._lent = session
        self._failures = Failures(config, session)
        self._ssl = _ssl_context(config, lent=session is not None)
        # What belongs to one event loop, from here on.
        self._connections: Connections
        self._session: aiohttp.ClientSession

    def _enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._discard_session()
        keep_read_buffers()
        self._connections = Connections()
        if self._lent is not None:
            if loop_of(self._lent) is not loop:
                raise ClientStateError("the lent session belongs to another event loop")
            self._session = self._lent
        else:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=sent_by_attempt(aiohttp.ClientRequest),
            )
            self._session_owner = _keep_open(self._session, self._connections)
            with suppress(StopIteration):
                self._session_owner.asend(None).send(None)
        super()._enter_loop(loop)

    def _discard_session(self) -> None:
        """Drop a session whose event loop was closed before it.

        Its transports end when they are collected: asyncio closes none without their loop.
        """
        if self._session_owner is None or self._session.closed:
            return
        with suppress(StopIteration):
            self._session.close().send(None)
        self._session_owner = None
        del self._session, self.time_limits, self._connections

    def __del__(self) -> None:
        # The session itself is closed then by the generator that keeps it.
        is_open = self._session_owner is not None and not self._session.closed
        loop = self.mocked_in
        if loop is not None and self._lent is None:
            is_open = not (self.is_closing or loop.is_closed())
        if is_open:
            why = "a client was dropped without aclose()"
            warnings.warn(why, ResourceWarning, stacklevel=2, source=self)

    async def send(self, request: Request, call: Call) -> Response:
        if self.time_limits.is_closed:
            raise ClientStateError("the client is closed")
        limit: Any = call.time_limit  # An `AsyncioTimeLimit`.
        attempt = Attempt(call, limit, self._connections, self._headers)
        handled = sys.exception()
        try:
            answer = await self._exchange(request, attempt)
        except BaseException as error:  # noqa: BLE001 - raised below
            closed = self._session.closed
            failure = self._failures.mapped(
                error, request, call, limit, session_closed=closed, handled=handled
            )
            if not (failure is error or isinstance(failure, ClientStateError)):
                attempt.distrust()
        else:
            if answer.status == _PROXY_AUTHENTICATION_REQUIRED:
                raise self._failures.proxy_refusal(request)
            # For a failure the status counts, however long its body is.
            if len(answer.body) > MAX_BODY and answer.status in SUCCESS:
                raise invalid_response(request, answer, f"it is longer than {MAX_BODY >> 20} MiB")
            return answer
        finally:
            attempt.end()
            # The limit on a phase ends, and that on the call stays.
            limit.deadline = call.deadline
        # Raised outside the handler, so that it carries no exception but its cause, which is safe.
        raise failure

    async def _exchange(self, request: Request, attempt: Attempt) -> Response:
        call = attempt.call
        headers = request.headers
        if request.body is not None:
            headers = {"Content-Type": "application/json", **headers}
        connect = call.options.timeouts.connect
        middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (attempt,)
        if self._lent is not None:
            # These replace the session's, so those are passed, too.
            connect = None
            private = PrivateCopy(attempt.limit, allow_http=self._config.allow_http)
            middlewares = (*middlewares_of(self._lent), private, attempt)
            if "User-Agent" not in self._lent.headers:
                headers = {"User-Agent": _USER_AGENT, **headers}
        path, _, query = request.target.partition("?")
        base = self._url
        try:
            response = await self._session.request(
                request.method,
                # Built from its parts, since parsing a URL takes longer.
                URL.build(
                    scheme=base.scheme,
                    authority=base.raw_authority,
                    path=self._base_path + path,
                    query_string=query,
                    encoded=True,
                ),
                data=request.body,
                headers=headers,
                middlewares=middlewares,
                timeout=_client_timeout(None, connect),
                # A lent session may have others.
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                ssl=self._ssl,
                proxy=None if self._config.proxy is None else self._config.proxy.reveal(),
            )
        except aiohttp.ClientResponseError as error:
            # A middleware raised for a status; aiohttp does so for bytes that are not HTTP, too.
            is_own = isinstance(error, aiohttp.ClientHttpProxyError) or isinstance(
                error.__cause__, HttpProcessingError
            )
            if is_own or error.status not in _REFUSALS:
                raise
            headers = error.headers or CIMultiDict()
            return Response(status=error.status, headers=headers, body=b"", keys=call.keys)
        if self._lent is not None and response not in attempt.answers.values():
            why = "the lent session answered by itself: from a cache or a stand-in"
            raise ClientStateError(why)
        # A middleware may have read it.
        body = body_of(response)
        if body is None:
            content = response.content
            # By now, most answers are complete.
            body = content.read_nowait() if content.is_eof() else await attempt.read(response)
            for trace in attempt.traces:
                await trace.send_response_chunk_received(response.method, response.url, body)
        return Response(status=response.status, headers=response.headers, body=body, keys=call.keys)

    async def aclose(self, grace: float) -> None:
        # A client without a session may be closed in any event loop, or in none.
        is_here = self._loop is not None and self._loop is running_loop()
        if self._lent is None and not is_here:
            self._check_left()
            self._discard_session()
        self.is_closing = True
        if not is_here:
            return
        try:
            if grace:
                await self.time_limits.ended(grace)
        finally:
            self.time_limits.close()
            owner, self._session_owner = self._session_owner, None
            if owner is not None:
                await self._close_session(owner)

    async def _close_session(self, owner: AsyncGenerator[None]) -> None:
        try:
            # So that calls that are connecting close what they have: aiohttp closes no such
            # connection once its connector is closed.
            await asyncio.sleep(0)
        finally:
            await self._connections.close(self._session)
            # At the end of an event loop, asyncio closes it at the same time.
            with suppress(RuntimeError):
                await owner.aclose()


async def _keep_open(
    session: aiohttp.ClientSession, connections: Connections
) -> AsyncGenerator[None]:
    """Keep a session until this generator is closed, and then close the session.

    `asyncio.run` closes the asynchronous generators of its loop at the end. So a client without
    `aclose()` leaves no open socket behind, and can be used in the next loop.
    """
    try:
        yield
    finally:
        await connections.close(session)


def _ssl_context(config: Config, *, lent: bool) -> ssl.SSLContext | bool:
    """Return the certificate check for aiohttp; True leaves it to the session's connector.

    A client shares it with none, since a middleware of a lent session can change it.
    """
    if config.verify is False:
        return False
    try:
        if config.ca_file is None:
            return ssl.create_default_context() if lent and config.verify else True
        urls = [config.base_url, config.proxy.reveal() if config.proxy is not None else ""]
        if not any(url.startswith("https:") for url in urls):
            return True
        if (folder := Path(config.ca_file)).is_dir():
            if not any(re.fullmatch(_HASHED, each.name) for each in folder.iterdir()):
                raise ConfigurationError(
                    f"the folder {config.ca_file!r} holds no certificate under a name that OpenSSL "
                    "looks for, such as 'a1b2c3d4.0': run `openssl rehash` on it"
                )
            return ssl.create_default_context(capath=config.ca_file)
        return ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read certificates from {config.ca_file!r}") from error
