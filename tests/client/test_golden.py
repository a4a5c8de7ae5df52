"""Requests and responses as bytes, written by hand from the service's REST reference."""

import json
import tomllib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, cast

import pytest

import arize_roles_async
from arize_roles_async import (
    AccountRole,
    AiohttpRolesClient,
    AmbiguousNameError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    Permission,
    ProblemDetails,
    Role,
    RoleBindingResourceType,
    User,
)
from tests.support.clients import ONCE, SOON, account_at_noon, ask, over, serve
from tests.support.raw_http import Script, http_response, scripted

GOLDEN = tomllib.loads(Path(__file__).parents[1].joinpath("data/golden.toml").read_text("utf-8"))
ROLE, BINDING, _, SPACE, PROJECT = (text.encode() for text in GOLDEN["records"].values())
ROLE_ID = "Um9sZToxOmFCY0Q="
ROLE_PATH = "/v2/roles/Um9sZToxOmFCY0Q%3D"


def answer(body: bytes, status: int = 200, kind: str = "application/json", *headers: str) -> bytes:
    if status >= 400:
        kind = "application/problem+json"
    return http_response(status, body, f"Content-Type: {kind}", *headers)


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


async def make(roles: AiohttpRolesClient, call: str) -> Any:  # noqa: ANN401
    """Make a call that the table names with its arguments."""
    *owner, method = call.partition(" ")[0].split(".")
    of = getattr(roles, owner[0]) if owner else roles
    return await getattr(of, method)(**json.loads(call.partition(" ")[2]))


class TestRequests:
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

    async def test_user_agent(self) -> None:
        """`headers` replaces the client's `User-Agent`, and so does a lent session's own."""
        account, mine = account_at_noon(), {"user-agent": "mine/1"}
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
        ("kind", "call", "sent"),
        [(kind, *row) for kind, rows in GOLDEN["requests"].items() for row in rows.items()],
    )
    async def test_call(self, kind: str, call: str, sent: str) -> None:
        """A call sends what it is given and no more, and returns the record that is answered."""
        verb, target, *bodies = sent.split(" ", 2)
        record = json.loads(GOLDEN["records"][kind])
        if call.startswith("get "):
            record["id"] = json.loads(call.removeprefix("get "))["role_id"]
        shown = json.dumps(record).encode()
        answered = answer(shown, 201 if verb == "POST" else 200)
        if "?" in target:
            answered = page(shown, kind=f"{kind}s")
        elif verb == "DELETE":
            answered = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with client(answered) as (roles, script):
            found = await make(roles, call)
        (request,), body = script.requests, "".join(bodies).encode()
        assert (script.lines, request.body) == ([f"{verb} {target}"], body)
        assert request.headers["authorization"] == "Bearer KEY-123456"
        assert request.headers.get("content-type") == ("application/json" if body else None)
        assert request.headers.get("content-length", "0") == str(len(body))
        assert "transfer-encoding" not in request.headers
        if found is not None:
            assert found.to_dict().get(f"{kind}s", [found.to_dict()]) == [record]
        assert (found is None) is (verb == "DELETE")

    async def test_enums(self) -> None:
        """An enumeration is sent as its text, also an application's whose `str` is another."""

        class Kind(str, Enum):  # noqa: UP042 - applications have such
            PROJECTS = "PROJECT"

        kinds: list[Any] = [Kind.PROJECTS, RoleBindingResourceType.PROJECT]
        async with client(*[page(kind="role_bindings")] * 2, answer(ROLE)) as (roles, script):
            for kind in kinds:
                await roles.role_bindings.list(resource_type=kind)
            await roles.update(role_id=ROLE_ID, permissions=[Permission.ROLE_READ])
        line = "GET /v2/role-bindings?limit=50&resource_type=PROJECT"
        assert script.lines == [line, line, f"PATCH {ROLE_PATH}"]
        assert script.requests[-1].body == b'{"permissions":["ROLE_READ"]}'

    async def test_in_space(self) -> None:
        """A space is looked up once a walk, also of the same listing; its ID is sent as it is.

        A space that is on two pages, since others were added between them, is one.
        """
        space, project = (each.replace(b"U3BhY2U6MTpiRnVM", b"ml") for each in (SPACE, PROJECT))
        other = project.replace(b'"churn"', b'"churn 2"')
        pages = [
            ("spaces?limit=100&name=ML", (SPACE,), b"c1"),
            ("spaces?limit=100&cursor=c1&name=ML", (SPACE,), None),
            ("projects?limit=7&space_id=U3BhY2U6MTpiRnVM", (PROJECT,), b"c1"),
            ("projects?limit=7&cursor=c1&space_id=U3BhY2U6MTpiRnVM", (), None),
            ("spaces?limit=100&name=ML", (space,), None),
            ("projects?limit=7&space_id=ml", (), None),
            ("spaces?limit=100&name=ML", (space,), None),
            ("projects?limit=100&name=churn&space_id=ml", (other,), b"c1"),
            ("projects?limit=100&cursor=c1&name=churn&space_id=ml", (project,), None),
        ]
        answers = [page(*items, kind=x.split("?")[0], cursor=more) for x, items, more in pages]
        async with client(*answers) as (roles, script):
            listing = roles.directory.projects(in_space="ML", limit=7)
            assert [len(await listing.all()) for _ in range(2)] == [1, 0]
            found = await roles.directory.get_project(project="churn", in_space="ML")
            assert found.space_id == "ml"
        assert script.lines == [f"GET /v2/{line}" for line, *_ in pages]


class TestAnswers:
    """Answers, and the results and errors that the client makes of them."""

    async def test_role(self) -> None:
        """Role is read, also if it was asked for without the padding of its ID."""
        async with client(answer(ROLE, 200, "application/json; charset=utf-8")) as (roles, _):
            found = await roles.get(role_id=ROLE_ID.rstrip("="))
        assert found == Role(
            id="Um9sZToxOmFCY0Q=",
            name='A "B" \\ C',
            description="Looks.",
            permissions=(Permission.PROJECT_READ, Permission.DATASET_READ),
            is_predefined=False,
            created_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
            updated_at=datetime.fromisoformat("2026-11-24T09:45:30.500000+01:00"),
        )

    @pytest.mark.parametrize(
        ("text", "moment", "kind"),
        [
            (b"24t08:30:00.1z", "24T08:30:00.100000+00:00", "application/json"),
            (b"24T08:30:00.123456789+05:30", "24T08:30:00.123457+05:30", "Application/JSON;q=1"),
            (b"24T23:59:60Z", "24T23:59:59+00:00", "application/x.JSON"),
        ],
    )
    async def test_forms(self, text: bytes, moment: str, kind: str) -> None:
        """A timestamp has any offset and number of digits, and a media type has no case."""
        body = ROLE.replace(b"24T08:30:00+00:00", text)
        async with client(answer(body, 200, kind)) as (roles, _):
            found = await roles.get(role_id=ROLE_ID)
        assert found.created_at.isoformat() == f"2026-11-{moment}"

    @pytest.mark.parametrize("text", ["PROJECT", "FOLDER"])
    async def test_newer_type(self, text: str) -> None:
        """A type of resource that is newer than the library is a string."""
        body = BINDING.replace(b"PROJECT", text.encode())
        async with client(answer(body)) as (roles, _):
            binding = await roles.role_bindings.get(binding_id="Um9sZUJpbmRpbmc6MTphQmNE")
        kind = RoleBindingResourceType if text == "PROJECT" else str
        assert (binding.resource_type, type(binding.resource_type)) == (text, kind)

    async def test_problem(self) -> None:
        """A problem becomes the error of its status."""
        body = b"""{"type":"https://arize.com/docs/ax/rest-reference/errors#x","title":"A title",
      "status":404,"detail":"What was wrong.","instance":"/v2/roles/1","other":[1]}"""
        async with client(answer(body, 404, "", "x-REQUEST-id: request-7")) as (roles, _):
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

    async def test_create_no_permissions(self) -> None:
        """A role whose permissions are withheld may be the one that was made, or another."""
        conflict = answer(b'{"title":"Resource conflict","status":409}', 409)
        withheld = ROLE.replace(b'"permissions":["PROJECT_READ","DATASET_READ"],', b"")
        async with client(answer(b"", 502), conflict, page(withheld)) as (roles, _):
            with pytest.raises(OutcomeUnknownError):
                await roles.with_options(retry=SOON).create(
                    name='A "B" \\ C', permissions=["ROLE_READ"]
                )

    @pytest.mark.parametrize(
        ("kind", "words", "row"),
        [(kind, *row) for kind, rows in GOLDEN["errors"].items() for row in rows.items()],
    )
    async def test_error(self, kind: str, words: str, row: list[Any]) -> None:
        """An answer that makes no sense, or does not fit, is an error that says why."""
        call, answered, error, attributes = row
        status, _, body = answered.partition(" ")
        async with client(answer(body.encode(), int(status)), page(kind=kind)) as (roles, _):
            with pytest.raises(getattr(arize_roles_async, error)) as caught:
                await make(roles, call)
        assert words in str(caught.value)
        for name, value in attributes.items():
            given = cast("list[object]", value)
            expected = tuple(given) if isinstance(value, list) else value
            assert getattr(caught.value, name) == expected

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"[" * 900 + b'"\\u0041"' + b"]" * 900, "not as expected"),
            (ROLE.replace(b'"PROJECT_READ"', b'"X",' * 1000 + b'"Y"'), "$.permissions: "),
        ],
    )
    async def test_large(self, body: bytes, why: str) -> None:
        """So is one that is nested too deeply, or holds too much."""
        async with client(answer(body)) as (roles, _):
            with pytest.raises(InvalidResponseError) as caught:
                await roles.get(role_id=ROLE_ID)
        assert why in str(caught.value)

    async def test_many(self) -> None:
        """Of eleven with one name, the message has ten IDs, and the error all."""
        spaces = (SPACE.replace(b"U3BhY2U6MTpiRnVM", b"id %d" % number) for number in range(11))
        async with client(page(*spaces, kind="spaces")) as (roles, _):
            with pytest.raises(AmbiguousNameError) as caught:
                await roles.directory.get_space(space="ML")
        of = "(organization 'T3JnYW5pemF0aW9uOjEwMDE6eFl6Vw==')"
        assert f"'id 0' {of}, 'id 1' {of}, " in str(caught.value)
        assert str(caught.value).endswith(f"'id 9' {of} and 1 more")
        assert (caught.value.name, len(caught.value.ids)) == ("ML", 11)


def test_shown() -> None:
    """Times are shown in ISO form, and a user's role by its name, or else by its type."""
    user = User(id="a", created_at=datetime(2026, 11, 24, tzinfo=UTC))
    assert repr(user).endswith("is_developer=None, created_at=2026-11-24T00:00:00+00:00)")
    assert repr(User(id="a")).endswith("created_at=None)")
    assert str(AccountRole(type="PREDEFINED")) == "PREDEFINED"
    assert str(AccountRole(type="PREDEFINED", name="ADMIN")) == "ADMIN"


def test_fake() -> None:
    """The fake's answers, byte by byte."""
    account = account_at_noon()
    account.add_role("A", ["ROLE_READ"], id="Og/+YQ==", description="Old.")
    account.advance(1.5)
    for sent, answered in GOLDEN["fake"].items():
        verb, target, *body = sent.split(" ", 2)
        reply = ask(account, f"{verb} {target}", "".join(body).encode() or None)
        assert f"{reply.status} {reply.body.decode()}" == answered, sent
        assert reply.headers.get("Content-Type") == ("application/json" if reply.body else None)
