"""Responses of the service: roles, and pages of them."""

from typing import TYPE_CHECKING, Any

import attr

from arize_roles_async._values import models
from arize_roles_async._values.errors import RolesError
from arize_roles_async._values.permissions import Permission, Permissions
from arize_roles_async._values.text import quoted

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any


def _permissions_repr(permissions: Permissions | None) -> str:
    return "None" if permissions is None else f"({models.first_reprs(permissions)})"


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class Role(models.Model):
    """A named set of permissions, as the service holds it.

    Frozen and hashable; two roles are equal when every field is. Field names and limits are the
    service's own, from its REST reference.
    """

    id: models.Id = attr.field(metadata=models.ID)
    name: str = attr.field(metadata={"doc": "Unique within the account, 1 to 255 characters."})
    description: str | None = models.optional("At most 1000 characters; None if there is none.")
    permissions: Permissions | None = models.optional(
        "None where the service withheld them: the caller lacks ROLE_READ.", repr=_permissions_repr
    )
    is_predefined: bool = attr.field(
        metadata={"doc": "Whether the role is the system's own, and read-only."}
    )
    created_at: models.Aware = attr.field(metadata={"doc": "When it was created; timezone-aware."})
    updated_at: models.Aware = attr.field(metadata={"doc": "When it last changed; timezone-aware."})


@attr.frozen(kw_only=True)
class ListRolesResponse(models.ListResponse[Role]):
    """One page of roles, or all of them; also a sequence of its roles."""

    roles: tuple[Role, ...] = attr.field(
        repr=models.items_repr, metadata={"doc": "Newest first; at most 100 in one page."}
    )
    pagination: models.PaginationMetadata = attr.field(metadata=models.PAGINATION)

    def permission_matrix(self) -> "DataFrame":
        """Return a table of roles by permissions, True where granted. Needs the extra `pandas`.

        Returns:
            A frame of plain booleans. Its index, `role`, holds the names of the roles; its
            columns, `permission`, every permission of this version and after them those that this
            version does not know and some role holds.

        Raises:
            MissingExtraError: pandas is not installed.
            RolesError: The service withheld permissions, as the API key lacks `ROLE_READ`.
        """
        from arize_roles_async._values.frames import import_extra

        pandas = import_extra("pandas")
        granted: list[frozenset[str]] = []
        for role in self.roles:
            if role.permissions is None:
                raise RolesError(
                    f"the service withheld the permissions of {quoted(role.name)}: "
                    "the API key lacks ROLE_READ, which a permission matrix needs"
                )
            granted.append(frozenset(map(str, role.permissions)))
        known = [member.value for member in Permission]
        unknown = sorted(frozenset[str]().union(*granted).difference(known))
        frame: DataFrame = pandas.DataFrame(
            [[permission in each for permission in known + unknown] for each in granted],
            index=pandas.Index([role.name for role in self.roles], name="role", dtype="object"),
            columns=pandas.Index(known + unknown, name="permission", dtype="object"),
            dtype=bool,
        )
        return frame
