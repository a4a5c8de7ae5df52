"""Every method of a client, once, over one abstract step: `Transport.send`."""

import copy
import functools
import inspect
import logging
import math
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Container, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Literal, ParamSpec, Self, TypeVar, overload

import attrs

from arize_roles_async._errors import (
    AlphaWarning,
    ConflictError,
    ForbiddenError,
    OutcomeUnknownError,
    OutcomeUnknownServerError,
    OutcomeUnknownTimeoutError,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    ValidationError,
    Violation,
)
from arize_roles_async._lookup import NameLookup, is_role_id
from arize_roles_async._models import ListRolesResponse, Role
from arize_roles_async._options import RetryPolicy, Timeouts
from arize_roles_async._paging import RolePages
from arize_roles_async._permissions import AnyPermission
from arize_roles_async._requests import (
    UNSET,
    CreateRole,
    ListRoles,
    Unset,
    UpdateRole,
    check,
    text_rule,
)
from arize_roles_async._wire import (
    Request,
    Response,
    create_request,
    decode_page,
    decode_role,
    delete_request,
    error_of,
    get_request,
    invalid_response,
    list_request,
    update_request,
)

logger: Final = logging.getLogger("arize_roles_async")

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SUCCESS: Final = range(200, 300)
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
# The service may have done its part before these came; a 503 says that it did not.
_OPEN: Final = frozenset({500, 502, 504})

# For each change, the refusals that tell what an attempt before did whose answer never came.
# A 409 or 403 to a create may be of its own making, which a look at the account settles.
_SETTLES_CREATE: Final = frozenset({403, 409})
_SETTLES_UPDATE: Final = frozenset({404, 409})
_SETTLES_DELETE: Final = frozenset({404})

_warned: Final[set[str]] = set()


def _alpha(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make the first use of a method in a process say that it is ALPHA, at the caller's line."""
    name = f"roles.{method.__name__}"

    @functools.wraps(method)
    def warn_once(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if name not in _warned:
            warnings.warn(
                f"{name} is ALPHA and may change without notice", AlphaWarning, stacklevel=2
            )
            # Only now: a warning that a filter turns into an error is due again.
            _warned.add(name)
        return method(*args, **kwargs)

    if inspect.iscoroutinefunction(method) and sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(warn_once)
    return warn_once


class Call:
    """One call of a method: what its attempts share, and what is known of their outcome."""

    __slots__ = ("attempts", "change", "deadline", "in_flight", "operation", "timeouts", "unknown")

    def __init__(self, operation: str, timeouts: Timeouts, now: float) -> None:
        self.operation = operation
        self.timeouts = timeouts
        self.deadline = math.inf if timeouts.total is None else now + timeouts.total
        self.attempts = 0
        self.change = False
        """Whether the request under way changes the account."""
        self.in_flight = False
        """Whether a request may have reached the service, and no answer has come yet."""
        self.unknown = False
        """Whether an attempt to change something may have worked, unbeknown to us."""


class Transport(ABC):
    """Where requests go, and whose time passes meanwhile."""

    @abstractmethod
    async def send(self, request: Request, call: Call) -> Response:
        """Send a request once and return the whole answer.

        Sets `call.in_flight` as soon as any of the request may have left.

        Raises:
            RolesConnectionError: No whole response came.
            RolesTimeoutError: The limit for connecting or for silence ran out.
            InvalidResponseError: The response is longer than any should be.
            ClientStateError: The transport is closed, or belongs to another event loop.
        """

    @abstractmethod
    def check_open(self) -> None:
        """Raise `ClientStateError` where a call can't be made."""

    @abstractmethod
    def now(self) -> float:
        """Return seconds on a clock that never goes back."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def time_limit(self, seconds: float | None) -> AbstractContextManager[object, bool]:
        """Return a block that is cancelled, and swallows that, after so many seconds."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of every connection; a second time does nothing."""


class BaseRolesClient:
    """The methods of `RolesClient`, whatever the transport."""

    def __init__(self, transport: Transport, timeouts: Timeouts, retry: RetryPolicy) -> None:
        self._transport = transport
        self._timeouts = timeouts
        self._retry = retry
        self._lookup = NameLookup()

    @_alpha
    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | None = None,
    ) -> RolePages:
        return RolePages(self._page, limit=limit, cursor=cursor, is_predefined=is_predefined)

    @overload
    async def get(self, *, role_id: str) -> Role: ...
    @overload
    async def get(self, *, role: str) -> Role: ...
    @_alpha
    async def get(self, *, role_id: str | None = None, role: str | None = None) -> Role:
        target = _Target(role_id, role)

        async def steps(call: Call) -> Role:
            if target.is_name:
                return await self._find(call, target.text)
            request = get_request(target.text)
            return _this_role(target.text, request, await self._exchange(call, request))

        return await self._limited("get", steps)

    @_alpha
    async def create(
        self,
        *,
        name: str,
        permissions: Iterable[AnyPermission | str],
        description: str | None = None,
    ) -> Role:
        new = CreateRole(
            name=name,
            permissions=permissions,
            description=UNSET if description is None else description,
        )

        async def steps(call: Call) -> Role:
            request = create_request(new)
            response = await self._exchange(call, request, settled_by=_SETTLES_CREATE)
            try:
                return decode_role(request, response)
            except (ConflictError, ForbiddenError) as error:
                refused = error
            made = await self._made_before(call, new, refused) if call.unknown else None
            if made is None:
                raise refused
            return made

        return await self._limited("create", steps)

    @overload
    async def update(
        self,
        *,
        role_id: str,
        name: str | None = None,
        description: str | Literal[Unset.UNSET] | None = UNSET,
        permissions: Iterable[AnyPermission | str] | None = None,
    ) -> Role: ...
    @overload
    async def update(
        self,
        *,
        role: str,
        name: str | None = None,
        description: str | Literal[Unset.UNSET] | None = UNSET,
        permissions: Iterable[AnyPermission | str] | None = None,
    ) -> Role: ...
    @_alpha
    async def update(
        self,
        *,
        role_id: str | None = None,
        role: str | None = None,
        name: str | None = None,
        description: str | Literal[Unset.UNSET] | None = UNSET,
        permissions: Iterable[AnyPermission | str] | None = None,
    ) -> Role:
        target = _Target(role_id, role)
        changes = UpdateRole(
            name=UNSET if name is None else name,
            description=description,
            permissions=UNSET if permissions is None else permissions,
        )

        async def steps(call: Call) -> Role:
            found = await self._id_of(call, target)
            request = update_request(found, changes)
            response = await self._exchange(call, request, settled_by=_SETTLES_UPDATE)
            return _this_role(found, request, response)

        return await self._limited("update", steps)

    @overload
    async def delete(self, *, role_id: str) -> None: ...
    @overload
    async def delete(self, *, role: str) -> None: ...
    @_alpha
    async def delete(self, *, role_id: str | None = None, role: str | None = None) -> None:
        target = _Target(role_id, role)

        async def steps(call: Call) -> None:
            request = delete_request(await self._id_of(call, target))
            response = await self._exchange(call, request, settled_by=_SETTLES_DELETE)
            # A 404 after an attempt that was never answered: that one deleted the role.
            if response.status not in _SUCCESS and not call.unknown:
                raise error_of(request, response)

        await self._limited("delete", steps)

    def with_options(
        self,
        *,
        timeout: float | Timeouts | Literal[Unset.UNSET] | None = UNSET,
        retry: RetryPolicy | Literal[Unset.UNSET] = UNSET,
    ) -> Self:
        timeouts = self._timeouts if timeout is UNSET else Timeouts.of(timeout)
        other = copy.copy(self)
        # Not of this client's: walks are shared among calls that try equally hard.
        BaseRolesClient.__init__(
            other, self._transport, timeouts, self._retry if retry is UNSET else retry
        )
        return other

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        self._transport.check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self.aclose()

    async def _limited(self, operation: str, steps: Callable[[Call], Awaitable[_T]]) -> _T:
        """Run the steps of one call within the time that it has in all."""
        transport = self._transport
        transport.check_open()
        call = Call(operation, self._timeouts, transport.now())
        with transport.time_limit(self._timeouts.total):
            return await steps(call)
        # The block swallows its own cancellation only, so the time is up.
        raise _out_of_time(call)

    async def _page(self, page: ListRoles) -> ListRolesResponse:
        return await self._limited("list", functools.partial(self._page_within, page))

    async def _page_within(self, page: ListRoles, call: Call) -> ListRolesResponse:
        request = list_request(page)
        return decode_page(request, await self._exchange(call, request))

    def _all_pages(self, call: Call) -> RolePages:
        async def fetch(page: ListRoles) -> ListRolesResponse:
            return await self._page_within(page, call)

        return RolePages(fetch)

    async def _find(self, call: Call, name: str) -> Role:
        return await self._lookup.find(name, lambda: self._all_pages(call).pages())

    async def _id_of(self, call: Call, target: "_Target") -> str:
        return (await self._find(call, target.text)).id if target.is_name else target.text

    async def _made_before(self, call: Call, new: CreateRole, refused: RolesError) -> Role | None:
        """Return the role that an unanswered attempt made, or None if what is there is another."""
        failure = refused
        try:
            async for role in self._all_pages(call):
                if role.name != new.name:
                    continue
                if role.permissions is None and _is_as_asked(role, new):
                    break  # Withheld, so nobody can tell.
                return role if _is_as_asked(role, new) else None
            else:
                return None
        except OutcomeUnknownError:
            raise
        except RolesError as error:
            failure = error
        raise _outcome_unknown(call, failure) from failure

    async def _exchange(
        self, call: Call, request: Request, *, settled_by: Container[int] | None = None
    ) -> Response:
        """Send a request, again where that may help, and return the answer that counts.

        Args:
            call: The call that the request is part of.
            request: What to send.
            settled_by: None for a read; for a change, its `_SETTLES_` set.
        """
        change = call.change = settled_by is not None
        attempt = 1
        while True:
            outcome = await self._attempt(call, request, attempt)
            if isinstance(outcome, Response):
                settled = settled_by is None or not call.unknown or outcome.status in settled_by
                if outcome.status in _SUCCESS or settled:
                    return outcome
                failure: RolesError = error_of(request, outcome)
                break
            failure = outcome
            delay = self._retry.delay(failure, attempt=attempt, change=change)
            # A wait that the time left does not hold would only end in a less telling error.
            if delay is None or self._transport.now() + delay >= call.deadline:
                break
            logger.info(
                "%s %s: attempt %d failed, the next in %.2f s: %s",
                *(request.method, request.path, attempt, delay, failure),
            )
            await self._transport.sleep(delay)
            attempt += 1
        if call.unknown:
            raise _outcome_unknown(call, failure) from failure
        raise failure

    async def _attempt(self, call: Call, request: Request, attempt: int) -> Response | RolesError:
        """Send a request once; return the answer, or what may be worth another attempt."""
        transport = self._transport
        if attempt > 1:
            request = attrs.evolve(request, headers={"sdk-retry-count": str(attempt - 1)})
        call.attempts += 1
        began = transport.now()
        try:
            response = await transport.send(request, call)
        except RolesError as error:
            if isinstance(error, RolesTimeoutError):
                error.attempts = call.attempts
            sent = isinstance(error, RolesConnectionError | RolesTimeoutError) and error.sent
            call.unknown |= call.change and sent
            outcome: Response | RolesError = error
            said: object = error
        else:
            call.unknown |= call.change and response.status in _OPEN
            outcome = error_of(request, response) if response.status in _TRANSIENT else response
            said = response.status
        call.in_flight = False
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s: %s on attempt %d after %.1f ms (request id %s)",
                *(request.method, request.path, said, attempt),
                *((transport.now() - began) * 1000.0, _request_id(outcome)),
            )
        return outcome


class _Target:
    """Which role a call means."""

    __slots__ = ("is_name", "text")

    def __init__(self, role_id: str | None, role: str | None) -> None:
        if (role_id is None) == (role is None):
            raise ValidationError(
                violations=(Violation("role_id, role", "exactly one must be given"),)
            )
        if role_id is not None:
            check(("role_id", text_rule, role_id))
            self.text, self.is_name = role_id, False
        elif role is not None:
            check(("role", text_rule, role))
            self.text, self.is_name = role, not is_role_id(role)


def _this_role(role_id: str, request: Request, response: Response) -> Role:
    role = decode_role(request, response)
    # A connection that carries an answer nobody asked for hands it to whoever asks next.
    if role.id.rstrip("=") != role_id.rstrip("="):
        raise invalid_response(request, response, "it is another role")
    return role


def _request_id(outcome: Response | RolesError) -> str | None:
    if isinstance(outcome, Response):
        return outcome.without_secret().headers.get("X-Request-Id")
    return outcome.request_id if isinstance(outcome, StatusError) else None


def _is_as_asked(role: Role, new: CreateRole) -> bool:
    """Whether a role is the one that was to be made, as far as can be seen."""
    description = "" if new.description is UNSET else new.description
    return (role.description or "") == description and (
        role.permissions is None or set(role.permissions) == set(new.permissions)
    )


def _out_of_time(call: Call) -> RolesTimeoutError:
    said = f"{call.operation} took too long"
    seconds = call.timeouts.total or 0.0
    if call.unknown or (call.change and call.in_flight):
        error = OutcomeUnknownTimeoutError(
            f"{said}, and the change may have been made",
            seconds=seconds,
            attempts=call.attempts,
            sent=True,
        )
        error.operation = call.operation
        return error
    return RolesTimeoutError(said, seconds=seconds, attempts=call.attempts, sent=call.in_flight)


def _outcome_unknown(call: Call, failure: RolesError) -> OutcomeUnknownError:
    said = f"the outcome of {call.operation} is not known, the change may have been made: {failure}"
    error = OutcomeUnknownError(said)
    if isinstance(failure, ServerError):
        error = OutcomeUnknownServerError(said)
        vars(error).update(vars(failure))
    elif isinstance(failure, RolesTimeoutError):
        error = OutcomeUnknownTimeoutError(failure.args[0] + ", and the change may have been made")
        vars(error).update(vars(failure))
    error.operation = call.operation
    error.attempts = call.attempts
    return error
