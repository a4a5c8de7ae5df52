"""The declaration: the custom roles that an account should have, and their rules."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, cast

import attr

from arize_roles_async import AnyPermission, Permission, Role, UnknownPermission, Violation
from arize_roles_async._roles.requests import (
    description_flaw,
    name_flaw,
    normalize_permissions,
    permissions_flaw,
)
from arize_roles_async._values import requests as rules
from arize_roles_async._values.permissions import any_permission
from arize_roles_async._values.text import MAX_SEARCHED, nearest, type_name
from arize_roles_async.as_code.schema import FIELDS, ROLE_FIELDS
from arize_roles_async.as_code.toml import File, quote

_MAX_LABEL: Final = 100
_LISTED: Final = [*FIELDS][: [*FIELDS].index("sets")]
"""The fields that are no tables."""
_NEAR: Final = 0.8
"""How like a known one a typing error is; a guess for a new permission would only mislead."""
_NO_ANCHOR: Final = "needs an anchor, since another account's users would lose their roles"
_ONCE: Final = "a name, present or former, may appear only once; to pass one on takes two runs"


def _in_order(values: Iterable[Any]) -> tuple[Any, ...]:
    # What is no list stays as it is, for a validator to refuse.
    if not rules.is_collection(values):
        return cast("tuple[Any, ...]", values)
    return tuple(sorted(values, key=lambda each: str(getattr(each, "name", each))))


def _to_names(values: Iterable[str]) -> tuple[str, ...]:
    return _in_order(values)


def _to_roles(values: "Iterable[DeclaredRole]") -> "tuple[DeclaredRole, ...]":
    return _in_order(values)


def to_permissions(values: Iterable[AnyPermission | str]) -> tuple[AnyPermission, ...]:
    """Return permissions in their order, each once."""
    given: Any = normalize_permissions(values)
    if rules.is_collection(given):
        given = [any_permission(each) if isinstance(each, str) else each for each in given]
    return _in_order(given)


def list_flaw(values: object, of: str, kind: type) -> str | None:
    """Return what is wrong with a list of objects of one kind, or None."""
    if not isinstance(values, tuple | list):
        return f"must be a list of {of}, not {type_name(values)}"
    others = [each for each in cast("list[object]", values) if not isinstance(each, kind)]
    return f"must hold {of}, not {type_name(others[0])}" if others else None


def _list_of(of: str, kind: type) -> Callable[[object, Any, object], None]:
    def validate(_: object, field: Any, values: object) -> None:  # noqa: ANN401 - attrs' own
        rules.check((field.name, list_flaw(values, of, kind)))

    return validate


_NAMES, _ANY = _list_of("names", str), _list_of("permissions", object)


@attr.frozen(kw_only=True)
class DeclaredRole:
    """A role with all its fields, as the account should have it; a `Declaration` checks it.

    Args:
        name: Its name; it and the next two follow the rules of `RolesClient.create`.
        permissions: All its permissions, in any order.
        description: Its description; an empty one is the same as None.
        previously: Former names. A role with one of these is renamed, and its users keep it.
        origins: The names of the sets that permissions come from, by permission, for notes.

    Raises:
        ValidationError: `permissions` or `previously` is no list of such.
    """

    name: str
    permissions: tuple[AnyPermission, ...] = attr.field(converter=to_permissions, validator=_ANY)
    description: str | None = None
    previously: tuple[str, ...] = attr.field(default=(), converter=_to_names, validator=_NAMES)
    origins: Mapping[str, str] = attr.field(factory=dict[str, str], eq=False, repr=False)


def granted(role: Role | DeclaredRole | None) -> frozenset[str]:
    """Return the permissions of a role; no role has none."""
    return frozenset(map(str, role.permissions or ())) if role else frozenset()


def _to_pairs(users: Mapping[str, str]) -> dict[str, str]:
    return {user: users[user] for user in sorted(users)} if isinstance(users, Mapping) else users  # pyright: ignore[reportUnnecessaryIsInstance]


def _mapping(_: object, field: Any, users: object) -> None:  # noqa: ANN401 - attrs' own
    is_valid = isinstance(users, Mapping)
    rules.check((field.name, None if is_valid else f"must be a mapping, not {type_name(users)}"))


@attr.frozen(kw_only=True)
class DeclaredPlace:
    """A space or a project, and who should have which role on it; a `Declaration` checks it.

    Whom it does not name is left alone.

    Args:
        space: The name or ID of the space.
        project: The name or ID of a project in it; None for the space itself.
        users: The name of the role that each user should have, by the user's whole address or ID.
        absent: The addresses or IDs of users who should have no role on it.
        only: Whether everybody else is to lose a role on it; bot users keep theirs.

    Raises:
        ValidationError: `users` is no mapping, or `absent` no list of names.
    """

    space: str
    project: str | None = None
    users: Mapping[str, str] = attr.field(
        factory=dict[str, str], converter=_to_pairs, validator=_mapping
    )
    absent: tuple[str, ...] = attr.field(default=(), converter=_to_names, validator=_NAMES)
    only: bool = False

    @property
    def name(self) -> str:
        """Its path in a file."""
        if self.project is None:
            return f"spaces.{quote(self.space)}"
        return f"projects.{quote(self.space)}.{quote(self.project)}"


def _to_places(values: "Iterable[DeclaredPlace]") -> "tuple[DeclaredPlace, ...]":
    return _in_order(values)


@attr.frozen(kw_only=True)
class Declaration:
    """The custom roles that an account should have; a role that it does not name is left alone.

    Args:
        roles: The roles that the account should have.
        absent: The names of roles that it should not have.
        ignored: The names of roles that others manage; they are left alone, and no plan shows them.
        undeclared: `"ignore"` if others manage every role that is not named, so that no plan shows
            these.
        new_permissions: Permissions that this version of the library does not know; any other
            unknown one is taken for a typing error.
        account: A label of the account, such as `staging`, which plans show and checksums cover.
        anchor: The ID of a role that the account has; a plan for any other account is refused.
        places: Who should have which role where; a space or project that no place names is left
            alone.
        files: The files that it was read from, in which errors show places.
        notes: The roles that an export left out, and why.

    Raises:
        ValidationError: A role breaks a rule, a name appears twice, or a permission is unknown and
            not in `new_permissions`. It has every violation.
    """

    roles: tuple[DeclaredRole, ...] = attr.field(
        default=(), converter=_to_roles, validator=_list_of("DeclaredRole objects", DeclaredRole)
    )
    absent: tuple[str, ...] = attr.field(default=(), converter=_to_names, validator=_NAMES)
    new_permissions: tuple[AnyPermission, ...] = attr.field(
        default=(), converter=to_permissions, validator=_ANY
    )
    account: str | None = None
    anchor: str | None = None
    ignored: tuple[str, ...] = attr.field(default=(), converter=_to_names, validator=_NAMES)
    undeclared: Literal["ignore"] | None = None
    places: tuple[DeclaredPlace, ...] = attr.field(
        default=(), converter=_to_places, validator=_list_of("DeclaredPlace objects", DeclaredPlace)
    )
    files: tuple[File, ...] = attr.field(default=(), eq=False, repr=False)
    notes: tuple[Violation, ...] = attr.field(default=(), eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        rules.check(*_messages(self))

    def to_toml(self) -> str:
        """Return it as a file in a fixed order, one permission on a line, the notes as comments."""
        notes = [f"# {quote(note)}\n" for note in self.notes]
        tables = ["".join(notes), *(_statement(f, getattr(self, f)) for f in _LISTED)]
        for role in self.roles:
            fields = [_statement(f, getattr(role, f, None)) for f in ROLE_FIELDS]
            tables.append(f"[roles.{quote(role.name)}]\n{''.join(fields)}")
        for place in self.places:
            users = [f"users.{quote(u)} = {quote(role)}\n" for u, role in place.users.items()]
            # `only` comes after whom it keeps.
            fields = [*users, _statement("absent", place.absent), "only = true\n" * place.only]
            tables.append(f"[{place.name}]\n{''.join(fields)}")
        return "\n".join(filter(None, tables))


def _statement(field: str, value: str | tuple[str, ...] | None) -> str:
    if not value:
        return ""
    if isinstance(value, str):
        return f"{field} = {quote(value)}\n"
    return "".join([f"{field} = [\n", *(f"    {quote(each)},\n" for each in value), "]\n"])


def _messages(declaration: Declaration) -> Iterator[tuple[str, str | None]]:
    account, anchor, new = declaration.account, declaration.anchor, declaration.new_permissions
    yield "account", None if account is None else rules.text_flaw(account, _MAX_LABEL)
    yield "anchor", None if anchor is None else rules.id_flaw(anchor, "role")
    yield "undeclared", None if declaration.undeclared in (None, "ignore") else 'must be "ignore"'
    yield "new_permissions", None if new == () else permissions_flaw(new)
    named = [(path, name) for path in ("absent", "ignored") for name in getattr(declaration, path)]
    for role in declaration.roles:
        path = f"roles.{quote(role.name)}"
        yield f"{path}.name", name_flaw(role.name)
        yield f"{path}.description", description_flaw(role.description or "")
        yield f"{path}.permissions", permissions_flaw(role.permissions)
        named += [(path, role.name), *((f"{path}.previously", name) for name in role.previously)]
    yield from _unknown(declaration)
    yield from _place_messages(declaration)
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path, name in named:
        if message := rules.text_flaw(name):
            yield f"{path}.{quote(name)}", message
        else:
            places[name].append(path)
    for name, paths in places.items():
        for path in dict.fromkeys(paths) if len(paths) > 1 else ():
            item = path if path == f"roles.{quote(name)}" else f"{path}.{quote(name)}"
            yield item, f"is at {' and '.join(paths)}; {_ONCE}"


def is_user(name: object) -> bool:
    """Return whether a name is the address or the ID of a user."""
    return isinstance(name, str) and (rules.is_address(name) or rules.is_id(name))


def _place_messages(declaration: Declaration) -> Iterator[tuple[str, str | None]]:
    for name, times in Counter(place.name for place in declaration.places).items():
        yield name, "is declared more than once" if times > 1 else None
    for place in declaration.places:
        yield place.name, rules.name_or_id_flaw("space", place.space)
        if place.project is not None:
            yield place.name, rules.name_or_id_flaw("project", place.project)
        if place.only is not True and place.only is not False:
            yield f"{place.name}.only", "must be true or false"
        if place.only and not place.users:
            yield f"{place.name}.only", "needs users, who keep their roles"
        elif place.only and declaration.anchor is None:
            yield f"{place.name}.only", _NO_ANCHOR
        listed = [("users", user) for user in place.users]
        listed += [("absent", user) for user in place.absent]
        seen = Counter(rules.as_compared(user) for _, user in listed if is_user(user))
        for field, user in listed:
            path = f"{place.name}.{field}.{quote(user)}"
            yield path, None if is_user(user) else "is neither an address nor the ID of a user"
            is_twice = is_user(user) and seen[rules.as_compared(user)] > 1
            yield path, "is declared more than once here" if is_twice else None
        for user, role in place.users.items():
            yield f"{place.name}.users.{quote(user)}", name_flaw(role)


def _unknown(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """Yield the permissions that this version does not know and that nobody says are new."""
    known, unknown = {"", *declaration.new_permissions}, set[tuple[str, str]]()
    for role in declaration.roles:
        for each in role.permissions:
            if isinstance(each, UnknownPermission) and each not in known:
                own, origin = f"roles.{quote(role.name)}.permissions", role.origins.get(each)
                unknown.add((f"sets.{quote(origin)}" if origin else own, str(each)))
    for number, (path, permission) in enumerate(sorted(unknown)):
        near = number < MAX_SEARCHED and nearest(permission, Permission, _NEAR)
        hint = f"did you mean {quote(near)}? If not, " if near else "if it is newer, "
        listed = f"{hint}list it: new_permissions = [{quote(permission)}]"
        yield f"{path}.{quote(permission)}", f"is not known to this version; {listed}"
