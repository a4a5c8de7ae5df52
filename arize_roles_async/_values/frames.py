"""Responses as data frames, through pandas or polars, which are extras."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from arize_roles_async._values.base_errors import MissingExtraError, RolesError, validation_error
from arize_roles_async._values.text import quoted

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Columns = Mapping[str, str]
"""The type of each field of an item, as its model's own documentation has it."""

ExcludeNone = bool | Literal["all", "any"]

_PERMISSIONS: Final = "tuple[Permission | UnknownPermission, ...] | None"


def to_pandas(
    columns: Columns, items: Sequence[object], *, exclude_none: ExcludeNone, convert_dtypes: bool
) -> "pd.DataFrame":
    """Return one row an item, with types that do not depend on the items."""
    if exclude_none not in (True, False, "all", "any"):
        message = f"must be True, False, 'all' or 'any', not {quoted(exclude_none)}"
        raise validation_error(("exclude_none", message))
    pandas = import_extra("pandas")
    # Stated for each column: the types that pandas infers depend on the page and on its version.
    dtypes: dict[str, object] = {
        "bool": "boolean" if convert_dtypes else "bool",
        "bool | None": "boolean" if convert_dtypes else "object",
        "datetime": pandas.DatetimeTZDtype("us", "UTC"),
        "datetime | None": pandas.DatetimeTZDtype("us", "UTC"),
        _PERMISSIONS: "object",
    }
    text = "string" if convert_dtypes else "object"
    values = _values(columns, items)
    frame: pd.DataFrame = pandas.DataFrame(
        {
            name: pandas.Series(values[name], dtype=dtypes.get(kind, text))
            for name, kind in columns.items()
        }
    )
    if items and exclude_none:
        frame = frame.dropna(axis="columns", how="any" if exclude_none == "any" else "all")
    return frame


def to_polars(columns: Columns, items: Sequence[object]) -> "pl.DataFrame":
    """Return one row an item, with the same columns and types for any items."""
    polars = import_extra("polars")
    dtypes: dict[str, object] = {
        "bool": polars.Boolean,
        "bool | None": polars.Boolean,
        "datetime": polars.Datetime("us", "UTC"),
        "datetime | None": polars.Datetime("us", "UTC"),
        _PERMISSIONS: polars.List(polars.String),
    }
    frame: pl.DataFrame = polars.DataFrame(
        _values(columns, items),
        schema={name: dtypes.get(kind, polars.String) for name, kind in columns.items()},
    )
    return frame


def _values(columns: Columns, items: Sequence[object]) -> dict[str, list[object]]:
    return {name: [_plain(item, name, kind) for item in items] for name, kind in columns.items()}


def _plain(item: Any, name: str, kind: str) -> object:  # noqa: ANN401 - of any model
    value = getattr(item, name)
    if value is None:
        return None
    if kind == _PERMISSIONS:
        return list(map(str, value))
    if not isinstance(value, datetime):
        # The account's role of a user is shown by its name.
        return value if isinstance(value, bool) else str(value)
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        about = quoted(getattr(item, "name", None) or item.id)
        raise RolesError(
            f"the timestamp {value} of {about} is outside of the years 1 to 9999 in UTC"
        ) from error


def import_extra(package: Literal["pandas", "polars"]) -> Any:  # noqa: ANN401 - a module
    """Return a package, or raise `MissingExtraError`, which says how to install it."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {package}, which cannot be imported; "
            f"install it with: pip install {package}"
        ) from error
