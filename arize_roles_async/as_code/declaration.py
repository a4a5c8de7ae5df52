"""The declaration: the custom roles that an account should have, and their rules."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attr

from arize_roles_async import AnyPermission, Permission, UnknownPermission, Violation
from arize_roles_async._values.permissions import any_permission
from arize_roles_async._values.requests import (
    check,
    description_rule,
    id_rule,
    is_collection,
    name_rule,
    normalize_permissions,
    permissions_rule,
    text_rule,
)
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.toml import quote

if TYPE_CHECKING:
    from arize_roles_async.as_code.files import File

_T = TypeVar("_T")

KEYS: Final = ("account", "anchor", "new_permissions", "absent", "ignored", "sets", "roles")
"""The keys of a file, in the order in which they are written."""
ROLE_KEYS: Final = ("description", "previously", "include", "permissions")
"""Those of a role. The permissions come last: without them, a role is refused, so no file that was
cut short has a part of one."""
_MAX_LABEL: Final = 100
MAX_SUGGESTIONS: Final = 20
"""Unknown permissions, or sets, for which the nearest known ones are searched, which takes time."""
_NEAR: Final = 0.8
"""How like a known one a typing error is; a guess for a new permission would only mislead."""
_ONCE: Final = (
    "a name, present or former, may appear only once, so swapping two names takes two runs and a "
    "third name"
)


# Converters return any other value unchanged, for the rules to refuse.


def _in_order(values: Iterable[_T], key: Callable[[Any], str] = str) -> tuple[_T, ...]:
    given: Any = tuple(sorted(values, key=key)) if is_collection(values) else values
    return cast("tuple[_T, ...]", given)


def to_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return names in their order."""
    return _in_order(values)


def to_permissions(values: Iterable[AnyPermission | str]) -> tuple[AnyPermission, ...]:
    """Return permissions in their order, each once."""
    given: Any = normalize_permissions(values)
    if is_collection(given):
        given = [any_permission(each) if isinstance(each, str) else each for each in given]
    return _in_order(cast("Iterable[AnyPermission]", given))


def _to_roles(values: "Iterable[DeclaredRole]") -> "tuple[DeclaredRole, ...]":
    return _in_order(values, lambda role: str(getattr(role, "name", "")))


@attr.frozen(kw_only=True)
class DeclaredRole:
    """A role with all its fields, as the account should have it; a `Declaration` checks it.

    Args:
        name: Its name; it and the next two follow the rules of `RolesClient.create`.
        permissions: All its permissions, in any order.
        description: Its description; an empty one is the same as None.
        previously: Former names. A role with one of these is renamed, and its users keep it.
        origins: The names of the sets that permissions come from, by permission, for notes.
    """

    name: str
    permissions: tuple[AnyPermission, ...] = attr.field(converter=to_permissions)
    description: str | None = None
    previously: tuple[str, ...] = attr.field(default=(), converter=to_names)
    origins: Mapping[str, str] = attr.field(factory=dict[str, str], eq=False, repr=False)


@attr.frozen(kw_only=True)
class Declaration:
    """The custom roles that an account should have; a role that it does not name is left alone.

    Args:
        roles: The roles that the account should have.
        absent: The names of roles that it should not have.
        ignored: The names of roles that others manage; they are left alone, and no plan shows them.
        new_permissions: Permissions that this version of the library does not know; any other
            unknown one is taken for a typing error.
        account: A label of the account, such as `staging`, which plans show and checksums cover.
        anchor: The ID of a role that the account has; a plan for any other account is refused.
        files: The files that it was read from, in which errors show places.
        notes: Hints about the files, such as a set that no role includes.

    Raises:
        ValidationError: A role breaks a rule, a name appears twice, or a permission is unknown and
            not in `new_permissions`. It has every violation.
    """

    roles: tuple[DeclaredRole, ...] = attr.field(default=(), converter=_to_roles)
    absent: tuple[str, ...] = attr.field(default=(), converter=to_names)
    new_permissions: tuple[AnyPermission, ...] = attr.field(default=(), converter=to_permissions)
    account: str | None = None
    anchor: str | None = None
    ignored: tuple[str, ...] = attr.field(default=(), converter=to_names)
    files: "tuple[File, ...]" = attr.field(default=(), eq=False, repr=False)
    notes: tuple[Violation, ...] = attr.field(default=(), eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check(*_messages(self))

    def to_toml(self) -> str:
        """Return the declaration as a file, in a fixed order, with one permission on each line."""
        tables = [_statement(key, getattr(self, key)) for key in KEYS[:-2]]
        for role in self.roles:
            keys = [_statement(key, getattr(role, key, None)) for key in ROLE_KEYS]
            tables.append(f"[roles.{quote(role.name)}]\n{''.join(keys)}")
        return "\n".join(filter(None, tables))


def _statement(key: str, value: str | tuple[str, ...] | None) -> str:
    if not value:
        return ""
    if isinstance(value, str):
        return f"{key} = {quote(value)}\n"
    return "".join([f"{key} = [\n", *(f"    {quote(each)},\n" for each in value), "]\n"])


def _messages(declaration: Declaration) -> Iterator[tuple[str, str | None]]:
    """Yield what is wrong with each part of a declaration, or None, with the path of its key."""
    yield "account", label_rule(declaration.account)
    yield "anchor", None if declaration.anchor is None else id_rule(declaration.anchor)
    new = declaration.new_permissions
    yield "new_permissions", None if new == () else permissions_rule(new)
    yield "roles", list_rule(declaration.roles, "DeclaredRole objects", DeclaredRole)
    named = [("absent", declaration.absent), ("ignored", declaration.ignored)]
    declared = [role for role in _items(declaration.roles) if isinstance(role, DeclaredRole)]
    for role in declared:
        path, described = f"roles.{quote(role.name)}", role.description
        yield f"{path}.name", name_rule(role.name)
        yield f"{path}.description", None if described is None else description_rule(described)
        yield f"{path}.permissions", permissions_rule(role.permissions)
        named += [(path, (role.name,)), (f"{path}.previously", role.previously)]
    yield from _unknown(declared, {str(permission) for permission in _items(new)})
    places: dict[str, list[str]] = {}
    for path, names in named:
        yield path, list_rule(names, "names")
        for name in _items(names):
            yield path, (message := text_rule(name))
            if message is None:
                places.setdefault(name, []).append(path)
    for name, paths in places.items():
        for path in dict.fromkeys(paths if len(paths) > 1 else ()):
            other = paths[path == paths[0]]
            yield path, f"{quote(name)} is also at {other}; {_ONCE}"


def _unknown(roles: Iterable[DeclaredRole], new: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the permissions that this version does not know and that nobody says are new."""
    unknown: set[tuple[str, str]] = set()
    for role in roles:
        path = f"roles.{quote(role.name)}.permissions"
        for each in _items(role.permissions):
            if isinstance(each, UnknownPermission) and each not in new and text_rule(each) is None:
                origin = role.origins.get(each)
                unknown.add((f"sets.{quote(origin)}" if origin else path, str(each)))
    searched = sorted({permission for _, permission in unknown})[:MAX_SUGGESTIONS]
    near = {p: get_close_matches(p[:100].upper(), [*Permission], 1, _NEAR) for p in searched}
    for path, permission in sorted(unknown):
        named = quote(permission)
        hint = "".join(f"did you mean {quote(p)}? If not, " for p in near.get(permission, ()))
        listed = f"{hint or 'if it is newer, '}list it: new_permissions = [{named}]"
        yield path, f"{named} is not known to this version; {listed}"


def list_rule(values: object, of: str, kind: type = object) -> str | None:
    """Return what is wrong with a list of objects of one kind, converted to a tuple, or None."""
    if not isinstance(values, tuple):
        return f"must be a list of {of}, not {type_name(values)}"
    others = [each for each in cast("tuple[object, ...]", values) if not isinstance(each, kind)]
    return f"must hold {of}, not {type_name(others[0])}" if others else None


def _items(values: object) -> list[Any]:
    return [*values] if is_collection(values) else []


def label_rule(label: object) -> str | None:
    """Return what is wrong with the label of an account, or None; None is no label."""
    return None if label is None else text_rule(label, _MAX_LABEL)
