"""An account and a declaration: the plan compares them, and the export turns one into the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Final
from urllib.parse import urlsplit

import attr

from arize_roles_async import AnyPermission, Role, RolesClient, ValidationError, Violation
from arize_roles_async._values.requests import check, is_collection, text_rule
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredRole, label_rule, list_rule
from arize_roles_async.as_code.files import placed
from arize_roles_async.as_code.order import in_order
from arize_roles_async.as_code.plan import Change, Plan, PlanError, differing, held, only_in
from arize_roles_async.as_code.toml import quote

_MAX_KIN: Final = 20
"""Roles whose names end alike that are compared with a new one."""
_YOUNGER: Final = "{old} is younger than {new}, so it is another role: take {old} out of previously"


async def plan(roles: RolesClient, declaration: Declaration, *, account: str | None = None) -> Plan:
    """Return the changes that make an account as declared; raises as `compare` does.

    Args:
        roles: A client of the account.
        declaration: The roles that the account should have.
        account: A label of the account; the declaration's unless given.
    """
    _check(declaration, account)
    host = urlsplit(getattr(roles, "base_url", "")).netloc or None
    everyone = (await roles.list().all()).roles
    return compare(everyone, declaration, account=account, host=host)


def compare(
    roles: Iterable[Role],
    declaration: Declaration,
    *,
    account: str | None = None,
    host: str | None = None,
) -> Plan:
    """Return the changes that make an account of these roles (predefined too) as declared.

    Args:
        roles: Every role of the account.
        declaration: The roles that the account should have.
        account: A label of the account; the declaration's unless given.
        host: The host of the account's service, such as `api.arize.com`. `plan` has the client's,
            and only with the same label and host are the checksums the same.

    Raises:
        ValidationError: An argument is of another type.
        PlanError: The declaration does not fit the account: the anchor is not there, a role and a
            former name of it that is not younger both exist, a name is a predefined role's,
            or permissions are withheld.
    """
    _check(declaration, account, host)
    given: Any = tuple(roles) if is_collection(roles) else roles
    check(("roles", list_rule(given, "roles", Role)))
    by_name: dict[str, Role] = {role.name: role for role in sorted(given, key=attrgetter("name"))}
    violations = [*_unanchored(declaration.anchor, given)]
    pairs: list[tuple[Role | None, DeclaredRole]] = []
    notes: list[str] = []
    for declared in declaration.roles:
        own = by_name.get(declared.name)
        found = [by_name[name] for name in (declared.name, *declared.previously) if name in by_name]
        custom = [role for role in found if not role.is_predefined]
        younger = [role for role in custom if own and role.created_at > own.created_at]
        notes += [_YOUNGER.format(old=quote(r.name), new=quote(declared.name)) for r in younger]
        found = [role for role in found if role not in younger]
        path, names = f"roles.{quote(declared.name)}", " and ".join(quote(r.name) for r in found)
        violations += _refusals(path, found)
        if len(found) > 1:
            violations.append(Violation(path, f"{names} exist, but are declared as one role"))
        pairs.append((found[0] if found else None, declared))
    deleted = [by_name[name] for name in declaration.absent if name in by_name]
    if violations := [*violations, *_refusals("absent", deleted)]:
        raise PlanError(violations=tuple(placed(violations, declaration.files)))
    matched = {role.name for role, _ in pairs if role}
    rest = [r for r in by_name.values() if r.name not in matched and not r.is_predefined]
    others = [role for role in rest if role.name not in declaration.ignored]
    hints = _hints(pairs, others, declaration.absent)
    changes = [
        Change(
            before=role,
            after=after,
            note="; ".join(filter(None, (hints.get(after.name), _sets(role, after)))) or None,
        )
        for role, after in pairs
        if differing(role, after)
    ]
    changes += [Change(before=role, after=None) for role in deleted]
    return Plan(
        changes=in_order(changes),
        unchanged=tuple(role for role, after in pairs if role and not differing(role, after)),
        undeclared=tuple(role for role in others if role.name not in declaration.absent),
        ignored=tuple(role for role in rest if role.name in declaration.ignored),
        account=account or declaration.account,
        host=host,
        predefined=tuple(role for role in by_name.values() if role.is_predefined),
        notes=tuple(notes),
    )


def _check(declaration: object, account: object, host: object = None) -> None:
    is_one = isinstance(declaration, Declaration)
    check(
        ("declaration", None if is_one else f"must be a Declaration, not {type_name(declaration)}"),
        ("account", label_rule(account)),
        ("host", None if host is None else text_rule(host)),
    )


def _unanchored(anchor: str | None, roles: Iterable[Role]) -> Iterator[Violation]:
    if anchor is not None and anchor not in {role.id for role in roles}:
        yield Violation(
            "anchor",
            f"no role has the ID {quote(anchor)}: this is another account, or that role was "
            "deleted, so that the file has to name another one of this account",
        )


def _refusals(path: str, roles: Iterable[Role]) -> Iterator[Violation]:
    for role in roles:
        if role.is_predefined:
            yield Violation(path, f"{quote(role.name)} is predefined, and cannot be changed")
        if role.permissions is None:
            withheld = f"the permissions of {quote(role.name)} are withheld"
            yield Violation(path, f"{withheld}: the API key lacks ROLE_READ")


def _hints(
    pairs: Iterable[tuple[Role | None, DeclaredRole]], others: Iterable[Role], absent: Iterable[str]
) -> dict[str, str]:
    """Return a note for each new role that may be another one under a new name, by its name."""
    hints: dict[str, str] = {}
    alike: defaultdict[object, list[Role]] = defaultdict(list)
    for role in others:
        for likeness in _likenesses(role):
            alike[likeness].append(role)
    losing = {held(r): quote(r.name) for r, d in pairs if r and r.name == d.name and only_in(r, d)}
    for declared in (after for role, after in pairs if role is None):
        named, same, kin = (alike[likeness] for likeness in _likenesses(declared))
        wanted = held(declared)
        near = [role for role in kin[:_MAX_KIN] if held(role)]
        nested = [role for role in near if held(role) <= wanted or held(role) >= wanted]
        # Only a single role with the same two or more permissions suggests a rename.
        likely = (same if len(wanted) > 1 else [], nested)
        found = [*named, *(roles[0] for roles in likely if len(roles) == 1)]
        if old := losing.get(wanted):
            hints[declared.name] = (
                f"has the permissions that {old} has now and will lose; if this is {old} under a "
                f"new name, make two runs: first previously = [{old}] here, then {old} again"
            )
        elif found:
            old = quote(found[0].name)
            instead = " instead of absent" if found[0].name in absent else ""
            hint = f"looks like {old}; if that was renamed, declare previously = [{old}]"
            hints[declared.name] = hint + instead
    return hints


def _likenesses(role: Role | DeclaredRole) -> tuple[object, object, object]:
    """Return a role's name without case and spaces, its permissions, and the name's last word."""
    words = role.name.casefold().split()
    return ("name", "".join(words)), ("permissions", held(role)), ("word", *words[-1:])


def _sets(role: Role | None, after: DeclaredRole) -> str:
    """Return a note of the sets that give permissions."""
    given: defaultdict[str, list[str]] = defaultdict(list)
    for permission in only_in(after, role):
        if name := after.origins.get(permission):
            given[name].append(quote(permission))
    return "; ".join(f"set {quote(name)} gives {', '.join(ps)}" for name, ps in given.items())


@attr.frozen(kw_only=True)
class Export:
    """An account's custom roles as a declaration."""

    declaration: Declaration
    left_out: tuple[Violation, ...] = ()
    """The broken rules of the roles that the declaration leaves out."""

    def to_toml(self) -> str:
        """Return the declaration as a file, with a comment for each rule that a role breaks."""
        notes = [f"# left out: {quote(violation)}\n" for violation in self.left_out]
        return "\n".join(filter(None, ["".join(notes), self.declaration.to_toml()]))


async def export(client: RolesClient, *, anchor: str | bool = False) -> Export:
    """Return a declaration of an account's custom roles, found in one walk.

    A role whose name or permissions break a rule of declarations is in `left_out` instead. The
    declaration still fits the account, since roles that it does not name stay as they are.

    Args:
        client: A client of the account.
        anchor: The ID of the role that is the declaration's anchor; True takes the oldest custom
            role's.

    Raises:
        PlanError: The permissions of a role are withheld, or no role is the anchor.
        RolesError: As from the walk.
    """
    everyone = (await client.list().all()).roles
    roles = [role for role in everyone if not role.is_predefined]
    violations = [*_refusals("roles", roles)]
    chosen = anchor if isinstance(anchor, str) else None
    if anchor is True and roles:
        chosen = min(reversed(roles), key=attrgetter("created_at")).id
    elif anchor is True:
        violations.append(Violation("anchor", "the account has no custom role"))
    if violations := [*violations, *_unanchored(chosen, everyone)]:
        raise PlanError(violations=tuple(violations))
    declared: list[DeclaredRole] = []
    left_out: list[Violation] = []
    for role in roles:
        permissions = role.permissions or ()
        each = DeclaredRole(name=role.name, description=role.description, permissions=permissions)
        try:
            Declaration(roles=[each], new_permissions=_new(each))
            declared.append(each)
        except ValidationError as error:
            left_out += error.violations
    new = [permission for each in declared for permission in _new(each)]
    declaration = Declaration(roles=declared, new_permissions=new, anchor=chosen)
    return Export(declaration=declaration, left_out=tuple(left_out))


def _new(role: DeclaredRole) -> list[AnyPermission]:
    return [permission for permission in role.permissions if not permission.is_known]
