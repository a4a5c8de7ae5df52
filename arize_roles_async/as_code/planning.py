"""Planning: a plan compares an account with a declaration; an export turns one into the other."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import attr

from arize_roles_async import Role, RolesClient, RolesError, ValidationError, Violation
from arize_roles_async._values import requests as rules
from arize_roles_async._values.text import alike, printable, type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredPlace, DeclaredRole, granted
from arize_roles_async.as_code.files import with_places
from arize_roles_async.as_code.places import (
    ACTIONS,
    BINDS,
    BindingChange,
    PlannedPlace,
    RolesAfter,
    compared,
    exported,
    in_run,
    kind_of,
    seen,
)
from arize_roles_async.as_code.toml import FileViolation, quote

FORMAT_VERSION: Final = 2
"""Version of the JSON of plans and results; raised when older readers would break."""
CHECKSUM_FORMAT: Final = "3-"
"""The beginning of a checksum; raised when equal plans would have another one than before."""

_SIGNS: Final = dict(zip(("update", "delete", "create", *ACTIONS), "!-++~-", strict=True))
# The order in which lines are kept where a plan has to be short.
_ALWAYS, _DELETE, TITLE, _DETAIL, _UNDECLARED = range(5)
_Line = tuple[int, str]
_ALIKE, _ALIKE_IF_SAME = 0.7, 0.5
"""How alike two names are at least, where one role has all that the other one has, and where
several have the same permissions."""
_MAX_COMPARED: Final = 8_000
"""Pairs of names that are compared; the worst take 2 s."""
_NO_ANCHOR: Final = (
    "no role has the ID {}: this is another account, or the file has to name another role of it"
)
_YOUNGER: Final = "{old} is younger than {new}, so it is another role: take {old} out of previously"


class PlanError(ValidationError):
    """The declaration does not fit the account; nothing was changed. It has every violation."""


def content(role: Role | DeclaredRole) -> dict[str, object]:
    """Return the fields of a role that a declaration has, as JSON-ready data."""
    fields = {"name": role.name, "description": role.description or None}
    return {**fields, "permissions": sorted(granted(role))}


def differing(before: Role | DeclaredRole | None, after: Role | DeclaredRole) -> list[str]:
    """Return the names of the fields that a change gives another value."""
    old = content(before) if before else {}
    return [field for field, value in content(after).items() if old.get(field) != value]


def only_in(role: Role | DeclaredRole | None, other: Role | DeclaredRole | None) -> tuple[str, ...]:
    """Return the permissions that a role has and the other one has not."""
    return tuple(sorted(granted(role) - granted(other)))


@attr.frozen(kw_only=True)
class Change:
    """A change of one role, from the account's to the declared one."""

    before: Role | None
    """The role in the account; None if it is created."""
    after: DeclaredRole | None
    """The declared role; None if it is deleted."""
    file: str | None = attr.field(default=None, eq=False)
    """The name of the file that declares it, if one does."""
    note: str | None = None
    """A hint to check before the change is made, such as a role that looks like this one."""

    @property
    def action(self) -> Literal["update", "delete", "create"]:
        """`update`, `delete` or `create`; a rename is an update."""
        return "create" if self.before is None else "delete" if self.after is None else "update"

    @property
    def gives(self) -> tuple[str, ...]:
        """The permissions that only the declared role has."""
        return only_in(self.after, self.before)

    @property
    def takes(self) -> tuple[str, ...]:
        """The permissions that only the role in the account has."""
        return only_in(self.before, self.after)

    def __str__(self) -> str:
        names = [quote(role.name) for role in (self.before, self.after) if role]
        return f"{self.action} {' -> '.join(dict.fromkeys(names))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "action": self.action,
            "id": self.before and self.before.id,
            "before": self.before and content(self.before),
            "after": self.after and content(self.after),
            "file": self.file,
            "note": self.note,
        }


AnyChange: TypeAlias = Change | BindingChange
"""A change of a role, or of who has it."""


def path_of(change: Change) -> str:
    """Return the path of a change in its file."""
    names = [quote(role.name) for role in (change.after, change.before) if role]
    return f"{'roles' if change.after else 'absent'}.{names[0]}"


def _lines(change: Change) -> Iterator[_Line]:
    title = _DELETE if change.action == "delete" else TITLE
    place = f" ({quote(change.file)[1:-1]})" if change.file else ""
    yield title, f"{_SIGNS[change.action]} {change}{place}"
    old, new = (role.description or "" if role else "" for role in (change.before, change.after))
    for sign, text, other, only in (("-", old, new, change.takes), ("+", new, old, change.gives)):
        if text and text != other:
            yield _DETAIL, f"{sign}     description = {quote(text)}"
        for permission in only:
            yield _DETAIL, f"{sign}     {quote(permission)}"
    if change.note:
        yield TITLE, f"#     {change.note}"


def _place_lines(place: PlannedPlace) -> Iterator[_Line]:
    if not place.is_as_declared:
        yield TITLE, f"  {place.place}"
    for change in place.changes:
        yield TITLE if change.after else _DELETE, f"{_SIGNS[change.action]} {change.what}"
    for text in place.undeclared:
        yield _UNDECLARED, f"? {text}"
    for note in place.notes:
        yield TITLE, f"#     {note}"


def fenced(lines: Sequence[_Line], limit: int = 65_000) -> str:
    """Return lines in a fence of Markdown; of too many, as many as fit, by their ranks."""
    kept, room = list[int](), limit - 80
    for n in sorted(range(len(lines)), key=lambda n: lines[n][0]):
        room -= len(lines[n][1]) + 1
        kept += [n] if room >= 0 else []
    left = len(lines) - len(kept)
    notice = [f"  shortened: {left} of {len(lines)} lines are left out"] if left else []
    return "\n".join(["```diff", *notice, *(lines[n][1] for n in sorted(kept)), "```", ""])


def _counts(changes: Sequence[AnyChange], same: int, undeclared: int, waiting: int = 0) -> str:
    made = Counter[str](each.action for each in changes)
    others = {"as declared": same, "not declared": undeclared, "waiting": waiting}
    left = [f"{n} {what}" for what, n in others.items() if n or what == "as declared"]
    counts = [f"{made[action]} to {action}" for action in _SIGNS if action in made]
    return f"{', '.join(counts or ['no changes'])}; {', '.join(left)}"


@attr.frozen(kw_only=True)
class Plan:
    """The changes that make an account as declared; `str` of it is a diff."""

    changes: tuple[Change, ...]
    """The changes of roles: updates that take no permission, deletes, creates, updates that give
    and take, and those that only take; what moves is given before it is taken."""
    unchanged: tuple[Role, ...]
    undeclared: tuple[Role, ...]
    """The custom roles that the declaration does not name; they stay as they are."""
    custom_roles: int = 0
    """The number of custom roles that the account has before the changes."""
    account: str | None = None
    """The label of the account."""
    host: str | None = None
    """The host of its service, which the client talks to."""
    fits_any_account: bool = False
    """True if the declaration has no anchor, so that no account is refused."""
    predefined: tuple[Role, ...] = ()
    notes: tuple[str, ...] = ()
    """Hints that belong to no change."""
    places: tuple[PlannedPlace, ...] = ()
    """The declared spaces and projects, with the changes of who has which role there."""

    @property
    def all_changes(self) -> "tuple[AnyChange, ...]":
        """The changes of roles and of role bindings in the order of a run.

        Users leave a role before it gets permissions or is deleted, and where possible before it
        loses some; they get a role after its changes. So nobody has more than is declared, wherever
        the run stops. Who loses the right to bind is last.
        """
        bindings = in_run(self.places)
        return tuple(_in_run([*self.changes, *bindings])) if bindings else self.changes

    @property
    def is_as_declared(self) -> bool:
        """True if the account has all that is declared, and nothing else in its reach."""
        is_same = all(place.is_as_declared for place in self.places)
        return is_same and not (self.changes or self.undeclared)

    @property
    def where(self) -> str | None:
        """The account as people are shown it: its label and its host, if any."""
        label = self.account and quote(self.account)
        host = self.host and f"at {quote(self.host)[1:-1]}"
        return " ".join(filter(None, (label, host))) or None

    @property
    def removals(self) -> tuple[Change, ...]:
        """The changes that delete a role or take a permission from it."""
        return tuple(each for each in self.changes if each.action == "delete" or each.takes)

    @property
    def checksum(self) -> str:
        """The format and a SHA-256, in hex, of the account and the changes; equal for equal plans.

        The account is its label, its host, and the IDs of its predefined roles and of the declared
        roles that stay as they are.
        """
        data: dict[str, object] = {
            "account": self.account,
            "host": self.host,
            "ids": sorted(role.id for role in (*self.predefined, *self.unchanged)),
            "changes": [{**c.to_dict(), "file": None, "note": None} for c in self.changes],
        }
        if bindings := in_run(self.places):
            # By IDs, since names may change, except that of a role which has no ID yet.
            data["bindings"] = [
                {**c.to_dict(), "user": None, "before": None, "after": not c.role_id and c.after}
                for c in bindings
            ]
        text = json.dumps(data, sort_keys=True)
        return CHECKSUM_FORMAT + hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        return printable("\n".join(text for _, text in self._lines()))

    def to_markdown(self, limit: int = 65_000) -> str:
        """Return the text in Markdown, for a comment of at most `limit` characters.

        Undeclared roles are in a block that unfolds, if it fits. Other lines that do not are left
        out and counted: permissions and descriptions, then notes and titles, those of deletes last.
        """
        lines = [*self._lines()]
        others = [line for line in lines if line[0] == _UNDECLARED]
        main = fenced([line for line in lines if line[0] != _UNDECLARED], limit)
        count = f"<details><summary>{len(others)} not declared</summary>"
        whole = f"{main}{count}\n\n{fenced(others)}\n</details>\n"
        return whole if others and len(whole) <= limit else main

    def _lines(self) -> Iterator[_Line]:
        if self.fits_any_account:
            yield _ALWAYS, "  for any account, since no file has an anchor"
        if self.where:
            yield _ALWAYS, f"  account {self.where}"
        for change in self.changes:
            yield from _lines(change)
        for role in self.undeclared:
            yield _UNDECLARED, f"? {quote(role.name)} is not declared"
        for place in self.places:
            yield from _place_lines(place)
        for note in self.notes:
            yield TITLE, f"# {note}"
        yield _ALWAYS, f"  {_counts(self.changes, len(self.unchanged), len(self.undeclared))}"
        if self.places:
            each = [(p.unchanged, len(p.undeclared), bool(p.notes)) for p in self.places]
            counts = _counts(in_run(self.places), *map(sum, zip(*each, strict=True)))
            yield _ALWAYS, f"  role bindings: {counts}"
        yield _ALWAYS, f"  checksum {self.checksum}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data; roles that stay as they are appear by their names."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account,
            "host": self.host,
            "fits_any_account": self.fits_any_account,
            "changes": [change.to_dict() for change in self.changes],
            "unchanged": [role.name for role in self.unchanged],
            "undeclared": [role.name for role in self.undeclared],
            "notes": [*self.notes],
            **({"places": [place.to_dict() for place in self.places]} if self.places else {}),
            "checksum": self.checksum,
        }


async def plan(roles: RolesClient, declaration: Declaration) -> Plan:
    """Return the changes that make an account as declared.

    If roles are to be deleted and the client has `role_bindings`, it walks these, and a note says
    whether users have the role. A declaration with places needs an `ArizeClient`.

    Raises:
        ValidationError: An argument is of another type.
        PlanError: The declaration does not fit the account, as an anchor that is not there, or
            the changes wait for each other.
        RolesError: As from the walks.
    """
    planned = await read_plan(roles, declaration)
    # A wrapper may have it only by its `__getattr__`, so it is no `ArizeClient` for `isinstance`.
    bindings: Any = getattr(roles, "role_bindings", None)
    if bindings is None or all(each.after for each in planned.changes):
        return planned
    # Those that this plan takes away are no hindrance.
    moved = Counter(each.binding.role_id for each in in_run(planned.places) if each.binding)
    try:
        found = Counter([binding.role_id async for binding in bindings.find()])
    except RolesError as error:
        return attr.evolve(planned, notes=(*planned.notes, f"role bindings were not read: {error}"))

    def noted(change: Change) -> Change:
        role_id = change.before.id if change.before else ""
        left = found[role_id] - moved[role_id]
        some = "1 role binding" if left == 1 else f"{left} role bindings"
        has = f"{some}, so the delete is refused" if left else "no role binding"
        has += " after this plan" if moved[role_id] else ""
        return change if change.after else attr.evolve(change, note=f"the key sees {has}")

    return attr.evolve(planned, changes=tuple(map(noted, planned.changes)))


async def read_plan(roles: RolesClient, declaration: Declaration) -> Plan:
    """Return the plan for an account, after one walk over its roles, and one a kind for places."""
    if not isinstance(cast("object", declaration), Declaration):
        rules.check(("declaration", f"must be a Declaration, not {type_name(declaration)}"))
    host = urlsplit(getattr(roles, "base_url", "")).netloc or None
    found = (await roles.list().all()).roles
    planned = compare(found, declaration, host=host)
    if not declaration.places:
        return planned
    there = await seen(roles, {*map(kind_of, declaration.places)})
    places, violations = compared(declaration, there, found, _after(found, planned.changes))
    if violations:
        raise PlanError(violations=tuple(with_places(violations, declaration.files)))
    planned = attr.evolve(planned, places=tuple(places))
    _ = planned.all_changes  # Raises if there is no order for them.
    return planned


def _after(roles: Iterable[Role], changes: Iterable[Change]) -> RolesAfter:
    changed = {each.before.id for each in changes if each.before}
    after: list[tuple[str | None, Role | DeclaredRole]] = [
        *((role.id, role) for role in roles if role.id not in changed),
        *((each.before.id if each.before else None, each.after) for each in changes if each.after),
    ]
    return {role.name: (role_id, granted(role) >= BINDS) for role_id, role in after}


def compare(roles: Sequence[Role], declaration: Declaration, *, host: str | None = None) -> Plan:
    """Return the changes that make an account of these roles, predefined too, as declared."""
    by_name: dict[str, Role] = {role.name: role for role in sorted(roles, key=attrgetter("name"))}
    violations: list[Violation] = []
    if declaration.anchor not in {None, *(role.id for role in roles)}:
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
        raise PlanError(violations=tuple(with_places(violations, declaration.files)))
    matched = {role.name for role, _ in pairs if role}
    rest = [r for r in by_name.values() if r.name not in matched and not r.is_predefined]
    holders = {role.name: granted(role) for role in rest if role.name not in declaration.ignored}
    known = {*declaration.absent, *declaration.ignored}
    undeclared = [] if declaration.undeclared else [r for r in rest if r.name not in known]
    new = [after.name for own, after in pairs if own is None]
    compared = {*new[: _MAX_COMPARED // (len(holders) or 1)]}
    if more := len(new) - len(compared):
        notes.append(f"{more} more new roles were not compared with those that are not declared")
    changes: list[Change] = []
    for own, after in (pair for pair in pairs if differing(*pair)):
        former = _former(after, holders) if after.name in compared else ()
        note = "; ".join([*former, *_sets(own, after)]) or None
        changes.append(Change(before=own, after=after, note=note))
    changes += [Change(before=role, after=None) for role in deleted]
    places = with_places([Violation(path_of(each), "") for each in changes], declaration.files)
    files = {each.field: each.file for each in places if isinstance(each, FileViolation)}
    changes = [attr.evolve(each, file=files.get(path_of(each))) for each in changes]
    return Plan(
        changes=in_order(changes),
        unchanged=tuple(role for role, after in pairs if role and not differing(role, after)),
        undeclared=tuple(undeclared),
        custom_roles=sum(not role.is_predefined for role in by_name.values()),
        account=declaration.account,
        host=host,
        fits_any_account=declaration.anchor is None,
        predefined=tuple(role for role in by_name.values() if role.is_predefined),
        notes=tuple(notes),
    )


def _refusals(roles: Iterable[tuple[str, Role]]) -> Iterator[Violation]:
    for path, role in roles:
        if role.is_predefined:
            yield Violation(path, "is predefined, and cannot be changed")
        if role.permissions is None:
            yield Violation(path, "its permissions are withheld: the API key lacks ROLE_READ")


def _former(new: DeclaredRole, others: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield a note if a new role may be another one, given by name, under a new name."""
    wanted = granted(new)
    kin = [name for name, has in others.items() if has <= wanted or has >= wanted]
    # One permission does not suggest a rename.
    same = [name for name in kin if others[name] == wanted and len(wanted) > 1]
    if_same = same if len(same) == 1 else alike(new.name, same, _ALIKE_IF_SAME)
    if likely := alike(new.name, kin, _ALIKE) or if_same:
        old = quote(max(likely, key=lambda name: len(others[name] & wanted)))
        yield f"looks like {old}; if that was renamed, declare previously = [{old}]"


def _sets(role: Role | None, after: DeclaredRole) -> Iterator[str]:
    given = [(after.origins.get(each, ""), each) for each in only_in(after, role)]
    for name in sorted({name for name, _ in given if name}):
        yield f"set {quote(name)} gives {', '.join(quote(p) for each, p in given if each == name)}"


def in_order(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return changes in the order of a run.

    A permission that moves is given before it is taken, so that no user lacks it, wherever the run
    stops. A change waits for what it takes, and for what those wait for that get it: the fewer, the
    earlier. If roles pass permissions round in a circle, there is no such order.
    """
    lost: defaultdict[str, set[str]] = defaultdict(set)
    """What the roles lose that get a permission."""
    for change in (each for each in changes if each.action == "update"):
        for permission in change.gives:
            lost[permission].update(change.takes)

    def rank(change: Change) -> tuple[int, int, bool]:
        if change.action != "update" or not (change.gives and change.takes):
            # Deletes take from no user, and make room for creates in a full account.
            return {"delete": 1, "create": 2}.get(change.action, 4 if change.takes else 0), 0, False
        awaited = [*change.takes]
        for permission in awaited:
            awaited += lost[permission].difference(awaited)
        # Who only waits for a circle comes after all of its roles.
        return 3, len(awaited), {*awaited}.isdisjoint(change.gives)

    return tuple(sorted(changes, key=rank))


def provides(change: AnyChange) -> Iterator[str]:
    """Yield what other changes may need of one."""
    if isinstance(change, BindingChange):
        if change.binding is not None:
            yield f"users of {change.binding.role_id}"
        if change.action == "change":
            yield f"moves from {change.binding and change.binding.role_id}"
        if change.gives_right_to_bind:
            yield from ("binders", f"binders of {change.resource_id}")
    elif change.after is not None:
        yield f"role {change.before.id if change.before else change.after.name}"
        if granted(change.after) >= BINDS and not BINDS.isdisjoint(change.gives):
            yield "binding roles"
        yield from change.gives if change.before else ()


def needs(change: AnyChange, *, is_strict: bool = False) -> Iterator[str]:
    """Yield what a change needs of others; if one of these is refused, it is not tried.

    Without what is strictly needed, somebody would have more than is declared, or nobody could bind
    at a place; without the rest, somebody would lose too much for a moment.
    """
    if isinstance(change, BindingChange):
        if change.after is not None:
            yield f"role {change.role_id or change.after}"
        if change.takes_right_to_bind:
            yield from (f"binders of {change.resource_id}", "binding roles")
    elif change.before is not None:
        if change.after is None or change.gives:
            yield f"users of {change.before.id}"
        if change.after is not None and not BINDS.isdisjoint(change.takes):
            yield from ("binders", "binding roles")
        if change.takes and change.after and not is_strict:
            yield from (*change.takes, f"moves from {change.before.id}")


def _in_run(changes: Iterable[AnyChange]) -> Iterator[AnyChange]:
    """Yield changes in this order, but each after those that provide what it needs.

    Raises:
        PlanError: Changes need each other.
    """
    left, is_strict = [*changes], False
    awaited = Counter(each for change in left for each in provides(change))
    while left:
        waiting: list[AnyChange] = []
        for change in left:
            if any(awaited[each] for each in needs(change, is_strict=is_strict)):
                waiting.append(change)
            else:
                awaited.subtract(provides(change))
                yield change
        if is_strict and len(waiting) == len(left):
            why = "wait for each other, since users change round between roles that change, too"
            first = f"{len(left)} changes {why}: make them in two runs; one is: {left[0]}"
            raise PlanError(violations=(Violation("places", first),))
        is_strict, left = len(waiting) == len(left), waiting


async def export(
    client: RolesClient, *, anchored: bool = False, bindings: bool = False
) -> Declaration:
    """Return a declaration of an account's custom roles, found in one walk.

    A role whose name or permissions break a rule of declarations is left out, and the broken rules
    are its notes. If it is `anchored`, the oldest custom role's ID is its anchor. With `bindings`
    it has a place for each space and project on which the key sees who has a role.

    Raises:
        PlanError: The permissions of a role are withheld, or there is no role for the anchor.
        RolesError: As from the walk.
    """
    found = (await client.list().all()).roles
    roles = [role for role in found if not role.is_predefined]
    violations = [*_refusals((f"roles.{quote(role.name)}", role) for role in roles)]
    if anchored and not roles:
        violations.append(Violation("anchor", "the account has no custom role"))
    if violations:
        raise PlanError(violations=tuple(violations))
    oldest = min(reversed(roles), key=attrgetter("created_at")).id if anchored else None
    kept: list[DeclaredRole] = []
    notes: list[Violation] = []
    places: list[DeclaredPlace] = []
    if bindings:
        places, notes = exported(await seen(client), found)
    for role in roles:
        permissions = role.permissions or ()
        each = DeclaredRole(name=role.name, description=role.description, permissions=permissions)
        try:
            Declaration(roles=[each], new_permissions=permissions)
            kept.append(each)
        except ValidationError as error:
            notes += [Violation(v.field, f"left out: {v.message}") for v in error.violations]
    new = [p for each in kept for p in each.permissions if not p.is_known]
    return Declaration(
        roles=kept, new_permissions=new, anchor=oldest, notes=tuple(notes), places=places
    )
