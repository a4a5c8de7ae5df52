import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from unittest import mock

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    Timeouts,
    UnprocessableEntityError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import Connect, account_at_noon, both_clients
from tests.support.raw_http import scripted

THREE = RetryPolicy(attempts=3)


def waits(account: FakeAccount) -> list[float]:
    """Return the seconds between the calls that the account was asked."""
    moments = [call.at for call in account.calls]
    return [(after - before).total_seconds() for before, after in pairwise(moments)]


@asynccontextmanager
async def drawn(edge: Callable[[float, float], float]) -> AsyncGenerator[mock.Mock]:
    """Draw one edge of every range where the client would draw from within."""
    with mock.patch("random.uniform", side_effect=edge) as uniform:
        yield uniform


async def create(roles: RolesClient) -> object:
    return await roles.create(name="Made", permissions=["PROJECT_READ"])


async def read(roles: RolesClient) -> object:
    return await roles.list()


# Which failures are tried again


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_read_is_tried_again_after_a_failure_that_passes(
    connect: Connect, status: int
) -> None:
    account = account_at_noon()
    account.fail("list", status, times=2)

    async with connect(account, retry=THREE) as roles:
        assert len(await roles.list()) == 0

    assert [(c.outcome, c.attempt) for c in account.calls] == [(status, 1), (status, 2), (200, 3)]


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_change_is_tried_again_after_a_failure_that_passes(
    connect: Connect, status: int
) -> None:
    account = account_at_noon()
    account.fail("create", status, times=2)

    async with connect(account, retry=THREE) as roles:
        await create(roles)

    assert [(c.outcome, c.attempt) for c in account.calls] == [(status, 1), (status, 2), (201, 3)]
    account.assert_roles({"Made": ["PROJECT_READ"]})


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("status", [500, 501, 520, 599])
async def test_a_change_that_the_service_failed_at_is_not_tried_again_and_of_unknown_outcome(
    connect: Connect, status: int
) -> None:
    account = account_at_noon()
    account.fail("create", status, when="after")

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.status == status
    assert caught.value.attempts == 1
    assert len(account.calls) == 1


@pytest.mark.asyncio
async def test_a_status_that_http_does_not_have_leaves_the_outcome_of_a_change_unknown() -> None:
    async with (
        scripted(b"HTTP/1.1 999 Nobody Knows\r\nContent-Length: 0\r\n\r\n") as script,
        AiohttpRolesClient("key", base_url=script.url) as roles,
    ):
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.status == 999


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (408, StatusError),
        (409, ConflictError),
        (422, UnprocessableEntityError),
        (451, StatusError),
    ],
)
@pytest.mark.parametrize("call", [read, create])
async def test_a_refusal_is_final(
    connect: Connect,
    status: int,
    kind: type[StatusError],
    call: Callable[[RolesClient], Awaitable[object]],
) -> None:
    account = account_at_noon()
    account.fail("any", status)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(kind):
            await call(roles)

    assert len(account.calls) == 1


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("status", [501, 505])
async def test_a_read_is_not_tried_again_after_a_failure_that_stays(
    connect: Connect, status: int
) -> None:
    account = account_at_noon()
    account.fail("list", status)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ServerError):
            await roles.list()

    assert len(account.calls) == 1


@pytest.mark.asyncio
@both_clients
async def test_an_answer_that_makes_no_sense_is_final(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("list", "malformed")

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(InvalidResponseError):
            await roles.list()

    assert len(account.calls) == 1


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("breakage", ["lost", "truncated"])
async def test_a_read_is_tried_again_after_a_connection_that_broke(
    connect: Connect, breakage: str
) -> None:
    account = account_at_noon()
    account.fail("list", breakage, times=2)  # type: ignore[arg-type]

    async with connect(account, retry=THREE) as roles:
        await roles.list()

    assert [c.outcome for c in account.calls] == [breakage, breakage, 200]


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_attempts_are_counted_in_all_and_the_last_failure_surfaces(
    connect: Connect, attempts: int
) -> None:
    account = account_at_noon()
    account.outage = True

    async with connect(account, retry=RetryPolicy(attempts=attempts)) as roles:
        with pytest.raises(ServerError) as caught:
            await roles.list()

    assert caught.value.status == 503
    assert [c.attempt for c in account.calls] == list(range(1, attempts + 1))


@pytest.mark.asyncio
@both_clients
async def test_each_page_of_a_walk_has_all_its_attempts(connect: Connect) -> None:
    account = account_at_noon()
    for number in range(3):
        account.add_role(f"Role {number}")
    for calls_before in (0, 3, 6):
        account.fail("list", 503, times=2, after=calls_before)

    async with connect(account, retry=THREE) as roles:
        assert len([role async for role in roles.list(limit=1)]) == 3


# How long it waits


@pytest.mark.asyncio
@both_clients
async def test_the_longest_waits_double_up_to_a_limit(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("list", 503, times=6)
    policy = RetryPolicy(attempts=7, backoff=0.5, max_backoff=8.0)

    async with connect(account, retry=policy) as roles, drawn(max):
        await roles.with_options(timeout=None).list()

    assert waits(account) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


@pytest.mark.asyncio
@both_clients
async def test_the_shortest_wait_is_none(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("list", 503, times=2)

    async with connect(account, retry=THREE) as roles, drawn(min):
        await roles.list()

    assert waits(account) == [0.0, 0.0]


@pytest.mark.asyncio
@both_clients
async def test_waits_differ(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("list", 503, times=9)
    policy = RetryPolicy(attempts=10, backoff=1.0, max_backoff=1.0)

    async with connect(account, retry=policy) as roles:
        await roles.list()

    assert len(set(waits(account))) > 1
    assert all(0.0 <= wait <= 1.0 for wait in waits(account))


def test_a_late_attempt_waits_no_longer_than_the_limit() -> None:
    policy = RetryPolicy(attempts=10_000, max_backoff=3.0)

    with mock.patch("random.uniform", side_effect=max):
        delay = policy.delay(ServerError(status=503), attempt=9_999, change=False)

    assert delay == 3.0


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("status", [429, 503])
async def test_it_waits_as_long_as_the_service_asks(connect: Connect, status: int) -> None:
    account = account_at_noon()
    account.fail("create", status, retry_after=7)

    async with connect(account, retry=THREE) as roles:
        await create(roles)

    assert waits(account) == [7.0]


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize(("asked", "calls"), [(20, 2), (21, 1)])
async def test_a_longer_wait_than_the_ceiling_surfaces_at_once_with_its_length(
    connect: Connect, asked: int, calls: int
) -> None:
    account = account_at_noon()
    account.fail("list", RateLimitError, retry_after=asked, times=2)
    policy = RetryPolicy(attempts=2, max_retry_after=20.0)

    async with connect(account, retry=policy) as roles:
        with pytest.raises(RateLimitError) as caught:
            await roles.with_options(timeout=None).list()

    assert caught.value.retry_after == float(asked)
    assert len(account.calls) == calls


@pytest.mark.asyncio
@both_clients
async def test_an_hour_is_not_slept(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("list", RateLimitError, retry_after=3600)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(RateLimitError) as caught:
            await roles.list()

    assert caught.value.retry_after == 3600.0
    assert waits(account) == []


def too_many(*headers: bytes) -> bytes:
    return b"\r\n".join(
        [b"HTTP/1.1 429 Too Many Requests", *headers, b"Content-Length: 0", b"", b""]
    )


PAGE = b'{"roles": [], "pagination": {"has_more": false}}'
OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
) + PAGE


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ((b"Retry-After: 3",), 3.0),
        ((b"retry-after: 3",), 3.0),
        (
            (
                b"Date: Thu, 01 Jan 2026 12:00:00 GMT",
                b"Retry-After: Thu, 01 Jan 2026 12:00:05 GMT",
            ),
            5.0,
        ),
        (
            (
                b"date: Thu, 01 Jan 2026 12:00:00 GMT",
                b"retry-after: Thu, 01 Jan 2026 12:00:05 GMT",
            ),
            5.0,
        ),
        # The two forms of a date that RFC 9110 still has recipients take.
        (
            (
                b"Date: Thursday, 01-Jan-26 12:00:00 GMT",
                b"Retry-After: Thursday, 01-Jan-26 12:00:06 GMT",
            ),
            6.0,
        ),
        (
            (
                b"Date: Thu, 01 Jan 2026 12:00:00 GMT",
                b"Retry-After: Thu Jan  1 12:00:07 2026",
            ),
            7.0,
        ),
        # A moment that has passed.
        (
            (
                b"Date: Thu, 01 Jan 2026 12:00:00 GMT",
                b"Retry-After: Thu, 01 Jan 2026 11:00:00 GMT",
            ),
            0.0,
        ),
    ],
)
async def test_how_long_to_wait_is_read_in_every_form_of_the_header(
    headers: tuple[bytes, ...], wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far from where HTTP's dates are.
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with (
        scripted(too_many(*headers), OK) as script,
        AiohttpRolesClient("key", base_url=script.url, sleep=sleep) as roles,
    ):
        await roles.list()

    monkeypatch.undo()
    time.tzset()
    assert waited == [wait]


@pytest.mark.asyncio
@pytest.mark.parametrize("header", [b"Retry-After: soon", b"Retry-After: -5", b"Retry-After: "])
async def test_a_wait_that_cannot_be_read_is_a_backoff(header: bytes) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with (
        scripted(too_many(header), OK) as script,
        AiohttpRolesClient("key", base_url=script.url, sleep=sleep) as roles,
        drawn(max),
    ):
        await roles.list()

    assert waited == [0.5]


@pytest.mark.asyncio
@both_clients
async def test_a_wait_that_the_time_left_does_not_hold_surfaces_the_failure_at_once(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.fail("list", 503, retry_after=6, times=2)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ServerError) as caught:
            await roles.with_options(timeout=5.0).list()

    assert caught.value.retry_after == 6.0
    assert len(account.calls) == 1


# Options per call


@pytest.mark.asyncio
@both_clients
async def test_with_options_changes_the_policy_for_the_client_that_it_returns_only(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.outage = True

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ServerError):
            await roles.with_options(retry=RetryPolicy(attempts=1)).list()
        assert len(account.calls) == 1
        with pytest.raises(ServerError):
            await roles.list()
        assert len(account.calls) == 4


@pytest.mark.asyncio
@both_clients
async def test_with_options_keeps_what_it_is_not_told(connect: Connect) -> None:
    account = account_at_noon()
    account.outage = True

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ServerError):
            await roles.with_options(timeout=9.0).with_options(timeout=None).list()

    assert len(account.calls) == 3


@pytest.mark.asyncio
async def test_with_options_shares_the_connections() -> None:
    async with (
        # It answers one connection twice; a second one would wait for ever.
        scripted(OK, OK) as script,
        AiohttpRolesClient("key", base_url=script.url) as roles,
    ):
        await roles.list()
        await roles.with_options(timeout=1.0).list()

        assert script.connections == 1


@pytest.mark.asyncio
@both_clients
async def test_with_options_shares_being_closed(connect: Connect) -> None:
    async with connect(account_at_noon()) as roles:
        await roles.with_options(timeout=1.0).aclose()
        with pytest.raises(ClientStateError, match="closed"):
            await roles.list()


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"attempts": True}, {"attempts": 2.0}, {"backoff": 0}, {"backoff": math.nan}],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        RetryPolicy(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1.0, math.inf, "5", True])
def test_a_limit_that_makes_no_sense_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="total must be seconds above 0"):
        FakeRolesClient(timeout=seconds)


# A creation whose answer was lost


@pytest.mark.asyncio
@both_clients
async def test_a_role_that_a_lost_attempt_made_is_returned(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="after")

    async with connect(account, retry=THREE) as roles:
        role = await roles.create(
            name="Made", permissions=["DATASET_READ", "PROJECT_READ"], description="New."
        )

    assert role == account.role("Made")
    assert [(c.operation, c.outcome) for c in account.calls] == [
        ("create", "lost"),
        ("create", 409),
        ("list", 200),
    ]


@pytest.mark.asyncio
@both_clients
async def test_a_role_that_a_lost_attempt_did_not_make_is_made_by_the_next(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="before")

    async with connect(account, retry=THREE) as roles:
        role = await create(roles)

    assert role == account.role("Made")
    assert [c.outcome for c in account.calls] == ["lost", 201]


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize(
    ("permissions", "description"),
    [(["DATASET_READ"], None), (["PROJECT_READ"], "Someone else's."), ([], None)],
)
async def test_another_role_of_the_name_is_a_conflict_after_a_lost_attempt_too(
    connect: Connect, permissions: list[str], description: str | None
) -> None:
    account = account_at_noon()
    account.add_role("Made", permissions, description=description)
    account.add_role("Newer, and listed first")
    account.fail("create", "lost")

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ConflictError):
            await create(roles)


@pytest.mark.asyncio
@both_clients
async def test_a_first_conflict_is_not_looked_into(connect: Connect) -> None:
    account = account_at_noon()
    account.add_role("Made", ["PROJECT_READ"])

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ConflictError):
            await create(roles)

    assert [c.operation for c in account.calls] == ["create"]


@pytest.mark.asyncio
@both_clients
async def test_a_conflict_with_a_role_that_is_gone_again_leaves_the_outcome_unknown(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.fail("create", "lost")
    account.fail("create", 409)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, ConflictError)
    account.assert_roles({})


@pytest.mark.asyncio
@both_clients
async def test_a_key_that_may_not_look_leaves_the_outcome_unknown(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.add_key("creator", grants=["ROLE_CREATE"])
    account.fail("create", "lost", when="after")

    async with connect(account, api_key="creator", retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, ForbiddenError)
    assert caught.value.operation == "create"


@pytest.mark.asyncio
@both_clients
async def test_a_plan_that_the_lost_attempt_itself_used_up_does_not_hide_the_role(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="after")
    account.fail("create", 403, entitlement="custom_roles", limit=1, current_count=1)

    async with connect(account, retry=THREE) as roles:
        role = await create(roles)

    assert role == account.role("Made")


@pytest.mark.asyncio
@both_clients
async def test_a_plan_that_allows_no_more_is_a_refusal_after_a_lost_attempt_too(
    connect: Connect,
) -> None:
    account = account_at_noon(max_custom_roles=0)
    account.fail("create", "lost")

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ForbiddenError):
            await create(roles)


@pytest.mark.asyncio
@both_clients
async def test_a_look_that_fails_leaves_the_outcome_unknown(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="after")
    account.fail("list", 403)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, ForbiddenError)


@pytest.mark.asyncio
@both_clients
async def test_a_look_that_is_never_answered_leaves_the_outcome_unknown(connect: Connect) -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="after")
    account.fail("list", "lost", times=3)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, RolesConnectionError)


# Deletions and updates whose answers were lost


@pytest.mark.asyncio
@both_clients
async def test_a_role_that_a_lost_attempt_deleted_is_deleted(connect: Connect) -> None:
    account = account_at_noon()
    role = account.add_role("Role")
    account.fail("delete", "lost", when="after")

    async with connect(account, retry=THREE) as roles:
        await roles.delete(role_id=role.id)

    assert [c.outcome for c in account.calls] == ["lost", 404]


@pytest.mark.asyncio
@both_clients
async def test_a_role_that_was_never_there_is_not_found(connect: Connect) -> None:
    account = account_at_noon()

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(NotFoundError):
            await roles.delete(role_id="Um9sZTo5Om5vbmU=")


@pytest.mark.asyncio
@both_clients
async def test_a_role_that_was_never_there_is_not_found_after_an_outage_either(
    connect: Connect,
) -> None:
    account = account_at_noon()
    # The service itself said that it did nothing.
    account.fail("delete", 503)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(NotFoundError):
            await roles.delete(role_id="Um9sZTo5Om5vbmU=")


@pytest.mark.asyncio
@both_clients
async def test_an_update_is_sent_again_as_it_was(connect: Connect) -> None:
    account = account_at_noon()
    role = account.add_role("Role", ["PROJECT_READ"])
    account.fail("update", "lost", when="after")

    async with connect(account, retry=THREE) as roles:
        changed = await roles.update(role_id=role.id, name="Renamed", permissions=["DATASET_READ"])

    assert changed == account.role("Renamed")
    first, second = account.calls
    assert first.arguments == second.arguments


@pytest.mark.asyncio
@both_clients
async def test_an_update_to_a_name_that_was_taken_meanwhile_is_a_conflict(connect: Connect) -> None:
    account = account_at_noon()
    role = account.add_role("Role")
    account.add_role("Taken")
    account.fail("update", "lost")

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ConflictError):
            await roles.update(role_id=role.id, name="Taken")


@pytest.mark.asyncio
@both_clients
async def test_an_update_of_a_role_that_is_gone_is_not_found_after_a_lost_attempt_too(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.fail("update", "lost")

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(NotFoundError):
            await roles.update(role_id="Um9sZTo5Om5vbmU=", name="Renamed")


# Attempts used up


async def update(roles: RolesClient) -> object:
    return await roles.update(role="Role", name="Renamed")


async def delete(roles: RolesClient) -> object:
    await roles.delete(role="Role")
    return None


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("call", [create, update, delete])
@pytest.mark.parametrize(
    ("failure", "kind", "cause"),
    [
        ("lost", OutcomeUnknownError, RolesConnectionError),
        (502, OutcomeUnknownError, ServerError),
        (504, OutcomeUnknownError, ServerError),
    ],
)
async def test_attempts_used_up_leave_the_outcome_unknown(
    connect: Connect,
    call: Callable[[RolesClient], Awaitable[object]],
    failure: int,
    kind: type[RolesError],
    cause: type[RolesError],
) -> None:
    account = account_at_noon()
    account.add_role("Role")
    operation = call.__name__
    account.fail(operation, failure, times=3)  # type: ignore[arg-type]

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await call(roles)

    assert type(caught.value) is kind
    assert type(caught.value.__cause__) is cause
    assert caught.value.operation == operation


@pytest.mark.asyncio
@both_clients
async def test_a_refusal_after_a_lost_attempt_does_not_tell_what_that_one_did(
    connect: Connect,
) -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="after")
    account.fail("create", 401)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert caught.value.attempts == 2


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_after_a_lost_attempt_to_delete_is_no_success(
    connect: Connect, status: int
) -> None:
    account = account_at_noon()
    account.add_role("Role")
    account.fail("delete", "lost")
    account.fail("delete", status)

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(OutcomeUnknownError):
            await delete(roles)

    assert account.role("Role") is not None


@pytest.mark.asyncio
@both_clients
@pytest.mark.parametrize("call", [create, update, delete])
async def test_an_outage_that_the_service_owns_up_to_means_that_nothing_happened(
    connect: Connect, call: Callable[[RolesClient], Awaitable[object]]
) -> None:
    account = account_at_noon()
    account.add_role("Role")
    account.fail(call.__name__, 503, times=3)  # type: ignore[arg-type]

    async with connect(account, retry=THREE) as roles:
        with pytest.raises(ServerError) as caught:
            await call(roles)

    assert not isinstance(caught.value, OutcomeUnknownError)


@pytest.mark.asyncio
async def test_an_outage_that_only_a_gateway_speaks_of_leaves_the_outcome_unknown() -> None:
    gateway = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 18\r\n\r\nupstream reset: UC"
    async with (
        scripted(gateway) as script,
        AiohttpRolesClient("key", base_url=script.url, retry=RetryPolicy(attempts=1)) as roles,
    ):
        with pytest.raises(OutcomeUnknownError):
            await create(roles)


# Time, on the account's clock


@pytest.mark.asyncio
async def test_a_silent_account_is_a_timeout_after_every_attempt() -> None:
    account = account_at_noon()
    account.slow_down(12.0)
    roles = FakeRolesClient(
        account, timeout=Timeouts(total=None, read=10.0), retry=RetryPolicy(attempts=3, backoff=1.0)
    )

    async with drawn(max):
        with pytest.raises(RolesTimeoutError) as caught:
            await roles.list()

    assert (caught.value.limit, caught.value.seconds, caught.value.attempts) == ("read", 10.0, 3)
    assert waits(account) == [11.0, 12.0]


@pytest.mark.asyncio
async def test_time_in_all_runs_over_attempts_and_waits() -> None:
    account = account_at_noon()
    account.slow_down(12.0)
    roles = FakeRolesClient(account, timeout=25.0, retry=RetryPolicy(attempts=5, backoff=1.0))

    async with drawn(max):
        with pytest.raises(RolesTimeoutError, match=r"total limit of 25 s, 3 attempts") as caught:
            await roles.list()

    assert (caught.value.limit, caught.value.seconds, caught.value.attempts) == ("total", 25.0, 3)
    assert (account.now() - account.calls[0].at).total_seconds() == 25.0


@pytest.mark.asyncio
async def test_time_in_all_up_after_a_change_was_sent_leaves_the_outcome_unknown() -> None:
    account = account_at_noon()
    account.slow_down(40.0)
    roles = FakeRolesClient(account, timeout=Timeouts(total=30.0, read=None))

    with pytest.raises(OutcomeUnknownError) as caught:
        await create(roles)

    assert isinstance(caught.value.__cause__, RolesTimeoutError)
    assert (caught.value.__cause__.limit, caught.value.operation) == ("total", "create")
    account.assert_roles({"Made": ["PROJECT_READ"]})


@pytest.mark.asyncio
async def test_time_in_all_up_in_the_wait_after_a_refusal_means_that_nothing_happened() -> None:
    async def sleep(_: float) -> None:
        await asyncio.Event().wait()

    async with (
        scripted(too_many(b"Retry-After: 0")) as script,
        AiohttpRolesClient("key", base_url=script.url, sleep=sleep) as roles,
    ):
        with pytest.raises(RolesTimeoutError) as caught:
            await create(roles.with_options(timeout=0.1))

    assert not isinstance(caught.value, OutcomeUnknownError)
    assert (caught.value.limit, caught.value.sent) == ("total", False)


@pytest.mark.asyncio
async def test_time_in_all_up_while_a_change_is_looked_into_leaves_the_outcome_unknown() -> None:
    account = account_at_noon()
    account.fail("create", "lost", when="after")
    roles = FakeRolesClient(account, timeout=Timeouts(total=30.0, read=None))

    async with drawn(min):
        account.slow_down(14.0)
        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

    assert [c.operation for c in account.calls] == ["create", "create", "list"]
    assert isinstance(caught.value.__cause__, RolesTimeoutError)
    assert (caught.value.__cause__.limit, caught.value.attempts) == ("total", 3)


@pytest.mark.asyncio
async def test_time_in_all_up_while_a_name_is_looked_for_means_that_nothing_happened() -> None:
    account = account_at_noon()
    account.add_role("Role")
    account.slow_down(40.0)
    roles = FakeRolesClient(account, timeout=Timeouts(total=30.0, read=None))

    with pytest.raises(RolesTimeoutError) as caught:
        await roles.delete(role="Role")

    assert not isinstance(caught.value, OutcomeUnknownError)


@pytest.mark.asyncio
async def test_without_limits_an_account_may_take_its_time() -> None:
    account = account_at_noon()
    account.slow_down(86_400.0)

    roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))

    assert len(await roles.list()) == 0
