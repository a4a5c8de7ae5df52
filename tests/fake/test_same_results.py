"""A fault gives the same result in process, under `mock_arize` and over HTTP."""

import itertools
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final, Literal, get_args

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
    RateLimitError,
    RetryPolicy,
    RolesClient,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    Timeouts,
    UnprocessableEntityError,
)
from arize_roles_fake import FakeAccount, mock_arize
from tests.fake.test_faults import CALLS
from tests.support.clients import Connect, in_process, mocked, over_http
from tests.support.sizes import sized

pytestmark = pytest.mark.usefixtures("unmeasured")

Operation = Literal["list", "get", "create", "update", "delete"]
When = Literal["before", "after"]
Fault = dict[str, Any]
Clients = tuple[RolesClient, RolesClient]
Case = tuple[Fault, Operation, When, bool]

TWICE: Final = RetryPolicy(attempts=2, backoff=0.01)
# A busy machine takes seconds for an answer. These faults last until the limit.
LIMITS: Final = Timeouts(connect=10.0, read=10.0)
SILENT: Final = Timeouts(connect=0.5, read=0.5)
UNTIL_LIMIT: Final = frozenset({"silent", "unreachable", RolesTimeoutError})

FAULTS: Final[list[Fault]] = [
    *({"failure": each} for each in (400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503)),
    *({"failure": each} for each in ("lost", "truncated", "malformed", "undecodable")),
    *({"failure": each} for each in ("silent", "refused", "unreachable")),
    *(
        {"failure": each, "body": "<html>"}
        for each in (200, 302, 401, 403, 404, 409, 429, 500, 503)
    ),
    *(
        {"failure": each}
        for each in (
            *(BadRequestError, AuthenticationError, ForbiddenError, NotFoundError, ConflictError),
            *(UnprocessableEntityError, RateLimitError, ServerError, RolesConnectionError),
            *(RolesTimeoutError, OutcomeUnknownError, InvalidResponseError),
        )
    ),
]

OVER_HTTP: Final[dict[tuple[object, When], str]] = {
    # A server cannot refuse a connection any more: it drops it, and the change may have been made.
    (RolesConnectionError, "before"): "OutcomeUnknownError",
    (RolesTimeoutError, "before"): "OutcomeUnknownError",
    # A server cannot know which read checks a change, so that read succeeds.
    (OutcomeUnknownError, "after"): "done",
}
"""The outcomes of changes that the guide says differ over HTTP, by failure and moment."""


def cases() -> Iterator[Case]:
    """Yield each fault that can be scripted, as it is and with real latency."""
    for fault, operation, when in itertools.product(FAULTS, get_args(Operation), get_args(When)):
        try:
            FakeAccount(predefined=False).fail(operation, when=when, **fault)
        except ValueError:
            continue
        yield fault, operation, when, False
        yield fault, operation, when, True


def named(case: Case) -> str:
    fault, operation, when, is_real = case
    failure: object = getattr(fault["failure"], "__name__", fault["failure"])
    return "-".join([operation, str(failure), when, *[*fault][1:], *["real"] * is_real])


@asynccontextmanager
async def tenants(connect: Connect, one: FakeAccount, two: FakeAccount) -> AsyncGenerator[Clients]:
    """Yield a client of each account; in `mock_arize`, copies of one client with two keys."""
    if connect is mocked:
        with mock_arize({one.api_key: one, two.api_key: two}):
            async with AiohttpRolesClient(one.api_key, retry=TWICE) as roles:
                yield roles, roles.with_options(api_key=two.api_key)
    else:
        async with connect(one, retry=TWICE) as roles, connect(two, retry=TWICE) as others:
            yield roles, others


async def end(call: Awaitable[object]) -> str:
    try:
        await call
    except RolesError as error:
        return type(error).__name__
    return "done"


async def result(connect: Connect, case: Case) -> tuple[str, list[str], int]:
    """Return the outcome of a call, the roles after it, and the requests that a fault struck.

    Another tenant has neither the fault nor the role.
    """
    fault, operation, when, is_real = case
    account, other = FakeAccount(predefined=False), FakeAccount(predefined=False)
    role = account.add_role("A", ["ROLE_READ"])
    other.add_role("A", ["TAG_READ"])
    if is_real:
        account.slow_down(0.001, real_time=True)
    struck = account.fail(operation, when=when, **fault)
    limits = SILENT if fault["failure"] in UNTIL_LIMIT else LIMITS
    async with tenants(connect, account, other) as (roles, others):
        outcome = await end(CALLS[operation](roles.with_options(timeout=limits), role.id))
        theirs = await end(CALLS[operation](others, role.id))
    assert theirs == ("done" if operation in {"list", "create"} else "NotFoundError")
    return outcome, [role.name for role in account.roles], struck.struck_requests


CHANGES: Final[dict[str, Callable[[Any, Mapping[str, str]], Awaitable[object]]]] = {
    "create": lambda roles, _: roles.create(name="B", permissions=["ROLE_READ"]),
    "update": lambda roles, ids: roles.update(role_id=ids["role"], name="B"),
    "delete": lambda roles, ids: roles.delete(role_id=ids["role"]),
    "role_bindings.create": lambda roles, ids: roles.role_bindings.create(
        role_id=ids["role"],
        user_id=ids["user"],
        resource_type="SPACE",
        resource_id=ids["space"],
    ),
    "role_bindings.update": lambda roles, ids: roles.role_bindings.update(
        binding_id=ids["binding"], role_id=ids["role"]
    ),
    "role_bindings.delete": lambda roles, ids: roles.role_bindings.delete(
        binding_id=ids["binding"]
    ),
}
IN_GUIDE: Final = re.findall(
    r'^\| `fail\("create", "?(\w+)"?(?:, when="(after)")?\)` \| ([^|]+) \| ([^|]+) \|',
    files("arize_roles_fake").joinpath("guide", "failures.md").read_text("utf-8"),
    re.MULTILINE,
)
"""What the guide says of a change: failure, moment, and the ends in process and over HTTP."""


def test_in_guide() -> None:
    """The guide has each failure for which the ends of a change differ."""
    assert {(failure, when or "before") for failure, when, *_ in IN_GUIDE} >= {
        (getattr(failure, "__name__", failure), when) for failure, when in OVER_HTTP
    }


@pytest.mark.parametrize("row", IN_GUIDE)
@pytest.mark.parametrize("operation", sized(["create", "role_bindings.update"], CHANGES))
async def test_change(operation: Any, row: tuple[Any, Any, str, str]) -> None:  # noqa: ANN401
    """Every change ends as the guide's table says, in process and over HTTP."""
    failure, when, *ends = row
    connects: tuple[Connect, Connect] = (in_process, over_http)
    for connect, end_in_guide in zip(connects, ends, strict=True):
        account = FakeAccount(predefined=False)
        bound = account.add_role("Bound", ["ROLE_READ"])
        ids = {
            "role": account.add_role("A", ["ROLE_READ"]).id,
            "binding": account.bind(bound.name, user="eve@example.com", resource="Space:ML").id,
            "user": account.id("ada@example.com"),
            "space": account.id("Space:ML"),
        }
        account.fail(operation, getattr(arize_roles_async, failure, failure), when=when or "before")
        async with connect(account, retry=TWICE) as roles:
            ended = await end(CHANGES[operation](roles.with_options(timeout=SILENT), ids))
        named = "done" if end_in_guide.startswith("nothing") else end_in_guide.strip("`")
        if (named, operation) == ("done", "role_bindings.delete"):
            named = "OutcomeUnknownError"
        assert ended == (failure if named == "that error" else named)


@pytest.mark.parametrize("case", [*cases()][:: sized(7, 1)], ids=named)
async def test_same_result(case: Case) -> None:
    """Each client has the outcome, the roles and the struck requests of the one in process.

    A call ends there in the class of an error that is scripted, before which nothing is done.
    """
    fault, operation, when, _ = case
    failure: object = fault["failure"]
    outcome, roles, fired = await result(in_process, case)
    if isinstance(failure, type):
        assert outcome == failure.__name__
        assert when == "after" or roles == ["A"]
    assert await result(mocked, case) == (outcome, roles, fired)
    if operation in {"create", "update", "delete"}:
        outcome = OVER_HTTP.get((failure, when), outcome)
        if failure is OutcomeUnknownError:
            fired = 2
    assert await result(over_http, case) == (outcome, roles, fired)
