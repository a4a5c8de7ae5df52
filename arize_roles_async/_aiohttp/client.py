"""The client that talks to the service: sessions, sockets, and what their failures mean."""

import asyncio
import functools
import math
import os
import re
import socket
import ssl
import struct
import time
import warnings
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from arize_roles_async._aiohttp.config import Config, check_type, configure
from arize_roles_async._aiohttp.deadlines import Deadline, Deadlines
from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._calls.driver import Destination, Driver
from arize_roles_async._calls.transport import Call, Event, TimeLimit, Transport
from arize_roles_async._client import BaseRolesClient
from arize_roles_async._values.errors import (
    ClientStateError,
    ConfigurationError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
)
from arize_roles_async._values.json import MAX_BODY
from arize_roles_async._values.options import RetryPolicy, Timeouts, check_concurrency
from arize_roles_async._version import __version__
from arize_roles_async._wire.problems import invalid_response
from arize_roles_async._wire.redaction import Secret, redact
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

_E = TypeVar("_E", bound=BaseException)

_USER_AGENT: Final = f"arize-roles-async/{__version__} aiohttp/{aiohttp.__version__}"
_SUCCESS: Final = range(200, 300)
_PROXY_AUTHENTICATION_REQUIRED: Final = 407
# The option that has a close reset the connection; Windows has it in 16 bits each.
_NO_LINGER: Final = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)
_READ_AT_ONCE: Final = 256 * 1024
"""Bytes that asyncio makes room for whenever it reads from a socket."""
# Patterns and not compiled ones: most programs that import this never need them.
_USERINFO: Final = r"(://[^\s/@:]*:)[^\s/@]+@"
# What a TLS server says if it wants a certificate of the client's, or another one.
_CERTIFICATE_WANTED: Final = (
    "CERTIFICATE_REQUIRED|ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|HANDSHAKE_FAILURE)"
)

redirect: Callable[[Destination, KeySource], Driver] | None = None
"""Chooses the driver of each call as it begins, in place of the client's own, in a test."""


class AiohttpRolesClient(BaseRolesClient):
    """A `RolesClient` that talks to Arize over HTTP.

    ```python
    async with AiohttpRolesClient() as roles:
        page = await roles.list(is_predefined=False)
    ```

    A client may be made anywhere. Its session opens with the first call, belongs to the event loop
    that runs then and ends with it; the next loop gets a new session. Two loops that are open at
    once need two clients. What no argument says comes from the environment variables of Arize's
    own clients, else from the defaults.

    The logger `arize_roles_async` reports each attempt at DEBUG and each retry at INFO, with the
    fields that the guide's page `logging` lists. To trace attempts with OpenTelemetry, use its
    instrumentation of aiohttp. This traces every session that is made later, the client's own
    included:

    ```python
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

    AioHttpClientInstrumentor().instrument()
    ```

    This traces one session, which the client is lent:

    ```python
    from opentelemetry.instrumentation.aiohttp_client import create_trace_config

    async with aiohttp.ClientSession(trace_configs=[create_trace_config()]) as session:
        page = await AiohttpRolesClient(session=session).list()
    ```

    Each attempt is a span of its own.

    Args:
        api_key: The key, or a function without arguments, synchronous or asynchronous, that returns
            it; else `ARIZE_API_KEY`. A function is asked once a call, within the call's time, as
            its first request leaves the queue (for a role's name: as the call begins), and again
            after a 401 of the service's own. If it returns another key then, the call goes on with
            that, once. Nothing is kept, so a function that takes long keeps the key itself. A
            synchronous one must not block.
        base_url: Scheme, host and port of the service, and the path in front of `/v2` where a
            gateway has one, such as `https://gateway.example/arize`; else `ARIZE_BASE_URL`, else
            what `ARIZE_API_SCHEME`, `ARIZE_API_HOST` and `ARIZE_API_PORT` make, with
            `ARIZE_SINGLE_HOST` and `ARIZE_SINGLE_PORT` or `ARIZE_BASE_DOMAIN` in place of the
            host; else `https://api.arize.com`. Excludes `region`.
        region: The name of one of Arize's regions, such as `us-east-1b`; else `ARIZE_REGION`.
        session: A session of the application's own. The client uses it as it is, in its event loop
            only, and never closes it. Its middlewares and tracing see every attempt, without the
            API key. If it sends an `Authorization` header of its own, each call is a
            `ClientStateError`. Its settings for certificates and proxies hold, whatever the
            environment says, unless `verify`, `ca_file` or `proxy` is given. An attempt that is
            given up resets its connection, as on the client's own session. A connection that only
            others have used so far counts as new: after a failure, the next attempt may still go
            out on one.
        timeout: Seconds for a whole call; None is no limit on it. The limits on connecting and on
            silence are then the default ones. `Timeouts` sets every limit.
        retry: How often a call is tried; as `RetryPolicy()` says unless given.
        max_concurrency: Requests under way at once. Further calls wait in a queue, in the
            order in which they began, and that time counts towards their limit, `timeout`.
        headers: More headers for every request; those that the client sets are refused, but for
            `User-Agent`. It is `arize-roles-async/VERSION aiohttp/VERSION` unless given here or by
            the lent session.
        verify: Whether the server's certificate is checked; else `ARIZE_REQUEST_VERIFY`, else
            yes.
        ca_file: Certificates of the authorities to trust, as a PEM file or a folder of them;
            else `ARIZE_SSL_CA_CERT`, `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`, else the system's.
            They count for the service and for an https proxy.
        proxy: The URL of an HTTP proxy; else `ARIZE_PROXY_URL`. `HTTP_PROXY` and `HTTPS_PROXY` are
            ignored, except by a lent session with `trust_env=True`. The proxy does not see the key,
            unless the service's URL is plain http.
        allow_http: Whether the key may go over plain http to a host, or through a proxy, that is
            not loopback.
        sleep: Waits between attempts; for tests of the waiting itself.

    Raises:
        ConfigurationError: A value is missing, malformed, of another type, or excludes another.
    """

    _base_url = ""
    """Empty until the client is set up, since a traceback may show it before."""

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        region: str | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout: float | Timeouts | None = 30.0,
        retry: RetryPolicy | None = None,
        max_concurrency: int = 40,
        headers: Mapping[str, str] | None = None,
        verify: bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        allow_http: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        key, url, proxy_url, more = (
            Secret(api_key),
            Secret(base_url),
            Secret(proxy),
            Secret(headers),
        )
        # A traceback may show the variables of this frame.
        del api_key, base_url, proxy, headers
        check_type("session", session, aiohttp.ClientSession | None, "an aiohttp.ClientSession")
        if not callable(sleep):
            raise ConfigurationError(f"sleep must be callable, not {type(sleep).__name__}")
        check_concurrency(max_concurrency)
        config = configure(
            api_key=key,
            base_url=url,
            region=region,
            verify=verify,
            ca_file=ca_file,
            proxy=proxy_url,
            headers=more,
            allow_http=allow_http,
            lent_session=session is not None,
        )
        _check_session(session, config)
        # Not the connector's own limit, which would starve some of the calls that wait.
        destination = Destination(AiohttpTransport(config, session, sleep), max_concurrency)
        super().__init__(destination, config.keys, Timeouts.of(timeout), RetryPolicy.of(retry))
        self._base_url = config.base_url

    def _choose_driver(self) -> Driver:
        return self._driver if redirect is None else redirect(self._destination, self._keys)

    def __repr__(self) -> str:
        return f"AiohttpRolesClient(base_url={self._base_url!r})"

    @property
    def base_url(self) -> str:
        """Scheme, host and port of the service that it talks to."""
        return self._base_url


class AiohttpTransport(Transport):
    """One session and its connections."""

    _keeper: AsyncGenerator[None] | None = None

    def __init__(
        self,
        config: Config,
        session: aiohttp.ClientSession | None,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._config = config
        # aiohttp would convert a plain dict anew for each request. Without the key, which is a
        # call's.
        self.headers = Secret(CIMultiDict(config.headers.reveal()))
        self._url = URL(config.base_url, encoded=True)
        self._base_path = self._url.raw_path.rstrip("/")
        self._lent = session
        self._sleep = sleep
        self._ssl = _ssl_context(config, lent=session is not None)
        self._closing = False
        """Whether new calls are refused."""
        self._closed = False
        self._clock = _Clock()
        # What belongs to one event loop, from here on.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadlines: Deadlines
        self.connections: _Connections
        self._session: aiohttp.ClientSession

    def check_open(self) -> bool:
        if self._closing:
            raise _closed()
        loop = _running_loop()
        if self._loop is loop:
            return False
        self._check_left()
        self._open(loop)
        return True

    def _check_left(self) -> None:
        """Raise if the event loop that the client belongs to is still open."""
        if self._loop is not None and not self._loop.is_closed():
            raise ClientStateError(
                "the client belongs to another event loop that is still open; make a client for "
                "each loop"
            )

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make what belongs to an event loop; the loop before it was closed."""
        self._discard_session()
        _keep_read_buffers()
        connections = _Connections()
        if self._lent is not None:
            if getattr(self._lent, "_loop", loop) is not loop:
                raise ClientStateError("the lent session belongs to another event loop")
            self._session = self._lent
        else:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=0, ssl=self._ssl),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": _USER_AGENT},
                proxy=None if self._config.proxy is None else self._config.proxy.reveal(),
            )
            # aiohttp's own second try would hide how the first one failed.
            self._session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._keeper = _keep_open(self._session)
            with suppress(StopIteration):
                self._keeper.asend(None).send(None)
        self.connections = connections
        self._clock.time = loop.time
        self._deadlines = Deadlines(loop, self._clock.now)
        self._loop = loop

    def _discard_session(self) -> None:
        """Drop a session whose event loop was closed before it.

        Its transports end when they are collected: asyncio closes none without their loop.
        """
        if self._keeper is None or self._session.closed:
            return
        with suppress(StopIteration):
            self._session.close().send(None)
        self._keeper = None
        del self._session, self._deadlines, self.connections

    def __del__(self) -> None:
        # The session itself is closed then by the generator that holds it.
        if self._keeper is not None and not self._session.closed:
            why = "a client was dropped without aclose()"
            warnings.warn(why, ResourceWarning, stacklevel=2, source=self)

    async def send(self, request: Request, call: Call) -> Response:
        if self._closed:
            raise _closed()
        attempt = _Attempt(self, call)
        failure: RolesError
        token = _attempt.set(weakref.ref(attempt))
        try:
            answer = await self._exchange(request, attempt)
        except asyncio.CancelledError as error:
            attempt.reset()
            interruption = self._interruption(request, call)
            if interruption is None:
                raise _without_frames(error)  # noqa: B904 - it is the same one
            attempt.distrust()
            failure, cause = interruption, None
        except _OwnAuthorizationError:
            failure, cause = _own_authorization(), None
        except Exception as error:  # noqa: BLE001 - a caller sees only our own errors
            attempt.reset()
            attempt.distrust()
            failure, cause = (
                self._translate(request, error, call),
                self._redacted_cause(error, call),
            )
        else:
            return self._checked(request, answer)
        finally:
            try:  # noqa: SIM105 - suppress() takes longer
                _attempt.reset(token)
            except ValueError:
                # The event loop was closed before its task, which now ends in another context.
                pass
            _deadline(call).reset()
        # Raised outside the handlers, so that it carries no exception but the cause, which is safe.
        raise failure from cause

    def _interruption(self, request: Request, call: Call) -> RolesError | None:
        """Return what interrupted an attempt; None if somebody cancelled the call."""
        limit = _deadline(call)
        if limit.caught_read_timeout():
            return RolesTimeoutError(
                f"{request}: no answer",
                limit="read",
                seconds=call.timeouts.read or 0.0,
                sent=True,
            )
        if limit.is_cancelled(closed=self._session.closed):
            return None
        # aiohttp cancels what it waits for when a session is closed: a resolver, a connection.
        return self._translate(request, aiohttp.ClientConnectionError("it was closed"), call)

    async def _exchange(self, request: Request, attempt: "_Attempt") -> Response:
        call = attempt.call
        headers = request.headers
        if request.body is not None:
            headers = {"Content-Type": "application/json", **headers}
        if "User-Agent" not in self._session.headers:
            headers = {"User-Agent": _USER_AGENT, **headers}
        path, _, query = request.target.partition("?")
        base = self._url
        response = await self._request(attempt)(
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
            allow_redirects=False,
            timeout=_client_timeout(call.timeouts.connect),
        )
        content = response.content
        try:
            # By now, most answers are complete.
            if content.is_eof():
                body = content.read_nowait()
            else:
                with attempt.ending(content):
                    body = await _read(content, lambda: self.limit_silence(call, self.now()))
        finally:
            if content.at_eof():
                attempt.complete()
            else:
                # Half-read, so it must not go back to the pool.
                response.close()
                attempt.reset()
        return Response(
            status=response.status,
            headers=response.headers,
            body=body,
            keys=call.keys,
        )

    def limit_silence(self, call: Call, now: float) -> None:
        """End the attempt if the service is silent for too long from now on."""
        if (seconds := call.timeouts.read) is not None:
            _deadline(call).reschedule(now + seconds)

    def _checked(self, request: Request, answer: Response) -> Response:
        if answer.status == _PROXY_AUTHENTICATION_REQUIRED:
            raise self._proxy_refusal(request)
        # For a failure the status counts, however long its body is.
        if len(answer.body) > MAX_BODY and answer.status in _SUCCESS:
            raise invalid_response(request, answer, f"it is longer than {MAX_BODY >> 20} MiB")
        return answer

    def _request(self, attempt: "_Attempt") -> Callable[..., Awaitable[aiohttp.ClientResponse]]:
        """Return what sends a request; on a lent session, with the settings that it needs."""
        if self._lent is None:
            return self._session.request
        return functools.partial(
            self._session.request,
            raise_for_status=False,
            auto_decompress=True,
            ssl=self._ssl,
            proxy=None if self._config.proxy is None else self._config.proxy.reveal(),
            # A request's middlewares replace those of its session, so they come along.
            middlewares=(*getattr(self._session, "_middlewares", ()), attempt),
        )

    def _translate(self, request: Request, failure: Exception, call: Call) -> RolesError:  # noqa: PLR0911 - one case a kind of failure
        match failure:
            case aiohttp.ConnectionTimeoutError():
                return RolesTimeoutError(
                    f"{request}: no connection to {self._route}",
                    limit="connect",
                    seconds=call.timeouts.connect or 0.0,
                )
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
                why = f"the server's certificate is not trusted: {self._redacted(failure, call)}"
                return RolesConnectionError(f"{request}: {why}", certificate=True)
            case OSError() if re.search(_CERTIFICATE_WANTED, str(failure)):
                asks = "may ask" if "HANDSHAKE_FAILURE" in str(failure) else "asks"
                why = f"{self._service} {asks} for a client certificate: lend a session with one"
                return RolesConnectionError(
                    f"{request}: {why}: {self._redacted(failure, call)}", certificate=True
                )
            case aiohttp.ClientProxyConnectionError(host=host, port=port, os_error=error):
                why = f"cannot connect to the proxy {host}:{port} on the way to {self._service}"
                return RolesConnectionError(f"{request}: {why}: {self._redacted(error, call)}")
            case aiohttp.ClientConnectorError(host=host, port=port, os_error=error):
                is_service = host == URL(self._config.base_url).raw_host
                where = self._route if is_service else f"{host}:{port}"
                why = f"cannot connect to {where}: {self._redacted(error, call)}"
                return RolesConnectionError(f"{request}: {why}")
            case aiohttp.ClientHttpProxyError(status=407):
                return self._proxy_refusal(request)
            case aiohttp.ClientHttpProxyError():
                why = f"{self._proxy} refused to connect to {self._service}"
                return RolesConnectionError(f"{request}: {why}: {self._redacted(failure, call)}")
            case ValueError() if not isinstance(failure, aiohttp.ClientError):
                why = f"the session refused it: {self._redacted(failure, call)}"
                return ConfigurationError(f"{request}: {why}")
            case _ if self._session.closed and not call.in_flight:
                return ClientStateError("the session is closed")
            case _:
                why = "the connection failed before a whole answer came"
                return RolesConnectionError(
                    f"{request}: {why}: {self._redacted(failure, call)}", sent=call.in_flight
                )

    def _proxy_refusal(self, request: Request) -> RolesConnectionError:
        if self._proxy_url and not self._has_proxy_user:
            why = "asks for a user and password (407), and the proxy's URL has none"
        else:
            why = (
                "refused the credentials of the client (407): check the user and password in the "
                "proxy's URL"
            )
        return RolesConnectionError(f"{request}: {self._proxy} {why}", credentials=True)

    @property
    def peer(self) -> str:
        """The host that it connects to: the proxy's, if there is one, else the service's."""
        return URL(self._proxy_url or self._config.base_url).host or ""

    @property
    def _service(self) -> str:
        return _place(URL(self._config.base_url))

    @property
    def _proxy(self) -> str:
        """The proxy, without its credentials."""
        url = self._proxy_url
        return f"the proxy {_place(URL(url))}" if url else "the proxy"

    @property
    def _proxy_url(self) -> str | URL | None:
        """The URL of the proxy; None if there is none, or a lent session reads the environment."""
        if self._config.proxy is not None:
            return self._config.proxy.reveal()
        return None if self._lent is None else getattr(self._session, "_default_proxy", None)

    @property
    def _has_proxy_user(self) -> bool:
        """Whether the client has credentials for the proxy."""
        own = getattr(self._session, "_default_proxy_auth", None)
        return own is not None or URL(self._proxy_url or "").user is not None

    @property
    def _route(self) -> str:
        return (
            self._service
            if self._proxy == "the proxy"
            else f"{self._service} through {self._proxy}"
        )

    def _redacted(self, failure: BaseException, call: Call) -> str:
        """Return what a failure says, without the call's keys and a proxy's password."""
        text = f"{type(failure).__name__}: {failure}".removesuffix(": ")
        return re.sub(_USERINFO, r"\1[password]@", redact(text, *call.keys))

    def _redacted_cause(self, failure: BaseException, call: Call) -> BaseException:
        """Return the failure as a cause, or only what it says if its chain shows a secret."""
        link: BaseException | None = failure
        while link is not None:
            # aiohttp's errors quote the request's headers in their repr.
            text = f"{link}{link!r}"
            if redact(text, *call.keys) != text or re.search(_USERINFO, text):
                return RolesError(self._redacted(failure, call))
            link = _next_link(link)
        return _without_frames(failure)

    def now(self) -> float:
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        end = self.now() + seconds
        await self._sleep(seconds)
        self._clock.skipped += max(0.0, end - self.now())

    def event(self, call: Call) -> Event:
        del call  # Its limit ends the wait.
        return _Event(self._deadlines.loop, None if self._sleep is asyncio.sleep else self.sleep)

    def time_limit(self, call: Call) -> TimeLimit:
        return Deadline(self._deadlines, call)

    async def aclose(self, grace: float) -> None:
        # One that never opened may be closed anywhere.
        is_here = self._loop is not None and self._loop is _running_loop()
        if self._lent is None and not is_here:
            self._check_left()
            self._discard_session()
        self._closing = True
        try:
            if is_here and grace:
                await self._deadlines.ended(grace)
        finally:
            self._closed = True
            if is_here:
                self._deadlines.close()
                keeper, self._keeper = self._keeper, None
                if keeper is not None:
                    await keeper.aclose()


class _Clock:
    """The clock of an event loop, ahead by what an injected `sleep` skipped.

    Apart from the transport, which would else be kept by a timer that looks at the clock.
    """

    def __init__(self) -> None:
        self.time: Callable[[], float] = time.monotonic
        self.skipped = 0.0
        """Seconds that `sleep` was asked to wait and did not."""

    def now(self) -> float:
        return self.time() + self.skipped


def _keep_read_buffers() -> None:
    """Have glibc keep the memory that asyncio reads into, instead of mapping it for each read.

    Until it has freed a larger block once, glibc maps each one of 128 KiB or more by itself and
    unmaps it again, which takes three system calls and page faults. TLS frees one anyway.
    """
    bytes(2 * _READ_AT_ONCE)


async def _keep_open(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    """Hold a session until this generator is closed.

    An event loop that ends closes the generators that began in it, so that the session of a client
    that nobody closed ends with its loop, as the loops of `asyncio.run` come and go.
    """
    try:
        yield
    finally:
        await session.close()


class _Event:
    """An event for one task; asyncio's keeps a list of those that wait, which takes longer.

    Args:
        loop: The running event loop.
        sleep: The sleep that was injected, if one was; no event can end it.
    """

    __slots__ = ("_future", "_loop", "_sleep")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sleep: Callable[[float], Awaitable[object]] | None,
    ) -> None:
        self._loop = loop
        self._sleep = sleep
        self._future: asyncio.Future[bool] = loop.create_future()

    def set(self) -> None:
        self._finish(was_set=True)

    def wait(self, seconds: float) -> Awaitable[bool]:
        return self._future if seconds == math.inf else self._wait(seconds)

    async def _wait(self, seconds: float) -> bool:
        if self._sleep is not None:
            await self._sleep(seconds)
            return self._future.done()
        if not seconds:
            # A timer would take one more step of the event loop, in which others go first.
            await asyncio.sleep(0)
            return self._future.done()
        timer = self._loop.call_later(seconds, functools.partial(self._finish, was_set=False))
        try:
            return await self._future
        finally:
            timer.cancel()

    def _finish(self, *, was_set: bool) -> None:
        if not self._future.done():
            self._future.set_result(was_set)


class _Connections:
    """Which connections of a session may carry a request."""

    def __init__(self) -> None:
        self._numbers: dict[ResponseHandler, int] = {}
        self.opened = 0
        """How many there were so far."""
        self.distrusted = 0
        """How many of these, from the first on, carry no more requests, because one has failed."""

    def may_carry(self, connection: ResponseHandler) -> bool:
        """Tell whether a connection may carry a request.

        Raises:
            ServerDisconnectedError: It is new, and the server sent something already.
        """
        number = self._numbers.get(connection)
        if number is not None:
            # An answer that nobody asked for would go to the next request on the connection.
            return number > self.distrusted and not connection.should_close
        if connection.should_close:
            raise aiohttp.ServerDisconnectedError("the server answered before it was asked")
        self.opened += 1
        self._numbers[connection] = self.opened
        closed: Any = connection.closed
        closed.add_done_callback(functools.partial(self._drop, connection))
        return True

    def _drop(self, connection: ResponseHandler, closed: asyncio.Future[None]) -> None:
        del self._numbers[connection]
        # asyncio would log that nobody asked how it ended. A close that is cancelled cancels it.
        with suppress(asyncio.CancelledError):
            closed.exception()


class _Attempt:
    """One attempt, which sends its request once.

    aiohttp sends a GET or DELETE a second time by itself when a reused connection drops. But the
    call machine decides whether to try again, and must know of each try.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_failure",
        "_opened",
        "_protocol",
        "_socket",
        "_transport",
        "call",
    )

    def __init__(self, client: AiohttpTransport, call: Call) -> None:
        self._client = client
        self.call = call
        self._protocol: ResponseHandler | None = None
        self._transport: asyncio.Transport | None = None
        self._socket: TransportSocket
        self._failure: BaseException | None = None
        self._opened = 0

    def refuse_second(self) -> None:
        """Raise what the first connection ended in, if there was one."""
        if self._protocol is not None:
            raise self._protocol.exception() or aiohttp.ServerDisconnectedError

    def take(self, request: aiohttp.ClientRequest, connection: Connection) -> bool:
        """Take a connection, unless it must not carry the request.

        From here on the request may reach the service, which may be silent.
        """
        client, protocol = self._client, cast("Any", connection.protocol)
        if not client.connections.may_carry(protocol):
            return False
        self._protocol = protocol
        self._transport = protocol.transport
        # Now, since asyncio's TLS transport has no socket any more once it was closed twice.
        self._socket = protocol.transport.get_extra_info("socket")
        self._opened = client.connections.opened
        # Added only now, so that nothing before this, such as a proxy or a tracer, sees the key.
        request.headers.update(client.headers.reveal())
        request.headers["Authorization"] = self._authorization
        now = client.now()
        self.call.mark_sent(now)
        client.limit_silence(self.call, now)
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
        """Note that the whole answer is there, so that the connection may be used again."""
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
        """Let no connection that was there when this one failed carry another request.

        What broke one, such as a firewall that forgot it, often broke the others as well.
        """
        connections = self._client.connections
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
            raise _OwnAuthorizationError
        send = request.send

        async def send_checked(connection: Connection) -> aiohttp.ClientResponse:
            if not self.take(request, connection):
                raise _UnfitError
            return await send(connection)

        # A middleware does not see which connection aiohttp chose; `send` is handed it.
        setattr(request, "send", send_checked)  # noqa: B010 - no type checker sees a method as one
        try:
            while True:
                with suppress(_UnfitError):
                    return await handler(request)
        except BaseException as error:
            self._failure = error
            raise


class _OwnAuthorizationError(Exception):
    """The lent session sends an `Authorization` of its own."""


class _UnfitError(Exception):
    """A connection that must not carry the request; aiohttp closes it."""


_attempt: ContextVar[weakref.ref[_Attempt]] = ContextVar("_attempt")
"""The attempt that the running task makes.

Weak, since asyncio keeps the context in which a connection was made as long as the connection.
"""


class _Connector(aiohttp.TCPConnector):
    """A connector that hands out only connections that may carry the attempt's request."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        attempt = cast("_Attempt", _attempt.get()())
        attempt.refuse_second()
        while True:
            connection = await super().connect(req, traces, timeout)
            if attempt.take(req, connection):
                return connection
            connection.close()


def _own_authorization() -> ClientStateError:
    return ClientStateError(
        "the lent session sends an Authorization header of its own, where the API key belongs: "
        "from its default headers, a middleware, or netrc"
    )


def _closed() -> ClientStateError:
    return ClientStateError("the client is closed")


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise ClientStateError("AiohttpRolesClient runs under asyncio only") from error


async def _read(content: aiohttp.StreamReader, before_each: Callable[[], object]) -> bytes:
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


@functools.lru_cache
def _client_timeout(connect: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _deadline(call: Call) -> Deadline:
    limit = call.time_limit
    assert isinstance(limit, Deadline)  # noqa: S101 - `AiohttpTransport.time_limit` made it
    return limit


def _place(url: URL) -> str:
    return f"{url.host_subcomponent}:{url.port}"


def _without_frames(error: _E) -> _E:
    """Return an error after removing the frames that may hold the key from its traceback.

    These are the frames of aiohttp, asyncio and this module, in its causes and contexts, too.
    """
    link: BaseException | None = error
    while link is not None:
        frames: list[TracebackType] = []
        frame = link.__traceback__
        while frame is not None:
            module = frame.tb_frame.f_globals.get("__name__", "")
            if module != __name__ and module.partition(".")[0] not in {"aiohttp", "asyncio"}:
                frames.append(frame)
            frame = frame.tb_next
        kept: TracebackType | None = None
        for frame in reversed(frames):
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
        link = _next_link(link.with_traceback(kept))
    return error


def _next_link(error: BaseException) -> BaseException | None:
    return error.__cause__ or error.__context__


def _check_session(session: aiohttp.ClientSession | None, config: Config) -> None:
    if session is not None and session.auth is not None:
        raise ConfigurationError("session must have no auth of its own, since the API key is sent")
    connector = None if session is None else session.connector
    if connector is None or isinstance(connector, aiohttp.TCPConnector):
        return
    given = {"verify": config.verify, "ca_file": config.ca_file, "proxy": config.proxy}
    for name in (name for name, value in given.items() if value is not None):
        raise ConfigurationError(
            f"{name} and session cannot both be given: {name} has no effect on a session with a "
            f"{type(connector).__name__}"
        )


def _ssl_context(config: Config, *, lent: bool) -> ssl.SSLContext | bool:
    """Return what aiohttp checks certificates with; True leaves it to the session's connector."""
    if config.verify is False:
        return False
    try:
        if config.ca_file is None:
            return ssl.create_default_context() if lent and config.verify else True
        urls = [config.base_url, config.proxy.reveal() if config.proxy is not None else ""]
        if not any(url.startswith("https:") for url in urls):
            return True
        if Path(config.ca_file).is_dir():
            return ssl.create_default_context(capath=config.ca_file)
        return ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read certificates from {config.ca_file!r}") from error
