"""The plan: the changes that make an account as declared, and their text."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, Literal

import attr

from arize_roles_async import Role, ValidationError
from arize_roles_async.as_code.declaration import DeclaredRole
from arize_roles_async.as_code.toml import quote

FORMAT_VERSION: Final = 1
"""Version of the JSON of plans and results; raised when older readers would break."""
CHECKSUM_FORMAT: Final = "2-"
"""The beginning of a checksum; raised when equal plans would have another one than before."""

_SIGNS: Final = {"update": "!", "delete": "-", "create": "+"}
_PART: Final = r"(?s).{1,80}(?:(?<=\s)|\Z)|.{1,80}"
"""A part of a description on a line of a plan; it ends after a space, if there is one."""
# The order in which lines are kept where a plan has to be short.
_ALWAYS, _DELETE, TITLE, _PERMISSION, _DESCRIPTION = range(5)
_Line = tuple[int, str]
"""The place of a line in that order, and its text."""


class PlanError(ValidationError):
    """The declaration does not fit the account; nothing was changed. It has every violation."""


def held(role: Role | DeclaredRole | None) -> frozenset[str]:
    """Return the permissions of a role; no role has none."""
    return frozenset(map(str, role.permissions or ())) if role else frozenset()


def content(role: Role | DeclaredRole) -> dict[str, Any]:
    """Return the fields of a role that a declaration has, as JSON-ready data."""
    fields = {"name": role.name, "description": role.description or None}
    return {**fields, "permissions": sorted(held(role))}


def differing(before: Role | DeclaredRole | None, after: Role | DeclaredRole) -> list[str]:
    """Return the names of the fields that a change gives another value."""
    old = content(before) if before else {}
    return [field for field, value in content(after).items() if old.get(field) != value]


def only_in(role: Role | DeclaredRole | None, other: Role | DeclaredRole | None) -> tuple[str, ...]:
    """Return the permissions that a role has and the other one has not."""
    return tuple(sorted(held(role) - held(other)))


@attr.frozen(kw_only=True)
class Change:
    """A change of one role, from the account's to the declared one."""

    before: Role | None
    """The role in the account; None if it is created."""
    after: DeclaredRole | None
    """The declared role; None if it is deleted."""
    note: str | None = None
    """A hint to check before the change is made, such as a role that looks like this one."""
    created_id: str | None = attr.field(default=None, eq=False)
    """The ID of the role that the change created; None before that."""

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
            "id": self.before.id if self.before else self.created_id,
            "before": self.before and content(self.before),
            "after": self.after and content(self.after),
            "note": self.note,
        }


def _lines(change: Change) -> Iterator[_Line]:
    title = _DELETE if change.action == "delete" else TITLE
    yield title, f"{_SIGNS[change.action]} {change}"
    old, new = (role.description or "" if role else "" for role in (change.before, change.after))
    for sign, text, other, only in (("-", old, new, change.takes), ("+", new, old, change.gives)):
        parts = re.findall(_PART, text) if text != other else []
        if len(parts) > 1:
            yield _DESCRIPTION, f"{sign}     description ="
        for part in parts:
            begin = "    " if len(parts) > 1 else "description = "
            yield _DESCRIPTION, f"{sign}     {begin}{quote(part)}"
        for permission in only:
            yield _PERMISSION, f"{sign}     {quote(permission)}"
    if change.note:
        yield TITLE, f"#     {change.note}"


def fenced(lines: Sequence[_Line], limit: int = 65_000) -> str:
    """Return lines in a fence of Markdown, without those that make it longer than a limit."""
    room = limit - len("```diff\n```\n")
    if sum(len(text) + 1 for _, text in lines) > room:
        notice = f"  shortened: {{}} of {len(lines)} lines are left out"
        order = sorted(range(len(lines)), key=lambda n: lines[n][0])
        ends = accumulate((len(lines[n][1]) + 1 for n in order), initial=len(notice) + 10)
        fits = {n for n, end in zip(order, [*ends][1:], strict=True) if end <= room}
        kept = [line for n, line in enumerate(lines) if n in fits or line[0] == _ALWAYS]
        lines = [(_ALWAYS, notice.format(len(lines) - len(kept))), *kept]
    return "\n".join(["```diff", *(text for _, text in lines), "```", ""])


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
        data = {
            "account": self.account,
            "host": self.host,
            "ids": sorted(role.id for role in (*self.predefined, *self.unchanged)),
            "changes": [{**change.to_dict(), "note": None} for change in self.changes],
        }
        text = json.dumps(data, sort_keys=True)
        return CHECKSUM_FORMAT + hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        return "\n".join(text for _, text in self._lines())

    def to_markdown(self, limit: int = 65_000) -> str:
        """Return the text in a fence of Markdown, for a comment of at most `limit` characters.

        Lines are left out, and counted: first descriptions and undeclared roles, then permissions,
        then notes and titles, those of deletes last. The counts and the checksum stay.
        """
        return fenced([*self._lines()], limit)

    def _lines(self) -> Iterator[_Line]:
        if self.where:
            yield _ALWAYS, f"  account {self.where}"
        for change in self.changes:
            yield from _lines(change)
        for role in self.undeclared:
            yield _DESCRIPTION, f"? {quote(role.name)} is not declared"
        for note in self.notes:
            yield TITLE, f"# {note}"
        actions = Counter[str](change.action for change in self.changes)
        counts = [f"{actions[a]} to {a}" for a in _SIGNS if a in actions] or ["no changes"]
        yield _ALWAYS, f"  {', '.join(counts)}; {len(self.unchanged)} as declared"
        yield _ALWAYS, f"  checksum {self.checksum}"

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
