"""The file: how a declaration is read."""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from arize_roles_async import ValidationError, Violation
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredRole, quote


def load(path: str | os.PathLike[str]) -> Declaration:
    """Return the declaration in a UTF-8 file; raises as `loads` does, also if it is unreadable."""
    name = str(path) if str(path).isprintable() else quote(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError, TypeError) as error:
        raise validation_error((name, f"is unreadable: {error}")) from error
    return loads(text, name)


def loads(text: str, name: str = "file") -> Declaration:
    """Return the declaration in a text of TOML.

    Args:
        text: The text.
        name: A name for the text, for the error if it is not valid TOML.

    Raises:
        ValidationError: Every violation, with its line or the path of its key. Text that is not
            valid TOML, or a value in place of a table, is reported alone.
    """
    if not isinstance(cast("object", text), str):
        raise validation_error((name, f"must be a text, not {type_name(text)}"))
    try:
        file = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise validation_error((name, f"is not valid TOML: {error}")) from error
    violations: list[Violation] = []

    def table(path: str, value: Any, keys: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401
        if not isinstance(value, dict):
            raise validation_error((path, "must be a table"))
        given = cast("dict[str, Any]", value)
        strange = [f"{path}.{quote(key)}".removeprefix("$.") for key in given if key not in keys]
        message = f"is not a key here; the keys are {', '.join(keys)}"
        violations.extend(Violation(where, message) for where in strange)
        return {key: given[key] for key in given if key in keys}

    data = table("$", file, ("account", "anchor", "new_permissions", "absent", "roles"))
    tables = data.pop("roles", {})
    roles: list[DeclaredRole] = []
    for role, value in table("roles", tables, tables).items():
        given = table(f"roles.{quote(role)}", value, ("description", "previously", "permissions"))
        roles.append(DeclaredRole(name=role, permissions=given.pop("permissions", ()), **given))
    try:
        declaration = Declaration(roles=roles, **data)
    except ValidationError as error:
        raise ValidationError(violations=(*violations, *error.violations)) from None
    if violations:
        raise ValidationError(violations=tuple(violations))
    return declaration
