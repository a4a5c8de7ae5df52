"""Requests and responses as bytes, written by hand from the service's REST reference."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from platform import python_version
from typing import Any

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    Permission,
    ProblemDetails,
    Role,
)
from arize_roles_fake import FakeAccount
from tests.support.clients import ONCE, SOON, account_at_noon, ask, over, serve
from tests.support.raw_http import Script, http_response, scripted

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
CREATED = '{"name":"A \\"B\\" \\\\ C","permissions":["PROJECT_READ","DATASET_READ"]'
CHANGED = '{"description":"D"}'
LINES = {
    "list": "GET /v2/roles",
    "get": f"GET {ROLE_PATH}",
    "create": "POST /v2/roles",
    "update": f"PATCH {ROLE_PATH}",
    "delete": f"DELETE {ROLE_PATH}",
}
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(body: bytes, status: int = 200, kind: str = "application/json", *headers: str) -> bytes:
    return http_response(status, body, f"Content-Type: {kind}", *headers)


def problem(status: int, body: bytes, *headers: str) -> bytes:
    return answer(body, status, "application/problem+json", *headers)


def role(number: int, name: str) -> bytes:
    return (
        b'{"id":"id%d","name":"%s","permissions":["ROLE_READ"],"is_predefined":false,'
        b'"created_at":"2026-11-24T08:30:00Z","updated_at":"2026-11-24T08:30:00Z"}'
    ) % (number, name.encode())


def page(*items: bytes, kind: str = "roles", cursor: bytes | None = None) -> bytes:
    more = b'{"has_more":false}'
    if cursor is not None:
        more = b'{"has_more":true,"next_cursor":"%s"}' % cursor
    return answer(b'{"%s":[%s],"pagination":%s}' % (kind.encode(), b",".join(items), more))


@asynccontextmanager
async def client(*answers: bytes | None) -> AsyncGenerator[tuple[AiohttpRolesClient, Script]]:
    """The real client, with one attempt a call, and the answers that await it."""
    async with (
        scripted(*answers) as script,
        AiohttpRolesClient("KEY-123456", base_url=script.url, retry=ONCE) as roles,
    ):
        yield roles, script


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

    async def test_user_agent(self, account: FakeAccount) -> None:
        """`headers` replaces the client's `User-Agent`, and so does a lent session's own."""
        mine = {"user-agent": "mine/1"}
        async with (
            serve(account) as url,
            AiohttpRolesClient(account.api_key, base_url=url, headers=mine) as own,
            over(url, headers=mine) as lent,
            over(url) as bare,
        ):
            for roles in (own, lent, bare):
                await roles.list()
        sent = [call.request.headers["User-Agent"].partition("/")[0] for call in account.calls]
        assert sent == ["mine", "mine", "arize-roles-async"]

    async def test_proxy_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The usual variables for a proxy are ignored."""
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        async with client(page()) as (roles, script):
            await roles.list()
        assert len(script.requests) == 1

    @pytest.mark.parametrize(
        ("method", "arguments", "sent"),
        [
            ("list", {}, "?limit=50"),
            ("list", {"limit": 100, "is_predefined": True}, "?limit=100&is_predefined=true"),
            ("list", {"cursor": "a/b+c=&d é"}, "?limit=50&cursor=a%2Fb%2Bc%3D%26d%20%C3%A9"),
            ("get", {}, ""),
            ("create", {}, f"{CREATED}}}"),
            ("create", {"description": ""}, f'{CREATED},"description":""}}'),
            ("create", {"description": "Größe 😀"}, f'{CREATED},"description":"Größe 😀"}}'),
            ("update", {"name": None, "permissions": None, "description": "D"}, CHANGED),
            ("update", {"description": ""}, '{"description":""}'),
            ("update", {"description": None}, '{"description":null}'),
            ("update", {"permissions": ("ROLE_READ",)}, '{"permissions":["ROLE_READ"]}'),
            ("delete", {}, ""),
        ],
    )
    async def test_call(self, method: str, arguments: dict[str, Any], sent: str) -> None:
        """A call sends what it is given and no more: in the path, as a query, or as a JSON body."""
        named = ROLE.replace(b"AI Engineer", rb"A \"B\" \\ C")
        answers = {"list": page(), "create": answer(named, 201), "delete": NO_CONTENT}
        permissions = [Permission.PROJECT_READ, "DATASET_READ", "PROJECT_READ"]
        given: dict[str, dict[str, Any]] = {
            "list": {},
            "create": {"name": 'A "B" \\ C', "permissions": permissions},
        }
        async with client(answers.get(method, answer(ROLE))) as (roles, script):
            await getattr(roles, method)(**given.get(method, {"role_id": ROLE_ID}), **arguments)
        (request,) = script.requests
        query, body = (sent, "") if method == "list" else ("", sent)
        assert (script.lines, request.body) == ([LINES[method] + query], body.encode())
        assert request.headers["authorization"] == "Bearer KEY-123456"
        assert request.headers.get("content-type") == ("application/json" if body else None)
        assert request.headers.get("content-length", "0") == str(len(body.encode()))
        assert "transfer-encoding" not in request.headers

    @pytest.mark.parametrize(
        ("role_id", "segment"),
        [
            ("a+b/c==", "a%2Bb%2Fc%3D%3D"),
            ("..", "%2E%2E"),
            ("%2F", "%252F"),
            ("../roles", "..%2Froles"),
            ("a?b#c&d", "a%3Fb%23c%26d"),
            ("é", "%C3%A9"),
        ],
    )
    async def test_id_in_path(self, role_id: str, segment: str) -> None:
        """An ID is one segment of the path, whatever it holds."""
        body = json.dumps({**json.loads(ROLE), "id": role_id}).encode()
        async with client(answer(body)) as (roles, script):
            await roles.get(role_id=role_id)
        assert script.lines == [f"GET /v2/roles/{segment}"]

    async def test_walk(self) -> None:
        """A walk follows cursors, each when it gets there, until the service says that it ends."""
        end = b'{"roles":[%s],"pagination":{"has_more":false,"next_cursor":"two"}}' % role(1, "A")
        filters = "limit=1&cursor={}&is_predefined=false"
        lines = [f"GET /v2/roles?{filters.format(cursor)}" for cursor in ("from", "t%2Fo%3D")]
        async with client(page(role(2, "B"), cursor=b"t/o="), answer(end)) as (roles, script):
            walk = aiter(roles.list(limit=1, cursor="from", is_predefined=False))
            assert (await anext(walk)).name == "B"
            assert script.lines == lines[:1]
            assert [role.name async for role in walk] == ["A"]
        assert script.lines == lines


class TestAnswers:
    """Answers, and the results and errors that the client makes of them."""

    async def test_role(self) -> None:
        """Role is read, also if it was asked for without the padding of its ID."""
        async with client(answer(ROLE, 200, "application/json; charset=utf-8")) as (roles, _):
            found = await roles.get(role_id=ROLE_ID.rstrip("="))
        assert found == Role(
            id="Um9sZToxOmFCY0Q=",
            name="AI Engineer",
            description="Looks at projects.",
            permissions=(Permission.PROJECT_READ, Permission.DATASET_READ),
            is_predefined=False,
            created_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
            updated_at=datetime.fromisoformat("2026-11-24T09:45:30.500000+01:00"),
        )

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            (b"2026-11-24t08:30:00.1z", "2026-11-24T08:30:00.100000+00:00"),
            (b"2026-11-24T08:30:00.123456789+05:30", "2026-11-24T08:30:00.123457+05:30"),
            (b"2026-12-31T23:59:60Z", "2026-12-31T23:59:59+00:00"),
        ],
    )
    async def test_timestamps(self, text: bytes, moment: str) -> None:
        """A timestamp has any offset and any number of digits."""
        async with client(answer(ROLE.replace(b"2026-11-24T08:30:00Z", text))) as (roles, _):
            found = await roles.get(role_id=ROLE_ID)
        assert found.created_at.isoformat() == moment

    @pytest.mark.parametrize("kind", ["Application/JSON;charset=utf-8", "application/x.JSON"])
    async def test_media_type(self, kind: str) -> None:
        """A media type has no case."""
        async with client(answer(ROLE, 200, kind)) as (roles, _):
            assert (await roles.get(role_id=ROLE_ID)).id == ROLE_ID

    async def test_problem(self) -> None:
        """A problem becomes the error of its status."""
        body = b"""{"type":"https://arize.com/docs/ax/rest-reference/errors#x","title":"A title",
      "status":404,"detail":"What was wrong.","instance":"/v2/roles/1","other":[1]}"""
        async with client(problem(404, body, "x-REQUEST-id: request-7")) as (roles, _):
            with pytest.raises(NotFoundError) as caught:
                await roles.get(role_id=ROLE_ID)
        error = caught.value
        assert (error.status, error.method, error.path) == (404, "GET", ROLE_PATH)
        assert (error.request_id, error.retry_after) == ("request-7", None)
        assert error.problem == ProblemDetails(
            type="https://arize.com/docs/ax/rest-reference/errors#x",
            title="A title",
            status=404,
            detail="What was wrong.",
            instance="/v2/roles/1",
            extra={"other": [1]},
        )
        assert str(error) == (
            f"GET {ROLE_PATH} answered 404 A title: What was wrong. (request id request-7)"
        )

    async def test_create_other(self) -> None:
        """A role with another name answers another request, so the client reads the list."""
        async with client(answer(ROLE, 201), page()) as (roles, script):
            with pytest.raises(OutcomeUnknownError, match="it holds another name than"):
                await roles.create(name="A", permissions=["ROLE_READ"])
        assert script.lines == ["POST /v2/roles", "GET /v2/roles?limit=100"]

    async def test_create_no_permissions(self) -> None:
        """A role whose permissions are withheld may be the one that was made, or another."""
        conflict = problem(409, b'{"title":"Resource conflict","status":409}')
        withheld = role(1, "A").replace(b'"permissions":["ROLE_READ"],', b"")
        async with client(answer(b"", 502), conflict, page(withheld)) as (roles, _):
            with pytest.raises(OutcomeUnknownError):
                await roles.with_options(retry=SOON).create(name="A", permissions=["ROLE_READ"])

    @pytest.mark.parametrize(
        ("wire", "why"),
        [
            (answer(b"<html>"), "not valid JSON"),
            (answer(b"[" * 900 + b'"\\u0041"' + b"]" * 900), "not as expected"),
            (answer(b"[%s0]" % (b"0," * 210_000)), "must hold at most 200000 values"),
            (answer(ROLE.replace(b"08:30:00Z", b"08:30:00")), "$.created_at: "),
            (answer(ROLE.replace(b'"PROJECT_READ"', b'"X",' * 1000 + b'"Y"')), "$.permissions: "),
            (answer(ROLE.replace(b"ToxOm", b"ToyOm")), "another id than was asked for"),
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


@pytest.fixture
def account() -> FakeAccount:
    return account_at_noon()


ANSWERS = [
    (
        *("GET /v2/roles?is_predefined=false&color=red", "", 200),
        """{"roles":[{"id":"Og/+YQ==","name":"A","description":"Old.","permissions":["ROLE_READ"],
"is_predefined":false,"created_at":"2026-01-01T12:00:00Z","updated_at":"2026-01-01T12:00:00Z"}
],"pagination":{"has_more":false}}""",
    ),
    (
        "POST /v2/roles",
        '{"name": "AI Engineer", "permissions": ["PROJECT_READ"], "description": "Größe"}',
        201,
        """{"id":"Um9sZToyOmJubG8=","name":"AI Engineer","description":"Größe",
"permissions":["PROJECT_READ"],"is_predefined":false,
"created_at":"2026-01-01T12:00:01.500000Z","updated_at":"2026-01-01T12:00:01.500000Z"}""",
    ),
    # An ID may be escaped or not.
    ("DELETE /v2/roles/Og%2F%2BYQ%3D%3D", "", 204, ""),
    ("DELETE /v2/roles/Um9sZToyOmJubG8=", "", 204, ""),
]


def test_fake(account: FakeAccount) -> None:
    """The fake's answers, byte by byte."""
    account.add_role("A", ["ROLE_READ"], id="Og/+YQ==", description="Old.")
    account.advance(1.5)
    for line, sent, status, body in ANSWERS:
        reply = ask(account, line, sent.encode() or None)
        assert (reply.status, reply.body.decode()) == (status, body.replace("\n", "")), line
        assert reply.headers.get("Content-Type") == ("application/json" if body else None)
