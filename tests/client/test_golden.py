"""Requests and responses as bytes, written by hand from the service's REST reference."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from platform import python_version
from typing import Any

import aiohttp
import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InvalidResponseError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Permission,
    RateLimitError,
    RetryPolicy,
    Role,
    RolesConnectionError,
    ServerError,
    StatusError,
    UnprocessableEntityError,
)
from arize_roles_fake import FakeAccount, serve
from tests.support.raw_http import Message, Script, connection, read_message, scripted

pytestmark = pytest.mark.asyncio

ROLE_ID = "Um9sZToxOmFCY0Q="
ROLE_PATH = "/v2/roles/Um9sZToxOmFCY0Q%3D"

ROLE = b"""{
  "id": "Um9sZToxOmFCY0Q=",
  "name": "AI Engineer",
  "description": "Looks at projects.",
  "permissions": ["PROJECT_READ", "DATASET_READ"],
  "is_predefined": false,
  "created_at": "2026-11-24T08:30:00Z",
  "updated_at": "2026-11-24T09:45:30.5+01:00"
}"""
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(
    body: bytes, status: str = "200 OK", kind: str = "application/json", *headers: str
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def problem(status: str, body: bytes, *headers: str) -> bytes:
    return answer(body, status, "application/problem+json", *headers)


def role(number: int, name: str) -> bytes:
    return (
        b'{"id":"id%d","name":"%s","permissions":["ROLE_READ"],"is_predefined":false,'
        b'"created_at":"2026-11-24T08:30:00Z","updated_at":"2026-11-24T08:30:00Z"}'
    ) % (number, name.encode())


def page(*roles: bytes, cursor: bytes | None = None) -> bytes:
    more = (
        b'{"has_more":false}'
        if cursor is None
        else b'{"has_more":true,"next_cursor":"%s"}' % cursor
    )
    return answer(b'{"roles":[%s],"pagination":%s}' % (b",".join(roles), more))


@asynccontextmanager
async def client(*answers: bytes | None) -> AsyncGenerator[tuple[AiohttpRolesClient, Script]]:
    """The real client, with one attempt a call, and the answers that await it."""
    async with (
        scripted(*answers) as script,
        AiohttpRolesClient(
            "KEY-123456", base_url=script.url, retry=RetryPolicy(attempts=1)
        ) as roles,
    ):
        yield roles, script


def named(name: str) -> bytes:
    return json.dumps({**json.loads(ROLE), "name": name}).encode()


class TestRequests:
    """Requests, byte by byte."""

    async def test_headers(self) -> None:
        """Every request says who asks."""
        async with client(page()) as (roles, script):
            await roles.list()
        (request,) = script.requests
        assert request.headers == {
            "host": script.url.removeprefix("http://"),
            "authorization": "Bearer KEY-123456",
            "accept": "application/json, application/problem+json",
            "accept-encoding": request.headers["accept-encoding"],
            "user-agent": f"arize-roles-async/{version('arize-roles-async')} "
            f"aiohttp/{version('aiohttp')}",
            "sdk-language": "python",
            "sdk-package-name": "arize-roles-async",
            "sdk-version": version("arize-roles-async"),
            "language-version": python_version(),
        }

    async def test_own_user_agent(self) -> None:
        """`headers` replaces the client's `User-Agent`."""
        async with (
            scripted(page()) as script,
            AiohttpRolesClient(
                "KEY-123456", base_url=script.url, headers={"user-agent": "mine/1"}
            ) as roles,
        ):
            await roles.list()
        assert script.requests[0].headers["user-agent"] == "mine/1"

    @pytest.mark.parametrize(
        ("own", "sent"),
        [({}, "arize-roles-async/"), ({"user-agent": "mine/1"}, "mine/1")],
    )
    async def test_session_user_agent(self, own: dict[str, str], sent: str) -> None:
        """A lent session's own `User-Agent` stays."""
        async with (
            scripted(page()) as script,
            aiohttp.ClientSession(headers=own) as session,
            AiohttpRolesClient("KEY-123456", base_url=script.url, session=session) as roles,
        ):
            await roles.list()
        assert script.requests[0].headers["user-agent"].startswith(sent)

    async def test_base_path(self) -> None:
        """A path in `base_url` goes in front of `/v2`."""
        async with (
            scripted(page()) as script,
            AiohttpRolesClient("KEY-123456", base_url=f"{script.url}/gate/a%20b/") as roles,
        ):
            await roles.list()
        assert script.lines == ["GET /gate/a%20b/v2/roles?limit=50"]

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    async def test_proxy_variables(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The usual variables for a proxy are ignored."""
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with client(page()) as (roles, script):
            await roles.list()
        assert len(script.requests) == 1

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ({}, "GET /v2/roles?limit=50"),
            ({"limit": 1}, "GET /v2/roles?limit=1"),
            ({"limit": 100, "is_predefined": True}, "GET /v2/roles?limit=100&is_predefined=true"),
            ({"is_predefined": False}, "GET /v2/roles?limit=50&is_predefined=false"),
            ({"cursor": "a/b+c=&d é"}, "GET /v2/roles?limit=50&cursor=a%2Fb%2Bc%3D%26d%20%C3%A9"),
        ],
    )
    async def test_list(self, arguments: dict[str, Any], line: str) -> None:
        """`list` sends its arguments as a query."""
        async with client(page()) as (roles, script):
            await roles.list(**arguments)
        assert script.lines == [line]
        assert script.requests[0].body == b""

    async def test_create(self) -> None:
        """`create` sends a JSON body."""
        async with client(answer(named('A "B" \\ C'), "201 Created")) as (roles, script):
            await roles.create(
                name='A "B" \\ C',
                permissions=[Permission.PROJECT_READ, "DATASET_READ", "PROJECT_READ"],
                description="Größe 😀",
            )
        (request,) = script.requests
        assert request.start == "POST /v2/roles HTTP/1.1"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == "Bearer KEY-123456"
        assert (
            request.body
            == (
                '{"name":"A \\"B\\" \\\\ C","permissions":["PROJECT_READ","DATASET_READ"],'
                '"description":"Größe 😀"}'
            ).encode()
        )

    async def test_no_description(self) -> None:
        """`create` leaves out a description of None."""
        async with client(answer(named("A"), "201 Created")) as (roles, script):
            await roles.create(name="A", permissions=["ROLE_READ"])
        assert script.requests[0].body == b'{"name":"A","permissions":["ROLE_READ"]}'

    async def test_empty_description(self) -> None:
        """`create` sends an empty description that it is given."""
        async with client(answer(named("A"), "201 Created")) as (roles, script):
            await roles.create(name="A", permissions=["ROLE_READ"], description="")
        assert (
            script.requests[0].body == b'{"name":"A","permissions":["ROLE_READ"],"description":""}'
        )

    @pytest.mark.parametrize(
        ("role_id", "segment"),
        [
            (ROLE_ID, "Um9sZToxOmFCY0Q%3D"),
            ("a+b/c==", "a%2Bb%2Fc%3D%3D"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("../roles", "..%2Froles"),
            ("a?b#c&d", "a%3Fb%23c%26d"),
            ("%2F", "%252F"),
            ("a b\r\n", "a%20b%0D%0A"),
            ("é", "%C3%A9"),
        ],
    )
    async def test_id_in_path(self, role_id: str, segment: str) -> None:
        """An ID is one segment of the path, whatever it holds."""
        body = json.dumps({**json.loads(ROLE), "id": role_id}).encode()
        async with client(answer(body), answer(body), NO_CONTENT) as (roles, script):
            await roles.get(role_id=role_id)
            await roles.update(role_id=role_id, name="A")
            await roles.delete(role_id=role_id)
        assert script.lines == [
            f"GET /v2/roles/{segment}",
            f"PATCH /v2/roles/{segment}",
            f"DELETE /v2/roles/{segment}",
        ]

    async def test_no_body(self) -> None:
        """`get` and `delete` send no body."""
        async with client(answer(ROLE), NO_CONTENT) as (roles, script):
            await roles.get(role_id=ROLE_ID)
            await roles.delete(role_id=ROLE_ID)
        for request in script.requests:
            assert "content-type" not in request.headers
            assert request.headers.get("content-length", "0") == "0"
            assert "transfer-encoding" not in request.headers

    @pytest.mark.parametrize(
        ("arguments", "body"),
        [
            ({"name": "B"}, b'{"name":"B"}'),
            ({"name": None, "description": "D", "permissions": None}, b'{"description":"D"}'),
            ({"description": None}, b'{"description":null}'),
            ({"description": ""}, b'{"description":""}'),
            (
                {"permissions": ("ROLE_READ", "TAG_READ")},
                b'{"permissions":["ROLE_READ","TAG_READ"]}',
            ),
        ],
    )
    async def test_update(self, arguments: dict[str, Any], body: bytes) -> None:
        """`update` sends what it is given and no more."""
        async with client(answer(ROLE)) as (roles, script):
            await roles.update(role_id=ROLE_ID, **arguments)
        (request,) = script.requests
        assert request.start == f"PATCH {ROLE_PATH} HTTP/1.1"
        assert request.headers["content-type"] == "application/json"
        assert request.body == body

    async def test_role_as_id(self) -> None:
        """A role that looks like an ID is sent as one."""
        async with client(answer(ROLE), answer(ROLE), NO_CONTENT) as (roles, script):
            await roles.get(role=ROLE_ID)
            await roles.update(role=ROLE_ID, name="A")
            await roles.delete(role=ROLE_ID)
        assert script.lines == [f"GET {ROLE_PATH}", f"PATCH {ROLE_PATH}", f"DELETE {ROLE_PATH}"]

    async def test_walk(self) -> None:
        """A walk asks for 100 at a time and follows cursors."""
        async with client(
            page(role(3, "C"), cursor=b"one"),
            page(role(2, "B"), cursor=b"t/o="),
            page(role(1, "A")),
        ) as (roles, script):
            names = [role.name async for role in roles.list(is_predefined=False)]
        assert names == ["C", "B", "A"]
        assert script.lines == [
            "GET /v2/roles?limit=100&is_predefined=false",
            "GET /v2/roles?limit=100&cursor=one&is_predefined=false",
            "GET /v2/roles?limit=100&cursor=t%2Fo%3D&is_predefined=false",
        ]

    async def test_walk_limit(self) -> None:
        """A walk asks for as many roles at a time as its `limit`."""
        async with client(page(role(2, "B"), cursor=b"one"), page(role(1, "A"))) as (roles, script):
            names = [role.name async for role in roles.list(limit=1, cursor="from")]
        assert names == ["B", "A"]
        assert script.lines == [
            "GET /v2/roles?limit=1&cursor=from",
            "GET /v2/roles?limit=1&cursor=one",
        ]

    async def test_walk_lazy(self) -> None:
        """A walk asks for a page only when it gets there."""
        async with client(page(role(3, "C"), role(2, "B"), cursor=b"one"), page()) as (
            roles,
            script,
        ):
            walk = aiter(roles.list())
            assert script.lines == []
            await anext(walk)
            await anext(walk)
            assert len(script.lines) == 1
            with pytest.raises(StopAsyncIteration):
                await anext(walk)
            assert len(script.lines) == 2

    async def test_empty_page(self) -> None:
        """A walk goes on through an empty page that has more."""
        async with client(
            page(role(2, "B"), cursor=b"one"), page(cursor=b"two"), page(role(1, "A"))
        ) as (roles, _):
            assert [role.name async for role in roles.list()] == ["B", "A"]

    @pytest.mark.parametrize("cursors", [(b"one", b"one"), (b"one", b"two", b"one")])
    async def test_cursor_again(self, cursors: list[bytes]) -> None:
        """A walk stops with an error when a cursor comes again."""
        async with client(*[page(cursor=cursor) for cursor in cursors]) as (roles, script):
            with pytest.raises(InvalidResponseError, match="same cursor twice"):
                _ = [role async for role in roles.list()]
        assert len(script.lines) == len(cursors)

    async def test_no_cursor(self) -> None:
        """A walk stops with an error when more comes without a cursor."""
        body = b'{"roles":[],"pagination":{"has_more":true}}'
        async with client(answer(body)) as (roles, _):
            with pytest.raises(InvalidResponseError, match="no cursor"):
                _ = [role async for role in roles.list()]

    async def test_end_of_walk(self) -> None:
        """A walk ends where the service says so, whatever the cursor."""
        body = b'{"roles":[%s],"pagination":{"has_more":false,"next_cursor":"one"}}' % role(1, "A")
        async with client(answer(body), page(role(2, "B"))) as (roles, script):
            assert [role.name async for role in roles.list()] == ["A"]
        assert len(script.lines) == 1

    async def test_get_by_name(self) -> None:
        """`get` by a name is one walk to the page that holds it."""
        async with client(
            page(role(3, "C"), cursor=b"one"), page(role(2, "B"), role(1, "A"), cursor=b"two")
        ) as (roles, script):
            found = await roles.get(role="B")
        assert (found.id, found.name) == ("id2", "B")
        assert script.lines == ["GET /v2/roles?limit=100", "GET /v2/roles?limit=100&cursor=one"]

    async def test_change_by_name(self) -> None:
        """A name is looked for in the list, and the second time at the ID that it had."""
        listing = page(b'{"name":"AI Engineer",' + ROLE.lstrip(b"{"), role(1, "A"))
        async with client(listing, answer(ROLE), answer(ROLE), NO_CONTENT) as (roles, script):
            await roles.update(role="AI Engineer", description=None)
            await roles.delete(role="AI Engineer")
        assert script.lines == [
            "GET /v2/roles?limit=100",
            f"PATCH {ROLE_PATH}",
            f"GET {ROLE_PATH}",
            f"DELETE {ROLE_PATH}",
        ]

    async def test_closest_names(self) -> None:
        """An error for a name has the closest names of all pages."""
        pages = [
            page(*[role(n * 100 + m, f"Role {n}-{m}") for m in range(100)], cursor=b"c%d" % n)
            for n in range(6)
        ]
        async with client(page(role(1, "Engineers"), cursor=b"first"), *pages, page()) as (
            roles,
            _,
        ):
            with pytest.raises(NotFoundError) as caught:
                await roles.get(role="Engineer")
        assert caught.value.closest == ("Engineers",)
        assert (caught.value.name, caught.value.status) == ("Engineer", 404)

    async def test_open_at_once(self) -> None:
        """A client is open from its first call on."""
        async with scripted(page()) as script:
            roles = AiohttpRolesClient("KEY-123456", base_url=script.url)
            await roles.list()
            await roles.aclose()


class TestAnswers:
    """Answers, and the results and errors that the client makes of them."""

    async def test_role(self) -> None:
        """Role is read."""
        async with client(answer(ROLE)) as (roles, _):
            found = await roles.get(role_id=ROLE_ID)
        assert found == Role(
            id="Um9sZToxOmFCY0Q=",
            name="AI Engineer",
            description="Looks at projects.",
            permissions=(Permission.PROJECT_READ, Permission.DATASET_READ),
            is_predefined=False,
            created_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
            updated_at=datetime(
                2026, 11, 24, 9, 45, 30, 500_000, tzinfo=timezone(timedelta(hours=1))
            ),
        )

    async def test_absent_members(self) -> None:
        """An absent optional field is None, and a new field is ignored."""
        body = b"""{"id":"Um9sZToxOmFCY0Q=","name":"A","is_predefined":true,"color":{"r":1},
      "created_at":"2026-11-24T08:30:00Z","updated_at":"2026-11-24T08:30:00-08:00"}"""
        async with client(answer(body, "200 OK", "application/json; charset=utf-8")) as (roles, _):
            found = await roles.get(role_id=ROLE_ID)
        assert (found.description, found.permissions, found.is_predefined) == (None, None, True)

    @pytest.mark.parametrize("permission", [b"DATASET_READ", b"WARP_DRIVE_READ"])
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            (b"2026-11-24T08:30:00Z", datetime(2026, 11, 24, 8, 30, tzinfo=UTC)),
            (b"2026-11-24t08:30:00.1z", datetime(2026, 11, 24, 8, 30, 0, 100_000, tzinfo=UTC)),
            (
                b"2026-11-24T08:30:00.123456789+05:30",
                datetime(2026, 11, 24, 3, 0, 0, 123_457, tzinfo=UTC),
            ),
            (b"2026-11-24T08:30:00-08:00", datetime(2026, 11, 24, 16, 30, tzinfo=UTC)),
            (b"2026-12-31T23:59:60Z", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ],
    )
    async def test_timestamps(self, text: bytes, moment: datetime, permission: bytes) -> None:
        """A timestamp has any offset and any number of digits."""
        body = ROLE.replace(b"2026-11-24T08:30:00Z", text).replace(b"DATASET_READ", permission)
        async with client(answer(body)) as (roles, _):
            found = await roles.get(role_id=ROLE_ID)
        assert found.created_at == moment

    async def test_newer_permission(self) -> None:
        """A newer permission arrives and can be sent back."""
        body = ROLE.replace(b"DATASET_READ", b"WARP_DRIVE_READ")
        async with client(answer(body), answer(body)) as (roles, script):
            found = await roles.get(role_id=ROLE_ID)
            assert found.permissions is not None
            known, newer = found.permissions
            await roles.update(role_id=ROLE_ID, permissions=found.permissions)
        assert (known.is_known, newer.is_known) == (True, False)
        assert newer == "WARP_DRIVE_READ"
        assert f"{newer}" == "WARP_DRIVE_READ"
        assert script.requests[1].body == b'{"permissions":["PROJECT_READ","WARP_DRIVE_READ"]}'

    async def test_page(self) -> None:
        """Page is read."""
        body = b"""{"roles":[%s],"pagination":{"has_more":true,"next_cursor":"abc/d+="}}""" % ROLE
        async with client(answer(body)) as (roles, _):
            found = await roles.list()
        assert isinstance(found, ListRolesResponse)
        assert [role.name for role in found.roles] == ["AI Engineer"]
        assert found.pagination.has_more is True
        assert found.pagination.next_cursor == "abc/d+="

    async def test_deletion(self) -> None:
        """Deletion is read."""
        async with client(NO_CONTENT) as (roles, _):
            assert await roles.delete(role_id=ROLE_ID) is None  # type: ignore[func-returns-value]

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            ("400 Bad Request", BadRequestError),
            ("401 Unauthorized", AuthenticationError),
            ("403 Forbidden", ForbiddenError),
            ("404 Not Found", NotFoundError),
            ("409 Conflict", ConflictError),
            ("418 I'm a Teapot", StatusError),
            ("422 Unprocessable Entity", UnprocessableEntityError),
            ("429 Too Many Requests", RateLimitError),
            ("500 Internal Server Error", ServerError),
            ("503 Service Unavailable", ServerError),
            ("599 Nobody Knows", ServerError),
        ],
    )
    async def test_problem(self, status: str, kind: type[StatusError]) -> None:
        """A problem becomes the error of its status."""
        body = b"""{"type":"https://arize.com/docs/ax/rest-reference/errors#x","title":"A title",
      "status":%d,"detail":"What was wrong.","instance":"/v2/roles/1","other":[1]}"""
        number = int(status[:3])
        wire = problem(status, body % number, "X-Request-Id: request-7")
        async with client(wire) as (roles, _):
            with pytest.raises(kind) as caught:
                await roles.get(role_id=ROLE_ID)
        error = caught.value
        assert type(error) is kind
        assert error.status == number
        assert (error.method, error.path) == ("GET", ROLE_PATH)
        assert error.request_id == "request-7"
        assert error.retry_after is None
        assert error.problem is not None
        assert error.problem.type == "https://arize.com/docs/ax/rest-reference/errors#x"
        assert error.problem.title == "A title"
        assert error.problem.status == number
        assert error.problem.detail == "What was wrong."
        assert error.problem.instance == "/v2/roles/1"
        assert str(error) == (
            f"GET {ROLE_PATH} answered {number} A title: What was wrong. (request id request-7)"
        )

    async def test_plan(self) -> None:
        """An error says which plan stands in the way."""
        body = b"""{"title":"Access forbidden","status":403,"entitlement":"CUSTOM_ROLES","limit":5,
      "current_count":5,"required_plan":"ENTERPRISE"}"""
        async with client(problem("403 Forbidden", body)) as (roles, _):
            with pytest.raises(ForbiddenError) as caught:
                await roles.create(name="A", permissions=["ROLE_READ"])
        plan = caught.value.problem
        assert plan is not None
        assert (
            plan.entitlement,
            plan.limit,
            plan.current_count,
            plan.required_plan,
        ) == (*("CUSTOM_ROLES", 5, 5, "ENTERPRISE"),)

    async def test_header_names(self) -> None:
        """Headers are found however they are written."""
        headers = ("x-request-id: request-7", "RETRY-AFTER: 7")
        wire = problem("429 Too Many Requests", b"{}", *headers)
        async with client(wire) as (roles, _):
            with pytest.raises(RateLimitError) as caught:
                await roles.list()
        assert (caught.value.request_id, caught.value.retry_after) == ("request-7", 7.0)

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            (("Retry-After: 7",), 7.0),
            (("Retry-After: 0",), 0.0),
            (
                (
                    "Date: Tue, 24 Nov 2026 08:30:00 GMT",
                    "Retry-After: Tue, 24 Nov 2026 08:31:30 GMT",
                ),
                90.0,
            ),
            (("Retry-After: soon",), None),
            ((), None),
        ],
    )
    async def test_retry_after(self, headers: tuple[str, ...], seconds: float | None) -> None:
        """`Retry-After` is seconds or a date."""
        body = b'{"title":"Rate limit exceeded","status":429}'
        async with client(problem("429 Too Many Requests", body, *headers)) as (roles, _):
            with pytest.raises(RateLimitError) as caught:
                await roles.list()
        assert caught.value.retry_after == seconds

    async def test_create_other(self) -> None:
        """A role with another name answers another request, so the client reads the list."""
        async with client(answer(ROLE, "201 Created"), page()) as (roles, script):
            with pytest.raises(OutcomeUnknownError, match="it holds a role with another name"):
                await roles.create(name="A", permissions=["ROLE_READ"])
        assert script.lines == ["POST /v2/roles", "GET /v2/roles?limit=100"]

    @pytest.mark.parametrize(
        "wires",
        [
            (answer(b"<html>", kind="text/html"),),
            (
                answer(b"", "502 Bad Gateway"),
                problem("409 Conflict", b'{"title":"Resource conflict","status":409}'),
            ),
        ],
    )
    async def test_create_no_permissions(self, wires: tuple[bytes, ...]) -> None:
        """A role whose permissions are withheld may be the one that was made, or another."""
        withheld = role(1, "A").replace(b'"permissions":["ROLE_READ"],', b"")
        async with client(*wires, page(withheld)) as (roles, _):
            twice = roles.with_options(retry=RetryPolicy(attempts=2, backoff=1e-9))
            with pytest.raises(OutcomeUnknownError):
                await twice.create(name="A", permissions=["ROLE_READ"])

    async def test_redirect_to_no_url(self) -> None:
        """A target that is no valid URL is called so."""
        async with client(answer(b"", "302 Found", "text/html", "Location: http://[::1")) as (
            roles,
            _,
        ):
            with pytest.raises(StatusError, match="a redirect to an invalid URL"):
                await roles.get(role_id=ROLE_ID)

    @pytest.mark.parametrize(
        ("status", "role_id", "hinted"),
        [(400, "AI Engineer", True), (404, "AI Engineer", True), (404, ROLE_ID, False)],
    )
    async def test_name_as_id(self, status: int, role_id: str, *, hinted: bool) -> None:
        """The error for a name that was given as an ID says which argument takes names."""
        refusal = problem(f"{status} No", b'{"title":"No","status":%d}' % status)
        async with client(refusal) as (roles, _):
            with pytest.raises(StatusError) as caught:
                await roles.get(role_id=role_id)
        assert (
            "role_id= takes only an ID, role= takes an ID or a name" in str(caught.value)
        ) is hinted

    @pytest.mark.parametrize(
        ("role", "hinted"), [("R106", True), ("U3BhY2U6MTphQmNE", True), (ROLE_ID, False)]
    )
    async def test_name_like_id(self, role: str, *, hinted: bool) -> None:
        """The error for a name that looks like an ID names the call that reaches its role."""
        refusal = problem("404 No", b'{"title":"No","status":404}')
        async with client(refusal) as (roles, _):
            with pytest.raises(NotFoundError) as caught:
                await roles.get(role=role)
        hint = (
            f"; '{role}' was read as an ID, as it is base64 of a text with a colon: to reach a "
            "role of that name, find it in list() and pass its ID as role_id="
        )
        assert (hint in str(caught.value)) is hinted

    async def test_long_page(self) -> None:
        """A page holds at most as many roles as were asked for."""
        async with client(page(role(1, "A"), role(2, "B"))) as (roles, _):
            with pytest.raises(
                InvalidResponseError, match="holds 2 roles, more than the limit of 1"
            ):
                await roles.list(limit=1)

    async def test_create_200(self) -> None:
        """The reference documents 201; a 200 with the role is as good."""
        async with client(answer(ROLE, "200 OK")) as (roles, _):
            assert (await roles.create(name="AI Engineer", permissions=["ROLE_READ"])).id == ROLE_ID

    async def test_id_without_padding(self) -> None:
        """A role that was asked for without the padding of its ID is that role."""
        async with client(answer(ROLE)) as (roles, script):
            assert (await roles.get(role_id=ROLE_ID.rstrip("="))).id == ROLE_ID
        assert script.lines == [f"GET /v2/roles/{ROLE_ID.rstrip('=')}"]

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
    async def test_redirect(self, status: str) -> None:
        """A redirect is not followed."""
        async with client(answer(b"", status, "text/html", "Location: /elsewhere")) as (
            roles,
            script,
        ):
            with pytest.raises(
                StatusError, match="a redirect to /elsewhere, which this client does not follow"
            ):
                await roles.get(role_id=ROLE_ID)
        assert script.lines == [f"GET {ROLE_PATH}"]

    @pytest.mark.parametrize(
        ("wire", "why"),
        [
            (answer(b"<html>", kind="text/html"), "text/html"),
            (answer(b"<html>"), "not valid JSON"),
            (answer(b""), "not valid JSON"),
            (answer(b"\xff"), "not valid JSON"),
            (answer(b"[]"), "object"),
            (answer(b"null"), "object"),
            (answer(b"[" * 900 + b'"\\u0041"' + b"]" * 900), "not as expected"),
            (answer(ROLE.replace(b"AI Engineer", b"AI \xff")), "not valid JSON"),
            (answer(ROLE[:-20]), "not valid JSON"),
            (answer(ROLE.replace(b'"id"', b'"it"')), "id: is required"),
            (answer(ROLE.replace(b'"Um9sZToxOmFCY0Q="', b'""')), "$.id: Expected `str` of length"),
            (answer(ROLE.replace(b"false", b'"false"')), "$.is_predefined: Expected `bool`"),
            (answer(ROLE.replace(b'"AI Engineer"', b"null")), "$.name: Expected `str`, got `null`"),
            (answer(ROLE.replace(b"08:30:00Z", b"08:30:00")), "$.created_at: Expected `date"),
            (answer(ROLE.replace(b'["PROJECT_READ", "DATASET_READ"]', b'"X"')), "permissions"),
            (answer(ROLE.replace(b"ToxOm", b"ToyOm")), "a role with another ID"),
        ],
    )
    async def test_malformed(self, wire: bytes, why: str) -> None:
        """An answer that makes no sense is an error that says why."""
        async with client(wire) as (roles, _):
            with pytest.raises(InvalidResponseError) as caught:
                await roles.get(role_id=ROLE_ID)
        assert why in str(caught.value)
        assert (caught.value.status, caught.value.method) == (200, "GET")
        assert caught.value.path == ROLE_PATH

    async def test_gateway_page(self) -> None:
        """A gateway's page becomes the error of its status, with an excerpt."""
        html = b"<html>\n<h1>502 Bad\x1b[31m Gateway</h1>" + b"x" * 1000 + b"</html>"
        async with client(answer(html, "502 Bad Gateway", "text/html")) as (roles, _):
            with pytest.raises(ServerError) as caught:
                await roles.list()
        assert caught.value.status == 502
        assert caught.value.problem is None
        message = str(caught.value)
        assert "is not Arize's (a proxy or gateway?): '<html> <h1>502 Bad�[31m Gate" in message
        assert len(message) < 700

    async def test_foreign_problem(self) -> None:
        """A problem document of another status is a gateway's, and the error says so."""
        body = b'{"title": "No upstream", "status": 404}'
        async with client(answer(body, "502 Bad Gateway")) as (roles, _):
            with pytest.raises(ServerError) as caught:
                await roles.list()
        assert str(caught.value) == (
            "GET /v2/roles answered 502, but the body is not Arize's (a proxy or gateway?): "
            "No upstream"
        )

    async def test_empty_refusal(self) -> None:
        """An empty refusal is an error, too."""
        wires = (answer(b"", "401 Unauthorized"), answer(b"", "404 Not Found"))
        async with client(*wires) as (roles, _):
            with pytest.raises(StatusError) as read:
                await roles.list()
            with pytest.raises(StatusError) as change:
                await roles.delete(role_id=ROLE_ID)
        assert (type(read.value), read.value.problem) == (StatusError, None)
        assert type(change.value) is StatusError

    async def test_broken_off(self) -> None:
        """An answer that breaks off is a failed connection."""
        whole = answer(ROLE)
        async with client(whole[:-20]) as (roles, _):
            with pytest.raises(RolesConnectionError):
                await roles.get(role_id=ROLE_ID)

    @pytest.mark.parametrize("wire", [b"", answer(ROLE)[:-20], answer(b"", "500 Oops")])
    async def test_unclear_change(self, wire: bytes) -> None:
        """A change without an answer that shows the outcome is an OutcomeUnknownError."""
        async with client(wire) as (roles, _):
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.update(role_id=ROLE_ID, name="A")
        assert caught.value.operation == "update"
        assert caught.value.attempts == 2  # of the update, and of the get after it

    async def test_cancelled(self) -> None:
        """A cancelled call is cancelled at once."""
        async with client(None) as (roles, script):
            task = asyncio.ensure_future(roles.list())
            await script.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(script.lines) == 1

    async def test_echoed_key(self) -> None:
        """A key that an answer echoes is not repeated."""
        body = b'{"title":"KEY-123456","status":400,"detail":"you sent Bearer KEY-123456"}'
        async with client(problem("400 Bad Request", body, "X-Request-Id: KEY-123456")) as (
            roles,
            _,
        ):
            with pytest.raises(BadRequestError) as caught:
                await roles.list()
        assert "KEY-123456" not in f"{caught.value}{caught.value!r}{vars(caught.value)}"


NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
KEY = "Authorization: Bearer fake-api-key"


ADMIN = "Um9sZToxOmJtZmI="


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount(api_key="fake-api-key", clock=lambda: NOON)


class Wire:
    """One kept-alive connection to the fake server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, line: str, body: str = "", *, headers: tuple[str, ...] = (KEY,)) -> Message:
        """Send a request, and return the answer with its headers of interest."""
        data = body.encode()
        length = (f"Content-Length: {len(data)}",) if data else ()
        head = "\r\n".join((f"{line} HTTP/1.1", "Host: x", *headers, *length, "", ""))
        self._writer.write(head.encode() + data)
        return await read_message(self._reader)


@asynccontextmanager
async def wire_to(account: FakeAccount) -> AsyncGenerator[Wire]:
    async with serve(account) as url, connection(url) as (reader, writer):
        yield Wire(reader, writer)


class TestServer:
    """Answers of the fake server, byte by byte."""

    async def test_create(self, account: FakeAccount) -> None:
        """The server makes a role."""
        async with wire_to(account) as wire:
            made = await wire.ask(
                "POST /v2/roles",
                '{"name": "AI Engineer", "permissions": ["PROJECT_READ"], "description": "Größe"}',
            )
        assert made.start == "HTTP/1.1 201 Created"
        assert made.headers["content-type"] == "application/json"
        assert made.body.decode() == (
            '{"id":"Um9sZTo4OnFhanQ=","name":"AI Engineer","description":"Größe",'
            '"permissions":["PROJECT_READ"],"is_predefined":false,'
            '"created_at":"2026-11-24T12:00:00Z","updated_at":"2026-11-24T12:00:00Z"}'
        )

    async def test_empty_description(self, account: FakeAccount) -> None:
        """The server leaves out an empty description."""
        async with wire_to(account) as wire:
            for description in ("", '"description": "", '):
                name = f'"name": "A{len(description)}", '
                made = await wire.ask(
                    "POST /v2/roles", f'{{{name}{description}"permissions": ["PROJECT_READ"]}}'
                )
                assert made.start == "HTTP/1.1 201 Created"
                assert "description" not in json.loads(made.body)

    async def test_get(self, account: FakeAccount) -> None:
        """The server answers with a role."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
        async with wire_to(account) as wire:
            got = await wire.ask(f"GET {ROLE_PATH}")
        assert got.start == "HTTP/1.1 200 OK"
        assert got.headers["content-type"] == "application/json"
        assert got.body == (
            b'{"id":"Um9sZToxOmFCY0Q=","name":"A","permissions":["ROLE_READ"],"is_predefined":false,'
            b'"created_at":"2026-11-24T12:00:00Z","updated_at":"2026-11-24T12:00:00Z"}'
        )

    async def test_padded_id(self, account: FakeAccount) -> None:
        """The server takes an ID with its padding as it is."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
        async with wire_to(account) as wire:
            got = await wire.ask(f"GET /v2/roles/{ROLE_ID}")
        assert got.start == "HTTP/1.1 200 OK"

    async def test_odd_id(self, account: FakeAccount) -> None:
        """The server takes an ID that holds all that base64 may."""
        account.add_role("A", ["ROLE_READ"], id="Og/+YQ==")
        async with wire_to(account) as wire:
            got = await wire.ask("GET /v2/roles/Og%2F%2BYQ%3D%3D")
        assert got.start == "HTTP/1.1 200 OK"
        assert json.loads(got.body)["id"] == "Og/+YQ=="

    async def test_withheld(self, account: FakeAccount) -> None:
        """The server withholds permissions from a key that may not read them."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
        account.add_key("blind", grants=["ROLE_CREATE"])
        async with wire_to(account) as wire:
            blind = ("Authorization: Bearer blind",)
            body = '{"name": "B", "permissions": ["ROLE_READ"]}'
            made = await wire.ask("POST /v2/roles", body, headers=blind)
            got = await wire.ask(f"GET {ROLE_PATH}", headers=blind)
            listed = await wire.ask("GET /v2/roles", headers=blind)
        assert made.start == "HTTP/1.1 201 Created"
        assert "permissions" not in json.loads(made.body)
        assert got.start == listed.start == "HTTP/1.1 403 Forbidden"

    async def test_page(self, account: FakeAccount) -> None:
        """The server answers with a page."""
        account.add_role("A", ["ROLE_READ"], id="aWQ6MQ==", created_at=NOON)
        account.add_role("B", ["TAG_READ"], id="aWQ6Mg==", created_at=NOON + timedelta(seconds=1))
        async with wire_to(account) as wire:
            all_of_them = await wire.ask("GET /v2/roles?is_predefined=false")
            first = await wire.ask("GET /v2/roles?is_predefined=false&limit=1")
        assert all_of_them.start == "HTTP/1.1 200 OK"
        assert all_of_them.headers["content-type"] == "application/json"
        assert all_of_them.body == (
            b'{"roles":['
            b'{"id":"aWQ6Mg==","name":"B","permissions":["TAG_READ"],"is_predefined":false,'
            b'"created_at":"2026-11-24T12:00:01Z","updated_at":"2026-11-24T12:00:01Z"},'
            b'{"id":"aWQ6MQ==","name":"A","permissions":["ROLE_READ"],"is_predefined":false,'
            b'"created_at":"2026-11-24T12:00:00Z","updated_at":"2026-11-24T12:00:00Z"}'
            b'],"pagination":{"has_more":false}}'
        )
        page = json.loads(first.body)
        assert [role["name"] for role in page["roles"]] == ["B"]
        assert page["pagination"].keys() == {"has_more", "next_cursor"}
        assert page["pagination"]["has_more"] is True

    async def test_empty_page(self) -> None:
        """The server answers with an empty page where there is nothing."""
        async with wire_to(FakeAccount(api_key="fake-api-key", predefined=False)) as wire:
            page = await wire.ask("GET /v2/roles")
        assert page.body == b'{"roles":[],"pagination":{"has_more":false}}'

    async def test_default_limit(self, account: FakeAccount) -> None:
        """The server's pages have 50 roles by default."""
        for number in range(101):
            account.add_role(f"N{number}")
        async with wire_to(account) as wire:
            for query, count in (("", 50), ("?limit=1", 1), ("?limit=100", 100)):
                page = json.loads((await wire.ask(f"GET /v2/roles{query}")).body)
                assert len(page["roles"]) == count
                assert page["pagination"]["has_more"] is True

    async def test_cursor_escapes(self, account: FakeAccount) -> None:
        """The server takes cursors escaped and not."""
        for number in range(80):
            account.add_role(f"N{number}")
        slashes = 0
        async with wire_to(account) as wire:
            query = "limit=1&is_predefined=false"
            for number in range(79, 0, -1):
                page = json.loads((await wire.ask(f"GET /v2/roles?{query}")).body)
                assert page["roles"][0]["name"] == f"N{number}"
                cursor = page["pagination"]["next_cursor"]
                slashes += "/" in cursor
                # As clients send it: `/` as it is, `+` and `=` escaped.
                escaped = cursor.replace("+", "%2B").replace("=", "%3D")
                query = f"limit=1&is_predefined=false&cursor={escaped}"
                everything = query.replace("/", "%2F")
                assert (await wire.ask(f"GET /v2/roles?{everything}")).start == "HTTP/1.1 200 OK"
        assert slashes > 0

    async def test_update(self, account: FakeAccount) -> None:
        """The server changes a role."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID, description="Old.")
        account.advance(1.5)
        async with wire_to(account) as wire:
            changed = await wire.ask(
                f"PATCH {ROLE_PATH}", '{"name": "B", "permissions": ["TAG_READ", "TAG_READ"]}'
            )
            cleared = await wire.ask(f"PATCH {ROLE_PATH}", '{"description": null}')
        assert changed.start == "HTTP/1.1 200 OK"
        assert changed.headers["content-type"] == "application/json"
        assert changed.body == (
            b'{"id":"Um9sZToxOmFCY0Q=","name":"B","description":"Old.","permissions":["TAG_READ"],'
            b'"is_predefined":false,"created_at":"2026-11-24T12:00:00Z",'
            b'"updated_at":"2026-11-24T12:00:01.500000Z"}'
        )
        assert "description" not in json.loads(cleared.body)

    async def test_delete(self, account: FakeAccount) -> None:
        """The server answers a deletion without a body."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
        async with wire_to(account) as wire:
            gone = await wire.ask(f"DELETE {ROLE_PATH}")
            again = await wire.ask(f"DELETE {ROLE_PATH}")
        assert gone.start == "HTTP/1.1 204 No Content"
        assert gone.body == b""
        assert "content-type" not in gone.headers
        assert "content-length" not in gone.headers
        assert again.start == "HTTP/1.1 404 Not Found"

    @pytest.mark.parametrize(
        ("line", "body", "start", "problem"),
        [
            (
                *("GET /v2/roles/Um9sZTowOm5vbmU%3D", "", "404 Not Found"),
                {
                    "title": "Resource not found",
                    "status": 404,
                    "type": "https://arize.com/docs/ax/rest-reference/errors#resource-not-found",
                    "detail": "no role has the ID 'Um9sZTowOm5vbmU='",
                },
            ),
            (
                *(f"DELETE /v2/roles/{ADMIN}", "", "403 Forbidden"),
                {
                    "title": "Access forbidden",
                    "status": 403,
                    "type": "https://arize.com/docs/ax/rest-reference/errors#access-forbidden",
                    "detail": "'Admin' is a predefined role and cannot be deleted",
                },
            ),
            (
                *(
                    "POST /v2/roles",
                    '{"name": "Admin", "permissions": ["TAG_READ"]}',
                    "409 Conflict",
                ),
                {
                    "title": "Resource conflict",
                    "status": 409,
                    "type": "https://arize.com/docs/ax/rest-reference/errors#resource-conflict",
                    "detail": "a role is already named 'Admin'",
                },
            ),
            (
                *("GET /v2/roles?limit=0", "", "400 Bad Request"),
                {
                    "title": "Invalid request parameters",
                    "status": 400,
                    "type": "https://arize.com/docs/ax/rest-reference/errors#invalid-request",
                    "detail": "limit: must be 1 to 100, not 0",
                },
            ),
            (
                *("GET /v2/spaces", "", "404 Not Found"),
                {
                    "title": "Resource not found",
                    "status": 404,
                    "type": "https://arize.com/docs/ax/rest-reference/errors#resource-not-found",
                    "detail": "there is nothing at /v2/spaces",
                },
            ),
        ],
    )
    async def test_problems(
        self, account: FakeAccount, line: str, body: str, start: str, problem: dict[str, object]
    ) -> None:
        """The server answers failures with problem documents."""
        async with wire_to(account) as wire:
            failed = await wire.ask(line, body)
        assert failed.start == f"HTTP/1.1 {start}"
        assert failed.headers["content-type"] == "application/problem+json"
        assert json.loads(failed.body) == problem

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ("", ["body: is not valid JSON"]),
            ("{", ["body: is not valid JSON"]),
            ("[]", ["body: must be an object"]),
            ("null", ["body: must be an object"]),
            ("{}", ["name: is required", "permissions: is required"]),
            ('{"name": "A"}', ["permissions: is required"]),
            ('{"name": "A", "permissions": []}', ["permissions: must hold at least one"]),
            ('{"name": "A", "permissions": "TAG_READ"}', ["permissions: must be a list"]),
            ('{"name": "A", "permissions": {"TAG_READ": 1}}', ["permissions: must be a list"]),
            ('{"name": "A", "permissions": [1]}', ["permissions: must hold permissions"]),
            ('{"name": "A", "permissions": ["TAG_RAED"]}', ["did you mean TAG_READ?"]),
            ('{"name": 5, "permissions": ["TAG_READ"]}', ["name: must be a string"]),
            ('{"name": null, "permissions": ["TAG_READ"]}', ["name: must be a string"]),
            ('{"name": "", "permissions": ["TAG_READ"]}', ["name: must have 1 to 255"]),
            ('{"name": "A*B", "permissions": ["TAG_READ"]}', ["name: must not contain '*'"]),
            ('{"name": "A", "permissions": ["TAG_READ"], "description": null}', ["description: "]),
            ('{"name": "A", "permissions": ["TAG_READ"], "id": "x"}', ["id: cannot be set"]),
            (
                '{"name":"A","permissions":["TAG_READ"],"is_predefined":1,"created_at":"","updated_at":""}',
                [
                    "is_predefined: cannot be set",
                    "created_at: cannot be set",
                    "updated_at: cannot be set",
                ],
            ),
            (
                '{"name": "*", "permissions": [], "description": 5, "more": 1}',
                ["name: ", "permissions: ", "description: ", "more: "],
            ),
        ],
    )
    async def test_bad_create(self, account: FakeAccount, body: str, said: list[str]) -> None:
        """The server refuses a create that breaks a rule."""
        async with wire_to(account) as wire:
            refused = await wire.ask("POST /v2/roles", body)
        assert refused.start == "HTTP/1.1 400 Bad Request"
        for each in said:
            assert each in json.loads(refused.body)["detail"]
        account.assert_roles({})

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ("", "body: is not valid JSON"),
            ("[]", "body: must be an object"),
            ("{}", "at least one must be given to change"),
            ('{"name": null}', "name: must be a string, not None"),
            ('{"description": 5}', "description: must be a string, not int"),
            ('{"permissions": null}', "permissions: must be a list"),
            ('{"permissions": []}', "permissions: must hold at least one"),
            ('{"name": "B", "id": "x"}', "id: cannot be set"),
            ('{"name": "B", "is_predefined": true}', "is_predefined: cannot be set"),
        ],
    )
    async def test_bad_update(self, account: FakeAccount, body: str, said: str) -> None:
        """The server refuses an update that breaks a rule."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
        async with wire_to(account) as wire:
            refused = await wire.ask(f"PATCH {ROLE_PATH}", body)
        assert refused.start == "HTTP/1.1 400 Bad Request"
        assert said in json.loads(refused.body)["detail"]
        account.assert_roles({"A": {"ROLE_READ"}})

    @pytest.mark.parametrize(
        "query",
        [
            *(
                "limit=0",
                "limit=101",
                "limit=ten",
                "limit=",
                "limit=1.5",
                "limit=%D9%A1",
                "limit=1e1",
            ),
            *(
                "is_predefined=True",
                "is_predefined=1",
                "is_predefined=",
                "cursor=",
                "cursor=made-up",
            ),
        ],
    )
    async def test_bad_list(self, account: FakeAccount, query: str) -> None:
        """The server refuses a listing that breaks a rule."""
        async with wire_to(account) as wire:
            refused = await wire.ask(f"GET /v2/roles?{query}")
        assert refused.start == "HTTP/1.1 400 Bad Request"
        assert json.loads(refused.body)["detail"].startswith(query.partition("=")[0])

    async def test_unknown_parameters(self, account: FakeAccount) -> None:
        """The server ignores parameters that it does not know."""
        async with wire_to(account) as wire:
            assert (await wire.ask("GET /v2/roles?color=red")).start == "HTTP/1.1 200 OK"

    @pytest.mark.parametrize(
        "headers",
        [
            (),
            ("Authorization: Bearer wrong",),
            ("Authorization: Bearer",),
            ("Authorization: Basic fake-api-key",),
            ("Authorization: fake-api-key",),
        ],
    )
    async def test_bad_key(self, account: FakeAccount, headers: tuple[str, ...]) -> None:
        """The server asks who is there."""
        async with wire_to(account) as wire:
            refused = await wire.ask("GET /v2/roles", headers=headers)
        assert refused.start == "HTTP/1.1 401 Unauthorized"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["www-authenticate"] == "Bearer"
        problem = json.loads(refused.body)
        assert (problem["title"], problem["status"]) == ("Authentication required", 401)
        assert problem["type"].endswith("#authentication-required")

    @pytest.mark.parametrize(
        ("line", "allow"),
        [
            ("PUT /v2/roles", "GET, POST"),
            ("DELETE /v2/roles", "GET, POST"),
            (f"POST {ROLE_PATH}", "GET, PATCH, DELETE"),
            (f"PUT {ROLE_PATH}", "GET, PATCH, DELETE"),
        ],
    )
    async def test_methods(self, account: FakeAccount, line: str, allow: str) -> None:
        """The server says which methods there are."""
        async with wire_to(account) as wire:
            refused = await wire.ask(line)
        assert refused.start == "HTTP/1.1 405 Method Not Allowed"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["allow"] == allow
        assert json.loads(refused.body)["status"] == 405

    async def test_retry_after(self, account: FakeAccount) -> None:
        """The server asks to wait in whole seconds."""
        account.limit_rate(0.4)
        async with wire_to(account) as wire:
            await wire.ask("GET /v2/roles")
            refused = await wire.ask("GET /v2/roles")
        assert refused.start == "HTTP/1.1 429 Too Many Requests"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "3"
        assert json.loads(refused.body)["title"] == "Rate limit exceeded"

    async def test_outage(self, account: FakeAccount) -> None:
        """The server answers an outage with a problem."""
        account.fail("any", 503, times=None)
        async with wire_to(account) as wire:
            refused = await wire.ask("GET /v2/roles")
        assert refused.start == "HTTP/1.1 503 Service Unavailable"
        assert refused.headers["content-type"] == "application/problem+json"
        assert json.loads(refused.body)["type"].endswith("#service-unavailable")

    async def test_plan(self) -> None:
        """The server says which plan stands in the way."""
        account = FakeAccount(api_key="fake-api-key", max_custom_roles=0)
        async with wire_to(account) as wire:
            refused = await wire.ask("POST /v2/roles", '{"name": "A", "permissions": ["TAG_READ"]}')
        assert refused.start == "HTTP/1.1 403 Forbidden"
        problem = json.loads(refused.body)
        assert problem["limit"] == 0
        assert problem["current_count"] == 0
        assert problem["required_plan"] in {"PRO", "ENTERPRISE"}
        assert problem["entitlement"]

    @pytest.mark.parametrize(
        "segment",
        ["..", "%2E%2E", "..%2Froles", "a%2Fb", "a%0Ab", "a%00b", "%FF", "Um9sZTo", "%20"],
    )
    async def test_bad_id(self, account: FakeAccount, segment: str) -> None:
        """The server refuses what is not an ID."""
        async with wire_to(account) as wire:
            refused = await wire.ask(f"GET /v2/roles/{segment}")
        assert refused.start == "HTTP/1.1 400 Bad Request"
        assert refused.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        "path", ["/v2", "/v2/roles/", "/v2/roles/a/b", "/v3/roles", "/v2/roles2"]
    )
    async def test_elsewhere(self, account: FakeAccount, path: str) -> None:
        """The server has nothing elsewhere."""
        async with wire_to(account) as wire:
            for method in ("GET", "POST", "DELETE"):
                refused = await wire.ask(f"{method} {path}")
                assert refused.start == "HTTP/1.1 404 Not Found"
                assert refused.headers["content-type"] == "application/problem+json"
                assert f"there is nothing at {path}" in json.loads(refused.body)["detail"]

    async def test_connection_kept(self, account: FakeAccount) -> None:
        """A connection is usable after every failure."""
        account.add_role("A", ["ROLE_READ"], id=ROLE_ID)
        body = '{"name": "Admin", "permissions": ["TAG_READ"]}'
        async with wire_to(account) as wire:
            for line, sent, headers, status in (
                ("POST /v2/roles", body, (KEY,), "409"),
                ("POST /v2/roles", body, (), "401"),
                ("POST /v2/nowhere", body, (KEY,), "404"),
                ("PUT /v2/roles", body, (KEY,), "405"),
                (f"PATCH /v2/roles/{ADMIN}", body, (KEY,), "403"),
                (f"DELETE {ROLE_PATH}", body, (KEY,), "204"),
            ):
                failed = await wire.ask(line, sent, headers=headers)
                assert failed.start.startswith(f"HTTP/1.1 {status} ")
                assert failed.headers.get("connection") != "close"
            assert (await wire.ask("GET /v2/roles")).start == "HTTP/1.1 200 OK"
