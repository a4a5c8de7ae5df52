"""Requests about roles: their path, what refusals mean, their rules, and the listing."""

import string
from collections.abc import Iterable
from typing import Final, Literal, cast, get_args
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, UnsetType

from arize_roles_async._calls.call import Collection
from arize_roles_async._clients.paging import Pages
from arize_roles_async._roles.models import ListRolesResponse, Role
from arize_roles_async._values import requests as rules
from arize_roles_async._values.base_errors import validation_error
from arize_roles_async._values.permissions import (
    AnyPermission,
    Permission,
    UnknownPermission,
    known_permission,
)
from arize_roles_async._values.text import nearest, quoted, type_name
from arize_roles_async._wire.request import Request

RoleOperation = Literal["list", "get", "create", "update", "delete"]

# The reference does not say which of the two answers a request about a role that is gone.
NO_SUCH_ROLE: Final = frozenset({400, 404})
_CONFLICT: Final = 409


def _hint(request: Request, status: int) -> str:
    role_id = unquote(request.path.removeprefix(ROLES.path)[1:])
    if role_id and status == _CONFLICT and request.method == "DELETE":
        return f"; role_bindings.find(role_id={quoted(role_id)}) shows who has it"
    kind = rules.id_kind(role_id)
    if not role_id or status not in NO_SUCH_ROLE or kind == "Role":
        return ""
    # An ID may have been meant as a name.
    if kind is None:
        return "; role_id= takes only an ID, role= takes an ID or a name"
    return (
        f"; {quoted(role_id)} was read as an ID, as it is base64 of a text with a colon: to "
        "reach a role of that name, find it in list() and pass its ID as role_id="
    )


ROLES: Final = Collection(
    path="/v2/roles",
    operations=get_args(RoleOperation),
    id_argument="role_id",
    verdicts={
        ("delete", 404): True,
        # A role that cannot be deleted, such as one that users hold, is there.
        ("delete", 409): False,
    },
    hint=_hint,
)

MAX_DESCRIPTION: Final = 1000
_MAX_NAMED: Final = 5
"""Refused permissions that a message names."""

_SIGNS: Final = "-_.,()[]'\"/:\\&@#$%!?+="
_ALLOWED_IN_NAME: Final = frozenset(f"{string.ascii_letters}{string.digits} {_SIGNS}")


def name_flaw(name: object) -> str | None:
    """Return what is wrong with a role's name, or None."""
    if not isinstance(name, str):
        return f"must be a string, not {type_name(name)}"
    if not 1 <= len(name) <= rules.MAX_NAME:
        return f"must have 1 to {rules.MAX_NAME} characters, not {len(name)}"
    if not _ALLOWED_IN_NAME.issuperset(name):
        refused = "".join(dict.fromkeys(c for c in name if c not in _ALLOWED_IN_NAME))
        return (
            f"must not contain {refused[:20]!a}: only ASCII letters, digits, space and "
            f"{' '.join(_SIGNS)} are allowed"
        )
    return None


def description_flaw(description: object) -> str | None:
    """Return what is wrong with a role's description, or None."""
    is_none = description is UNSET or description == ""
    return None if is_none else rules.text_flaw(description, MAX_DESCRIPTION)


def permissions_flaw(permissions: object) -> str | None:
    """Return what is wrong with a set of permissions, or None."""
    if not isinstance(permissions, tuple):
        return f"must be a list of permissions, not {type_name(permissions)}"
    if not permissions:
        return "must hold at least one permission"
    each = cast("tuple[object, ...]", permissions)
    refused = [p for p in each if not (isinstance(p, Permission) or _can_be_sent(p))]
    if not refused:
        return None
    named = [_refused_permission(p) for p in refused[:_MAX_NAMED]]
    if more := len(refused) - len(named):
        named.append(f"and {more} more")
    return "; ".join(named)


def _can_be_sent(permission: object) -> bool:
    return isinstance(permission, UnknownPermission) and rules.text_flaw(permission) is None


def _refused_permission(value: object) -> str:
    if isinstance(value, UnknownPermission):
        return f"{quoted(value)} {rules.text_flaw(value)}"
    if not isinstance(value, str):
        return f"must hold permissions or their identifiers, not {type_name(value)}"
    return f"{quoted(value)} is not a known permission; did you mean {nearest(value, Permission)}?"


def filter_flaw(is_predefined: object) -> str | None:
    """Return what is wrong with the filter of a listing, or None."""
    if isinstance(is_predefined, bool):
        return None
    return f"must be True or False, not {type_name(is_predefined)}"


def normalize_permissions(permissions: Iterable[AnyPermission | str]) -> tuple[AnyPermission, ...]:
    """Return permissions as members, each once, in the order of their first mention.

    A value that is no collection is returned unchanged, for the rule to refuse.
    """
    given: object = permissions
    if rules.is_collection(permissions):
        members = [(isinstance(p, str) and known_permission(p)) or p for p in permissions]
        try:
            given = tuple(dict.fromkeys(members))
        except TypeError:  # something unhashable, which the rule refuses by its type
            given = tuple(members)
    return cast("tuple[AnyPermission, ...]", given)


class CreateRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role to make; its fields are the body's, the permissions by `normalize_permissions`."""

    name: str
    permissions: tuple[AnyPermission, ...]
    description: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        rules.check(
            ("name", name_flaw(self.name)),
            ("permissions", permissions_flaw(self.permissions)),
            ("description", description_flaw(self.description)),
        )


class UpdateRole(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a role; its fields are the body's.

    A description of None clears the role's. The permissions, by `normalize_permissions`, replace
    all of its own.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    permissions: tuple[AnyPermission, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.name is UNSET and self.description is UNSET and self.permissions is UNSET:
            raise validation_error(
                ("name, description, permissions", "at least one must be given to change")
            )
        description = UNSET if self.description is None else self.description
        rules.check(
            ("name", rules.flaw_if_given(name_flaw, self.name)),
            ("permissions", rules.flaw_if_given(permissions_flaw, self.permissions)),
            ("description", description_flaw(description)),
        )


class ListRoles(rules.PageRequest, frozen=True, kw_only=True):
    """One page of roles to list."""

    is_predefined: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        self._check(("is_predefined", rules.flaw_if_given(filter_flaw, self.is_predefined)))


class RolePages(Pages[ListRoles, ListRolesResponse, Role]):
    """A listing that sends its requests only when it is awaited or iterated.

    `await roles.list()` gives one page, `async for role in roles.list()` every role, page after
    page, and `await roles.list().all()` every role in one `ListRolesResponse`. Nothing is sent
    before that, and each starts afresh. Clients make listings; a client of your own makes one with
    `from_fetch`.
    """

    _noun = "roles"
    _request_type = ListRoles
