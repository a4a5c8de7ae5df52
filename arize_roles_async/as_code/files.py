"""The files: several are read as one declaration, and each violation has its place in one."""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, cast

import attr
import msgspec

from arize_roles_async import Permission, ValidationError, Violation
from arize_roles_async._roles.requests import permissions_flaw
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.text import MAX_SEARCHED, nearest, type_name
from arize_roles_async.as_code.declaration import (
    Declaration,
    DeclaredPlace,
    DeclaredRole,
    is_user,
    list_flaw,
    to_permissions,
)
from arize_roles_async.as_code.schema import FIELDS, PLACE_FIELDS, ROLE_FIELDS, Table
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
    violations = [*violations]
    places: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for file in files if violations else ():
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

    A folder stands for the `*.toml` in it and in the folders below it; names that begin with a dot
    do not count, and links in it to folders, or out of it, are refused. `"-"` is the standard
    input.

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
            table = _fields(parsed(file.name, file.text), FIELDS, "", flaws)
        except ValidationError as error:
            broken, cause = [*broken, *error.violations], cause or error.__cause__
            continue
        roles: dict[str, object] = table["roles"]
        table["roles"] = [
            (name, _fields(role, ROLE_FIELDS, f"roles.{quote(name)}", flaws))
            for name, role in roles.items()
        ]
        table["places"] = [*_places(table, flaws)]
        tables[file] = table
        broken += with_places(flaws, [file])
    fields: Table = {"files": tuple(tables)}
    wrong: list[Violation] = []
    for field in ("account", "anchor", "undeclared"):
        values = [table[field] for table in tables.values() if table[field] is not None]
        fields[field] = values[0] if values else None
        if len({*values}) > 1:
            wrong.append(Violation(field, "must be the same in all files that have it"))
    for field in ("new_permissions", "absent", "ignored", "roles"):
        fields[field] = [each for table in tables.values() for each in table[field]]
    sets = _named("sets", tables.values(), wrong, _set_flaw)
    wrong += _misplaced(fields["roles"], sets)
    fields["roles"] = [_role(name, sets, role) for name, role in fields["roles"]]
    teams = _named("teams", tables.values(), wrong, _team_flaw)
    places = [each for table in tables.values() for each in table["places"]]
    fields["places"] = [
        _place(space, project, given, teams, wrong) for space, project, given in places
    ]
    try:
        declaration = Declaration(**fields)
        if not (broken or wrong):
            return declaration
    except ValidationError as error:
        reported = {violation.field for violation in (*broken, *wrong)}
        wrong += [violation for violation in error.violations if violation.field not in reported]
    raise ValidationError(violations=(*broken, *with_places(wrong, fields["files"]))) from cause


def _named(
    field: str,
    tables: Iterable[Table],
    wrong: list[Violation],
    flaw: Callable[[str, Any], str | None],
) -> dict[str, list[str]]:
    """Return the list of each set or team of some files, an empty one if it is wrong."""
    lists: dict[str, list[str]] = {}
    for name, listed in (each for table in tables for each in table[field].items()):
        message = "is defined more than once" if name in lists else flaw(name, listed)
        wrong += [Violation(f"{field}.{quote(name)}", message)] if message else []
        lists[name] = [] if message else listed
    return lists


def _set_flaw(_: str, listed: Iterable[str]) -> str | None:
    return permissions_flaw(to_permissions(listed))


def _team_flaw(name: str, users: object) -> str | None:
    return _NO_TEAM if is_user(name) else list_flaw(users, "strings", str)


def _fields(
    given: object, schemas: Mapping[str, Table], path: str, flaws: list[Violation]
) -> Table:
    """Return the value of each known field of a table, empty if it has a flaw."""
    table = cast("Table", given if isinstance(given, dict) else {})
    if table is not given:
        flaws.append(Violation(path, "must be a table"))
    prefix = f"{path}." if path else ""
    message = f"is not a key here; the keys are {', '.join(schemas)}"
    flaws += [Violation(f"{prefix}{quote(name)}", message) for name in table if name not in schemas]
    values: Table = {}
    for field, schema in schemas.items():
        kind, called = _KINDS[schema["type"]]
        values[field] = None if kind is str else kind()
        try:
            if field in table:
                values[field] = msgspec.convert(table[field], kind)
        except msgspec.ValidationError:
            flaws.append(Violation(f"{prefix}{field}", f"must be {called}"))
    return values


def _places(
    table: Table, flaws: list[Violation]
) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    """Yield the space, the project, and the fields of each place of a file."""
    for space, place in table["spaces"].items():
        yield space, None, _fields(place, PLACE_FIELDS, f"spaces.{quote(space)}", flaws)
    for space, projects in table["projects"].items():
        path = f"projects.{quote(space)}"
        if not isinstance(projects, dict):
            flaws.append(Violation(path, "must be a table"))
            continue
        for project, place in cast("Table", projects).items():
            each = _fields(place, PLACE_FIELDS, f"{path}.{quote(project)}", flaws)
            yield space, project, each


def _place(
    space: str,
    project: str | None,
    fields: Mapping[str, Any],
    teams: Mapping[str, Iterable[str]],
    wrong: list[Violation],
) -> DeclaredPlace:
    """Return a place with the users of the teams that it names."""
    place = DeclaredPlace(space=space, project=project)
    users: dict[str, str] = {}
    absent: list[str] = []

    def members(field: str, name: str) -> Iterable[str]:
        if is_user(name) or name in teams:
            return teams.get(name, [name])
        hint = _hint(name, teams, wrong)
        path = f"{place.name}.{field}.{quote(name)}"
        wrong.append(Violation(path, f"is neither a team nor a user's address or ID{hint}"))
        return ()

    for name, role in fields["users"].items():
        path = f"{place.name}.users.{quote(name)}"
        if not isinstance(role, str):
            wrong.append(Violation(path, "must be the name of a role"))
            continue
        for user in members("users", name):
            if user in users:
                wrong.append(Violation(path, f"{quote(user)} is declared more than once here"))
            users[user] = role
    for name in fields["absent"]:
        absent += members("absent", name)
    return attr.evolve(place, users=users, absent=absent, only=bool(fields["only"]))


def _misplaced(
    roles: Iterable[tuple[str, Mapping[str, Any]]], sets: Mapping[str, Iterable[str]]
) -> list[Violation]:
    """Return the sets that roles include and that are not there, and those among permissions."""
    wrong: list[Violation] = []
    for name, role in roles:
        for each in (each for each in role["include"] if each not in sets):
            path = f"roles.{quote(name)}.include.{quote(each)}"
            wrong.append(Violation(path, f"is not a set{_hint(each, sets, wrong)}"))
    lists = [(f"sets.{quote(name)}", listed) for name, listed in sets.items()]
    lists += [(f"roles.{quote(name)}.permissions", role["permissions"]) for name, role in roles]
    names = {*sets} - {*Permission}
    for path, listed in lists:
        for each in sorted(names.intersection(listed)):
            why = "is a set; name it in a role's `include`"
            wrong.append(Violation(f"{path}.{quote(each)}", why))
    return wrong


def _hint(name: str, known: Mapping[str, object], wrong: Sequence[object]) -> str:
    """Return the nearest known name for an error, unless there are many errors."""
    near = nearest(name, known) if known and len(wrong) < MAX_SEARCHED else ""
    return f"; did you mean {quote(near)}?" if near else ""


def _role(name: str, sets: Mapping[str, Iterable[str]], role: Table) -> DeclaredRole:
    """Return a role with the permissions of the sets that it includes."""
    own, origins = {*role.pop("permissions")}, dict[str, str]()
    for each in sorted(role.pop("include")):
        origins |= {str(p): each for p in sets.get(each, ()) if p not in own}
    return DeclaredRole(name=name, permissions=[*own, *origins], origins=origins, **role)
