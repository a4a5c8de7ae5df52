"""Errors by themselves: made by hand, copied, pickled; bounded lines, and their words."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import arize_roles_async
import arize_roles_fake
from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesError,
    RolesTimeoutError,
    StatusError,
    ValidationError,
    Violation,
)
from arize_roles_fake import FakeRolesClient
from tests.support.sizes import sized

ERRORS = [
    value
    for value in (getattr(arize_roles_async, name) for name in arize_roles_async.__all__)
    if isinstance(value, type) and issubclass(value, RolesError)
]
TEXTS = st.text(st.characters(exclude_categories=()))
STATUSES = {
    "StatusError": 0,
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "ForbiddenError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "ServerError": 500,
}


def test_status() -> None:
    """An error made by hand has the status of its class, unless another is given."""
    errors = [each for each in ERRORS if issubclass(each, StatusError)]
    assert {each.__name__: each("x").status for each in errors} == STATUSES
    assert {each("x", status=418).status for each in errors} == {418}


class TestMessage:
    """Every message is one line of a bounded length, whatever it quotes."""

    def test_of_nothing(self) -> None:
        """An error can be made of nothing, and says nothing then."""
        assert {error_class().args for error_class in ERRORS} == {("",)}

    def test_longest(self) -> None:
        """It has at most 1,500 characters; the limit that ran out follows any message."""
        for error_class in (RolesError, ValidationError):
            assert str(error_class("m" * 1500)) == "m" * 1500
            assert str(error_class("m" * 1501)) == "m" * 1499 + "…"
        error = RolesTimeoutError("m" * 1501, seconds=5.0, attempts=2)
        assert len(str(error)) == 1500
        assert str(error).endswith("mmm… (total limit of 5 s, 2 attempts)")

    @settings(max_examples=sized(50, 1_000))
    @given(st.sampled_from(ERRORS), TEXTS, st.sampled_from([1, 2000]))
    @example(RolesError, "\x1b[31m\n\u2028\u202e\x9b\ud800\u200b", 1_000_000)
    def test_any(self, error_class: type[RolesError], message: str, times: int) -> None:
        """It is printable and bounded."""
        error = error_class(message * times)
        assert str(error).isprintable()
        assert len(str(error)) <= 1500

    @pytest.mark.parametrize(("number", "rest"), [(10, ""), (11, "; and 1 more")])
    def test_violations(self, number: int, rest: str) -> None:
        """Of many violations the message has the first ten, and the number of the others."""
        violations = tuple(Violation(f"field{n}", "is required") for n in range(number))
        error = ValidationError(violations=violations)
        first = "; ".join(f"field{n}: is required" for n in range(10))
        assert str(error) == first + rest
        assert error.violations == violations


def test_repr() -> None:
    """A client's repr names the service, and shows no key, also before it is set up."""
    client = AiohttpRolesClient("key", region="eu-west-1a")
    assert repr(client) == "AiohttpRolesClient(base_url='https://api.eu-west-1a.arize.com')"
    assert repr(AiohttpRolesClient.__new__(AiohttpRolesClient)) == "AiohttpRolesClient(base_url='')"


@pytest.mark.parametrize("package", [arize_roles_async, arize_roles_fake])
def test_no_attribute(package: Any) -> None:  # noqa: ANN401 - a module
    """The error for a missing name is that of any module."""
    with pytest.raises(AttributeError, match=f"^module {package.__name__!r} has no attribute 'No'"):
        package.No  # noqa: B018


async def test_request_id() -> None:
    """The ID is that of the answer to the request itself, and not of the one that verifies it."""
    roles = FakeRolesClient(retry=RetryPolicy(attempts=1))
    role = roles.account.add_role("Before")
    other = json.dumps({**role.to_dict(), "id": "Um9sZTo5OmFCY0Q="})
    pages: dict[Any, str] = {"get": "<p>", "create": "<p>", "list": "<p>", "update": other}
    for operation, page in pages.items():
        headers = {"Content-Type": "application/json", "X-Request-Id": f"of {operation}"}
        roles.account.fail(operation, 200, body=page, headers=headers)
    calls = (
        roles.get(role_id=role.id),
        roles.create(name="A", permissions=["ROLE_READ"]),
        roles.update(role_id=role.id, description="New"),
    )
    errors: list[Any] = [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
    kinds = [InvalidResponseError, OutcomeUnknownError, OutcomeUnknownError]
    assert [type(error) for error in errors] == kinds
    ids = [error.request_id for error in (*errors, errors[1].__cause__)]
    assert ids == ["of get", "of create", "of update", "of list"]
