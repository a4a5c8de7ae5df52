"""Scripted failures of an account: which calls a fault strikes; ends are in `test_same_results`."""

import contextlib
from operator import methodcaller
from typing import Any

import anyio
import pytest

import arize_roles_async
from arize_roles_async import (
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
)
from arize_roles_fake import FakeAccount, FakeRolesClient, make_role
from tests.fake.test_same_results import CALLS
from tests.support.clients import account_at_noon, ask, create, in_process, meddled, three_clients

# Some of these faults are meant to strike no call.
pytestmark = pytest.mark.arize_roles(unused_faults="allow")


@pytest.mark.parametrize(
    ("faults", "asked", "outcomes"),
    [
        # It lets some calls pass and strikes some.
        ([{"failure": 500, "skip": 1, "times": 2}], "list list list list", [200, 500, 500, 200]),
        # The first strikes until it is used up; each counts every call that matches.
        (
            [{"failure": 500}, {"operation": "any", "failure": 503}, {"failure": 409, "skip": 2}],
            "list list list list",
            [500, 503, 409, 200],
        ),
        # It neither strikes nor counts calls of other operations.
        (
            [{"operation": "get", "failure": 404, "skip": 1}],
            "list list get get",
            [200, 200, 200, 404],
        ),
        ([{"failure": 500, "times": None}], "list list list", [500, 500, 500]),
        # One that needs a body passes over deletions.
        ([{"operation": "any", "failure": "malformed"}], "delete list", [204, "malformed"]),
    ],
)
async def test_matches(
    faults: list[dict[str, Any]], asked: str, outcomes: list[int | str], account: FakeAccount
) -> None:
    """A fault strikes the calls that it matches, in turn with the others."""
    role = account.add_role("A")
    for fault in faults:
        arguments: dict[str, Any] = {"operation": "list", **fault}
        account.fail(**arguments)
    async with in_process(account) as roles:
        for operation in asked.split():
            with contextlib.suppress(RolesError):
                await CALLS[operation](roles, {"role": role.id})
    assert [call.outcome for call in account.calls] == outcomes


@pytest.mark.parametrize("end", ["clear_faults", "reset"])
@pytest.mark.parametrize("failure", [503, "lost", ServerError, RolesConnectionError])
async def test_ended_meanwhile(end: str, failure: Any) -> None:  # noqa: ANN401
    """A script that ends between two attempts of a call strikes the first one alone."""
    account = meddled("after", "GET", methodcaller(end))
    account.fail("list", failure, times=None)
    assert len(await FakeRolesClient(account).list()) == 0
    assert account.unused_faults == ()


@pytest.mark.parametrize(
    ("method", "key", "status"), [("GET", "another", 401), ("PUT", "fake-api-key", 405)]
)
def test_no_operation(account: FakeAccount, method: str, key: str, status: int) -> None:
    """A request without a key of the account, or of no operation, uses up no fault."""
    account.fail("any", 500)
    assert ask(account, f"{method} /v2/roles", key=key).status == status
    assert len(account.unused_faults) == 1


def test_no_body(account: FakeAccount) -> None:
    """An answer that has no body is a 200 where it cannot be decoded."""
    role = account.add_role("A")
    account.fail("delete", "undecodable", when="after")
    assert ask(account, f"DELETE /v2/roles/{role.id}").status == 200


@pytest.mark.parametrize(
    ("failure", "sent", "message"),
    [
        ("refused", False, "the connection was refused"),
        ("unreachable", False, "no connection (connect limit of 5 s, 1 attempt)"),
        ("silent", True, "no answer (read limit of 10 s, 1 attempt)"),
        ("lost", True, "the connection failed before the complete response arrived"),
        ("undecodable", True, "the connection failed before the complete response arrived"),
    ],
)
async def test_sent(failure: Any, sent: bool, message: str) -> None:  # noqa: ANN401, FBT001
    """The error names the failure, and whether the request was sent by then."""
    account = account_at_noon()
    account.fail("list", failure)
    async with in_process(account) as roles:
        with pytest.raises(RolesError) as caught:
            await roles.list()
    assert isinstance(caught.value, RolesConnectionError | RolesTimeoutError)
    assert (caught.value.sent, str(caught.value)) == (sent, f"GET /v2/roles: {message}")


@three_clients
async def test_known(account: FakeAccount, roles: RolesClient) -> None:
    """A fault on `get` strikes the request for an ID that is known, and not the list after it."""
    role = account.add_role("A")
    await roles.get(role="A")
    fault = account.fail("get", NotFoundError)
    assert await roles.get(role="A") == role
    assert fault.failed_requests == 1


HTML = "<html><h1>404 Not Found</h1><hr>nginx</html>"


@three_clients
class TestBody:
    """Answers of gateways and proxies in place of the service's."""

    async def test_gateway(self, account: FakeAccount, roles: RolesClient) -> None:
        """A gateway's 404 says nothing about the role, has its headers, and shows no key."""
        role = account.add_role("A")
        account.fail("get", 404, body=HTML + account.api_key, headers={"x-request-id": "edge-77"})
        with pytest.raises(StatusError, match="nginx") as caught:
            await roles.get(role_id=role.id)
        assert await roles.get(role_id=role.id) == role
        error = caught.value
        assert type(error) is StatusError
        assert account.api_key not in str(error)
        account.fail("list", 502, body=b"")
        assert ask(account, "GET /v2/roles").headers["Content-Type"].startswith("text/html")
        assert (error.status, error.from_service, error.request_id) == (404, False, "edge-77")

    async def test_overtaken(self, account: FakeAccount, roles: RolesClient) -> None:
        """A body may be the role with another's change in it, too, of the type that headers say."""
        role = account.add_role("A")
        theirs = make_role(name="B", id=role.id)
        headers = {"Content-Type": "application/json"}
        account.fail("update", 200, when="after", body=theirs.to_json(), headers=headers)
        assert await roles.update(role_id=role.id, description="Text.") == theirs
        assert account.roles[0].description == "Text."

    async def test_headers_alone(self, account: FakeAccount, roles: RolesClient) -> None:
        """Without a body, the headers go with the service's own problem."""
        date = "Fri, 02 Jan 2026 12:00:0{} GMT".format
        headers = {"X-Request-Id": "abc", "Date": date(1), "Retry-After": date(4)}
        account.fail("list", 503, headers=headers)
        with pytest.raises(ServerError) as caught:
            await roles.list()
        error = caught.value
        assert (error.from_service, error.request_id, error.retry_after) == (True, "abc", 3.0)

    @pytest.mark.parametrize(
        ("status", "error"), [(407, RolesConnectionError), (200, InvalidResponseError)]
    )
    async def test_other(
        self, account: FakeAccount, roles: RolesClient, status: int, error: type[RolesError]
    ) -> None:
        """A 407 is a proxy's, which the client could not get past; a 200 may be no list."""
        account.fail("list", status, body=HTML.encode())
        with pytest.raises(error) as caught:
            await roles.list()
        assert getattr(caught.value, "credentials", False) is (status == 407)


def test_every_class() -> None:
    """Each error class can be scripted by itself, or `fail` says how a test gets it."""
    for name in (name for name in arize_roles_async.__all__ if name.endswith("Error")):
        error = getattr(arize_roles_async, name)
        try:
            FakeAccount().fail("update" if error is OutcomeUnknownError else "list", error)
        except ValueError as refused:
            assert f"no answer leads to {name}: " in str(refused)  # noqa: PT017


async def test_times(account: FakeAccount) -> None:
    """An error class strikes until the client gives up, `times` calls after those that `skip`."""
    fault = account.fail("create", ServerError, times=2, skip=1)
    async with in_process(account, retry=RetryPolicy(attempts=2)) as roles:
        await create(roles, "before")
        for _ in range(2):
            with pytest.raises(ServerError):
                await create(roles)
        await create(roles)
    assert str(fault) == "create fails with 503, 2 times after 1 call: struck 4 requests"


@pytest.mark.parametrize(
    ("scripts", "failed"),
    [([(ServerError, 1)], 1), ([(ServerError, 2)], 2), ([(ServerError, 1), (503, 1)], 1)],
)
async def test_at_once(account: FakeAccount, scripts: list[tuple[Any, int]], failed: int) -> None:
    """Of equal calls at the same moment as many are struck as asked, each by its own fault."""
    role = account.add_role("A", ["ROLE_READ"])
    for failure, times in scripts:
        account.fail("get", failure, times=times)
    ends: list[object] = []

    async def get(roles: RolesClient) -> None:
        try:
            ends.append(await roles.get(role_id=role.id))
        except ServerError:
            ends.append("failed")

    async with FakeRolesClient(account) as roles, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(get, roles)
    assert (ends.count("failed"), ends.count(role)) == (failed, 5 - failed)


@three_clients
class TestOver:
    """Once its call is over, the fault strikes no further call."""

    @pytest.mark.parametrize(
        ("error", "attempts"),
        [(ForbiddenError, 1), (RateLimitError, 1), (ServerError, 1), (ServerError, 3)],
    )
    async def test_spent(
        self, account: FakeAccount, roles: RolesClient, error: type[RolesError], attempts: int
    ) -> None:
        """It does not strike the retry of an equal call."""
        account.fail("create", error)
        with pytest.raises(error):
            await create(roles.with_options(retry=RetryPolicy(attempts=attempts)))
        account.fail("create", 503)
        await create(roles.with_options(retry=RetryPolicy(attempts=2)))
        assert [call.outcome for call in account.calls][attempts:] == [503, 201]

    async def test_refused_between(self, account: FakeAccount, roles: RolesClient) -> None:
        """A call that was refused before the account looked for faults does not meet it."""
        account.fail("list", ForbiddenError)
        with pytest.raises(ForbiddenError):
            await roles.list()
        account.limit_rate(0.5)
        for _ in range(2):
            await roles.with_options(retry=RetryPolicy(attempts=2)).list()
        assert [call.outcome for call in account.calls] == [403, 200, 429, 200]


class TestOverHttp:
    """Over HTTP the account has to find out which requests are attempts of one call."""

    @staticmethod
    def update(account: FakeAccount, what: str, number: int) -> int:
        """Send an attempt as over HTTP, and return the status; "a" updates A in another way."""
        role = account.role(what.upper()) or account.add_role(what.upper())
        body = b'{"description": "%d"}' % what.islower()
        retries = str(number - 1)
        return ask(account, f"PATCH /v2/roles/{role.id}", body, sdk_retry_count=retries).status

    @pytest.mark.parametrize(
        ("scripts", "attempts", "statuses"),
        [
            # An attempt that no header counts is a call of its own, so `times` counts it.
            ([(ServerError, 2)], "A1 A1 A1", [503, 503, 200]),
            # Two equal calls at once each keep the record of their own fault.
            ([(ServerError, 2)], "A1 A1 A2 A2 A3 A3", [503, 503, 503, 503, 503, 503]),
            ([(ServerError, 1), (503, 1)], "A1 A1 A2 A2 A3 A3", [503, 503, 200, 503, 503, 200]),
            # Between the attempts of a call that fails, another one's second attempt does not.
            ([(ServerError, 1)], "A1 B2 A2", [503, 200, 503]),
            ([(ServerError, 1)], "A1 a2 A2", [503, 200, 503]),
        ],
    )
    def test_calls(
        self,
        account: FakeAccount,
        scripts: list[tuple[Any, int]],
        attempts: str,
        statuses: list[int],
    ) -> None:
        """Each fault strikes the attempts of its own calls."""
        for failure, times in scripts:
            account.fail("update", failure, times=times)
        asked = [(each[0], int(each[1])) for each in attempts.split()]
        assert [self.update(account, *each) for each in asked] == statuses
