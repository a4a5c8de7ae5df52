"""Response objects: data and back, introspection, repr, and Python's own protocols."""

import copy
import json
import pickle
import traceback
import weakref
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arize_roles_async import (
    AnyPermission,
    ListRolesResponse,
    PaginationMetadata,
    Permission,
    Role,
    RolesError,
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


class TestData:
    """Data and back."""

    def test_role(self) -> None:
        """A role turns into JSON-ready data."""
        assert ROLE.to_dict() == ROLE_DATA

    def test_absent(self) -> None:
        """An absent field stays absent."""
        assert BARE.to_dict() == BARE_DATA
        assert PaginationMetadata(has_more=False).to_dict() == {"has_more": False}

    def test_page(self) -> None:
        """A page turns into JSON-ready data."""
        assert PAGE.to_dict() == PAGE_DATA

    def test_plain_strings(self) -> None:
        """The data holds plain strings only."""
        data = ROLE.to_dict()

        assert [type(p) for p in data["permissions"]] == [str, str]

    def test_to_json(self) -> None:
        """JSON is the same data on one line."""
        text = PAGE.to_json()

        assert json.loads(text) == PAGE_DATA
        assert "\n" not in text

    def test_from_dict(self) -> None:
        """Data gives the equal object back."""
        assert Role.from_dict(ROLE_DATA) == ROLE
        assert Role.from_dict(BARE_DATA) == BARE
        assert ListRolesResponse.from_dict(PAGE_DATA) == PAGE

    @pytest.mark.parametrize("text", [json.dumps(PAGE_DATA), json.dumps(PAGE_DATA).encode()])
    def test_from_json(self, text: str | bytes) -> None:
        """JSON gives the equal object back, from text or bytes."""
        assert ListRolesResponse.from_json(text) == PAGE

    def test_permissions(self) -> None:
        """Permissions come back as members and as unknown ones."""
        permissions = Role.from_dict(ROLE_DATA).permissions

        assert permissions is not None
        assert permissions[0] is Permission.PROJECT_READ
        assert isinstance(permissions[1], UnknownPermission)

    @given(roles)
    def test_round_trip(self, role: Role) -> None:
        """Every role survives the round trip."""
        assert Role.from_dict(role.to_dict()) == role

    @given(roles)
    def test_json_round_trip(self, role: Role) -> None:
        """Every role of encodable text survives JSON."""
        assert Role.from_json(role.to_json()) == role

    def test_unknown_keys(self) -> None:
        """Unknown keys are ignored."""
        assert Role.from_dict({**ROLE_DATA, "color": "teal"}) == ROLE

    def test_null(self) -> None:
        """Null for an optional field is absence."""
        assert Role.from_dict({**BARE_DATA, "description": None, "permissions": None}) == BARE

    def test_leap_second(self) -> None:
        """A leap second is the second before it."""
        role = Role.from_dict({**BARE_DATA, "created_at": "2026-12-31t23:59:60z"})

        assert role.created_at == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("change", "field", "message"),
        [
            ({"id": ""}, "$.id", "Expected `str` of length >= 1"),
            ({"id": 7}, "$.id", "Expected `str`, got `int`"),
            ({"name": None}, "$.name", "Expected `str`, got `null`"),
            ({"is_predefined": "false"}, "$.is_predefined", "Expected `bool`, got `str`"),
            ({"is_predefined": 0}, "$.is_predefined", "Expected `bool`, got `int`"),
            ({"permissions": "ROLE_READ"}, "$.permissions", "Expected `array`, got `str`"),
            ({"permissions": ["ROLE_READ", 7]}, "$.permissions", "Expected `str`, got `int`"),
            ({"created_at": 5}, "$.created_at", "Expected `datetime`, got `int`"),
            (
                {"created_at": "2026-01-01T00:00:00"},
                "$.created_at",
                "Expected `datetime` with a timezone component",
            ),
        ],
    )
    def test_wrong_type(self, change: dict[str, object], field: str, message: str) -> None:
        """Data of the wrong type is refused by field."""
        with pytest.raises(ValidationError) as caught:
            Role.from_dict({**ROLE_DATA, **change})

        assert [(v.field, v.message) for v in caught.value.violations] == [(field, message)]

    @pytest.mark.parametrize(
        ("longest", "longer", "field", "message"),
        [
            (
                {"permissions": ["X"] * 1000},
                {"permissions": ["X"] * 1001},
                "$.permissions",
                "Expected `array` of length <= 1000",
            ),
            (
                {"id": "i" * 1000},
                {"id": "i" * 1001},
                "$.id",
                "Expected `str` of length <= 1000",
            ),
            ({}, {"created_at": "yesterday"}, "$.created_at", "Invalid RFC3339 encoded datetime"),
        ],
    )
    def test_too_long(
        self, longest: dict[str, object], longer: dict[str, object], field: str, message: str
    ) -> None:
        """A value that is longer than any of the service's is refused."""
        Role.from_dict({**ROLE_DATA, **longest})
        with pytest.raises(ValidationError) as caught:
            Role.from_dict({**ROLE_DATA, **longer})

        assert [(v.field, v.message) for v in caught.value.violations] == [(field, message)]

    def test_first_faults(self) -> None:
        """Of the roles of a page that are not valid, the first three are named."""
        bad = {**BARE_DATA, "id": ""}
        with pytest.raises(ValidationError) as caught:
            ListRolesResponse.from_dict({**PAGE_DATA, "roles": [bad, ROLE_DATA, 7, bad, bad]})

        assert [(v.field, v.message) for v in caught.value.violations] == [
            ("$.roles[0].id", "Expected `str` of length >= 1"),
            ("$.roles[2]", "must be an object, not int"),
            ("$.roles[3].id", "Expected `str` of length >= 1"),
        ]
        assert "invalid items (3 sub-exceptions)" in "".join(
            traceback.format_exception(caught.value)
        )

    def test_sixtieth_minute(self) -> None:
        """A sixtieth minute is not a leap second."""
        with pytest.raises(ValidationError):
            Role.from_dict({**ROLE_DATA, "created_at": "2026-01-01T00:60:00Z"})

    def test_every_fault(self) -> None:
        """Every fault of a page is named with its place."""
        with pytest.raises(ValidationError) as caught:
            ListRolesResponse.from_dict({"roles": [ROLE_DATA, {**BARE_DATA, "name": 1}]})

        assert {(v.field, v.message) for v in caught.value.violations} == {
            ("$.roles[1].name", "Expected `str`, got `int`"),
            ("$.pagination", "is required"),
        }

    def test_not_an_object(self) -> None:
        """A value that is not an object is refused."""
        with pytest.raises(ValidationError) as caught:
            Role.from_json("[]")

        assert str(caught.value) == "$: must be an object, not list"

    @pytest.mark.parametrize(("pagination", "what"), [(None, "None"), ([], "list"), ("p2", "str")])
    def test_not_a_model(self, pagination: object, what: str) -> None:
        """So is one within another object."""
        with pytest.raises(ValidationError) as caught:
            ListRolesResponse.from_dict({"roles": [], "pagination": pagination})

        assert str(caught.value) == f"$.pagination: must be an object, not {what}"

    @pytest.mark.parametrize(("text", "what"), [(None, "None"), (5, "int"), ([], "list")])
    def test_no_text(self, text: Any, what: str) -> None:  # noqa: ANN401 - whatever was given
        """An argument that is neither text nor bytes is refused."""
        with pytest.raises(ValidationError) as caught:
            Role.from_json(text)

        assert str(caught.value) == f"$: must be JSON text, not {what}"

    def test_subclass_of_str(self) -> None:
        """Text of a class of its own is text."""
        text = type("Text", (str,), {})(ROLE.to_json())
        assert Role.from_json(text) == ROLE

    @pytest.mark.parametrize(
        "text", ["{", b"\xff", "[" * 100_000, b'{"name": "\xff"}', '{"name": "\ud800"}']
    )
    def test_not_json(self, text: str | bytes) -> None:
        """Text that is not valid JSON is refused."""
        with pytest.raises(ValidationError, match=r"^\$: is not valid JSON: "):
            Role.from_json(text)


def fields_of(
    model: type[Role | ListRolesResponse | PaginationMetadata],
) -> list[tuple[str, str, bool, str]]:
    assert all(name == field.name for name, field in model.model_fields.items())
    return [(f.name, f.type, f.required, f.doc) for f in model.model_fields.values()]


class TestFields:
    """The descriptions of a class's fields."""

    def test_role(self) -> None:
        """A role's fields, in the order of the reference."""
        assert fields_of(Role) == [
            ("id", "str", True, "Opaque; base64 of a text with a colon in it."),
            ("name", "str", True, "Unique within the account, 1 to 255 characters."),
            (
                "description",
                "str | None",
                False,
                "At most 1000 characters; None if there is none.",
            ),
            (
                "permissions",
                "tuple[Permission | UnknownPermission, ...] | None",
                False,
                "None where the service withheld them: the caller lacks ROLE_READ.",
            ),
            ("is_predefined", "bool", True, "Whether the role is the system's own, and read-only."),
            ("created_at", "datetime", True, "When the role was created; timezone-aware."),
            ("updated_at", "datetime", True, "When it last changed; timezone-aware."),
        ]

    def test_page(self) -> None:
        """A page's fields."""
        assert fields_of(ListRolesResponse) == [
            ("roles", "tuple[Role, ...]", True, "Newest first; at most 100 in one page."),
            ("pagination", "PaginationMetadata", True, "Whether more follow, and the cursor."),
        ]
        assert fields_of(PaginationMetadata) == [
            ("has_more", "bool", True, "Whether roles follow this page."),
            ("next_cursor", "str | None", False, "The cursor of the next page; opaque."),
        ]


class TestDisplay:
    """The reprs."""

    def test_repr_role(self) -> None:
        """The repr of a role is one line."""
        assert repr(ROLE) == (
            "Role(id='Um9sZToxOmFCY0Q=', name='AI Engineer', description='Looks at projects.', "
            "permissions=('PROJECT_READ', 'PROMPT_SHARE'), is_predefined=False, "
            "created_at=2026-01-02T03:04:05.678000+00:00, updated_at=2026-02-03T04:05:06+05:30)"
        )

    def test_repr_withheld(self) -> None:
        """The repr says where permissions were withheld."""
        assert "permissions=None" in repr(BARE)

    def test_repr_one_line(self) -> None:
        """The repr stays a line, whatever the service sends."""
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

    def test_repr_text(self) -> None:
        """The repr shows 40 characters of a text."""
        assert f"name='{'n' * 40}'," in repr(attrs.evolve(ROLE, name="n" * 40))
        assert f"name='{'n' * 39}…'," in repr(attrs.evolve(ROLE, name="n" * 41))
        assert repr(PaginationMetadata(has_more=True, next_cursor="c" * 41)) == (
            f"PaginationMetadata(has_more=True, next_cursor='{'c' * 39}…')"
        )

    def test_repr_page(self) -> None:
        """The repr of a page shows a few names."""
        page = attrs.evolve(PAGE, roles=(ROLE, BARE, ROLE, BARE, BARE))

        assert repr(page) == (
            "ListRolesResponse(roles=['AI Engineer', 'Viewer', 'AI Engineer', … 2 more], "
            "pagination=PaginationMetadata(has_more=True, next_cursor='bmV4dA=='))"
        )


def test_surrogates() -> None:
    """JSON of what UTF-8 cannot carry is an error of ours."""
    with pytest.raises(RolesError, match=r"^a text holds surrogates, which UTF-8 cannot carry: "):
        attrs.evolve(ROLE, name="\ud800").to_json()


class TestProtocols:
    """Python's own protocols."""

    @pytest.mark.parametrize("response", [ROLE, BARE, PAGE, PAGE.pagination])
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle(self, response: object, protocol: int) -> None:
        """Pickle gives the equal object back."""
        assert pickle.loads(pickle.dumps(response, protocol)) == response  # noqa: S301 - our own

    def test_pickle_members(self) -> None:
        """Pickle keeps members members."""
        back: Role = pickle.loads(pickle.dumps(ROLE))  # noqa: S301 - our own

        assert back.permissions is not None
        assert back.permissions[0] is Permission.PROJECT_READ
        assert type(back.permissions[1]) is UnknownPermission

    @pytest.mark.parametrize("response", [ROLE, PAGE, PAGE.pagination])
    def test_copies(self, response: object) -> None:
        """Copies are equal."""
        assert copy.copy(response) == response
        assert copy.deepcopy(response) == response

    def test_hash(self) -> None:
        """Equal roles are one in a set."""
        assert {ROLE, Role.from_dict(ROLE_DATA), BARE} == {ROLE, BARE}

    def test_frozen(self) -> None:
        """A response cannot be changed."""
        role: Any = ROLE

        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            role.name = "Other"

    def test_evolve(self) -> None:
        """`attrs.evolve` makes a changed copy."""
        assert attrs.evolve(ROLE, name="Other").to_dict() == {**ROLE_DATA, "name": "Other"}

    def test_older_pickle(self) -> None:
        """A role takes the state that pickles of every version hold."""
        state = {field.name: getattr(ROLE, field.name) for field in attrs.fields(Role)}
        role = object.__new__(Role)
        role.__setstate__(state)  # type: ignore[attr-defined]
        assert role == ROLE

    def test_weak_reference(self) -> None:
        """A weak reference does not keep a role."""
        role = attrs.evolve(ROLE)
        reference = weakref.ref(role)
        assert reference() is role
        del role
        assert reference() is None

    def test_asdict(self) -> None:
        """`attrs.asdict` gives the values as they are."""
        data = attrs.asdict(PAGE)

        assert data["roles"][0]["created_at"] == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
        assert data["pagination"] == {"has_more": True, "next_cursor": "bmV4dA=="}

    def test_match_role(self) -> None:
        """A role matches a pattern of its fields."""
        match ROLE:
            case Role(name="AI Engineer", permissions=(Permission.PROJECT_READ, *others)):
                assert others == ["PROMPT_SHARE"]
            case _:
                pytest.fail("it does not match")

    def test_match_sequence(self) -> None:
        """A page matches the pattern of a sequence."""
        match PAGE:
            case [Role(name=first), Role(is_predefined=True) as last]:
                assert (first, last) == ("AI Engineer", BARE)
            case _:
                pytest.fail("it does not match")

    def test_match_page(self) -> None:
        """A page matches a pattern of its fields."""
        match PAGE:
            case ListRolesResponse(
                pagination=PaginationMetadata(has_more=True, next_cursor=str(more))
            ):
                assert more == "bmV4dA=="
            case _:
                pytest.fail("it does not match")


class TestSequence:
    """A page is a sequence of its roles."""

    def test_sequence(self) -> None:
        """A page has a length, and holds and yields its roles."""
        assert len(PAGE) == 2
        assert list(PAGE) == [ROLE, BARE]
        assert list(reversed(PAGE)) == [BARE, ROLE]
        assert ROLE in PAGE
        assert attrs.evolve(ROLE, name="Other") not in PAGE
        assert PAGE.index(BARE) == 1
        assert PAGE.count(ROLE) == 1

    def test_index(self) -> None:
        """A page is indexed and sliced."""
        assert PAGE[0] is ROLE
        assert PAGE[-1] is BARE
        assert PAGE[1:] == (BARE,)
        with pytest.raises(IndexError):
            _ = PAGE[2]

    def test_empty(self) -> None:
        """An empty page is false."""
        assert not attrs.evolve(PAGE, roles=())
        assert PAGE

    @pytest.mark.asyncio
    async def test_client(self) -> None:
        """A result of a client survives the round trip."""
        async with FakeRolesClient() as client:
            page = await client.list(limit=2)

        assert ListRolesResponse.from_json(page.to_json()) == page
