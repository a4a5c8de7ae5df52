"""Permissions: strings that know what they are about and what they allow, and their one list."""

import pickle

import cattrs
import pytest

from arize_roles_async import Permission, UnknownPermission

UNKNOWN = UnknownPermission("DATASET_EXAMPLE_TELEPORT")


class TestMembers:
    """The members of `Permission`."""

    @pytest.mark.parametrize(
        ("permission", "resource", "action"),
        [
            (Permission.PROJECT_READ, "PROJECT", "READ"),
            (Permission.DATASET_EXAMPLE_ANNOTATE, "DATASET_EXAMPLE", "ANNOTATE"),
            (Permission.USER_PERMISSION_UPDATE, "USER_PERMISSION", "UPDATE"),
            (Permission.ALYX_RUN, "ALYX", "RUN"),
            (UNKNOWN, "DATASET_EXAMPLE", "TELEPORT"),
            (UnknownPermission("SOLO"), "", "SOLO"),
        ],
    )
    def test_parts(
        self, permission: Permission | UnknownPermission, resource: str, action: str
    ) -> None:
        """A permission knows its resource and action."""
        assert (permission.resource, permission.action) == (resource, action)


class TestUnknown:
    """Permissions that this version does not know."""

    def test_identifier(self) -> None:
        """An unknown permission is its identifier, and says what it is."""
        assert UNKNOWN == "DATASET_EXAMPLE_TELEPORT"
        assert str(UNKNOWN) == f"{UNKNOWN}" == UNKNOWN.value == "DATASET_EXAMPLE_TELEPORT"
        assert type(str(UNKNOWN)) is str
        assert hash(UNKNOWN) == hash("DATASET_EXAMPLE_TELEPORT")
        assert (UNKNOWN.is_known, Permission.ROLE_READ.is_known) == (False, True)
        assert repr(UNKNOWN) == "UnknownPermission('DATASET_EXAMPLE_TELEPORT')"

    def test_by_hand(self) -> None:
        """An identifier that is no member is a ValueError where a member is asked for by hand."""
        with pytest.raises(ValueError, match=r"."):
            Permission("PROJECT_TELEPORT")
        with pytest.raises(ValueError, match=r"."):
            cattrs.Converter().structure("PROJECT_TELEPORT", Permission)
        pickled = pickle.dumps(Permission.PROJECT_READ, protocol=2)
        # Python up to 3.11.3 pickles the name of a member, and later the value.
        with pytest.raises((AttributeError, ValueError), match=r"."):
            pickle.loads(pickled.replace(b"PROJECT_READ", b"PROJECT_TELE"))  # noqa: S301 - from above
