"""The files: several are read as one declaration, and each violation has its place in one."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import attr
import msgspec

from arize_roles_async import AnyPermission, ValidationError, Violation
from arize_roles_async._roles.requests import permissions_flaw
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.text import MAX_SEARCHED, nearest, type_name
from arize_roles_async.as_code.declaration import Declaration, DeclaredRole, to_permissions
from arize_roles_async.as_code.formatting import formatted
from arize_roles_async.as_code.schema import KEYS, ROLE_KEYS
from arize_roles_async.as_code.toml import parsed, quote, statements, uncommented

_KNOWN: Final[tuple[list[str], ...]] = ([*KEYS], [], [*ROLE_KEYS])
"""The keys that are known in each place of a path; names stand in the others."""
_KINDS: Final[Mapping[str, tuple[Any, str]]] = {
    "string": (str, "a string"),
    "array": (list[str], "a list of strings"),
    "object": (dict[str, Any], "a table"),
}


@attr.frozen
class FileViolation(Violation):
    """A broken rule at a place in a file."""

    file: str
    """The name of the file."""
    line: int

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.message if self.field == self.file else super().__str__()}"


@attr.frozen
class File:
    """A file of roles: its name, for messages, and its text."""

    name: str
    text: str

    def parsed(self) -> dict[str, Any]:
        """Return its data; raises `ValidationError` if a limit is exceeded, or it is no TOML."""
        try:
            return parsed(self.text)
        except ValueError as error:
            broken = Violation(self.name, str(error))
            if at := re.search(r"\(at (?:line (\d+)|end)", broken.message):
                line = int(at[1] or self.text.count("\n") + 1)
                broken = FileViolation(self.name, broken.message, self.name, line)
            raise ValidationError(violations=(broken,)) from error.__cause__

    def formatted(self) -> str:
        """Return its text in the order of `Declaration.to_toml`; raises as `parsed` does."""
        self.parsed()
        return formatted(self.text, _KNOWN)

    @cached_property
    def keys(self) -> dict[str, tuple[int, str]]:
        """The first line and the text, without comments, of each key, by its path."""
        keys: dict[str, tuple[int, str]] = {}
        for line, parts, _, value in statements(self.text):
            path = ""
            for part, known in zip(parts, _KNOWN, strict=False):
                path += f".{part}" if part in known else f".{quote(part)}"
                keys.setdefault(path[1:], (line, uncommented(value)))
        return keys


def placed(violations: Iterable[Violation], files: Sequence[File]) -> Iterator[Violation]:
    """Yield violations with their places: one for each file that quotes the item, or has the key.

    A violation without a place stays as it is.
    """
    for each in violations:
        path = each.field
        while path and not any(path in file.keys for file in files):
            path = path.rpartition(".")[0]
        places = {file.name: file.keys[path] for file in files if path in file.keys}
        lines: dict[str, int] = {}
        if item := re.search(r"""(["'])(.+?)\1""", each.message):
            quoted = re.compile(rf"""(["']){re.escape(item[2])}\1""")
            for name, (first, text) in places.items():
                if at := quoted.search(text):
                    lines[name] = first + text.count("\n", 0, at.start())
        lines = lines or {name: first for name, (first, _) in places.items()}
        for place in lines.items():
            yield FileViolation(each.field, each.message, *place)
        if not lines:
            yield each


def load(path: str | os.PathLike[str], *paths: str | os.PathLike[str]) -> Declaration:
    """Return the declaration in UTF-8 files, which are read as one.

    Args:
        path: A file, or a folder, which stands for its `*.toml`, but not for those below.
        paths: More of them.

    Raises:
        ValidationError: As from `loads`; also if a file is unreadable, a folder has none, or files
            contradict each other.
    """
    return read((path, *paths))


def loads(text: str, name: str = "file") -> Declaration:
    """Return the declaration in a text of TOML.

    Args:
        text: The text.
        name: A name for the text, for errors.

    Raises:
        ValidationError: Every violation, with its line and the path of its key. Text that is not
            valid TOML is reported alone. So is a text of more than 32 MiB, or with a key of more
            than 100 parts.
    """
    if not isinstance(cast("object", text), str):
        raise validation_error((name, f"must be a text, not {type_name(text)}"))
    return _merged([File(name, text)], [])


def read(
    paths: Iterable[str | os.PathLike[str]], standard_input: Callable[[], bytes] | None = None
) -> Declaration:
    """Return the declaration in files, as `load` does; `-` may be the standard input."""
    files: dict[str, File] = {}
    broken: list[Violation] = []
    cause: BaseException | None = None
    for path in paths:
        name = shown(path)
        try:
            if path == "-" and standard_input is not None:
                sources = {"standard input": standard_input}
            else:
                sources = {shown(each): each.read_bytes for each in found(path)}
            for name, read_bytes in sources.items():
                files[name] = File(name, read_bytes().decode("utf-8-sig"))
        except (OSError, ValueError, TypeError) as error:
            broken.append(Violation(name, f"is unreadable: {error}"))
            cause = cause or error
    return _merged([*files.values()], broken, cause)


def found(path: str | os.PathLike[str]) -> list[Path]:
    """Return the file at a path, or the files of the folder at it; none is an error."""
    if not Path(path).is_dir():
        return [Path(path)]
    if files := sorted(Path(path).glob("*.toml")):
        return files
    raise FileNotFoundError("the folder has no *.toml")


def shown(path: object) -> str:
    """Return a path for a message."""
    return str(path) if str(path).isprintable() else quote(path)


def _merged(
    files: Iterable[File], broken: list[Violation], cause: BaseException | None = None
) -> Declaration:
    """Return the declaration that files make together, unless something is broken already."""
    tables: dict[File, dict[str, Any]] = {}
    for file in files:
        try:
            data, unfit = file.parsed(), list[Violation]()
        except ValidationError as error:
            broken, cause = [*broken, *error.violations], cause or error.__cause__
            continue
        tables[file] = table = _fit(data, KEYS, "", unfit)
        table["roles"] = [
            (name, _fit(role, ROLE_KEYS, f"roles.{quote(name)}", unfit))
            for name, role in table["roles"].items()
        ]
        broken += placed(unfit, [file])
    sets: dict[str, tuple[AnyPermission, ...]] = {}
    wrong: list[Violation] = []
    for table in tables.values():
        for name, listed in table["sets"].items():
            permissions = to_permissions(listed)
            message = "is defined more than once" if name in sets else permissions_flaw(permissions)
            wrong += [Violation(f"sets.{quote(name)}", message)] if message else []
            sets[name] = () if message else permissions
    fields: dict[str, Any] = {"files": tuple(tables)}
    for key in ("account", "anchor"):
        values = [table[key] for table in tables.values() if table[key] is not None]
        fields[key] = values[0] if values else None
        if len({*values}) > 1:
            wrong.append(Violation(key, "must be the same in all files that have it"))
    for key in ("new_permissions", "absent", "ignored", "roles"):
        fields[key] = [each for table in tables.values() for each in table[key]]
    included = {each for _, role in fields["roles"] for each in role["include"]}
    unused = [f"sets.{quote(name)}" for name in sets if name not in included]
    notes = [Violation(path, "is a set that no role includes") for path in unused]
    fields["notes"] = tuple(placed(notes, [*tables]))
    fields["roles"] = [_role(name, role, sets, wrong) for name, role in fields["roles"]]
    try:
        declaration = Declaration(**fields)
        if not (broken or wrong):
            return declaration
    except ValidationError as error:
        reported = {violation.field for violation in broken}
        wrong += [violation for violation in error.violations if violation.field not in reported]
    raise ValidationError(violations=(*broken, *placed(wrong, [*tables]))) from cause


def _fit(
    given: object, schemas: Mapping[str, Mapping[str, Any]], path: str, unfit: list[Violation]
) -> dict[str, Any]:
    """Return the value of each known key of a table; one that is missing or unfit is empty."""
    table = cast("dict[str, Any]", given if isinstance(given, dict) else {})
    begin = f"{path}." if path else ""
    if table is not given:
        unfit.append(Violation(path, "must be a table"))
    for key in (key for key in table if key not in schemas):
        message = f"is not a key here; the keys are {', '.join(schemas)}"
        unfit.append(Violation(f"{begin}{quote(key)}", message))
    fit: dict[str, Any] = {}
    for key, schema in schemas.items():
        kind, called = _KINDS[schema["type"]]
        fit[key] = None if kind is str else kind()
        try:
            if key in table:
                fit[key] = msgspec.convert(table[key], kind)
        except msgspec.ValidationError:
            unfit.append(Violation(f"{begin}{key}", f"must be {called}"))
    return fit


def _role(
    name: str,
    given: dict[str, Any],
    sets: Mapping[str, tuple[AnyPermission, ...]],
    wrong: list[Violation],
) -> DeclaredRole:
    """Return a role with what it includes; a set that is not there is added to a list."""
    origins: dict[str, str] = {}
    for each in sorted(given.pop("include")):
        if each in sets:
            origins |= {str(p): each for p in sets[each] if p not in given["permissions"]}
            continue
        near = sets and len(wrong) < MAX_SEARCHED and nearest(each, sets)
        hint = f"; did you mean {quote(near)}?" if near else ""
        wrong.append(Violation(f"roles.{quote(name)}.include", f"{quote(each)} is not a set{hint}"))
    given["permissions"] += origins
    return DeclaredRole(name=name, origins=origins, **given)
