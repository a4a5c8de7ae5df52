"""The two clients of a fake account, for tests that hold on both."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, cast

import aiohttp
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    ApiKey,
    Request,
    Response,
    RetryPolicy,
    RolesClient,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, mock_arize
from arize_roles_fake._server.server import Listener
from arize_roles_fake._testing.faults import Reply, reply_of

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ONCE = RetryPolicy(attempts=1)
SOON = RetryPolicy(backoff=1e-9)
"""Tries three times, without a wait between them."""

Act = Callable[[FakeAccount], object]
Connect = Callable[..., AbstractAsyncContextManager[RolesClient]]


def account_at_noon(*, predefined: bool = False, **options: Any) -> FakeAccount:  # noqa: ANN401
    """Return an account whose time stands still unless a test lets it pass."""
    return FakeAccount(
        api_key="fake-api-key", clock=lambda: START, predefined=predefined, **options
    )


def ask(
    account: FakeAccount,
    line: str,
    body: bytes | None = None,
    *,
    key: str | None = None,
    **headers: str,
) -> Reply:
    """Send a method and a target to an account, with its own key unless another is given."""
    method, target = line.split(" ", 1)
    given = {"Authorization": f"Bearer {account.api_key if key is None else key}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return reply_of(account.handle(Request(method=method, target=target, body=body, headers=given)))


def answer(account: FakeAccount, line: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Send JSON to an account, as `ask` does; return the status and the JSON of its answer."""
    reply = ask(account, line, None if body is None else json.dumps(body).encode(), **headers)
    return reply.status, json.loads(reply.body) if reply.body else None


def request_binding(
    account: FakeAccount, user: str, resource: str, resource_type: str = "SPACE"
) -> int:
    """Return the status of a request that gives a user the role A, by labels or IDs."""
    role = account.role("A") or account.add_role("A")
    body = {
        "role_id": role.id,
        "user_id": account.id(user),
        "resource_type": resource_type,
        "resource_id": account.id(resource) if ":" in resource else resource,
    }
    status, _ = answer(account, "POST /v2/role-bindings", body)
    return status


def meddled(
    when: Literal["before", "after"],
    method: str,
    act: Act,
    **options: Any,  # noqa: ANN401 - the account's
) -> FakeAccount:
    """Return an account at noon that somebody else changes before or after requests of a method."""

    class Meddled(FakeAccount):
        acts = True

        def handle(self, request: Request) -> Response:
            is_asked = self.acts and request.method == method
            # What the other does is not meddled with.
            self.acts = self.acts and not is_asked
            if is_asked and when == "before":
                act(self)
            reply = super().handle(request)
            if is_asked and when == "after":
                act(self)
            self.acts = self.acts or is_asked
            return reply

    return Meddled(api_key="fake-api-key", clock=lambda: START, predefined=False, **options)


def passed(account: FakeAccount) -> float:
    """Return the seconds that have passed for an account at noon."""
    return (account.now() - START) / timedelta(seconds=1)


def in_process(
    account: FakeAccount,
    *,
    retry: RetryPolicy = ONCE,
    **options: Any,  # noqa: ANN401 - the client's
) -> FakeRolesClient:
    return FakeRolesClient(account, retry=retry, **options)


def serve(
    account: FakeAccount, host: str = "127.0.0.1", allowed_hosts: Collection[str] | None = None
) -> AbstractAsyncContextManager[str]:
    """Serve an account in the running event loop, and hand out its URL."""
    return Listener(lambda _: account, allowed_hosts).running(host, 0)


@asynccontextmanager
async def over_http(
    account: FakeAccount,
    *,
    api_key: ApiKey | None = None,
    retry: RetryPolicy = ONCE,
    **options: Any,  # noqa: ANN401 - the client's
) -> AsyncGenerator[RolesClient]:
    async def sleep(seconds: float) -> None:
        account.advance(seconds)

    make = sleeping(sleep)
    async with (
        serve(account) as url,
        make(api_key or account.api_key, base_url=url, retry=retry, **options) as roles,
    ):
        yield roles


LENT = pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])


@asynccontextmanager
async def own_or_lent(
    make: Callable[..., AiohttpRolesClient],
    api_key: str,
    base_url: str,
    *,
    lent: bool = False,
    of_session: Any = MappingProxyType({}),  # noqa: ANN401 - its options
    **options: Any,  # noqa: ANN401 - the client's
) -> AsyncGenerator[AiohttpRolesClient]:
    """Return a client over a session of its own, or over one that it is lent."""
    async with AsyncExitStack() as stack:
        if lent:
            options["session"] = aiohttp.ClientSession(**of_session)
            await stack.enter_async_context(options["session"])
        yield await stack.enter_async_context(make(api_key, base_url=base_url, **options))


@asynccontextmanager
async def over(
    url: str,
    *middlewares: aiohttp.ClientMiddlewareType,
    retry: RetryPolicy = ONCE,
    **options: Any,  # noqa: ANN401 - the session's
) -> AsyncGenerator[AiohttpRolesClient]:
    """Return a client over a session that it is lent, with these middlewares."""
    async with (
        aiohttp.ClientSession(middlewares=middlewares, **options) as session,
        AiohttpRolesClient("fake-api-key", base_url=url, session=session, retry=retry) as roles,
    ):
        yield roles


@asynccontextmanager
async def mocked(account: FakeAccount, *, retry: RetryPolicy = ONCE) -> AsyncGenerator[RolesClient]:
    with mock_arize(account):
        async with AiohttpRolesClient(retry=retry) as roles:
            yield roles


async def use(roles: RolesClient) -> object:
    """Make a call that reads."""
    return await roles.list()


async def create(roles: RolesClient, name: str = "Made") -> object:
    """Make a call that changes the account."""
    return await roles.create(name=name, permissions=["PROJECT_READ"])


def sleeping(sleep: Callable[[float], Awaitable[object]]) -> Callable[..., AiohttpRolesClient]:
    """Return what makes a client that waits by calling `sleep`, and counts the time in full."""

    class Sleeping(AiohttpRolesClient):
        def __init__(self, api_key: ApiKey, **options: Any) -> None:  # noqa: ANN401
            super().__init__(api_key, **options)
            transport: Any = self._driver.transport

            def event(_: object) -> Event:
                return Event(transport)

            transport.event = event

    class Event(asyncio.Event):
        def __init__(self, transport: Any) -> None:  # noqa: ANN401 - it has other clocks
            super().__init__()
            self.clock = transport.time_limits.now
            if not isinstance(self.clock, _Clock):
                self.clock = transport.now = transport.time_limits.now = _Clock(self.clock)

        async def wait(self, seconds: float = math.inf) -> Literal[True]:
            if seconds == math.inf:
                return await super().wait()
            end = self.clock() + seconds
            await sleep(seconds)
            self.clock.ahead += max(0.0, end - self.clock())
            return cast("Literal[True]", self.is_set())

    return Sleeping


class _Clock:
    """A clock that goes ahead by the time that no sleep took."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._time() + self.ahead


async def _no_retry(_: float) -> None:
    raise AssertionError("it was about to try again")


trying_once = sleeping(_no_retry)
"""Makes a client that must not try again."""

both_clients = pytest.mark.parametrize("connect", [in_process, over_http])
three_clients = pytest.mark.parametrize("connect", [in_process, over_http, mocked])
