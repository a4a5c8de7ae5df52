"""The permissions that an API key grants."""

from collections.abc import Mapping

import attrs

from arize_roles_async._values.permissions import Permission


@attrs.frozen
class Grants:
    """The permissions that an API key grants: on the whole account, and on single resources."""

    everywhere: frozenset[str] | None = None
    """Those on the whole account; None is all of them."""
    on: Mapping[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])
    """Those on single resources, by the IDs of these."""

    def may(self, permission: Permission, resource_id: str | None = None) -> bool:
        """Return whether the key grants a permission, on a resource if one is given."""
        if self.everywhere is None or permission in self.everywhere:
            return True
        return resource_id is not None and permission in self.on.get(resource_id, ())

    def sees(self, permission: Permission, *resource_ids: str) -> bool:
        """Return whether the key grants a permission everywhere, or any on one of some resources.

        So a key sees a space or a project on which it may do anything.
        """
        return self.may(permission) or any(each in self.on for each in resource_ids)
