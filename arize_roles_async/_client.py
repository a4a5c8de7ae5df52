"""Every method of a client, once, over one abstract step: `Transport.send`."""

import copy
import functools
import logging
from collections.abc import Container, Iterable
from types import TracebackType
from typing import Final, Literal, Self, overload

import msgspec

from arize_roles_async._alpha import alpha
from arize_roles_async._errors import (
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
from arize_roles_async._protocol import RolesClient
from arize_roles_async._requests import (
    UNSET,
    CreateRole,
    ListRoles,
    Unset,
    UpdateRole,
    check,
    each_once,
    text_rule,
)
from arize_roles_async._transport import Call, Transport
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

_SUCCESS: Final = range(200, 300)
_UNAVAILABLE: Final = 503
_FAILED: Final = frozenset({429, *range(500, 1000)})

# For each change, the refusals that tell what an attempt before did whose answer never came.
# A 409 or 403 to a create may be of its own making, which a look at the account settles.
_SETTLES_CREATE: Final = frozenset({403, 409})
_SETTLES_UPDATE: Final = frozenset({404, 409})
_SETTLES_DELETE: Final = frozenset({404})


class BaseRolesClient(RolesClient):
    """The methods of `RolesClient`, whatever the transport; their docstrings are the protocol's."""

    def __init__(self, transport: Transport, timeouts: Timeouts, retry: RetryPolicy) -> None:
        self._transport = transport
        self._timeouts = timeouts
        self._retry = retry
        self._lookup = NameLookup()

    @alpha
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
    @alpha
    async def get(self, *, role_id: str | None = None, role: str | None = None) -> Role:
        text, is_name = _which(role_id, role)
        call = self._begin("get")
        with call.limit:
            if is_name:
                return await self._find(call, text)
            request = get_request(text)
            return _this_role(text, request, await self._exchange(call, request))
        raise _out_of_time(call)

    @alpha
    async def create(
        self,
        *,
        name: str,
        permissions: Iterable[AnyPermission | str],
        description: str | None = None,
    ) -> Role:
        new = CreateRole(
            name=name,
            permissions=each_once(permissions),
            description=UNSET if description is None else description,
        )

        call = self._begin("create")
        with call.limit:
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
        raise _out_of_time(call)

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
    @alpha
    async def update(
        self,
        *,
        role_id: str | None = None,
        role: str | None = None,
        name: str | None = None,
        description: str | Literal[Unset.UNSET] | None = UNSET,
        permissions: Iterable[AnyPermission | str] | None = None,
    ) -> Role:
        text, is_name = _which(role_id, role)
        changes = UpdateRole(
            name=UNSET if name is None else name,
            description=description,
            permissions=UNSET if permissions is None else each_once(permissions),
        )

        call = self._begin("update")
        with call.limit:
            found = (await self._find(call, text)).id if is_name else text
            request = update_request(found, changes)
            response = await self._exchange(call, request, settled_by=_SETTLES_UPDATE)
            return _this_role(found, request, response)
        raise _out_of_time(call)

    @overload
    async def delete(self, *, role_id: str) -> None: ...
    @overload
    async def delete(self, *, role: str) -> None: ...
    @alpha
    async def delete(self, *, role_id: str | None = None, role: str | None = None) -> None:
        text, is_name = _which(role_id, role)
        call = self._begin("delete")
        with call.limit:
            found = (await self._find(call, text)).id if is_name else text
            request = delete_request(found)
            response = await self._exchange(call, request, settled_by=_SETTLES_DELETE)
            # A 404 after an attempt that was never answered: that one deleted the role.
            if response.status not in _SUCCESS and not call.unknown:
                raise error_of(request, response)
            return
        raise _out_of_time(call)

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

    def _begin(self, operation: str) -> Call:
        """Return a new call; all it does belongs within its limit, after which its time is up."""
        transport, timeouts = self._transport, self._timeouts
        transport.check_open()
        limit = transport.time_limit(timeouts.total)
        return Call(operation, timeouts, transport.now(), limit)

    async def _page(self, page: ListRoles) -> ListRolesResponse:
        call = self._begin("list")
        with call.limit:
            return await self._page_within(call, page)
        raise _out_of_time(call)

    async def _page_within(self, call: Call, page: ListRoles) -> ListRolesResponse:
        request = list_request(page)
        return decode_page(request, await self._exchange(call, request))

    def _all_pages(self, call: Call) -> RolePages:
        return RolePages(functools.partial(self._page_within, call))

    async def _find(self, call: Call, name: str) -> Role:
        return await self._lookup.find(name, lambda: self._all_pages(call).pages())

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
        transport = self._transport
        attempt = 1
        while True:
            call.attempts += 1
            began = transport.now()
            try:
                outcome = _judged(call, request, await transport.send(request, call))
            except RolesError as error:
                outcome = _noted(call, error)
            call.in_flight = False
            if logger.isEnabledFor(logging.DEBUG):
                _log(request, attempt, outcome, transport.now() - began)
            if isinstance(outcome, Response):
                settled = settled_by is None or not call.unknown or outcome.status in settled_by
                if outcome.status in _SUCCESS or settled:
                    return outcome
                failure: RolesError = error_of(request, outcome)
                break
            failure = outcome
            delay = self._retry.delay(failure, attempt=attempt, change=change)
            # A wait that the time left does not hold would only end in a less telling error.
            if delay is None or transport.now() + delay >= call.deadline:
                break
            logger.info(
                "%s %s: attempt %d failed, the next in %.2f s: %s",
                *(request.method, request.path, attempt, delay, failure),
            )
            await transport.sleep(delay)
            request = msgspec.structs.replace(request, headers={"sdk-retry-count": str(attempt)})
            attempt += 1
        if call.unknown:
            raise _outcome_unknown(call, failure) from failure
        raise failure


def _judged(call: Call, request: Request, response: Response) -> Response | RolesError:
    """Return the answer, or the failure that it is and that may not come another time."""
    if response.status not in _FAILED:
        return response
    failure = error_of(request, response)
    call.unknown |= call.change and _may_have_worked(failure)
    return failure


def _noted(call: Call, failure: RolesError) -> RolesError:
    """Return what came instead of an answer, with what the call knows of it."""
    if isinstance(failure, RolesTimeoutError):
        failure.attempts = call.attempts
    if isinstance(failure, RolesConnectionError | RolesTimeoutError):
        call.unknown |= call.change and failure.sent
    return failure


def _log(request: Request, attempt: int, outcome: Response | RolesError, seconds: float) -> None:
    said = outcome.status if isinstance(outcome, Response | StatusError) else outcome
    logger.debug(
        "%s %s: %s on attempt %d after %.1f ms (request id %s)",
        *(request.method, request.path, said, attempt, seconds * 1000.0, _request_id(outcome)),
    )


def _may_have_worked(outcome: StatusError) -> bool:
    """Whether an answer leaves open what became of a change: any 5xx but the service's own 503.

    A 503 of a gateway's, which is no problem document, may be about a connection that broke.
    """
    if not isinstance(outcome, ServerError):
        return False
    return outcome.problem is None or not outcome.status == outcome.problem.status == _UNAVAILABLE


def _which(role_id: str | None, role: str | None) -> tuple[str, bool]:
    """Return the ID or name of the role that a call means, and whether it is a name."""
    if role is None and role_id is not None:
        check(("role_id", text_rule, role_id))
        return role_id, False
    if role_id is None and role is not None:
        check(("role", text_rule, role))
        return role, not is_role_id(role)
    raise ValidationError(violations=(Violation("role_id, role", "exactly one must be given"),))


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
