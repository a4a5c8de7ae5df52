"""The declaration: the custom roles that an account should have, and their rules."""

import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import attr

from arize_roles_async import AnyPermission, Violation
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
from arize_roles_async._values.text import printable, type_name

if TYPE_CHECKING:
    from arize_roles_async.as_code.files import File

_MAX_LABEL: Final = 100
_MAX_SUGGESTIONS: Final = 20
"""Roles with unknown permissions for which the nearest known ones are searched."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9 _.-]*")
ONCE: Final = (
    "a name, present or former, may appear only once, so swapping two names takes two runs and a "
    "third name"
)


def quote(text: object) -> str:
    """Return text as a TOML string that no terminal or runner obeys, and that closes no fence."""
    if _PLAIN.fullmatch(str(text)):  # Most names are; 60,000 others take a second.
        return f'"{text}"'
    # TOML takes JSON's escapes, but not the surrogate pairs that `ensure_ascii` makes.
    escaped = json.dumps(str(text), ensure_ascii=False).replace("```", "``\\u0060")
    return printable("".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped))


# Converters return any other value unchanged, for the rules to refuse.


def to_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return names in their order."""
    return cast("tuple[str, ...]", _sorted(values, key=str))


def to_permissions(values: Iterable[AnyPermission | str]) -> tuple[AnyPermission, ...]:
    """Return permissions in their order, each once."""
    given: object = normalize_permissions(values)
    if is_collection(given):
        given = [any_permission(p) if isinstance(p, str) else p for p in given]
    return cast("tuple[AnyPermission, ...]", _sorted(given, key=str))


def _by_name(roles: "Iterable[DeclaredRole]") -> "tuple[DeclaredRole, ...]":
    in_order = _sorted(roles, key=lambda role: str(getattr(role, "name", "")))
    return cast("tuple[DeclaredRole, ...]", in_order)


def _sorted(values: object, key: Callable[[object], str]) -> object:
    return tuple(sorted(values, key=key)) if is_collection(values) else values


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
        new_permissions: Permissions that are newer than this library, and are no typing errors.
        account: A label of the account, such as `staging`, which plans show and checksums cover.
        anchor: The ID of a role that the account has; a plan for any other account is refused.
        files: The files that it was read from, in which errors show places.
        notes: Hints about the files, such as a set that no role includes.

    Raises:
        ValidationError: A role breaks a rule, or a name appears twice. It has every violation.
    """

    roles: tuple[DeclaredRole, ...] = attr.field(default=(), converter=_by_name)
    absent: tuple[str, ...] = attr.field(default=(), converter=to_names)
    new_permissions: tuple[AnyPermission, ...] = attr.field(default=(), converter=to_permissions)
    account: str | None = None
    anchor: str | None = None
    ignored: tuple[str, ...] = attr.field(default=(), converter=to_names)
    files: "tuple[File, ...]" = attr.field(default=(), eq=False, repr=False)
    notes: tuple[Violation, ...] = attr.field(default=(), eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.files) > 1:  # Each was a declaration of its own before, and they fit together.
            return
        check(
            *_messages(self),
            ("account", None if self.account is None else label_rule(self.account)),
            ("anchor", None if self.anchor is None else id_rule(self.anchor)),
        )

    def unknown_permissions(self, held: Container[str] = ()) -> list[Violation]:
        """Return the permissions of each role and set that may be typing errors.

        These are unknown to this version, and neither in `held` nor in `new_permissions`.
        """
        accepted = {*self.new_permissions}
        found: dict[str, dict[Any, None]] = {}
        for role in self.roles:
            unknown = [p for p in role.permissions if not (p.is_known or p in held)]
            for permission in (p.value for p in unknown if p not in accepted):
                origin = role.origins.get(permission)
                own = f"roles.{quote(role.name)}.permissions"
                path = own if origin is None else f"sets.{quote(origin)}"
                found.setdefault(path, {})[permission] = None
        violations: list[Violation] = []
        for path, named in found.items():
            # The search for the nearest takes 2 ms.
            if len(violations) < _MAX_SUGGESTIONS:
                message = permissions_rule((*named,)) or ""
            else:
                message = (
                    f"holds {len(named)} unknown permissions, such as {quote(next(iter(named)))}"
                )
            message += " (list permissions that are newer than this library in new_permissions)"
            violations.append(Violation(path, message))
        return violations

    def to_toml(self) -> str:
        """Return the declaration as a file, in a fixed order, with one permission on each line."""
        tops = (("account", self.account), ("anchor", self.anchor))
        tables = [f"{key} = {quote(value)}\n" for key, value in tops if value]
        tables += [
            f"{key} = {_array(names)}"
            for key in ("new_permissions", "absent", "ignored")
            if (names := getattr(self, key))
        ]
        for role in self.roles:
            described = f"description = {quote(role.description)}\n" if role.description else ""
            previously = f"previously = {_array(role.previously)}" if role.previously else ""
            # Last, as a role without them is refused: a file that was cut short has whole roles.
            permissions = f"permissions = {_array(role.permissions)}"
            tables.append(f"[roles.{quote(role.name)}]\n{described}{previously}{permissions}")
        return "\n".join(tables)


def _array(names: Iterable[str]) -> str:
    return "".join(["[\n", *(f"    {quote(name)},\n" for name in names), "]\n"])


def _messages(declaration: Declaration) -> list[tuple[str, str | None]]:
    """Return what is wrong with each part of a declaration, or None, with the path of its key."""
    messages = [("roles", list_rule(declaration.roles, "DeclaredRole objects", DeclaredRole))]
    new: object = declaration.new_permissions
    for role in _items(declaration.roles):
        if not isinstance(role, DeclaredRole):
            continue
        path, described = f"roles.{quote(role.name)}", role.description is not None
        messages += [
            (f"{path}.name", name_rule(role.name)),
            (f"{path}.description", description_rule(role.description) if described else None),
            (f"{path}.permissions", permissions_rule(role.permissions)),
            (f"{path}.previously", list_rule(role.previously, "names")),
        ]
    messages += [
        ("new_permissions", None if new == () else permissions_rule(new)),
        ("absent", list_rule(declaration.absent, "names")),
        ("ignored", list_rule(declaration.ignored, "names")),
    ]
    first: dict[str, str] = {}
    for path, name in names_of(declaration):
        message = text_rule(name)
        if message is None and name in first:
            message = f"{quote(name)} is also at {first[name]}; {ONCE}"
        elif message is None:
            first[name] = path
        messages.append((path, message))
    return messages


def names_of(declaration: Declaration) -> Iterator[tuple[str, Any]]:
    """Yield the names that may appear only once, each with the path of its key."""
    for role in _items(declaration.roles):
        if isinstance(role, DeclaredRole):
            path = f"roles.{quote(role.name)}"
            yield path, role.name
            yield from ((f"{path}.previously", name) for name in _items(role.previously))
    yield from (("absent", name) for name in _items(declaration.absent))
    yield from (("ignored", name) for name in _items(declaration.ignored))


def list_rule(values: object, of: str, kind: type = object) -> str | None:
    """Return what is wrong with a list of objects of one kind, converted to a tuple, or None."""
    others = [each for each in _items(values) if not isinstance(each, kind)]
    if not isinstance(values, tuple):
        return f"must be a list of {of}, not {type_name(values)}"
    return f"must hold {of}, not {type_name(others[0])}" if others else None


def _items(values: object) -> list[Any]:
    return [*values] if is_collection(values) else []


def label_rule(label: object) -> str | None:
    """Return what is wrong with the label of an account, or None."""
    return text_rule(label, _MAX_LABEL)
