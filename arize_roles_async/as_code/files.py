"""The files: several are read as one declaration, and each violation has its place in one."""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, cast

import attr
import msgspec

from arize_roles_async import Permission, ValidationError, Violation
from arize_roles_async._roles.requests import permissions_flaw
from arize_roles_async._values.base_errors import validation_error
from arize_roles_async._values.text import MAX_SEARCHED, nearest, type_name
from arize_roles_async.as_code.declaration import (
    Declaration,
    DeclaredPlace,
    DeclaredRole,
    is_user,
    to_permissions,
)
from arize_roles_async.as_code.schema import SCHEMA, Table, within
from arize_roles_async.as_code.toml import MAX_FILE, TOO_LARGE, File, FileViolation, parsed, quote

_NO_TEAM: Final = "must be no address and no ID, which stand for a user"
_PART: Final = r'\.?(?:"(?:\\.|[^"\\])*"|[^."]+)'
"""A part of a path, as `quote` writes it."""
_LINK: Final = "links in a folder that lead to folders, or out of it, are not followed"
_KINDS: Final[Mapping[str, tuple[Any, str]]] = {
    "string": (str, "a string"),
    "array": (list[str], "a list of strings"),
    "object": (Table, "a table"),
    "boolean": (bool, "true or false"),
}


def with_places(violations: Iterable[Violation], files: Sequence[File]) -> Iterator[Violation]:
    """Yield violations, each with its place in every file that has its path or one above it."""
    places: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for file in files if (violations := [*violations]) else ():
        for path, line in file.places.items():
            places[path].append((file.name, line))
    for each in violations:
        parts = re.findall(_PART, each.field)
        paths = ("".join(parts[:length]) for length in range(len(parts), 0, -1))
        found = next((places[path] for path in paths if path in places), None)
        if not found:
            yield each
        for name, line in found or ():
            yield FileViolation(each.field, each.message, name, line)


def load(path: str | os.PathLike[str], *paths: str | os.PathLike[str]) -> Declaration:
    """Return the declaration in UTF-8 files, which are read as one.

    A folder stands for the `*.toml` in it and below it; names that begin with a dot do not count,
    and links in it to folders, or out of it, are refused. `"-"` is the standard input.

    Raises:
        ValidationError: As from `loads`; also if a file is unreadable, a folder has none, or files
            contradict each other.
    """
    files, broken = texts_of((path, *paths))
    return _merged(files, [*broken], next(iter(broken.values()), None))


def loads(text: str, name: str = "file") -> Declaration:
    """Return the declaration in a text of TOML, which errors call by its name.

    Raises:
        ValidationError: Every violation, with its line and the path of its key. Text that is not
            valid TOML, or has more than 32 MiB, is reported alone.
    """
    if not isinstance(cast("object", text), str):
        raise validation_error((name, f"must be a text, not {type_name(text)}"))
    return _merged([File(name, text)], [])


def texts_of(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[dict[File, Path | None], dict[Violation, BaseException]]:
    """Return files with their paths, those of a folder sorted, and what is unreadable, with why."""
    files: dict[str, tuple[File, Path | None]] = {}
    broken: dict[Violation, BaseException] = {}

    def add(given: str | os.PathLike[str], top: Path | None = None) -> bool:
        """Add a file, or those of a folder, each below its top; return whether there is one."""
        name, path = path_text(given), None
        try:
            if given == "-":
                name = "standard input"
            elif (path := _followed(Path(given), top)).is_dir():
                # Editors and macOS leave files that begin with a dot.
                below = [each for each in sorted(path.iterdir()) if each.name[0] != "."]
                below = [each for each in below if each.suffix == ".toml" or each.is_dir()]
                found = [add(each, top or path) for each in below]
                if not (any(found) or top):
                    raise FileNotFoundError("the folder has no *.toml")
                return any(found)
            files[name] = File(name, _text_of(path)), path
        except (OSError, ValueError, TypeError) as error:
            broken[Violation(name, f"is unreadable: {error}")] = error
        return True

    for given in paths:
        add(given)
    return dict(files.values()), broken


def _followed(path: Path, top: Path | None) -> Path:
    """Return a path, unless it is a link, found below a top folder, to a folder or out of it."""
    if top and path.is_symlink():
        is_below = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top))
        if path.is_dir() or not is_below:
            raise ValueError(_LINK)
    return path


def _text_of(path: Path | None) -> str:
    """Return the text of a file or the standard input; it must be UTF-8, and not too large."""
    with path.open("rb") if path else nullcontext(sys.stdin.buffer) as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(TOO_LARGE)
    return data.decode()


def path_text(path: object) -> str:
    """Return a path for a message."""
    return str(path) if str(path).isprintable() else quote(path)


def _merged(
    files: Iterable[File], broken: list[Violation], cause: BaseException | None = None
) -> Declaration:
    """Return the declaration that files make together, unless something is broken already."""
    tables: dict[File, Table] = {}
    for file in files:
        flaws: list[Violation] = []
        try:
            tables[file] = _read(parsed(file.name, file.text), SCHEMA, "", flaws)
        except ValidationError as error:
            broken, cause = [*broken, *error.violations], cause or error.__cause__
        broken += with_places(flaws, [file])
    fields: Table = {"files": tuple(tables)}
    wrong: list[Violation] = []
    for field in ("account", "anchor", "undeclared"):
        values = [table[field] for table in tables.values() if table[field] is not None]
        fields[field] = values[0] if values else None
        if len({*values}) > 1:
            wrong.append(Violation(field, "must be the same in all files that have it"))
    for field in ("new_permissions", "absent", "ignored"):
        fields[field] = [each for table in tables.values() for each in table[field]]
    named = {
        field: [each for table in tables.values() for each in table[field].items()]
        for field in ("sets", "roles", "teams", "spaces", "projects")
    }
    sets = _named("sets", named["sets"], wrong)
    teams = _named("teams", named["teams"], wrong)
    wrong += _misplaced(sets, named["roles"])
    fields["roles"] = [_role(name, sets, role, wrong) for name, role in named["roles"]]
    places = [(DeclaredPlace(space=space), given) for space, given in named["spaces"]]
    places += [
        (DeclaredPlace(space=space, project=project), given)
        for space, projects in named["projects"]
        for project, given in projects.items()
    ]
    fields["places"] = [_place(*place, teams, wrong) for place in places]
    try:
        declaration = Declaration(**fields)
        if not (broken or wrong):
            return declaration
    except ValidationError as error:
        wrong += error.violations
    reported = {violation.field for violation in broken}
    # Of what is wrong in several ways, the first one.
    firsts = {each.field: each for each in wrong[::-1] if each.field not in reported}
    placed = with_places([*firsts.values()][::-1], fields["files"])
    raise ValidationError(violations=(*broken, *placed)) from cause


def _read(value: object, schema: Table, path: str, flaws: list[Violation]) -> Any:  # noqa: ANN401
    """Return a value without what its schema refuses, which is noted; a table has each field."""
    kind, called = _KINDS[schema["type"]]
    try:
        given: Any = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        flaws.append(Violation(path, f"must be {called}"))
        given = None if kind is str else kind()
    if kind is not Table:
        return given
    fields = schema.get("properties", {})
    kinds = {field: _KINDS[each["type"]][0] for field, each in fields.items()}
    values: Table = {field: None if kind is str else kind() for field, kind in kinds.items()}
    for name, each in cast("Table", given).items():
        below = f"{path}.{name if name in fields else quote(name)}".lstrip(".")
        if inner := within(schema, name):
            values[name] = _read(each, inner, below, flaws)
        else:
            flaws.append(Violation(below, f"is not a key here; the keys are {', '.join(fields)}"))
    return values


def _named(
    field: str, named: Iterable[tuple[str, list[str]]], wrong: list[Violation]
) -> dict[str, list[str]]:
    """Return the list of each set or team, an empty one if it is wrong."""
    lists: dict[str, list[str]] = {}
    for name, listed in named:
        if name in lists:
            message: str | None = "is defined more than once"
        elif field == "sets":
            message = permissions_flaw(to_permissions(listed))
        else:
            message = _NO_TEAM if is_user(name) else None
        wrong += [Violation(f"{field}.{quote(name)}", message)] if message else []
        lists[name] = [] if message else listed
    return lists


def _misplaced(
    sets: Mapping[str, list[str]], roles: Iterable[tuple[str, Table]]
) -> Iterator[Violation]:
    lists = [(f"sets.{quote(name)}", listed) for name, listed in sets.items()]
    lists += [(f"roles.{quote(name)}.permissions", role["permissions"]) for name, role in roles]
    names = {*sets} - {*Permission}
    for path, listed in lists:
        for each in sorted(names.intersection(listed)):
            why = "is a set; name it in a role's `include`"
            yield Violation(f"{path}.{quote(each)}", why)


def _role(
    name: str, sets: Mapping[str, list[str]], role: Table, wrong: list[Violation]
) -> DeclaredRole:
    own, origins = {*role.pop("permissions")}, dict[str, str]()
    for each in sorted(role.pop("include")):
        if each not in sets:
            path = f"roles.{quote(name)}.include.{quote(each)}"
            wrong.append(Violation(path, f"is not a set{_hint(each, sets, wrong)}"))
        origins |= {str(p): each for p in sets.get(each, ()) if p not in own}
    return DeclaredRole(name=name, permissions=[*own, *origins], origins=origins, **role)


def _place(
    place: DeclaredPlace, fields: Table, teams: Mapping[str, list[str]], wrong: list[Violation]
) -> DeclaredPlace:
    roles: dict[str, str] = fields["users"]
    users: dict[str, str] = {}
    absent: list[str] = []
    for field in ("users", "absent"):
        for name in fields[field]:
            members, path = teams.get(name, [name]), f"{place.name}.{field}.{quote(name)}"
            if not (is_user(name) or name in teams):
                hint = _hint(name, teams, wrong)
                wrong.append(Violation(path, f"is neither a team nor a user's address or ID{hint}"))
            elif field == "absent":
                absent += members
            else:
                why = "is declared more than once here"
                twice = sorted(users.keys() & members)
                wrong += [Violation(path, f"{quote(user)} {why}") for user in twice]
                users |= dict.fromkeys(members, roles[name])
    return attr.evolve(place, users=users, absent=absent, only=fields["only"])


def _hint(name: str, known: Mapping[str, object], wrong: Sequence[object]) -> str:
    """Return the nearest known name for an error, unless there are many errors."""
    near = nearest(name, known) if known and len(wrong) < MAX_SEARCHED else ""
    return f"; did you mean {quote(near)}?" if near else ""
