"""The plan: what has to change to make an account as declared, and how that is shown."""

import hashlib
import itertools
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, cast

import attr

from arize_roles_async import Role, RolesClient, ValidationError, Violation
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.requests import is_several
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredRole, quote

_FIELDS: Final = ("name", "description", "permissions")
_SIGNS: Final = {"update": "!", "delete": "-", "create": "+"}


def _content(role: Role | DeclaredRole) -> dict[str, Any]:
    permissions = sorted({str(p) for p in role.permissions or ()})
    return {"name": role.name, "description": role.description or None, "permissions": permissions}


def differing(before: Role | DeclaredRole | None, after: DeclaredRole) -> list[str]:
    """Return the fields in which a role is not as it is to be."""
    old, new = _content(before) if before else {}, _content(after)
    return [field for field in _FIELDS if old.get(field) != new[field]]


@attr.frozen(kw_only=True)
class Change:
    """A change of one role, from what the account holds to what is declared."""

    before: Role | None
    """The role as it is; None if it is created."""
    after: DeclaredRole | None
    """The role as it is to be; None if it is deleted."""
    note: str | None = None
    """What to look at before the change is made, such as a role that looks like it."""

    @property
    def action(self) -> Literal["update", "delete", "create"]:
        """What it does; a rename is an update."""
        return "create" if self.before is None else "delete" if self.after is None else "update"

    def __str__(self) -> str:
        names = [quote(role.name) for role in (self.before, self.after) if role]
        return f"{self.action} {' -> '.join(dict.fromkeys(names))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "action": self.action,
            "id": self.before and self.before.id,
            "before": self.before and _content(self.before),
            "after": self.after and _content(self.after),
            "note": self.note,
        }


@attr.frozen(kw_only=True)
class Plan:
    """What has to change to make an account as declared; `str` of it is a diff."""

    changes: tuple[Change, ...]
    """In the order in which they are made: updates, deletes, creates, each by name."""
    unchanged: tuple[Role, ...]
    undeclared: tuple[Role, ...]
    """The custom roles that are not named; no change is to them."""

    @property
    def checksum(self) -> str:
        """The same for plans that would do the same, on any machine: SHA-256, in hex."""
        changes = [{**change.to_dict(), "note": None} for change in self.changes]
        return hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        actions = [change.action for change in self.changes]
        counts = [f"{actions.count(a)} to {a}" for a in _SIGNS if a in actions] or ["no changes"]
        lines = [line for change in self.changes for line in _lines(change)]
        lines += [f"? {quote(role.name)} is not declared" for role in self.undeclared]
        lines += [f"  {', '.join(counts)}; {len(self.unchanged)} as declared"]
        return "\n".join([*lines, f"  checksum {self.checksum}"])

    def to_markdown(self, limit: int = 65_000) -> str:
        """Return the text in a fence of Markdown, for a comment on a change.

        Args:
            limit: The most characters. Lines that do not fit are left out and counted; the summary
                and the checksum, about 140 characters, are always there.
        """
        *lines, summary, checksum = str(self).split("\n")
        room = limit - len(summary + checksum) - 60  # The fence, and the line that counts.
        sizes = itertools.accumulate(len(line) + 1 for line in lines)
        kept = [line for line, size in zip(lines, sizes, strict=True) if size <= room]
        more = [f"  {len(lines) - len(kept)} more lines"] if len(kept) < len(lines) else []
        return "\n".join(["```diff", *kept, *more, summary, checksum, "```", ""])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data; roles that stay as they are appear by their names."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "unchanged": [role.name for role in self.unchanged],
            "undeclared": [role.name for role in self.undeclared],
            "checksum": self.checksum,
        }

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text, on one line and in ASCII."""
        return json.dumps(self.to_dict())


def _lines(change: Change) -> Iterator[str]:
    yield f"{_SIGNS[change.action]} {change}"
    old, new = (_content(role) if role else {} for role in (change.before, change.after))
    for sign, content, other in (("-", old, new), ("+", new, old)):
        if content.get("description") and content["description"] != other.get("description"):
            yield f"{sign}     description = {quote(content['description'])}"
        only = {*content.get("permissions", ())} - {*other.get("permissions", ())}
        yield from (f"{sign}     {quote(permission)}" for permission in sorted(only))
    if change.note:
        yield f"#     {change.note}"


class PlanError(ValidationError):
    """The declaration does not fit the account; nothing was changed. It holds every violation."""


async def plan(roles: RolesClient, declaration: Declaration) -> Plan:
    """Return what has to change to make an account as declared; raises as `compare` does."""
    _check_declaration(declaration)
    return compare((await roles.list().all()).roles, declaration)


def compare(roles: Iterable[Role], declaration: Declaration) -> Plan:
    """Return what has to change to make an account of these roles (predefined too) as declared.

    Raises:
        ValidationError: An argument is not what its annotation says.
        PlanError: It does not fit the account: a role and a former name of it both exist, a name
            is a predefined role's, a permission is withheld, or not known and held by none.
    """
    _check_declaration(declaration)
    if not is_several(roles):
        raise validation_error(("roles", f"must be an iterable of roles, not {type_name(roles)}"))
    given = cast("tuple[Role, ...]", tuple(roles))
    for role in given:
        if not isinstance(cast("object", role), Role):
            raise validation_error(("roles", f"must hold roles, not {type_name(role)}"))
    by_name = {role.name: role for role in sorted(given, key=lambda role: role.name)}
    held = {str(p) for role in by_name.values() for p in role.permissions or ()}
    violations = declaration.unknown_permissions(held)
    pairs: list[tuple[Role | None, DeclaredRole]] = []
    for declared in declaration.roles:
        path, names = f"roles.{quote(declared.name)}", (declared.name, *declared.previously)
        found = [by_name[name] for name in names if name in by_name]
        violations += _refusals(path, found)
        if len(found) > 1:
            several = " and ".join(quote(role.name) for role in found)
            violations.append(Violation(path, f"{several} exist, but are declared as one role"))
        pairs.append((found[0] if found else None, declared))
    absent = declaration.absent
    deleted = [by_name[name] for name in absent if name in by_name]
    if violations := [*violations, *_refusals("absent", deleted)]:
        raise PlanError(violations=tuple(violations))
    matched = {role.name for role, _ in pairs if role}
    others = [r for r in by_name.values() if r.name not in matched and not r.is_predefined]
    alike = {key: role for role in others for key in _likeness(role)}
    return Plan(
        changes=(
            *(Change(before=r, after=d) for r, d in pairs if r and differing(r, d)),
            *(Change(before=role, after=None) for role in deleted),
            # Last: where the account is at its plan's limit, the deletes make room for them.
            *(Change(before=r, after=d, note=_note(d, alike, absent)) for r, d in pairs if not r),
        ),
        unchanged=tuple(r for r, d in pairs if r and not differing(r, d)),
        undeclared=tuple(role for role in others if role.name not in absent),
    )


def _check_declaration(declaration: object) -> None:
    if not isinstance(declaration, Declaration):
        message = f"must be a Declaration, not {type_name(declaration)}"
        raise validation_error(("declaration", message))


def _refusals(path: str, roles: Iterable[Role]) -> Iterator[Violation]:
    for role in roles:
        if role.is_predefined:
            yield Violation(path, f"{quote(role.name)} is predefined, and cannot be changed")
        if role.permissions is None:
            yield Violation(path, f"permissions of {quote(role.name)} are hidden without ROLE_READ")


def _likeness(role: Role | DeclaredRole) -> tuple[str, str]:
    return "".join(role.name.split()).casefold(), str(_content(role)["permissions"])


def _note(new: DeclaredRole, alike: Mapping[str, Role], absent: Container[str]) -> str | None:
    for role in (alike[key] for key in _likeness(new) if key in alike):
        old, instead = quote(role.name), " instead of absent" if role.name in absent else ""
        return f"looks like {old}; if that was renamed, declare previously = [{old}]{instead}"
    return None


async def export(client: RolesClient) -> Declaration:
    """Return a declaration of an account's custom roles, found in one walk.

    Raises:
        PlanError: The permissions of a role are withheld.
        ValidationError: A role breaks a rule of `Declaration`; `apply` could not make it.
        RolesError: As from the walk.
    """
    roles = [role for role in (await client.list().all()).roles if not role.is_predefined]
    if violations := tuple(_refusals("roles", roles)):
        raise PlanError(violations=violations)
    return Declaration(roles=[DeclaredRole(**{f: getattr(r, f) for f in _FIELDS}) for r in roles])
