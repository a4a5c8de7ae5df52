"""The fields of a file and their types: a JSON Schema, with which editors complete and check it."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from arize_roles_async import Permission

Table = dict[str, Any]
"""An object of JSON, or a table of TOML."""

_SCHEMA: Final[Table] = json.loads(
    files("arize_roles_async.as_code").joinpath("schema.json").read_text("utf-8")
)
FIELDS: Final[dict[str, Table]] = _SCHEMA["properties"]
"""The schemas of the fields of a file, in the order in which they are written."""
ROLE_FIELDS: Final[dict[str, Table]] = _SCHEMA["definitions"]["role"]["properties"]
"""Those of a role. The permissions come last: without them, a role is refused, so no file that was
cut short has a part of one."""
PLACE_FIELDS: Final[dict[str, Table]] = _SCHEMA["definitions"]["place"]["properties"]
"""Those of a space or project. `only` comes last: a file that was cut short takes no role."""
_BELOW: Final = {("roles", 2): ROLE_FIELDS, ("spaces", 2): PLACE_FIELDS}
_KNOWN: Final = {**_BELOW, ("projects", 3): PLACE_FIELDS}
_LISTS: Final = {"sets": 2, "teams": 2, "roles": 3, "spaces": 3, "projects": 4}
"""The parts of the path of a list, by its first part; of others it is one."""


def known_at(path: Sequence[str], depth: int) -> Mapping[str, Table]:
    """Return the fields that are known in a place of a path; names stand where there are none."""
    return _KNOWN.get((path[0], depth), {}) if depth else FIELDS


def is_list(path: Sequence[str]) -> bool:
    """Return whether a path is that of a field whose list has an order of its own to be put in."""
    known = (known_at(path, depth) for depth in range(len(path)))
    is_field = all(part in fields or not fields for part, fields in zip(path, known, strict=True))
    return is_field and len(path) <= _LISTS.get(path[0], 1)


def schema() -> Table:
    """Return the schema; a permission that is newer than this version is no error of it."""
    known, other = _SCHEMA["definitions"]["permission"]["anyOf"]
    permission = {"anyOf": [{**known, "enum": [*Permission]}, other]}
    return {**_SCHEMA, "definitions": {**_SCHEMA["definitions"], "permission": permission}}
