"""What `fail` refuses, and faults as text."""

from typing import Any

import pytest

from arize_roles_async import (
    InvalidResponseError,
    OutcomeUnknownError,
    RolesConnectionError,
    StatusError,
)
from arize_roles_fake import FakeAccount
from tests.support.clients import ask

# None of these faults is meant to strike a call.
pytestmark = pytest.mark.arize_roles(unused_faults="allow")

OPERATION = (
    "operation must be one of list, get, create, update, delete, role_bindings.list, "
    "role_bindings.get, role_bindings.create, role_bindings.update, role_bindings.delete, "
    "users.list, users.get, spaces.list, spaces.get, projects.list, projects.get and any"
)
FAILURE = (
    "failure must be a status of 400 to 599, or of 200 to 599 with body, the class of an error "
    "that an answer leads to, or one of lost, truncated, malformed, undecodable, silent, "
    "refused, unreachable"
)
SURROGATES = "must not contain surrogates, which UTF-8 cannot carry"
NOT_SENT = (
    "means that nothing was sent, so when must be before; 'lost' with when='after' drops the "
    "connection after the account did its work"
)
VERIFIED = (
    "never raises it: after an unreadable answer to a change, a client checks whether the change "
    "was made; 'malformed' scripts such an answer"
)

NO_LIST = "a list is about all roles, so about must not be given"
NO_TIMES = "times must be an integer of 1 or more, not "
NO_DELAY = "retry_after must be 0 or more, or a date as text, not "

# The arguments besides `get` and 403.
IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"operation": "lsit"}, f"{OPERATION}, not 'lsit'"),
    ({"operation": "list", "about": "A"}, NO_LIST),
    ({"operation": "list", "times": 0, "about": "A"}, f"{NO_LIST}; {NO_TIMES}0"),
    (
        {"operation": "create", "about": "Um9sZTo0OmphYmU="},
        "about must be a name for create, as the role has no ID yet",
    ),
    ({"about": 5}, "about must be a string, not int"),
    *(({"failure": each}, f"{FAILURE}, not {each}") for each in (399, 600)),
    *(({"failure": each, "body": ""}, f"{FAILURE}, not {each}") for each in (199, 600)),
    ({"failure": int}, f"{FAILURE}, not int"),
    (
        {"operation": "delete", "failure": "malformed"},
        "the answer to a delete has no body, so it cannot be 'malformed'",
    ),
    ({"operation": "create", "failure": InvalidResponseError}, f"create {VERIFIED}"),
    (
        {"operation": "any", "failure": OutcomeUnknownError},
        "any never raises it: only a change has an unknown outcome",
    ),
    ({"times": True}, f"{NO_TIMES}True"),
    ({"skip": -1}, "skip must be an integer of 0 or more, not -1"),
    ({"when": "during"}, "when must be before or after, not 'during'"),
    ({"failure": "refused", "when": "after"}, f"'refused' {NOT_SENT}"),
    ({"failure": RolesConnectionError, "when": "after"}, f"RolesConnectionError {NOT_SENT}"),
    ({"retry_after": 1}, "only a 429 or a 503 has a retry_after, not 403"),
    *(
        ({"failure": 429, "retry_after": seconds}, f"{NO_DELAY}{seconds!r}")
        for seconds in (-1, 1.5, "²", "x\r\nX-Other: y")
    ),
    (
        {"failure": 407},
        "407 is the answer of a proxy, for which a client raises RolesConnectionError",
    ),
    ({"failure": "lost", "body": ""}, "body needs a status as the failure, not 'lost'"),
    ({"body": 5}, "body must be a string, not int"),
    ({"body": "\ud800"}, f"body {SURROGATES}"),
    *(
        (
            {"failure": each, "body": "a"},
            f"an answer with {each} has no body, so body must be empty",
        )
        for each in (204, 205, 304)
    ),
    ({"failure": "lost", "headers": {"X": ""}}, "headers need a status as the failure, not 'lost'"),
    (
        {"headers": {"Content-Length": "1"}},
        "headers must not hold Content-Length, which frames the message",
    ),
    (
        {"headers": {"x-a": "1", "X-A": "2"}},
        "headers must hold each name once, in upper or lower case",
    ),
    ({"headers": [1]}, "headers must be a mapping, not list"),
    ({"headers": {"X A": "b"}}, "headers must have names that HTTP allows, not 'X A'"),
    (
        {"headers": {"X-A": "b\r\nX-B: c"}},
        "headers must have values of printable ASCII, not 'b\\r\\nX-B: c' for X-A",
    ),
    (
        {"failure": 503, "headers": {"retry-after": "1"}, "retry_after": 2},
        "headers hold Retry-After, so retry_after must not be given",
    ),
    ({"failure": StatusError}, "no answer leads to StatusError: give the status, such as 418"),
]


@pytest.mark.parametrize(("arguments", "message"), IMPOSSIBLE)
def test_refused(arguments: dict[str, Any], message: str, account: FakeAccount) -> None:
    """A fault that could never strike is an error when it is scripted."""
    given: dict[str, Any] = {"operation": "get", "failure": 403} | arguments
    with pytest.raises(ValueError, match="cannot be scripted") as caught:
        account.fail(**given)
    assert str(caught.value) == f"this fault cannot be scripted: {message}"
    assert account.unused_faults == ()


def test_unused(account: FakeAccount) -> None:
    """What has struck less often than scripted is listed in the order of the test, in words."""
    fault = account.fail("get", 403)
    assert repr(fault) == "<Fault: get fails with 403, 1 time: struck 0 requests>"
    account.fail("list", 500)
    account.fail("list", 500, times=2)
    account.fail("create", "lost", times=None, skip=3, about="A")
    account.fail("get", 404, body="gone")
    account.fail("delete", 503, times=None)
    account.slow_down(1, operation="update")
    account.slow_down(1, about="A")
    account.slow_down(1)
    account.slow_down(0, operation="list")
    account.shorten_pages(3, 0, 2)
    with account.block("create", about="A"):
        ask(account, "GET /v2/roles", key="")
    asked = (*["GET /v2/roles"] * 2, "GET /v2/users", "DELETE /v2/roles/x")
    assert [ask(account, line).status for line in asked] == [500, 500, 200, 503]
    by_name = "(a look-up by a name is a list)"
    assert account.unused_faults == (
        f"get fails with 403, 1 time: struck 0 requests {by_name}",
        "list fails with 500, 2 times: struck 1 request",
        "create fails with lost, every time after 3 calls, about 'A': struck 0 requests",
        f"get fails with 404 and a body, 1 time: struck 0 requests {by_name}",
        "slow_down of 'update': no call was delayed",
        "slow_down of 'any', about='A': no call was delayed",
        "shorten_pages(0, 2): asked for no further page",
        "block('create', about='A'): no call was kept open",
    )
    account.clear_faults()
    assert not account.unused_faults
