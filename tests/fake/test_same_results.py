"""A fault gives the same result in process, under `mock_arize` and over HTTP."""

import itertools
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any, Final, get_args

import pytest

import arize_roles_async
from arize_roles_async import (
    OutcomeUnknownError,
    RetryPolicy,
    RolesError,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_fake import FakeAccount
from arize_roles_fake._testing.fault_rules import Breakage, When
from tests.support.clients import ONCE, Connect, account_at_noon, in_process, mocked, over_http
from tests.support.sizes import sized

pytestmark = pytest.mark.usefixtures("unmeasured")

Fault = dict[str, Any]
Case = tuple[Fault, Any, When, bool]

TWICE: Final = RetryPolicy(attempts=2, backoff=0.01)
# A busy machine takes seconds to answer. These faults end by the limit, mostly without an answer.
LIMITS: Final = Timeouts(connect=10.0, read=10.0)
UNTIL_LIMIT: Final = {
    "silent": Timeouts(connect=10.0, read=0.5),
    "unreachable": Timeouts(connect=0.05, read=0.05),
    RolesTimeoutError: Timeouts(connect=0.25, read=0.05),
}

STATUSES: Final = (400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503)
CLASSES: Final = [getattr(arize_roles_async, each) for each in arize_roles_async.__all__]
FAULTS: Final[list[Fault]] = [
    *({"failure": each} for each in (*STATUSES, *get_args(Breakage), *CLASSES)),
    *({"failure": each, "body": "<html>"} for each in (200, 302, *STATUSES)),
]

CALLS: Final[dict[Any, Callable[[Any, Mapping[str, str]], Awaitable[object]]]] = {
    "list": lambda roles, _: roles.list(),
    "get": lambda roles, ids: roles.get(role_id=ids["role"]),
    "create": lambda roles, _: roles.create(name="B", permissions=["ROLE_READ"]),
    "update": lambda roles, ids: roles.update(role_id=ids["role"], name="B"),
    "delete": lambda roles, ids: roles.delete(role_id=ids["role"]),
    "role_bindings.create": lambda roles, ids: roles.role_bindings.create(
        role_id=ids["role"], user_id=ids["user"], resource_type="SPACE", resource_id=ids["space"]
    ),
    "role_bindings.update": lambda roles, ids: roles.role_bindings.update(
        binding_id=ids["binding"], role_id=ids["role"]
    ),
    "role_bindings.delete": lambda roles, ids: roles.role_bindings.delete(
        binding_id=ids["binding"]
    ),
}
GUIDE: Final = files("arize_roles_fake").joinpath("guide", "failures.md").read_text("utf-8")
IN_GUIDE: Final = {
    (failure, when or "before"): ends
    for failure, when, *ends in re.findall(
        r'^\| `fail\("create", "?(\w+)"?(?:, when="(after)")?\)` \| ([^|]+) \| ([^|]+) \|',
        GUIDE,
        re.MULTILINE,
    )
}
"""What the guide says of a change: by failure and moment, its ends in process and over HTTP."""
READS: Final = dict(re.findall(r'^\| `"(\w+)"` \|[^|]+\| `(\w+)` \|', GUIDE, re.MULTILINE))
"""The error that a read raises, as the guide says."""
GUIDED: Final = {
    *(("create", when, failure) for failure, when in IN_GUIDE),
    *(("get", "before", failure) for failure in get_args(Breakage)),
}


def name_of(fault: Fault) -> str:
    return str(getattr(fault["failure"], "__name__", fault["failure"]))


def cases() -> Iterator[Case]:
    """Yield each fault that can be scripted, as it is and with real latency."""
    for fault, operation, when in itertools.product(FAULTS, CALLS, get_args(When)):
        try:
            FakeAccount(predefined=False).fail(operation, when=when, **fault)
        except ValueError:
            continue  # Most classes are no error that an answer leads to.
        yield fault, operation, when, False
        yield fault, operation, when, True


def in_words(text: str, case: Case) -> str:
    """Return the end of a call that the guide's words mean."""
    fault, operation, *_ = case
    if text.startswith("nothing"):
        # Where a second DELETE of a binding is a 404, the key may lack a right.
        return "OutcomeUnknownError" if operation == "role_bindings.delete" else "done"
    return name_of(fault) if text == "that error" else text.strip("`")


async def result(connect: Connect, case: Case) -> tuple[str, list[str], int]:
    """Return the outcome of a call, the roles after it, and the requests that a fault struck."""
    fault, operation, when, is_real = case
    account = account_at_noon()
    role, bound = (account.add_role(name, ["ROLE_READ"]) for name in ("A", "Bound"))
    ids = {
        "role": role.id,
        "binding": account.bind(bound, user="eve@example.com", resource="Space:ML").id,
        "user": account.id("ada@example.com"),
        "space": account.id("Space:ML"),
    }
    if is_real:
        account.slow_down(0.001, real_time=True)
    struck = account.fail(operation, when=when, **fault)
    limits, ended = UNTIL_LIMIT.get(fault["failure"], LIMITS), "done"
    retry = ONCE if operation in {"list", "get"} else TWICE
    if retry is ONCE and fault["failure"] == "silent":
        limits = UNTIL_LIMIT["unreachable"]
    async with connect(account, retry=retry) as roles:
        try:
            await CALLS[operation](roles.with_options(timeout=limits), ids)
        except RolesError as error:
            ended = type(error).__name__
    there = [role.name for role in account.roles]
    return ended, [*there, *(each.role_id for each in account.bindings())], struck.failed_requests


@pytest.mark.parametrize(
    "case",
    [
        case
        for at, case in enumerate(cases())
        if (*case[1:3], name_of(case[0])) in GUIDED or at % sized(19, 1) == 0
    ],
    ids=lambda case: "-".join([name_of(case[0]), *map(str, case[1:])]),
)
async def test_same_result(case: Case) -> None:
    """A call ends and leaves the same everywhere, but for what the guide says of changes."""
    fault, operation, when, _ = case
    ended, left, struck = await result(in_process, case)
    assert await result(mocked, case) == (ended, left, struck)
    if isinstance(fault["failure"], type):
        assert ended == name_of(fault)
        assert when == "after" or left[:2] == ["Bound", "A"]
    if operation in {"list", "get"}:
        assert ended == (READS[name_of(fault)] if isinstance(fault["failure"], str) else ended)
    elif (name_of(fault), when) in IN_GUIDE:
        here, over_server = (in_words(text, case) for text in IN_GUIDE[name_of(fault), when])
        assert ended == here
        ended, struck = over_server, 2 if fault["failure"] is OutcomeUnknownError else struck
    assert await result(over_http, case) == (ended, left, struck)
