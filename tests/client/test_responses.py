"""What a response object can do: data and back, introspection, repr, and Python's own protocols."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import (
    AnyPermission,
    FieldInfo,
    ListRolesResponse,
    PaginationMetadata,
    Permission,
    Role,
    UnknownPermission,
    ValidationError,
)
from arize_roles_fake import FakeRolesClient

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
PAGE_DATA = {
    "roles": [ROLE_DATA, BARE_DATA],
    "pagination": {"has_more": True, "next_cursor": "bmV4dA=="},
}

moments = st.datetimes(
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
permissions = st.lists(
    st.sampled_from(Permission)
    | st.from_regex(r"NEW_[A-Z]{1,9}", fullmatch=True).map(UnknownPermission),
    unique=True,
).map(tuple[AnyPermission, ...])
roles = st.builds(
    Role,
    id=st.text(min_size=1),
    name=st.text(),
    description=st.none() | st.text(),
    permissions=st.none() | permissions,
    is_predefined=st.booleans(),
    created_at=moments,
    updated_at=moments,
)


def notebook(response: Any) -> str:  # noqa: ANN401 - a notebook knows no types either
    """Return what a notebook shows of a response."""
    return str(response._repr_html_())


# Data and back


def test_a_role_turns_into_json_ready_data() -> None:
    assert ROLE.to_dict() == ROLE_DATA


def test_what_is_absent_stays_absent() -> None:
    assert BARE.to_dict() == BARE_DATA
    assert PaginationMetadata(has_more=False).to_dict() == {"has_more": False}


def test_a_page_turns_into_json_ready_data() -> None:
    assert PAGE.to_dict() == PAGE_DATA


def test_the_data_holds_plain_strings_only() -> None:
    data = ROLE.to_dict()

    assert [type(p) for p in data["permissions"]] == [str, str]


def test_json_is_the_same_data_on_one_line() -> None:
    text = PAGE.to_json()

    assert json.loads(text) == PAGE_DATA
    assert "\n" not in text


def test_data_gives_the_equal_object_back() -> None:
    assert Role.from_dict(ROLE_DATA) == ROLE
    assert Role.from_dict(BARE_DATA) == BARE
    assert ListRolesResponse.from_dict(PAGE_DATA) == PAGE


@pytest.mark.parametrize("text", [json.dumps(PAGE_DATA), json.dumps(PAGE_DATA).encode()])
def test_json_gives_the_equal_object_back_from_text_or_bytes(text: str | bytes) -> None:
    assert ListRolesResponse.from_json(text) == PAGE


def test_permissions_come_back_as_members_and_as_unknown_ones() -> None:
    permissions = Role.from_dict(ROLE_DATA).permissions

    assert permissions is not None
    assert permissions[0] is Permission.PROJECT_READ
    assert isinstance(permissions[1], UnknownPermission)


@given(roles)
def test_every_role_survives_the_round_trip(role: Role) -> None:
    assert Role.from_dict(role.to_dict()) == role


@given(roles)
def test_every_role_of_encodable_text_survives_json(role: Role) -> None:
    assert Role.from_json(role.to_json()) == role


def test_unknown_keys_are_ignored() -> None:
    assert Role.from_dict({**ROLE_DATA, "color": "teal"}) == ROLE


def test_null_for_an_optional_field_is_absence() -> None:
    assert Role.from_dict({**BARE_DATA, "description": None, "permissions": None}) == BARE


def test_a_leap_second_is_the_second_before_it() -> None:
    role = Role.from_dict({**BARE_DATA, "created_at": "2026-12-31t23:59:60z"})

    assert role.created_at == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"id": ""}, "$.id", "must not be empty"),
        ({"id": 7}, "$.id", "must be of type str, not int"),
        ({"name": None}, "$.name", "must be of type str, not NoneType"),
        ({"is_predefined": "false"}, "$.is_predefined", "must be of type bool, not str"),
        ({"is_predefined": 0}, "$.is_predefined", "must be of type bool, not int"),
        ({"permissions": "ROLE_READ"}, "$.permissions", "must be a list of strings"),
        ({"permissions": ["ROLE_READ", 7]}, "$.permissions", "must be a list of strings"),
        ({"created_at": 5}, "$.created_at", "must be an RFC 3339 date-time, not int"),
        ({"created_at": "2026-01-01T00:00:00"}, "$.created_at", "must carry an offset from UTC"),
    ],
)
def test_data_of_the_wrong_type_is_refused_by_field(
    change: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Role.from_dict({**ROLE_DATA, **change})

    assert [(v.field, v.message) for v in caught.value.violations] == [(field, message)]


def test_the_sixtieth_minute_is_no_leap_second() -> None:
    with pytest.raises(ValidationError):
        Role.from_dict({**ROLE_DATA, "created_at": "2026-01-01T00:60:00Z"})


def test_every_fault_of_a_page_is_named_with_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        ListRolesResponse.from_dict({"roles": [ROLE_DATA, {**BARE_DATA, "name": 1}]})

    assert {(v.field, v.message) for v in caught.value.violations} == {
        ("$.roles[1].name", "must be of type str, not int"),
        ("$.pagination", "is required"),
    }


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        Role.from_json("[]")

    assert str(caught.value) == "$: must be an object, not list"


@pytest.mark.parametrize("text", ["{", b"\xff", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValidationError, match="is not valid JSON"):
        Role.from_json(text)


# Introspection


def test_fields_tell_name_type_meaning_and_whether_they_are_always_there() -> None:
    assert Role.model_fields["description"] == FieldInfo(
        name="description",
        type="str | None",
        required=False,
        doc="At most 1000 characters; None if there is none.",
    )


def test_fields_come_in_the_order_of_the_reference() -> None:
    assert [(f.name, f.required) for f in Role.model_fields.values()] == [
        ("id", True),
        ("name", True),
        ("description", False),
        ("permissions", False),
        ("is_predefined", True),
        ("created_at", True),
        ("updated_at", True),
    ]


@pytest.mark.parametrize("model", [Role, ListRolesResponse, PaginationMetadata])
def test_model_fields_are_the_fields_by_name(
    model: type[Role | ListRolesResponse | PaginationMetadata],
) -> None:
    assert list(model.model_fields) == [field.name for field in attrs.fields(model)]
    assert all(field.name == name and field.doc for name, field in model.model_fields.items())


# What people see


def test_the_repr_of_a_role_is_one_line() -> None:
    assert repr(ROLE) == (
        "Role(id='Um9sZToxOmFCY0Q=', name='AI Engineer', description='Looks at projects.', "
        "permissions=(PROJECT_READ, 'PROMPT_SHARE'), is_predefined=False, "
        "created_at=2026-01-02T03:04:05.678000+00:00, updated_at=2026-02-03T04:05:06+05:30)"
    )


def test_the_repr_says_where_permissions_were_withheld() -> None:
    assert "permissions=None" in repr(BARE)


def test_the_repr_stays_a_line_whatever_the_service_sends() -> None:
    role = attrs.evolve(
        ROLE,
        id="i" * 500,
        name="two\nlines" * 50,
        description="d" * 1000,
        permissions=(UnknownPermission("A\nB" * 100), *Permission),
    )

    assert "\n" not in repr(role)
    assert len(repr(role)) < 400
    assert "PROJECT_READ" not in repr(role)
    assert f"… {len(Permission) - 2} more" in repr(role)


def test_the_repr_of_a_page_shows_a_few_names() -> None:
    page = attrs.evolve(PAGE, roles=(ROLE, BARE, ROLE, BARE, BARE))

    assert repr(page) == (
        "ListRolesResponse(roles=['AI Engineer', 'Viewer', 'AI Engineer', … 2 more], "
        "pagination=PaginationMetadata(has_more=True, next_cursor='bmV4dA=='))"
    )


def test_a_notebook_shows_a_role_as_a_table_of_its_fields() -> None:
    html = notebook(ROLE)

    assert html.startswith("<table><tr><td>id</td><td>Um9sZToxOmFCY0Q=</td></tr>")
    assert "<tr><td>permissions</td><td>PROJECT_READ, PROMPT_SHARE</td></tr>" in html


def test_a_notebook_shows_a_page_as_a_row_a_role() -> None:
    html = notebook(PAGE)

    assert html.count("<tr>") == 3
    assert "<th>permissions</th>" in html
    assert "<td>AI Engineer</td><td>Looks at projects.</td><td>PROJECT_READ, PROMPT_SHARE</td>" in (
        html
    )
    assert "<td>Viewer</td><td></td><td></td><td>True</td>" in html


def test_a_notebook_shows_the_first_hundred_roles() -> None:
    html = notebook(attrs.evolve(PAGE, roles=(BARE,) * 103))

    assert html.count("<td>Viewer</td>") == 100
    assert "<td>… 3 more</td>" in html


def test_what_a_notebook_shows_is_escaped() -> None:
    role = attrs.evolve(ROLE, name="<script>", permissions=(UnknownPermission("<b>&"),))

    for html in (notebook(role), notebook(attrs.evolve(PAGE, roles=(role,)))):
        assert "<script>" not in html
        assert "<td>&lt;script&gt;</td>" in html
        assert "&lt;b&gt;&amp;" in html


# Python's own protocols


@pytest.mark.parametrize("response", [ROLE, BARE, PAGE, PAGE.pagination])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_gives_the_equal_object_back(response: object, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(response, protocol)) == response  # noqa: S301 - our own


def test_pickle_keeps_members_members() -> None:
    back: Role = pickle.loads(pickle.dumps(ROLE))  # noqa: S301 - our own

    assert back.permissions is not None
    assert back.permissions[0] is Permission.PROJECT_READ
    assert type(back.permissions[1]) is UnknownPermission


@pytest.mark.parametrize("response", [ROLE, PAGE, PAGE.pagination])
def test_copies_are_equal(response: object) -> None:
    assert copy.copy(response) == response
    assert copy.deepcopy(response) == response


def test_equal_roles_are_one_in_a_set() -> None:
    assert {ROLE, Role.from_dict(ROLE_DATA), BARE} == {ROLE, BARE}


def test_a_response_cannot_be_changed() -> None:
    role: Any = ROLE

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        role.name = "Other"


def test_attrs_evolve_makes_a_changed_copy() -> None:
    assert attrs.evolve(ROLE, name="Other").to_dict() == {**ROLE_DATA, "name": "Other"}


def test_attrs_asdict_gives_the_values_as_they_are() -> None:
    data = attrs.asdict(PAGE)

    assert data["roles"][0]["created_at"] == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert data["pagination"] == {"has_more": True, "next_cursor": "bmV4dA=="}


def test_a_role_matches_a_pattern_of_its_fields() -> None:
    match ROLE:
        case Role(name="AI Engineer", permissions=(Permission.PROJECT_READ, *others)):
            assert others == ["PROMPT_SHARE"]
        case _:
            pytest.fail("it does not match")


def test_a_page_matches_the_pattern_of_a_sequence() -> None:
    match PAGE:
        case [Role(name=first), Role(is_predefined=True) as last]:
            assert (first, last) == ("AI Engineer", BARE)
        case _:
            pytest.fail("it does not match")


def test_a_page_matches_a_pattern_of_its_fields() -> None:
    match PAGE:
        case ListRolesResponse(pagination=PaginationMetadata(has_more=True, next_cursor=str(more))):
            assert more == "bmV4dA=="
        case _:
            pytest.fail("it does not match")


# A page is a sequence of its roles


def test_a_page_is_a_sequence_of_its_roles() -> None:
    assert len(PAGE) == 2
    assert list(PAGE) == [ROLE, BARE]
    assert list(reversed(PAGE)) == [BARE, ROLE]
    assert ROLE in PAGE
    assert attrs.evolve(ROLE, name="Other") not in PAGE
    assert PAGE.index(BARE) == 1
    assert PAGE.count(ROLE) == 1


def test_a_page_is_indexed_and_sliced() -> None:
    assert PAGE[0] is ROLE
    assert PAGE[-1] is BARE
    assert PAGE[1:] == (BARE,)
    with pytest.raises(IndexError):
        _ = PAGE[2]


def test_an_empty_page_is_false() -> None:
    assert not attrs.evolve(PAGE, roles=())
    assert PAGE


@pytest.mark.asyncio
async def test_what_a_client_returns_survives_the_round_trip() -> None:
    async with FakeRolesClient() as client:
        page = await client.list(limit=2)

    assert ListRolesResponse.from_json(page.to_json()) == page
