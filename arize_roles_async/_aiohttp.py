"""The client that talks to the service: sessions, sockets, and what their failures mean."""

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import aiohttp
import anyio
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from arize_roles_async._base import BaseRolesClient, Call, Transport
from arize_roles_async._config import Config, configure
from arize_roles_async._errors import (
    ClientStateError,
    ConfigurationError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
)
from arize_roles_async._options import RetryPolicy, Timeouts
from arize_roles_async._wire import MAX_BODY, Request, Response, invalid_response

_SECRET: Final = "[API key]"  # noqa: S105 - what stands in its place


class AiohttpRolesClient(BaseRolesClient):
    """A `RolesClient` that talks to Arize over HTTP.

        async with AiohttpRolesClient() as roles:
            page = await roles.list(is_predefined=False)

    It may be made anywhere; the session opens with the first call, in the event loop that runs
    then, and belongs to that loop. Where an argument is left out, the environment variables of
    Arize's own clients count, and then the defaults.

    Args:
        api_key: The key; else `ARIZE_API_KEY`.
        base_url: Scheme, host and port of the service; else `ARIZE_BASE_URL`, else what
            `ARIZE_API_SCHEME`, `ARIZE_API_HOST` and `ARIZE_API_PORT` make, with
            `ARIZE_SINGLE_HOST` and `ARIZE_SINGLE_PORT` or `ARIZE_BASE_DOMAIN` in place of the
            host; else `https://api.arize.com`. Excludes `region`.
        region: One of Arize's regions; else `ARIZE_REGION`.
        session: A session of the application's, used as it is and never closed. Its own
            middlewares and tracing see every attempt.
        timeout: Seconds for a whole call, or every limit; None is no limit.
        retry: How often a call is tried.
        max_concurrency: Requests under way at once; further calls wait in the order they came.
        headers: More headers for every request; those that the client sets are refused.
        verify: Whether the server's certificate is checked; else `ARIZE_REQUEST_VERIFY`, else
            yes.
        ca_file: Certificates of the authorities to trust, as a PEM file or a folder of them;
            else `ARIZE_SSL_CA_CERT`, `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE`, else the system's.
        proxy: The URL of an HTTP proxy; else `ARIZE_PROXY_URL`.
        allow_http: Whether the key may go unprotected to a host that is not loopback.
        sleep: Waits between attempts; for tests of the waiting itself.

    Raises:
        ConfigurationError: A value is missing, malformed or excludes another.
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
        max_concurrency: int = 64,
        headers: Mapping[str, str] | None = None,
        verify: bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        allow_http: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if isinstance(max_concurrency, bool) or max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency must be at least 1, not {max_concurrency!r}")
        config = configure(
            api_key=api_key,
            base_url=base_url,
            region=region,
            verify=verify,
            ca_file=ca_file,
            proxy=proxy,
            headers=headers,
            allow_http=allow_http,
        )
        transport = AiohttpTransport(config, session, max_concurrency, sleep)
        super().__init__(transport, Timeouts.of(timeout), retry or RetryPolicy())
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
        self._gate = asyncio.Semaphore(max_concurrency)
        self._headers = CIMultiDict(config.headers)
        self._headers_with_body = CIMultiDict(
            {**config.headers, "Content-Type": "application/json"}
        )
        self._ssl = _ssl_context(config)

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
            self._session = self._session or aiohttp.ClientSession(
                connector=_Connector(limit=0, ssl=self._ssl),
                cookie_jar=aiohttp.DummyCookieJar(),
            )

    async def send(self, request: Request, call: Call) -> Response:
        self.check_open()
        async with self._gate:
            failure = None
            call.in_flight = True
            try:
                return await self._send(request, call.timeouts)
            except RolesError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, a caller sees one of ours
                failure = error
        # Outside of the handler, so that only the cause that is safe to show hangs on it.
        raise self._meaning(request, failure, call.timeouts) from self._shown(failure)

    async def _send(self, request: Request, timeouts: Timeouts) -> Response:
        session = self._session
        assert session is not None  # noqa: S101 - check_open came first
        headers = self._headers if request.body is None else self._headers_with_body
        response = await session.request(
            request.method,
            URL(self._config.base_url + request.target, encoded=True),
            data=request.body,
            headers={**headers, **request.headers} if request.headers else headers,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=True,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=timeouts.connect, sock_read=timeouts.read
            ),
            ssl=self._ssl,
            proxy=self._config.proxy,
            # A request's middlewares replace those of its session, so they come along.
            middlewares=(*getattr(session, "_middlewares", ()), _OneSend()),
        )
        try:
            body = await _read(response)
        except BaseException:
            # Half-read, so it must not go back to the pool.
            response.close()
            raise
        answer = Response(
            status=response.status,
            headers=response.headers,
            body=body,
            secret=self._config.api_key,
        )
        if len(body) > MAX_BODY:
            response.close()
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
                return RolesTimeoutError(
                    f"{said}: no answer", limit="read", seconds=timeouts.read or 0.0, sent=True
                )
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
        return said.replace(self._config.api_key, _SECRET)

    def _shown(self, failure: BaseException) -> BaseException:
        """Return the failure as a cause, or only what it says where its chain holds the key."""
        link: BaseException | None = failure
        while link is not None:
            # aiohttp's errors quote the request's headers in their repr.
            if self._config.api_key in f"{link}{link!r}":
                return RolesError(self._safe(failure))
            link = link.__cause__ or link.__context__
        return failure

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)

    def time_limit(self, seconds: float | None) -> AbstractContextManager[object, bool]:
        return anyio.move_on_after(seconds)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._owned or self._session is None:
            return
        if self._loop is not asyncio.get_running_loop():
            raise ClientStateError("the client can only be closed in the event loop it was used in")
        await self._session.close()


class _OneSend:
    """A middleware that lets a request out once.

    aiohttp sends a GET or DELETE a second time by itself when a reused connection drops. Whether
    to try again, and what the first try may have done, is the retry loop's to know.
    """

    __slots__ = ("_failure",)

    def __init__(self) -> None:
        self._failure: BaseException | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._failure is not None:
            raise self._failure
        try:
            return await handler(request)
        except BaseException as error:
            self._failure = error
            raise


class _Connector(aiohttp.TCPConnector):
    """A connector that hands out no connection with an answer on it that nobody asked for."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection
            connection.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, or as much of it as shows that it is too long."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            break
    return b"".join(chunks)


def _ssl_context(config: Config) -> ssl.SSLContext | bool:
    if not config.verify:
        return False
    if config.ca_file is None or config.base_url.startswith("http:"):
        return True
    try:
        if Path(config.ca_file).is_dir():
            return ssl.create_default_context(capath=config.ca_file)
        return ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot read certificates from {config.ca_file!r}") from error
