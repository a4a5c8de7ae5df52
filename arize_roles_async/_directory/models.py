"""Responses of the service: users, spaces and projects, and pages of them.

The newest reference makes every field optional, so a model needs only what identifies a thing.
"""

from typing import Final

# The older name of attrs, which aiohttp has imported already; the newer one takes six more modules.
import attr

from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._values.json import MAX_ID
from arize_roles_async._values.models import (
    ID,
    PAGINATION,
    Aware,
    Id,
    ListResponse,
    Model,
    PaginationMetadata,
    items_repr,
    optional,
    shortened,
)
from arize_roles_async._values.text import one_line, quoted

_CREATED: Final = "When it was created; timezone-aware."
_IN_ORDER: Final = {"doc": "In the service's order."}


@attr.frozen(kw_only=True)
class AccountRole(Model):
    """The role that a user has in the whole account, beside those of role bindings."""

    type: str = attr.field(metadata={"doc": "`PREDEFINED` or `CUSTOM`."})
    name: str | None = optional("Such as `ADMIN`, or a custom role's name.")
    id: Id | None = optional("The ID of a custom role.")

    def __str__(self) -> str:
        return one_line(self.name or self.id or self.type)


@attr.frozen(kw_only=True, field_transformer=shortened)
class User(Model):
    """A user of the account, or the bot user of a service key, which has no address."""

    id: Id = attr.field(metadata=ID)
    email: str | None = optional("The address, unique but for expired invitations.", repr=repr)
    name: str | None = optional("For display; several users may have one name.", repr=repr)
    status: str | None = optional("`ACTIVE`, `INVITED` or `EXPIRED`.")
    role: AccountRole | None = optional("The user's role in the whole account.")
    is_developer: bool | None = optional("Whether the user has developer access.")
    created_at: Aware | None = optional(_CREATED)


@attr.frozen(kw_only=True, field_transformer=shortened)
class Space(Model):
    """A space; its name is unique within its organization."""

    id: Id = attr.field(metadata=ID)
    name: str = attr.field(metadata={"doc": "Its name."})
    description: str | None = optional("Free text.")
    organization_id: Id | None = optional("The ID of its organization.")
    is_private: bool | None = optional("Whether only its members see it.")
    created_at: Aware | None = optional(_CREATED)


@attr.frozen(kw_only=True, field_transformer=shortened)
class Project(Model):
    """A project; its name is unique within its space."""

    id: Id = attr.field(metadata=ID)
    name: str = attr.field(metadata={"doc": "Its name."})
    space_id: Id = attr.field(metadata={"doc": "The ID of its space."})
    project_type: str | None = optional("`APPLICATION`, `HARNESS` or `EXPERIMENT`.")
    created_at: Aware | None = optional(_CREATED)


@attr.frozen(kw_only=True)
class ListUsersResponse(ListResponse[User]):
    """One page of users, or all of them; also a sequence of its users."""

    users: tuple[User, ...] = attr.field(repr=items_repr, metadata={"doc": "Oldest first."})
    pagination: PaginationMetadata = attr.field(metadata=PAGINATION)


@attr.frozen(kw_only=True)
class ListSpacesResponse(ListResponse[Space]):
    """One page of spaces, or all of them; also a sequence of its spaces."""

    spaces: tuple[Space, ...] = attr.field(repr=items_repr, metadata=_IN_ORDER)
    pagination: PaginationMetadata = attr.field(metadata=PAGINATION)


@attr.frozen(kw_only=True)
class ListProjectsResponse(ListResponse[Project]):
    """One page of projects, or all of them; also a sequence of its projects."""

    projects: tuple[Project, ...] = attr.field(repr=items_repr, metadata=_IN_ORDER)
    pagination: PaginationMetadata = attr.field(metadata=PAGINATION)


@attr.frozen(kw_only=True, field_transformer=shortened)
class NamedBinding(RoleBinding):
    """A role binding with the names of its user, role and resource.

    A name is None where the key may not see it, or where the thing is gone. The bot user of a
    service key has no address.
    """

    user: str | None = optional("The address of the user.")
    role: str | None = optional("The name of the role.")
    resource: str | None = optional("The name of the space or project.")
    in_space: str | None = optional("The name of the space that a project is in.")

    def __str__(self) -> str:
        return "{} has {} on {}".format(*in_words(self))


def in_words(binding: NamedBinding) -> tuple[str, str, str]:
    """Return the user, the role and the place of a binding, by their names or else IDs."""
    name = quoted(binding.resource or binding.resource_id, MAX_ID)
    place = f"{one_line(binding.resource_type.lower())} {name}"
    if binding.in_space is not None:
        place += f" in space {quoted(binding.in_space, MAX_ID)}"
    who, role = binding.user or binding.user_id, binding.role or binding.role_id
    return one_line(who), one_line(role), place


@attr.frozen(kw_only=True)
class NamedBindings(ListResponse[NamedBinding]):
    """Role bindings with their names; also a sequence of them."""

    role_bindings: tuple[NamedBinding, ...] = attr.field(
        repr=items_repr, metadata={"doc": "Those on spaces first."}
    )
    pagination: PaginationMetadata = attr.field(metadata=PAGINATION)
