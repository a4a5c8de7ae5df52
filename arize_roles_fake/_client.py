"""The fake client: the same methods as the real one, over an account instead of a socket."""

from datetime import datetime, timedelta
from types import TracebackType
from typing import Final

import msgspec
from anyio.lowlevel import checkpoint

from arize_roles_async._client import BaseRolesClient
from arize_roles_async._config import check_type
from arize_roles_async._errors import ClientStateError, RolesConnectionError, RolesTimeoutError
from arize_roles_async._options import RetryPolicy, Timeouts
from arize_roles_async._transport import Call, Transport
from arize_roles_async._wire import Request, Response
from arize_roles_fake._account import FakeAccount

_FOREVER: Final = float("inf")


class FakeRolesClient(BaseRolesClient):
    """A `RolesClient` over an account in memory: offline, without a socket, under any event loop.

        async with FakeRolesClient() as roles:
            role = await roles.create(name="AI Engineer", permissions=[Permission.PROJECT_READ])

    Time is the account's: waits between attempts and scripted latency make it pass without
    waiting, and count against the limits as they would for the real client.

    Args:
        account: The account behind it; a fresh one of its own unless given.
        api_key: Which of the account's keys it uses; the account's first unless given.
        timeout: Seconds for a whole call, or every limit; None is no limit.
        retry: How often a call is tried.

    Raises:
        ConfigurationError: An argument is of another type, or no limit.
    """

    def __init__(
        self,
        account: FakeAccount | None = None,
        *,
        api_key: str | None = None,
        timeout: float | Timeouts | None = 30.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        check_type("account", account, FakeAccount | None, "a FakeAccount")
        check_type("api_key", api_key, str | None, "a string")
        self.account: FakeAccount = FakeAccount() if account is None else account
        """The account behind the client."""
        transport = AccountTransport(self.account, api_key)
        super().__init__(transport, Timeouts.of(timeout), RetryPolicy.of(retry))

    def __repr__(self) -> str:
        return f"FakeRolesClient({self.account!r})"


class AccountTransport(Transport):
    """Hands requests to an account, on the account's clock."""

    def __init__(self, account: FakeAccount, api_key: str | None) -> None:
        self._account = account
        self._authorization = f"Bearer {account.api_key if api_key is None else api_key}"
        self._closed = False

    def check_open(self) -> None:
        if self._closed:
            raise ClientStateError("the client is closed")

    async def send(self, request: Request, call: Call) -> Response:
        self.check_open()
        began = self._account.now()
        # As a real call would, it lets others run and can be cancelled here.
        await checkpoint()
        call.in_flight = True
        headers = {**request.headers, "Authorization": self._authorization}
        reply = self._account.handle(msgspec.structs.replace(request, headers=headers))
        if reply.delay:
            self._wait(began, reply.delay, request, call)
        if reply.broken in {"lost", "truncated"}:
            raise RolesConnectionError(
                f"{request.method} {request.path}: the connection failed before a whole answer "
                "came",
                sent=True,
            )
        return reply

    def _wait(self, began: datetime, seconds: float, request: Request, call: Call) -> None:
        """Let the latency of an answer pass, or the limit that it exceeds."""
        silence = _FOREVER if call.timeouts.read is None else call.timeouts.read
        left = max(0.0, call.deadline - began.timestamp())
        # Counted from where each call began, so that calls under way together wait together.
        self._account.advance_to(began + timedelta(seconds=min(seconds, silence, left)))
        if min(silence, left) >= seconds:
            return
        if left <= silence:
            raise _TimeIsUpError
        raise RolesTimeoutError(
            f"{request.method} {request.path}: no answer", limit="read", seconds=silence, sent=True
        )

    def now(self) -> float:
        return self._account.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        end = self._account.now() + timedelta(seconds=seconds)
        await checkpoint()
        self._account.advance_to(end)

    def time_limit(self, seconds: float | None) -> "_TimeLimit":  # noqa: ARG002
        return _TIME_LIMIT

    async def aclose(self) -> None:
        self._closed = True


class _TimeIsUpError(Exception):
    """Leaves a call whose time in all has passed on the account's clock."""


class _TimeLimit:
    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool:
        return exc_type is _TimeIsUpError


_TIME_LIMIT: Final = _TimeLimit()
