"""The client that talks to the service, and its transport: sessions, time and closing."""

import asyncio
import functools
import os
import re
import ssl
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from arize_roles_async._aiohttp.config import Config
from arize_roles_async._aiohttp.connections import (
    Attempt,
    Connections,
    PrivateCopy,
    keep_read_buffers,
    sent_by_attempt,
)
from arize_roles_async._aiohttp.failures import Failures, holds_no_headers
from arize_roles_async._aiohttp.hooks import AiohttpShared
from arize_roles_async._aiohttp.internals import body_of, check_aiohttp, loop_of, middlewares_of
from arize_roles_async._aiohttp.time_limits import AsyncioTransport, running_loop
from arize_roles_async._arize import BaseArizeClient
from arize_roles_async._calls.api_key import ApiKey
from arize_roles_async._calls.transport import Call
from arize_roles_async._values.errors import ClientStateError, ConfigurationError, RolesError
from arize_roles_async._values.json import MAX_BODY
from arize_roles_async._values.options import DEFAULT_TIMEOUT, RetryPolicy, Timeouts, check_type
from arize_roles_async._version import __version__
from arize_roles_async._wire.problems import invalid_response
from arize_roles_async._wire.redaction import redacted_cause
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import SUCCESS, Response
from arize_roles_async._wire.secrets import Secret, takes_secrets, without_frames

_USER_AGENT: Final = f"arize-roles-async/{__version__} aiohttp/{aiohttp.__version__}"
_REFUSALS: Final = range(400, 600)
_PROXY_AUTHENTICATION_REQUIRED: Final = 407
_HASHED: Final = r"[0-9a-f]{8}\.[0-9]+"
"""The names of certificates in a folder that OpenSSL reads."""
_client_timeout: Final = functools.lru_cache(aiohttp.ClientTimeout)
"""Returns limits of aiohttp's: making them takes 8 us, a fifteenth of a call."""


class AiohttpRolesClient(BaseArizeClient):
    """A `RolesClient` that talks to Arize over HTTP.

    ```python
    async with AiohttpRolesClient() as roles:
        page = await roles.list(is_predefined=False)
    ```

    A client may be made anywhere. Its session opens with the first call, belongs to the event loop
    that runs then and ends with it; the next loop gets a new session. Two loops that are open at
    once need two clients. Settings not passed as arguments come from the environment variables of
    Arize's own clients, then from defaults.

    The logger `arize_roles_async` reports each attempt at DEBUG and each retry at INFO, with the
    fields that the guide's page `logging` lists; the page `configuration` shows traces.

    Args:
        api_key: The key, or a function without arguments, synchronous or asynchronous, that
            returns it; else `ARIZE_API_KEY`. A key has letters, digits and `-._~+/`, and `=` at
            its end, at most 4,096 characters. A function is called once a call, within the call's
            time, when the first request leaves the queue (for a role's name: when the call
            begins), and again after a 401 of the service itself. If it then returns another key,
            the call continues with that key, once. The client caches no key, so a slow function
            should cache its own. A synchronous function must not block.
        base_url: Scheme, host and port of the service, and the path in front of `/v2` where a
            gateway has one, such as `https://gateway.example/arize`; else `ARIZE_BASE_URL`, else
            what `ARIZE_API_SCHEME`, `ARIZE_API_HOST` and `ARIZE_API_PORT` make, with
            `ARIZE_SINGLE_HOST` and `ARIZE_SINGLE_PORT` or `ARIZE_BASE_DOMAIN` in place of the
            host; else `https://api.arize.com`. Excludes `region`.
        region: The name of one of Arize's regions, such as `us-east-1b`; else `ARIZE_REGION`.
        session: A session of the application's own. The client uses it as it is, in its event loop
            only, and never closes it. The guide's page `errors-and-retries` says what its
            middlewares and tracers see and may do. If it sends an `Authorization` header of its
            own, the call is a `ClientStateError`. Waiting for a connection of its pool counts
            towards the limit of the call alone. Its settings for certificates and proxies hold,
            whatever the environment says, unless `verify`, `ca_file` or `proxy` is given. An
            attempt that is given up resets its connection, as on the client's own session; the next
            one may go out on a connection that only others have used so far.
        timeout: Seconds for a whole call; None is no limit. The limits on connecting and on silence
            are then the defaults. `Timeouts` sets every limit.
        retry: Number of attempts and waits between them; `RetryPolicy()` by default.
        max_concurrency: Requests under way at once. Further calls wait in a queue, in the
            order in which they began, and that time counts towards their limit, `timeout`.
        headers: More headers for every request. Headers that the client sets itself are refused,
            except `User-Agent`, which is `arize-roles-async/VERSION aiohttp/VERSION` unless given
            here or by the lent session.
        verify: Whether the server's certificate is checked; else `ARIZE_REQUEST_VERIFY`, else
            yes. If the variable turns it off for another machine, that is an `InsecureWarning`.
        ca_file: Certificates of the authorities to trust, as a PEM file, or a folder that
            `openssl rehash` was run on; else `ARIZE_SSL_CA_CERT`, `REQUESTS_CA_BUNDLE` or
            `SSL_CERT_FILE`, else the system's. They count for the service and for an https proxy.
            Excludes `verify=False`.
        proxy: The URL of an HTTP proxy; else `ARIZE_PROXY_URL`. `HTTP_PROXY` and `HTTPS_PROXY` are
            ignored, except by a lent session with `trust_env=True`. The proxy does not see the key,
            unless the service's URL is plain http.
        allow_http: Whether the key may go over plain http to a host, or through a proxy, that is
            not loopback.

    Raises:
        ConfigurationError: A value is missing, malformed, of another type, or excludes another.
    """

    _base_url = ""
    """Empty until the client is set up, since a traceback may show it before."""

    @takes_secrets
    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        region: str | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout: float | Timeouts | None = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        max_concurrency: int = 40,
        headers: Mapping[str, str] | None = None,
        verify: bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        allow_http: bool = False,
    ) -> None:
        check_type("session", session, aiohttp.ClientSession | None, "an aiohttp.ClientSession")
        check_aiohttp(session)
        config = Config(
            api_key=api_key,
            base_url=base_url,
            region=region,
            verify=verify,
            ca_file=ca_file,
            proxy=proxy,
            headers=headers,
            allow_http=allow_http,
            lent_session=session is not None,
        )
        _check_session(session, config)
        # Not the connector's own limit, which would starve some of the calls that wait.
        shared = AiohttpShared(AiohttpTransport(config, session), max_concurrency)
        super().__init__(shared, config.key_source, timeout, retry)
        self._base_url = config.base_url

    def __repr__(self) -> str:
        return f"AiohttpRolesClient(base_url={self._base_url!r})"

    @property
    def base_url(self) -> str:
        """Scheme, host and port of the service that the client talks to."""
        return self._base_url


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
        # The session itself is closed then by the generator that holds it.
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
        failure: RolesError
        cause: BaseException | None = None
        try:
            answer = await self._exchange(request, attempt)
        except asyncio.CancelledError as error:
            phase = limit.catch()
            # aiohttp cancels what it waits for when a session is closed: a resolver, a connection.
            if phase is None and limit.is_cancelled(session_closed=self._session.closed):
                raise without_frames(error, holds_no_headers)  # noqa: B904 - it is the same one
            attempt.distrust()
            if phase is None:
                closed = aiohttp.ClientConnectionError("the session was closed")
                failure = self._translated(request, closed, call)
            else:
                failure = self._failures.timeout(request, call, phase)
        except ClientStateError as error:
            failure = ClientStateError(str(error))
        except Exception as error:  # noqa: BLE001 - a caller sees only our own errors
            attempt.distrust()
            failure = self._translated(request, error, call)
            cause = without_frames(redacted_cause(error, *call.keys), holds_no_headers)
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
        # Raised outside the handlers, so that it carries no exception but the cause, which is safe.
        raise failure from cause

    def _translated(self, request: Request, failure: Exception, call: Call) -> RolesError:
        closed = self._session.closed
        return self._failures.translate(request, failure, call, session_closed=closed)

    async def _exchange(self, request: Request, attempt: Attempt) -> Response:
        call = attempt.call
        headers = request.headers
        if request.body is not None:
            headers = {"Content-Type": "application/json", **headers}
        connect = call.timeouts.connect
        middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (attempt,)
        if self._lent is not None:
            # These replace the session's, so those are passed, too.
            connect = None
            middlewares = (*middlewares_of(self._lent), PrivateCopy(attempt.limit), attempt)
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
        # A client that never opened may be closed in any event loop, or in none.
        is_here = self._loop is not None and self._loop is running_loop()
        if self._lent is None and not is_here:
            self._check_left()
            self._discard_session()
        self.is_closing = True
        try:
            if is_here and grace:
                await self.time_limits.ended(grace)
        finally:
            if is_here:
                self.time_limits.close()
                owner, self._session_owner = self._session_owner, None
                if owner is not None:
                    try:
                        # So that calls that are connecting close what they have: aiohttp closes
                        # no such connection once its connector is closed.
                        await asyncio.sleep(0)
                    finally:
                        await self._connections.close(self._session)
                        # At the end of an event loop, asyncio closes it at the same time.
                        with suppress(RuntimeError):
                            await owner.aclose()


async def _keep_open(
    session: aiohttp.ClientSession, connections: Connections
) -> AsyncGenerator[None]:
    """Hold a session until this generator is closed, and then close the session.

    `asyncio.run` closes the asynchronous generators of its loop at the end. So a client without
    `aclose()` leaves no open socket behind, and can be used in the next loop.
    """
    try:
        yield
    finally:
        await connections.close(session)


def _check_session(session: aiohttp.ClientSession | None, config: Config) -> None:
    if session is not None and session.auth is not None:
        why = "session must not have auth of its own: the client sends the API key"
        raise ConfigurationError(why)
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
