"""The fields of a file and their types: a JSON Schema, with which editors complete and check it."""

import json
from importlib.resources import files
from typing import Any, Final

from arize_roles_async import Permission

Table = dict[str, Any]
"""An object of JSON, or a table of TOML."""

SCHEMA: Final[Table] = json.loads(
    files("arize_roles_async.as_code").joinpath("schema.json").read_text("utf-8")
)
_DEFINITIONS: Final[dict[str, Table]] = SCHEMA["definitions"]
FIELDS: Final[dict[str, Table]] = SCHEMA["properties"]
"""The schemas of the fields of a file, in the order in which they are written."""
ROLE_FIELDS: Final[dict[str, Table]] = _DEFINITIONS["role"]["properties"]
"""Those of a role. The permissions come last: without them, a role is refused, so no file that was
cut short has a part of one."""
PLACE_FIELDS: Final[dict[str, Table]] = _DEFINITIONS["place"]["properties"]
"""Those of a space or project. `only` comes last: a file that was cut short takes no role."""


def within(schema: Table, name: str) -> Table:
    """Return the schema of what a table has by a name; an empty one if it may have nothing."""
    found: Table = schema.get("properties", {}).get(name) or schema.get("additionalProperties", {})
    kind = found.get("$ref", "").rpartition("/")[2] if found else ""
    return _DEFINITIONS[kind] if kind else found or {}


def schema() -> Table:
    """Return the schema; a permission that is newer than this version is no error of it."""
    known, other = _DEFINITIONS["permission"]["anyOf"]
    permission = {"anyOf": [{**known, "enum": [*Permission]}, other]}
    return {**SCHEMA, "definitions": {**_DEFINITIONS, "permission": permission}}
