"""The rules of the service that need only the arguments of a call.

Both sides build these objects: the client before it sends anything, the fake account from the
JSON that arrived. Each object checks all its rules, and raises one `ValidationError` that names
every broken one.
"""

import base64
import math
import string
from collections.abc import Iterable, Mapping
from typing import Final, TypeGuard, cast

import msgspec
from msgspec import UNSET, UnsetType

from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.json import MAX_ID
from arize_roles_async._values.permissions import (
    AnyPermission,
    Permission,
    UnknownPermission,
    known_permission,
)
from arize_roles_async._values.text import nearest, quoted, type_name

MAX_NAME: Final = 255
MAX_DESCRIPTION: Final = 1000
MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 50
_MAX_NAMED: Final = 5
"""Refused permissions that a message names."""

_SIGNS: Final = "-_.,()[]'\"/:\\&@#$%!?+="
_ALLOWED_IN_NAME: Final = frozenset(f"{string.ascii_letters}{string.digits} {_SIGNS}")


def name_rule(name: object) -> str | None:
    """Return what is wrong with a role's name, or None."""
    if not isinstance(name, str):
        return f"must be a string, not {type_name(name)}"
    if not 1 <= len(name) <= MAX_NAME:
        return f"must have 1 to {MAX_NAME} characters, not {len(name)}"
    if not _ALLOWED_IN_NAME.issuperset(name):
        refused = "".join(dict.fromkeys(c for c in name if c not in _ALLOWED_IN_NAME))
        return (
            f"must not contain {refused[:20]!a}: only ASCII letters, digits, space and "
            f"{' '.join(_SIGNS)} are allowed"
        )
    return None


def description_rule(description: object) -> str | None:
    """Return what is wrong with a role's description, or None."""
    return None if description == "" else text_rule(description, MAX_DESCRIPTION)


def permissions_rule(permissions: object) -> str | None:
    """Return what is wrong with a set of permissions, or None."""
    if not isinstance(permissions, tuple):
        return f"must be a list of permissions, not {type_name(permissions)}"
    if not permissions:
        return "must hold at least one permission"
    each = cast("tuple[object, ...]", permissions)
    refused = [p for p in each if not (isinstance(p, Permission) or _can_be_sent(p))]
    named = [_refused_permission(p) for p in refused[:_MAX_NAMED]]
    if more := len(refused) - len(named):
        named.append(f"and {more} more")
    return "; ".join(named) or None


def _can_be_sent(permission: object) -> bool:
    return isinstance(permission, UnknownPermission) and text_rule(permission) is None


def _refused_permission(value: object) -> str:
    if isinstance(value, UnknownPermission):
        return f"{quoted(value)} {text_rule(value)}"
    if not isinstance(value, str):
        return f"must hold permissions or their identifiers, not {type_name(value)}"
    return f"{quoted(value)} is not a known permission; did you mean {nearest(value, Permission)}?"


def limit_rule(limit: object) -> str | None:
    """Return what is wrong with the size of a page, or None."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        return f"must be an integer, not {type_name(limit)}"
    if not 1 <= limit <= MAX_LIMIT:
        return f"must be 1 to {MAX_LIMIT}, not {quoted(limit)}"
    return None


def text_rule(text: object, longest: float = math.inf) -> str | None:
    """Return what is wrong with a required text of bounded length, or None."""
    if not isinstance(text, str):
        return f"must be a string, not {type_name(text)}"
    if not text:
        return "must not be empty"
    if len(text) > longest:
        return f"must have at most {longest} characters, not {len(text)}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must not contain surrogates, which UTF-8 cannot carry"
    return None


def id_rule(text: object) -> str | None:
    """Return what is wrong with an ID or a cursor, or None."""
    return text_rule(text, MAX_ID)


def role_rule(role: object) -> str | None:
    """Return what is wrong with the ID or name by which a role is looked up, or None."""
    if isinstance(role, str) and len(role) > MAX_NAME and not is_role_id(role):
        return f"must have at most {MAX_NAME} characters if it is a name, not {len(role)}"
    return id_rule(role)


def filter_rule(is_predefined: object) -> str | None:
    """Return what is wrong with the filter of a listing, or None."""
    if is_predefined is None or isinstance(is_predefined, bool):
        return None
    return f"must be True, False or None, not {type_name(is_predefined)}"


def id_kind(text: str) -> str | None:
    """Return the kind of thing that an ID is of, such as `Role`, or None if a text is no ID.

    An ID, as Arize's clients see it, is base64 of UTF-8 text with a colon, which follows the kind.
    """
    try:
        kind, colon, _ = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return None
    return kind if colon else None


def is_role_id(text: str) -> bool:
    """Return whether a text is an ID, and so no role's name, as Arize's clients see it."""
    return id_kind(text) is not None


def is_same_id(one: str, other: str) -> bool:
    """Return whether two IDs are the same; some programs drop the padding."""
    return one.rstrip("=") == other.rstrip("=")


def check(*messages: tuple[str, str | None]) -> None:
    """Raise one `ValidationError` for all fields whose rule returned a message."""
    broken = [(field, message) for field, message in messages if message is not None]
    if broken:
        raise validation_error(*broken)


def normalize_permissions(permissions: Iterable[AnyPermission | str]) -> tuple[AnyPermission, ...]:
    """Return permissions as members, each once, in the order of their first mention.

    A value that is no collection is returned unchanged, for the rule to refuse.
    """
    given: object = permissions
    if is_collection(permissions):
        members = [(isinstance(p, str) and known_permission(p)) or p for p in permissions]
        try:
            given = tuple(dict.fromkeys(members))
        except TypeError:  # something unhashable, which the rule refuses by its type
            given = tuple(members)
    return cast("tuple[AnyPermission, ...]", given)


def is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Return whether a value is an iterable, and not a text or a mapping."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


class CreateRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role to make; its fields are the body's.

    Args:
        name: Its name.
        permissions: Its permissions, made by `normalize_permissions`.
        description: Its description.
    """

    name: str
    permissions: tuple[AnyPermission, ...]
    description: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        description = self.description
        check(
            ("name", name_rule(self.name)),
            ("permissions", permissions_rule(self.permissions)),
            ("description", None if description is UNSET else description_rule(description)),
        )


class UpdateRole(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a role; its fields are the body's.

    Args:
        name: A new name.
        description: A new description; None clears it.
        permissions: The permissions that replace all, made by `normalize_permissions`.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    permissions: tuple[AnyPermission, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.name is UNSET and self.description is UNSET and self.permissions is UNSET:
            raise validation_error(
                ("name, description, permissions", "at least one must be given to change")
            )
        permissions, description = self.permissions, self.description
        is_kept_or_cleared = description is UNSET or description is None
        check(
            ("name", None if self.name is UNSET else name_rule(self.name)),
            ("permissions", None if permissions is UNSET else permissions_rule(permissions)),
            ("description", None if is_kept_or_cleared else description_rule(description)),
        )


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One page of any listing."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None

    def _page_rules(self) -> tuple[tuple[str, str | None], ...]:
        """Return what is wrong with each of its fields, for `check`."""
        return (
            ("limit", limit_rule(self.limit)),
            ("cursor", None if self.cursor is None else id_rule(self.cursor)),
        )


class ListRoles(PageRequest, frozen=True, kw_only=True):
    """One page of roles to list."""

    is_predefined: bool | None = None

    def __post_init__(self) -> None:
        check(*self._page_rules(), ("is_predefined", filter_rule(self.is_predefined)))
