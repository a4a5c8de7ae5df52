"""The client that talks to the service: sessions, sockets, and what their failures mean."""

import asyncio
import functools
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Final, Required, TypedDict

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType, ClientMiddlewareType
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from arize_roles_async._client import BaseRolesClient
from arize_roles_async._config import Config, check_type, configure
from arize_roles_async._deadlines import Deadlines
from arize_roles_async._errors import (
    ClientStateError,
    ConfigurationError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
)
from arize_roles_async._options import RetryPolicy, Timeouts
from arize_roles_async._secrets import Secret
from arize_roles_async._transport import Call, TimeLimit, Transport
from arize_roles_async._wire import MAX_BODY, Request, Response, invalid_response

# What stands in the place of a secret.
_API_KEY: Final = "[API key]"
_PASSWORD: Final = "[password]"  # noqa: S105


class AiohttpRolesClient(BaseRolesClient):
    """A `RolesClient` that talks to Arize over HTTP.

        async with AiohttpRolesClient() as roles:
            page = await roles.list(is_predefined=False)

    It may be made anywhere; the session opens with the first call, in the event loop that runs
    then, and belongs to that loop. Where an argument is left out, the environment variables of
    Arize's own clients count, and then the defaults.

    The logger `arize_roles_async` tells of each attempt at DEBUG and of each retry at INFO. To
    trace attempts with OpenTelemetry, use its instrumentation of aiohttp, for every session that
    is made after it, the client's own included:

        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

        AioHttpClientInstrumentor().instrument()

    or for one session that the client is lent:

        from opentelemetry.instrumentation.aiohttp_client import create_trace_config

        async with aiohttp.ClientSession(trace_configs=[create_trace_config()]) as session:
            page = await AiohttpRolesClient(session=session).list()

    Each attempt is a span of its own.

    Args:
        api_key: The key; else `ARIZE_API_KEY`.
        base_url: Scheme, host and port of the service, without `/v2`; else `ARIZE_BASE_URL`, else
            what `ARIZE_API_SCHEME`, `ARIZE_API_HOST` and `ARIZE_API_PORT` make, with
            `ARIZE_SINGLE_HOST` and `ARIZE_SINGLE_PORT` or `ARIZE_BASE_DOMAIN` in place of the
            host; else `https://api.arize.com`. Excludes `region`.
        region: One of Arize's regions; else `ARIZE_REGION`.
        session: A session of the application's, used as it is and never closed. Its own
            middlewares and tracing see every attempt. What it says about certificates and proxies
            holds, whatever the environment says, unless `verify`, `ca_file` or `proxy` is given.
        timeout: Seconds for a whole call, or every limit; None is no limit.
        retry: How often a call is tried.
        max_concurrency: Requests under way at once; further calls wait in the order they came.
        headers: More headers for every request; those that the client sets are refused.
        verify: Whether the server's certificate is checked; else `ARIZE_REQUEST_VERIFY`, else
            yes.
        ca_file: Certificates of the authorities to trust, as a PEM file or a folder of them;
            else `ARIZE_SSL_CA_CERT`, `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`, else the system's.
            They count for the service and for an https proxy.
        proxy: The URL of an HTTP proxy; else `ARIZE_PROXY_URL`. It is not told the key, unless
            the service is spoken to over plain http.
        allow_http: Whether the key may go over plain http to a host, or through a proxy, that is
            not loopback.
        sleep: Waits between attempts; for tests of the waiting itself.

    Raises:
        ConfigurationError: A value is missing, malformed, of another type, or excludes another.
    """

    def __init__(
        self,
        api_key: str | None = None,
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
        _check_bound(max_concurrency)
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
        transport = AiohttpTransport(config, session, max_concurrency, sleep)
        super().__init__(transport, Timeouts.of(timeout), RetryPolicy.of(retry))
        self._base_url = config.base_url

    def __repr__(self) -> str:
        return f"AiohttpRolesClient(base_url={self._base_url!r})"


class AiohttpTransport(Transport):
    """One session, its connections and the gate in front of them."""

    def __init__(
        self,
        config: Config,
        session: aiohttp.ClientSession | None,
        max_concurrency: int,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._config = config
        self._session = session
        self._owned = session is None
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        # A gate lets callers in as they came; the connector's own limit starves some of them.
        # Its default is below where each batch of calls sets off the garbage collector (3 %).
        self._gate = asyncio.Semaphore(max_concurrency)
        # With each request: what a session sends by default goes to proxies as well.
        each = config.headers.reveal()
        self._headers = CIMultiDict(each)
        self._headers_with_body = CIMultiDict({**each, "Content-Type": "application/json"})
        self._ssl = _ssl_context(config, lent=not self._owned)
        self._proxy = None if config.proxy is None else config.proxy.reveal()
        # The key as it stands in a repr, and as it is.
        key = config.api_key.reveal()
        self._secrets = {repr(key)[1:-1]: _API_KEY, key: _API_KEY}
        if self._proxy is not None and (password := URL(self._proxy).raw_password):
            self._secrets[password] = _PASSWORD
        self._deadlines: Deadlines | None = None

    def check_open(self) -> None:
        if self._closed:
            raise ClientStateError("the client is closed")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise ClientStateError("AiohttpRolesClient runs under asyncio only") from error
        if self._loop is not loop:
            if self._loop is not None:
                raise ClientStateError(
                    "the client belongs to another event loop; make one for each loop"
                )
            self._loop = loop
            self._deadlines = Deadlines(loop)
            self._session = self._session or aiohttp.ClientSession(
                connector=_Connector(limit=0, ssl=self._ssl),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self._proxy,
            )

    async def send(self, request: Request, call: Call) -> Response:
        self.check_open()
        limit, silence = call.limit, call.timeouts.read
        assert self._session is not None  # noqa: S101 - check_open came first
        headers = self._headers if request.body is None else self._headers_with_body
        attempt = _Attempt(call, self.now)
        _attempt.set(attempt)
        response = None
        failure: RolesError
        await self._gate.acquire()
        try:
            response = await self._session.request(
                request.method,
                URL(self._config.base_url + request.target, encoded=True),
                data=request.body,
                headers={**headers, **request.headers} if request.headers else headers,
                allow_redirects=False,
                **self._settings(call, attempt),
            )
            limit.reschedule(silence)
            body = await response.content.readany()
            if not response.content.at_eof():
                body = await _whole(body, response.content, lambda: limit.reschedule(silence))
            return self._answer(request, response, body)
        except asyncio.CancelledError:
            if not limit.caught_read_timeout():
                raise
            failure, cause = _silent(request, silence), None
        except RolesError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, a caller sees one of ours
            failure, cause = self._meaning(request, error, call.timeouts), self._shown(error)
        finally:
            self._gate.release()
            limit.reset()
            if response is not None and not response.content.at_eof():
                # Half-read, so it must not go back to the pool.
                response.close()
        # Outside of the handlers, so that only the cause that is safe to show hangs on it.
        raise failure from cause

    def _settings(self, call: Call, attempt: "_Attempt") -> "_Settings":
        """Return what a session has to be told with each request, as it is not our own."""
        if self._owned:
            return {"timeout": _client_timeout(call.timeouts.connect, None)}
        # Only a connector of our own tells when a connection is there, and counts the sends.
        call.mark_sent(self.now())
        return {
            "timeout": _client_timeout(call.timeouts.connect, call.timeouts.read),
            "raise_for_status": False,
            "auto_decompress": True,
            "ssl": self._ssl,
            "proxy": self._proxy,
            # A request's middlewares replace those of its session, so they come along.
            "middlewares": (*getattr(self._session, "_middlewares", ()), attempt),
        }

    def _answer(self, request: Request, response: aiohttp.ClientResponse, body: bytes) -> Response:
        answer = Response(
            status=response.status,
            headers=response.headers,
            body=body,
            secret=self._config.api_key.reveal(),
        )
        # A failure is what its status says, however much is said about it.
        if len(body) > MAX_BODY and response.ok:
            raise invalid_response(request, answer, f"it is longer than {MAX_BODY >> 20} MiB")
        return answer

    def _meaning(  # noqa: PLR0911 - one case a kind of failure
        self, request: Request, failure: Exception, timeouts: Timeouts
    ) -> RolesError:
        said = f"{request.method} {request.path}"
        match failure:
            case aiohttp.ConnectionTimeoutError():
                return RolesTimeoutError(
                    f"{said}: no connection", limit="connect", seconds=timeouts.connect or 0.0
                )
            case aiohttp.ServerTimeoutError():
                return _silent(request, timeouts.read)
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
                why = f"the server's certificate is not trusted: {self._safe(failure)}"
                return RolesConnectionError(f"{said}: {why}", certificate=True)
            case aiohttp.ClientConnectorError(host=host, port=port, os_error=error):
                why = f"cannot connect to {host}:{port}: {self._safe(error)}"
                return RolesConnectionError(f"{said}: {why}")
            case aiohttp.ClientHttpProxyError():
                why = f"the proxy refused it: {self._safe(failure)}"
                return RolesConnectionError(f"{said}: {why}")
            case ValueError() if not isinstance(failure, aiohttp.ClientError):
                return ConfigurationError(f"{said}: the session refused it: {self._safe(failure)}")
            case RuntimeError() if self._session is not None and self._session.closed:
                return ClientStateError("the session is closed")
            case _:
                why = f"the connection failed before a whole answer came: {self._safe(failure)}"
                return RolesConnectionError(f"{said}: {why}", sent=True)

    def _safe(self, failure: BaseException) -> str:
        said = f"{type(failure).__name__}: {failure}".removesuffix(": ")
        for secret, stand_in in self._secrets.items():
            said = said.replace(secret, stand_in)
        return said

    def _shown(self, failure: BaseException) -> BaseException:
        """Return the failure as a cause, or only what it says where its chain holds the key."""
        link: BaseException | None = failure
        while link is not None:
            # aiohttp's errors quote the request's headers in their repr.
            shown = f"{link}{link!r}"
            if any(secret in shown for secret in self._secrets):
                return RolesError(self._safe(failure))
            link = link.__cause__ or link.__context__
        return failure

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)

    def time_limit(self, call: Call) -> TimeLimit:
        assert self._deadlines is not None  # noqa: S101 - check_open came first
        return self._deadlines.limit(call)

    async def aclose(self) -> None:
        if self._owned and self._loop not in {None, asyncio.get_running_loop()}:
            raise ClientStateError("the client can only be closed in the event loop it was used in")
        self._closed = True
        if self._deadlines is not None:
            self._deadlines.close()
        if self._owned and self._session is not None:
            await self._session.close()


class _Attempt:
    """One attempt, which sends its request once.

    aiohttp sends a GET or DELETE a second time by itself when a reused connection drops. Whether
    to try again, and what the first try may have done, is the retry loop's to know.
    """

    __slots__ = ("_call", "_failure", "_now", "_protocol")

    def __init__(self, call: Call, now: Callable[[], float]) -> None:
        self._call = call
        self._now = now
        self._protocol: ResponseHandler | None = None
        self._failure: BaseException | None = None

    def refuse_second(self) -> None:
        """Raise what the first connection ended in, where there was one."""
        if self._protocol is not None:
            raise self._protocol.exception() or aiohttp.ServerDisconnectedError

    def connected(self, protocol: ResponseHandler | None) -> None:
        """Note that from here on the request may reach the service, which may be silent."""
        self._protocol = protocol
        self._call.mark_sent(self._now())
        self._call.limit.reschedule(self._call.timeouts.read)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Let the request out once: a middleware, for a session that has a connector of its own."""
        if self._failure is not None:
            raise self._failure
        try:
            return await handler(request)
        except BaseException as error:
            self._failure = error
            raise


_attempt: ContextVar[_Attempt] = ContextVar("_attempt")
"""The attempt that the running task makes."""


class _Connector(aiohttp.TCPConnector):
    """A connector that hands out no connection with an answer on it that nobody asked for."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        attempt = _attempt.get()
        attempt.refuse_second()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                attempt.connected(protocol)
                return connection
            connection.close()


class _Settings(TypedDict, total=False):
    timeout: Required[aiohttp.ClientTimeout]
    raise_for_status: bool
    auto_decompress: bool
    ssl: ssl.SSLContext | bool
    proxy: str | None
    middlewares: tuple[ClientMiddlewareType, ...]


def _silent(request: Request, silence: float | None) -> RolesTimeoutError:
    said = f"{request.method} {request.path}: no answer"
    return RolesTimeoutError(said, limit="read", seconds=silence or 0.0, sent=True)


async def _whole(body: bytes, content: aiohttp.StreamReader, heard: Callable[[], object]) -> bytes:
    """Return the body that begins so, or as much of it as shows that it is too long."""
    chunks = [body]
    size = len(body)
    while size <= MAX_BODY and not content.at_eof():
        heard()
        chunks.append(await content.readany())
        size += len(chunks[-1])
    return b"".join(chunks)


@functools.lru_cache
def _client_timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read)


def _check_bound(max_concurrency: object) -> None:
    bound = max_concurrency
    if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
        raise ConfigurationError(f"max_concurrency must be an integer of at least 1, not {bound!r}")


def _check_session(session: aiohttp.ClientSession | None, config: Config) -> None:
    connector = None if session is None else session.connector
    if connector is None or isinstance(connector, aiohttp.TCPConnector):
        return
    given = {"verify": config.verify, "ca_file": config.ca_file, "proxy": config.proxy}
    for name in (name for name, value in given.items() if value is not None):
        raise ConfigurationError(
            f"{name} and session exclude one another: {name} has no effect on a session with a "
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
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot read certificates from {config.ca_file!r}") from error
