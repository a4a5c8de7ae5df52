"""Scripted failures of an account: the same script in process and over HTTP."""

import asyncio
import contextlib
import socket
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import anyio
import pytest

import arize_roles_async
from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    Permission,
    RateLimitError,
    Request,
    RetryPolicy,
    Role,
    RoleRenamedError,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
    Timeouts,
    UnprocessableEntityError,
    ValidationError,
)
from arize_roles_async._calls.call import Operation
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer, mock_arize, serve
from arize_roles_fake._testing.faults import Breakage, When, parse_fault
from tests.support.clients import (
    ONCE,
    START,
    Connect,
    account_at_noon,
    both_clients,
    in_process,
    over_http,
)

ROLE_READ = [Permission.ROLE_READ]


ANSWERED: list[type[RolesError]] = [
    *(BadRequestError, AuthenticationError, ForbiddenError, NotFoundError),
    *(ConflictError, UnprocessableEntityError, RateLimitError, ServerError),
]
# Many of these faults are meant to strike no call.
pytestmark = pytest.mark.arize_roles(unused_faults="allow")

NOT_SENT: list[type[RolesError]] = [RolesConnectionError, RolesTimeoutError]
CALLS: dict[str, Callable[[RolesClient, str], Awaitable[object]]] = {
    "list": lambda roles, _: roles.list().all(),
    "get": lambda roles, role_id: roles.get(role_id=role_id),
    "create": lambda roles, _: roles.create(name="B", permissions=["ROLE_READ"]),
    "update": lambda roles, role_id: roles.update(role_id=role_id, name="B"),
    "delete": lambda roles, role_id: roles.delete(role_id=role_id),
}

CHANGES_BY_NAME: dict[str, Callable[[RolesClient], Awaitable[object]]] = {
    "update": lambda roles: roles.update(role="AI", description="Text."),
    "delete": lambda roles: roles.delete(role="AI"),
}


async def create(roles: RolesClient, name: str = "A") -> Role:
    return await roles.create(name=name, permissions=ROLE_READ)


class TestStatus:
    """Scripted statuses, and which calls they strike."""

    @both_clients
    @pytest.mark.asyncio
    async def test_once(self, connect: Connect) -> None:
        """A scripted status is the error of that status, once."""
        account = account_at_noon()
        fault = account.fail("create", 409, detail="somebody was faster")
        async with connect(account) as roles:
            with pytest.raises(ConflictError, match="somebody was faster"):
                await create(roles)
            account.assert_roles({})
            await create(roles)
        assert fault.fired == 1
        account.assert_roles({"A": ROLE_READ})

    @pytest.mark.asyncio
    async def test_detail(self) -> None:
        """Without a detail, it says where it comes from."""
        account = account_at_noon()
        account.fail("list", 400)
        async with FakeRolesClient(account) as roles:
            with pytest.raises(BadRequestError) as caught:
                await roles.list()
        assert str(caught.value) == (
            "GET /v2/roles answered 400 Invalid request parameters: scripted by the test"
        )

    @pytest.mark.parametrize(
        ("failure", "status"),
        [(ConflictError, 409), (RateLimitError, 429), (NotFoundError, 404), (ServerError, 503)],
    )
    @pytest.mark.asyncio
    async def test_error_class(self, failure: type[StatusError], status: int) -> None:
        """A failure may be given as the error that it leads to."""
        account = account_at_noon()
        account.fail("list", failure)
        async with FakeRolesClient(account, retry=ONCE) as roles:
            with pytest.raises(failure) as caught:
                await roles.list()
        assert caught.value.status == status

    @both_clients
    @pytest.mark.asyncio
    async def test_after_times(self, connect: Connect) -> None:
        """A fault lets some calls pass and strikes some."""
        account = account_at_noon()
        account.fail("list", 500, after=1, times=2)
        came: list[object] = []
        async with connect(account) as roles:
            for _ in range(5):
                try:
                    came.append(len(await roles.list()))
                except ServerError as error:
                    came.append(error.status)
        assert came == [0, 500, 500, 0, 0]

    @both_clients
    @pytest.mark.asyncio
    async def test_always(self, connect: Connect) -> None:
        """A fault without a number strikes every time, and is pending until it did once."""
        account = account_at_noon()
        fault = account.fail("any", 500, times=None)
        async with connect(account) as roles:
            for _ in range(3):
                assert account.pending_faults == (() if fault.fired else (fault,))
                with pytest.raises(ServerError):
                    await roles.list()
        assert fault.fired == 3

    @both_clients
    @pytest.mark.asyncio
    async def test_operation(self, connect: Connect) -> None:
        """A fault strikes only its own operation."""
        account = account_at_noon()
        account.fail("delete", 503)
        async with connect(account) as roles:
            role = await create(roles)
            assert await roles.get(role_id=role.id) == role
            with pytest.raises(ServerError):
                await roles.delete(role_id=role.id)

    @both_clients
    @pytest.mark.parametrize("operation", ["get", "update", "delete"])
    @pytest.mark.parametrize("by", ["name", "id"])
    @pytest.mark.asyncio
    async def test_role(self, connect: Connect, by: str, operation: Operation) -> None:
        """A fault strikes only calls about its role."""
        account = account_at_noon()
        one, other = account.add_role("one"), account.add_role("other")
        account.fail(operation, 503, role=one.name if by == "name" else one.id)
        async with connect(account) as roles:
            await CALLS[operation](roles, other.id)
            with pytest.raises(ServerError):
                await CALLS[operation](roles, one.id)

    @both_clients
    @pytest.mark.asyncio
    async def test_role_of_create(self, connect: Connect) -> None:
        """A fault strikes the creation of the role that it names."""
        account = account_at_noon()
        account.fail("create", 503, role="B")
        async with connect(account) as roles:
            await create(roles, "A")
            with pytest.raises(ServerError):
                await create(roles, "B")

    @pytest.mark.asyncio
    async def test_role_id(self) -> None:
        """A fault by ID strikes also where there is no such role."""
        account = account_at_noon()
        account.fail("get", 403, role="Um9sZTo5OTph")
        async with FakeRolesClient(account) as roles:
            with pytest.raises(ForbiddenError):
                await roles.get(role_id="Um9sZTo5OTph")

    @both_clients
    @pytest.mark.asyncio
    async def test_first_of_several(self, connect: Connect) -> None:
        """Of several faults the first strikes until it is used up."""
        account = account_at_noon()
        account.fail("list", 500)
        account.fail("any", 503)
        async with connect(account) as roles:
            statuses: list[int] = []
            for _ in range(2):
                with pytest.raises(ServerError) as caught:
                    await roles.list()
                statuses.append(caught.value.status)
            await roles.list()
        assert statuses == [500, 503]

    @pytest.mark.asyncio
    async def test_counts_all(self) -> None:
        """A fault counts the calls before it, whatever became of them."""
        account = account_at_noon()
        account.fail("list", 500)
        account.fail("list", 409, after=1)
        statuses: list[int] = []
        async with FakeRolesClient(account, retry=ONCE) as roles:
            for _ in range(2):
                with pytest.raises(StatusError) as caught:
                    await roles.list()
                statuses.append(caught.value.status)
            await roles.list()
        assert statuses == [500, 409]

    @both_clients
    @pytest.mark.asyncio
    async def test_plan_members(self, connect: Connect) -> None:
        """A 403 may carry the members of a plan."""
        account = account_at_noon()
        account.fail(
            "create",
            403,
            instance="/v2/roles",
            entitlement="seats",
            limit=3,
            current_count=3,
            required_plan="PRO",
        )
        async with connect(account) as roles:
            with pytest.raises(ForbiddenError) as caught:
                await create(roles)
        problem = caught.value.problem
        assert problem is not None
        assert (problem.entitlement, problem.limit, problem.current_count) == ("seats", 3, 3)
        assert (problem.required_plan, problem.instance) == ("PRO", "/v2/roles")

    @both_clients
    @pytest.mark.asyncio
    async def test_retry_after(self, connect: Connect) -> None:
        """A client that tries again waits as long as the fault asks."""
        account = account_at_noon()
        account.fail("list", 429, retry_after=7)
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            await roles.list()
        assert account.now() == START + timedelta(seconds=7)
        assert [call.attempt for call in account.calls] == [1, 2]

    @both_clients
    @pytest.mark.asyncio
    async def test_retry_after_date(self, connect: Connect) -> None:
        """A scripted `Retry-After` may be a date."""
        account = account_at_noon()
        account.fail("list", 503, retry_after="Fri, 31 Dec 1999 23:59:59 GMT")
        async with connect(account) as roles:
            with pytest.raises(ServerError) as caught:
                await roles.list()
        assert caught.value.retry_after == 0.0


class TestBroken:
    """Failures after the work, and broken answers."""

    @both_clients
    @pytest.mark.asyncio
    async def test_when_after(self, connect: Connect) -> None:
        """A fault after the work leaves the work done, as the client finds out."""
        account = account_at_noon()
        account.fail("create", 500, when="after")
        async with connect(account) as roles:
            role = await create(roles)
        assert account.roles == (role,)

    @both_clients
    @pytest.mark.asyncio
    async def test_lost(self, connect: Connect) -> None:
        """A lost answer is a connection that drops."""
        account = account_at_noon()
        account.fail("create", "lost")
        async with connect(account) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)
        assert isinstance(caught.value.__cause__, RolesConnectionError)
        account.assert_roles({})

    @both_clients
    @pytest.mark.asyncio
    async def test_hidden(self, connect: Connect) -> None:
        """A change stays in doubt if the client's read of the account fails, too."""
        account = account_at_noon()
        account.fail("create", "lost", when="after")
        account.fail("list", 503)
        async with connect(account) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await create(roles)
        assert isinstance(caught.value.__cause__, ServerError)
        account.assert_roles({"A": ROLE_READ})

    @both_clients
    @pytest.mark.asyncio
    async def test_lost_change(self, connect: Connect) -> None:
        """A client that tries again finds out what a lost answer said."""
        account = account_at_noon()
        account.fail("create", "lost", when="after")
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            role = await create(roles)
        assert account.roles == (role,)

    @both_clients
    @pytest.mark.asyncio
    async def test_lost_delete(self, connect: Connect) -> None:
        """A deletion whose answer is lost has happened."""
        account = account_at_noon()
        role = account.add_role("A")
        account.fail("delete", "lost", when="after")
        async with connect(account) as roles:
            await roles.delete(role_id=role.id)
        account.assert_roles({})

    @both_clients
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.asyncio
    async def test_truncated(self, connect: Connect, when: When) -> None:
        """A truncated answer is a connection that breaks off."""
        account = account_at_noon()
        account.fail("list", "truncated", when=when)
        async with connect(account) as roles:
            with pytest.raises(RolesConnectionError, match="before the complete response arrived"):
                await roles.list()

    @both_clients
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.asyncio
    async def test_undecodable(self, connect: Connect, when: When) -> None:
        """After an answer whose body is no gzip, nobody knows whether a delete was made."""
        account = account_at_noon()
        role = account.add_role("A")
        account.fail("any", "undecodable", when=when, times=None)
        async with connect(account) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.delete(role_id=role.id)
        assert isinstance(caught.value.__cause__, RolesConnectionError)
        assert [each.name for each in account.roles] == (["A"] if when == "before" else [])

    @both_clients
    @pytest.mark.parametrize("failure", ["malformed", InvalidResponseError])
    @pytest.mark.asyncio
    async def test_malformed(
        self, connect: Connect, failure: Breakage | type[InvalidResponseError]
    ) -> None:
        """A malformed answer is an invalid response."""
        account = account_at_noon()
        account.fail("list", failure)
        async with connect(account) as roles:
            with pytest.raises(InvalidResponseError) as caught:
                await roles.list()
        assert caught.value.excerpt == "'<html>not JSON</html>'"

    @both_clients
    @pytest.mark.asyncio
    async def test_malformed_change(self, connect: Connect) -> None:
        """A change with a malformed answer is looked up."""
        account = account_at_noon()
        account.fail("create", "malformed", when="after")
        async with connect(account) as roles:
            role = await create(roles)
        assert account.roles == (role,)
        assert [call.operation for call in account.calls] == ["create", "list"]

    @both_clients
    @pytest.mark.asyncio
    async def test_without_body(self, connect: Connect) -> None:
        """A fault that needs a body passes over deletions."""
        account = account_at_noon()
        role = account.add_role("A")
        account.fail("any", "malformed")
        async with connect(account) as roles:
            await roles.delete(role_id=role.id)
            with pytest.raises(InvalidResponseError):
                await roles.list()


ENDS_IN: list[tuple[str, type[RolesError]]] = [
    *((operation, each) for operation in CALLS for each in ANSWERED),
    *((operation, each) for operation in CALLS for each in NOT_SENT),
    *((operation, InvalidResponseError) for operation in ("list", "get")),
    *((operation, OutcomeUnknownError) for operation in ("create", "update", "delete")),
]


class TestErrorClass:
    """`fail` with an error class: the next call ends in it, with a client that tries again."""

    @pytest.mark.parametrize(("operation", "error"), ENDS_IN)
    @pytest.mark.asyncio
    async def test_in_process(self, operation: str, error: type[RolesError]) -> None:
        """Every attempt of one call fails, and nothing happened unless the outcome is unknown."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        before = account.roles
        fault = account.fail(operation, error)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        async with FakeRolesClient(account) as roles:
            with pytest.raises(error) as caught:
                await CALLS[operation](roles, role.id)
            assert type(caught.value) is error
            assert account.roles == before
            assert account.pending_faults == ()
            assert fault.fired == len(account.calls)
            await CALLS[operation](roles, role.id)

    @pytest.mark.parametrize(
        ("operation", "error"), [each for each in ENDS_IN if each[1] is not RolesTimeoutError]
    )
    @pytest.mark.asyncio
    async def test_over_http(self, operation: str, error: type[RolesError]) -> None:
        """The same, except a change on a failed connection, which has an unknown outcome."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail(operation, error)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        seen = error
        if error is RolesConnectionError and operation in {"create", "update", "delete"}:
            seen = OutcomeUnknownError
        async with over_http(account, retry=RetryPolicy()) as roles:
            with pytest.raises(seen):
                await CALLS[operation](roles, role.id)
        assert account.role("A") == role

    @pytest.mark.parametrize(
        ("operation", "error"), [("get", RolesTimeoutError), ("create", OutcomeUnknownError)]
    )
    @pytest.mark.asyncio
    async def test_silent_over_http(self, operation: str, error: type[RolesError]) -> None:
        """`unreachable` is silence over HTTP, where a connection is there before it is known."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail(operation, RolesTimeoutError)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        async with serve(account) as url:
            limits = Timeouts(read=0.05)
            client = AiohttpRolesClient(account.api_key, base_url=url, timeout=limits, retry=ONCE)
            async with client as roles:
                with pytest.raises(error):
                    await CALLS[operation](roles, role.id)
        assert account.role("B") is None

    @pytest.mark.asyncio
    async def test_refused_over_http(self) -> None:
        """A server that refuses connections leads to the error which says that nothing happened."""
        with RolesServer(account_at_noon()) as server:
            async with AiohttpRolesClient(server.api_key, base_url=server.url, retry=ONCE) as roles:
                with server.refuse_connections(), pytest.raises(RolesConnectionError) as caught:
                    await create(roles)
                assert not caught.value.sent
                await create(roles)
        server.account.assert_roles({"A": ROLE_READ})

    @pytest.mark.asyncio
    async def test_dropped_over_http(self) -> None:
        """Connections that are there when a server begins to refuse are dropped."""
        with RolesServer(account_at_noon()) as server:
            async with AiohttpRolesClient(server.api_key, base_url=server.url, retry=ONCE) as roles:
                await roles.list()
                with server.refuse_connections(), pytest.raises(RolesConnectionError):
                    await roles.list()

    @pytest.mark.asyncio
    async def test_silent_without_limits(self) -> None:
        """Without limits a silent account is waited for until the caller gives up."""
        account = account_at_noon()
        account.fail("list", "silent")
        roles = FakeRolesClient(account, timeout=Timeouts(total=None, read=None))
        call = asyncio.ensure_future(roles.list().all())
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(account.calls) == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    @both_clients
    @pytest.mark.asyncio
    async def test_renamed(self, connect: Connect) -> None:
        """An update by name meets another client's rename in the way that `fail` describes."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.slow_down(0.02, operation="list")
        async with connect(account) as roles:
            update = asyncio.ensure_future(roles.update(role="A", description="Text."))
            while not account.calls_of("list"):  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(0)
            rename = Request(
                method="PATCH",
                target=f"/v2/roles/{role.id}",
                headers={"Authorization": "Bearer fake-api-key"},
                body=b'{"name": "B"}',
            )
            assert account.handle(rename).status == 200
            with pytest.raises(RoleRenamedError):
                await update

    def test_every_class(self) -> None:
        """Each error class can be scripted by itself, or `fail` says how a test gets it."""
        names = [name for name in arize_roles_async.__all__ if name.endswith("Error")]
        assert "RoleRenamedError" in names
        for name in names:
            error = getattr(arize_roles_async, name)
            operation: Literal["update", "list"] = (
                "update" if error is OutcomeUnknownError else "list"
            )
            try:
                FakeAccount().fail(operation, error)
            except ValueError as refused:
                assert f"no answer leads to {name}: " in str(refused)  # noqa: PT017

    @pytest.mark.asyncio
    async def test_status_once(self) -> None:
        """A status is one answer, which a client that tries again gets over."""
        account = account_at_noon()
        account.fail("create", 503)
        async with FakeRolesClient(account) as roles:
            await create(roles)
        assert [call.outcome for call in account.calls] == [503, 201]

    @pytest.mark.asyncio
    async def test_status_every_attempt(self) -> None:
        """With `every_attempt` a status strikes until the client gives up, `times` calls."""
        account = account_at_noon()
        fault = account.fail("create", 503, every_attempt=True, times=2, after=1)
        async with FakeRolesClient(account, retry=RetryPolicy(attempts=2)) as roles:
            await create(roles, "before")
            for _ in range(2):
                with pytest.raises(ServerError):
                    await create(roles)
            await create(roles)
        assert fault.fired == 4
        assert (
            str(fault) == "create fails with 503, 2 times, every attempt after 1: struck 4 requests"
        )

    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.asyncio
    async def test_calls_at_once(self, times: int) -> None:
        """Of equal calls at the same moment as many are struck as asked, with every attempt."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail("get", ServerError, times=times)
        ends: list[object] = []

        async def get(roles: RolesClient) -> None:
            try:
                ends.append(await roles.get(role_id=role.id))
            except ServerError:
                ends.append("failed")

        async with FakeRolesClient(account) as roles, anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(get, roles)
        assert ends.count("failed") == times
        assert ends.count(role) == 5 - times

    @pytest.mark.asyncio
    async def test_later_call(self) -> None:
        """Once a call has ended in the error, an equal one gets over failures of its own."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail("get", ServerError)
        async with FakeRolesClient(account) as roles:
            with pytest.raises(ServerError):
                await roles.get(role_id=role.id)
            account.fail("get", 503, times=2)
            assert await roles.get(role_id=role.id) == role
        assert [call.outcome for call in account.calls] == [503, 503, 503, 503, 503, 200]

    @staticmethod
    def attempt(account: FakeAccount, path: str, number: int) -> int:
        """Send an attempt of a get as over HTTP, and return the status."""
        headers = {"Authorization": "Bearer fake-api-key", "sdk-retry-count": str(number - 1)}
        return account.handle(Request(method="GET", target=path, headers=headers)).status

    def test_uncounted(self) -> None:
        """An attempt over HTTP that no header counts is a call of its own, so `times` counts it."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail("get", ServerError, times=2)
        path = f"/v2/roles/{role.id}"
        assert [self.attempt(account, path, 1) for _ in range(3)] == [503, 503, 200]

    @pytest.mark.parametrize(
        ("scripts", "statuses"),
        [
            ([(ServerError, 2)], [503, 503, 503, 503, 503, 503]),
            ([(ServerError, 1), (503, 1)], [503, 503, 200, 503, 503, 200]),
        ],
    )
    def test_equal_over_http(
        self, scripts: list[tuple[type[ServerError] | int, int]], statuses: list[int]
    ) -> None:
        """Two equal calls at once over HTTP each keep the record of their own fault."""
        account = account_at_noon()
        path = f"/v2/roles/{account.add_role('A').id}"
        for failure, times in scripts:
            account.fail("get", failure, times=times)
        attempts = (1, 1, 2, 2, 3, 3)
        assert [self.attempt(account, path, number) for number in attempts] == statuses

    def test_memory(self) -> None:
        """Failed calls over HTTP take no more memory than the log may."""
        account = FakeAccount(api_key="fake-api-key", keep_calls=10, keep_bytes=100_000)
        account.fail("any", ServerError, times=None)
        headers = {"Authorization": "Bearer fake-api-key"}
        tracemalloc.start()
        for number in range(100):
            body = f"{number:020000}".encode()
            account.handle(Request(method="POST", target="/v2/roles", headers=headers, body=body))
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 500_000

    def test_other_call(self) -> None:
        """Between the attempts of a call that fails, another call's second attempt does not."""
        account = account_at_noon()
        paths = [f"/v2/roles/{account.add_role(name).id}" for name in "AB"]
        account.fail("get", ServerError)
        calls = ((paths[0], 1), (paths[1], 2), (paths[0], 2))
        assert [self.attempt(account, *call) for call in calls] == [503, 200, 503]

    @pytest.mark.parametrize(
        ("failure", "sent", "message"),
        [
            ("refused", False, "the connection was refused"),
            ("unreachable", False, "no connection (connect limit of 5 s, 1 attempt)"),
            ("silent", True, "no answer (read limit of 10 s, 1 attempt)"),
            ("lost", True, "the connection failed before the complete response arrived"),
            ("truncated", True, "the connection failed before the complete response arrived"),
            ("undecodable", True, "the connection failed before the complete response arrived"),
        ],
    )
    @pytest.mark.asyncio
    async def test_sent(self, failure: Breakage, sent: bool, message: str) -> None:  # noqa: FBT001
        """The error names the failure, and whether the request was sent by then."""
        account = account_at_noon()
        account.fail("list", failure)
        async with FakeRolesClient(account, retry=ONCE) as roles:
            with pytest.raises(RolesError) as caught:
                await roles.list()
        assert isinstance(caught.value, RolesConnectionError | RolesTimeoutError)
        assert (caught.value.sent, str(caught.value)) == (sent, f"GET /v2/roles: {message}")

    @pytest.mark.parametrize("failure", ["silent", "unreachable"])
    @pytest.mark.asyncio
    async def test_no_limit(self, failure: Breakage) -> None:
        """Without any limit a call waits until its caller cancels it, as it would for real."""
        account = account_at_noon()
        account.fail("list", failure)
        limits = Timeouts(total=None, connect=None, read=None)
        async with FakeRolesClient(account, timeout=limits) as roles:
            with anyio.move_on_after(0) as scope:
                await roles.list()
        assert scope.cancelled_caught


@asynccontextmanager
async def mocked(account: FakeAccount, *, retry: RetryPolicy = ONCE) -> AsyncGenerator[RolesClient]:
    with mock_arize(account):
        async with AiohttpRolesClient(retry=retry) as roles:
            yield roles


three_clients = pytest.mark.parametrize("connect", [in_process, over_http, mocked])


class TestOneCall:
    """A fault of every attempt belongs to the call that it struck first, and ends with it."""

    @three_clients
    @pytest.mark.parametrize(
        "error",
        [
            *(BadRequestError, AuthenticationError, ForbiddenError, ConflictError),
            *(UnprocessableEntityError, RateLimitError, ServerError),
        ],
    )
    @pytest.mark.asyncio
    async def test_spent(self, connect: Connect, error: type[RolesError]) -> None:
        """A spent fault does not strike the retry of the next equal call."""
        account = account_at_noon()
        account.fail("create", error)
        async with connect(account, retry=ONCE) as roles:
            with pytest.raises(error):
                await create(roles)
        account.fail("create", 503)
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            await create(roles)
        assert [call.outcome for call in account.calls][1:] == [503, 201]

    @three_clients
    @pytest.mark.asyncio
    async def test_retried(self, connect: Connect) -> None:
        """A fault that ended after every attempt of its call does not strike again."""
        account = account_at_noon()
        account.fail("create", ServerError)
        async with connect(account, retry=RetryPolicy()) as roles:
            with pytest.raises(ServerError):
                await create(roles)
            account.fail("create", 503, times=2)
            await create(roles)
        assert [call.outcome for call in account.calls] == [503, 503, 503, 503, 503, 201]

    @three_clients
    @pytest.mark.asyncio
    async def test_lost_later(self, connect: Connect) -> None:
        """A delete that loses its answer later does not meet the conflict of the one before."""
        account = account_at_noon()
        role = account.add_role("A")
        account.fail("delete", ConflictError)
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            with pytest.raises(ConflictError):
                await roles.delete(role_id=role.id)
            account.fail("delete", "lost", when="after")
            await roles.delete(role_id=role.id)
        account.assert_roles({})

    @three_clients
    @pytest.mark.asyncio
    async def test_down_between(self, connect: Connect) -> None:
        """A call that was refused before the account looked for faults does not meet it."""
        account = account_at_noon()
        account.fail("list", ForbiddenError)
        async with connect(account, retry=ONCE) as roles:
            with pytest.raises(ForbiddenError):
                await roles.list()
        account.limit_rate(0.5)
        async with connect(account, retry=RetryPolicy(attempts=2)) as roles:
            await roles.list()
            await roles.list()
        assert [call.outcome for call in account.calls] == [403, 200, 429, 200]

    @pytest.mark.asyncio
    async def test_equal_calls(self) -> None:
        """In process, of equal calls at the same moment each one meets its own fault."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail("get", ServerError)
        account.fail("get", 503)
        ends: list[object] = []

        async def get(roles: RolesClient) -> None:
            try:
                ends.append(await roles.get(role_id=role.id))
            except ServerError:
                ends.append("failed")

        async with FakeRolesClient(account) as roles, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(get, roles)
        assert (ends.count("failed"), ends.count(role)) == (1, 2)


in_process_clients = pytest.mark.parametrize("connect", [in_process, mocked])


class TestOutcomeUnknown:
    """In process `OutcomeUnknownError` also hides the account from the call's look at it."""

    @in_process_clients
    @pytest.mark.parametrize(
        ("change", "names"), [("create", ["A", "B"]), ("update", ["B"]), ("delete", [])]
    )
    @pytest.mark.asyncio
    async def test_made(self, connect: Connect, change: Operation, names: list[str]) -> None:
        """A change that was made ends in it, and the next call is not struck."""
        account = account_at_noon()
        role = account.add_role("A", ROLE_READ)
        account.fail(change, OutcomeUnknownError, when="after")
        async with connect(account, retry=RetryPolicy()) as roles:
            with pytest.raises(OutcomeUnknownError):
                await CALLS[change](roles, role.id)
            assert sorted(each.name for each in await roles.list()) == names

    @in_process_clients
    @pytest.mark.asyncio
    async def test_not_needed(self, connect: Connect) -> None:
        """An update of a role that is as requested before ends in it, too."""
        account = account_at_noon()
        role = account.add_role("B", ROLE_READ)
        account.fail("update", OutcomeUnknownError)
        async with connect(account) as roles:
            with pytest.raises(OutcomeUnknownError):
                await roles.update(role_id=role.id, name="B")


class TestByName:
    """In process a fault on a method strikes the method's own request, by a name or an ID."""

    @in_process_clients
    @pytest.mark.parametrize("error", [ForbiddenError, RolesTimeoutError, InvalidResponseError])
    @pytest.mark.asyncio
    async def test_get(self, connect: Connect, error: type[RolesError]) -> None:
        """A fault on `get` strikes a `get` by a name, which walks the list."""
        account = account_at_noon()
        account.add_role("AI", ROLE_READ)
        fault = account.fail("get", error)
        async with connect(account, retry=RetryPolicy()) as roles:
            with pytest.raises(error):
                await roles.get(role="AI")
            assert fault.fired == len(account.calls_of("list"))
            await roles.get(role="AI")

    @in_process_clients
    @pytest.mark.asyncio
    async def test_known(self, connect: Connect) -> None:
        """Where the client knows the ID, it strikes the GET and not the walk after it."""
        account = account_at_noon()
        role = account.add_role("AI", ROLE_READ)
        async with connect(account) as roles:
            await roles.get(role="AI")
            account.restore(FakeAccount(predefined=False).snapshot())
            account.add_role("AI", id=f"{role.id[:-2]}A=")
            fault = account.fail("get", 403, after=1)
            assert (await roles.get(role="AI")).id != role.id
            assert fault.fired == 0
        assert [call.operation for call in account.calls] == ["list", "get", "list"]

    @in_process_clients
    @pytest.mark.parametrize("by", ["name", "id"])
    @pytest.mark.asyncio
    async def test_role(self, connect: Connect, by: str) -> None:
        """With `role=`, it strikes the `get` of that role alone."""
        account = account_at_noon()
        wanted = account.add_role("AI", ROLE_READ)
        account.add_role("ML", ROLE_READ)
        account.fail("get", 403, role="AI" if by == "name" else wanted.id)
        async with connect(account) as roles:
            await roles.get(role="ML")
        async with connect(account) as roles:
            with pytest.raises(ForbiddenError):
                await roles.get(role="AI")

    @in_process_clients
    @pytest.mark.parametrize("change", ["update", "delete"])
    @pytest.mark.asyncio
    async def test_change(self, connect: Connect, change: Operation) -> None:
        """A fault on a change strikes its own request and not the lookup, nor does one on get."""
        account = account_at_noon()
        account.add_role("AI", ROLE_READ)
        account.fail("get", 403)
        account.fail("any", 409, role="AI")
        async with connect(account) as roles:
            with pytest.raises(ConflictError):
                await CHANGES_BY_NAME[change](roles)
        assert [call.outcome for call in account.calls] == [200, 409]

    @in_process_clients
    @pytest.mark.asyncio
    async def test_slow(self, connect: Connect) -> None:
        """Latency of `get` slows such a walk down, too."""
        account = account_at_noon()
        account.add_role("AI", ROLE_READ)
        account.slow_down(2, operation="get", role="AI")
        async with connect(account) as roles:
            await roles.get(role="AI")
        assert account.now() == START + timedelta(seconds=2)

    @pytest.mark.asyncio
    async def test_over_http(self) -> None:
        """Over HTTP the account sees a list, so a fault on `list` is what strikes."""
        account = account_at_noon()
        account.add_role("AI", ROLE_READ)
        fault = account.fail("get", 403)
        account.fail("list", 409)
        async with over_http(account) as roles:
            with pytest.raises(ConflictError):
                await roles.get(role="AI")
        assert fault.fired == 0


OPERATION_RULE = (
    "operation must be one of list, get, create, update, delete, role_bindings.list, "
    "role_bindings.get, role_bindings.create, role_bindings.update, role_bindings.delete and any"
)
FAILURE_RULE = (
    "failure must be a status of 400 to 599, or of 200 to 599 with page, the class of an error "
    "that an answer leads to, or one of lost, truncated, malformed, undecodable, silent, "
    "refused, unreachable"
)

HTML = "<html><h1>404 Not Found</h1><hr>nginx</html>"


class TestPage:
    """Answers of gateways and proxies in place of the service's."""

    @three_clients
    @pytest.mark.asyncio
    async def test_gateway(self, connect: Connect) -> None:
        """A gateway's 404 says nothing about the role, and has the gateway's headers."""
        account = account_at_noon()
        role = account.add_role("A")
        account.fail("get", 404, page=HTML, headers={"x-request-id": "edge-77"})
        async with connect(account) as roles:
            with pytest.raises(StatusError) as caught:
                await roles.get(role_id=role.id)
            assert await roles.get(role_id=role.id) == role
        error = caught.value
        assert type(error) is StatusError
        assert (error.status, error.from_service, error.request_id) == (404, False, "edge-77")
        assert "nginx" in str(error)

    @three_clients
    @pytest.mark.asyncio
    async def test_redirect(self, connect: Connect) -> None:
        """A redirect is an error, and is not followed."""
        account = account_at_noon()
        account.fail("list", 302, page="", headers={"Location": "https://login.example/"})
        async with connect(account) as roles:
            with pytest.raises(StatusError) as caught:
                await roles.list()
        assert caught.value.status == 302
        assert len(account.calls) == 1

    @three_clients
    @pytest.mark.asyncio
    async def test_success(self, connect: Connect) -> None:
        """A page with 200, such as one for maintenance, is no result of a read or a change."""
        account = account_at_noon()
        role = account.add_role("A")
        account.fail("list", 200, page=b"<html>back soon</html>")
        account.fail("delete", 200, page="<html>back soon</html>")
        async with connect(account) as roles:
            with pytest.raises(InvalidResponseError, match="back soon"):
                await roles.list()
            with pytest.raises(OutcomeUnknownError):
                await roles.delete(role_id=role.id)
        assert account.role("A") == role

    @three_clients
    @pytest.mark.asyncio
    async def test_json(self, connect: Connect) -> None:
        """A page may be any document, of the content type that the headers say."""
        account = account_at_noon()
        page = '{"roles": [], "pagination": {"has_more": false}, "new": 1}'
        account.fail("list", 200, page=page, headers={"Content-Type": "application/json"})
        account.add_role("A")
        async with connect(account) as roles:
            assert len(await roles.list()) == 0
            assert len(await roles.list()) == 1

    @three_clients
    @pytest.mark.asyncio
    async def test_headers_alone(self, connect: Connect) -> None:
        """Without a page, the headers go with the service's own problem."""
        account = account_at_noon()
        account.fail("list", ForbiddenError, headers={"X-Request-Id": "abc"})
        account.fail("list", 503, headers={"Retry-After": "3"})
        async with connect(account) as roles:
            with pytest.raises(ForbiddenError) as caught:
                await roles.list()
            with pytest.raises(ServerError) as unavailable:
                await roles.list()
        assert (caught.value.from_service, caught.value.request_id) == (True, "abc")
        assert unavailable.value.retry_after == 3.0

    @three_clients
    @pytest.mark.asyncio
    async def test_after(self, connect: Connect) -> None:
        """A page may come in place of the answer to a change that was made."""
        account = account_at_noon()
        account.fail("create", 502, page=HTML, when="after", retry_after=None)
        async with connect(account) as roles:
            role = await create(roles)
        assert account.roles == (role,)

    @three_clients
    @pytest.mark.asyncio
    async def test_proxy(self, connect: Connect) -> None:
        """A 407 is a proxy's, which the client could not get past."""
        account = account_at_noon()
        account.fail("list", 407, page=HTML)
        async with connect(account) as roles:
            with pytest.raises(RolesConnectionError, match="407") as caught:
                await roles.list()
        assert caught.value.credentials

    @three_clients
    @pytest.mark.parametrize("status", [204, 304])
    @pytest.mark.asyncio
    async def test_no_body(self, connect: Connect, status: int) -> None:
        """An answer without a body is not the result of a read."""
        account = account_at_noon()
        account.fail("list", status, page="")
        async with connect(account) as roles:
            with pytest.raises((StatusError, InvalidResponseError)):
                await roles.list()

    @three_clients
    @pytest.mark.asyncio
    async def test_key(self, connect: Connect) -> None:
        """An error about a page that echoes the key does not show it."""
        account = account_at_noon()
        account.fail("list", 418, page=f"<p>Bearer {account.api_key}</p>")
        async with connect(account) as roles:
            with pytest.raises(StatusError, match="Bearer") as caught:
                await roles.list()
        assert account.api_key not in str(caught.value)

    def test_shown(self) -> None:
        """A fault with a page says that it has one."""
        fault = FakeAccount().fail("get", 404, page=HTML)
        assert str(fault) == "get fails with 404 and a page, 1 time: struck 0 requests"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"failure": 199, "page": ""}, f"{FAILURE_RULE}, not 199"),
            ({"failure": 600, "page": ""}, f"{FAILURE_RULE}, not 600"),
            (
                {"failure": NotFoundError, "page": HTML},
                "page needs a status as the failure, not NotFoundError",
            ),
            (
                {"failure": "lost", "page": HTML},
                "page needs a status as the failure, not 'lost'",
            ),
            (
                {"failure": 404, "page": HTML, "detail": "gone"},
                "page is the whole body, so detail and members of a problem must not be given",
            ),
            ({"failure": 404, "page": 5}, "page must be a string, not int"),
            (
                {"failure": 404, "page": "\ud800"},
                "page must not contain surrogates, which UTF-8 cannot carry",
            ),
            (
                {"failure": 204, "page": HTML},
                "an answer with 204 has no body, so page must be empty",
            ),
            (
                {"failure": "lost", "headers": {"X-A": "b"}},
                "headers need a status as the failure, not 'lost'",
            ),
            (
                {"failure": 404, "headers": [1]},
                "headers must be a mapping, not list",
            ),
            (
                {"failure": 404, "headers": {"content-length": "1"}},
                "headers must not hold content-length, which frames the message",
            ),
            (
                {"failure": 404, "headers": {"X A": "b"}},
                "headers must have names that HTTP allows, not 'X A'",
            ),
            (
                {"failure": 404, "headers": {"X-A": "b\r\nX-B: c"}},
                "headers must have values of printable ASCII, not 'b\\r\\nX-B: c' for X-A",
            ),
            (
                {"failure": 503, "headers": {"retry-after": "1"}, "retry_after": 2},
                "headers hold Retry-After, so retry_after must not be given",
            ),
        ],
    )
    def test_refused(self, arguments: dict[str, Any], message: str) -> None:
        """A page that no answer could have is refused."""
        with pytest.raises(ValueError, match="cannot be scripted") as caught:
            FakeAccount().fail("get", **arguments)
        assert str(caught.value) == f"this fault cannot be scripted: {message}"


Script = Callable[[FakeAccount], object]
IMPOSSIBLE: list[tuple[Script, str]] = [
    (
        lambda a: a.fail("get", int),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        f"{FAILURE_RULE}, not int",
    ),
    (
        lambda a: a.fail("lsit", 500),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        f"{OPERATION_RULE}, not 'lsit'",
    ),
    (
        lambda a: a.fail("list", 200),
        f"{FAILURE_RULE}, not 200",
    ),
    (
        lambda a: a.fail("list", ValidationError),
        (
            "no answer leads to ValidationError: a call raises it if an argument breaks a rule, "
            "and sends nothing"
        ),
    ),
    (lambda a: a.fail("list", 500, times=0), "times must be an integer of 1 or more, not 0"),
    (lambda a: a.fail("list", 500, after=-1), "after must be an integer of 0 or more, not -1"),
    (
        lambda a: a.fail("list", 500, when="during"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        "when must be before or after, not 'during'",
    ),
    (
        lambda a: a.fail("list", 500, retry_after=1),
        "only a 429 or a 503 has a retry_after, not 500",
    ),
    (
        lambda a: a.fail("list", 429, retry_after=-1),
        "retry_after must be 0 or more, or a date as text, not -1",
    ),
    (
        lambda a: a.fail("list", 429, retry_after=1.5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        "retry_after must be 0 or more, or a date as text, not 1.5",
    ),
    (
        lambda a: a.fail("list", 500, times=True),
        "times must be an integer of 1 or more, not True",
    ),
    (
        lambda a: a.fail("get", 403, limit="few", plan=1),
        "a problem document has no plan; limit must be of type int",
    ),
    (
        lambda a: a.fail("get", 407),
        "407 is the answer of a proxy, for which a client raises RolesConnectionError",
    ),
    (lambda a: a.fail("list", 409, limit=3), "only a 403 has plan members, not 409"),
    (lambda a: a.fail("list", 403, limits=3), "a problem document has no limits"),
    (
        lambda a: a.fail("list", 500, role="A"),
        "a list is about all roles, so role must not be given",
    ),
    (
        lambda a: a.fail("create", 500, role="Um9sZTo0OmphYmU="),
        "role must be a name for create, as the role has no ID yet",
    ),
    (
        lambda a: a.fail("delete", "malformed"),
        "the answer to a delete has no body, so it cannot be 'malformed'",
    ),
    (
        lambda a: a.fail("delete", "truncated"),
        "the answer to a delete has no body, so it cannot be 'truncated'",
    ),
    (
        lambda a: a.fail("list", 500, times=0, role="A"),
        (
            "a list is about all roles, so role must not be given; "
            "times must be an integer of 1 or more, not 0"
        ),
    ),
]


BOUNDS: list[Script] = [
    lambda a: a.fail("get", 400),
    lambda a: a.fail("get", 599),
    lambda a: a.fail("get", 429, retry_after=0),
    lambda a: a.slow_down(0.0, up_to=1.0),
    lambda a: a.slow_down(1.0, up_to=1.0),
]


class TestRefused:
    """A fault that could never strike is an error when it is scripted."""

    @pytest.mark.parametrize(("script", "message"), IMPOSSIBLE)
    def test_fault(self, script: Script, message: str) -> None:
        """A fault that could never strike is refused."""
        account = FakeAccount()
        with pytest.raises(ValueError, match="this fault cannot be scripted: ") as caught:
            script(account)
        assert str(caught.value) == f"this fault cannot be scripted: {message}"
        assert account.pending_faults == ()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"operation": []},
                f"{OPERATION_RULE}, not []",
            ),
            ({"role": 5}, "role must be a string, not int"),
            ({"detail": 5}, "detail must be a string, not int"),
            (
                {"detail": "\ud800"},
                "detail must not contain surrogates, which UTF-8 cannot carry",
            ),
        ],
    )
    def test_text(self, arguments: dict[str, Any], message: str) -> None:
        """Arguments that are no text, or cannot be sent, are refused."""
        given: dict[str, Any] = {"operation": "get", "failure": 403} | arguments
        with pytest.raises(ValueError, match="cannot be scripted") as caught:
            FakeAccount().fail(**given)
        assert str(caught.value) == f"this fault cannot be scripted: {message}"

    @pytest.mark.parametrize("value", ["\ud800", 5, True])
    def test_member(self, value: object) -> None:
        """A member of a problem document with a value of another type is refused."""
        with pytest.raises(ValueError, match=r"required_plan must be of type str$"):
            FakeAccount().fail("get", 403, required_plan=value)

    def test_member_of_subclass(self) -> None:
        """A text of a class of its own is one."""
        plan: object = type("Plan", (str,), {})("pro")
        fault = FakeAccount().fail("get", 403, required_plan=plan)
        assert fault.members == {"required_plan": "pro"}

    @pytest.mark.parametrize("seconds", [True, 10**15, 10**4000])
    def test_seconds(self, seconds: int) -> None:
        """A wait that no header can express is refused."""
        with pytest.raises(ValueError, match="retry_after must be 0 or more"):
            FakeAccount().fail("get", 429, retry_after=seconds)

    @pytest.mark.parametrize(
        ("error", "how"),
        [
            ("RolesError", "it is the base of all errors; give one of its subclasses"),
            ("StatusError", "give the status, such as 418"),
            ("ConfigurationError", "a client raises it if it is made with wrong arguments"),
            ("ClientStateError", "a client raises it once it is closed"),
            ("MissingExtraError", "a conversion raises it if a package is not installed"),
            (
                "RoleRenamedError",
                (
                    "an update by name raises it if another client renames the role between the "
                    "call's list and its update; slow_down leaves time for that"
                ),
            ),
        ],
    )
    def test_class(self, error: str, how: str) -> None:
        """For an error that no answer leads to, the message says how a test gets it."""
        with pytest.raises(ValueError, match="cannot be scripted") as caught:
            FakeAccount().fail("any", getattr(arize_roles_async, error))
        assert str(caught.value).endswith(f": no answer leads to {error}: {how}")

    @pytest.mark.parametrize("failure", ["refused", "unreachable", RolesConnectionError])
    def test_after(self, failure: Breakage) -> None:
        """A request that never reaches the account cannot fail after the account did its work."""
        with pytest.raises(ValueError, match="cannot be scripted") as caught:
            FakeAccount().fail("create", failure, when="after")
        assert str(caught.value).endswith(
            " means that nothing was sent, so when must be before; "
            "'lost' with when='after' drops the connection after the account did its work"
        )

    @pytest.mark.parametrize("operation", ["create", "update", "delete"])
    def test_change_verifies(self, operation: Operation) -> None:
        """After an unreadable answer, a client checks whether the change was made."""
        with pytest.raises(ValueError, match="cannot be scripted") as caught:
            FakeAccount().fail(operation, InvalidResponseError)
        assert str(caught.value).endswith(
            f"{operation} never raises it: after an unreadable answer to a change, a client checks "
            "whether the change was made; 'malformed' scripts such an answer"
        )

    @pytest.mark.parametrize("operation", ["get", "list", "any"])
    def test_no_change(self, operation: Operation) -> None:
        """A read has no unknown outcome."""
        with pytest.raises(ValueError, match="cannot be scripted") as caught:
            FakeAccount().fail(operation, OutcomeUnknownError)
        assert str(caught.value).endswith(
            f": {operation} never raises it: only a change has an unknown outcome"
        )

    @pytest.mark.parametrize("script", BOUNDS)
    def test_bounds(self, script: Script) -> None:
        """The least and the greatest value of what may be given are not refused."""
        script(FakeAccount())

    @pytest.mark.parametrize("status", [399, 600])
    def test_status(self, status: int) -> None:
        """Statuses that are not failures."""
        with pytest.raises(ValueError, match=f"{FAILURE_RULE}, not {status}$"):
            FakeAccount().fail("get", status)

    @pytest.mark.parametrize(
        ("seconds", "up_to"), [(-1.0, None), (2.0, 1.0), (float("nan"), None), (0.0, float("inf"))]
    )
    def test_latency(self, seconds: float, up_to: float | None) -> None:
        """An impossible latency is refused."""
        with pytest.raises(ValueError, match="seconds must be 0 or more, and up_to at least that"):
            FakeAccount().slow_down(seconds, up_to=up_to)

    @pytest.mark.parametrize(
        ("per_second", "burst"),
        [(0.0, 1), (-1.0, 1), (1.0, 0), (float("nan"), 1), (float("inf"), 1)],
    )
    def test_rate(self, per_second: float, burst: int) -> None:
        """An impossible rate is refused."""
        with pytest.raises(
            ValueError, match="per_second must be above 0, and burst an integer of 1 or more"
        ):
            FakeAccount().limit_rate(per_second, burst=burst)


class TestPending:
    """Faults that have not struck."""

    @pytest.mark.asyncio
    async def test_asserted(self) -> None:
        """Faults that struck less often than scripted can be asserted."""
        account = account_at_noon()
        account.fail("list", 500)
        account.fail("list", 500, times=2)
        account.fail("create", "lost", times=None, after=3, role="A")
        async with FakeRolesClient(account, retry=ONCE) as roles:
            for _ in range(2):
                with pytest.raises(ServerError):
                    await roles.list()
        assert [fault.operation for fault in account.pending_faults] == ["list", "create"]
        assert str(account.pending_faults) == (
            "(<Fault: list fails with 500, 2 times: struck 1 request>, <Fault: create fails with "
            "lost, every time after 3, for the role 'A': struck 0 requests>)"
        )

    def test_unused(self) -> None:
        """All that struck less often than scripted is listed, each in its own words."""
        account = account_at_noon()
        account.fail("get", 403)
        account.slow_down(1, operation="update")
        account.slow_down(1, role="A")
        account.slow_down(1)
        account.slow_down(0, operation="list")
        account.shorten_pages(3, 0, 2)
        with account.block("create", role="A"):
            account.handle(Request(method="GET", target="/v2/roles"))
        authorized = {"Authorization": f"Bearer {account.api_key}"}
        account.handle(Request(method="GET", target="/v2/roles", headers=authorized))
        assert str(account.pending_faults[0]) == "get fails with 403, 1 time: struck 0 requests"
        assert account.unused_faults == (
            account.pending_faults[0].unused(),
            "slow_down of 'update': no call was delayed",
            "slow_down of 'any', role='A': no call was delayed",
            "block('create', role='A'): no call was kept open",
            "shorten_pages(0, 2): asked for no further page",
        )
        account.clear_faults()
        assert not account.unused_faults

    def test_scripted_twice(self) -> None:
        """Two faults that are scripted alike are two."""
        account = FakeAccount()
        faults = {account.fail("list", 500), account.fail("list", 500)}
        assert len(faults) == 2

    @both_clients
    @pytest.mark.asyncio
    async def test_cleared(self, connect: Connect) -> None:
        """Cleared faults are forgotten, with short pages, latency and rate limit."""
        account = account_at_noon()
        account.add_role("A")
        account.shorten_pages(0)
        account.fail("list", 500)
        account.slow_down(60.0)
        account.limit_rate(0.001)
        account.clear_faults()
        async with connect(account) as roles:
            pages = [await roles.list() for _ in range(2)]
        assert [len(page.roles) for page in pages] == [1, 1]
        assert account.pending_faults == ()
        assert account.now() == START


class TestText:
    """Faults as text."""

    @pytest.mark.parametrize(
        ("text", "arguments"),
        [
            ("create:409", {"operation": "create", "failure": 409}),
            ("any:lost", {"operation": "any", "failure": "lost"}),
            (
                "create:ServerError,every_attempt",
                {"operation": "create", "failure": ServerError, "every_attempt": True},
            ),
            (
                "list:429,times=3,after=1,when=after,retry_after=2",
                {
                    "operation": "list",
                    "failure": 429,
                    "times": 3,
                    "after": 1,
                    "when": "after",
                    "retry_after": 2,
                },
            ),
            ("get:500,times=always", {"operation": "get", "failure": 500, "times": None}),
            (
                "get:500,after=2,role=A, B,role=C",
                {"operation": "get", "failure": 500, "after": 2, "role": "A, B,role=C"},
            ),
        ],
    )
    def test_parsed(self, text: str, arguments: dict[str, object]) -> None:
        """A fault can be written as text."""
        assert parse_fault(text) == arguments
        FakeAccount().fail(**parse_fault(text))

    @pytest.mark.parametrize("text", ["list:500,time=1", "list:500,times=x", "list:500,"])
    def test_refused(self, text: str) -> None:
        """A text that is not a fault is refused."""
        with pytest.raises(ValueError, match="is not a fault option"):
            parse_fault(text)

    @pytest.mark.parametrize("text", ["list", "", "list:", "list:5x"])
    def test_no_failure(self, text: str) -> None:
        """A text without a failure makes no fault."""
        with pytest.raises(ValueError, match="this fault cannot be scripted"):
            FakeAccount().fail(**parse_fault(text))


class TestSlow:
    """Latency, in process and over HTTP."""

    @pytest.mark.asyncio
    async def test_own_clock(self) -> None:
        """Latency passes on the account's clock without waiting."""
        account = account_at_noon()
        account.slow_down(2.5)
        async with FakeRolesClient(account) as roles:
            await roles.list()
            await roles.list()
        assert account.now() == START + timedelta(seconds=5)

    @pytest.mark.asyncio
    async def test_over_http(self) -> None:
        """Latency over HTTP is waited for."""
        account = account_at_noon()
        account.slow_down(0.02)
        async with over_http(account) as roles:
            began = anyio.current_time()
            await roles.list()
            assert anyio.current_time() - began >= 0.02

    @pytest.mark.asyncio
    async def test_together(self) -> None:
        """Calls under way together wait together."""
        account = account_at_noon()
        account.slow_down(1.0)
        async with FakeRolesClient(account) as roles, anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(create, roles, f"role {number}")
        assert account.now() == START + timedelta(seconds=1)

    def test_drawn(self) -> None:
        """Drawn latencies lie between their bounds, and are the same in every run."""

        def drawn(seed: int) -> list[float]:
            account = account_at_noon()
            account.slow_down(0.5, up_to=1.5, seed=seed)
            request = Request(method="GET", target="/v2/roles")
            return [account.handle(request).delay for _ in range(20)]

        assert drawn(1) == drawn(1) != drawn(2)
        assert len(set(drawn(1))) == 20
        assert all(0.5 <= seconds <= 1.5 for seconds in drawn(1))

    @pytest.mark.asyncio
    async def test_read_limit(self) -> None:
        """Latency beyond the silence that a client bears is its timeout."""
        account = account_at_noon()
        account.slow_down(20.0)
        client = FakeRolesClient(account, timeout=Timeouts(read=10.0), retry=ONCE)
        async with client as roles:
            with pytest.raises(RolesTimeoutError) as caught:
                await roles.list()
        assert str(caught.value).startswith("GET /v2/roles: no answer")
        assert (caught.value.limit, caught.value.seconds) == ("read", 10.0)
        assert account.now() == START + timedelta(seconds=10)

    @pytest.mark.parametrize(
        ("total", "read"), [(5.0, None), (5.0, 5.0), (0.5, None)], ids=["alone", "both", "short"]
    )
    @pytest.mark.asyncio
    async def test_total_limit(self, total: float, read: float | None) -> None:
        """Latency beyond the time that a call has in all is its timeout."""
        account = account_at_noon()
        account.slow_down(20.0)
        client = FakeRolesClient(account, timeout=Timeouts(total=total, read=read), retry=ONCE)
        async with client as roles:
            with pytest.raises(RolesTimeoutError) as caught:
                await roles.list()
        assert str(caught.value).startswith("list took too long")
        assert (caught.value.limit, caught.value.seconds) == ("total", total)
        assert account.now() == START + timedelta(seconds=total)


class TestLimit:
    """A limit on the account's clock; a client keeps its pace below it, so requests are raw."""

    def ask(self, account: FakeAccount) -> tuple[int, str | None]:
        request = Request(
            method="GET",
            target="/v2/roles",
            headers={"Authorization": f"Bearer {account.api_key}"},
        )
        reply = account.handle(request)
        return reply.status, reply.headers.get("Retry-After")

    def test_burst(self) -> None:
        """A burst goes through; then the account says how long to wait."""
        account = account_at_noon()
        account.limit_rate(0.5, burst=2)
        assert [self.ask(account) for _ in range(3)] == [(200, None), (200, None), (429, "2")]
        account.advance(2)
        assert [self.ask(account) for _ in range(2)] == [(200, None), (429, "2")]

    def test_full(self) -> None:
        """Time without calls fills the bucket, and no more."""
        account = account_at_noon()
        account.limit_rate(1.0, burst=2)
        account.advance(3600)
        assert [self.ask(account)[0] for _ in range(3)] == [200, 200, 429]

    @pytest.mark.parametrize("per_second", [3.0, 0.1, 0.7, 1e-3])
    def test_retry_after(self, per_second: float) -> None:
        """A caller that waits as long as the account asks is answered."""
        account = account_at_noon()
        account.limit_rate(per_second)
        for _ in range(20):
            assert self.ask(account)[0] == 200
            status, seconds = self.ask(account)
            assert status == 429
            account.advance(int(seconds or ""))

    @pytest.mark.parametrize("per_second", [3.0, 0.1, 1e-3])
    @pytest.mark.asyncio
    async def test_client(self, per_second: float) -> None:
        """A client that may wait gets through, however slow the limit is."""
        account = account_at_noon()
        account.limit_rate(per_second)
        async with FakeRolesClient(account, timeout=None) as roles:
            for _ in range(20):
                await roles.list()
        assert account.now() >= START + timedelta(seconds=19 / per_second)

    @pytest.mark.asyncio
    async def test_client_over_http(self) -> None:
        """The real client waits as long as the account asks, too."""
        account = account_at_noon()
        account.limit_rate(1.0)
        async with over_http(account, retry=RetryPolicy(attempts=2)) as roles:
            for _ in range(4):
                await roles.list()
        assert account.now() >= START + timedelta(seconds=3)


class TestNotStruck:
    """Requests that use up no fault."""

    def test_refused(self) -> None:
        """A request without a key of the account."""
        account = account_at_noon()
        account.fail("list", 500)
        assert account.handle(Request(method="GET", target="/v2/roles")).status == 401
        assert len(account.pending_faults) == 1

    def test_five_operations(self) -> None:
        """Only the five operations are struck."""
        account = account_at_noon()
        account.fail("any", 500)
        headers = {"Authorization": "Bearer fake-api-key"}
        assert (
            account.handle(Request(method="PUT", target="/v2/roles", headers=headers)).status == 405
        )
        assert len(account.pending_faults) == 1


@pytest.mark.parametrize(
    ("seconds", "asked"), [(0.5, "1"), (1.0, "1"), (1.0000004, "1"), (1.000004, "2"), (2.0, "2")]
)
def test_whole_seconds(seconds: float, asked: str) -> None:
    """A rate limit asks for whole seconds, and takes less than a microsecond for rounding."""
    account = account_at_noon()
    account.limit_rate(1.0 / seconds)
    headers = {"Authorization": f"Bearer {account.api_key}"}
    request = Request(method="GET", target="/v2/roles", headers=headers)
    replies = [account.handle(request) for _ in range(2)]
    assert [reply.headers.get("Retry-After") for reply in replies] == [None, asked]


class TestLatency:
    """Answers that take a while, by operation and by role."""

    @both_clients
    @pytest.mark.asyncio
    async def test_by_operation_and_role(self, connect: Connect) -> None:
        """Of several that match, the one that was given last counts."""
        account = account_at_noon()
        one, two = account.add_role("one"), account.add_role("two")
        account.slow_down(0.001)
        account.slow_down(0.002, operation="get")
        account.slow_down(0.003, operation="get", role="two")
        account.slow_down(0.004, role=one.id)
        account.slow_down(0.002, operation="list")
        account.slow_down(0.005, operation="list")
        async with connect(account) as roles:
            await roles.list()
            await roles.get(role_id=one.id)
            await roles.get(role_id=two.id)
            await roles.delete(role_id=two.id)
        assert [call.duration for call in account.calls] == [0.005, 0.004, 0.003, 0.001]

    @pytest.mark.asyncio
    async def test_others(self) -> None:
        """A call that none matches takes no time."""
        account = account_at_noon()
        account.slow_down(1.0, operation="create")
        async with FakeRolesClient(account) as roles:
            await roles.list()
        assert [call.duration for call in account.calls] == [0.0]

    @pytest.mark.asyncio
    async def test_waits_together(self) -> None:
        """Calls that are under way at the same moment wait together."""
        account = account_at_noon()
        account.slow_down(1.0)
        async with FakeRolesClient(account) as roles, anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(roles.list().all)
        assert account.now() == START + timedelta(seconds=1)

    def test_refused(self) -> None:
        """A latency that matches no call is refused."""
        with pytest.raises(ValueError, match="role must be a name for create"):
            FakeAccount().slow_down(1, operation="create", role="Um9sZTox")
        with pytest.raises(ValueError, match="operation must be one of"):
            FakeAccount().slow_down(1, operation="lsit")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        with pytest.raises(
            ValueError, match="a list is about all roles, so role must not be given"
        ):
            FakeAccount().slow_down(1, operation="list", role="A")


class TestRateLimit:
    """Calls go through as fast as the limit says, to the microsecond."""

    @pytest.mark.parametrize("per_second", [3.0, 7.0, 0.1, 1000.0])
    def test_refill(self, per_second: float) -> None:
        """One call goes through as soon as the rate allows it, and none before."""
        account = account_at_noon()
        account.limit_rate(per_second, burst=1)
        request = Request(
            method="GET", target="/v2/roles", headers={"Authorization": "Bearer fake-api-key"}
        )
        statuses: list[int] = []
        for number in range(30):
            passed = (account.now() - START).total_seconds()
            account.advance(max(0.0, number / per_second - passed - 2e-6))
            statuses.append(account.handle(request).status)
            account.advance(3e-6)
            statuses.append(account.handle(request).status)
        assert statuses == [200, 429, *([429, 200] * 29)]

    def test_retry_after(self) -> None:
        """`Retry-After` says the whole seconds until one goes through."""
        account = account_at_noon()
        account.limit_rate(0.5)
        request = Request(
            method="GET", target="/v2/roles", headers={"Authorization": "Bearer fake-api-key"}
        )
        account.handle(request)
        assert account.handle(request).headers["Retry-After"] == "2"
        account.advance(1.0)
        assert account.handle(request).headers["Retry-After"] == "1"
        account.advance(1.0)
        assert account.handle(request).status == 200


@pytest.mark.asyncio
async def test_after_own_operation() -> None:
    """`after=` counts the calls that match, and no others."""
    account = account_at_noon()
    role = account.add_role("A", ["ROLE_READ"])
    account.fail("get", 404, after=1)
    async with FakeRolesClient(account) as roles:
        for _ in range(3):
            await roles.list()
        await roles.get(role_id=role.id)
        with pytest.raises(NotFoundError):
            await roles.get(role_id=role.id)


def test_truncated_bytes() -> None:
    """A truncated answer has the headers of the whole one, and half of its body."""
    account = account_at_noon()
    account.add_role("A", ["ROLE_READ"])
    account.fail("list", "truncated", when="after")
    with RolesServer(account) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"GET /v2/roles HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer fake-api-key\r\n\r\n"
            )
            received = b""
            with contextlib.suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    request = Request(
        method="GET", target="/v2/roles", headers={"Authorization": "Bearer fake-api-key"}
    )
    whole = account.handle(request).body
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(whole) + 1}".encode() in head
    assert b"Content-Type: application/json" in head
    assert body == whole[: len(whole) // 2]


def test_not_utf8() -> None:
    """A body that is not UTF-8 is a 400, and is logged as it came."""
    account = account_at_noon()
    headers = {"Authorization": "Bearer fake-api-key"}
    for method, target in (("POST", "/v2/roles"), ("PATCH", "/v2/roles/Um9sZTowOm5vbmU%3D")):
        request = Request(method=method, target=target, body=b'{"name": "\xff"}', headers=headers)
        assert account.handle(request).status == 400
        assert account.calls[-1].arguments["body"] == b'{"name": "\xff"}'


@pytest.mark.asyncio
async def test_keys_by_case() -> None:
    """API keys that differ by case are different ones."""
    account = FakeAccount(api_key="Secret")
    async with FakeRolesClient(account, api_key="secret") as roles:
        with pytest.raises(AuthenticationError):
            await roles.list()


@pytest.mark.asyncio
async def test_retry_after_text() -> None:
    """A `Retry-After` in other digits than ASCII's is not a number of seconds."""
    account = account_at_noon()
    account.fail("list", 429, retry_after="²")
    async with FakeRolesClient(account, retry=ONCE) as roles:
        with pytest.raises(RateLimitError) as caught:
            await roles.list()
    assert caught.value.retry_after is None
