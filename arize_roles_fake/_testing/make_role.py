"""Roles as tests give them: those that need no account, and permissions that may be misspelled."""

import functools
import warnings
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypedDict, Unpack

from arize_roles_async._roles.models import Role
from arize_roles_async._values.permissions import (
    AnyPermission,
    Permission,
    any_permission,
    known_permission,
)
from arize_roles_async._values.requests import text_flaw
from arize_roles_fake._service.arguments import without_none
from arize_roles_fake._service.ids import encode_id

_CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)


class RoleFields(TypedDict, total=False):
    """The fields of a role that a test may give besides its name and permissions."""

    description: str | None
    """The description; an empty one counts as none."""
    is_predefined: bool | None
    """True makes it one of the system's own roles; it is custom by default."""
    id: str | None
    """The ID; one of its own by default."""
    created_at: datetime | None
    """The time of its creation, timezone-aware."""
    updated_at: datetime | None
    """The time of its last change; `created_at` by default."""


@without_none
def make_role(
    *,
    name: str = "Role",
    permissions: Iterable[AnyPermission | str] | None = ("PROJECT_READ",),
    **fields: Unpack[RoleFields],
) -> Role:
    """Return a role like those that clients return, for code under test that takes one.

    The same arguments make equal roles. `FakeAccount.add_role` puts one into an account.

    Args:
        name: The name.
        permissions: Any identifiers; None for a role whose permissions were withheld.
        fields: Other fields of a `Role`. By default its ID is made from the name, and its times are
            the begin of 2026.

    Raises:
        ValueError: A text contains surrogates, or a timestamp is naive.
        TypeError: `permissions` is one string, or a role has no such field.
    """
    _check_text(name)
    given: dict[str, Any] = {
        "name": name,
        "id": encode_id(f"Role:{zlib.crc32(name.encode())}:made"),
        "is_predefined": False,
        "created_at": _CREATED,
        **{field: value for field, value in fields.items() if value is not None and value != ""},
    }
    for field, value in {"updated_at": given["created_at"], **given}.items():
        if isinstance(value, datetime):
            given[field] = writable(value)
        elif isinstance(value, str):
            _check_text(value)
    if permissions is not None:
        given["permissions"] = _any_permissions(tuple(reject_string(permissions)))
    return Role(**given)


def reject_string(permissions: Iterable[AnyPermission | str]) -> Iterable[AnyPermission | str]:
    """Return the permissions, or raise `TypeError` if they are one string."""
    # A string is an iterable of strings too, so no type checker finds the mistake.
    if isinstance(permissions, str | bytes):
        raise TypeError(
            f"permissions must be a set or another iterable, not the string {permissions!r}"
        )
    return permissions


def writable(moment: datetime) -> datetime:
    """Return a moment in UTC, as the service writes it, or raise `ValueError`."""
    if moment.utcoffset() is None:
        raise ValueError("timestamps must be timezone-aware")
    return moment.astimezone(UTC)


# Each new account has the same predefined roles, of hundreds of permissions in all.
@functools.lru_cache(maxsize=64)
def _any_permissions(identifiers: tuple[AnyPermission | str, ...]) -> tuple[AnyPermission, ...]:
    for each in identifiers:
        _check_text(each)
    return tuple(map(any_permission, dict.fromkeys(identifiers)))


def _check_text(text: str) -> None:
    if text and (flaw := text_flaw(text)):
        raise ValueError(f"a role {flaw}")


class SuspiciousPermissionWarning(UserWarning):
    """Warns of a seeded permission that is unknown and one letter off a known one."""


def warn_of_misspelled(permissions: Iterable[str]) -> None:
    """Warn of each unknown permission that is a letter off a known one.

    The warning shows the line that called the caller of this function, which is `without_none`.
    """
    for permission in permissions:
        if known_permission(permission):
            continue
        near = next((p for p in Permission if _is_one_edit_apart(permission, p)), None)
        if near is not None:
            warnings.warn(
                f"{permission!r} is not a known permission; did you mean {near}?",
                SuspiciousPermissionWarning,
                stacklevel=4,
            )


def _is_one_edit_apart(one: str, other: str) -> bool:
    """Return whether one inserted, removed, replaced or swapped letter makes two texts equal."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    is_swapped = len(one) == 2 and one == other[::-1]  # noqa: PLR2004
    return is_swapped or max(len(one), len(other)) == 1
