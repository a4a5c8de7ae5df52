"""Permissions: strings that know what they are about and what they allow, and their one list."""

import copy
import pickle
from typing import Any

import pytest

from arize_roles_async import Permission, UnknownPermission, ValidationError

UNKNOWN = UnknownPermission("DATASET_EXAMPLE_TELEPORT")


class TestMembers:
    """The members of `Permission`."""

    def test_identifier(self) -> None:
        """A member is its identifier."""
        assert Permission.PROJECT_READ == "PROJECT_READ"
        assert str(Permission.PROJECT_READ) == "PROJECT_READ"
        assert f"{Permission.PROJECT_READ}" == "PROJECT_READ"
        assert Permission("PROJECT_READ") is Permission.PROJECT_READ
        assert {"PROJECT_READ": 1}[Permission.PROJECT_READ] == 1

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


class TestSelection:
    """`Permission.for_resource` and `Permission.for_action`."""

    def test_resource_exact(self) -> None:
        """A resource is matched exactly, and its permissions come in definition order."""
        found = Permission.for_resource("DATASET")
        assert {"DATASET_CREATE", "DATASET_DELETE", "DATASET_READ", "DATASET_UPDATE"} <= {*found}
        assert "DATASET_EXAMPLE_READ" not in found
        assert list(found) == [member for member in Permission if member in found]

    def test_action(self) -> None:
        """An action is found on every resource, in definition order."""
        found = Permission.for_action("RESTRICT")
        assert {"DASHBOARD_RESTRICT", "PROJECT_RESTRICT", "PROMPT_RESTRICT"} <= {*found}
        assert list(found) == [member for member in Permission if member in found]
        assert Permission.DATASET_EXAMPLE_READ in Permission.for_action("READ")

    def test_nearest_resource(self) -> None:
        """An unknown resource is an error that suggests the nearest one."""
        with pytest.raises(ValidationError) as caught:
            Permission.for_resource("DATASET_EXMAPLE")
        assert str(caught.value) == (
            "resource: 'DATASET_EXMAPLE' is not the resource of a known permission; "
            "did you mean DATASET_EXAMPLE?"
        )

    @pytest.mark.parametrize("find", [Permission.for_resource, Permission.for_action])
    def test_no_text(self, find: Any) -> None:  # noqa: ANN401 - either method
        """An argument that is no string is refused."""
        with pytest.raises(ValidationError, match=r": must be a string, not int$"):
            find(5)

    def test_nearest_action(self) -> None:
        """An action in small letters is not found, and the error suggests it in capitals."""
        with pytest.raises(ValueError, match=r"did you mean READ\?$") as caught:
            Permission.for_action("read")
        assert isinstance(caught.value, ValidationError)
        assert caught.value.violations[0].field == "action"

    def test_empty(self) -> None:
        """Nothing is near to an empty text."""
        with pytest.raises(ValidationError) as caught:
            Permission.for_action("")
        assert str(caught.value) == "action: '' is not the action of a known permission"

    def test_parts(self) -> None:
        """Each permission has one resource and one action."""
        resources = {p.resource for p in Permission}
        actions = {p.action for p in Permission}
        for parts in (map(Permission.for_resource, resources), map(Permission.for_action, actions)):
            assert sorted(p for part in parts for p in part) == sorted(Permission)


class TestUnknown:
    """Permissions that this version does not know."""

    def test_identifier(self) -> None:
        """An unknown permission is its identifier."""
        assert UNKNOWN == "DATASET_EXAMPLE_TELEPORT"
        assert str(UNKNOWN) == f"{UNKNOWN}" == UNKNOWN.value == "DATASET_EXAMPLE_TELEPORT"
        assert type(str(UNKNOWN)) is str
        assert hash(UNKNOWN) == hash("DATASET_EXAMPLE_TELEPORT")

    def test_says_so(self) -> None:
        """An unknown permission says so."""
        assert (UNKNOWN.is_known, Permission.ROLE_READ.is_known) == (False, True)
        assert repr(UNKNOWN) == "UnknownPermission('DATASET_EXAMPLE_TELEPORT')"

    @pytest.mark.parametrize("permission", [UNKNOWN, Permission.ROLE_READ])
    def test_copies(self, permission: Permission | UnknownPermission) -> None:
        """A permission copies and pickles."""
        for other in (
            copy.copy(permission),
            copy.deepcopy(permission),
            pickle.loads(pickle.dumps(permission)),  # noqa: S301 - our own
        ):
            assert other == permission
            assert type(other) is type(permission)
