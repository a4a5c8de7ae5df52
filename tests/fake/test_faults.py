"""Scripted failures of an account: which calls a fault strikes, and how these end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    OutcomeUnknownError,
    Permission,
    RoleRenamedError,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    StatusError,
)
from arize_roles_fake import FakeAccount, make_role
from arize_roles_fake._testing.fault_rules import parse_fault
from tests.support.clients import (
    account_at_noon,
    ask,
    both_clients,
    in_process,
    mocked,
    three_clients,
)

ROLE_READ = [Permission.ROLE_READ]
CALLS: dict[str, Callable[[RolesClient, str], Awaitable[object]]] = {
    "list": lambda roles, _: roles.list(),
    "get": lambda roles, role_id: roles.get(role_id=role_id),
    "create": lambda roles, _: roles.create(name="B", permissions=["ROLE_READ"]),
    "update": lambda roles, role_id: roles.update(role_id=role_id, name="B"),
    "delete": lambda roles, role_id: roles.delete(role_id=role_id),
}
BY_NAME: dict[str, Callable[[RolesClient], Awaitable[object]]] = {
    "update": lambda roles: roles.update(role="A", description="Text."),
    "delete": lambda roles: roles.delete(role="A"),
}

# Some of these faults are meant to strike no call.
pytestmark = pytest.mark.arize_roles(unused_faults="allow")


@pytest.mark.parametrize(
    ("faults", "asked", "outcomes"),
    [
        # It lets some calls pass and strikes some.
        (["list:500,skip=1,times=2"], "list list list list", [200, 500, 500, 200]),
        # The first strikes until it is used up; each counts every call that matches.
        (
            ["list:500", "any:503", "list:409,skip=2"],
            "list list list list",
            [500, 503, 409, 200],
        ),
        # It neither strikes nor counts calls of other operations.
        (["get:404,skip=1"], "list list get get", [200, 200, 200, 404]),
        (["list:500,times=always"], "list list list", [500, 500, 500]),
        # One that needs a body passes over deletions.
        (["any:malformed"], "delete list", [204, "malformed"]),
    ],
)
async def test_matches(
    faults: list[str], asked: str, outcomes: list[int | str], account: FakeAccount
) -> None:
    """A fault strikes the calls that it matches, in turn with the others."""
    role = account.add_role("A")
    for fault in faults:
        account.fail(**parse_fault(fault))
    async with in_process(account) as roles:
        for operation in asked.split():
            with contextlib.suppress(RolesError):
                await CALLS[operation](roles, role.id)
    assert [call.outcome for call in account.calls] == outcomes


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


# That the other clients come to the same ends is `test_same_results`.
@pytest.mark.parametrize(
    ("operation", "failure", "when", "end", "names"),
    [
        ("create", 500, "after", "done", "AB"),
        ("create", "lost", "before", "OutcomeUnknownError", "A"),
        ("create", "lost", "after", "done", "AB"),
        ("create", "malformed", "after", "done", "AB"),
        ("create", "undecodable", "before", "OutcomeUnknownError", "A"),
        ("create", OutcomeUnknownError, "after", "OutcomeUnknownError", "AB"),
        ("update", OutcomeUnknownError, "after", "OutcomeUnknownError", "B"),
        ("delete", "lost", "before", "OutcomeUnknownError", "A"),
        ("delete", "lost", "after", "done", ""),
        ("delete", OutcomeUnknownError, "after", "OutcomeUnknownError", ""),
        ("list", "truncated", "before", "RolesConnectionError", "A"),
        ("list", "malformed", "after", "InvalidResponseError", "A"),
        ("get", "undecodable", "after", "RolesConnectionError", "A"),
    ],
)
async def test_end(operation: str, failure: Any, when: Any, end: str, names: str) -> None:  # noqa: ANN401
    """A call that a fault strikes ends so, and leaves these roles."""
    account = account_at_noon()
    role = account.add_role("A", ROLE_READ)
    account.fail(operation, failure, when=when)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ended = "done"
    async with in_process(account) as roles:
        try:
            await CALLS[operation](roles, role.id)
        except RolesError as error:
            ended = type(error).__name__
        assert (ended, sorted(each.name for each in account.roles)) == (end, [*names])
        await roles.list()


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
async def test_sent(failure: Any, sent: bool, message: str) -> None:  # noqa: ANN401, FBT001
    """The error names the failure, and whether the request was sent by then."""
    account = account_at_noon()
    account.fail("list", failure)
    async with in_process(account) as roles:
        with pytest.raises(RolesError) as caught:
            await roles.list()
    assert isinstance(caught.value, RolesConnectionError | RolesTimeoutError)
    assert (caught.value.sent, str(caught.value)) == (sent, f"GET /v2/roles: {message}")


@both_clients
async def test_renamed(account: FakeAccount, roles: RolesClient) -> None:
    """An update by name meets another client's rename in the way that `fail` describes."""
    role = account.add_role("A", ROLE_READ)
    account.slow_down(0.02, operation="list")
    update = asyncio.ensure_future(BY_NAME["update"](roles))
    while not account.calls_of("list"):  # noqa: ASYNC110 - nobody sets an event
        await asyncio.sleep(0)
    assert ask(account, f"PATCH /v2/roles/{role.id}", b'{"name": "B"}').status == 200
    with pytest.raises(RoleRenamedError):
        await update


@pytest.mark.parametrize("connect", [in_process, mocked])
@pytest.mark.parametrize("change", BY_NAME)
async def test_by_name(account: FakeAccount, roles: RolesClient, change: str) -> None:
    """A fault on a change by a name strikes its own request and not the look-up."""
    account.add_role("A")
    account.fail("any", 409, about="A")
    with pytest.raises(ConflictError):
        await BY_NAME[change](roles)
    assert [call.outcome for call in account.calls] == [200, 409]


HTML = "<html><h1>404 Not Found</h1><hr>nginx</html>"


@three_clients
class TestBody:
    """Answers of gateways and proxies in place of the service's."""

    async def test_gateway(self, account: FakeAccount, roles: RolesClient) -> None:
        """A gateway's 404 says nothing about the role, and has the gateway's headers."""
        role = account.add_role("A")
        account.fail("get", 404, body=HTML, headers={"x-request-id": "edge-77"})
        with pytest.raises(StatusError, match="nginx") as caught:
            await roles.get(role_id=role.id)
        assert await roles.get(role_id=role.id) == role
        error = caught.value
        assert type(error) is StatusError
        assert (error.status, error.from_service, error.request_id) == (404, False, "edge-77")

    async def test_html(self, account: FakeAccount, roles: RolesClient) -> None:
        """A body of bytes is HTML, unless the headers say otherwise."""
        account.fail("list", 200, body=b"<html>back soon</html>")
        with pytest.raises(InvalidResponseError, match="back soon"):
            await roles.list()
        assert len(await roles.list()) == 0

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
        account.fail("list", ForbiddenError, headers={"X-Request-Id": "abc"})
        account.fail("list", 503, headers={"Retry-After": "3"})
        with pytest.raises(ForbiddenError) as caught:
            await roles.list()
        with pytest.raises(ServerError) as unavailable:
            await roles.list()
        assert (caught.value.from_service, caught.value.request_id) == (True, "abc")
        assert unavailable.value.retry_after == 3.0

    async def test_proxy(self, account: FakeAccount, roles: RolesClient) -> None:
        """A 407 is a proxy's, which the client could not get past."""
        account.fail("list", 407, body=HTML)
        with pytest.raises(RolesConnectionError, match="407") as caught:
            await roles.list()
        assert caught.value.credentials
