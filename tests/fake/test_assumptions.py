"""Assumptions as settings, and what they change beyond the rules of the contract."""

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient
from tests.support.clients import START, answer, request_binding


def assuming(**settings: Any) -> FakeAccount:  # noqa: ANN401 - checked by the class
    return FakeAccount(assumptions=Assumptions(**settings), clock=lambda: START, predefined=False)


def page(account: FakeAccount, limit: int, cursor: str = "") -> tuple[list[str], str]:
    """Return the names on a page of a list, and the cursor of the next page."""
    given = f"&cursor={quote(cursor)}" if cursor else ""
    _, found = answer(account, f"GET /v2/roles?limit={limit}{given}")
    return [role["name"] for role in found["roles"]], found["pagination"].get("next_cursor", "")


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


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("as-sent", ["TAG_READ", "PROJECT_READ", "ROLE_READ"]),
        ("sorted", ["PROJECT_READ", "ROLE_READ", "TAG_READ"]),
        ("reversed", ["ROLE_READ", "PROJECT_READ", "TAG_READ"]),
    ],
)
def test_permission_order(value: Any, kept: list[str]) -> None:  # noqa: ANN401
    """Permissions of an answer come in the order assumed, also after an update."""
    account = assuming(permission_order=value)
    role_id = account.add_role("A").id
    given = {"permissions": ["TAG_READ", "PROJECT_READ", "ROLE_READ"]}
    for line in (f"PATCH /v2/roles/{quote(role_id)}", "POST /v2/roles"):
        assert answer(account, line, {"name": line[:4], **given})[1]["permissions"] == kept


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
    ("value", "seen"),
    [
        ("project", ["Project:ML/churn", "Project:1"]),
        ("space", ["Project:7", "Project:ML/eu/fraud", "Project:ML/churn"]),
    ],
)
async def test_project_rights(value: str, seen: list[str]) -> None:
    """A right on a project's bindings is one on the project, or on the space that it is in."""
    account = assuming(project_rights=value)
    account.add_role("A")
    for name in ("1", "2", "ML/churn", "ML/eu/fraud", "7"):
        account.bind("A", user="ada", resource=f"Project:{name}")
    account.add_project("moved", space="ML", id=account.id("Project:7"))
    places = ("Space:ML", "Space:ML/eu", "Project:1", "Project:ML/churn")
    on: dict[str, list[str]] = {place: ["ROLE_BINDING_READ"] for place in places}
    account.add_key("reader", grants=(), on=on)
    async with FakeRolesClient(account, api_key="reader") as roles:
        page = await roles.role_bindings.list(resource_type="PROJECT")
    assert [account.label(each.resource_id) for each in page.role_bindings] == seen


class TestLists:
    """Order, paging and cursors."""

    @pytest.mark.parametrize(
        ("paging", "order", "second"),
        [
            ("by-position", "newest-first", ["B", "A"]),
            ("by-offset", "newest-first", ["C", "B"]),
            ("by-offset", "oldest-first", ["C", "D"]),
        ],
    )
    def test_role_during_walk(self, paging: str, order: str, second: list[str]) -> None:
        """A role that is created after the first page: only an offset repeats one."""
        account = assuming(paging=paging, list_order=order)
        for name in "ABC":
            account.add_role(name)
        size = 1 if order == "newest-first" else 2
        _, cursor = page(account, size)
        account.add_role("D")
        assert page(account, 2, cursor)[0] == second


class TestSettings:
    """The arguments of assumptions."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("predefined_refusal=402", "predefined_refusal must be one of 403, 400, not '402'"),
            ("foreign_cursor=1", "foreign_cursor must be one of 400, 'ignored', not '1'"),
            ("invalid=400", "'invalid' is not an assumption; these are: invalid_body, predefined_"),
        ],
    )
    def test_not_a_setting(self, text: str, message: str) -> None:
        """An unknown setting is refused, with a list of the known ones."""
        with pytest.raises(ValueError, match=r".") as caught:
            Assumptions.parse([text])
        assert str(caught.value).startswith(message)

    def test_file(self) -> None:
        """A file keeps those that are turned, and an argument counts more."""
        text = assuming(invalid_body=422, list_order="oldest-first").dump()
        turned = {"invalid_body": 422, "list_order": "oldest-first"}
        for each in (text, FakeAccount.load(text).dump()):
            assert json.loads(each)["assumptions"] == turned
        other = FakeAccount.load(text, assumptions=Assumptions(unknown_id=400))
        assert json.loads(other.dump())["assumptions"] == {"unknown_id": 400}
        with pytest.raises(ValueError, match="'nothing' is not an assumption"):
            FakeAccount.load('{"roles": [], "assumptions": {"nothing": 1}}')
