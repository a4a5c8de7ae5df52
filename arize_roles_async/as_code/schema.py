"""The fields of a file and their types: a JSON Schema, with which editors complete and check it."""

import json
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
FIELDS_BY_DEPTH: Final[tuple[list[str], ...]] = ([*FIELDS], [], [*ROLE_FIELDS])
"""The fields that are known in each place of a path; names stand in the others."""


def schema() -> Table:
    """Return the schema; a permission that is newer than this version is no error of it."""
    known, other = _SCHEMA["definitions"]["permission"]["anyOf"]
    permission = {"anyOf": [{**known, "enum": [*Permission]}, other]}
    return {**_SCHEMA, "definitions": {**_SCHEMA["definitions"], "permission": permission}}
