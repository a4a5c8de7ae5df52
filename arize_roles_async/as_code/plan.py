"""The plan: the changes that make an account as declared, and their text."""

import hashlib
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attr

from arize_roles_async import AnyPermission, Role, RolesClient, ValidationError, Violation
from arize_roles_async._values.requests import check, is_collection, text_rule
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.declaration import (
    Declaration,
    DeclaredRole,
    label_rule,
    list_rule,
    quote,
)
from arize_roles_async.as_code.files import placed
from arize_roles_async.as_code.order import in_order

FORMAT_VERSION: Final = 1
"""Version of the JSON of plans and results; raised when older readers would break."""
CHECKSUM_FORMAT: Final = "2-"
"""The beginning of a checksum; raised when equal plans would have another one than before."""

_SIGNS: Final = {"update": "!", "delete": "-", "create": "+"}
_WIDTH: Final = 80
"""Characters of a description in one line of a plan."""


_MAX_KIN: Final = 20
"""Roles whose names end alike that are compared with a new one."""


def content(role: Role | DeclaredRole) -> dict[str, Any]:
    """Return the fields of a role that a declaration has, as JSON-ready data."""
    permissions = sorted({str(p) for p in role.permissions or ()})
    return {"name": role.name, "description": role.description or None, "permissions": permissions}


def differing(before: Role | DeclaredRole | None, after: Role | DeclaredRole) -> list[str]:
    """Return the names of the fields that a change gives another value."""
    old = content(before) if before else {}
    return [field for field, value in content(after).items() if old.get(field) != value]


@attr.frozen(kw_only=True)
class Change:
    """A change of one role, from the account's to the declared one."""

    before: Role | None
    """The role in the account; None if it is created."""
    after: DeclaredRole | None
    """The declared role; None if it is deleted."""
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
            "note": self.note,
        }


def only_in(role: Role | DeclaredRole | None, other: Role | DeclaredRole | None) -> tuple[str, ...]:
    """Return the permissions that a role has and the other one has not."""
    held, also = (
        set(map(str, () if each is None else each.permissions or ())) for each in (role, other)
    )
    return tuple(sorted(held - also))


@attr.frozen(kw_only=True)
class Plan:
    """The changes that make an account as declared; `str` of it is a diff."""

    changes: tuple[Change, ...]
    """The changes in the order of a run: updates that take no permission, deletes, creates, updates
    that give and take, updates that only take. What moves is given before it is taken; else each
    group is in the order of names."""
    unchanged: tuple[Role, ...]
    undeclared: tuple[Role, ...]
    """The custom roles that the declaration does not name; they stay as they are."""
    ignored: tuple[Role, ...] = ()
    """The custom roles that the declaration ignores."""
    account: str | None = None
    """The label of the account."""
    host: str | None = None
    """The host of its service, which the client talks to."""
    predefined: tuple[Role, ...] = ()
    notes: tuple[str, ...] = ()
    """Hints that belong to no change."""

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
    def custom_roles(self) -> int:
        """The number of custom roles that the account has before the changes."""
        there = [change for change in self.changes if change.before is not None]
        return len([*there, *self.unchanged, *self.undeclared, *self.ignored])

    @property
    def checksum(self) -> str:
        """The format and a SHA-256, in hex, of the account and the changes; equal for equal plans.

        The account is its label, its host, and the IDs of its predefined roles and of the declared
        roles that stay as they are.
        """
        changes = [{**change.to_dict(), "note": None} for change in self.changes]
        ids = sorted(role.id for role in (*self.predefined, *self.unchanged))
        account = {"account": self.account, "host": self.host, "ids": ids}
        data = json.dumps({**account, "changes": changes}, sort_keys=True)
        return CHECKSUM_FORMAT + hashlib.sha256(data.encode()).hexdigest()

    def __str__(self) -> str:
        return "\n".join([*self._head(), *(text for _, text in self._lines()), *self._foot()])

    def to_markdown(self, limit: int = 65_000) -> str:
        """Return the text in a fence of Markdown, for a comment on a change.

        Args:
            limit: Most characters. Lines that do not fit are left out, and their number is shown at
                the top. Left out are first long descriptions, then other descriptions, undeclared
                roles, permissions of updates and creates, permissions of deletes, notes, and last
                the titles, with those of deletes at the very end. The counts and the checksum,
                about 300 characters, are always there.
        """
        head, lines, foot = self._head(), [*self._lines()], self._foot()
        room = limit - len("\n".join(["```diff", *head, *foot, "```", ""]))
        if sum(len(text) + 1 for _, text in lines) > room:
            notice = f"  shortened: {{}} of {len(lines)} lines are left out"
            kept = _most_important(lines, room - len(notice) - 10)
            head.append(notice.format(len(lines) - len(kept)))
            lines = kept
        return "\n".join(["```diff", *head, *(text for _, text in lines), *foot, "```", ""])

    def _head(self) -> list[str]:
        return [f"  account {self.where}"] if self.where else []

    def _lines(self) -> "Iterator[_Line]":
        for change in self.changes:
            yield from _lines(change)
        for role in self.undeclared:
            yield _UNDECLARED, f"? {quote(role.name)} is not declared"
        for note in self.notes:
            yield _NOTE, f"# {note}"

    def _foot(self) -> list[str]:
        actions = Counter[str](change.action for change in self.changes)
        counts = [f"{actions[a]} to {a}" for a in _SIGNS if a in actions] or ["no changes"]
        summary = f"  {', '.join(counts)}; {len(self.unchanged)} as declared"
        return [summary, f"  checksum {self.checksum}"]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data; roles that stay as they are appear by their names."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account,
            "host": self.host,
            "changes": [change.to_dict() for change in self.changes],
            "unchanged": [role.name for role in self.unchanged],
            "undeclared": [role.name for role in self.undeclared],
            "notes": [*self.notes],
            "checksum": self.checksum,
        }

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text, on one line and in ASCII."""
        return json.dumps(self.to_dict())


# The order in which lines are kept where a plan has to be short.
_DELETE, _TITLE, _NOTE, _OF_DELETE, _PERMISSION, _UNDECLARED, _DESCRIPTION, _LONG = range(8)


_Line = tuple[int, str]
"""The place of a line in that order, and its text."""


def _most_important(lines: Sequence[_Line], room: int) -> list[_Line]:
    """Return the lines that fit into so many characters, the important ones first, in order."""
    order = sorted(range(len(lines)), key=lambda index: lines[index][0])
    sizes = itertools.accumulate(len(lines[index][1]) + 1 for index in order)
    kept = [index for index, size in zip(order, sizes, strict=True) if size <= room]
    return [lines[index] for index in sorted(kept)]


def _lines(change: Change) -> Iterator[_Line]:
    is_delete = change.action == "delete"
    yield _DELETE if is_delete else _TITLE, f"{_SIGNS[change.action]} {change}"
    old, new = (role.description or "" if role else "" for role in (change.before, change.after))
    for sign, text, other, only in (("-", old, new, change.takes), ("+", new, old, change.gives)):
        if text and text != other:
            yield from _described(f"{sign}     ", text)
        for permission in only:
            yield _OF_DELETE if is_delete else _PERMISSION, f"{sign}     {quote(permission)}"
    if change.note:
        yield _NOTE, f"#     {change.note}"


def _described(begin: str, text: str) -> Iterator[_Line]:
    # Each part ends after a space, if there is one.
    parts = re.findall(rf"(?s).{{1,{_WIDTH}}}(?:(?<=\s)|\Z)|.{{1,{_WIDTH}}}", text)
    if len(parts) == 1:
        yield _DESCRIPTION, f"{begin}description = {quote(text)}"
        return
    yield _DESCRIPTION, f"{begin}description ="
    yield from ((_LONG, f"{begin}    {quote(part)}") for part in parts)


class PlanError(ValidationError):
    """The declaration does not fit the account; nothing was changed. It has every violation."""


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
    violations = [*_unanchored(declaration.anchor, by_name.values())]
    pairs: list[tuple[Role, DeclaredRole]] = []
    new: list[DeclaredRole] = []
    notes: list[str] = []
    for declared in declaration.roles:
        path, names = f"roles.{quote(declared.name)}", (declared.name, *declared.previously)
        found = [by_name[name] for name in names if name in by_name]
        strangers = _strangers(declared, found)
        notes += (_stranger(declared, role) for role in strangers)
        found = [role for role in found if role not in strangers]
        violations += _refusals(path, found)
        if len(found) > 1:
            several = " and ".join(quote(role.name) for role in found)
            violations.append(Violation(path, f"{several} exist, but are declared as one role"))
        if found:
            pairs.append((found[0], declared))
        else:
            new.append(declared)
    deleted = [by_name[name] for name in declaration.absent if name in by_name]
    if violations := [*violations, *_refusals("absent", deleted)]:
        raise PlanError(violations=placed(violations, declaration.files))
    matched = {role.name for role, _ in pairs}
    rest = [r for r in by_name.values() if r.name not in matched and not r.is_predefined]
    others = [role for role in rest if role.name not in declaration.ignored]
    changes = [
        *(Change(before=role, after=d) for role, d in pairs if differing(role, d)),
        *(Change(before=role, after=None) for role in deleted),
        *_creations(new, others, pairs, declaration.absent),
    ]
    return Plan(
        changes=tuple(map(_with_sets, in_order(changes))),
        unchanged=tuple(role for role, d in pairs if not differing(role, d)),
        undeclared=tuple(role for role in others if role.name not in declaration.absent),
        ignored=tuple(role for role in rest if role.name in declaration.ignored),
        account=account or declaration.account,
        host=host,
        predefined=tuple(role for role in by_name.values() if role.is_predefined),
        notes=tuple(notes),
    )


def _strangers(declared: DeclaredRole, found: Sequence[Role]) -> list[Role]:
    """Return the custom roles that others made under a former name since the role was renamed."""
    renamed = [role for role in found if role.name == declared.name]
    return [
        role
        for role in found
        if renamed and role.created_at > renamed[0].created_at and not role.is_predefined
    ]


def _stranger(declared: DeclaredRole, role: Role) -> str:
    old, new = quote(role.name), quote(declared.name)
    return f"{old} is younger than {new}, so it is another role: take {old} out of previously"


def _check(declaration: object, account: object, host: object = None) -> None:
    is_one = isinstance(declaration, Declaration)
    check(
        ("declaration", None if is_one else f"must be a Declaration, not {type_name(declaration)}"),
        ("account", None if account is None else label_rule(account)),
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


def _creations(
    new: Iterable[DeclaredRole],
    others: Iterable[Role],
    pairs: Iterable[tuple[Role, DeclaredRole]],
    absent: Iterable[str],
) -> Iterator[Change]:
    """Yield the creations, each with a note if it may be another role under a new name."""
    named: defaultdict[str, list[Role]] = defaultdict(list)
    holding: defaultdict[str, list[Role]] = defaultdict(list)
    kin: defaultdict[str, list[Role]] = defaultdict(list)
    for role in others:
        kin[_last_word(role.name)].append(role)
        named[_folded(role.name)].append(role)
        holding[_held(role)].append(role)
    losing = {_held(r): quote(r.name) for r, d in pairs if r.name == d.name and only_in(r, d)}
    for declared in new:
        note, held = None, _held(declared)
        # Only a single role with the same two or more permissions suggests a rename.
        same = holding[held] if len(declared.permissions) > 1 and len(holding[held]) == 1 else []
        similar = _similar(declared, kin[_last_word(declared.name)])
        if held in losing:
            old = losing[held]
            note = (
                f"has the permissions that {old} has now and will lose; if this is {old} under a "
                f"new name, make two runs: first previously = [{old}] here, then {old} again"
            )
        elif alike := named[_folded(declared.name)] or same or similar:
            name = alike[0].name
            old, instead = quote(name), " instead of absent" if name in absent else ""
            note = f"looks like {old}; if that was renamed, declare previously = [{old}]{instead}"
        yield Change(before=None, after=declared, note=note)


def _with_sets(change: Change) -> Change:
    """Return a change with a note of the sets that give permissions, if any."""
    given: defaultdict[str, list[str]] = defaultdict(list)
    for permission in change.gives:
        if change.after and (name := change.after.origins.get(permission)):
            given[name].append(permission)
    notes = [f"set {quote(name)} gives {', '.join(map(quote, ps))}" for name, ps in given.items()]
    return attr.evolve(change, note="; ".join([*filter(None, [change.note]), *notes]) or None)


def _similar(declared: DeclaredRole, kin: Sequence[Role]) -> list[Role]:
    """Return the only role of some whose permissions the declared one has, or which has its own."""
    wanted = {*map(str, declared.permissions)}
    held = [(role, {*map(str, role.permissions or ())}) for role in kin[:_MAX_KIN]]
    found = [role for role, each in held if each and (each <= wanted or each >= wanted)]
    return found if len(found) == 1 else []


def _last_word(name: str) -> str:
    """Return what stays of a name where "Analyst" becomes "Data Analyst"."""
    return "".join(name.casefold().split()[-1:])


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def _held(role: Role | DeclaredRole) -> str:
    return str(content(role)["permissions"])


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
    if anchor is True and roles:
        anchor = min(reversed(roles), key=attrgetter("created_at")).id
    elif anchor is True:
        raise PlanError(violations=(Violation("anchor", "the account has no custom role"),))
    violations = [*_refusals("roles", roles), *_unanchored(anchor or None, everyone)]
    if violations:
        raise PlanError(violations=tuple(violations))
    declared: list[DeclaredRole] = []
    left_out: list[Violation] = []
    new: list[AnyPermission] = []
    for role in roles:
        each = DeclaredRole(
            name=role.name, description=role.description, permissions=role.permissions or ()
        )
        unknown = [permission for permission in each.permissions if not permission.is_known]
        try:
            Declaration(roles=[each], new_permissions=unknown)
        except ValidationError as error:
            left_out += error.violations
        else:
            declared.append(each)
            new += unknown
    declaration = Declaration(roles=declared, new_permissions=new, anchor=anchor or None)
    return Export(declaration=declaration, left_out=tuple(left_out))
