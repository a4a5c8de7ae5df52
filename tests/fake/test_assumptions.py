"""Assumptions as settings, and what they change beyond the rules of the contract."""

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from arize_roles_fake import Assumptions, FakeAccount
from tests.support.clients import START, answer, request_binding


def assuming(**settings: Any) -> FakeAccount:  # noqa: ANN401 - checked by the class
    return FakeAccount(assumptions=Assumptions(**settings), clock=lambda: START, predefined=False)


def test_invalid_body() -> None:
    """A body that breaks a rule, also of a wrong kind, has the status assumed, and a query 400."""
    account = assuming(invalid_body=422)
    assert answer(account, "POST /v2/roles", [])[0] == 422
    for resource in ("Space:1", "my-project"):
        assert request_binding(account, "ada", resource, "PROJECT") == 422
    assert answer(account, "GET /v2/roles?limit=0")[0] == 400


def test_own_name() -> None:
    """A role can be renamed to its own name in other letters."""
    account = assuming(name_comparison="case-insensitive")
    role_id = account.add_role("Analyst").id
    assert answer(account, f"PATCH /v2/roles/{quote(role_id)}", {"name": "ANALYST"})[0] == 200


def test_kept_name() -> None:
    """A kept name is compared as the names of roles are."""
    account = assuming(name_comparison="case-insensitive", deleted_name="kept")
    role_id = account.add_role("Analyst").id
    assert answer(account, f"DELETE /v2/roles/{quote(role_id)}")[0] == 204
    body = {"name": "ANALYST", "permissions": ["TAG_READ"]}
    assert answer(account, "POST /v2/roles", body)[0] == 409


@pytest.mark.parametrize(
    ("value", "digits"), [("microseconds", 123_456), ("milliseconds", 123_000), ("seconds", 0)]
)
def test_timestamps(value: Any, digits: int) -> None:  # noqa: ANN401
    """Every time of a record is cut, whether the account sets it, a test, a change or a file."""
    account, finest = assuming(timestamps=value), assuming()
    for each in (account, finest):
        each.advance(0.123_456)
        each.add_role("A", created_at=each.now(), updated_at=each.now())
        made = each.bind("A", user="ada@example.com", resource="Project:1")
        assert answer(each, "POST /v2/roles", {"name": "B", "permissions": ["TAG_READ"]})[0] == 201
        assert request_binding(each, "eve@example.com", "Space:1") == 201
        role_id = each.roles[0].id
        for line, body in (
            (f"PATCH /v2/roles/{quote(role_id)}", {"name": "C"}),
            (f"PATCH /v2/role-bindings/{quote(made.id)}", {"role_id": role_id}),
        ):
            assert answer(each, line, body)[0] == 200
    lists = ("roles", "role-bindings?resource_type=SPACE", "role-bindings?resource_type=PROJECT")
    loaded = FakeAccount.load(finest.dump(), assumptions=Assumptions(timestamps=value))
    for each in (account, loaded):
        text = "".join(
            str(answer(each, f"GET /v2/{name}")[1])
            for name in (*lists, "users", "spaces", "projects")
        )
        times = re.findall(r"_at': '([^']+)'", text)
        assert len(times) == 13
        assert {datetime.fromisoformat(time).microsecond for time in times} == {digits}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("predefined_refusal=402", "predefined_refusal must be one of 403, 400, not '402'"),
        ("foreign_cursor=1", "foreign_cursor must be one of 400, 'ignored', not '1'"),
        ("invalid=400", "'invalid' is not an assumption; these are: invalid_body, predefined_"),
    ],
)
def test_not_a_setting(text: str, message: str) -> None:
    """An unknown setting is refused, with a list of the known ones."""
    with pytest.raises(ValueError, match=r".") as caught:
        Assumptions.parse([text])
    assert str(caught.value).startswith(message)


def test_file() -> None:
    """A file keeps those that are turned, and an argument counts more."""
    text = assuming(invalid_body=422, list_order="oldest-first").dump()
    turned = {"invalid_body": 422, "list_order": "oldest-first"}
    for each in (text, FakeAccount.load(text).dump()):
        assert json.loads(each)["assumptions"] == turned
    other = FakeAccount.load(text, assumptions=Assumptions(unknown_id=400))
    assert json.loads(other.dump())["assumptions"] == {"unknown_id": 400}
    with pytest.raises(ValueError, match="'nothing' is not an assumption"):
        FakeAccount.load('{"roles": [], "assumptions": {"nothing": 1}}')
