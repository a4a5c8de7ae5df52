"""Responses of the service: users, spaces and projects, and pages of them.

The newest reference makes every field optional, so a model needs only what identifies an item.
"""

import re
from collections.abc import Iterable
from typing import Final

import attr

from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._values import models
from arize_roles_async._values.json import MAX_ID
from arize_roles_async._values.text import one_line, quoted

_CREATED: Final = "When it was created; timezone-aware."
_IN_ORDER: Final = {"doc": "In the service's order."}
_FORMULA: Final = r"(^|[;\t\r\n])(?=\s*[=+@＝＋－＠﹦﹢﹣﹫-])"  # noqa: RUF001 - signs of other widths
"""Where a spreadsheet runs the rest of a text, also where a semicolon or tab separates cells."""


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class AccountRole(models.Model):
    """The role that a user has in the whole account, beside those of role bindings."""

    type: str = attr.field(metadata={"doc": "`PREDEFINED` or `CUSTOM`."})
    name: str | None = models.optional("Such as `ADMIN`, or a custom role's name.")
    id: models.Id | None = models.optional("The ID of a custom role.")

    def __str__(self) -> str:
        return one_line(self.name or self.id or self.type)


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class User(models.Model):
    """A user of the account, or the bot user of a service key, which has no address."""

    id: models.Id = attr.field(metadata=models.ID)
    email: str | None = models.optional("Unique, except for expired invitations.")
    name: str | None = models.optional("For display; several users may have one name.")
    status: str | None = models.optional("`ACTIVE`, `INVITED` or `EXPIRED`.")
    role: AccountRole | None = models.optional("The user's role in the whole account.")
    is_developer: bool | None = models.optional("Whether the user has developer access.")
    created_at: models.Aware | None = models.optional(_CREATED)


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class Space(models.Model):
    """A space; its name is unique within its organization."""

    id: models.Id = attr.field(metadata=models.ID)
    name: str = attr.field(metadata={"doc": "Its name."})
    description: str | None = models.optional("Free text.")
    organization_id: models.Id | None = models.optional("The ID of its organization.")
    is_private: bool | None = models.optional("Whether only its members see it.")
    created_at: models.Aware | None = models.optional(_CREATED)


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class Project(models.Model):
    """A project; its name is unique within its space."""

    id: models.Id = attr.field(metadata=models.ID)
    name: str = attr.field(metadata={"doc": "Its name."})
    space_id: models.Id = attr.field(metadata={"doc": "The ID of its space."})
    project_type: str | None = models.optional("`APPLICATION`, `HARNESS` or `EXPERIMENT`.")
    created_at: models.Aware | None = models.optional(_CREATED)


@attr.frozen(kw_only=True)
class ListUsersResponse(models.ListResponse[User]):
    """One page of users, or all of them; also a sequence of its users."""

    users: tuple[User, ...] = attr.field(repr=models.items_repr, metadata={"doc": "Oldest first."})
    pagination: models.PaginationMetadata = attr.field(metadata=models.PAGINATION)


@attr.frozen(kw_only=True)
class ListSpacesResponse(models.ListResponse[Space]):
    """One page of spaces, or all of them; also a sequence of its spaces."""

    spaces: tuple[Space, ...] = attr.field(repr=models.items_repr, metadata=_IN_ORDER)
    pagination: models.PaginationMetadata = attr.field(metadata=models.PAGINATION)


@attr.frozen(kw_only=True)
class ListProjectsResponse(models.ListResponse[Project]):
    """One page of projects, or all of them; also a sequence of its projects."""

    projects: tuple[Project, ...] = attr.field(repr=models.items_repr, metadata=_IN_ORDER)
    pagination: models.PaginationMetadata = attr.field(metadata=models.PAGINATION)


@attr.frozen(kw_only=True, field_transformer=models.shortened)
class NamedBinding(RoleBinding):
    """A role binding with the names of its user, role and resource.

    A name is None where the key may not see it, or where the item is gone. The bot user of a
    service key has no address.
    """

    user: str | None = models.optional("The address of the user.")
    role: str | None = models.optional("The name of the role.")
    resource: str | None = models.optional("The name of the space or project.")
    in_space: str | None = models.optional("The name of the space that a project is in.")

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


def by_names(binding: NamedBinding) -> tuple[str, ...]:
    """Return by what `who` sorts its rows, so that a list of yesterday can be compared."""
    names = (binding.in_space, binding.resource, binding.user, binding.role)
    # Those on spaces first, as everywhere.
    first = "" if binding.resource_type == "SPACE" else binding.resource_type
    return (first, *(text or "" for text in names), binding.resource_id, binding.user_id)


def in_columns(bindings: Iterable[NamedBinding]) -> str:
    """Return a line a binding: the user, the role, and the place."""
    rows = [[*in_words(each)] for each in bindings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


@attr.frozen(kw_only=True)
class NamedBindings(models.ListResponse[NamedBinding]):
    """Role bindings with their names; also a sequence of them."""

    role_bindings: tuple[NamedBinding, ...] = attr.field(
        repr=models.items_repr, metadata={"doc": "Those on spaces first."}
    )
    pagination: models.PaginationMetadata = attr.field(metadata=models.PAGINATION)

    def to_csv(self) -> str:
        """Return CSV with a heading; an apostrophe is before what a spreadsheet would run."""
        import csv
        from io import StringIO

        out = StringIO()
        writer = csv.DictWriter(out, NamedBinding.model_fields, lineterminator="\n")
        writer.writeheader()
        for each in self:
            row = each.to_dict().items()
            writer.writerow({name: re.sub(_FORMULA, r"\1'", text) for name, text in row})
        return out.getvalue()
