"""Every method of a client, written once for any transport, and the driver of their calls."""

import functools
import logging
import math
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, NoReturn, Self, TypeVar, overload

import msgspec
from msgspec import UNSET, UnsetType

from arize_roles_async._calls.alpha import alpha
from arize_roles_async._calls.call import Call, Look, Operation, Retry, TimeLimit
from arize_roles_async._calls.lookup import KnownRoles, NameLookup, Steps
from arize_roles_async._calls.paging import RolePages, make_listing
from arize_roles_async._calls.transport import Event, Transport
from arize_roles_async._calls.turnstile import Admission, Turn, Turnstile
from arize_roles_async._protocol import RolesClient
from arize_roles_async._values.errors import (
    ClientStateError,
    NotFoundError,
    RoleRenamedError,
    RolesError,
    StatusError,
    validation_error,
)
from arize_roles_async._values.models import ListRolesResponse, Role
from arize_roles_async._values.options import RetryPolicy, Timeouts
from arize_roles_async._values.permissions import PermissionsArgument
from arize_roles_async._values.requests import (
    CreateRole,
    ListRoles,
    UpdateRole,
    check,
    id_rule,
    is_role_id,
    normalize_permissions,
    role_rule,
)
from arize_roles_async._values.text import quoted
from arize_roles_async._wire.wire import (
    Request,
    Response,
    create_request,
    decode_page,
    decode_role,
    delete_request,
    get_request,
    invalid_response,
    list_request,
    response_retry_after,
    update_request,
)

logger: Final = logging.getLogger("arize_roles_async")

_T = TypeVar("_T")

_CONFLICT: Final = 409
_TOO_MANY: Final = 429


class BaseRolesClient(RolesClient):
    """The methods of `RolesClient`, whatever the transport; their docstrings are the protocol's."""

    def __init__(
        self,
        transport: Transport,
        timeouts: Timeouts,
        retry: RetryPolicy,
        admission: Admission,
        known: KnownRoles | None = None,
    ) -> None:
        self._transport = transport
        self._admission = admission
        self._timeouts = timeouts
        self._retry = retry
        self._known = KnownRoles() if known is None else known
        self._lookup = NameLookup(self._known)

    @alpha
    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | None = None,
    ) -> RolePages:
        return make_listing(
            self._list_page, limit=limit, cursor=cursor, is_predefined=is_predefined
        )

    @overload
    async def get(self, *, role_id: str) -> Role: ...
    @overload
    async def get(self, *, role: str) -> Role: ...
    @alpha
    async def get(self, *, role_id: str | None = None, role: str | None = None) -> Role:
        target, is_name = _parse_target(role_id, role)
        with self._call("get") as call:
            return await (self._find(call, target) if is_name else self._get(call, target))

    @alpha
    async def create(
        self,
        *,
        name: str,
        permissions: PermissionsArgument,
        description: str | None = None,
    ) -> Role:
        new = CreateRole(
            name=name,
            permissions=normalize_permissions(permissions),
            description=UNSET if description is None else description,
        )
        with self._call("create") as call:
            role = await self._exchange(
                call,
                create_request(new),
                functools.partial(_expect_name, new.name),
                lambda failure: self._find_created(call, new, failure),
            )
            self._known.learn(role)
            return role

    @overload
    async def update(
        self,
        *,
        role_id: str,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role: ...
    @overload
    async def update(
        self,
        *,
        role: str,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role: ...
    @alpha
    async def update(
        self,
        *,
        role_id: str | None = None,
        role: str | None = None,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        permissions: PermissionsArgument | None = None,
    ) -> Role:
        target, is_name = _parse_target(role_id, role)
        changes = UpdateRole(
            name=UNSET if name is None else name,
            description=description,
            permissions=UNSET if permissions is None else normalize_permissions(permissions),
        )
        with self._call("update") as call:
            found_id = (await self._find(call, target)).id if is_name else target
            updated = await self._exchange(
                call,
                update_request(found_id, changes),
                functools.partial(_expect_id, found_id),
                lambda failure: self._find_updated(
                    call, found_id, target if is_name else None, changes, failure
                ),
            )
            self._known.learn(updated)
            if is_name and changes.name is UNSET and updated.name != target:
                renamed = _renamed(target, updated)
                if call.unsettled:
                    # An earlier attempt may have reached the role before it was renamed.
                    raise call.outcome_unknown(renamed) from renamed
                raise renamed
            return updated

    @overload
    async def delete(self, *, role_id: str) -> None: ...
    @overload
    async def delete(self, *, role: str) -> None: ...
    @alpha
    async def delete(self, *, role_id: str | None = None, role: str | None = None) -> None:
        target, is_name = _parse_target(role_id, role)
        with self._call("delete") as call:
            found_id = (await self._find(call, target)).id if is_name else target
            await self._exchange(
                call,
                delete_request(found_id),
                _expect_nothing,
                lambda failure: self._expect_deleted(call, found_id, failure),
            )

    def with_options(
        self,
        *,
        timeout: float | Timeouts | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
    ) -> Self:
        timeouts = self._timeouts if timeout is UNSET else Timeouts.of(timeout)
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        # With a lookup of its own: calls share a walk only if they have the same limits.
        BaseRolesClient.__init__(
            other,
            self._transport,
            timeouts,
            self._retry if retry is UNSET else RetryPolicy.of(retry),
            self._admission,
            self._known,
        )
        return other

    def __reduce__(self) -> NoReturn:
        raise ClientStateError(
            "a client cannot be pickled or copied, since it holds the API key and connections; "
            "make one in each process"
        )

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self.aclose()

    def _call(self, operation: Operation) -> TimeLimit:
        """Return the block that a new call runs in, which yields the call."""
        self._check_open()
        transport = self._transport
        call = Call(operation, self._timeouts, self._retry, transport.now())
        call.number = next(self._admission.numbers)
        return transport.time_limit(call)

    def _check_open(self) -> None:
        if self._transport.check_open():
            self._admission.restart()

    async def _list_page(self, page: ListRoles) -> ListRolesResponse:
        with self._call("list") as call:
            return await self._fetch(call, page)

    async def _fetch(self, call: Call, page: ListRoles) -> ListRolesResponse:
        response = await self._exchange(
            call,
            list_request(page),
            functools.partial(_expect_page, page.limit),
        )
        self._known.learn_page(response.roles)
        if page.is_predefined is None:
            self._known.follow(page.cursor, response.pagination)
        return response

    async def _get(self, call: Call, role_id: str) -> Role:
        role = await self._exchange(
            call,
            get_request(role_id),
            functools.partial(_expect_id, role_id),
        )
        self._known.learn(role)
        return role

    async def _find(self, call: Call, name: str) -> Role:
        call.name = name

        # While other calls ran, this one was told of no time.
        def fetch(page: ListRoles) -> Awaitable[ListRolesResponse]:
            call.seen = self._transport.now()
            return self._fetch(call, page)

        def get(role_id: str) -> Awaitable[Role]:
            call.seen = self._transport.now()
            return self._get(call, role_id)

        steps = Steps(
            fetch=fetch,
            get=get,
            is_late=lambda: call.is_late,
            make_event=lambda: self._transport.event(call),
        )
        role = await self._lookup.find(name, steps)
        call.seen = self._transport.now()
        return role

    # These look at the account after a change whose attempts do not tell whether it was made.
    # `failure` is what the last attempt ended in.

    async def _find_created(self, call: Call, new: CreateRole, failure: RolesError) -> Role:
        """Return the role that this call made, or raise what its failure means."""
        try:
            found = await self._find_similar(call, new.name)
        except RolesError as error:
            raise call.outcome_unknown(failure, error) from error
        refusal = failure if isinstance(failure, StatusError) else None
        if found is not None:
            if found.permissions is None:
                raise call.outcome_unknown(failure) from failure
            since = call.created_since(self._transport.now(), time.time())
            is_new = not found.is_predefined and found.created_at.timestamp() >= since
            is_touched = found.name == new.name and found.updated_at > found.created_at
            if is_new and (_has(found, new) or is_touched):
                return found
        # Nobody has the name any longer, so the role that had it may be the one this call made.
        elif refusal is not None and refusal.status == _CONFLICT:
            refusal = None
        if refusal is not None:
            raise refusal
        raise call.outcome_unknown(failure) from failure

    async def _find_similar(self, call: Call, name: str) -> Role | None:
        """Return the role with a name, or with one that differs by case and outer spaces."""
        similar: Role | None = None
        async for role in make_listing(lambda page: self._fetch(call, page)):
            if role.name == name:
                return role
            if _fold(role.name) == _fold(name):
                similar = role
        return similar

    async def _find_updated(
        self,
        call: Call,
        role_id: str,
        name: str | None,
        changes: UpdateRole,
        failure: RolesError,
    ) -> Role:
        """Return the role if it is as this call was asked, or raise what its failure means.

        Args:
            call: This call.
            role_id: The role that it was sent to.
            name: The name that was asked for, if it was one.
            changes: What it was to change.
            failure: What the last attempt ended in.
        """
        try:
            role = await self._get(call, role_id)
        except NotFoundError:
            raise
        except RolesError as error:
            raise call.outcome_unknown(failure, error) from error
        # Whether another name came before the update or after it, a look does not tell.
        expected = name or role.name if changes.name is UNSET else changes.name
        if _has(role, changes) and role.name == expected:
            return role
        is_taken = changes.name is not UNSET and _fold(changes.name) != _fold(role.name)
        if is_taken and isinstance(failure, StatusError):
            raise failure
        raise call.outcome_unknown(failure) from failure

    async def _expect_deleted(self, call: Call, role_id: str, failure: RolesError) -> None:
        """Return if the role is gone, or raise what the failure of this call means."""
        try:
            await self._get(call, role_id)
        except NotFoundError:
            return
        except RolesError as error:
            raise call.outcome_unknown(failure, error) from error
        raise call.outcome_unknown(failure) from failure

    async def _exchange(
        self,
        call: Call,
        request: Request,
        decode: Callable[[Request, Response], _T],
        look: Callable[[RolesError], Awaitable[_T]] | None = None,
    ) -> _T:
        """Send a request, again if that may help, and return what its answer means.

        Args:
            call: The call that the request is part of.
            request: What to send.
            decode: Makes the result of a documented answer.
            look: For a change: finds out in the account whether it was made.
        """
        transport, turnstile = self._transport, self._admission.turnstile
        call.begin(request)
        started = call.seen
        while True:
            if not turnstile.enter():
                started = await self._take_turn(call, request, turnstile, started)
            call.start_attempt()
            outcome: Response | RolesError
            sent: float | None = None
            try:
                outcome = await transport.send(request, call)
                sent = call.seen
            except RolesError as error:
                outcome = error
            finally:
                turnstile.exit(sent)
            if isinstance(outcome, Response) and call.is_read_result(outcome) and self._is_quiet():
                return decode(request, outcome)
            now = transport.now()
            _tell_pace(turnstile, call, request, outcome, now)
            if logger.isEnabledFor(logging.DEBUG):
                _log(call, request, outcome, now - started)
            if isinstance(outcome, Response):
                step = call.receive(request, outcome, decode, now)
            else:
                step = call.fail(outcome, now)
            if isinstance(step, Retry):
                logger.info(
                    "%s: attempt %d failed, the next in %.2f s: %s",
                    *(request, call.attempt, step.delay, step.failure),
                    extra=_attempt_fields(call, request, outcome, now - started),
                )
                started = now
                # After a 429 with a `Retry-After`, the request waits for its turn, as all do.
                if not (_is_refusal(outcome) and turnstile.pace.held_until > now):
                    started = await self._rest(call, request, turnstile, step.delay)
                count = {"sdk-retry-count": str(call.attempt)}
                request = msgspec.structs.replace(request, headers=count)
            elif isinstance(step, Look):
                assert look is not None  # noqa: S101 - only changes lead to a look
                call.seen = now
                return await look(step.failure)
            else:
                return step

    async def _take_turn(
        self, call: Call, request: Request, turnstile: Turnstile, started: float
    ) -> float:
        """Wait until the request may go, and return when that is."""
        transport, pace = self._transport, turnstile.pace
        turn = Turn(call.number, call.deadline, call.retry.max_retry_after)
        turnstile.join(turn)
        event: Event | None = None
        now = started
        try:
            while (seconds := turnstile.ask(turn, now)) and not turn.is_late:
                event = transport.event(call)
                turn.wake = event.set
                if await event.wait(seconds):
                    now = transport.now()
                else:
                    # Clocks may tick late.
                    now = max(now + seconds, transport.now())
        except BaseException:
            # What ends the wait may be the limit on the time of the call.
            if turnstile.is_paced:
                call.held_back = (request, pace.wait(transport.now()))
            turnstile.leave(turn)
            raise
        if turn.is_late:
            if pace.limited:
                call.held_back = (request, pace.wait(now))
            turnstile.leave(turn)
            if event is None:
                # Whoever calls again and again must let others run.
                await transport.event(call).wait(0.0)
            raise call.miss_turn()
        try:
            logger.debug(
                "%s waited %.3f s for its turn",
                *(request, now - started),
                extra=_fields(call, request, now - started),
            )
        except BaseException:
            # A handler of the application's; the request does not go.
            turnstile.exit(None)
            raise
        return now

    async def _rest(
        self, call: Call, request: Request, turnstile: Turnstile, seconds: float
    ) -> float:
        """Wait until a request is to be sent again, and return when that is."""
        event = self._transport.event(call)
        turn = Turn(call.number, call.deadline, math.inf)
        turn.wake = event.set
        turnstile.rest(turn)
        try:
            await event.wait(0.0 if turn.is_late else seconds)
        finally:
            turnstile.leave(turn)
        now = self._transport.now()
        if turn.is_late:
            call.held_back = (request, turnstile.pace.wait(now))
            raise call.miss_turn()
        return now

    def _is_quiet(self) -> bool:
        """Tell whether neither a log nor a rate limit needs to hear of a success."""
        return not (self._admission.pace.limited or logger.isEnabledFor(logging.DEBUG))


def _tell_pace(
    turnstile: Turnstile, call: Call, request: Request, outcome: Response | RolesError, now: float
) -> None:
    """Tell the pace of an answer, once there is a limit."""
    # When it was sent and not when its turn came: it may have waited for a connection.
    pace, sent = turnstile.pace, call.seen
    if not isinstance(outcome, Response):
        return
    if not _is_refusal(outcome):
        if pace.limited:
            pace.grant(sent)
        return
    call.note_refusal(pace.granted)
    seconds = response_retry_after(outcome) or 0.0
    is_new = not pace.limited
    turnstile.refuse(sent, now, seconds)
    if is_new:
        logger.debug(
            "the service limits the rate: requests wait %.3g s, and then for their turn",
            seconds,
            extra=_fields(call, request, seconds),
        )


def _is_refusal(outcome: Response | RolesError) -> bool:
    return isinstance(outcome, Response) and outcome.status == _TOO_MANY


def _log(call: Call, request: Request, outcome: Response | RolesError, seconds: float) -> None:
    fields = _attempt_fields(call, request, outcome, seconds)
    logger.debug(
        "%s: %s on attempt %d after %.1f ms (request id %s)",
        request,
        outcome.status if isinstance(outcome, Response) else outcome,
        *(call.attempt, seconds * 1000.0, fields["request_id"]),
        extra=fields,
    )


def _attempt_fields(
    call: Call, request: Request, outcome: Response | RolesError, seconds: float
) -> dict[str, object]:
    """Return the fields of a log record about an attempt, which JSON loggers write."""
    status: int | None = None
    request_id: str | None = None
    if isinstance(outcome, Response):
        status, request_id = outcome.status, outcome.header("X-Request-Id")
    return {
        **_fields(call, request, seconds),
        "attempt": call.attempt,
        "status": status,
        "request_id": request_id,
    }


def _fields(call: Call, request: Request, seconds: float) -> dict[str, object]:
    """Return the fields that every log record has."""
    return {
        "operation": call.operation,
        "method": request.method,
        "path": request.path,
        "seconds": seconds,
    }


def _parse_target(role_id: str | None, role: str | None) -> tuple[str, bool]:
    """Return the ID or name of the role that a call is about, and whether it is a name."""
    if role is None and role_id is not None:
        check(("role_id", id_rule, role_id))
        return role_id, False
    if role_id is None and role is not None:
        check(("role", role_rule, role))
        return role, not is_role_id(role)
    raise validation_error(("role_id, role", "exactly one must be given"))


# These decoders check that an answer fits its request, since an answer that nobody asked for may
# have been waiting on the connection.


def _expect_id(role_id: str, request: Request, response: Response) -> Role:
    role = decode_role(request, response)
    if role.id != role_id and role.id.rstrip("=") != role_id.rstrip("="):
        raise invalid_response(request, response, "it is another role")
    return role


def _expect_name(name: str, request: Request, response: Response) -> Role:
    role = decode_role(request, response)
    if _fold(role.name) != _fold(name):
        raise invalid_response(request, response, "it is a role with another name")
    return role


def _expect_nothing(request: Request, response: Response) -> None:
    """Take a 204, which has no body."""
    del request, response


def _expect_page(limit: int, request: Request, response: Response) -> ListRolesResponse:
    page = decode_page(request, response)
    if len(page.roles) > limit:
        raise invalid_response(
            request, response, f"it holds {len(page.roles)} roles, and {limit} were asked for"
        )
    return page


def _fold(name: str) -> str:
    """Return a name as the service might compare it: without case and outer spaces."""
    return name.strip().casefold()


def _has(role: Role, asked: CreateRole | UpdateRole) -> bool:
    """Tell whether a role has the description and the permissions that were asked for."""
    description = "" if asked.description is UNSET else asked.description
    is_described = (role.description or "") == (description or "")
    if asked.description is UNSET and isinstance(asked, UpdateRole):
        is_described = True
    if asked.permissions is UNSET:
        return is_described
    return is_described and set(role.permissions or ()) == set(asked.permissions)


def _renamed(name: str, role: Role) -> RoleRenamedError:
    return RoleRenamedError(
        f"the role {quoted(name)} was renamed to {quoted(role.name)} before this answer, and the "
        f"update was made to it (ID {quoted(role.id)})",
        name=name,
        renamed_to=role.name,
        role_id=role.id,
    )
