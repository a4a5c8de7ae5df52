"""`HttpRolesClient`, over transports of a test's own."""

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    ArizeClient,
    ClientStateError,
    InvalidResponseError,
    OutcomeUnknownError,
    RolesConnectionError,
    RolesError,
    ServerError,
    Timeouts,
)
from arize_roles_async.transport import HttpRolesClient, HttpTransport, Response
from arize_roles_fake import make_role
from tests.support.clients import ONCE, SOON, use
from tests.support.event_loop import settle, until

KEY = "a-secret-key"
ID = "Um9sZToxOmFiYw=="


class Unreadable:
    def __repr__(self) -> str:
        raise LookupError


class UnreadableError(Exception):
    """An error of other code, whose text cannot be read."""

    def __str__(self) -> str:
        raise LookupError


def answering(answer: object) -> Mock:
    """Return a transport that answers as an async function, a list or an error says."""
    return Mock(HttpTransport, send=AsyncMock(side_effect=answer))


def calls(transport: Mock) -> list[str]:
    return [name for name, _, _ in transport.mock_calls]


async def answer_role(*_: object) -> Response:
    body = make_role(id=ID).to_json().encode()
    return Response(status=200, headers={"Content-Type": "application/json"}, body=body)


@pytest.mark.parametrize("name", ["open", "send", "aclose"])
def test_incomplete(name: str) -> None:
    """A transport that lacks a method is refused at once."""
    others = dict.fromkeys({"open", "send", "aclose"} - {name})
    with pytest.raises(TypeError, match=name):
        type("Incomplete", (HttpTransport,), others)()


class TestRequest:
    async def test_complete(self) -> None:
        """A request comes to the transport complete: with its key, its type and its limits.

        One that is sent again says how often it was.
        """
        role = await answer_role()
        busy = Response(status=503, headers={}, body=b"")
        transport = answering([role, busy, role])
        timeouts = Timeouts(total=9.0, connect=1.0, read=2.0)
        async with HttpRolesClient(transport, KEY, timeout=timeouts, retry=SOON) as roles:
            await roles.update(role_id=ID, description="Changed.")
            await roles.get(role_id=ID)
        requests, timeouts_of = zip(*(each.args for each in transport.send.mock_calls), strict=True)
        first = requests[0]
        assert (first.method, first.target) == ("PATCH", "/v2/roles/Um9sZToxOmFiYw%3D%3D")
        assert first.body == b'{"description":"Changed."}'
        key = {"Authorization": "Bearer a-secret-key"}
        more = [{"Content-Type": "application/json"}, {}, {"sdk-retry-count": "1"}]
        assert [each.headers for each in requests] == [{**key, **each} for each in more]
        assert timeouts_of == (timeouts,) * 3

    @pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
    async def test_headers(self, change: Callable[[str], str]) -> None:
        """The names of an answer's headers are read in any case."""
        given = {"Content-Type": "text/html", "Retry-After": "7", "X-Request-ID": "r1"}
        headers = {change(name): value for name, value in given.items()}
        answers = [Response(status=status, headers=headers, body=b"{}") for status in (503, 200)]
        async with HttpRolesClient(answering(answers), KEY, retry=ONCE) as roles:
            with pytest.raises(ServerError) as caught:
                await roles.get(role_id=ID)
            assert (caught.value.retry_after, caught.value.request_id) == (7.0, "r1")
            with pytest.raises(InvalidResponseError, match="its type is 'text/html', not JSON"):
                await roles.get(role_id=ID)


class TestFailure:
    @pytest.mark.parametrize(
        ("method", "error"), [("get", RolesConnectionError), ("delete", OutcomeUnknownError)]
    )
    async def test_other_exception(self, method: str, error: type[RolesError]) -> None:
        """Any other exception of the transport's is a broken connection after the request.

        The cause is text: what was raised, and where, without frames and what they hold.
        """

        async def fail(*_: object) -> Response:
            raise LookupError(f"refused Bearer {KEY}")

        transport = answering(fail)
        async with HttpRolesClient(transport, KEY, retry=ONCE) as roles:
            with pytest.raises(error) as caught:
                await getattr(roles, method)(role_id=ID)
            # An error of ours counts as it says: of this change, nothing was sent.
            transport.send.side_effect = ours = RolesConnectionError("no connection")
            ours.add_note(KEY)
            with pytest.raises(RolesConnectionError, match=r"^no connection$"):
                await getattr(roles, method)(role_id=ID)
            assert not hasattr(ours, "__notes__")
        failure = caught.value if method == "get" else caught.value.__cause__
        assert isinstance(failure, RolesConnectionError)
        assert failure.sent
        why = "LookupError: refused Bearer [API key]"
        assert str(failure).endswith(f": the transport raised {why}")
        cause = failure.__cause__
        assert isinstance(cause, RolesError)
        assert (str(cause), cause.__traceback__) == (why, None)
        (where,) = cause.__notes__
        assert re.findall(r", in (\w+)$", where, re.MULTILINE)[-1:] == ["fail"]

    @pytest.mark.parametrize(
        "answer",
        [None, b"{}", {"status": 200}, Response(status=200, headers=cast("Any", 5), body=b"{}")],
    )
    async def test_no_response(self, answer: Any) -> None:  # noqa: ANN401
        """What is no response is a broken connection, and the error says what is expected."""
        transport = answering([answer] * 2)
        async with HttpRolesClient(transport, KEY, retry=ONCE) as roles:
            with pytest.raises(RolesConnectionError) as caught:
                await roles.get(role_id=ID)
            with pytest.raises(OutcomeUnknownError):
                await roles.delete(role_id=ID)
        assert caught.value.sent
        assert isinstance(answer, Response) or "must return a Response, not " in str(caught.value)
        assert str(caught.value.__cause__).startswith("TypeError: ")

    @pytest.mark.parametrize("door", ["key", "transport", "middleware"])
    async def test_broken_text(self, door: str) -> None:
        """An error of other code without a readable text ends in ours, with its cause."""

        async def fail(*_: object) -> Any:  # noqa: ANN401
            raise UnreadableError(Unreadable())

        session = aiohttp.ClientSession(middlewares=(fail,))
        clients: dict[str, Callable[[], ArizeClient]] = {
            "key": lambda: HttpRolesClient(answering(answer_role), fail, retry=ONCE),
            "transport": lambda: HttpRolesClient(answering(fail), KEY, retry=ONCE),
            "middleware": lambda: AiohttpRolesClient(KEY, session=session, retry=ONCE),
        }
        async with session, clients[door]() as roles:
            with pytest.raises(RolesError, match="UnreadableError") as caught:
                await roles.get(role_id=ID)
        cause = caught.value.__cause__
        assert isinstance(cause, UnreadableError) or "UnreadableError: <" in str(cause)


class TestClient:
    async def test_forked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a fork under a running event loop, the child's error names the fork."""

        async def get() -> None:
            await roles.get(role_id=ID)

        async with HttpRolesClient(answering(answer_role), KEY) as roles:
            await get()
            monkeypatch.setattr(os, "getpid", lambda: 1)
            with pytest.raises(ClientStateError) as caught:
                await asyncio.to_thread(asyncio.run, get())
        assert str(caught.value) == (
            "the client belongs to the process that forked this one, and to its event loop; make "
            "a client after the fork"
        )

    async def test_closed(self) -> None:
        """A closed client sends nothing, and its transport is closed once."""
        transport = answering(answer_role)
        roles = HttpRolesClient(transport, KEY)
        await roles.aclose()
        await roles.aclose()
        with pytest.raises(ClientStateError):
            await roles.get(role_id=ID)
        assert calls(transport) == ["open", "aclose"]

    @pytest.mark.parametrize("is_cancelled", [False, True])
    async def test_close_at_once(self, *, is_cancelled: bool) -> None:
        """A close that waits closes the transport at once if it is cancelled, or another begins."""
        transport = answering(AsyncMock(side_effect=asyncio.Event().wait))
        roles = HttpRolesClient(transport, KEY, timeout=None)
        call = asyncio.create_task(use(roles))
        await until(lambda: transport.send.called)
        closing = asyncio.create_task(roles.aclose(grace=9.0))
        await settle()
        if is_cancelled:
            closing.cancel()
        else:
            await roles.aclose()
        await asyncio.wait([call, closing], timeout=5.0)
        assert calls(transport) == ["open", "send", "aclose"]

    @pytest.mark.parametrize("is_own", [False, True])
    async def test_closed_by_call(self, *, is_own: bool) -> None:
        """A call that closes its client, as its function for the key may do, sends nothing."""

        async def close() -> str:
            await roles.aclose()
            return KEY

        transport = answering(answer_role)
        roles = HttpRolesClient(transport, close) if is_own else AiohttpRolesClient(close)
        with pytest.raises(ClientStateError, match=r"^the client is closed$"):
            await roles.list()
        assert calls(transport) == ["open", "aclose"] * is_own
