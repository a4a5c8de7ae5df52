"""The log of what an account was asked."""

import pytest

from arize_roles_async import NotFoundError, Permission, Request, RetryPolicy, RolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import ask, both_clients


@both_clients
async def test_call(account: FakeAccount, roles: RolesClient) -> None:
    """Each call is logged with what was asked and how it ended."""
    role = await roles.create(name="A", permissions=[Permission.ROLE_READ])
    await roles.list(limit=10, is_predefined=False)
    await roles.update(role_id=role.id, name="B", description=None)
    await roles.get(role_id=role.id)
    await roles.delete(role_id=role.id)
    with pytest.raises(NotFoundError):
        await roles.get(role_id=role.id)
    assert [(c.operation, c.role, c.arguments, c.outcome) for c in account.calls] == [
        ("create", "A", {"name": "A", "permissions": ["ROLE_READ"]}, 201),
        ("list", None, {"limit": 10, "is_predefined": False}, 200),
        ("update", "A", {"role_id": role.id, "name": "B", "description": None}, 200),
        ("get", "B", {"role_id": role.id}, 200),
        ("delete", "B", {"role_id": role.id}, 204),
        ("get", None, {"role_id": role.id}, 404),
    ]
    assert {call.api_key for call in account.calls} == {"fake-api-key"}


async def test_printed(account: FakeAccount) -> None:
    """A call reads well when printed, and shows no key; in process it has no host."""
    role = account.add_role("AI Engineer")
    bound = account.bind(role, user="ada", resource="Space:1")
    account.fail("get", 503)
    account.fail("get", "lost")
    account.slow_down(0.25)
    async with FakeRolesClient(account, retry=RetryPolicy(attempts=2, backoff=1e-6)) as roles:
        with pytest.raises(Exception, match="connection failed"):
            await roles.get(role_id=role.id)
        await roles.create(name="B", permissions=["ROLE_READ"])
        await roles.role_bindings.delete(binding_id=bound.id)
    deleted = f"binding_id='{bound.id}'"
    assert [str(call) for call in account.calls] == [
        f"get(role_id='{role.id}') 'AI Engineer' -> 503 Service Unavailable, 0.25 s",
        f"get(role_id='{role.id}') 'AI Engineer' -> lost, attempt 2, 0.25 s",
        "create(name='B', permissions=['ROLE_READ']) -> 201, 0.25 s",
        f"role_bindings.delete({deleted}) 'AI Engineer' of 'ada' on 'Space:1' -> 204, 0.25 s",
    ]
    assert (account.calls[-1].user, account.calls[-1].resource) == ("ada", "Space:1")
    assert {call.host for call in account.calls} == {None}
    assert "fake-api-key" not in "".join(map(repr, account.calls))


@pytest.mark.parametrize(
    ("line", "body", "operation", "arguments"),
    [
        ("PUT /v2/roles?a=b", None, "PUT /v2/roles", {"a": "b"}),
        ("GET /v2/roles/a/b", None, "GET /v2/roles/a/b", {}),
        ("GET /v2/roles/", None, "GET /v2/roles/", {}),
        ("POST /v2/roles", b"{", "create", {"body": b"{"}),
        ("POST /v2/roles", b"[1]", "create", {"body": [1]}),
        ("POST /v2/roles", b'{"name": 1}', "create", {"name": 1}),
        ("POST /v2/roles", b'{"name": "\xff"}', "create", {"body": b'{"name": "\xff"}'}),
    ],
)
def test_anything(
    line: str, body: bytes, operation: str, arguments: dict[str, object], account: FakeAccount
) -> None:
    """Whatever is asked is logged."""
    ask(account, line, body, key="")
    (call,) = account.calls
    assert (call.operation, call.role, call.arguments) == (operation, None, arguments)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"[" * 900 + b"]" * 900, f"body={'[' * 50}[...]{']' * 50}"),
        (b'{"name": "%s"}' % (b"x" * 700), f"name='{'x' * 593}…"),
    ],
)
def test_cut(body: bytes, shown: str, account: FakeAccount) -> None:
    """A body is printed to a depth of 50 and a length of 600."""
    ask(account, "POST /v2/roles", body, key="")
    assert str(account.calls[0]) == f"create({shown}) -> 401 Authentication required"


@pytest.mark.parametrize(
    ("count", "attempt"),
    [("9" * 9, 10**9), *((text, 1) for text in ("-1", "x", "1" * 10, "9" * 5000, "²", ""))],
)
def test_odd_attempt(account: FakeAccount, count: str, attempt: int) -> None:
    """An attempt that is no number of nine digits at most counts as the first."""
    ask(account, "GET /v2/roles", sdk_retry_count=count)
    assert account.calls[0].attempt == attempt


@pytest.mark.usefixtures("unmeasured")
def test_bound(account: FakeAccount) -> None:
    """The newest 10,000 calls are kept, and none after a reset."""
    for each in range(10_002):
        account.handle(Request(method="GET", target=f"/{each}"))
    assert (len(account.calls), account.calls[0].operation) == (10_000, "GET /2")
    account.reset()
    assert account.calls == ()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("limit=999999999", "limit=999999999"),
        ("limit=1000000000", "limit='1000000000'"),
        ("limit=-1", "limit=-1"),
        ("limit=%D9%A1", "limit='\u0661'"),
        ("is_predefined=true", "is_predefined=True"),
        ("is_predefined=maybe", "is_predefined='maybe'"),
        ("cursor=7", "cursor='7'"),
        ("status=ACTIVE&status=INVITED", "status=['ACTIVE', 'INVITED']"),
    ],
)
def test_query(account: FakeAccount, query: str, shown: str) -> None:
    """The parameters of a query are printed as Python arguments."""
    account.handle(Request(method="GET", target=f"/v2/roles?{query}"))
    assert str(account.calls[0]) == f"list({shown}) -> 401 Authentication required"
