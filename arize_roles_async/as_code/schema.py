"""The JSON Schema of a file, with which editors complete and check it."""

from typing import Any, Final

from arize_roles_async import Permission

_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
_NAMES: Final[dict[str, Any]] = {"type": "array", "items": _TEXT}


def schema() -> dict[str, Any]:
    """Return the schema; a permission that is newer than this version is no error of it."""
    known = {"enum": [permission.value for permission in Permission]}
    permissions = {"type": "array", "items": {"anyOf": [known, _TEXT]}}
    role = {
        "type": "object",
        "properties": {
            "description": {"type": "string", "maxLength": 1000},
            "previously": {**_NAMES, "description": "Former names: the role is renamed."},
            "include": {**_NAMES, "description": "Sets of permissions that the role has, too."},
            "permissions": {**permissions, "description": "All other permissions of the role."},
        },
        "additionalProperties": False,
        "anyOf": [{"required": ["permissions"]}, {"required": ["include"]}],
    }
    tops = {
        "account": {**_TEXT, "maxLength": 100, "description": "A label of the account."},
        "anchor": {**_TEXT, "description": "The ID of a role that the account has."},
        "new_permissions": {**permissions, "description": "Newer than the library, no errors."},
        "absent": {**_NAMES, "description": "Roles that the account should not have."},
        "ignored": {**_NAMES, "description": "Roles that others manage."},
        "sets": {
            "type": "object",
            "additionalProperties": {**permissions, "minItems": 1},
            "description": "Permissions that roles include by the name of the set.",
        },
        "roles": {
            "type": "object",
            "propertyNames": {"minLength": 1, "maxLength": 255},
            "additionalProperties": role,
            "description": "The roles that the account should have, each declared whole.",
        },
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Roles as code",
        "type": "object",
        "properties": tops,
        "additionalProperties": False,
    }
