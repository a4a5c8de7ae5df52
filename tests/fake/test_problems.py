"""The problem documents that the fake answers with, word for word."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest

from arize_roles_fake import Assumptions, FakeAccount
from tests.support.clients import START, ask

DOCS = "https://arize.com/docs/ax/rest-reference/errors"
OWN, PREDEFINED = "Um9sZToxOnZ1cHg%3D", "Um9sZToyOmFuc2g%3D"
CREATED = {"name": "B", "permissions": ["ROLE_READ"]}


def answer(
    line: str, body: object = None, *, account: FakeAccount | None = None, **headers: str
) -> dict[str, Any]:
    """Return the problem document that answers a request."""
    if account is None:
        account = FakeAccount(api_key="sesame", predefined=False)
        account.add_role("A", ["ROLE_READ"])
        account.add_role("P", ["ROLE_READ"], is_predefined=True)
    text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reply = ask(account, line, text, key="sesame", **headers)
    problem: dict[str, Any] = json.loads(reply.body)
    assert problem["status"] == reply.status
    assert reply.headers["Content-Type"] == "application/problem+json"
    return problem


class TestDetails:
    """The text of each refusal."""

    def test_no_json(self) -> None:
        """A body that is no JSON, with the reason of who read it."""
        assert answer("POST /v2/roles", "")["detail"].startswith("body: is not valid JSON: ")

    @pytest.mark.parametrize(
        ("content_type", "shown"),
        [("Text/Plain; charset=utf-8", "text/plain"), ("x" * 81, "x" * 80), ("x" * 80, "x" * 80)],
    )
    def test_content_type(self, content_type: str, shown: str) -> None:
        """A body that is not JSON by its content type."""
        problem = answer("POST /v2/roles", CREATED, Content_Type=content_type)
        assert problem["status"] == 415
        assert problem["detail"] == f"the body must be application/json, not {shown!r}"

    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/a+json"])
    def test_json_type(self, content_type: str) -> None:
        """A body that is JSON by its content type."""
        body = json.dumps(CREATED).encode()
        assert ask(FakeAccount(), "POST /v2/roles", body, Content_Type=content_type).status == 201

    @pytest.mark.parametrize(
        ("line", "body", "detail"),
        [
            *(
                ("POST /v2/roles", body, detail)
                for body, detail in (
                    ("[]", "body: must be an object"),
                    ({}, "name: is required; permissions: is required"),
                    ({**CREATED, "id": "x"}, "id: cannot be set by a caller"),
                    ({**CREATED, "n" * 60: 1}, f"{'n' * 60}: is not a known field"),
                    ({**CREATED, "n" * 61: 1}, f"{'n' * 59}…: is not a known field"),
                    ({**CREATED, "description": None}, "description: must be a string, not None"),
                    (
                        {**CREATED, "permissions": {"TAG_READ": 1}},
                        "permissions: must be a list of permissions, not dict",
                    ),
                    ({**CREATED, "name": "A"}, "a role is already named 'A'"),
                )
            ),
            (
                f"PATCH /v2/roles/{OWN}",
                {},
                "name, description, permissions: at least one must be given to change",
            ),
            (
                f"PATCH /v2/roles/{OWN}",
                {"permissions": None},
                "permissions: must be a list of permissions, not None",
            ),
            (
                f"PATCH /v2/roles/{PREDEFINED}",
                {"name": "Q"},
                "'P' is a predefined role and cannot be updated",
            ),
            *(
                (line, None, detail)
                for line, detail in (
                    ("GET /v2/roles/x%ff", r"'x\udcff' is not a role ID"),
                    (f"GET /v2/roles/{'x' * 81}", f"'{'x' * 80}' is not a role ID"),
                    (
                        "GET /v2/roles/U3BhY2U6MTphQmNE",
                        "'U3BhY2U6MTphQmNE' was read as an ID, but is not the ID of a role",
                    ),
                    ("GET /v2/roles/Um9sZTo5OmFhYWE%3D", "no role has the ID 'Um9sZTo5OmFhYWE='"),
                    (
                        f"DELETE /v2/roles/{PREDEFINED}",
                        "'P' is a predefined role and cannot be deleted",
                    ),
                    ("GET /v2/roles?cursor=x", "cursor: was not issued by this account"),
                    ("GET /v2/roles?limit=0", "limit: must be 1 to 100, not 0"),
                    ("GET /v2/roles?limit=-1", "limit: must be 1 to 100, not -1"),
                    ("GET /v2/roles?limit=999999999", "limit: must be 1 to 100, not 999999999"),
                    ("GET /v2/roles?limit=1234567890", "limit: must be an integer, not str"),
                    (
                        "GET /v2/roles?is_predefined=True",
                        "is_predefined: must be True or False, not str",
                    ),
                    ("GET /v2/role-bindings", "resource_type: is required"),
                    ("PUT /v2/roles", "PUT is not allowed here"),
                    ("GET /v2/other", "there is nothing at /v2/other"),
                    (f"GET /{'x' * 80}", f"there is nothing at /{'x' * 79}"),
                )
            ),
        ],
    )
    def test_request(self, line: str, body: object, detail: str) -> None:
        """A request for what is not there, or not as it may be asked for."""
        assert answer(line, body)["detail"] == detail

    @pytest.mark.parametrize(
        ("target", "allowed"),
        [("/v2/roles", "GET, POST"), (f"/v2/roles/{OWN}", "GET, PATCH, DELETE")],
    )
    def test_allow(self, target: str, allowed: str) -> None:
        """A method that is not allowed, with a header that has those which are."""
        account = FakeAccount(api_key="sesame")
        reply = ask(account, f"PUT {target}")
        assert (reply.status, reply.headers["Allow"]) == (405, allowed)

    @pytest.mark.parametrize(
        ("authorization", "detail"),
        [
            *((each, "missing") for each in ("", "sesame", "Basic sesame", "Bearer")),
            *((f"Bearer {each}", "unknown") for each in ("x", "SESAME")),
        ],
    )
    def test_key(self, authorization: str, detail: str) -> None:
        """An unknown caller: only a bearer key is a key, in its own case."""
        account = FakeAccount(api_key="sesame")
        reply = ask(account, "GET /v2/roles", Authorization=authorization)
        assert json.loads(reply.body)["detail"] == f"the API key is {detail}"
        assert reply.headers["WWW-Authenticate"] == "Bearer"

    def test_grants(self) -> None:
        """A caller that may not."""
        account = FakeAccount(api_key="sesame")
        account.add_key("sesame", grants=[])
        problem = answer("POST /v2/roles", CREATED, account=account)
        assert problem["detail"] == "the API key lacks ROLE_CREATE"

    def test_full(self) -> None:
        """A plan that is full, with the members that give its numbers."""
        account = FakeAccount(api_key="sesame", max_custom_roles=1)
        account.add_role("A")
        assert answer("POST /v2/roles", CREATED, account=account) == {
            "title": "Access forbidden",
            "status": 403,
            "type": f"{DOCS}#access-forbidden",
            "detail": "the account's plan allows no more custom roles",
            "entitlement": "CUSTOM_ROLES",
            "limit": 1,
            "current_count": 1,
            "required_plan": "ENTERPRISE",
        }

    @pytest.mark.parametrize(("count", "counted"), [(1, "1 role binding"), (2, "2 role bindings")])
    def test_bound(self, count: int, counted: str) -> None:
        """A role that is bound."""
        account = FakeAccount(api_key="sesame", predefined=False)
        account.add_role("A")
        for number in range(count):
            account.bind("A", user=str(number), resource="Space:1")
        problem = answer(f"DELETE /v2/roles/{OWN}", account=account)
        assert problem["detail"] == f"'A' cannot be deleted: it still has {counted}"

    @pytest.mark.parametrize(
        ("assumptions", "body", "detail"),
        [
            (
                Assumptions(duplicate_permissions="refused"),
                {"name": "B", "permissions": ["ROLE_READ", "ROLE_READ"]},
                "permissions: must not hold one permission twice",
            ),
            (
                Assumptions(name_comparison="trimmed"),
                {**CREATED, "name": "  "},
                "name: must not be only spaces",
            ),
        ],
    )
    def test_assumed(self, assumptions: Assumptions, body: object, detail: str) -> None:
        """Requests that only some services refuse."""
        account = FakeAccount(api_key="sesame", assumptions=assumptions)
        assert answer("POST /v2/roles", body, account=account)["detail"] == detail

    def test_other_filter(self) -> None:
        """A cursor of another listing."""
        account = FakeAccount(api_key="sesame")
        first = ask(account, "GET /v2/roles?limit=1")
        cursor = json.loads(first.body)["pagination"]["next_cursor"]
        line = f"GET /v2/roles?is_predefined=true&cursor={quote(cursor)}"
        assert answer(line, account=account)["detail"] == (
            "cursor: was issued for another is_predefined"
        )

    def test_rate(self) -> None:
        """Calls that come too fast."""
        account = FakeAccount(api_key="sesame", clock=lambda: START)
        account.limit_rate(1.0)
        ask(account, "GET /v2/roles")
        assert answer("GET /v2/roles", account=account)["detail"] == "too many requests"


@pytest.mark.parametrize(
    ("status", "title", "anchor"),
    [
        (400, "Invalid request parameters", "invalid-request"),
        (401, "Authentication required", "authentication-required"),
        (403, "Access forbidden", "access-forbidden"),
        (404, "Resource not found", "resource-not-found"),
        (405, "Method Not Allowed", None),
        (409, "Resource conflict", "resource-conflict"),
        (413, "Content Too Large", None),
        (415, "Unsupported Media Type", None),
        (410, HTTPStatus.GONE.phrase, None),
        (422, "Unprocessable Entity", "unprocessable-entity"),
        (429, "Rate limit exceeded", "rate-limit-exceeded"),
        (503, "Service Unavailable", "service-unavailable"),
        (599, "Status 599", None),
    ],
)
def test_titles(status: int, title: str, anchor: str | None) -> None:
    """Each status has its title and, where the reference has one, the address of its section."""
    expected = {"title": title, "status": status, "detail": "scripted by the test"}
    if anchor is not None:
        expected["type"] = f"{DOCS}#{anchor}"
    account = FakeAccount(api_key="sesame")
    account.fail("list", status)
    assert answer("GET /v2/roles", account=account) == expected
