"""Translates aiohttp's failures into our own errors, without secrets in text, causes and frames."""

import asyncio
import re
import ssl
from types import FrameType, TracebackType
from typing import Final

import aiohttp
from yarl import URL

from arize_roles_async._aiohttp.config import Config
from arize_roles_async._aiohttp.internals import proxy_of
from arize_roles_async._asyncio import AsyncioTimeLimit, Phase
from arize_roles_async._calls.transport import Call
from arize_roles_async._values import errors
from arize_roles_async._wire.redaction import redacted, redacted_cause
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.secrets import linked

# The alerts of a TLS server that requires a client certificate, or refuses the one it got.
_CERTIFICATE_WANTED: Final = (
    "CERTIFICATE_REQUIRED|ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|HANDSHAKE_FAILURE)"
)
_BEFORE_SOCKET: Final = {
    *("aiohttp.client", "aiohttp.client_middlewares", "aiohttp.tracing"),
    "arize_roles_async._aiohttp.transport",
}
"""Modules whose frames lead to those of middlewares and tracers."""


class Failures:
    """Translates the failures of one client's attempts into our own errors."""

    def __init__(self, config: Config, lent: aiohttp.ClientSession | None) -> None:
        url = URL(config.base_url)
        self._host = url.raw_host
        self._service = _host_and_port(url)
        self._own_proxy = config.proxy
        self._lent = lent

    def mapped(
        self,
        error: BaseException,
        request: Request,
        call: Call,
        limit: AsyncioTimeLimit[Call],
        *,
        session_closed: bool,
        handled: BaseException | None,
    ) -> BaseException:
        """Return our own error for what an attempt ended in, or the caller's cancellation."""
        if isinstance(error, errors.ClientStateError):
            return errors.ClientStateError(str(error))
        if isinstance(error, asyncio.CancelledError):
            if limit.catch():
                return self._timeout(request, call, limit.phase)
            # aiohttp cancels what it waits for when a session is closed: a resolver, a connection.
            if limit.is_cancelled(session_closed=session_closed):
                return _with_frames_of_middlewares(error, handled)
            closed = aiohttp.ClientConnectionError("the session was closed")
            return self._translated(request, closed, call, session_closed=session_closed)
        if not isinstance(error, Exception):
            return _with_frames_of_middlewares(error, handled)
        failure = self._translated(request, error, call, session_closed=session_closed)
        safe = redacted_cause(error, *call.keys)
        failure.__cause__ = _with_frames_of_middlewares(safe, handled)
        return failure

    def _translated(
        self, request: Request, failure: Exception, call: Call, *, session_closed: bool
    ) -> errors.RolesError:
        """Return our own error for a failure of aiohttp."""
        tls = _tls_error(failure)
        cause: BaseException = tls or failure
        reason = getattr(tls, "reason", None) or ""
        certificate = sent = False
        match failure:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
                why, certificate = "the server's certificate is not trusted", True
            case OSError() if re.search(_CERTIFICATE_WANTED, reason):
                verb = "may require" if "HANDSHAKE_FAILURE" in reason else "requires"
                why = f"{self._service} {verb} a client certificate; pass a session= that has one"
                certificate = True
            case aiohttp.ClientProxyConnectionError(host=host, port=port, os_error=cause):
                why = f"cannot connect to the proxy {host}:{port} on the way to {self._service}"
            case aiohttp.ClientConnectorError(host=host, port=port, os_error=cause):
                whom = self._route if host == self._host else f"{host}:{port}"
                why = f"cannot connect to {whom}"
            case aiohttp.ConnectionTimeoutError():
                return self._timeout(request, call, "connect")
            case aiohttp.ClientHttpProxyError(status=407):
                return self.proxy_refusal(request)
            case aiohttp.ClientHttpProxyError():
                why = f"{self._proxy} refused to connect to {self._service}"
            case _ if session_closed and not call.exchange.in_flight:
                return errors.ClientStateError("the session is closed")
            case aiohttp.ClientError() | OSError():
                why = "the connection failed before the complete response arrived"
                sent = call.exchange.in_flight
            case _:
                why = "a middleware or tracer of the session, or what patches it, raised"
                what = redacted(failure, *call.keys)
                return errors.ConfigurationError(f"{request}: {why} {what}")
        what = getattr(tls, "verify_message", None) or redacted(cause, *call.keys)
        message = f"{request}: {why}: {what}"
        return errors.RolesConnectionError(message, certificate=certificate, sent=sent)

    def _timeout(self, request: Request, call: Call, phase: Phase) -> errors.RolesTimeoutError:
        """Return the error of an attempt of which a phase took too long."""
        what = "no answer" if phase == "read" else f"no connection to {self._route}"
        seconds: float | None = getattr(call.options.timeouts, phase)
        return errors.RolesTimeoutError(
            f"{request}: {what}", limit=phase, seconds=seconds or 0.0, sent=call.exchange.in_flight
        )

    def proxy_refusal(self, request: Request) -> errors.RolesConnectionError:
        url = self._proxy_url
        separate = None if self._lent is None else proxy_of(self._lent)[1]
        why = "refused the credentials of the client (407): check the user and password in its URL"
        if url and url.user is None and separate is None:
            why = "requires a user and password (407), and the proxy's URL has none"
        return errors.RolesConnectionError(f"{request}: {self._proxy} {why}", credentials=True)

    @property
    def _proxy(self) -> str:
        """The proxy, without its credentials."""
        return f"the proxy {_host_and_port(self._proxy_url)}" if self._proxy_url else "the proxy"

    @property
    def _proxy_url(self) -> URL | None:
        """The URL of the proxy; None if there is none, or a lent session reads the environment."""
        if self._own_proxy is not None:
            return URL(self._own_proxy.reveal())
        lent = None if self._lent is None else proxy_of(self._lent)[0]
        return None if lent is None else URL(lent)

    @property
    def _route(self) -> str:
        return f"{self._service} through {self._proxy}" if self._proxy_url else self._service


def _tls_error(failure: BaseException | None) -> ssl.SSLError | None:
    """Return the error of OpenSSL that a failure comes from; aiohttp's may lack its words."""
    found: ssl.SSLError | None = None
    while failure is not None:
        # Some of aiohttp's errors are of this class, too.
        if isinstance(failure, ssl.SSLError):
            found = failure
        failure = failure.__cause__
    return found


def _with_frames_of_middlewares(
    error: BaseException, handled: BaseException | None
) -> BaseException:
    """Return an error after removing the frames that may have the key from its traceback.

    What it hangs on keeps frames only if it was raised below one that stays: others may come from a
    callback that writes. What the caller handled keeps its own.
    """
    outer: set[FrameType] | None = None
    for link in linked(error, handled):
        frame, link.__traceback__ = link.__traceback__, None
        if outer is not None and not (frame and frame.tb_frame in outer):
            continue
        kept = list[TracebackType]()
        while frame and (stays := _stays(frame.tb_frame)) is not None:
            if stays:
                kept.append(frame)
            frame = frame.tb_next
        outer = outer or {each.tb_frame for each in kept}
        for each in reversed(kept):
            link.__traceback__ = TracebackType(
                link.__traceback__, each.tb_frame, each.tb_lasti, each.tb_lineno
            )
    return error


def _stays(frame: FrameType) -> bool | None:
    """Return whether a frame is of a middleware or tracer; None is where a socket's frames begin.

    A body's error has the frames of who wrote the request, in any module.
    """
    module = frame.f_globals.get("__name__", "")
    if module in _BEFORE_SOCKET:
        return False
    return None if module.startswith(("aiohttp.", "asyncio.")) else True


def _host_and_port(url: URL) -> str:
    return f"{url.host_subcomponent}:{url.port}"
