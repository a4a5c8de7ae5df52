'''Roles as code: a file declares an account's custom roles, a plan shows what has to change.

```python
from arize_roles_async import as_code
declaration = as_code.loads("""
    absent = ["Temp Analyst"]
    [roles."AI Engineer"]
    previously = ["ML Engineer"]
    permissions = ["DATASET_CREATE", "DATASET_READ"]
""")
plan = await as_code.plan(roles, declaration)  # one walk, changes nothing
print(plan)  # a diff
await as_code.apply(roles, declaration, expected=plan)
```

A name, present or past, appears only once in a file, so no change depends on another. Only roles
that `absent` names are deleted, so a file that was cut short deletes no others.
'''

import hashlib
import itertools
import json
import os
import tomllib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final, Literal, cast

import attr

from arize_roles_async._protocol import RolesClient
from arize_roles_async._values import errors
from arize_roles_async._values.error_details import Violation
from arize_roles_async._values.errors import RolesError, ValidationError, validation_error
from arize_roles_async._values.models import Role
from arize_roles_async._values.permissions import AnyPermission, any_permission
from arize_roles_async._values.requests import (
    description_rule,
    is_several,
    name_rule,
    permissions_rule,
    text_rule,
)
from arize_roles_async._values.text import type_name

__all__ = [
    "ApplyError",
    "Change",
    "Declaration",
    "DeclaredRole",
    "Plan",
    "PlanError",
    "StalePlanError",
    "apply",
    "compare",
    "export",
    "load",
    "loads",
    "plan",
]

_FIELDS: Final = ("name", "description", "permissions")
_SIGNS: Final = {"update": "!", "delete": "-", "create": "+"}


def quote(text: object) -> str:
    """Return text as a TOML string that acts on no terminal and closes no Markdown fence."""
    # TOML takes JSON's escapes, but not the surrogate pairs that `ensure_ascii` makes.
    escaped = json.dumps(str(text), ensure_ascii=False).replace("```", "``\\u0060")
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)


# These convert what the rules accept. A file or a caller may give anything else, which stays as it
# is, and the rules refuse it.


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return cast("tuple[str, ...]", _sorted(values, key=str))


def _permissions(values: Iterable[AnyPermission | str]) -> tuple[AnyPermission, ...]:
    each = _sorted(values, key=str)
    if isinstance(each, tuple):
        given = cast("tuple[object, ...]", each)
        once = [p for n, p in enumerate(given) if p not in given[:n]]
        each = tuple(any_permission(p) if isinstance(p, str) else p for p in once)
    return cast("tuple[AnyPermission, ...]", each)


def _by_name(roles: "Iterable[DeclaredRole]") -> "tuple[DeclaredRole, ...]":
    in_order = _sorted(roles, key=lambda role: str(getattr(role, "name", "")))
    return cast("tuple[DeclaredRole, ...]", in_order)


def _sorted(values: object, key: Callable[[object], str]) -> object:
    return tuple(sorted(values, key=key)) if is_several(values) else values


@attr.frozen(kw_only=True)
class DeclaredRole:
    """A whole role, as the account should have it; a `Declaration` checks it.

    Args:
        name: Its name; it and the next two follow the rules of `RolesClient.create`.
        permissions: All its permissions, in any order.
        description: Its description; an empty one is the same as None.
        previously: Former names. A role that has one is renamed, and whoever holds it keeps it.
    """

    name: str
    permissions: tuple[AnyPermission, ...] = attr.field(converter=_permissions)
    description: str | None = None
    previously: tuple[str, ...] = attr.field(default=(), converter=_names)


@attr.frozen(kw_only=True)
class Declaration:
    """The custom roles that an account should have; a role that it does not name is left alone.

    Args:
        roles: The roles that the account should have.
        absent: The names of roles that it should not have.

    Raises:
        ValidationError: A role breaks a rule, or a name appears twice. It holds every violation.
    """

    roles: tuple[DeclaredRole, ...] = attr.field(default=(), converter=_by_name)
    absent: tuple[str, ...] = attr.field(default=(), converter=_names)

    def __attrs_post_init__(self) -> None:
        if violations := tuple(_violations(self.roles, self.absent)):
            raise ValidationError(violations=violations)

    def unknown_permissions(self, held: Container[str] = ()) -> list[Violation]:
        """Return each permission that this version does not know and `held` does not contain."""
        return [
            Violation(f"roles.{quote(role.name)}.permissions", permissions_rule((p.value,)) or "")
            for role in self.roles
            for p in role.permissions
            if not p.is_known and p not in held
        ]

    def to_toml(self) -> str:
        """Return a file that declares the same, in one fixed order, with a permission a line."""
        tables = [f"absent = {_array(self.absent)}"] if self.absent else []
        for role in self.roles:
            described = f"description = {quote(role.description)}\n" if role.description else ""
            previously = f"previously = {_array(role.previously)}" if role.previously else ""
            # Last, as a role without them is refused: a file that was cut short has whole roles.
            permissions = f"permissions = {_array(role.permissions)}"
            tables.append(f"[roles.{quote(role.name)}]\n{described}{previously}{permissions}")
        return "\n".join(tables)


def _array(names: Iterable[str]) -> str:
    return "".join(["[\n", *(f"    {quote(name)},\n" for name in names), "]\n"])


def _violations(roles: object, absent: object) -> Iterator[Violation]:
    names: list[tuple[str, Any]] = []
    if not isinstance(roles, tuple):
        yield Violation("roles", f"must be an iterable of roles, not {type_name(roles)}")
        roles = ()
    for role in cast("tuple[object, ...]", roles):
        if not isinstance(role, DeclaredRole):
            yield Violation("roles", f"must hold DeclaredRole objects, not {type_name(role)}")
            continue
        path, described = f"roles.{quote(role.name)}", role.description is not None
        names += [(path, role.name), *_each_name(f"{path}.previously", role.previously)]
        for field, message in (
            ("name", name_rule(role.name)),
            ("description", description_rule(role.description) if described else None),
            ("permissions", permissions_rule(role.permissions)),
            ("previously", _names_rule(role.previously)),
        ):
            if message:
                yield Violation(f"{path}.{field}", message)
    if message := _names_rule(absent):
        yield Violation("absent", message)
    first: dict[str, str] = {}
    for path, name in [*names, *_each_name("absent", absent)]:
        if message := text_rule(name):
            yield Violation(path, message)
        elif name in first:
            message = f"{quote(name)} is at {first[name]} too; a name, present or past, appears"
            yield Violation(path, f"{message} once, so a swap takes two runs and a third name")
        else:
            first[name] = path


def _names_rule(names: object) -> str | None:
    """Return what is wrong with several names, whatever each of them is, or None."""
    if isinstance(names, tuple):
        return None
    return f"must be an iterable of names, not {type_name(names)}"


def _each_name(path: str, names: object) -> list[tuple[str, Any]]:
    if not isinstance(names, tuple):
        return []
    return [(path, name) for name in cast("tuple[object, ...]", names)]


def load(path: str | os.PathLike[str]) -> Declaration:
    """Return what a UTF-8 file declares; raises as `loads` does, also if it cannot be read."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError, TypeError) as error:
        raise validation_error(("file", f"is unreadable: {error}")) from error
    return loads(text)


def loads(text: str) -> Declaration:
    """Return what a text in TOML declares.

    Raises:
        ValidationError: Every violation, by its line or the path of its key.
    """
    if not isinstance(cast("object", text), str):
        raise validation_error(("file", f"must be a text, not {type_name(text)}"))
    violations: list[Violation] = []

    def table(path: str, value: Any, keys: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401
        if not isinstance(value, dict):
            violations.append(Violation(path, "must be a table"))
            return {}
        given = cast("dict[str, Any]", value)
        strange = [f"{path}.{quote(key)}".removeprefix("$.") for key in given if key not in keys]
        message = f"is not a key here; the keys are {', '.join(keys)}"
        violations.extend(Violation(where, message) for where in strange)
        return {key: given[key] for key in given if key in keys}

    def arrays(path: str, given: dict[str, Any], *keys: str) -> None:
        for key in keys:
            if not isinstance(given.get(key, []), list):
                violations.append(Violation(f"{path}{key}", "must be an array of strings"))
                del given[key]

    try:
        data = table("$", tomllib.loads(text), ("absent", "roles"))
    except (ValueError, RecursionError) as error:
        raise validation_error(("file", f"is not valid TOML: {error}")) from error
    arrays("", data, "absent")
    roles: list[DeclaredRole] = []
    tables = data.get("roles", {})
    for name, value in table("roles", tables, tables).items():
        path = f"roles.{quote(name)}"
        given = table(path, value, ("description", "previously", "permissions"))
        arrays(f"{path}.", given, "previously", "permissions")
        roles.append(DeclaredRole(name=name, permissions=given.pop("permissions", ()), **given))
    absent = _names(data.get("absent", ()))
    # What is wrong with a table as a whole is not told of its keys again.
    known = tuple(f"{violation.field}." for violation in violations)
    others = _violations(tuple(roles), absent)
    violations += [each for each in others if not f"{each.field}.".startswith(known)]
    if violations:
        raise ValidationError(violations=tuple(violations))
    return Declaration(roles=roles, absent=absent)


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


def _content(role: Role | DeclaredRole) -> dict[str, Any]:
    permissions = sorted({str(p) for p in role.permissions or ()})
    return {"name": role.name, "description": role.description or None, "permissions": permissions}


def _differing(before: Role | DeclaredRole | None, after: DeclaredRole) -> list[str]:
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
            *(Change(before=r, after=d) for r, d in pairs if r and _differing(r, d)),
            *(Change(before=role, after=None) for role in deleted),
            # Last: where the account is at its plan's limit, the deletes make room for them.
            *(Change(before=r, after=d, note=_note(d, alike, absent)) for r, d in pairs if not r),
        ),
        unchanged=tuple(r for r, d in pairs if r and not _differing(r, d)),
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


class StalePlanError(RolesError):
    """The account or the declaration is not what the expected plan was for; nothing was changed."""


class ApplyError(RolesError):
    """A change failed, and no other was begun after it. Applying again makes what is missing.

    Attributes:
        made, failed, not_reached: The changes before it, it, and those after it.
        may_have_been_made: Whether it may still have been made, perhaps not as asked.
    """

    made: tuple[Change, ...] = ()
    failed: Change | None = None
    may_have_been_made: bool = False
    not_reached: tuple[Change, ...] = ()


async def apply(
    roles: RolesClient,
    declaration: Declaration,
    *,
    expected: Plan | str | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_change: Callable[[Change], object] | None = None,
) -> Plan:
    """Plan again and make the changes, one after another; a cancellation ends it where it is.

    Args:
        roles: A client of the account.
        declaration: The roles that the account is to have.
        expected: The plan that was reviewed, or its checksum; None applies whatever is planned.
        on_plan: Called with the plan before the first change.
        on_change: Called with each change after it was made.

    Returns:
        The plan whose changes were made.

    Raises:
        ValidationError: `declaration` or `expected` is of another type, or `on_plan` or `on_change`
            cannot be called, or is an async function.
        StalePlanError: The plan is not the expected one.
        ApplyError: A change failed, or was answered otherwise than asked.
        RolesError: As from `plan`; nothing was changed.
    """
    for name, called in (("on_plan", on_plan), ("on_change", on_change)):
        if called is not None and not _is_plain_function(called):
            raise validation_error((name, "must be a function, and not async"))
    if not isinstance(cast("object", expected), Plan | str | None):
        message = f"must be a Plan, its checksum or None, not {type_name(expected)}"
        raise validation_error(("expected", message))
    planned = await plan(roles, declaration)
    checksum = expected.checksum if isinstance(expected, Plan) else expected
    if checksum not in {None, planned.checksum}:
        why = "nothing was changed, as the plan is not the expected one; its checksum is now"
        raise StalePlanError(f"{why} {planned.checksum}")
    if on_plan is not None:
        on_plan(planned)
    for position, change in enumerate(planned.changes):
        try:
            await _make(roles, change)
        except RolesError as error:
            raise _failure(planned.changes, position, error) from error
        if on_change is not None:
            on_change(change)
    return planned


def _is_plain_function(called: object) -> bool:
    if not callable(called):
        return False
    return not (iscoroutinefunction(called) or iscoroutinefunction(called.__call__))


async def _make(roles: RolesClient, change: Change) -> None:
    role_id, after = change.before.id if change.before else "", change.after
    if after is None:
        await roles.delete(role_id=role_id)
        return
    fields: dict[str, Any] = {f: getattr(after, f) for f in _differing(change.before, after)}
    role = await (roles.update(role_id=role_id, **fields) if role_id else roles.create(**fields))
    withheld = {"permissions"} if role.permissions is None else ()
    if others := [field for field in _differing(role, after) if field not in withheld]:
        raise errors.InvalidResponseError(f"the answer has a different {' and '.join(others)}")


def _failure(changes: tuple[Change, ...], position: int, cause: RolesError) -> ApplyError:
    failed, not_reached = changes[position], changes[position + 1 :]
    is_open = isinstance(cause, errors.OutcomeUnknownError | errors.InvalidResponseError)
    message = f"{failed} {'may have been' if is_open else 'was not'} made"
    if failed.action == "delete" and isinstance(cause, errors.ConflictError):
        message += ", as the role is still bound to users"
    message += f": {cause}; made before: {position}; not reached: "
    error = ApplyError(f"{message}{', '.join(map(str, not_reached)) or 'none'}")
    error.made, error.failed, error.not_reached = changes[:position], failed, not_reached
    error.may_have_been_made = is_open
    return error
