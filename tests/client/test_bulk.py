"""Many calls at once under a rate limit, on the account's clock."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest.mock import create_autospec

import pytest
from anyio.lowlevel import checkpoint

import arize_roles_async
from arize_roles_async import (
    ArizeClient,
    ListRolesResponse,
    RateLimitError,
    Request,
    Response,
    RolesClient,
    RolesTimeoutError,
)
from arize_roles_async._calls.call import Call
from arize_roles_async._calls.pace import Pace
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake._client import AccountTransport
from tests.support.clients import START, account_at_noon, passed
from tests.support.documentation import examples
from tests.support.sizes import sized

GUIDE = Path(arize_roles_async.__file__).parent / "guide"


def creates(roles: RolesClient, number: int) -> list[Awaitable[object]]:
    return [
        roles.create(name=f"Role {index}", permissions=["PROJECT_READ"]) for index in range(number)
    ]


async def test_completes() -> None:
    """Many creates at once against 20 a second all succeed, in about the ideal time."""
    account = account_at_noon()
    account.limit_rate(20.0, burst=5)
    number = sized(300, 1000)
    await asyncio.gather(*creates(FakeRolesClient(account, timeout=None), number))
    assert len(account.roles) == number
    assert sum(call.outcome == 429 for call in account.calls) <= 35 + 0.03 * number
    assert passed(account) <= 1.3 * (number - 5) / 20


async def test_others_first() -> None:
    """Beside background creates at 50 a second, another call goes within a second."""
    account = account_at_noon()
    account.limit_rate(50.0, burst=20)
    roles = FakeRolesClient(account, timeout=None)
    bulk = roles.with_options(background=True)
    making = asyncio.gather(*creates(bulk, 90))
    for calls in (30, 60):
        while len(account.calls) < calls:
            await checkpoint()
        begun = passed(account)
        await roles.list(limit=1)
        assert passed(account) - begun <= 1.0
    await making
    assert len(account.roles) == 90


class TestFailure:
    async def test_other_failure(self) -> None:
        """Under a hold, a call that another failure asks to wait longer does so."""
        account = account_at_noon()
        account.fail("list", 429, times=1, retry_after=2)
        account.fail("list", 503, times=1, retry_after=5)
        roles = FakeRolesClient(account)
        await asyncio.gather(roles.list(), roles.list())
        assert [(call.at - START).total_seconds() for call in account.calls] == [0.0, 0.0, 2.0, 5.0]

    async def test_no_slot(self) -> None:
        """Under a rate limit, a call that waits for a slot until its time is up took too long."""
        account = account_at_noon()
        account.fail("list", 429, times=1)
        roles = FakeRolesClient(account, max_concurrency=1)
        await roles.list()
        account.slow_down(5.0)
        with pytest.raises(RolesTimeoutError):
            await asyncio.gather(roles.list(), roles.with_options(timeout=3.0).list())

    async def test_clock_ticks(self) -> None:
        """A call ends although its time is up between two readings of the clock."""
        ticks = count()
        account = FakeAccount(clock=lambda: START + timedelta(milliseconds=next(ticks)))
        roles = FakeRolesClient(account)
        for milliseconds in range(20):
            account.fail("list", 429, times=1, retry_after=1)
            limited = roles.with_options(timeout=1.0 + milliseconds / 1000)
            async with asyncio.timeout(10.0):
                (result,) = await asyncio.gather(limited.list(), return_exceptions=True)
            assert isinstance(result, RateLimitError | ListRolesResponse)
            account.advance(2000.0)

    async def test_asks_on(self) -> None:
        """Others run while a call that is too late at once is made again and again."""
        account = account_at_noon()
        account.fail("list", 429, times=1, retry_after=10)
        roles = FakeRolesClient(account)
        others: list[int] = []

        async def run() -> None:
            for number in range(20):
                others.append(number)
                await checkpoint()

        first = asyncio.create_task(roles.list().all())
        while not account.calls:
            await checkpoint()
        running = asyncio.create_task(run())
        for number in range(100):
            with pytest.raises(RateLimitError):
                await roles.with_options(timeout=5.0, background=number > 50).list()
        assert len(others) == 20
        await asyncio.gather(first, running)


async def test_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace gets the moment of sending: a request may wait for a connection before."""
    account = account_at_noon()
    account.limit_rate(1, burst=1)
    roles, send = FakeRolesClient(account, timeout=None), AccountTransport.send

    async def send_slowly(self: AccountTransport, request: Request, call: Call) -> Response:
        await self.event(call).wait(5.0)
        answer = await send(self, request, call)
        await self.event(call).wait(2.0)
        return answer

    monkeypatch.setattr(AccountTransport, "send", send_slowly)
    noted: list[Any] = []
    for name in ("note_refused", "note_granted"):
        note = create_autospec(getattr(Pace, name), side_effect=getattr(Pace, name))
        monkeypatch.setattr(Pace, name, note)
        noted.append(note)
    await asyncio.gather(roles.list(), roles.list())
    # The second call is refused, and waits a second in the queue.
    sent = [call.args[1] - START.timestamp() for note in noted for call in note.mock_calls]
    assert sent == [5.0, 13.0]


PEOPLE: Final = [f"User{number}@example.com" for number in range(100)]


async def join_all(roles: ArizeClient, people: list[str]) -> None:
    """Run the guide's function for many people."""
    names: dict[str, Any] = {"asyncio": asyncio}
    exec(examples((GUIDE / "bulk-work.md").read_text("utf-8"))[-1], names)  # noqa: S102 - our own
    await names["join_all"](roles, people, "Analyst", "ML")


async def test_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The guide's function for many people sends what differs, and says how each ended."""
    twins = [f"twin{number}@example.com" for number in range(2)]
    account = account_at_noon(users=[*map(str.lower, PEOPLE), *twins], resources=["Space:ML"])
    role_id = account.add_role("Analyst", ["PROJECT_READ"]).id
    account.add_role("Other", ["PROJECT_READ"])
    account.add_user("Twin0@example.com", status="EXPIRED")
    for user, role in (("user0@example.com", "Analyst"), ("user1@example.com", "Other")):
        account.bind(role, user=user, resource="Space:ML")
    account.fail("role_bindings.create", 403, about="user7@example.com")
    await join_all(FakeRolesClient(account), [*PEOPLE, "twin0@example.com", "?"])
    said = capsys.readouterr().out.splitlines()
    assert [each.partition(",")[0] for each in said] == [f"{n} of 102" for n in range(1, 103)]
    assert sum(each.endswith(": done") for each in said) == len(account.bindings()) == 99
    assert {each.role_id for each in account.bindings()} == {role_id}
    for person, how in (("User7@example.com", "POST"), ("twin0@", "2 users"), ("?", "0 users")):
        assert sum(f", {person}" in each and how in each for each in said) == 1
    # The names of all and what there is take five; one person has the role, and one another.
    sent = Counter(call.operation for call in account.calls)
    assert (sent["role_bindings.create"], sent["role_bindings.update"]) == (98, 1)
    assert sent.total() == 98 + 1 + 5


async def test_cancelled() -> None:
    """A cancellation in its middle ends it: no request follows."""
    account = account_at_noon(users=[*map(str.lower, PEOPLE)], resources=["Space:ML"])
    account.add_role("Analyst", ["PROJECT_READ"])
    account.limit_rate(10.0, burst=20)
    joining = asyncio.create_task(join_all(FakeRolesClient(account), PEOPLE))
    while len(account.bindings()) < 10:
        await checkpoint()
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(account.bindings()) < 20
