"""A `RolesClient` over any HTTP library: the part to write, and the part to build on.

Write an `HttpTransport`, which sends one request, and hand it to an `HttpRolesClient`, which does
everything else: it checks arguments, encodes and decodes, looks up names, walks pages, tries again,
waits under a rate limit, and finds out whether a change was made. The page `contract` of the guide
of `arize_roles_fake` has an example over httpx.

A client that is built otherwise, such as one over a queue of messages, makes a `CreateRole`,
`UpdateRole` or `ListRoles` of its arguments: each raises a `ValidationError` with every rule that
an argument breaks. It makes its listings with `RolePages.from_fetch`.
"""

import asyncio
import traceback
from abc import ABC, abstractmethod

import msgspec
from multidict import CIMultiDict

from arize_roles_async._arize import BaseArizeClient
from arize_roles_async._asyncio import AsyncioTransport, running_loop
from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._calls.call import Call
from arize_roles_async._calls.driver import Shared
from arize_roles_async._roles.lookup import NameLookup
from arize_roles_async._roles.requests import (
    CreateRole,
    ListRoles,
    UpdateRole,
    normalize_permissions,
)
from arize_roles_async._values.errors import ClientStateError, RolesConnectionError, RolesError
from arize_roles_async._values.options import DEFAULT_TIMEOUT, RetryPolicy, Timeouts
from arize_roles_async._values.requests import is_id
from arize_roles_async._values.text import type_name
from arize_roles_async._wire.redaction import redact, redacted
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.secrets import takes_secrets, without_frames

__all__ = [
    "CreateRole",
    "HttpRolesClient",
    "HttpTransport",
    "ListRoles",
    "Request",
    "Response",
    "UpdateRole",
    "is_id",
    "normalize_permissions",
]


class HttpTransport(ABC):
    """Sends requests over an HTTP library, under asyncio."""

    @abstractmethod
    def open(self) -> None:
        """Create the objects of the running event loop, such as a pool of connections.

        Called before the first request, and again where the event loop was closed and the next
        request is sent in another one. The objects of the first one are of no use then.
        """

    @abstractmethod
    async def send(self, request: Request, timeouts: Timeouts) -> Response:
        """Send a request once and return the whole answer, whatever its status.

        The names of its headers may have any case.

        Do not follow redirects or try again, and let a cancellation pass: the limit on the whole
        call comes as one.

        Args:
            request: The request. Its headers contain the API key.
            timeouts: `connect` is the limit for making a connection and `read` the limit for
                silence, in seconds; None is no limit.

        Raises:
            RolesConnectionError: No whole answer came. With `sent=False`, none of the request can
                have reached the service, and a change counts as not made.
            RolesTimeoutError: The limit for connecting or for silence ran out; `sent` as above.
            Exception: Others, and a result that is no `Response`, become a `RolesConnectionError`
                with `sent=True`, so a change may have been made. The cause of an error is kept as
                text, with the lines of its traceback as a note.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close every connection."""


class HttpRolesClient(BaseArizeClient):
    """A `RolesClient` over an `HttpTransport`, under asyncio.

    Args:
        transport: Sends the requests.
        api_key: The key, or a function that returns it; this and the others are as for
            `AiohttpRolesClient`.

    Raises:
        ConfigurationError: An argument is not of its type, or the key is no bearer token.
    """

    @takes_secrets
    def __init__(
        self,
        transport: HttpTransport,
        api_key: ApiKey,
        *,
        timeout: float | Timeouts | None = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        max_concurrency: int = 40,
    ) -> None:
        shared = Shared(_Adapter(transport), max_concurrency, NameLookup)
        super().__init__(shared, KeySource(api_key), timeout, retry)


class _Adapter(AsyncioTransport):
    """The transport of an `HttpTransport`: adds the key, the clock and the limit on a call."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def _enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._transport.open()
        super()._enter_loop(loop)

    async def send(self, request: Request, call: Call) -> Response:
        if self.time_limits.is_closed:
            raise ClientStateError("the client is closed")
        # Only the transport knows when the request leaves, so it counts as sent from here on.
        call.mark_sent(self.now())
        failure: RolesError
        cause: BaseException | None
        try:
            return _with_keys(
                await self._transport.send(_with_headers(request, call), call.options.timeouts),
                call,
            )
        except RolesError as error:
            failure, cause = error, error.__cause__
            error.args = (redact(str(error.args[0]), *call.keys),)
            vars(error).pop("__notes__", None)
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            why = f"{request}: the transport raised {redacted(error, *call.keys)}"
            failure, cause = RolesConnectionError(why, sent=True), error
        except BaseException as error:  # noqa: BLE001 - raised again
            error.__cause__ = error.__context__ = None
            raise without_frames(error, None)  # noqa: B904 - it is the same one
        # Raised outside the handler, so that it carries no exception but its cause, as text: errors
        # and frames of an HTTP library hold the request with the key.
        failure.__context__ = failure.__cause__ = None
        if cause is not None:
            where = "".join(traceback.format_tb(cause.__traceback__))
            failure.__cause__ = cause = RolesError(redacted(cause, *call.keys))
            cause.add_note(redact(where, *call.keys))
        raise without_frames(failure, None)

    async def aclose(self, grace: float) -> None:
        if self._loop is not (loop := running_loop()):
            self._check_left()
            self._enter_loop(loop)
        self.is_closing = True
        try:
            await self.time_limits.ended(grace)
        finally:
            if not self.time_limits.is_closed:
                self.time_limits.close()
                await self._transport.aclose()


def _with_keys(response: object, call: Call) -> Response:
    """Return what a transport returned with the keys that it may echo."""
    if not isinstance(response, Response):
        raise TypeError(f"send must return a Response, not {type_name(response)}")
    headers = CIMultiDict(response.headers)
    return msgspec.structs.replace(response, headers=headers, keys=call.keys)


def _with_headers(request: Request, call: Call) -> Request:
    """Return a request with its type and the key, which a frame that may raise must not hold."""
    headers = {**request.headers, "Authorization": f"Bearer {call.keys[-1].reveal()}"}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    return msgspec.structs.replace(request, headers=headers)
