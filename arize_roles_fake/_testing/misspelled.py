"""The warning of a permission that is nearly one that there is."""

import warnings
from collections.abc import Iterable

from arize_roles_async._values.permissions import Permission, known_permission
from arize_roles_async._values.public import public


@public("arize_roles_fake")
class SuspiciousPermissionWarning(UserWarning):
    """Warns of a seeded permission that is unknown and one letter off a known one."""


def warn_of_misspelled(permissions: Iterable[str]) -> None:
    """Warn of each unknown permission that is a letter off a known one.

    The warning shows the line that called the caller of this function.
    """
    for permission in permissions:
        if known_permission(permission):
            continue
        near = next((p for p in Permission if _is_one_edit_apart(permission, p)), None)
        if near is not None:
            warnings.warn(
                f"{permission!r} is not a known permission; did you mean {near}?",
                SuspiciousPermissionWarning,
                stacklevel=3,
            )


def _is_one_edit_apart(one: str, other: str) -> bool:
    """Return whether one inserted, removed, replaced or swapped letter makes two texts equal."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    is_swapped = len(one) == 2 and one == other[::-1]  # noqa: PLR2004
    return is_swapped or max(len(one), len(other)) == 1
