"""The fake client: the methods of the real one over an account in memory."""

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from arize_roles_async._arize import BaseArizeClient
from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._calls.driver import Shared
from arize_roles_async._calls.transport import Call, Event, TimeLimit, Transport
from arize_roles_async._roles.lookup import NameLookup
from arize_roles_async._values.errors import (
    ClientStateError,
    ConfigurationError,
    RolesConnectionError,
    RolesTimeoutError,
)
from arize_roles_async._values.options import DEFAULT_TIMEOUT, RetryPolicy, Timeouts, check_type
from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.secrets import Secret, takes_secrets
from arize_roles_fake._account.account import FakeAccount
from arize_roles_fake._testing.fault_rules import WHOLE
from arize_roles_fake._testing.faults import ClientCall, InProcessRequest, Reply, reply_of
from arize_roles_fake._testing.loops import is_open, running_loop
from arize_roles_fake._testing.timeline import (
    Clock,
    Sleep,
    Timeline,
    advance_to,
    timeline_of,
    waiting_in_real_time,
)

if TYPE_CHECKING:
    from arize_roles_fake._testing.loops import Loop

_CallT = TypeVar("_CallT", bound=Call)
_CallT_co = TypeVar("_CallT_co", bound=Call, covariant=True)

_PROXY_AUTHENTICATION_REQUIRED: Final = 407


class FakeRolesClient(BaseArizeClient):
    """A `RolesClient` over an account in memory: offline, without a socket, under asyncio or trio.

    Time is the account's: waits between attempts and scripted latency pass on its clock without
    waiting, and count against the limits as they would for the real client. So does the grace of
    `aclose`, unless a call waits in real time; then its seconds are real.

    Args:
        account: The account behind the client; a fresh one by default.
        api_key: The key to send, or a function that returns it, as `AiohttpRolesClient` takes it;
            the account's first key by default. While a function runs, time is real: it has the
            rest of the call's time in real seconds.
        timeout: Seconds for a whole call; None is no limit. Either way the limits on connecting and
            on silence keep their defaults. `Timeouts` sets every limit.
        retry: The attempts of a call; `RetryPolicy()` by default.
        max_concurrency: Limit on the requests under way at once; further calls wait in a queue, in
            the order in which they began.

    Raises:
        ConfigurationError: An argument has the wrong type, no header can carry the key, or the
            account has no key left.
    """

    account: FakeAccount
    """The account behind the client."""
    _may_be_dropped = False

    @takes_secrets
    def __init__(
        self,
        account: FakeAccount | None = None,
        *,
        api_key: ApiKey | None = None,
        timeout: float | Timeouts | None = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        max_concurrency: int = 40,
    ) -> None:
        check_type("account", account, FakeAccount | None, "a FakeAccount")
        behind = FakeAccount() if account is None else account
        self.account = behind
        transport = AccountTransport(behind, lambda _: behind, may_be_dropped=self._may_be_dropped)
        shared = Shared(transport, max_concurrency, NameLookup)
        if api_key is None:
            try:
                api_key = behind.api_key
            except LookupError:
                raise ConfigurationError(
                    "no API key: the account has none left, so pass api_key"
                ) from None
        super().__init__(shared, KeySource(api_key), timeout, retry)

    def __repr__(self) -> str:
        return f"FakeRolesClient({self.account!r})"


class FixtureRolesClient(FakeRolesClient):
    """The client of the fixture `fake_roles`, which nobody closes."""

    _may_be_dropped = True


class AccountTransport(Transport):
    """Hands requests to the accounts of their keys.

    `unknown_key_is_first` is as in `InProcessRequest`. With `host`, requests have the header that
    they would have over HTTP. Unless it may be dropped, it warns when it is dropped without
    `aclose` in a running program.
    """

    def __init__(
        self,
        clock: Clock,
        account_of: Callable[[Secret[str]], FakeAccount],
        *,
        unknown_key_is_first: bool = False,
        host: str | None = None,
        may_be_dropped: bool = True,
    ) -> None:
        self._may_be_dropped = may_be_dropped
        self._clock = clock
        self.now = lambda: clock.now().timestamp()
        self._account_of = account_of
        self._unknown_key_is_first = unknown_key_is_first
        self.host = host
        self._headers = {} if host is None else {"Host": host}
        self._closed = False
        """True if new calls are refused; those under way may have a grace."""
        self._loop: Loop | None = None
        self._timeline: Timeline
        """The sleeps of its calls; set with the loop."""
        self.calls: set[_AccountTimeLimit[Call]] = set()
        """The limits of the calls under way."""
        self._closing: set[Sleep] = set()
        """The sleeps of `aclose` for the end of the last call."""

    def __del__(self) -> None:
        if not (self._may_be_dropped or self._closed or self._loop is None) and is_open(self._loop):
            why = "a FakeRolesClient was dropped without aclose()"
            warnings.warn(why, ResourceWarning, stacklevel=2, source=self)

    def check_state(self) -> bool:
        if self._closed:
            raise ClientStateError("the client is closed")
        return self._enter_loop()

    def _enter_loop(self) -> bool:
        """Bind the client to the running event loop, unless it belongs to another open one."""
        loop = running_loop()
        if self._loop is loop:
            return False
        if self._loop is not None and is_open(self._loop):
            raise ClientStateError(
                "the client belongs to another event loop that is still open; make a client for "
                "each loop"
            )
        self._loop = loop
        self._timeline = timeline_of(loop, self._clock)
        self.calls = set()  # A closed event loop may have left some.
        return True

    async def send(self, request: Request, call: Call) -> Response:
        began = self._clock.now()
        # As in a real call, other tasks run here, and a cancellation takes effect.
        await checkpoint()
        self._timeline.note_event()
        assert isinstance(call.time_limit, _AccountTimeLimit)  # noqa: S101 - `time_limit` made it
        key = call.keys[-1]
        answer = self._account_of(key).handle(
            InProcessRequest(
                method=request.method,
                target=request.target,
                headers={
                    **self._headers,
                    **request.headers,
                    "Authorization": f"Bearer {key.reveal()}",
                },
                body=request.body,
                call=call.time_limit.client_call,
                unknown_key_is_first=self._unknown_key_is_first,
            )
        )
        reply = reply_of(answer)
        if reply.delivery.is_connected:
            call.mark_sent(began.timestamp())
        if reply.blocked is not None:
            with waiting_in_real_time(self._clock):
                await reply.blocked.keep_open()
        if reply.delivery is not WHOLE or reply.delay:
            await self._deliver(reply, began, request, call)
        if reply.status == _PROXY_AUTHENTICATION_REQUIRED:
            raise RolesConnectionError(
                f"{request}: a proxy refused the credentials of the client (407)", credentials=True
            )
        # A scripted page may hold a key, which no error may quote.
        return Response(status=reply.status, headers=reply.headers, body=reply.body, keys=call.keys)

    async def _deliver(self, reply: Reply, began: datetime, request: Request, call: Call) -> None:
        """Delay or break a reply on its way, as the test scripted, up to the limits of the call."""
        delivery = reply.delivery
        if delivery.ends and not delivery.is_connected:
            raise RolesConnectionError(f"{request}: the connection was refused")
        seconds = reply.delay if delivery.ends else math.inf
        limit: Literal["connect", "read"] = "read" if delivery.is_connected else "connect"
        timeouts = call.options.timeouts
        bound = timeouts.connect if limit == "connect" else timeouts.read
        bound = math.inf if bound is None else bound
        left = max(0.0, call.deadline - began.timestamp())
        waited = min(seconds, bound, left)
        if reply.real_time:
            with waiting_in_real_time(self._clock):
                await anyio.sleep(waited)
            advance_to(self._clock, began + timedelta(seconds=waited))
        else:
            await self._timeline.sleep(waited, since=began)
        if min(bound, left) < seconds:
            if left <= bound:
                raise _TimeIsUpError
            missing = "connection" if limit == "connect" else "answer"
            raise RolesTimeoutError(
                f"{request}: no {missing}", limit=limit, seconds=bound, sent=limit == "read"
            )
        if not delivery.is_http:
            raise RolesConnectionError(
                f"{request}: the connection failed before the complete response arrived", sent=True
            )

    async def ask_key(self, source: KeySource, call: Call) -> Secret[str]:
        if source.fixed:
            return source.fixed[0]
        # The account's time is real meanwhile, since the function may wait for something else.
        limit = anyio.move_on_after(call.deadline - self.now())
        with waiting_in_real_time(self._clock), limit:
            return await super().ask_key(source, call)
        raise _TimeIsUpError

    def event(self, call: Call) -> Event:
        return _Event(call.deadline, self._timeline, self.now)

    def time_limit(self, call: _CallT) -> TimeLimit[_CallT]:
        self._timeline.note_event()
        return _AccountTimeLimit(call, self)

    def note_begin(self, limit: "_AccountTimeLimit[Call]", call: Call) -> None:
        self.calls.add(limit)
        self._timeline.calls.add(call)

    def note_end(self, limit: "_AccountTimeLimit[Call]", call: Call) -> None:
        self.calls.discard(limit)
        self._timeline.calls.discard(call)
        if not self.calls:
            for sleep in self._closing:
                sleep.end()

    async def aclose(self, grace: float) -> None:
        self._enter_loop()
        self._closed = True
        ends_at, is_late = self.now() + grace, not grace
        try:
            # Again, since a call may go on with another part when the last one has ended.
            while self.calls and not is_late:
                sleep = Sleep()
                self._closing.add(sleep)
                try:
                    await self._timeline.sleep(max(0.0, ends_at - self.now()), sleep)
                finally:
                    self._closing.discard(sleep)
                is_late = not sleep.is_ended
        finally:
            for limit in self.calls:
                limit.scope.cancel()


class _Event(Sleep):
    """An event that a call waits for while time passes on the account's clock."""

    set = Sleep.end

    def __init__(self, deadline: float, timeline: Timeline, now: Callable[[], float]) -> None:
        super().__init__()
        self._deadline = deadline
        self._timeline = timeline
        self._now = now

    async def wait(self, seconds: float) -> bool:
        left = self._deadline - self._now()
        await self._timeline.sleep(min(seconds, left), self)
        if left <= seconds and not self.is_ended:
            raise _TimeIsUpError
        return self.is_ended


class _TimeIsUpError(Exception):
    """Leaves a call whose total time has passed on the account's clock."""


class _AccountTimeLimit(AbstractContextManager[_CallT_co, None]):
    def __init__(self, call: _CallT_co, transport: AccountTransport) -> None:
        self._call = call
        self._transport = transport
        self.scope = anyio.CancelScope()
        self.client_call = ClientCall()

    def __enter__(self) -> _CallT_co:
        self.scope.__enter__()
        self._transport.note_begin(self, self._call)
        return self._call

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        call = self._call
        self._transport.note_end(self, call)
        # Objects that refer to each other would be left to the garbage collector.
        del self._call
        if exc_type is GeneratorExit:
            return  # The event loop was closed before its task, which can leave no scope now.
        self.scope.__exit__(exc_type, exc, traceback)
        was_ended = self.scope.cancelled_caught
        if was_ended or exc_type is _TimeIsUpError:
            error = call.interrupted(is_closed=was_ended)
            raise error from error.__cause__
