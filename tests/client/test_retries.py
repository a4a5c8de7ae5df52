import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Literal
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
from arize_roles_fake import FakeAccount, FakeRolesClient, serve
from tests.support.clients import Connect, account_at_noon, both_clients, sleeping
from tests.support.event_loop import LoopClock
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


class TestTriedAgain:
    """Which failures are tried again."""

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    async def test_read_retried(self, connect: Connect, status: int) -> None:
        """A read is tried again after a failure that passes."""
        account = account_at_noon()
        account.fail("list", status, times=2)

        async with connect(account, retry=THREE) as roles:
            assert len(await roles.list()) == 0

        assert [(c.outcome, c.attempt) for c in account.calls] == [
            (status, 1),
            (status, 2),
            (200, 3),
        ]

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    async def test_change_retried(self, connect: Connect, status: int) -> None:
        """A change is tried again after a failure that passes."""
        account = account_at_noon()
        account.fail("create", status, times=2)

        async with connect(account, retry=THREE) as roles:
            await create(roles)

        assert [(c.outcome, c.attempt) for c in account.calls] == [
            (status, 1),
            (status, 2),
            (201, 3),
        ]
        account.assert_roles({"Made": ["PROJECT_READ"]})

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("status", [500, 501, 520, 599])
    async def test_change_failed(self, connect: Connect, status: int) -> None:
        """A change that the service failed at is not tried again, but the account is read once."""
        account = account_at_noon()
        account.fail("create", status)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)

        assert isinstance(caught.value.__cause__, ServerError)
        assert caught.value.__cause__.status == status
        assert [call.operation for call in account.calls] == ["create", "list"]

    @pytest.mark.asyncio
    @both_clients
    async def test_made_all_the_same(self, connect: Connect) -> None:
        """A change is made that the service failed at only after it."""
        account = account_at_noon()
        account.fail("create", 500, when="after")

        async with connect(account, retry=THREE) as roles:
            assert await create(roles) == account.role("Made")

    @pytest.mark.asyncio
    async def test_unknown_status(self) -> None:
        """A status that HTTP does not have leaves the outcome of a change unknown."""
        async with (
            scripted(b"HTTP/1.1 999 Nobody Knows\r\nContent-Length: 0\r\n\r\n") as script,
            AiohttpRolesClient("key", base_url=script.url) as roles,
        ):
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)

        assert isinstance(caught.value.__cause__, RolesError)
        assert str(caught.value).startswith(
            "the outcome of create is unknown; the change may have been made: "
            "POST /v2/roles answered 999, but without a body (a proxy or gateway?)"
        )

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
    async def test_refusal_final(
        self,
        connect: Connect,
        status: int,
        kind: type[StatusError],
        call: Callable[[RolesClient], Awaitable[object]],
    ) -> None:
        """A refusal is final."""
        account = account_at_noon()
        account.fail("any", status)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(kind):
                await call(roles)

        assert len(account.calls) == 1

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("status", [501, 505])
    async def test_read_failed(self, connect: Connect, status: int) -> None:
        """A read is not tried again after a failure that stays."""
        account = account_at_noon()
        account.fail("list", status)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ServerError):
                await roles.list()

        assert len(account.calls) == 1

    @pytest.mark.asyncio
    @both_clients
    async def test_malformed_final(self, connect: Connect) -> None:
        """An answer that makes no sense is final."""
        account = account_at_noon()
        account.fail("list", "malformed")

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(InvalidResponseError):
                await roles.list()

        assert len(account.calls) == 1

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("breakage", ["lost", "truncated"])
    async def test_broken_read(self, connect: Connect, breakage: str) -> None:
        """A read is tried again after a connection that broke."""
        account = account_at_noon()
        account.fail("list", breakage, times=2)  # type: ignore[arg-type]

        async with connect(account, retry=THREE) as roles:
            await roles.list()

        assert [c.outcome for c in account.calls] == [breakage, breakage, 200]

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("attempts", [1, 2, 5])
    async def test_attempts(self, connect: Connect, attempts: int) -> None:
        """Attempts are counted in all, and the last failure surfaces."""
        account = account_at_noon()
        account.fail("any", 503, times=None)

        async with connect(account, retry=RetryPolicy(attempts=attempts)) as roles:
            with pytest.raises(ServerError) as caught:
                await roles.list()

        assert caught.value.status == 503
        assert [c.attempt for c in account.calls] == list(range(1, attempts + 1))

    @pytest.mark.asyncio
    @both_clients
    async def test_each_page(self, connect: Connect) -> None:
        """Each page of a walk has all its attempts."""
        account = account_at_noon()
        for number in range(3):
            account.add_role(f"Role {number}")
        for calls_before in (0, 3, 6):
            account.fail("list", 503, times=2, after=calls_before)

        async with connect(account, retry=THREE) as roles:
            assert len([role async for role in roles.list(limit=1)]) == 3


def too_many(*headers: bytes) -> bytes:
    return b"\r\n".join(
        [b"HTTP/1.1 429 Too Many Requests", *headers, b"Content-Length: 0", b"", b""]
    )


PAGE = b'{"roles": [], "pagination": {"has_more": false}}'
OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
) + PAGE


class TestWaits:
    """The wait of a call between attempts."""

    @pytest.mark.asyncio
    @both_clients
    async def test_doubles(self, connect: Connect) -> None:
        """The longest waits double up to a limit."""
        account = account_at_noon()
        account.fail("list", 503, times=6)
        policy = RetryPolicy(attempts=7, backoff=0.5, max_backoff=8.0)

        async with connect(account, retry=policy) as roles, drawn(max):
            await roles.with_options(timeout=None).list()

        assert waits(account) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]

    @pytest.mark.asyncio
    @both_clients
    async def test_shortest(self, connect: Connect) -> None:
        """The shortest wait is none."""
        account = account_at_noon()
        account.fail("list", 503, times=2)

        async with connect(account, retry=THREE) as roles, drawn(min):
            await roles.list()

        assert waits(account) == [0.0, 0.0]

    @pytest.mark.asyncio
    @both_clients
    async def test_random(self, connect: Connect) -> None:
        """Waits differ."""
        account = account_at_noon()
        account.fail("list", 503, times=9)
        policy = RetryPolicy(attempts=10, backoff=1.0, max_backoff=1.0)

        async with connect(account, retry=policy) as roles:
            await roles.list()

        assert len(set(waits(account))) > 1
        assert all(0.0 <= wait <= 1.0 for wait in waits(account))

    def test_late_attempt(self) -> None:
        """A late attempt waits no longer than the limit."""
        policy = RetryPolicy(attempts=10_000, max_backoff=3.0)

        with mock.patch("random.uniform", side_effect=max):
            delay = policy.delay(ServerError(status=503), attempt=9_999, change=False)

        assert delay == 3.0

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("status", [429, 503])
    async def test_retry_after(self, connect: Connect, status: int) -> None:
        """A call waits as long as the service asks."""
        account = account_at_noon()
        account.fail("create", status, retry_after=7)

        async with connect(account, retry=THREE) as roles:
            await create(roles)

        assert waits(account) == [7.0]

    @pytest.mark.asyncio
    @both_clients
    async def test_many_refusals(self, connect: Connect) -> None:
        """A call that others overtake at a rate limit goes on, however often it is refused."""
        account = account_at_noon()
        account.fail("create", 429, retry_after=5, times=15)

        async with connect(account, retry=THREE) as roles:
            await create(roles.with_options(timeout=None))

        assert len(account.calls) == 16

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.arize_roles(unused_faults="allow")
    async def test_refused_until_timeout(self, connect: Connect) -> None:
        """With a limit on its time it ends by that, as a `RateLimitError`."""
        account = account_at_noon()
        account.fail("create", 429, retry_after=5, times=15)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(RateLimitError):
                await create(roles.with_options(timeout=32.0))

        assert len(account.calls) in {4, 5}

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize(("asked", "calls"), [(20, {11, 12}), (21, {1})])
    @pytest.mark.arize_roles(unused_faults="allow")
    async def test_max_retry_after(self, connect: Connect, asked: int, calls: set[int]) -> None:
        """A longer wait than the ceiling surfaces at once, with its length."""
        account = account_at_noon()
        account.fail("list", RateLimitError, retry_after=asked, times=2)
        policy = RetryPolicy(attempts=2, max_retry_after=20.0)

        async with connect(account, retry=policy) as roles:
            with pytest.raises(RateLimitError) as caught:
                await roles.with_options(timeout=None).list()

        assert caught.value.retry_after == float(asked)
        assert len(account.calls) in calls

    @pytest.mark.asyncio
    @both_clients
    async def test_an_hour(self, connect: Connect) -> None:
        """An hour is not slept."""
        account = account_at_noon()
        account.fail("list", RateLimitError, retry_after=3600)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(RateLimitError) as caught:
                await roles.list()

        assert caught.value.retry_after == 3600.0
        assert waits(account) == []

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
                1.0,
            ),
        ],
    )
    async def test_header_forms(
        self, headers: tuple[bytes, ...], wait: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every form of the header is read."""
        # Far from where HTTP's dates are.
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        waited: list[float] = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)

        async with (
            scripted(too_many(*headers), OK) as script,
            sleeping(sleep)("key", base_url=script.url) as roles,
        ):
            await roles.list()

        monkeypatch.undo()
        time.tzset()
        assert waited == [wait]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("header", [b"Retry-After: soon", b"Retry-After: -5", b"Retry-After: "])
    async def test_header_unreadable(self, header: bytes) -> None:
        """A refusal whose wait cannot be read holds back for a second."""
        waited: list[float] = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)

        async with (
            scripted(too_many(header), OK) as script,
            sleeping(sleep)("key", base_url=script.url) as roles,
        ):
            await roles.list()

        assert waited == [1.0]

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.arize_roles(unused_faults="allow")
    async def test_no_time_left(self, connect: Connect) -> None:
        """If the wait exceeds the time left, the failure surfaces at once."""
        account = account_at_noon()
        account.fail("list", 503, retry_after=6, times=2)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ServerError) as caught:
                await roles.with_options(timeout=5.0).list()

        assert caught.value.retry_after == 6.0
        assert len(account.calls) == 1


class TestOptions:
    """Limits and policies for some calls."""

    @pytest.mark.asyncio
    @both_clients
    async def test_policy(self, connect: Connect) -> None:
        """`with_options` changes the policy of the client that it returns, and of no other."""
        account = account_at_noon()
        account.fail("any", 503, times=None)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ServerError):
                await roles.with_options(retry=RetryPolicy(attempts=1)).list()
            assert len(account.calls) == 1
            with pytest.raises(ServerError):
                await roles.list()
            assert len(account.calls) == 4

    @pytest.mark.asyncio
    @both_clients
    async def test_keeps_rest(self, connect: Connect) -> None:
        """`with_options` keeps omitted options."""
        account = account_at_noon()
        account.fail("any", 503, times=None)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ServerError):
                await roles.with_options(timeout=9.0).with_options(timeout=None).list()

        assert len(account.calls) == 3

    def test_attributes(self) -> None:
        """`with_options` keeps what a client of another kind has of its own."""
        roles = FakeRolesClient()
        assert roles.with_options(timeout=20.0).account is roles.account

    @pytest.mark.asyncio
    async def test_connections(self) -> None:
        """`with_options` shares the connections."""
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
    async def test_closed(self, connect: Connect) -> None:
        """`with_options` shares being closed."""
        async with connect(account_at_noon()) as roles:
            await roles.with_options(timeout=1.0).aclose()
            with pytest.raises(ClientStateError, match=r"^the client is closed$"):
                await roles.list()

    @pytest.mark.parametrize(
        "options",
        [
            {"attempts": 0},
            {"attempts": True},
            {"attempts": 2.0},
            {"backoff": 0},
            {"backoff": math.nan},
        ],
    )
    def test_bad_policy(self, options: dict[str, float]) -> None:
        """A policy that makes no sense is refused."""
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            RetryPolicy(**options)  # type: ignore[arg-type]

    @pytest.mark.parametrize("seconds", [0, -1.0, math.inf, "5", True])
    def test_bad_limit(self, seconds: float) -> None:
        """A limit that makes no sense is refused."""
        with pytest.raises(ConfigurationError, match="total must be a number of seconds above 0"):
            FakeRolesClient(timeout=seconds)


class TestLostCreate:
    """A creation whose answer was lost."""

    @pytest.mark.asyncio
    @both_clients
    async def test_made(self, connect: Connect) -> None:
        """A role that a lost attempt made is returned."""
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
    async def test_not_made(self, connect: Connect) -> None:
        """A role that a lost attempt did not make is made by the next."""
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
    async def test_another_role(
        self, connect: Connect, permissions: list[str], description: str | None
    ) -> None:
        """Another role of the name is a conflict after a lost attempt, too."""
        account = account_at_noon()
        account.add_role("Made", permissions, description=description)
        account.add_role("Newer, and listed first")
        account.fail("create", "lost")

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ConflictError):
                await create(roles)

    @pytest.mark.asyncio
    @both_clients
    async def test_first_conflict(self, connect: Connect) -> None:
        """After a first conflict, nothing is looked for."""
        account = account_at_noon()
        account.add_role("Made", ["PROJECT_READ"])

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ConflictError):
                await create(roles)

        assert [c.operation for c in account.calls] == ["create"]

    @pytest.mark.asyncio
    @both_clients
    async def test_role_gone(self, connect: Connect) -> None:
        """A conflict with a role that is gone again leaves the outcome unknown."""
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
    async def test_no_read_grant(self, connect: Connect) -> None:
        """A key that may not read leaves the outcome unknown."""
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
    async def test_plan_used_up(self, connect: Connect) -> None:
        """A plan that the lost attempt itself used up does not hide the role."""
        account = account_at_noon()
        account.fail("create", "lost", when="after")
        account.fail("create", 403, entitlement="custom_roles", limit=1, current_count=1)

        async with connect(account, retry=THREE) as roles:
            role = await create(roles)

        assert role == account.role("Made")

    @pytest.mark.asyncio
    @both_clients
    async def test_plan_refusal(self, connect: Connect) -> None:
        """A plan that allows no more is a refusal after a lost attempt, too."""
        account = account_at_noon(max_custom_roles=0)
        account.fail("create", "lost")

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ForbiddenError):
                await create(roles)

    @pytest.mark.asyncio
    @both_clients
    async def test_look_fails(self, connect: Connect) -> None:
        """If reading the account fails, the outcome is unknown."""
        account = account_at_noon()
        account.fail("create", "lost", when="after")
        account.fail("list", 403)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)

        assert isinstance(caught.value.__cause__, ForbiddenError)

    @pytest.mark.asyncio
    @both_clients
    async def test_look_unanswered(self, connect: Connect) -> None:
        """If reading the account gets no answer, the outcome is unknown."""
        account = account_at_noon()
        account.fail("create", "lost", when="after")
        account.fail("list", "lost", times=3)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)

        assert isinstance(caught.value.__cause__, RolesConnectionError)


class TestLostChange:
    """Deletions and updates whose answers were lost."""

    @pytest.mark.asyncio
    @both_clients
    async def test_deleted(self, connect: Connect) -> None:
        """A role that a lost attempt deleted is deleted."""
        account = account_at_noon()
        role = account.add_role("Role")
        account.fail("delete", "lost", when="after")

        async with connect(account, retry=THREE) as roles:
            await roles.delete(role_id=role.id)

        assert [c.outcome for c in account.calls] == ["lost", 404]

    @pytest.mark.asyncio
    @both_clients
    async def test_never_there(self, connect: Connect) -> None:
        """A role that was never there is not found."""
        account = account_at_noon()

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(NotFoundError):
                await roles.delete(role_id="Um9sZTo5Om5vbmU=")

    @pytest.mark.asyncio
    @both_clients
    async def test_after_outage(self, connect: Connect) -> None:
        """After an outage, whether a role that is gone was there is known by its name only."""
        account = account_at_noon()
        account.add_role("Role")
        account.fail("delete", 503, when="after")

        async with connect(account, retry=THREE) as roles:
            await roles.delete(role="Role")
            account.fail("delete", 503)
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.delete(role_id="Um9sZTo5Om5vbmU=")

        assert isinstance(caught.value.__cause__, NotFoundError)
        account.assert_roles({})

    @pytest.mark.asyncio
    @both_clients
    async def test_update_again(self, connect: Connect) -> None:
        """An update is sent again as it was."""
        account = account_at_noon()
        role = account.add_role("Role", ["PROJECT_READ"])
        account.fail("update", "lost", when="after")

        async with connect(account, retry=THREE) as roles:
            changed = await roles.update(
                role_id=role.id, name="Renamed", permissions=["DATASET_READ"]
            )

        assert changed == account.role("Renamed")
        first, second = account.calls
        assert first.arguments == second.arguments

    @pytest.mark.asyncio
    @both_clients
    async def test_name_taken(self, connect: Connect) -> None:
        """An update to a name that was taken meanwhile is a conflict."""
        account = account_at_noon()
        role = account.add_role("Role")
        account.add_role("Taken")
        account.fail("update", "lost")

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ConflictError):
                await roles.update(role_id=role.id, name="Taken")

    @pytest.mark.asyncio
    @both_clients
    async def test_update_of_gone(self, connect: Connect) -> None:
        """An update of a role that is gone after a lost attempt may have been made before."""
        account = account_at_noon()
        account.fail("update", "lost")

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.update(role_id="Um9sZTo5Om5vbmU=", name="Renamed")

        assert isinstance(caught.value.__cause__, NotFoundError)

    @pytest.mark.asyncio
    @both_clients
    async def test_create_outage(self, connect: Connect) -> None:
        """A create that an outage answered, although it was made, finds its role."""
        account = account_at_noon()
        account.fail("create", 503, when="after")

        async with connect(account, retry=THREE) as roles:
            made = await roles.create(name="Made", permissions=["PROJECT_READ"])

        assert made == account.role("Made")


async def update(roles: RolesClient) -> object:
    return await roles.update(role="Role", name="Renamed")


async def delete(roles: RolesClient) -> object:
    await roles.delete(role="Role")
    return None


class TestNoMoreAttempts:
    """The outcome of a change after its last attempt."""

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
    async def test_outcome_unknown(
        self,
        connect: Connect,
        call: Callable[[RolesClient], Awaitable[object]],
        failure: int,
        kind: type[RolesError],
        cause: type[RolesError],
    ) -> None:
        """Attempts used up leave the outcome unknown."""
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
    async def test_refusal_after_lost(self, connect: Connect) -> None:
        """A refusal after a lost attempt does not show what that attempt did, nor that it is over.

        A role that is not there may yet be made.
        """
        account = account_at_noon()
        account.fail("create", "lost")
        account.fail("create", 401)

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)

        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert [call.outcome for call in account.calls] == ["lost", 401, 200]

    @pytest.mark.asyncio
    @both_clients
    @pytest.mark.parametrize("status", [401, 403])
    async def test_delete_refused(self, connect: Connect, status: int) -> None:
        """A refusal after a lost attempt to delete is not a success."""
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
    async def test_service_503(
        self, connect: Connect, call: Callable[[RolesClient], Awaitable[object]]
    ) -> None:
        """A 503 of the service itself means that nothing was done."""
        account = account_at_noon()
        account.add_role("Role")
        account.fail(call.__name__, 503, times=3)  # type: ignore[arg-type]

        async with connect(account, retry=THREE) as roles:
            with pytest.raises(ServerError) as caught:
                await call(roles)

        assert not isinstance(caught.value, OutcomeUnknownError)

    @pytest.mark.asyncio
    async def test_gateway_503(self) -> None:
        """A 503 that only a gateway speaks of leaves the outcome unknown."""
        gateway = (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 18\r\n\r\nupstream reset: UC"
        )
        async with (
            scripted(gateway) as script,
            AiohttpRolesClient("key", base_url=script.url, retry=RetryPolicy(attempts=1)) as roles,
        ):
            with pytest.raises(OutcomeUnknownError):
                await create(roles)


class TestTime:
    """Time, on the account's clock."""

    @pytest.mark.asyncio
    async def test_silence(self) -> None:
        """A silent account is a timeout after every attempt."""
        account = account_at_noon()
        account.slow_down(12.0)
        roles = FakeRolesClient(
            account,
            timeout=Timeouts(total=None, read=10.0),
            retry=RetryPolicy(attempts=3, backoff=1.0),
        )

        async with drawn(max):
            with pytest.raises(RolesTimeoutError) as caught:
                await roles.list()

        assert (caught.value.limit, caught.value.seconds, caught.value.attempts) == (
            "read",
            10.0,
            3,
        )
        assert waits(account) == [11.0, 12.0]

    @pytest.mark.asyncio
    async def test_total(self) -> None:
        """The total time runs over attempts and waits."""
        account = account_at_noon()
        account.slow_down(12.0)
        roles = FakeRolesClient(account, timeout=25.0, retry=RetryPolicy(attempts=5, backoff=1.0))

        async with drawn(max):
            with pytest.raises(
                RolesTimeoutError, match=r"total limit of 25 s, 3 attempts"
            ) as caught:
                await roles.list()

        assert (caught.value.limit, caught.value.seconds, caught.value.attempts) == (
            "total",
            25.0,
            3,
        )
        assert (account.now() - account.calls[0].at).total_seconds() == 25.0

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("list", {}),
            ("get", {"role_id": "Um9sZTox"}),
            ("create", {"name": "Made", "permissions": ["PROJECT_READ"]}),
            ("update", {"role_id": "Um9sZTox", "name": "Made"}),
            ("delete", {"role_id": "Um9sZTox"}),
        ],
    )
    async def test_named(self, name: str, arguments: dict[str, object]) -> None:
        """The error of a call whose time is up names its method."""
        account = account_at_noon()
        account.slow_down(40.0)
        roles = FakeRolesClient(account, timeout=Timeouts(total=30.0, read=None))

        with pytest.raises(RolesError, match=f"{name} took too long"):
            await getattr(roles, name)(**arguments)

    @pytest.mark.asyncio
    async def test_total_after_sent(self) -> None:
        """If the total time is up after a change was sent, the outcome is unknown."""
        account = account_at_noon()
        account.slow_down(40.0)
        roles = FakeRolesClient(account, timeout=Timeouts(total=30.0, read=None))

        with pytest.raises(OutcomeUnknownError) as caught:
            await create(roles)

        assert isinstance(caught.value.__cause__, RolesTimeoutError)
        assert (caught.value.__cause__.limit, caught.value.operation) == ("total", "create")
        account.assert_roles({"Made": ["PROJECT_READ"]})

    @pytest.mark.asyncio
    async def test_total_in_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the total time is up in the wait after a refusal, nothing happened."""
        clock = LoopClock(monkeypatch)

        async def sleep(_: float) -> None:
            await clock.pass_by(61.0)
            await asyncio.Event().wait()

        account = FakeAccount()
        account.fail("create", 503, retry_after=0)

        async with (
            serve(account) as url,
            sleeping(sleep)(account.api_key, base_url=url) as roles,
        ):
            with pytest.raises(RolesTimeoutError) as caught:
                await create(roles.with_options(timeout=60.0))

        assert not isinstance(caught.value, OutcomeUnknownError)
        assert (caught.value.limit, caught.value.sent) == ("total", False)

    @pytest.mark.asyncio
    async def test_total_while_verifying(self) -> None:
        """If the total time is up while the account is read, the outcome is unknown."""
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

    @pytest.mark.parametrize("failure", ["refused", "unreachable"])
    @pytest.mark.asyncio
    async def test_not_sent_yet(self, failure: Literal["refused", "unreachable"]) -> None:
        """A role that is older than the first attempt which was sent is somebody else's."""
        account = account_at_noon()
        account.add_role("Made", ["PROJECT_READ"])
        account.fail("create", failure)
        account.fail("create", "lost", after=1)
        roles = FakeRolesClient(account, retry=RetryPolicy(backoff=1.0))

        async with drawn(max):
            with pytest.raises(ConflictError):
                await create(roles)

        assert [call.outcome for call in account.calls] == [failure, "lost", 409, 200]

    @pytest.mark.asyncio
    async def test_total_in_search(self) -> None:
        """If the total time is up during the search for a name, nothing happened."""
        account = account_at_noon()
        account.add_role("Role")
        account.slow_down(40.0)
        roles = FakeRolesClient(account, timeout=Timeouts(total=30.0, read=None))

        with pytest.raises(RolesTimeoutError) as caught:
            await roles.delete(role="Role")

        assert not isinstance(caught.value, OutcomeUnknownError)

    @pytest.mark.asyncio
    async def test_no_limits(self) -> None:
        """Without limits, an account may take its time."""
        account = account_at_noon()
        account.slow_down(86_400.0)

        roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))

        assert len(await roles.list()) == 0
