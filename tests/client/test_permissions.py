"""Permissions: strings that know what they are about and what they allow."""

import pytest

from arize_roles_async import Permission, UnknownPermission

UNKNOWN = UnknownPermission("DATASET_EXAMPLE_TELEPORT")


@pytest.mark.parametrize(
    ("permission", "resource", "action"),
    [
        (Permission.DATASET_EXAMPLE_ANNOTATE, "DATASET_EXAMPLE", "ANNOTATE"),
        (Permission.USER_PERMISSION_UPDATE, "USER_PERMISSION", "UPDATE"),
        (UNKNOWN, "DATASET_EXAMPLE", "TELEPORT"),
        (UnknownPermission("SOLO"), "", "SOLO"),
    ],
)
def test_parts(permission: Permission | UnknownPermission, resource: str, action: str) -> None:
    """A permission knows its resource and action."""
    assert (permission.resource, permission.action) == (resource, action)


def test_unknown() -> None:
    """An unknown permission is its identifier, and says what it is; by hand it is none."""
    assert UNKNOWN == "DATASET_EXAMPLE_TELEPORT"
    assert str(UNKNOWN) == f"{UNKNOWN}" == UNKNOWN.value == "DATASET_EXAMPLE_TELEPORT"
    assert type(str(UNKNOWN)) is str
    assert hash(UNKNOWN) == hash("DATASET_EXAMPLE_TELEPORT")
    assert (UNKNOWN.is_known, Permission.ROLE_READ.is_known) == (False, True)
    assert repr(UNKNOWN) == "UnknownPermission('DATASET_EXAMPLE_TELEPORT')"
    with pytest.raises(ValueError, match=r"."):
        Permission("PROJECT_TELEPORT")
