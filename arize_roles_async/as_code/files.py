"""The files: several are read as one declaration, and each violation has its place in one."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import attr

from arize_roles_async import AnyPermission, ValidationError, Violation
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.requests import permissions_rule
from arize_roles_async._values.text import nearest, type_name
from arize_roles_async.as_code.declaration import (
    KEYS,
    MAX_SUGGESTIONS,
    ROLE_KEYS,
    Declaration,
    DeclaredRole,
    list_rule,
    to_names,
    to_permissions,
)
from arize_roles_async.as_code.toml import parsed, quote, statements, uncommented

KNOWN: Final = (KEYS, (), ROLE_KEYS)
"""The keys that are known in each place of a path; names stand in the others."""
_LISTS: Final = ("new_permissions", "absent", "ignored")


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

    @cached_property
    def keys(self) -> dict[str, tuple[int, str]]:
        """The first line and the text, without comments, of each key, by its path."""
        keys: dict[str, tuple[int, str]] = {}
        for line, parts, _, value in statements(self.text):
            path = ""
            for part, known in zip(parts, KNOWN, strict=False):
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
            tables[file] = file.parsed()
            broken += placed(_strange(tables[file]), [file])
        except ValidationError as error:
            broken, cause = [*broken, *error.violations], cause or error.__cause__
    parts, wrong = [*tables.values()], list[Violation]()
    fields: dict[str, Any] = {key: [each for part in parts for each in part[key]] for key in _LISTS}
    for key in ("account", "anchor"):
        values = [part[key] for part in parts if key in part]
        fields[key] = values[0] if values else None
        for other in (each for each in values if each != values[0]):
            for one, two in ((other, values[0]), (values[0], other)):
                wrong.append(Violation(key, f"{quote(one)} is {quote(two)} elsewhere"))
    sets: dict[str, tuple[AnyPermission, ...]] = {}
    for name, listed in (each for part in parts for each in part["sets"].items()):
        permissions = to_permissions(listed)
        message = "is defined more than once" if name in sets else permissions_rule(permissions)
        wrong += [Violation(f"sets.{quote(name)}", message)] if message else []
        sets[name] = () if message else permissions
    roles = [each for part in parts for each in part["roles"].items()]
    included = {each for _, role in roles for each in role["include"]}
    unused = [f"sets.{quote(name)}" for name in sets if name not in included]
    notes = [Violation(path, "is a set that no role includes") for path in unused]
    try:
        fields |= {"files": tuple(tables), "notes": tuple(placed(notes, [*tables]))}
        fields["roles"] = [_role(name, role, sets, wrong) for name, role in roles]
        declaration = Declaration(**fields)
        if not (broken or wrong):
            return declaration
    except ValidationError as error:
        wrong += error.violations
    raise ValidationError(violations=(*broken, *placed(wrong, [*tables]))) from cause


def _strange(data: dict[str, Any]) -> Iterator[Violation]:
    """Yield the violations in the data of a file, and take from it whatever breaks a rule."""
    yield from _unfit(data, KEYS, dict.fromkeys(_LISTS, "names"))
    for key in ("sets", "roles"):
        if not isinstance(data.setdefault(key, {}), dict):
            yield Violation(key, "must be a table")
            data[key] = {}
    for name, role in [*data["roles"].items()]:
        path = f"roles.{quote(name)}"
        if isinstance(role, dict):
            yield from _unfit(role, ROLE_KEYS, {"include": "names of sets"}, f"{path}.")
        else:
            yield Violation(path, "must be a table")
            del data["roles"][name]


def _unfit(
    table: Any,  # noqa: ANN401 - data
    known: Sequence[str],
    lists: Mapping[str, str],
    path: str = "",
) -> Iterator[Violation]:
    """Yield and delete the keys of a table that are not known, and the lists that hold no texts."""
    for key in [key for key in table if key not in known]:
        message = f"is not a key here; the keys are {', '.join(known)}"
        yield Violation(f"{path}{quote(key)}", message)
        del table[key]
    for key, of in lists.items():
        if wrong := list_rule(to_names(table.setdefault(key, [])), of, str):
            yield Violation(f"{path}{key}", wrong)
            table[key] = []


def _role(
    name: str,
    given: dict[str, Any],
    sets: Mapping[str, tuple[AnyPermission, ...]],
    wrong: list[Violation],
) -> DeclaredRole:
    """Return a role with what it includes; a set that is not there is added to a list."""
    own: Any = given.get("permissions", [])
    origins: dict[str, str] = {}
    for each in sorted(given.pop("include")):
        if each in sets:
            origins |= {str(p): each for p in sets[each]}
            continue
        near = sets and len(wrong) < MAX_SUGGESTIONS and nearest(each, sets)
        hint = f"; did you mean {quote(near)}?" if near else ""
        wrong.append(Violation(f"roles.{quote(name)}.include", f"{quote(each)} is not a set{hint}"))
    if isinstance(own, list):
        listed = cast("list[str]", own)
        origins = {p: each for p, each in origins.items() if p not in listed}
        given["permissions"] = [*listed, *origins]
    return DeclaredRole(name=name, origins=origins, **given)
