"""Roles as data frames: which columns there are, of which types, and what an administrator sees."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import NoneType
from typing import Any, cast, get_args, get_origin, get_type_hints

import attrs
import pytest

from arize_roles_async import (
    AccountRole,
    ListRolesResponse,
    MissingExtraError,
    Permission,
    Role,
    RoleBindingResourceType,
    RolesError,
    UnknownPermission,
    ValidationError,
)
from arize_roles_async._values.models import ListResponse

INDIA = timezone(timedelta(hours=5, minutes=30))
TIME = "datetime64[us, UTC]"
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
NEWER = attrs.evolve(VIEWER, name="Newer", permissions=(UnknownPermission("APE_READ"),))
EMPTY = attrs.evolve(VIEWER, name="Empty", permissions=())


def page(*roles: Role) -> ListRolesResponse:
    return ListRolesResponse.of(roles)


class TestPandas:
    def test_values(self) -> None:
        """Permissions are plain strings, what is missing may be None, and any year is kept."""
        old = attrs.evolve(ENGINEER, description=None, updated_at=datetime(1, 1, 1, tzinfo=UTC))
        frame = page(old).to_df(exclude_none=False, convert_dtypes=False)
        assert list(map(repr, frame["permissions"][0])) == ["'PROJECT_READ'", "'ZEBRA_READ'"]
        assert list(frame["description"]) == [None]
        assert frame["updated_at"][0].year == 1  # older than nanoseconds reach

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

    @pytest.mark.parametrize(
        ("roles", "exclude_none", "dropped"),
        [
            ((WITHHELD,), True, "description permissions"),
            ((WITHHELD,), "all", "description permissions"),
            ((WITHHELD,), False, ""),
            ((ENGINEER, WITHHELD), True, ""),
            ((ENGINEER, VIEWER), "any", "description"),
            ((), True, ""),
            ((), "any", ""),
        ],
    )
    def test_exclude_none(self, roles: tuple[Role, ...], exclude_none: Any, dropped: str) -> None:  # noqa: ANN401
        """A column that holds nothing is dropped, as by Arize's client, but not without rows."""
        frame = page(*roles).to_df(exclude_none=exclude_none)
        names = [each.name for each in attrs.fields(Role)]
        assert list(frame.columns) == [name for name in names if name not in dropped.split()]
        assert len(frame) == len(roles)

    def test_bad_exclude(self) -> None:
        """Another value of `exclude_none` is refused."""
        with pytest.raises(ValidationError, match="must be True, False, 'all' or 'any'"):
            page().to_df(exclude_none=cast("Any", "some"))


MOMENT = datetime(2026, 1, 2, 8, 34, 5, 678, tzinfo=INDIA)
ADMIN = AccountRole(type="PREDEFINED", name="ADMIN")
# By the type of a field: a value, and that in a frame; the column's type in pandas and polars.
KINDS: dict[type, tuple[object, object, str, str]] = {
    str: ("a", "a", "string", "String"),
    RoleBindingResourceType: (RoleBindingResourceType.SPACE, "SPACE", "string", "String"),
    AccountRole: (ADMIN, "ADMIN", "string", "String"),
    bool: (True, True, "boolean", "Boolean"),
    tuple: ((Permission.ROLE_READ,), ["ROLE_READ"], "object", "List(String)"),
    datetime: (MOMENT, MOMENT, TIME, "Datetime(time_unit='us', time_zone='UTC')"),
}
# attrs makes a class with slots anew, so each is there twice, but once with fields.
BASE: Any = ListResponse
PAGES = [each for each in BASE.__subclasses__() if attrs.has(each)]


@pytest.mark.parametrize("kind", PAGES)
def test_columns(kind: Any) -> None:  # noqa: ANN401 - a page of any model
    """Each field of each model is a column of its type in both frames, whatever it holds."""
    model = get_args(get_type_hints(kind)[attrs.fields(kind)[0].name])[0]
    types = get_type_hints(model)
    hints = {x.name: get_args(types[x.name]) or (types[x.name],) for x in attrs.fields(model)}
    kinds = {name: get_origin(each[0]) or each[0] for name, each in hints.items()}
    rows = {n: KINDS.get(each, KINDS[RoleBindingResourceType]) for n, each in kinds.items()}
    full = model(**{name: row[0] for name, row in rows.items()})
    bare = attrs.evolve(full, **{name: None for name in rows if NoneType in hints[name]})
    shown = {name: row[1] for name, row in rows.items()}
    empty = {name: None if NoneType in hints[name] else value for name, value in shown.items()}
    nullable = {name: row[2] for name, row in rows.items()}
    plain = nullable | {name: "object" for name, each in nullable.items() if each == "string"}
    for name in (name for name, each in nullable.items() if each == "boolean"):
        plain[name] = "object" if NoneType in hints[name] else "bool"
    for items, values in (((full, bare), [shown, empty]), ((bare,), [empty]), ((), [])):
        polars = kind.of(items).to_polars()
        assert polars.rows(named=True) == values
        assert [*map(str, polars.schema.values())] == [row[3] for row in rows.values()]
        for convert, dtypes in ((True, nullable), (False, plain)):
            pandas = kind.of(items).to_df(exclude_none=False, convert_dtypes=convert)
            assert pandas.dtypes.map(str).to_dict() == dtypes
            assert pandas.astype("object").where(pandas.notna(), None).to_dict("records") == values


@pytest.mark.parametrize("roles", [(ENGINEER, VIEWER, NEWER, EMPTY), ()])
def test_matrix(roles: tuple[Role, ...]) -> None:
    """The table of roles by permissions has plain booleans, and a column for each known one."""
    matrix = page(*roles).permission_matrix()
    assert {*matrix.dtypes.map(str)} == {"bool"}
    assert (matrix.index.name, matrix.columns.name) == ("role", "permission")
    assert (str(matrix.index.dtype), str(matrix.columns.dtype)) == ("object", "object")
    assert list(matrix.index) == ["AI Engineer", "Viewer", "Newer", "Empty"][: len(roles)]
    unknown = ["APE_READ", "ZEBRA_READ"] if roles else []
    assert list(matrix.columns) == [*(member.value for member in Permission), *unknown]
    if roles:
        assert list(matrix["PROJECT_READ"]) == [True, True, False, False]
        assert list(matrix["ZEBRA_READ"]) == [True, False, False, False]
        assert list(matrix[Permission.DATASET_READ]) == [False, True, False, False]
        assert matrix.to_numpy().sum() == 5


def test_matrix_withheld() -> None:
    """Withheld permissions make no matrix of False."""
    with pytest.raises(RolesError) as caught:
        page(ENGINEER, WITHHELD).permission_matrix()
    assert str(caught.value) == (
        "the service withheld the permissions of 'Viewer': the API key lacks ROLE_READ, "
        "which a permission matrix needs"
    )


@pytest.mark.parametrize(
    ("method", "package"),
    [("to_df", "pandas"), ("permission_matrix", "pandas"), ("to_polars", "polars")],
)
def test_missing_extra(method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        getattr(page(ENGINEER), method)()
    assert str(caught.value) == (
        f"this needs {package}, which cannot be imported; install it with: pip install {package}"
    )
    for error in (caught.value, caught.value.__cause__):
        assert isinstance(error, ImportError)
