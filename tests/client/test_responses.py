"""Responses and permissions: JSON, data and back, repr, and Python's own protocols."""

import json
import sys
import traceback
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from arize_roles_async import (
    InvalidResponseError,
    ListRolesResponse,
    PaginationMetadata,
    Permission,
    Request,
    Response,
    Role,
    RolesError,
    UnknownPermission,
    ValidationError,
)
from arize_roles_async._values.json import MAX_BODY, parse_json
from arize_roles_async._values.models import Model
from arize_roles_async._wire.decode import decode
from tests.support.models import example, models

ROLE = Role(
    id="Um9sZToxOmFCY0Q=",
    name="AI Engineer",
    description="Looks at projects.",
    permissions=(Permission.PROJECT_READ, UnknownPermission("PROMPT_SHARE")),
    is_predefined=False,
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    updated_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=30))),
)
BARE = Role(
    id="Um9sZToyOmFCY0Q=",
    name="Viewer",
    is_predefined=True,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)
PAGE = ListRolesResponse(
    roles=(ROLE, BARE), pagination=PaginationMetadata(has_more=True, next_cursor="bmV4dA==")
)

ROLE_DATA = {
    "id": "Um9sZToxOmFCY0Q=",
    "name": "AI Engineer",
    "description": "Looks at projects.",
    "permissions": ["PROJECT_READ", "PROMPT_SHARE"],
    "is_predefined": False,
    "created_at": "2026-01-02T03:04:05.678000+00:00",
    "updated_at": "2026-02-03T04:05:06+05:30",
}
BARE_DATA = {
    "id": "Um9sZToyOmFCY0Q=",
    "name": "Viewer",
    "is_predefined": True,
    "created_at": "2026-01-01T00:00:00+00:00",
    "updated_at": "2026-01-01T00:00:00+00:00",
}
UNKNOWN = UnknownPermission("DATASET_EXAMPLE_TELEPORT")
PAGE_DATA = {
    "roles": [ROLE_DATA, BARE_DATA],
    "pagination": {"has_more": True, "next_cursor": "bmV4dA=="},
}


EXAMPLES = [*map(example, models()), (ROLE, ROLE_DATA), (BARE, BARE_DATA), (PAGE, PAGE_DATA)]


class TestData:
    """Data and back."""

    @pytest.mark.parametrize(("model", "data"), EXAMPLES)
    def test_both_ways(self, model: Model, data: dict[str, Any]) -> None:
        """Every model turns into data or a line of JSON, without what is absent, and back."""
        assert model.to_dict() == data == json.loads(model.to_json())
        assert "\n" not in model.to_json()
        for text in (json.dumps(data), json.dumps(data).encode()):
            assert model.from_json(text) == model.from_dict(data) == model

    @pytest.mark.parametrize("model", models())
    def test_fields(self, model: Any) -> None:  # noqa: ANN401 - a class
        """The fields of every model are given by name, and nobody changes them."""
        assert {field.kw_only for field in attrs.fields(model)} == {True}
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            example(model)[0].id = "b"

    def test_decoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer of a newer service is decoded in one step, without the slow way."""
        monkeypatch.setitem(sys.modules, "arize_roles_async._values.convert", None)
        body = json.dumps({**ROLE_DATA, "new": 1}).encode()
        request = Request(method="GET", target="/v2/roles/x")
        role = decode(Role, request, Response(status=200, headers={}, body=body))
        assert role == ROLE
        assert [type(each) for each in role.permissions or ()] == [Permission, UnknownPermission]

    def test_lenient(self) -> None:
        """Unknown keys are ignored, null is absence, and a leap second is the second before it."""
        more = {"color": "teal", "description": None, "permissions": None}
        assert Role.from_dict({**BARE_DATA, **more}) == BARE
        longest = {"id": "i" * 1000, "permissions": ["X"] * 1000}
        leap = {"created_at": "2026-12-31t23:59:60z"}
        role = Role.from_dict({**ROLE_DATA, **longest, **leap})
        assert role.created_at == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("id", ["", 7, "i" * 1001]),
            ("name", [None]),
            ("is_predefined", ["false", 0]),
            ("permissions", ["ROLE_READ", ["ROLE_READ", 7], ["X"] * 1001]),
            ("created_at", ["yesterday", "2026-01-01T00:60:00Z", 5, "2026-01-01T00:00:00"]),
        ],
    )
    def test_invalid(self, field: str, values: list[object]) -> None:
        """Data that is not valid is refused by field, with the reason of who looked at it."""
        for value in values:
            with pytest.raises(ValidationError) as caught:
                Role.from_dict({**ROLE_DATA, field: value})
            (violation,) = caught.value.violations
            assert violation.field == f"$.{field}"
            assert violation.message

    def test_first_faults(self) -> None:
        """Of the roles of a page that are not valid, the first three are named."""
        bad = {**BARE_DATA, "id": ""}
        with pytest.raises(ValidationError) as caught:
            ListRolesResponse.from_dict({"roles": [bad, ROLE_DATA, 7, bad, bad]})

        first, second, third, fourth = caught.value.violations
        assert [first.field, third.field] == ["$.roles[0].id", "$.roles[3].id"]
        assert str(second) == "$.roles[2]: must be an object, not int"
        assert str(fourth) == "$.pagination: is required"
        assert "invalid items" in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ('{"roles": [], "pagination": null}', ".pagination: must be an object, not None"),
            ('{"roles": [], "pagination": []}', ".pagination: must be an object, not list"),
            ('{"roles": 5, "pagination": {"has_more": false}}', ".roles: must be a list, not int"),
            (None, ": must be JSON text, not None"),
            (5, ": must be JSON text, not int"),
            ("[]", ": must be an object, not list"),
            ("{", ": is not valid JSON: "),
            ('{"name": "\ud800"}', ": is not valid JSON: "),
            pytest.param('{"":' * 100_000, ": is not valid JSON: ", id="deep"),
        ],
    )
    def test_other_kind(self, given: Any, message: str) -> None:  # noqa: ANN401
        """A value in place of an object, a list or JSON is refused."""
        with pytest.raises(ValidationError) as caught:
            ListRolesResponse.from_json(given)
        assert str(caught.value).startswith(f"${message}")

    def test_surrogates(self) -> None:
        """JSON of what UTF-8 cannot carry is an error of ours."""
        with pytest.raises(RolesError, match=r"^a text holds surrogates, which UTF-8 cannot carry"):
            attrs.evolve(ROLE, name="\ud800").to_json()


def test_fields() -> None:
    """A class describes its fields, in the order of the reference."""
    _, field = PaginationMetadata.model_fields.values()
    described = (field.name, field.type, field.required, field.doc)
    assert described == ("next_cursor", "str | None", False, "The cursor of the next page; opaque.")
    assert not Model.model_fields


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        (
            attrs.evolve(
                BARE,
                description="two\nlines" * 50,
                permissions=(UnknownPermission("P\n" + "P" * 99), *[Permission.ROLE_READ] * 5),
            ),
            (
                "Role(id='Um9sZToyOmFCY0Q=', name='Viewer', "
                "description='two\\nlinestwo\\nlinestwo\\nlinestwo\\nlinestwo…', permissions=("
                f"'P\\n{'P' * 37}…', 'ROLE_READ', 'ROLE_READ', … 3 more), is_predefined=True, "
                "created_at=2026-01-01T00:00:00+00:00, updated_at=2026-01-01T00:00:00+00:00)"
            ),
        ),
        (
            attrs.evolve(PAGE, roles=(ROLE, BARE, ROLE, BARE, BARE)),
            (
                "ListRolesResponse(roles=['AI Engineer', 'Viewer', 'AI Engineer', … 2 more], "
                "pagination=PaginationMetadata(has_more=True, next_cursor='bmV4dA=='))"
            ),
        ),
    ],
)
def test_repr(response: Model, shown: str) -> None:
    """The repr is one line: of a text it shows 40 characters, and of a page a few names."""
    assert repr(response) == shown


@pytest.mark.parametrize(
    ("permission", "resource", "action"),
    [
        (Permission.DATASET_EXAMPLE_ANNOTATE, "DATASET_EXAMPLE", "ANNOTATE"),
        (Permission.USER_PERMISSION_UPDATE, "USER_PERMISSION", "UPDATE"),
        (UNKNOWN, "DATASET_EXAMPLE", "TELEPORT"),
        (UnknownPermission("SOLO"), "", "SOLO"),
    ],
)
def test_parts(permission: Permission | UnknownPermission, resource: str, action: str) -> None:
    """A permission knows its resource and action."""
    assert (permission.resource, permission.action) == (resource, action)


def test_unknown() -> None:
    """An unknown permission is its identifier, and says what it is; by hand it is none."""
    assert UNKNOWN == str(UNKNOWN) == f"{UNKNOWN}" == UNKNOWN.value == "DATASET_EXAMPLE_TELEPORT"
    assert type(str(UNKNOWN)) is str
    assert hash(UNKNOWN) == hash("DATASET_EXAMPLE_TELEPORT")
    assert (UNKNOWN.is_known, Permission.ROLE_READ.is_known) == (False, True)
    assert repr(UNKNOWN) == "UnknownPermission('DATASET_EXAMPLE_TELEPORT')"
    with pytest.raises(ValueError, match=r"."):
        Permission("PROJECT_TELEPORT")


def test_sequence() -> None:
    """A page is a sequence of its roles."""
    assert isinstance(PAGE, Sequence)
    assert (len(PAGE), [*PAGE]) == (2, [ROLE, BARE])
    assert (PAGE[-1], PAGE[1:]) == (BARE, (BARE,))


@pytest.mark.parametrize("character", ["𝄞", ","])
def test_longest_page(character: str) -> None:
    """The longest page that the service can need, escaped in full, is shorter than the limit."""
    role = {
        "id": "Um9sZTo" * 20,
        "name": character * 255,
        "description": character * 1000,
        "permissions": ["REMOTE_ENDPOINT_INTEGRATION_CREATE_AND_MORE"] * 500,
        "is_predefined": False,
        "created_at": "2026-01-02T03:04:05.678901234+00:00",
        "updated_at": "2026-01-02T03:04:05.678901234+00:00",
    }
    body = json.dumps({"roles": [role] * 100, "pagination": {"has_more": False}}).encode()
    assert len(body) <= MAX_BODY
    assert len(ListRolesResponse.from_dict(parse_json(body))) == 100  # type: ignore[arg-type]


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b"{", b"NaN", b"[1,]", b"\xff", b'"\xff"', b'"\\ud800"', b"\xef\xbb\xbf{}"),
            *(b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"1e999999"),
        ],
    )
    def test_not_json(self, body: bytes) -> None:
        """The error for invalid JSON, or for JSON that is nested too deeply, says so."""
        with pytest.raises(ValueError, match=r"^is not valid JSON: "):
            parse_json(body)

    def test_answer(self) -> None:
        """A page of too many values is refused, although each of them is right."""
        times = {f"{each}_at": "2026-01-02T03:04:05Z" for each in ("created", "updated")}
        role = {"id": "x", "name": "x", "is_predefined": False, "permissions": ["A"] * 1000}
        page = {"roles": [role | times] * 200, "pagination": {"has_more": False}}
        answer = Response(status=200, headers={}, body=json.dumps(page).encode())
        with pytest.raises(InvalidResponseError, match="must hold at most 200000 values"):
            decode(ListRolesResponse, Request(method="GET", target="/v2/roles"), answer)

    @pytest.mark.parametrize("item", [b"{}", b"[]", b"0", b'""'])
    def test_values(self, item: bytes) -> None:
        """Too many values, a list or an object being one, are refused, and nothing is made."""
        most = 200_000 if item in {b"0", b'""'} else 100_000
        assert len(parse_json(b"[" + b",".join([item] * most) + b"]")) == most  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        body = b"[" + b",".join([item] * (most + 1)) + b"]"
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"^must hold at most 200000 values$"):
            parse_json(body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000
