import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, serve
from tests.support.chaos import ChaosProxy, Point, chaos_proxy
from tests.support.clients import PREDEFINED
from tests.support.event_loop import LoopClock, until
from tests.tools.chaos_table import no_wait, representatives, run

# Long where nothing should run into it, and short where nothing else can happen.
LIMITS = Timeouts(total=120.0, connect=60.0, read=60.0)
SILENCE = Timeouts(total=120.0, connect=60.0, read=0.1)
ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2)


def test_whatever_breaks_what_a_call_says_is_true_of_the_account() -> None:
    # `python -m tests.tools.chaos_table` runs them all.
    outcomes = run(representatives())

    assert [f"{o.case}: {o}: {o.wrong}" for o in outcomes if o.wrong] == []
    assert len(outcomes) >= 800


@attrs.frozen
class Setting:
    account: FakeAccount
    proxy: ChaosProxy
    roles: AiohttpRolesClient

    def reached_the_proxy(self, method: str) -> int:
        return [exchange.method for exchange in self.proxy.log].count(method)


@asynccontextmanager
async def setting(retry: RetryPolicy, *, lent: bool = False) -> AsyncGenerator[Setting]:
    async with AsyncExitStack() as stack:
        account = FakeAccount()
        server = urlsplit(await stack.enter_async_context(serve(account)))
        proxy = await stack.enter_async_context(
            chaos_proxy(server.hostname or "", server.port or 0)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession()) if lent else None
        roles = AiohttpRolesClient(
            account.api_key,
            base_url=proxy.url,
            session=session,
            timeout=LIMITS,
            retry=retry,
            sleep=no_wait,
        )
        yield Setting(account, proxy, await stack.enter_async_context(roles))


@pytest.mark.asyncio
@pytest.mark.parametrize("lent", [False, True])
async def test_a_dropped_delete_on_a_reused_connection_is_sent_once_for_one_attempt(
    lent: bool,  # noqa: FBT001
) -> None:
    async with setting(ONCE, lent=lent) as s:
        target = s.account.add_role("Target")
        await s.roles.list()
        s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

        with pytest.raises(OutcomeUnknownError) as caught:
            await s.roles.delete(role_id=target.id)

        assert caught.value.attempts == 1
        assert s.reached_the_proxy("DELETE") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("lent", [False, True])
async def test_a_dropped_delete_that_worked_is_success_with_a_second_attempt(
    lent: bool,  # noqa: FBT001
) -> None:
    async with setting(TWICE, lent=lent) as s:
        target = s.account.add_role("Target")
        await s.roles.list()
        s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

        await s.roles.delete(role_id=target.id)

        assert [(c.outcome, c.attempt) for c in s.account.calls_of("delete")] == [
            (204, 1),
            (404, 2),
        ]


@pytest.mark.asyncio
@pytest.mark.parametrize("lent", [False, True])
async def test_a_dropped_get_on_a_reused_connection_is_sent_once_for_one_attempt(
    lent: bool,  # noqa: FBT001
) -> None:
    async with setting(ONCE, lent=lent) as s:
        target = s.account.add_role("Target")
        await s.roles.list()
        s.proxy.log.clear()
        s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

        with pytest.raises(RolesConnectionError):
            await s.roles.get(role_id=target.id)

        assert s.reached_the_proxy("GET") == 1


@pytest.mark.asyncio
async def test_second_try_refused() -> None:
    """An aiohttp that tries a second time by itself, whatever it is told, sends nothing again."""
    async with setting(ONCE) as s:
        target = s.account.add_role("Target")
        await s.roles.list()
        client: Any = s.roles
        client._transport._session._retry_connection = True
        s.proxy.script = [Point.CLOSE_AFTER_COMMIT]

        with pytest.raises(OutcomeUnknownError):
            await s.roles.delete(role_id=target.id)

        assert s.reached_the_proxy("DELETE") == 1


@pytest.mark.asyncio
async def test_a_change_that_was_never_sent_is_a_failure_to_connect() -> None:
    async with setting(TWICE) as s:
        s.proxy.script = [Point.REFUSED] * 2

        with pytest.raises(RolesConnectionError) as caught:
            await s.roles.create(name="Made", permissions=["PROJECT_READ"])

        assert not isinstance(caught.value, OutcomeUnknownError)
        assert not caught.value.sent


@pytest.mark.asyncio
async def test_a_change_that_was_sent_and_never_answered_has_an_unknown_outcome() -> None:
    async with setting(TWICE) as s:
        s.proxy.script = [Point.RESET_AFTER_COMMIT] * 2

        with pytest.raises(OutcomeUnknownError) as caught:
            await s.roles.create(name="Made", permissions=["PROJECT_READ"])

        assert not isinstance(caught.value, RolesConnectionError)
        assert caught.value.operation == "create"
        assert caught.value.attempts == 2
        assert isinstance(caught.value.__cause__, RolesConnectionError)


@pytest.mark.asyncio
async def test_a_connection_that_never_comes_is_a_timeout_of_the_connect_limit() -> None:
    async with setting(TWICE) as s:
        s.proxy.script = [Point.STALL_ON_CONNECT] * 2

        with pytest.raises(RolesTimeoutError) as caught:
            await s.roles.with_options(timeout=Timeouts(connect=0.1)).create(
                name="Made", permissions=["PROJECT_READ"]
            )

        assert not isinstance(caught.value, OutcomeUnknownError)
        assert (caught.value.limit, caught.value.seconds) == ("connect", 0.1)
        assert caught.value.attempts == 2


@pytest.mark.asyncio
async def test_a_silent_service_is_a_timeout_of_the_read_limit() -> None:
    async with setting(TWICE) as s:
        s.proxy.script = [Point.STALL_IN_BODY] * 2

        with pytest.raises(RolesTimeoutError) as caught:
            await s.roles.with_options(timeout=SILENCE).list()

        assert (caught.value.limit, caught.value.seconds) == ("read", 0.1)
        assert caught.value.attempts == 2


@pytest.mark.asyncio
async def test_a_silence_after_a_change_was_sent_is_both_a_timeout_and_an_unknown_outcome() -> None:
    async with setting(ONCE) as s:
        s.proxy.script = [Point.STALL_AFTER_COMMIT]

        with pytest.raises(OutcomeUnknownError) as caught:
            await s.roles.with_options(timeout=SILENCE).create(
                name="Made", permissions=["PROJECT_READ"]
            )

        cause = caught.value.__cause__
        assert isinstance(cause, RolesTimeoutError)
        assert (cause.limit, cause.attempts) == ("read", 1)


@pytest.mark.asyncio
async def test_the_time_in_all_bounds_a_call_whose_attempts_have_no_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = LoopClock(monkeypatch)
    async with setting(TWICE) as s:
        s.proxy.script = [Point.STALL_AFTER_COMMIT]
        limited = s.roles.with_options(timeout=Timeouts(total=120.0, read=None))
        call = asyncio.ensure_future(limited.create(name="Made", permissions=["PROJECT_READ"]))
        await until(lambda: s.proxy.log)
        await clock.pass_by(120.0)

        with pytest.raises(OutcomeUnknownError) as caught:
            await call

        cause = caught.value.__cause__
        assert isinstance(cause, RolesTimeoutError)
        assert (cause.limit, cause.seconds) == ("total", 120.0)
        assert caught.value.attempts == 1


@pytest.mark.asyncio
async def test_the_time_in_all_up_before_there_is_a_connection_says_nothing_happened() -> None:
    async with setting(TWICE) as s:
        s.proxy.script = [Point.STALL_ON_CONNECT]

        with pytest.raises(RolesTimeoutError) as caught:
            await s.roles.with_options(timeout=Timeouts(total=0.1, connect=None)).create(
                name="Made", permissions=["PROJECT_READ"]
            )

        assert not isinstance(caught.value, OutcomeUnknownError)
        assert caught.value.limit == "total"


@pytest.mark.asyncio
async def test_a_body_that_goes_on_slowly_breaks_no_limit() -> None:
    async with setting(ONCE) as s:
        s.proxy.script = [Point.SLOW_BYTES]

        page = await s.roles.list(is_predefined=True)

        assert [role.name for role in page] == PREDEFINED


@pytest.mark.asyncio
async def test_a_body_that_expands_past_the_limit_ends_its_connection_too() -> None:
    async with setting(ONCE) as s:
        s.proxy.script = [Point.GZIP_BOMB]

        with pytest.raises(InvalidResponseError, match="longer than 4 MiB"):
            await s.roles.with_options(timeout=None).list()

        assert len(await s.roles.list()) == 7


@pytest.mark.asyncio
async def test_a_delete_whose_retry_is_told_404_by_a_gateway_is_of_unknown_outcome() -> None:
    async with setting(TWICE) as s:
        target = s.account.add_role("Target")
        s.proxy.script = [Point.RESET_AFTER_COMMIT, Point.GZIP_BOMB]

        with pytest.raises(OutcomeUnknownError) as caught:
            await s.roles.with_options(timeout=Timeouts(read=None)).delete(role_id=target.id)

        assert isinstance(caught.value.__cause__, StatusError)
        assert not caught.value.__cause__.from_service


@pytest.mark.asyncio
async def test_an_answer_that_nobody_asked_for_is_nobodys_answer() -> None:
    async with setting(ONCE) as s:
        first, second = s.account.add_role("First"), s.account.add_role("Second")
        s.proxy.script = [Point.RESPONSE_TWICE]

        assert await s.roles.get(role_id=first.id) == first
        assert await s.roles.get(role_id=second.id) == second
