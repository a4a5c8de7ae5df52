"""`HttpRolesClient`, over transports of a test's own."""

import asyncio
import json
import os
import traceback
from collections.abc import Awaitable, Callable

import anyio
import msgspec
import pytest

from arize_roles_async import (
    ClientStateError,
    ConfigurationError,
    OutcomeUnknownError,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    RolesTimeoutError,
    ServerError,
    Timeouts,
    ValidationError,
)
from arize_roles_async.transport import (
    CreateRole,
    HttpRolesClient,
    HttpTransport,
    ListRoles,
    Request,
    Response,
    UpdateRole,
    is_role_id,
    normalize_permissions,
)

KEY = "a-secret-key"
ONCE = RetryPolicy(attempts=1)

pytestmark = pytest.mark.asyncio


class ScriptedTransport(HttpTransport):
    """Answers as a function of the test's does."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer
        self.calls: list[str] = []
        self.requests: list[Request] = []
        self.timeouts: list[Timeouts] = []

    def open(self) -> None:
        self.calls.append("open")

    async def send(self, request: Request, timeouts: Timeouts) -> Response:
        self.calls.append("send")
        self.requests.append(request)
        self.timeouts.append(timeouts)
        return await self._answer(request)

    async def aclose(self) -> None:
        self.calls.append("aclose")


async def answer_role(request: Request) -> Response:
    del request
    role = {
        "id": "Um9sZToxOmFiYw==",
        "name": "AI Engineer",
        "permissions": ["PROJECT_READ"],
        "is_predefined": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    body = json.dumps(role).encode()
    return Response(status=200, headers={"Content-Type": "application/json"}, body=body)


async def answer_never(request: Request) -> Response:
    del request
    await anyio.sleep_forever()
    raise AssertionError


class TestRequest:
    async def test_headers(self) -> None:
        """A request comes to the transport complete, with its key and the type of its body."""
        transport = ScriptedTransport(answer_role)
        async with HttpRolesClient(transport, KEY) as roles:
            await roles.update(role_id="Um9sZToxOmFiYw==", description="Changed.")
        (request,) = transport.requests
        assert (request.method, request.target) == ("PATCH", "/v2/roles/Um9sZToxOmFiYw%3D%3D")
        assert request.body == b'{"description":"Changed."}'
        assert request.headers["Authorization"] == "Bearer a-secret-key"
        assert request.headers["Content-Type"] == "application/json"

    async def test_without_body(self) -> None:
        """A request without a body has no type for one."""
        transport = ScriptedTransport(answer_role)
        async with HttpRolesClient(transport, KEY) as roles:
            await roles.get(role_id="Um9sZToxOmFiYw==")
        assert "Content-Type" not in transport.requests[0].headers

    async def test_limits(self) -> None:
        """The transport has the limits for connecting and for silence."""
        transport = ScriptedTransport(answer_role)
        timeouts = Timeouts(total=9.0, connect=1.0, read=2.0)
        async with HttpRolesClient(transport, KEY, timeout=timeouts) as roles:
            await roles.get(role_id="Um9sZToxOmFiYw==")
        assert transport.timeouts == [timeouts]

    async def test_key_not_shown(self) -> None:
        """An answer that echoes the key is quoted without it."""

        async def echo(request: Request) -> Response:
            return Response(
                status=500, headers={}, body=f"not {request.headers['Authorization']}".encode()
            )

        async with HttpRolesClient(ScriptedTransport(echo), KEY, retry=ONCE) as roles:
            with pytest.raises(ServerError, match="not Bearer ") as caught:
                await roles.get(role_id="Um9sZToxOmFiYw==")
        assert KEY not in str(caught.value)


class TestLimit:
    async def test_read(self) -> None:
        """A read whose time is up is a `RolesTimeoutError`."""
        async with HttpRolesClient(ScriptedTransport(answer_never), KEY, timeout=0.01) as roles:
            with pytest.raises(RolesTimeoutError) as caught:
                await roles.list()
        assert (caught.value.limit, caught.value.seconds, caught.value.sent) == (
            "total",
            0.01,
            True,
        )

    async def test_change(self) -> None:
        """A change whose time is up may have been made."""
        async with HttpRolesClient(ScriptedTransport(answer_never), KEY, timeout=0.01) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.delete(role_id="Um9sZToxOmFiYw==")
        assert isinstance(caught.value.__cause__, RolesTimeoutError)

    async def test_cancelled(self) -> None:
        """A cancellation by the caller is no limit."""
        async with HttpRolesClient(ScriptedTransport(answer_never), KEY) as roles:
            with anyio.move_on_after(0.01) as scope:
                await roles.list()
        assert scope.cancelled_caught


class TestFailure:
    async def test_tried_again(self) -> None:
        """A failure of the transport's is tried again after a wait."""
        failures = [RolesConnectionError("no connection")]

        async def answer(request: Request) -> Response:
            if failures:
                raise failures.pop()
            return await answer_role(request)

        transport = ScriptedTransport(answer)
        async with HttpRolesClient(transport, KEY) as roles:
            assert (await roles.get(role_id="Um9sZToxOmFiYw==")).name == "AI Engineer"
        assert transport.calls == ["open", "send", "send", "aclose"]

    @pytest.mark.parametrize(
        ("sent", "error"), [(False, RolesConnectionError), (True, OutcomeUnknownError)]
    )
    async def test_sent(self, sent: bool, error: type[Exception]) -> None:  # noqa: FBT001
        """A failed change may have been made unless the transport says that it was not sent."""

        async def fail(request: Request) -> Response:
            del request
            raise RolesConnectionError("it broke", sent=sent)

        async with HttpRolesClient(ScriptedTransport(fail), KEY, retry=ONCE) as roles:
            with pytest.raises(error):
                await roles.delete(role_id="Um9sZToxOmFiYw==")

    @pytest.mark.parametrize(
        ("method", "error"), [("get", RolesConnectionError), ("delete", OutcomeUnknownError)]
    )
    async def test_other_exception(self, method: str, error: type[RolesError]) -> None:
        """Any other exception of the transport's is a broken connection after the request."""

        async def fail(request: Request) -> Response:
            del request
            raise LookupError("an odd answer")

        async with HttpRolesClient(ScriptedTransport(fail), KEY, retry=ONCE) as roles:
            with pytest.raises(error) as caught:
                await getattr(roles, method)(role_id="Um9sZToxOmFiYw==")
        failure = caught.value if method == "get" else caught.value.__cause__
        assert str(failure).endswith(": the transport raised LookupError: an odd answer")
        assert isinstance(failure, RolesConnectionError)
        assert failure.sent
        assert isinstance(failure.__cause__, LookupError)
        frames = traceback.extract_tb(failure.__cause__.__traceback__)
        assert [each.name for each in frames] == ["send", "fail"]


class TestClient:
    async def test_other_loop(self) -> None:
        """It serves one event loop for as long as that is open."""

        async def get() -> None:
            await roles.get(role_id="Um9sZToxOmFiYw==")

        async with HttpRolesClient(ScriptedTransport(answer_role), KEY) as roles:
            with pytest.raises(ClientStateError, match="another event loop that is still open"):
                await asyncio.to_thread(asyncio.run, get())

    async def test_other_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a process that was forked from its own, it says so."""

        async def get() -> None:
            await roles.get(role_id="Um9sZToxOmFiYw==")

        async with HttpRolesClient(ScriptedTransport(answer_role), KEY) as roles:
            await get()
            monkeypatch.setattr(os, "getpid", lambda: 1)
            with pytest.raises(ClientStateError, match="the process that forked this one"):
                await asyncio.to_thread(asyncio.run, get())

    async def test_concurrency(self) -> None:
        """No more requests are under way than are allowed; the others wait."""
        under_way = most = 0

        async def answer(request: Request) -> Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1
            return await answer_role(request)

        roles = HttpRolesClient(ScriptedTransport(answer), KEY, max_concurrency=2)
        async with roles, anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(lambda: roles.get(role_id="Um9sZToxOmFiYw=="))
        assert most == 2

    async def test_closed(self) -> None:
        """A closed client sends nothing, and its transport is closed once."""
        transport = ScriptedTransport(answer_role)
        roles = HttpRolesClient(transport, KEY)
        await roles.aclose()
        await roles.aclose()
        with pytest.raises(ClientStateError):
            await roles.get(role_id="Um9sZToxOmFiYw==")
        assert transport.calls == ["open", "aclose"]

    async def test_grace(self) -> None:
        """Calls under way may end in the grace of `aclose`, and new ones are refused."""
        asked, answered = asyncio.Event(), asyncio.Event()

        async def answer(request: Request) -> Response:
            asked.set()
            await answered.wait()
            return await answer_role(request)

        transport = ScriptedTransport(answer)
        roles = HttpRolesClient(transport, KEY)
        call = asyncio.create_task(roles.get(role_id="Um9sZToxOmFiYw=="))
        await asked.wait()
        closing = asyncio.create_task(roles.aclose(grace=60.0))
        await asyncio.sleep(0)
        with pytest.raises(ClientStateError):
            await roles.list()
        answered.set()
        await closing
        assert call.done()
        assert (await call).name == "AI Engineer"
        assert transport.calls == ["open", "send", "aclose"]

    async def test_grace_over(self) -> None:
        """Then they end, and without a grace at once."""
        for grace in (0.0, 0.01):
            roles = HttpRolesClient(ScriptedTransport(answer_never), KEY)
            get = asyncio.create_task(roles.get(role_id="Um9sZToxOmFiYw=="))
            delete = asyncio.create_task(roles.delete(role_id="Um9sZToxOmFiYw=="))
            await asyncio.sleep(0)
            await roles.aclose(grace=grace)
            with pytest.raises(ClientStateError, match=r"^the client is closed$"):
                await get
            with pytest.raises(OutcomeUnknownError):
                await delete

    async def test_closed_by_call(self) -> None:
        """A call that closes its client, as its function for the key may do, sends nothing."""

        async def close() -> str:
            await roles.aclose()
            return KEY

        transport = ScriptedTransport(answer_role)
        roles = HttpRolesClient(transport, close)
        with pytest.raises(ClientStateError, match=r"^the client is closed$"):
            await roles.list()
        assert transport.calls == ["open", "aclose"]

    async def test_bad_key(self) -> None:
        """A key that no header can carry is refused, and not shown."""
        with pytest.raises(ConfigurationError) as caught:
            HttpRolesClient(ScriptedTransport(answer_role), "two words")
        assert str(caught.value) == "the API key must be printable ASCII without spaces"


class TestRules:
    """The request objects, for clients that send no HTTP."""

    async def test_create(self) -> None:
        """A `CreateRole` has the fields of a body, or raises with every rule that is broken."""
        role = CreateRole(name="A", permissions=normalize_permissions(["ROLE_READ", "ROLE_READ"]))
        assert msgspec.json.encode(role) == b'{"name":"A","permissions":["ROLE_READ"]}'
        with pytest.raises(ValidationError) as caught:
            CreateRole(name="", permissions=())
        assert [each.field for each in caught.value.violations] == ["name", "permissions"]

    async def test_update(self) -> None:
        """An `UpdateRole` holds what is to change."""
        assert msgspec.json.encode(UpdateRole(description=None)) == b'{"description":null}'
        with pytest.raises(ValidationError):
            UpdateRole()

    async def test_list(self) -> None:
        """A `ListRoles` is one page."""
        assert ListRoles().limit == 50
        with pytest.raises(ValidationError):
            ListRoles(limit=101)

    async def test_role_id(self) -> None:
        """An ID is distinguished from a name by its form."""
        assert is_role_id("Um9sZToxOmFiYw==")
        assert not is_role_id("AI Engineer")
