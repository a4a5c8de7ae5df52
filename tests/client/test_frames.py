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


class TestPandas:
    """Roles as a pandas frame."""

    def test_shape(self) -> None:
        """A frame has a row a role and a column a field."""
        frame = page(ENGINEER, VIEWER).to_df()

        assert list(frame.columns) == COLUMNS
        assert list(frame["name"]) == ["AI Engineer", "Viewer"]

    @pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), ()])
    def test_dtypes(self, roles: tuple[Role, ...]) -> None:
        """The types are pandas' nullable ones, and timestamps are in UTC."""
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
    def test_plain_dtypes(self, roles: tuple[Role, ...]) -> None:
        """Without `convert_dtypes`, the types are plain ones."""
        assert types(page(*roles).to_df(convert_dtypes=False)) == {
            "id": "object",
            "name": "object",
            "description": "object",
            "permissions": "object",
            "is_predefined": "bool",
            "created_at": "datetime64[us, UTC]",
            "updated_at": "datetime64[us, UTC]",
        }

    def test_no_description(self) -> None:
        """A missing description is missing, and no text."""
        assert list(page(ENGINEER, VIEWER).to_df()["description"].isna()) == [False, True]
        assert list(
            page(VIEWER).to_df(exclude_none=False, convert_dtypes=False)["description"]
        ) == [None]

    def test_permissions(self) -> None:
        """Permissions are lists of plain strings."""
        held = page(ENGINEER).to_df()["permissions"][0]

        assert held == ["PROJECT_READ", "ZEBRA_READ"]
        assert [type(permission) for permission in held] == [str, str]

    def test_offsets(self) -> None:
        """Timestamps of mixed offsets are the same moments in UTC."""
        frame = page(ENGINEER, attrs.evolve(ENGINEER, updated_at=ENGINEER.created_at)).to_df()

        assert list(frame["updated_at"]) == [
            pd.Timestamp("2026-01-02T03:04:05Z"),
            pd.Timestamp("2026-01-02T03:04:05.000678Z"),
        ]

    def test_old_timestamps(self) -> None:
        """Timestamps may be older than nanoseconds reach."""
        frame = page(attrs.evolve(ENGINEER, created_at=datetime(1, 1, 1, tzinfo=UTC))).to_df()

        assert frame["created_at"][0].year == 1

    @pytest.mark.parametrize("convert", [ListRolesResponse.to_df, ListRolesResponse.to_polars])
    def test_outside_calendar(self, convert: Callable[[ListRolesResponse], object]) -> None:
        """Timestamps that leave the calendar in UTC are one of our errors."""
        role = attrs.evolve(ENGINEER, created_at=datetime(1, 1, 1, tzinfo=INDIA))

        with pytest.raises(RolesError) as caught:
            convert(page(role))

        assert str(caught.value) == (
            "the timestamp 0001-01-01 00:00:00+05:30 of 'AI Engineer' is outside of the years 1 "
            "to 9999 in UTC"
        )

    def test_empty_column(self) -> None:
        """A column without any value is dropped, as by Arize's client."""
        assert list(page(WITHHELD).to_df().columns) == [
            name for name in COLUMNS if name not in {"description", "permissions"}
        ]

    @pytest.mark.parametrize("exclude_none", [True, "all"])
    def test_used_column(self, exclude_none: Any) -> None:  # noqa: ANN401
        """A column with some value is kept."""
        assert list(page(ENGINEER, WITHHELD).to_df(exclude_none=exclude_none).columns) == COLUMNS

    def test_any(self) -> None:
        """`any` drops a column that lacks some value."""
        assert list(page(ENGINEER, VIEWER).to_df(exclude_none="any").columns) == [
            name for name in COLUMNS if name != "description"
        ]

    def test_exclude_nothing(self) -> None:
        """False drops no column."""
        assert list(page(WITHHELD).to_df(exclude_none=False).columns) == COLUMNS

    @pytest.mark.parametrize("exclude_none", [True, False, "all", "any"])
    def test_empty_page(self, exclude_none: Any) -> None:  # noqa: ANN401
        """An empty page has every column."""
        frame = page().to_df(exclude_none=exclude_none)

        assert (list(frame.columns), len(frame)) == (COLUMNS, 0)

    def test_bad_exclude(self) -> None:
        """Another value of `exclude_none` is refused."""
        with pytest.raises(
            ValidationError, match="exclude_none: must be True, False, 'all' or 'any'"
        ):
            page().to_df(exclude_none=cast("Any", "some"))

    def test_json_normalize(self) -> None:
        """`json_normalize` changes nothing, as roles are flat."""
        assert page(ENGINEER).to_df(json_normalize=True).equals(page(ENGINEER).to_df())

    @pytest.mark.asyncio
    async def test_walk(self) -> None:
        """A walk over all pages ends in one frame."""
        account = FakeAccount(predefined=False)
        for number in range(230):
            account.add_role(f"Role {number}", ["ROLE_READ"])
        async with FakeRolesClient(account) as client:
            frame = (await client.list().all()).to_df()

        assert list(frame["name"]) == [f"Role {number}" for number in reversed(range(230))]


class TestPolars:
    """Roles as a polars frame."""

    @pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), (WITHHELD,), ()])
    def test_schema(self, roles: tuple[Role, ...]) -> None:
        """A polars frame has the same schema for any roles."""
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

    def test_values(self) -> None:
        """A polars frame holds the values of the roles."""
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


class TestMatrix:
    """The table of roles by permissions."""

    def test_holds(self) -> None:
        """The matrix shows which role has which permission."""
        matrix = page(ENGINEER, VIEWER).permission_matrix()

        assert list(matrix.index) == ["AI Engineer", "Viewer"]
        assert list(matrix["PROJECT_READ"]) == [True, True]
        assert list(matrix["DATASET_READ"]) == [False, True]
        assert list(matrix["ROLE_DELETE"]) == [False, False]
        assert matrix.to_numpy().sum() == 4

    def test_columns(self) -> None:
        """The matrix has every permission, and then those that are newer."""
        columns = list(page(ENGINEER).permission_matrix().columns)

        assert columns == [*(member.value for member in Permission), "ZEBRA_READ"]

    def test_member(self) -> None:
        """A member looks its column up."""
        assert page(VIEWER).permission_matrix().loc["Viewer", Permission.DATASET_READ]

    @pytest.mark.parametrize("roles", [(ENGINEER, VIEWER), ()])
    def test_axes(self, roles: tuple[Role, ...]) -> None:
        """The matrix holds plain booleans under named axes."""
        matrix = page(*roles).permission_matrix()

        assert set(types(matrix).values()) == {"bool"}
        assert (matrix.index.name, matrix.columns.name) == ("role", "permission")
        assert (str(matrix.index.dtype), str(matrix.columns.dtype)) == ("object", "object")
        assert matrix.shape[0] == len(roles)

    def test_withheld(self) -> None:
        """Withheld permissions make no matrix of False."""
        with pytest.raises(RolesError) as caught:
            page(ENGINEER, WITHHELD).permission_matrix()

        assert str(caught.value) == (
            "the service withheld the permissions of 'Viewer': the API key lacks ROLE_READ, "
            "which a permission matrix needs"
        )


@pytest.mark.parametrize(
    ("convert", "package"),
    [
        (ListRolesResponse.to_df, "pandas"),
        (ListRolesResponse.permission_matrix, "pandas"),
        (ListRolesResponse.to_polars, "polars"),
    ],
)
def test_missing_extra(
    convert: Any,  # noqa: ANN401
    package: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the package, the error says what to install."""
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtraError) as caught:
        convert(page(ENGINEER))

    assert str(caught.value) == (
        f"this needs {package}, which cannot be imported; install it with: pip install {package}"
    )
    assert isinstance(caught.value, RolesError)
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value.__cause__, ImportError)
