"""Roles as data frames, through pandas or polars, which are extras."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from arize_roles_async._errors import MissingExtraError, RolesError, ValidationError, Violation
from arize_roles_async._models import Role
from arize_roles_async._permissions import Permission

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

ExcludeNone = bool | Literal["all", "any"]

_TEXT: Final = ("id", "name", "description")
_MOMENTS: Final = ("created_at", "updated_at")


def to_pandas(
    roles: Sequence[Role], *, exclude_none: ExcludeNone, convert_dtypes: bool
) -> "pd.DataFrame":
    """Return one row a role, with types that do not depend on the roles."""
    if exclude_none not in (True, False, "all", "any"):
        said = f"must be True, False, 'all' or 'any', not {exclude_none!r}"
        raise ValidationError(violations=(Violation("exclude_none", said),))
    pandas = _extra("pandas")
    # Stated for each column: what pandas infers would change with the page and its own version.
    kinds: dict[str, Any] = {
        **dict.fromkeys(_TEXT, "string" if convert_dtypes else "object"),
        "permissions": "object",
        "is_predefined": "boolean" if convert_dtypes else "bool",
        **dict.fromkeys(_MOMENTS, pandas.DatetimeTZDtype("us", "UTC")),
    }
    columns = _columns(roles)
    frame: pd.DataFrame = pandas.DataFrame(
        {name: pandas.Series(columns[name], dtype=kind) for name, kind in kinds.items()}
    )
    if roles and exclude_none:
        frame = frame.dropna(axis="columns", how="any" if exclude_none == "any" else "all")
    return frame


def to_polars(roles: Sequence[Role]) -> "pl.DataFrame":
    """Return one row a role, with the same columns and types for any roles."""
    polars = _extra("polars")
    frame: pl.DataFrame = polars.DataFrame(
        _columns(roles),
        schema={
            **dict.fromkeys(_TEXT, polars.String),
            "permissions": polars.List(polars.String),
            "is_predefined": polars.Boolean,
            **dict.fromkeys(_MOMENTS, polars.Datetime("us", "UTC")),
        },
    )
    return frame


def permission_matrix(roles: Sequence[Role]) -> "pd.DataFrame":
    """Return which role holds which permission."""
    pandas = _extra("pandas")
    held: list[frozenset[str]] = []
    for role in roles:
        if role.permissions is None:
            raise RolesError(
                f"the service withheld the permissions of {role.name!r}: "
                "the API key lacks ROLE_READ, so there is no telling who holds what"
            )
        held.append(frozenset(map(str, role.permissions)))
    known = [member.value for member in Permission]
    newer = sorted(frozenset[str]().union(*held).difference(known))
    frame: pd.DataFrame = pandas.DataFrame(
        [[permission in each for permission in known + newer] for each in held],
        index=pandas.Index([role.name for role in roles], name="role", dtype="object"),
        columns=pandas.Index(known + newer, name="permission", dtype="object"),
        dtype=bool,
    )
    return frame


def _columns(roles: Sequence[Role]) -> dict[str, list[Any]]:
    return {
        "id": [role.id for role in roles],
        "name": [role.name for role in roles],
        "description": [role.description for role in roles],
        "permissions": [
            None if role.permissions is None else list(map(str, role.permissions)) for role in roles
        ],
        "is_predefined": [role.is_predefined for role in roles],
        "created_at": [_utc(role, role.created_at) for role in roles],
        "updated_at": [_utc(role, role.updated_at) for role in roles],
    }


def _utc(role: Role, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise RolesError(
            f"{moment} of {role.name!r} is no time of the years 1 to 9999 in UTC"
        ) from error


def _extra(package: Literal["pandas", "polars"]) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {package}, which cannot be imported; "
            f'install it with: pip install "arize-roles-async[{package}]"'
        ) from error
