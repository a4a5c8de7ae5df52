"""Roles as data frames: which columns there are, of which types, and what an administrator sees."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import attrs
import pandas as pd
import polars as pl
import pytest

from arize_roles_async import (
    ListRolesResponse,
    MissingExtraError,
    PaginationMetadata,
    Permission,
    Role,
    RolesError,
    UnknownPermission,
    ValidationError,
)
from arize_roles_fake import FakeAccount, FakeRolesClient

INDIA = timezone(timedelta(hours=5, minutes=30))
ENGINEER = Role(
    id="Um9sZToxOmFCY0Q=",
    name="AI Engineer",
    description="Looks at projects.",
    permissions=(Permission.PROJECT_READ, UnknownPermission("ZEBRA_READ")),
    is_predefined=False,
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    updated_at=datetime(2026, 1, 2, 8, 34, 5, tzinfo=INDIA),
)
VIEWER = attrs.evolve(
    ENGINEER,
    id="Um9sZToyOmFCY0Q=",
    name="Viewer",
    description=None,
    permissions=(Permission.PROJECT_READ, Permission.DATASET_READ),
    is_predefined=True,
)
WITHHELD = attrs.evolve(VIEWER, permissions=None)
COLUMNS = [
    *("id", "name", "description", "permissions", "is_predefined"),
    *("created_at", "updated_at"),
]


def page(*roles: Role) -> ListRolesResponse:
    return ListRolesResponse(roles=roles, pagination=PaginationMetadata(has_more=False))


def types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(kind) for name, kind in frame.dtypes.items()}


# pandas


def test_a_frame_has_a_row_a_role_and_a_column_a_field() -> None:
    frame = page(ENGINEER, VIEWER).to_df()

    assert list(frame.columns) == COLUMNS
    assert list(frame["name"]) == ["AI Engineer", "Viewer"]


@pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), ()])
def test_the_types_are_pandas_nullable_ones_and_timestamps_in_utc(roles: tuple[Role, ...]) -> None:
    assert types(page(*roles).to_df()) == {
        "id": "string",
        "name": "string",
        "description": "string",
        "permissions": "object",
        "is_predefined": "boolean",
        "created_at": "datetime64[us, UTC]",
        "updated_at": "datetime64[us, UTC]",
    }


@pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), ()])
def test_without_convert_dtypes_the_types_are_plain_ones(roles: tuple[Role, ...]) -> None:
    assert types(page(*roles).to_df(convert_dtypes=False)) == {
        "id": "object",
        "name": "object",
        "description": "object",
        "permissions": "object",
        "is_predefined": "bool",
        "created_at": "datetime64[us, UTC]",
        "updated_at": "datetime64[us, UTC]",
    }


def test_a_missing_description_is_missing_and_no_text() -> None:
    assert list(page(ENGINEER, VIEWER).to_df()["description"].isna()) == [False, True]
    assert list(page(VIEWER).to_df(exclude_none=False, convert_dtypes=False)["description"]) == [
        None
    ]


def test_permissions_are_lists_of_plain_strings() -> None:
    held = page(ENGINEER).to_df()["permissions"][0]

    assert held == ["PROJECT_READ", "ZEBRA_READ"]
    assert [type(permission) for permission in held] == [str, str]


def test_timestamps_of_mixed_offsets_are_the_same_moments_in_utc() -> None:
    frame = page(ENGINEER, attrs.evolve(ENGINEER, updated_at=ENGINEER.created_at)).to_df()

    assert list(frame["updated_at"]) == [
        pd.Timestamp("2026-01-02T03:04:05Z"),
        pd.Timestamp("2026-01-02T03:04:05.000678Z"),
    ]


def test_timestamps_may_be_older_than_nanoseconds_reach() -> None:
    frame = page(attrs.evolve(ENGINEER, created_at=datetime(1, 1, 1, tzinfo=UTC))).to_df()

    assert frame["created_at"][0].year == 1


@pytest.mark.parametrize("convert", [ListRolesResponse.to_df, ListRolesResponse.to_polars])
def test_timestamps_that_leave_the_calendar_in_utc_are_an_error_of_ours(
    convert: Callable[[ListRolesResponse], object],
) -> None:
    role = attrs.evolve(ENGINEER, created_at=datetime(1, 1, 1, tzinfo=INDIA))

    with pytest.raises(RolesError, match=r"0001-01-01 00:00:00\+05:30 of 'AI Engineer' is outside"):
        convert(page(role))


def test_a_column_without_any_value_is_dropped_as_by_arizes_client() -> None:
    assert list(page(WITHHELD).to_df().columns) == [
        name for name in COLUMNS if name not in {"description", "permissions"}
    ]


@pytest.mark.parametrize("exclude_none", [True, "all"])
def test_a_column_with_some_value_is_kept(exclude_none: Any) -> None:  # noqa: ANN401
    assert list(page(ENGINEER, WITHHELD).to_df(exclude_none=exclude_none).columns) == COLUMNS


def test_any_drops_a_column_that_lacks_some_value() -> None:
    assert list(page(ENGINEER, VIEWER).to_df(exclude_none="any").columns) == [
        name for name in COLUMNS if name != "description"
    ]


def test_false_drops_no_column() -> None:
    assert list(page(WITHHELD).to_df(exclude_none=False).columns) == COLUMNS


@pytest.mark.parametrize("exclude_none", [True, False, "all", "any"])
def test_an_empty_page_has_every_column(exclude_none: Any) -> None:  # noqa: ANN401
    frame = page().to_df(exclude_none=exclude_none)

    assert (list(frame.columns), len(frame)) == (COLUMNS, 0)


def test_another_value_of_exclude_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="exclude_none: must be True, False, 'all' or 'any'"):
        page().to_df(exclude_none=cast("Any", "some"))


def test_json_normalize_changes_nothing_as_roles_are_flat() -> None:
    assert page(ENGINEER).to_df(json_normalize=True).equals(page(ENGINEER).to_df())


@pytest.mark.asyncio
async def test_a_walk_over_all_pages_ends_in_one_frame() -> None:
    account = FakeAccount(predefined=False)
    for number in range(230):
        account.add_role(f"Role {number}", ["ROLE_READ"])
    async with FakeRolesClient(account) as client:
        frame = (await client.list().all()).to_df()

    assert list(frame["name"]) == [f"Role {number}" for number in reversed(range(230))]


# polars


@pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), (WITHHELD,), ()])
def test_a_polars_frame_has_the_same_schema_for_any_roles(roles: tuple[Role, ...]) -> None:
    frame = page(*roles).to_polars()

    assert dict(frame.schema) == {
        "id": pl.String(),
        "name": pl.String(),
        "description": pl.String(),
        "permissions": pl.List(pl.String()),
        "is_predefined": pl.Boolean(),
        "created_at": pl.Datetime("us", "UTC"),
        "updated_at": pl.Datetime("us", "UTC"),
    }
    assert frame.height == len(roles)


def test_a_polars_frame_holds_the_values_of_the_roles() -> None:
    assert page(ENGINEER, WITHHELD).to_polars().rows(named=True) == [
        {
            "id": "Um9sZToxOmFCY0Q=",
            "name": "AI Engineer",
            "description": "Looks at projects.",
            "permissions": ["PROJECT_READ", "ZEBRA_READ"],
            "is_predefined": False,
            "created_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
            "updated_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        },
        {
            "id": "Um9sZToyOmFCY0Q=",
            "name": "Viewer",
            "description": None,
            "permissions": None,
            "is_predefined": True,
            "created_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
            "updated_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        },
    ]


# Who holds what


def test_the_matrix_tells_which_role_holds_which_permission() -> None:
    matrix = page(ENGINEER, VIEWER).permission_matrix()

    assert list(matrix.index) == ["AI Engineer", "Viewer"]
    assert list(matrix["PROJECT_READ"]) == [True, True]
    assert list(matrix["DATASET_READ"]) == [False, True]
    assert list(matrix["ROLE_DELETE"]) == [False, False]
    assert matrix.to_numpy().sum() == 4


def test_the_matrix_has_every_permission_and_then_those_that_are_newer() -> None:
    columns = list(page(ENGINEER).permission_matrix().columns)

    assert columns == [*(member.value for member in Permission), "ZEBRA_READ"]


def test_a_member_looks_its_column_up() -> None:
    assert page(VIEWER).permission_matrix().loc["Viewer", Permission.DATASET_READ]


@pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), ()])
def test_the_matrix_holds_plain_booleans_under_named_axes(roles: tuple[Role, ...]) -> None:
    matrix = page(*roles).permission_matrix()

    assert set(types(matrix).values()) == {"bool"}
    assert (matrix.index.name, matrix.columns.name) == ("role", "permission")
    assert matrix.shape[0] == len(roles)


def test_withheld_permissions_make_no_matrix_of_false() -> None:
    with pytest.raises(RolesError, match=r"withheld the permissions of 'Viewer'.*ROLE_READ"):
        page(ENGINEER, WITHHELD).permission_matrix()


# Without the extras


@pytest.mark.parametrize(
    ("convert", "package"),
    [
        (ListRolesResponse.to_df, "pandas"),
        (ListRolesResponse.permission_matrix, "pandas"),
        (ListRolesResponse.to_polars, "polars"),
    ],
)
def test_without_the_package_the_error_says_what_to_install(
    convert: Any,  # noqa: ANN401
    package: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtraError) as caught:
        convert(page(ENGINEER))

    assert str(caught.value) == (
        f"this needs {package}, which cannot be imported; "
        f'install it with: pip install "arize-roles-async[{package}]"'
    )
    assert isinstance(caught.value, RolesError)
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value.__cause__, ImportError)
