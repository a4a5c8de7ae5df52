"""The service's ID of a request, on the errors that its answer led to."""

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    RoleRenamedError,
    RolesConnectionError,
    RolesError,
)
from tests.support.raw_http import scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ONCE = RetryPolicy(attempts=1)


def answer(status: str, request_id: str, body: bytes = b"<html>busy</html>") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def error_of(operation: str, *answers: bytes) -> RolesError:
    """Return the error of a call to a server that gives these answers."""
    async with (
        scripted(*answers) as script,
        AiohttpRolesClient("key", base_url=script.url, retry=ONCE) as roles,
    ):
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "list": lambda: roles.list().all(),
            "get": lambda: roles.get(role_id="Um9sZToxOmFCY0Q="),
            "create": lambda: roles.create(name="A", permissions=["ROLE_READ"]),
            "update": lambda: roles.update(role_id="Um9sZToxOmFCY0Q=", name="A"),
            "delete": lambda: roles.delete(role_id="Um9sZToxOmFCY0Q="),
        }
        with pytest.raises(RolesError) as caught:
            await calls[operation]()
        return caught.value


@pytest.mark.asyncio
class TestRequestId:
    """`request_id`."""

    async def test_renamed(self) -> None:
        """A role that was renamed meanwhile has that of the answer to the update."""
        role = (
            b'{"id": "Um9sZToxOmFCY0Q=", "name": "%s", "permissions": ["ROLE_READ"], '
            b'"is_predefined": false, "created_at": "2026-01-02T03:04:05Z", '
            b'"updated_at": "2026-01-02T03:04:05Z"}'
        )
        page = b'{"roles": [' + role % b"Before" + b'], "pagination": {"has_more": false}}'
        answers = (answer("200 OK", "req-1", page), answer("200 OK", "req-2", role % b"After"))
        async with (
            scripted(*answers) as script,
            AiohttpRolesClient("key", base_url=script.url, retry=ONCE) as roles,
        ):
            with pytest.raises(RoleRenamedError) as caught:
                await roles.update(role="Before", description="New")
        assert caught.value.request_id == "req-2"

    @pytest.mark.parametrize("operation", ["list", "get"])
    async def test_read(self, operation: str) -> None:
        """An invalid answer to a read has its own."""
        error = await error_of(operation, answer("200 OK", "req-1"))

        assert type(error) is InvalidResponseError
        assert error.request_id == "req-1"

    @pytest.mark.parametrize("operation", ["create", "update", "delete"])
    async def test_gateway(self, operation: str) -> None:
        """A change of unknown outcome has that of the last answer to the change."""
        error = await error_of(operation, answer("502 Bad Gateway", "req-1"))

        assert type(error) is OutcomeUnknownError
        assert error.request_id == "req-1"

    @pytest.mark.parametrize(
        ("operation", "status"),
        [("create", "201 Created"), ("update", "200 OK"), ("delete", "200 OK")],
    )
    async def test_read_fails(self, operation: str, status: str) -> None:
        """The answer to the change counts, and not the one that verifies it."""
        answers = answer(status, "req-1"), answer("502 Bad Gateway", "req-2")

        error = await error_of(operation, *answers)

        assert type(error) is OutcomeUnknownError
        assert error.request_id == "req-1"
        assert isinstance(error.__cause__, RolesError)
        assert error.__cause__.request_id == "req-2"

    async def test_no_answer(self) -> None:
        """An error without an answer has none."""
        error = await error_of("list")

        assert type(error) is RolesConnectionError
        assert error.request_id is None

    @pytest.mark.parametrize("kind", [InvalidResponseError, OutcomeUnknownError, NotFoundError])
    async def test_copies(
        self, kind: type[InvalidResponseError | OutcomeUnknownError | NotFoundError]
    ) -> None:
        """Copies and pickles keep it."""
        error = kind("m", request_id="req-1")

        assert copy.copy(error).request_id == "req-1"
        assert pickle.loads(pickle.dumps(error)).request_id == "req-1"  # noqa: S301 - our own
