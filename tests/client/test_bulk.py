"""A thousand calls at once under a rate limit, on the account's clock."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    ConfigurationError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    Role,
    RolesClient,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient, serve
from tests.support.clients import START, account_at_noon, passed, wait_on

ROLE_ID = "Um9sZToxOmFCY0Q="
HASTY = RetryPolicy(max_retry_after=20.0)
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@asynccontextmanager
async def stalled() -> AsyncGenerator[str]:
    """Yield the URL of a server that never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def gather(calls: Sequence[Callable[[], Awaitable[object]]]) -> list[object]:
    """Start all calls at once, and return how each ended."""
    results: list[object] = [None] * len(calls)

    async def run(index: int) -> None:
        try:
            results[index] = await calls[index]()
        except RolesError as error:
            results[index] = error

    async with anyio.create_task_group() as tasks:
        for index in range(len(calls)):
            tasks.start_soon(run, index)
    return results


def creates(roles: RolesClient, number: int) -> list[Callable[[], Awaitable[object]]]:
    def call(index: int) -> Callable[[], Awaitable[object]]:
        return lambda: roles.create(name=f"Role {index}", permissions=["PROJECT_READ"])

    return [call(index) for index in range(number)]


def refusals(account: FakeAccount) -> int:
    return sum(call.outcome == 429 for call in account.calls)


def run(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    anyio.run(main, backend=backend)


class TestBulkJob:
    @BACKENDS
    def test_completes(self, backend: str) -> None:
        """A thousand creates at once against 20 a second all succeed, in about the ideal time."""
        account = account_at_noon()
        account.limit_rate(20.0, burst=5)
        begun = account.now()

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None)
            results = await gather(creates(roles, 1000))
            assert all(isinstance(result, Role) for result in results)

        run(backend, main)
        assert refusals(account) <= 35 + 30
        assert (account.now() - begun).total_seconds() <= 1.25 * 995 / 20

    @BACKENDS
    def test_by_the_minute(self, backend: str) -> None:
        """At two a minute all succeed, too: a call waits as long as its own time allows."""
        account = account_at_noon()
        account.limit_rate(2 / 60, burst=10)

        async def main() -> None:
            bulk = FakeRolesClient(account, timeout=None).with_options(background=True)
            results = await gather(creates(bulk, 30))
            assert all(isinstance(result, Role) for result in results)

        run(backend, main)
        assert passed(account) < 11 * 60.0

    @pytest.mark.parametrize("status", [429, 503])
    def test_an_hour(self, status: int) -> None:
        """One answer stops a call for an hour at most."""
        account = account_at_noon()
        account.fail("list", status, times=1, retry_after=10**14)

        anyio.run(FakeRolesClient(account, timeout=None).list().all)

        assert passed(account) == 3600.0

    def test_order(self) -> None:
        """Roles are made in the order in which their calls began, but for the first volley."""
        account = account_at_noon()
        account.limit_rate(20.0, burst=5)

        async def main() -> None:
            await gather(creates(FakeRolesClient(account, timeout=None), 300))

        anyio.run(main)
        made = [call.arguments["name"] for call in account.calls if call.outcome == 201]
        places = [int(name.split()[1]) for name in made]
        assert all(abs(place - index) <= 80 for index, place in enumerate(places))

    def test_shared(self) -> None:
        """Copies of a client with other options share what it learns about a limit."""
        account = account_at_noon()

        account.fail("list", 429, times=1, retry_after=5)
        begun = account.now()

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None, max_concurrency=1)
            await gather([roles.list, roles.with_options(timeout=60.0).list])

        anyio.run(main)
        assert [call.outcome for call in account.calls] == [429, 200, 200]
        assert all((call.at - begun).total_seconds() >= 5.0 for call in account.calls[1:])

    def test_keeps_its_place(self) -> None:
        """A call that was refused goes before those that began later."""
        account = account_at_noon()
        account.fail("create", 429, times=1, retry_after=1)

        async def main() -> None:
            await gather(creates(FakeRolesClient(account, max_concurrency=1), 3))

        anyio.run(main)
        assert [call.arguments["name"] for call in account.calls] == [
            *("Role 0", "Role 0", "Role 1", "Role 2"),
        ]

    def test_after_a_shared_walk(self) -> None:
        """A call whose name another call found waits in the queue from then on."""
        account = account_at_noon()
        for number in range(300):
            account.add_role(f"Role {number}")
        account.fail("create", 429, times=1, retry_after=1)
        account.slow_down(5.0, operation="list")

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None)
            await roles.create(name="Team", permissions=["PROJECT_READ"])

            def rename(number: int) -> Callable[[], Awaitable[object]]:
                return lambda: roles.update(role=f"Role {number}", name=f"New {number}")

            await gather([rename(number) for number in (1, 2, 3)])

        anyio.run(main)
        listed = [call.at for call in account.calls if call.operation == "list"]
        updated = [call.at for call in account.calls if call.operation == "update"]
        assert (updated[-1] - listed[-1]).total_seconds() < 5.0 + 1.0

    def test_other_failure(self) -> None:
        """Under a hold, a call that another failure asks to wait longer does so."""
        account = account_at_noon()
        account.fail("list", 429, times=1, retry_after=2)
        account.fail("list", 503, times=1, retry_after=5)
        begun = account.now()

        async def main() -> None:
            roles = FakeRolesClient(account)
            await gather([roles.list, roles.list])

        anyio.run(main)
        assert [(call.outcome, (call.at - begun).total_seconds()) for call in account.calls] == [
            *((429, 0.0), (503, 0.0)),
            *((200, 2.0), (200, 5.0)),
        ]


class TestBackground:
    @BACKENDS
    def test_others_first(self, backend: str) -> None:
        """Beside 600 background creates at 50 a second, another call goes within a second."""
        account = account_at_noon()
        account.limit_rate(50.0, burst=20)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None)
            bulk = roles.with_options(background=True)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gather, creates(bulk, 600))
                for calls in (100, 200, 500):
                    while account.calls_in_all < calls:
                        await anyio.lowlevel.checkpoint()
                    begun = passed(account)
                    await roles.list(limit=1)
                    assert passed(account) - begun <= 1.0
            assert len(account.roles) >= 600

        run(backend, main)

    def test_own_limit(self) -> None:
        """A background call that others keep from going ends at its own limit."""
        account = account_at_noon()
        account.slow_down(1.0)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None, max_concurrency=1)
            starved = roles.with_options(background=True, timeout=2.5)

            async def starve() -> None:
                with pytest.raises(RolesTimeoutError):
                    await starved.list()
                assert passed(account) == 2.5

            await gather([*creates(roles, 2), starve, *creates(roles, 3)[2:]])

        anyio.run(main)
        assert [call.operation for call in account.calls] == ["create"] * 3

    def test_no_shared_walk(self) -> None:
        """A call by a name does not wait for the walk of a background call."""
        account = account_at_noon()

        async def main() -> None:
            roles = FakeRolesClient(account)
            bulk = roles.with_options(background=True)
            await gather([lambda: bulk.get(role="Admin"), lambda: roles.get(role="Member")])

        anyio.run(main)
        assert [call.operation for call in account.calls] == ["list", "list"]

    @pytest.mark.asyncio
    async def test_over_http(self) -> None:
        """It is so over HTTP, too: of those that wait, background calls go last."""
        account = FakeAccount()
        account.slow_down(0.01)

        async with (
            serve(account) as url,
            AiohttpRolesClient(account.api_key, base_url=url, max_concurrency=1) as roles,
        ):
            bulk = roles.with_options(background=True)
            await gather([roles.list().all, bulk.list().all, *creates(roles, 1)])

        assert [call.operation for call in account.calls] == ["list", "create", "list"]

    @pytest.mark.parametrize("options", [{"background": value} for value in ("yes", 1, None)])
    def test_refused(self, options: dict[str, Any]) -> None:
        """The option is a bool."""
        with pytest.raises(ConfigurationError, match="background must be True or False"):
            FakeRolesClient().with_options(**options)


class TestFailure:
    def test_not_in_time(self) -> None:
        """A call that a hold leaves no time fails when it begins, with what the service asks."""
        account = account_at_noon()
        account.fail("create", 429, times=1, retry_after=15)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=10.0, max_concurrency=1)
            begun = account.now()
            first, second = await gather(creates(roles, 2))

            assert isinstance(first, RateLimitError)
            assert first.retry_after == 15.0
            assert "(times sent: 1)" in str(first)
            assert isinstance(second, RateLimitError)
            assert second.retry_after == 15.0
            assert str(second) == (
                "POST /v2/roles cannot be sent in time: the rate limit lets no request out of the "
                "queue for another 15 s, and Timeouts.total is 10 s (times sent: 0)"
            )
            assert account.now() == begun
            assert len(account.calls) == 1

        anyio.run(main)

    def test_after_a_hold(self) -> None:
        """A call that was sent after a hold, and got no answer, took too long."""
        account = account_at_noon()
        account.fail("list", 429, times=1, retry_after=3)
        account.fail("list", "silent", times=1)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=Timeouts(total=10.0, read=None))
            with pytest.raises(RolesTimeoutError, match=r"^list took too long"):
                await roles.list()

        anyio.run(main)
        assert [call.outcome for call in account.calls] == [429, "silent"]

    def test_too_long(self) -> None:
        """Without a limit on its time, a call waits for no longer than its policy says."""
        account = account_at_noon()
        account.fail("create", 429, times=1, retry_after=60)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None, retry=HASTY, max_concurrency=1)
            results = await gather(creates(roles, 3))

            assert [type(result) for result in results] == [RateLimitError] * 3
            assert len(account.calls) == 1

        anyio.run(main)

    @BACKENDS
    @pytest.mark.parametrize(
        ("first", "failed"), [(5.0, [(0.5, 8.0), (0.5, 8.0)]), (20.0, [(0.5, 8.0)])]
    )
    def test_longer_hold(
        self, first: float, failed: list[tuple[float, float]], backend: str
    ) -> None:
        """Calls fail when a hold grows beyond their time, not when the shorter one would end."""
        account = account_at_noon()
        account.slow_down(0.5, operation="get")
        account.fail("list", 429, times=1, retry_after=2)
        account.fail("get", 429, times=1, retry_after=8)
        ended: list[tuple[float, float | None]] = []

        async def main() -> None:
            async def list_roles(seconds: float) -> None:
                try:
                    await roles.with_options(timeout=seconds).list()
                except RateLimitError as error:
                    ended.append((passed(account), error.retry_after))

            async def refused(times: int) -> None:
                while refusals(account) < times:
                    await anyio.lowlevel.checkpoint()

            roles = FakeRolesClient(account)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gather, [lambda: roles.get(role_id=ROLE_ID)])
                await refused(1)
                tasks.start_soon(list_roles, first)
                await refused(2)
                tasks.start_soon(list_roles, 5.0)

        run(backend, main)
        assert ended == failed

    @BACKENDS
    def test_clock_ticks(self, backend: str) -> None:
        """A call ends although its time is up between two readings of the clock."""
        ticks = count()
        account = FakeAccount(clock=lambda: START + timedelta(milliseconds=next(ticks)))

        async def main() -> None:
            roles = FakeRolesClient(account)
            for milliseconds in range(20):
                account.fail("list", 429, times=1, retry_after=1)
                limited = roles.with_options(timeout=1.0 + milliseconds / 1000)
                with anyio.fail_after(10.0):
                    (result,) = await gather([limited.list().all])
                assert isinstance(result, RateLimitError | ListRolesResponse)
                account.advance(2000.0)

        run(backend, main)

    @BACKENDS
    def test_asks_on(self, backend: str) -> None:
        """Others run while a call that is too late at once is made again and again."""
        account = account_at_noon()
        account.fail("list", 429, times=1, retry_after=10)

        async def main() -> None:
            roles = FakeRolesClient(account)
            ended = anyio.Event()

            async def end() -> None:
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
                ended.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gather, [roles.list().all])
                await anyio.lowlevel.checkpoint()
                tasks.start_soon(end)
                for _ in range(1000):
                    if not ended.is_set():
                        with pytest.raises(RateLimitError):
                            await roles.with_options(timeout=5.0).list()
                assert ended.is_set()

        run(backend, main)

    @BACKENDS
    def test_slots_for_ever(self, backend: str) -> None:
        """A call ends when its time is up, also if those that have the slots wait for ever."""
        account = account_at_noon()
        account.fail("list", "silent", times=1)

        async def main() -> None:
            roles = FakeRolesClient(
                account, max_concurrency=1, timeout=Timeouts(total=None, read=None)
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(roles.list().all)
                while account.calls_in_all == 0:
                    await anyio.lowlevel.checkpoint()
                with anyio.fail_after(10.0), pytest.raises(RolesTimeoutError):
                    await roles.with_options(timeout=5.0).list()
                tasks.cancel_scope.cancel()

        run(backend, main)
        assert passed(account) == 5.0

    @BACKENDS
    @pytest.mark.parametrize("later", ["get", "list"])
    def test_between_attempts(self, backend: str, later: Literal["get", "list"]) -> None:
        """A call between two attempts notices a hold that is too long when it would go on."""
        account = account_at_noon()
        account.slow_down(0.5, operation=later)
        account.fail("list", 503, times=1, retry_after=3)
        account.fail("get", 429, times=1, retry_after=8)

        async def main() -> None:
            async def list_roles() -> None:
                with pytest.raises(RateLimitError, match=r"\(times sent: 1\)$") as caught:
                    await roles.with_options(timeout=5.0).list()
                assert caught.value.retry_after == (5.5 if later == "get" else 4.5)
                assert passed(account) == 3.0 + 0.5 * (later == "list")

            roles = FakeRolesClient(account)
            await gather([lambda: roles.get(role_id=ROLE_ID), list_roles])

        run(backend, main)

    @pytest.mark.parametrize("late", [100, 1500])
    def test_late_at_once(self, late: int) -> None:
        """All calls that are too late fail at the same moment, however many they are."""
        account = account_at_noon()
        account.fail("create", 429, times=1, retry_after=10)
        ended: list[float] = []

        async def main() -> None:
            roles = FakeRolesClient(account, max_concurrency=1, timeout=None)
            hasty = roles.with_options(timeout=5.0)

            async def create(name: str) -> None:
                with pytest.raises(RateLimitError):
                    await hasty.create(name=name, permissions=["PROJECT_READ"])
                ended.append(passed(account))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gather, creates(roles, 1))
                await anyio.lowlevel.checkpoint()
                for number in range(late):
                    tasks.start_soon(create, f"Late {number}")

        anyio.run(main)
        assert ended == [0.0] * late

    def test_many_for_one_slot(self) -> None:
        """Nobody's time is up while calls go on without any that takes time."""
        account = account_at_noon()
        account.fail("get", 503, times=1, retry_after=10)

        async def main() -> None:
            roles = FakeRolesClient(account, max_concurrency=1, timeout=5.0)
            patient = roles.with_options(timeout=None)
            results = await gather([lambda: patient.get(role_id=ROLE_ID), *creates(roles, 1500)])
            assert all(isinstance(result, Role) for result in results[1:])

        anyio.run(main)

    def test_slots(self) -> None:
        """A call whose time is up while all slots are taken took too long, and was not sent."""
        account = account_at_noon()
        account.slow_down(20.0)

        async def main() -> None:
            async def hasty() -> None:
                with pytest.raises(RolesTimeoutError) as caught:
                    await roles.with_options(timeout=10.0).list()
                assert caught.value.attempts == 0
                assert not caught.value.sent
                assert passed(account) == 10.0

            roles = FakeRolesClient(account, max_concurrency=1, timeout=Timeouts(read=None))
            await gather([roles.list().all, hasty])

        anyio.run(main)

    def test_shared_walk(self) -> None:
        """Calls that share a walk fail each for its own time, not for that of the one that asks."""
        account = account_at_noon()
        last = [account.add_role(f"Role {number}") for number in range(150)][-1]
        account.slow_down(2.0, operation="list")
        account.fail("list", 429, after=2, times=1, retry_after=5)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=10.0)
            await roles.get(role_id=last.id)

            async def find(seconds: float, name: str) -> Role:
                await wait_on(account, seconds)
                account.add_role(name)  # too late for the walk before
                return await roles.get(role=name)

            other, early, late = await gather(
                [
                    lambda: roles.get(role="nobody"),
                    lambda: find(1.0, "Early"),
                    lambda: find(3.5, "Late"),
                ]
            )
            assert isinstance(other, NotFoundError)
            assert isinstance(early, RateLimitError)
            assert isinstance(late, Role)

        anyio.run(main)

    def test_work_before_a_known_name(self) -> None:
        """While others work before a call by a known name is sent, it may become first."""
        account = account_at_noon()
        role = account.add_role("A")

        async def main() -> None:
            async def work() -> None:
                account.advance(10.0)

            roles = FakeRolesClient(account)
            await roles.get(role_id=role.id)
            account.fail("get", 429, times=1, retry_after=1)
            await roles.get(role_id=role.id)
            began = passed(account)
            await gather([lambda: roles.get(role="A"), work])
            assert passed(account) == began + 10.0

        anyio.run(main, backend="asyncio")

    def test_others_walk(self) -> None:
        """A call that waits for a walk of others ends when its own time is up."""
        account = account_at_noon()
        gone = account.add_role("Gone")
        account.slow_down(1.6, operation="get")
        account.slow_down(1.8, operation="list")

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=2.0)
            await roles.get(role_id=gone.id)
            await FakeRolesClient(account).delete(role_id=gone.id)
            began = passed(account)

            async def first() -> None:
                with pytest.raises(RolesTimeoutError):
                    await roles.get(role="Gone")  # a get of its old ID, and then a walk
                assert passed(account) - began == pytest.approx(2.0)

            async def second() -> None:
                await wait_on(account, 1.5)
                with pytest.raises(NotFoundError):
                    await roles.get(role="nobody")
                assert passed(account) - began == pytest.approx(3.3)

            await gather([first, second])

        anyio.run(main)

    def test_maybe_applied(self) -> None:
        """A change that may have been made keeps its unknown outcome in the queue."""
        account = account_at_noon()
        account.fail("create", 504, times=1, when="after")
        account.fail("create", 429, times=1, retry_after=15)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=10.0)
            (result,) = await gather(creates(roles, 1))
            assert isinstance(result, OutcomeUnknownError)

        anyio.run(main)

    def test_no_progress(self) -> None:
        """Refusals count as attempts once the service granted the client nothing for 5 minutes."""
        account = account_at_noon()
        account.fail("create", 429, times=None, retry_after=20)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None, retry=RetryPolicy(attempts=3))
            (result,) = await gather(creates(roles, 1))
            assert isinstance(result, RateLimitError)
            assert 340.0 <= passed(account) < 420.0

        anyio.run(main)

    def test_progress(self) -> None:
        """A refusal does not count as an attempt if others were granted something meanwhile."""
        account = account_at_noon()
        account.limit_rate(2.0, burst=1)

        async def main() -> None:
            roles = FakeRolesClient(account, timeout=None, retry=RetryPolicy(attempts=2))
            results = await gather(creates(roles, 200))
            assert all(isinstance(result, Role) for result in results)

        anyio.run(main)
        assert max(call.attempt for call in account.calls) > 2


class TestVisible:
    def test_waits(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log has the wait of a call in the queue, and that the service limits the rate."""
        account = account_at_noon()
        account.fail("list", 429, times=1, retry_after=3)

        async def main() -> None:
            await FakeRolesClient(account).list()

        with caplog.at_level(logging.DEBUG, "arize_roles_async"):
            anyio.run(main)

        messages = [record.getMessage() for record in caplog.records]
        assert "GET /v2/roles waited 3.000 s in the queue" in messages
        assert (
            "the service limits the rate: requests wait 3 s, then go at the rate that it grants"
            in messages
        )


def test_unlimited() -> None:
    """A client that never met a limit is held back by nothing."""
    account = account_at_noon()
    roles = FakeRolesClient(account, timeout=None)

    async def main() -> None:
        await gather(creates(roles, 100))

    anyio.run(main)
    assert [call.at for call in account.calls] == [START] * 100


def test_another_loop() -> None:
    """Calls left behind in a closed event loop do not delay calls in the next one."""
    account = account_at_noon()
    account.fail("get", "silent", times=1)
    roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None), max_concurrency=1)
    role = account.add_role("Role")
    loop = asyncio.new_event_loop()
    _left = [loop.create_task(roles.get(role_id=role.id)) for _ in range(2)]
    loop.set_exception_handler(lambda _loop, _context: None)  # They are left on purpose.
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    assert asyncio.run(asyncio.wait_for(roles.get(role_id=role.id), 5.0)) == role


@pytest.mark.asyncio
async def test_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that may be tried again at once goes on in the next step of the event loop."""
    account = FakeAccount()
    account.fail("list", 503, times=1, retry_after=0)
    timers: list[float] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def note(delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        timers.append(delay)
        return call_later(delay, callback, *args)

    async with (
        serve(account) as url,
        AiohttpRolesClient(account.api_key, base_url=url) as roles,
    ):
        monkeypatch.setattr(loop, "call_later", note)
        await roles.list()

    assert [call.outcome for call in account.calls] == [503, 200]
    assert 0.0 not in timers


@pytest.mark.asyncio
async def test_longer_hold() -> None:
    """Over a connection, too, a call that waits for a hold notices when it grows."""
    account = FakeAccount()
    account.fail("get", 429, times=1, retry_after=20)
    account.fail("list", 429, times=1, retry_after=30)
    account.slow_down(0.1, operation="list")

    async with (
        serve(account) as url,
        AiohttpRolesClient(account.api_key, base_url=url, timeout=None, retry=HASTY) as roles,
        asyncio.timeout(10.0),
    ):
        first, second = await gather([lambda: roles.get(role_id=ROLE_ID), roles.list().all])

    assert isinstance(first, RateLimitError)
    assert isinstance(second, RateLimitError)
    assert "for another 30 s, and RetryPolicy.max_retry_after is 20 s (times" in str(first)


@pytest.mark.asyncio
async def test_no_timer_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait for a hold that ends early leaves no timer in the event loop."""
    account = FakeAccount()
    account.fail("get", 429, times=1, retry_after=20)
    account.fail("list", 429, times=1, retry_after=30)
    account.slow_down(0.1, operation="list")
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    timers: list[asyncio.TimerHandle] = []

    def note(delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        timer = call_later(delay, callback, *args)
        if 15.0 < delay <= 20.0:
            timers.append(timer)
        return timer

    async with (
        serve(account) as url,
        AiohttpRolesClient(account.api_key, base_url=url, timeout=None, retry=HASTY) as roles,
    ):
        monkeypatch.setattr(loop, "call_later", note)
        await gather([lambda: roles.get(role_id=ROLE_ID), roles.list().all])

    assert [timer.cancelled() for timer in timers] == [True]


@pytest.mark.asyncio
async def test_many_expire() -> None:
    """Ten thousand calls whose time runs out at once end in batches, and the loop runs between."""
    most = 0

    async def watch(calls: Sequence[asyncio.Future[Role]]) -> None:
        nonlocal most
        before = 0
        while before < len(calls):
            await asyncio.sleep(0)
            ended = sum(call.done() for call in calls)
            most, before = max(most, ended - before), ended

    async with (
        stalled() as url,
        AiohttpRolesClient("key", base_url=url, timeout=1.0) as roles,
    ):
        calls = [asyncio.ensure_future(roles.get(role_id=ROLE_ID)) for _ in range(10_000)]
        await watch(calls)

    assert {type(call.exception()) for call in calls} == {RolesTimeoutError}
    assert most <= 500
