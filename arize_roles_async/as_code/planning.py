"""An account and a declaration: the plan compares them, and the export turns one into the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final
from urllib.parse import urlsplit

from arize_roles_async import Role, RolesClient, ValidationError, Violation
from arize_roles_async._values import requests as rules
from arize_roles_async._values.text import MAX_SEARCHED, alike, type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredRole, list_flaw
from arize_roles_async.as_code.files import placed
from arize_roles_async.as_code.plan import Change, Plan, PlanError, differing, held, only_in
from arize_roles_async.as_code.toml import quote

_ALIKE: Final = 0.7
"""How like a role's name a new one is, at least, if one of both has the other's permissions."""
_CIRCLE: Final = (
    "{} pass permissions round in a circle, so users can lack them for a moment; to avoid that, "
    "first give, and take in a second run"
)
_NO_ANCHOR: Final = (
    "no role has the ID {}: this is another account, or that role was deleted, so that the "
    "file has to name another one of this account"
)
_YOUNGER: Final = "{old} is younger than {new}, so it is another role: take {old} out of previously"


async def plan(roles: RolesClient, declaration: Declaration) -> Plan:
    """Return the changes that make an account as declared; raises as `compare` does."""
    _check(declaration)
    host = urlsplit(getattr(roles, "base_url", "")).netloc or None
    return compare((await roles.list().all()).roles, declaration, host=host)


def compare(roles: Iterable[Role], declaration: Declaration, *, host: str | None = None) -> Plan:
    """Return the changes that make an account of these roles (predefined too) as declared.

    The host is that of the account's service, such as `api.arize.com`. `plan` has the client's, and
    only with the same host are the checksums the same.

    Raises:
        ValidationError: An argument is of another type.
        PlanError: The declaration does not fit the account: the anchor is not there, a role and a
            former name of it that is not younger both exist, a name is a predefined role's,
            or permissions are withheld.
    """
    _check(declaration, host)
    given: Any = tuple(roles) if rules.is_collection(roles) else roles
    rules.check(("roles", list_flaw(given, "roles", Role)))
    by_name: dict[str, Role] = {role.name: role for role in sorted(given, key=attrgetter("name"))}
    violations: list[Violation] = []
    if declaration.anchor not in {None, *(role.id for role in given)}:
        violations.append(Violation("anchor", _NO_ANCHOR.format(quote(declaration.anchor))))
    pairs: list[tuple[Role | None, DeclaredRole]] = []
    notes: list[str] = []
    for declared in declaration.roles:
        path, own = f"roles.{quote(declared.name)}", by_name.get(declared.name)
        found = [(path, own)] if own else []
        for role in (by_name[name] for name in declared.previously if name in by_name):
            if own and role.created_at > own.created_at and not role.is_predefined:
                notes.append(_YOUNGER.format(old=quote(role.name), new=quote(declared.name)))
            else:
                found.append((f"{path}.previously.{quote(role.name)}", role))
        violations += _refusals(found)
        if len(found) > 1:
            names = " and ".join(quote(role.name) for _, role in found)
            path, _ = found[1]
            violations.append(Violation(path, f"{names} exist, but are declared as one role"))
        pairs.append((found[0][1] if found else None, declared))
    deleted = [by_name[name] for name in declaration.absent if name in by_name]
    violations += _refusals((f"absent.{quote(role.name)}", role) for role in deleted)
    if violations:
        raise PlanError(violations=tuple(placed(violations, declaration.files)))
    matched = {role.name for role, _ in pairs if role}
    rest = [r for r in by_name.values() if r.name not in matched and not r.is_predefined]
    others = [role for role in rest if role.name not in declaration.ignored]
    new = [after.name for own, after in pairs if own is None][:MAX_SEARCHED]
    holders = {role.name: held(role) for role in others} if new else {}
    changes: list[Change] = []
    for own, after in (pair for pair in pairs if differing(*pair)):
        former = _former(after, holders, declaration.absent) if after.name in new else ()
        note = "; ".join([*former, *_sets(own, after)]) or None
        changes.append(Change(before=own, after=after, note=note))
    changes += [Change(before=role, after=None) for role in deleted]
    ordered, circles = in_order(changes)
    return Plan(
        changes=ordered,
        unchanged=tuple(role for role, after in pairs if role and not differing(role, after)),
        undeclared=tuple(role for role in others if role.name not in declaration.absent),
        ignored=tuple(role for role in rest if role.name in declaration.ignored),
        account=declaration.account,
        host=host,
        predefined=tuple(role for role in by_name.values() if role.is_predefined),
        notes=(*notes, *map(_CIRCLE.format, circles)),
    )


def _check(declaration: object, host: object = None) -> None:
    is_one = isinstance(declaration, Declaration)
    rules.check(
        ("declaration", None if is_one else f"must be a Declaration, not {type_name(declaration)}"),
        ("host", None if host is None else rules.text_flaw(host)),
    )


def _refusals(roles: Iterable[tuple[str, Role]]) -> Iterator[Violation]:
    """Yield what is wrong with roles, each with the path of its name."""
    for path, role in roles:
        if role.is_predefined:
            yield Violation(path, "is predefined, and cannot be changed")
        if role.permissions is None:
            yield Violation(path, "its permissions are withheld: the API key lacks ROLE_READ")


def _former(
    new: DeclaredRole, others: Mapping[str, frozenset[str]], absent: Iterable[str]
) -> Iterator[str]:
    """Yield a note if a new role may be another one, given by name, under a new name."""
    wanted = held(new)
    kin = [name for name, has in others.items() if has <= wanted or has >= wanted]
    # Only a single role with the same two or more permissions suggests a rename.
    same = [name for name in kin if others[name] == wanted and len(wanted) > 1]
    likely = alike(new.name, kin, _ALIKE) or (same if len(same) == 1 else [])
    if likely:
        name = max(likely, key=lambda name: len(others[name] & wanted))
        old, instead = quote(name), " instead of absent" if name in absent else ""
        yield f"looks like {old}; if that was renamed, declare previously = [{old}]{instead}"


def _sets(role: Role | None, after: DeclaredRole) -> Iterator[str]:
    """Yield a note for each set that gives permissions."""
    given: defaultdict[str, list[str]] = defaultdict(list)
    for permission in only_in(after, role):
        if name := after.origins.get(permission):
            given[name].append(quote(permission))
    for name, permissions in given.items():
        yield f"set {quote(name)} gives {', '.join(permissions)}"


def in_order(changes: Sequence[Change]) -> tuple[tuple[Change, ...], list[str]]:
    """Return changes in the order of a run, and the names of the roles of each circle.

    A permission that moves is given before it is taken, so that no user lacks it, wherever the run
    stops. For example, "Tags" moves from role A to B, "Data" from B to C, and C loses "Users". A
    change waits until others have what it takes, and for all that these others wait for: C waits
    for "Users", B for "Data" and "Users", and A for all three. So the fewer permissions a change
    waits for, the earlier it is made: C, B, A. If roles pass permissions round in a circle, each
    waits for what it gives itself, and there is no such order.
    """
    updates = [each for each in changes if each.action == "update"]
    both = [each for each in updates if each.gives and each.takes]
    lost: defaultdict[str, set[str]] = defaultdict(set)
    """What the roles lose that get a permission."""
    for change in both:
        for permission in change.gives:
            lost[permission].update(change.takes)
    circles: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    ranked: list[tuple[int, bool, Change]] = []
    for change in both:
        awaited = [*change.takes]
        for permission in awaited:
            awaited += lost[permission].difference(awaited)
        is_circle = not {*awaited}.isdisjoint(change.gives)
        if is_circle and change.after:
            circles[frozenset(awaited)].append(quote(change.after.name))
        # Who only waits for a circle comes after all of its roles.
        ranked.append((len(awaited), not is_circle, change))
    ranked.sort(key=itemgetter(0, 1))
    ordered = (
        *(each for each in updates if not each.takes),
        # They take from no user, and make room for creates in a full account.
        *(each for each in changes if each.action == "delete"),
        *(each for each in changes if each.action == "create"),
        *(each for *_, each in ranked),
        *(each for each in updates if each.takes and not each.gives),
    )
    return ordered, [*map(", ".join, circles.values())]


async def export(client: RolesClient, *, anchored: bool = False) -> Declaration:
    """Return a declaration of an account's custom roles, found in one walk.

    A role whose name or permissions break a rule of declarations is left out, and the broken rules
    are its notes. The declaration still fits the account, since roles that it does not name stay.
    If it is `anchored`, the oldest custom role's ID is its anchor.

    Raises:
        PlanError: The permissions of a role are withheld, or there is no role for the anchor.
        RolesError: As from the walk.
    """
    roles = [role for role in (await client.list().all()).roles if not role.is_predefined]
    violations = [*_refusals((f"roles.{quote(role.name)}", role) for role in roles)]
    if anchored and not roles:
        violations.append(Violation("anchor", "the account has no custom role"))
    if violations:
        raise PlanError(violations=tuple(violations))
    oldest = min(reversed(roles), key=attrgetter("created_at")).id if anchored else None
    declared: list[DeclaredRole] = []
    notes: list[Violation] = []
    for role in roles:
        permissions = role.permissions or ()
        each = DeclaredRole(name=role.name, description=role.description, permissions=permissions)
        try:
            Declaration(roles=[each], new_permissions=permissions)
            declared.append(each)
        except ValidationError as error:
            notes += [Violation(v.field, f"left out: {v.message}") for v in error.violations]
    new = [p for each in declared for p in each.permissions if not p.is_known]
    return Declaration(roles=declared, new_permissions=new, anchor=oldest, notes=tuple(notes))
