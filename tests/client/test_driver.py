"""The driver of calls: what it reports to the pace, and to a call that leaves the queue."""

import asyncio

import anyio
import pytest

from arize_roles_async import RateLimitError, Request, Response, RetryPolicy, Timeouts
from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.call import Call, TimeLimit
from arize_roles_async._calls.driver import Destination, Driver
from arize_roles_async._calls.pace import Pace
from arize_roles_async._client import BaseRolesClient
from arize_roles_async._wire.redaction import Secret
from arize_roles_fake import FakeAccount
from arize_roles_fake._client import AccountTransport
from tests.support.clients import account_at_noon

ROLE_ID = "Um9sZToxOmFCY0Q="


def client_over(
    transport: AccountTransport, account: FakeAccount, *, total: float | None, slots: int
) -> tuple[BaseRolesClient, Driver]:
    """Return a client over a transport, and its driver."""
    destination, keys = Destination(transport, slots), KeySource(Secret(account.api_key))
    roles = BaseRolesClient(destination, keys, Timeouts(total=total), RetryPolicy())
    return roles, destination.driver(keys)


class SlowTransport(AccountTransport):
    """Needs 5 seconds for a connection, and 2 for an answer."""

    async def send(self, request: Request, call: Call) -> Response:
        await self.event(call).wait(5.0)
        answer = await super().send(request, call)
        await self.event(call).wait(2.0)
        return answer


def test_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace gets the moment of sending: a request may wait for a connection before."""
    account = account_at_noon()
    account.limit_rate(1, burst=1)
    transport = SlowTransport(account, lambda _: account)
    roles, _ = client_over(transport, account, total=None, slots=40)
    begun = transport.now()
    seen: list[tuple[str, float]] = []

    def watch(name: str) -> None:
        method = getattr(Pace, name)

        def watched(self: Pace, sent: float, *args: object) -> None:
            seen.append((name, sent - begun))
            method(self, sent, *args)

        monkeypatch.setattr(Pace, name, watched)

    watch("refuse")
    watch("grant")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(roles.list().all)
            group.start_soon(roles.list().all)

    anyio.run(main)
    # The second call is refused, and waits a second in the queue.
    assert seen == [("refuse", 5.0), ("grant", 13.0)]


class WatchedTransport(AccountTransport):
    """Keeps every call that it limits."""

    def __init__(self, account: FakeAccount) -> None:
        super().__init__(account, lambda _: account)
        self.calls: list[Call] = []

    def time_limit(self, call: Call) -> TimeLimit:
        self.calls.append(call)
        return super().time_limit(call)


@pytest.mark.asyncio
async def test_out_of_time() -> None:
    """A call that began before the limit was met, and ends in its queue, was held back by it."""
    account = account_at_noon()
    account.fail("get", 429, times=1, retry_after=5)
    transport = WatchedTransport(account)
    roles, driver = client_over(transport, account, total=30.0, slots=1)
    waiting = [asyncio.ensure_future(roles.get(role_id=ROLE_ID)) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0)
    account.advance(4.0)
    now = transport.now()
    driver.pace.refuse(now, now, 3.0)
    for task in reversed(waiting):
        task.cancel()
    await asyncio.wait(waiting)

    _, second = transport.calls
    error = second.out_of_time()
    assert isinstance(error, RateLimitError)
    assert error.retry_after is not None
    assert 3.0 <= error.retry_after < 3.2
