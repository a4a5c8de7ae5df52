"""Responses of the service: role bindings, and pages of them."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import attr
import msgspec

from arize_roles_async._values import models
from arize_roles_async._values.permissions import enum_or_text


class RoleBindingResourceType(StrEnum):
    """The kind of resource on which a user has a role.

    Members are strings: they compare equal to their identifier and print as it. An answer may hold
    the identifier of a kind that is newer than this version, as a plain string.
    """

    SPACE = "SPACE"
    PROJECT = "PROJECT"


ResourceTypeArgument: TypeAlias = RoleBindingResourceType | str

if TYPE_CHECKING:
    _ResourceType = RoleBindingResourceType | str
else:
    # Annotated, so that cattrs leaves the value to msgspec.
    _ResourceType = Annotated[enum_or_text(RoleBindingResourceType, str), msgspec.Meta()]


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class RoleBinding(models.Model):
    """One user's role on one space or project, as the service holds it.

    Frozen and hashable as a `Role`, with the service's own names. A user has at most one binding on
    a resource.
    """

    id: models.Id = attr.field(metadata=models.ID)
    role_id: models.Id = attr.field(metadata={"doc": "The ID of the role that the user has."})
    user_id: models.Id = attr.field(metadata={"doc": "The ID of the user."})
    resource_type: _ResourceType = attr.field(
        metadata={"doc": "The kind of the resource; a string if it is newer than this version."}
    )
    resource_id: models.Id = attr.field(metadata={"doc": "The ID of the space or project."})
    created_at: models.Aware = attr.field(metadata={"doc": "When it was created; timezone-aware."})
    updated_at: models.Aware = attr.field(
        metadata={"doc": "When its role last changed; timezone-aware."}
    )


@attr.frozen(kw_only=True)
class ListRoleBindingsResponse(models.ListResponse[RoleBinding]):
    """One page of role bindings, or all of them; also a sequence of its bindings."""

    role_bindings: tuple[RoleBinding, ...] = attr.field(
        repr=models.items_repr, metadata={"doc": "Newest first; at most 100 in one page."}
    )
    pagination: models.PaginationMetadata = attr.field(metadata=models.PAGINATION)
