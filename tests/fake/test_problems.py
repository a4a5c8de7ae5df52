"""The problem documents that the fake answers with, word for word."""

import json
import tomllib
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from arize_roles_fake import Assumptions, FakeAccount
from tests.support.clients import START, Act, ask

DOCS = "https://arize.com/docs/ax/rest-reference/errors"
OWN, PREDEFINED = "Um9sZToxOnZ1cHg%3D", "Um9sZToyOmFuc2g%3D"
GOLDEN = tomllib.loads(Path(__file__).parents[1].joinpath("data/golden.toml").read_text("utf-8"))
CREATED = {"name": "B", "permissions": ["ROLE_READ"]}


BOUND = "'A' cannot be deleted: it still has 1 role binding"


def made(act: Act = id, **options: Any) -> FakeAccount:  # noqa: ANN401 - the account's
    """Return an account of a custom and a predefined role, to which a test did something."""
    account = FakeAccount(api_key="sesame", predefined=False, clock=lambda: START, **options)
    account.add_role("A", ["ROLE_READ"])
    account.add_role("P", ["ROLE_READ"], is_predefined=True)
    act(account)
    return account


def at_its_limit(account: FakeAccount) -> None:
    account.limit_rate(1.0)
    ask(account, GET)


def problem(account: FakeAccount, line: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401
    """Return the problem document that answers a request."""
    text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reply = ask(account, line, text, **headers)
    found = json.loads(reply.body)
    assert found["status"] == reply.status
    assert reply.headers["Content-Type"] == "application/problem+json"
    return found


POST, PATCH = "POST /v2/roles", f"PATCH /v2/roles/{OWN}"
GET, DELETE = "GET /v2/roles", f"DELETE /v2/roles/{OWN}"
DETAILS: list[tuple[Act, str, object, str]] = [
    *(
        (id, POST, {**CREATED, **given}, detail)
        for given, detail in (
            ({"id": "x"}, "id: cannot be set by a caller"),
            ({"n" * 61: 1}, f"{'n' * 59}…: is not a known field"),
            (
                {"permissions": {"TAG_READ": 1}},
                "permissions: must be a list of permissions, not dict",
            ),
            ({"name": "A"}, "a role is already named 'A'"),
        )
    ),
    (id, POST, "[]", "body: must be an object"),
    (id, POST, "", "body: is not valid JSON: it is empty"),
    (id, POST, {}, "name: is required; permissions: is required"),
    (id, PATCH, {}, "name, description, permissions: at least one must be given to change"),
    *((id, f"GET /v2/{target}", None, detail) for target, detail in GOLDEN["details"].items()),
    (id, f"GET /v2/{'x' * 80}", None, f"there is nothing at /v2/{'x' * 76}"),
    (lambda a: a.add_key("sesame", grants=[]), POST, CREATED, "the API key lacks ROLE_CREATE"),
    (lambda a: a.bind("A", user="1", resource="Space:1"), DELETE, None, BOUND),
    (id, f"DELETE /v2/roles/{PREDEFINED}", None, "'P' is a predefined role and cannot be deleted"),
    (at_its_limit, GET, None, "too many requests"),
]


@pytest.mark.parametrize(("act", "line", "body", "detail"), DETAILS)
def test_detail(act: Act, line: str, body: object, detail: str) -> None:
    """The text of each refusal."""
    assert problem(made(act), line, body)["detail"] == detail


def test_cursor() -> None:
    """A cursor of a whole list is refused with the filter for which it was not issued."""
    account = made()
    cursor = quote(json.loads(ask(account, f"{GET}?limit=1").body)["pagination"]["next_cursor"])
    asked = f"{GET}?cursor={cursor}&is_predefined=true"
    assert problem(account, asked)["detail"] == "cursor: was issued for another is_predefined"


def test_assumed() -> None:
    """Some services refuse more."""
    assumptions = Assumptions(duplicate_permissions="refused", name_comparison="trimmed")
    account = made(assumptions=assumptions)
    for given, detail in (
        ({"permissions": ["ROLE_READ"] * 2}, "permissions: must not hold one permission twice"),
        ({"name": "  "}, "name: must not be only spaces"),
    ):
        assert problem(account, POST, {**CREATED, **given})["detail"] == detail


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("Text/Plain; charset=utf-8", "text/plain"),
        ("x" * 81, "x" * 80),
        ("application/json; charset=utf-8", None),
        ("text/a+json", None),
    ],
)
def test_content_type(content_type: str, shown: str | None) -> None:
    """A body has to be JSON by its content type."""
    body = json.dumps(CREATED).encode()
    reply = ask(made(), POST, body, Content_Type=content_type)
    assert reply.status == (201 if shown is None else 415)
    if shown is not None:
        detail = f"the body must be application/json, not {shown!r}"
        assert json.loads(reply.body)["detail"] == detail


@pytest.mark.parametrize(
    ("target", "allowed"), [("/v2/roles", "GET, POST"), (f"/v2/roles/{OWN}", "GET, PATCH, DELETE")]
)
def test_allow(target: str, allowed: str) -> None:
    """To a method that is not allowed, a header says which are."""
    reply = ask(made(), f"PUT {target}")
    assert (reply.status, reply.headers["Allow"]) == (405, allowed)
    assert json.loads(reply.body)["detail"] == "PUT is not allowed here"


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        *((each, "missing") for each in ("", "sesame", "Basic sesame", "Bearer")),
        *((each, "unknown") for each in ("Bearer x", "Bearer SESAME", "bearer x")),
    ],
)
def test_key(authorization: str, detail: str) -> None:
    """Only a bearer key is a key, in its own case."""
    reply = ask(made(), "GET /v2/roles", Authorization=authorization)
    assert json.loads(reply.body)["detail"] == f"the API key is {detail}"
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_full() -> None:
    """A plan that is full has members that give its numbers."""
    assert problem(made(max_custom_roles=1), POST, CREATED) == {
        "title": "Access forbidden",
        "status": 403,
        "type": f"{DOCS}#access-forbidden",
        "detail": "the account's plan allows no more custom roles",
        "entitlement": "CUSTOM_ROLES",
        "limit": 1,
        "current_count": 1,
        "required_plan": "ENTERPRISE",
    }


@pytest.mark.parametrize(
    ("status", "title", "anchor"),
    [
        (400, "Invalid request parameters", "invalid-request"),
        (401, "Authentication required", "authentication-required"),
        (403, "Access forbidden", "access-forbidden"),
        (404, "Resource not found", "resource-not-found"),
        (409, "Resource conflict", "resource-conflict"),
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
    assert problem(made(lambda a: a.fail("list", status)), "GET /v2/roles") == expected
