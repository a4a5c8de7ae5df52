"""Roles as data frames, through pandas or polars, which are extras."""

from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from arize_roles_async._values.errors import MissingExtraError, RolesError, validation_error
from arize_roles_async._values.permissions import Permission
from arize_roles_async._values.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import polars as pl

    # The fields of a role by name. This module knows no model, as the models import it.
    Row = dict[str, Any]

ExcludeNone = bool | Literal["all", "any"]

_TEXTS: Final = ("id", "name", "description")
_TIMESTAMPS: Final = ("created_at", "updated_at")
_COLUMNS: Final = (*_TEXTS, "permissions", "is_predefined", *_TIMESTAMPS)


def to_pandas(
    rows: "Sequence[Row]", *, exclude_none: ExcludeNone, convert_dtypes: bool
) -> "pd.DataFrame":
    """Return one row a role, with types that do not depend on the roles."""
    if exclude_none not in (True, False, "all", "any"):
        message = f"must be True, False, 'all' or 'any', not {quoted(exclude_none)}"
        raise validation_error(("exclude_none", message))
    pandas = _import_extra("pandas")
    # Stated for each column: the types that pandas infers depend on the page and on its version.
    dtypes: dict[str, Any] = {
        **dict.fromkeys(_TEXTS, "string" if convert_dtypes else "object"),
        "permissions": "object",
        "is_predefined": "boolean" if convert_dtypes else "bool",
        **dict.fromkeys(_TIMESTAMPS, pandas.DatetimeTZDtype("us", "UTC")),
    }
    columns = _columns(rows)
    frame: pd.DataFrame = pandas.DataFrame(
        {name: pandas.Series(columns[name], dtype=dtype) for name, dtype in dtypes.items()}
    )
    if rows and exclude_none:
        frame = frame.dropna(axis="columns", how="any" if exclude_none == "any" else "all")
    return frame


def to_polars(rows: "Sequence[Row]") -> "pl.DataFrame":
    """Return one row a role, with the same columns and types for any roles."""
    polars = _import_extra("polars")
    frame: pl.DataFrame = polars.DataFrame(
        _columns(rows),
        schema={
            **dict.fromkeys(_TEXTS, polars.String),
            "permissions": polars.List(polars.String),
            "is_predefined": polars.Boolean,
            **dict.fromkeys(_TIMESTAMPS, polars.Datetime("us", "UTC")),
        },
    )
    return frame


def permission_matrix(rows: "Sequence[Row]") -> "pd.DataFrame":
    """Return a table of roles by permissions, True where held."""
    pandas = _import_extra("pandas")
    held: list[frozenset[str]] = []
    for row in rows:
        if row["permissions"] is None:
            raise RolesError(
                f"the service withheld the permissions of {quoted(row['name'])}: "
                "the API key lacks ROLE_READ, which a permission matrix needs"
            )
        held.append(frozenset(map(str, row["permissions"])))
    known = [member.value for member in Permission]
    unknown = sorted(frozenset[str]().union(*held).difference(known))
    frame: pd.DataFrame = pandas.DataFrame(
        [[permission in each for permission in known + unknown] for each in held],
        index=pandas.Index([row["name"] for row in rows], name="role", dtype="object"),
        columns=pandas.Index(known + unknown, name="permission", dtype="object"),
        dtype=bool,
    )
    return frame


def _columns(rows: "Sequence[Row]") -> dict[str, list[Any]]:
    columns = {name: [row[name] for row in rows] for name in _COLUMNS}
    for name in _TIMESTAMPS:
        columns[name] = [_utc(row, row[name]) for row in rows]
    columns["permissions"] = [
        None if held is None else list(map(str, held)) for held in columns["permissions"]
    ]
    return columns


def _utc(row: "Row", timestamp: datetime) -> datetime:
    try:
        return timestamp.astimezone(UTC)
    except OverflowError as error:
        raise RolesError(
            f"the timestamp {timestamp} of {quoted(row['name'])} is outside of the years 1 to 9999 "
            "in UTC"
        ) from error


def _import_extra(package: Literal["pandas", "polars"]) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {package}, which cannot be imported; "
            f'install it with: pip install "arize-roles-async[{package}]"'
        ) from error
