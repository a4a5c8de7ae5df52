"""Roles for tests that need one and no account."""

import functools
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from arize_roles_async._roles.models import Role
from arize_roles_async._values.permissions import AnyPermission, any_permission
from arize_roles_fake._service.ids import encode_id
from arize_roles_fake._testing.account_file import is_in_utc

_CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)


def make_role(
    *,
    name: str = "Role",
    permissions: Iterable[AnyPermission | str] | None = ("PROJECT_READ",),
    description: str | None = None,
    is_predefined: bool = False,
    id: str | None = None,
    created_at: datetime = _CREATED,
    updated_at: datetime | None = None,
) -> Role:
    """Return a role like those that clients return, for code under test that takes one.

    ```python
    role = make_role(name="AI Engineer")
    assert role.permissions == (Permission.PROJECT_READ,)
    ```

    The same arguments make equal roles. `FakeAccount.add_role` puts one into an account.

    Args:
        name: The name.
        permissions: Any identifiers; None for a role whose permissions were withheld.
        description: The description.
        is_predefined: True makes it one of the system's own roles.
        id: The ID; made from the name by default.
        created_at: Time of creation, timezone-aware.
        updated_at: Time of the last change; `created_at` by default.

    Raises:
        ValueError: A text contains surrogates, or a timestamp is naive.
        TypeError: `permissions` is one string.
    """
    held = None
    if permissions is not None:
        held, _ = members(tuple(reject_string(permissions)))
    moments = (created_at, updated_at or created_at)
    if any(moment.tzinfo is None for moment in moments):
        raise ValueError("timestamps must be timezone-aware")
    if not all(map(is_in_utc, moments)):
        raise ValueError("timestamps must be in the years 1 to 9999 in UTC")
    _check_text(name, description or "", id or "")
    number = zlib.crc32(name.encode())
    return Role(
        id=encode_id(f"Role:{number}:made") if id is None else id,
        name=name,
        description=description,
        permissions=held,
        is_predefined=is_predefined,
        created_at=writable(created_at),
        updated_at=writable(updated_at or created_at),
    )


def reject_string(permissions: Iterable[AnyPermission | str]) -> Iterable[AnyPermission | str]:
    """Return the permissions, or raise `TypeError` if they are one string."""
    # A string is an iterable of strings too, so no type checker finds the mistake.
    if isinstance(permissions, str | bytes):
        raise TypeError(
            f"permissions must be a set or another iterable, not the string {permissions!r}"
        )
    return permissions


def writable(moment: datetime) -> datetime:
    """Return a moment with an offset of whole minutes, the only ones of RFC 3339."""
    offset = moment.utcoffset() or timedelta()
    return moment.astimezone(UTC if offset % timedelta(minutes=1) else timezone(offset))


# Each new account has the same predefined roles, of hundreds of permissions in all.
@functools.lru_cache(maxsize=64)
def members(
    identifiers: tuple[AnyPermission | str, ...],
) -> tuple[tuple[AnyPermission, ...], frozenset[str]]:
    """Return permissions, and those of them that this version does not know."""
    _check_text(*identifiers)
    held = tuple(map(any_permission, dict.fromkeys(identifiers)))
    return held, frozenset(str(each) for each in held if not each.is_known)


def _check_text(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a role must not contain surrogates, which UTF-8 cannot carry") from error
