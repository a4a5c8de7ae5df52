"""The driver of calls: the moments that it reports to the pace."""

import anyio
import pytest

from arize_roles_async import Request, Response, RetryPolicy, Timeouts
from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.call import Call
from arize_roles_async._calls.driver import Destination
from arize_roles_async._calls.pace import Pace
from arize_roles_async._client import BaseRolesClient
from arize_roles_fake._client import AccountTransport
from tests.support.clients import account_at_noon


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
    keys = KeySource(account.api_key)
    roles = BaseRolesClient(Destination(transport, 40), keys, Timeouts(total=None), RetryPolicy())
    begun = transport.now()
    seen: list[tuple[str, float]] = []

    def watch(name: str) -> None:
        method = getattr(Pace, name)

        def watched(self: Pace, sent: float, *args: object) -> None:
            seen.append((name, sent - begun))
            method(self, sent, *args)

        monkeypatch.setattr(Pace, name, watched)

    watch("note_refused")
    watch("note_granted")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(roles.list().all)
            group.start_soon(roles.list().all)

    anyio.run(main)
    # The second call is refused, and waits a second in the queue.
    assert seen == [("note_refused", 5.0), ("note_granted", 13.0)]
