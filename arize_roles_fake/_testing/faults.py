"""Scripted failures: the requests that they strike, and what becomes of the answers."""

from collections import deque
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

import attrs
import msgspec

from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._service.service import verb
from arize_roles_fake._service.wire import page_response, problem_response
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.fault_rules import (
    DELIVERIES,
    WHOLE,
    WITHOUT_BODY,
    Breakage,
    Delivery,
    FaultArguments,
    counted,
)
from arize_roles_fake._testing.received import ReceivedCall

_MAX_FAILED: Final = 1000
"""The limit on the failed calls that are kept for their retries."""


class ClientCall:
    """One call of a client, of which each of its requests is a part."""


class InProcessRequest(Request, frozen=True, kw_only=True):
    """A request in process, which names the call that it is part of."""

    call: ClientCall
    unknown_key_is_first: bool = False
    """True if an unknown key counts as the account's first one."""


class Fault:
    """A failure that was scripted with `FakeAccount.fail`."""

    failed_requests: int = 0
    """The number of requests that it made fail."""


@attrs.define(eq=False, repr=False)
class ScriptedFault(Fault):
    arguments: FaultArguments
    failed_requests: int = 0
    seen: int = 0
    """The number of requests that it could have made fail, counted for `skip`."""
    times_used: int = 0
    """The number of times that it struck, counted for `times`: once a call for an error class."""

    def __repr__(self) -> str:
        return f"<Fault: {self}>"

    def __str__(self) -> str:
        return f"{self.arguments}: struck {counted(self.failed_requests, 'request')}"

    def unused(self) -> str | None:
        times, operation = self.arguments.times, self.arguments.operation
        if self.times_used >= (1 if times is None else times):
            return None
        if verb(operation) != "get" or self.times_used:
            return str(self)
        return f"{self} (a look-up by a name is a {operation.removesuffix('get')}list)"

    def may_strike(self, received: ReceivedCall) -> bool:
        fault = self.arguments
        is_later = fault.every_attempt and received.attempt > 1
        return not is_later and fault.can_strike(received.operation) and fault.match(received)

    @property
    def is_due(self) -> bool:
        """Whether it strikes the request that it saw last."""
        times = self.arguments.times
        return self.seen > self.arguments.skip and (times is None or self.times_used < times)


class Faults:
    """The calls of an account that faults strike."""

    def __init__(self) -> None:
        self._failed: deque[tuple[int, ClientCall]] = deque(maxlen=_MAX_FAILED)
        """The calls over HTTP whose attempt failed, the newest last, with the attempt's hash."""
        self._striking: WeakKeyDictionary[ClientCall, ScriptedFault] = WeakKeyDictionary()
        """The fault that strikes every attempt of a call's request, and perhaps those after it."""

    def call_of(self, request: Request, attempt: int) -> ClientCall:
        """Return the call that a request is part of, which over HTTP does not name it.

        A first attempt begins one. A later attempt goes on with the call of the newest equal
        request that failed in the attempt before; it can be another client's, if the first attempt
        of its own call never reached the account.
        """
        if isinstance(request, InProcessRequest):
            return request.call
        before = _hash(request, attempt - 1)
        for failed in reversed(self._failed):
            if failed[0] == before:
                self._failed.remove(failed)
                return failed[1]
        return ClientCall()

    def note_failure(self, received: ReceivedCall, call: ClientCall) -> None:
        """Note that a request failed, so that `call_of` finds the call of its retry."""
        self._failed.append((_hash(received.request, received.attempt), call))

    def strike(
        self, received: ReceivedCall, call: ClientCall, scripted: Sequence[ScriptedFault]
    ) -> FaultArguments | None:
        """Return the fault that makes a request fail, the first one that is due, or None."""
        seen = [each for each in scripted if each.may_strike(received)]
        for each in seen:
            each.seen += 1
        fault = self._striking.get(call)
        if fault is not None and received.attempt == 1 and not fault.arguments.hides_outcome:
            # A further request of the call, such as the look at the account after a change.
            del self._striking[call]
            fault = None
        if fault is None:
            fault = next((each for each in seen if each.is_due), None)
            if fault is None:
                return None
            fault.times_used += 1
            if fault.arguments.every_attempt:
                self._striking[call] = fault
        fault.failed_requests += 1
        return fault.arguments


def _hash(request: Request, attempt: int) -> int:
    return hash((request.method, request.target, request.body, attempt))


class Reply(Response, frozen=True, kw_only=True):
    """An answer of the account, with the ways in which a test disturbs it."""

    delay: float = 0.0
    """Seconds until the answer is sent."""
    delivery: Delivery = WHOLE
    real_time: bool = False
    """True if `delay` is in real seconds in process, too."""
    blocked: Blocked | None = None
    """Keeps the call open until a test releases it."""


def reply_of(answer: Response) -> Reply:
    """Return an answer of `FakeAccount.handle`; that of a subclass may be a plain response."""
    return answer if isinstance(answer, Reply) else Reply(**msgspec.structs.asdict(answer))


def failed_answer(
    fault: FaultArguments, answer: Response | None
) -> tuple[Response, Breakage | None]:
    """Return an answer as a fault changes it, and the way in which it breaks off.

    There is no answer yet if the fault strikes before the account does the work of the call.
    """
    failure = fault.failure
    if isinstance(failure, int):
        # The client looks each up by its name in the spelling of HTTP.
        headers = {name.title(): value for name, value in fault.headers.items()}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        if fault.body is not None:
            body = fault.body.encode() if isinstance(fault.body, str) else fault.body
            headers = {"Content-Type": "text/html; charset=utf-8", **headers}
            return Response(status=failure, headers=headers, body=body), None
        return problem_response(failure, "scripted by the test", headers), None
    answer = answer or page_response("roles", (), None)
    delivery = DELIVERIES[failure]
    if delivery.body is not None:
        # A 204 has no body: a proxy that encodes answers makes it a 200.
        status = 200 if answer.status in WITHOUT_BODY else answer.status
        headers = {**answer.headers, **delivery.headers}
        answer = Response(status=status, headers=headers, body=delivery.body)
    return answer, failure
