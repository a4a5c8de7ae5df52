"""The files: how several are read as one declaration, and where in them a violation is."""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import attr

from arize_roles_async import AnyPermission, ValidationError, Violation
from arize_roles_async._values.errors import validation_error
from arize_roles_async._values.requests import permissions_rule
from arize_roles_async._values.text import type_name
from arize_roles_async.as_code.declaration import (
    Declaration,
    DeclaredRole,
    list_rule,
    quote,
    to_names,
    to_permissions,
)
from arize_roles_async.as_code.limits import excess

KEYS: Final = ("account", "anchor", "new_permissions", "absent", "ignored", "sets", "roles")
"""The keys of a file, in the order in which they are written."""
_LISTS: Final = ("new_permissions", "absent", "ignored")
ROLE_KEYS: Final = ("description", "previously", "include", "permissions")

_NOWHERE: Final = (0, False)
_MAX_SUGGESTIONS: Final = 20
"""Roles with unknown sets for which the nearest known ones are searched."""
_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'{3}.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'|#[^\n]*|[\[\]{}\n]',
    re.DOTALL,
)
"""What begins or ends a value of several lines, or hides such a mark."""
_KEY: Final = re.compile(r'(?:"(?:\\.|[^"\\])*"|\'[^\']*\'|[^"\'=#])+')


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

    @cached_property
    def _statements(self) -> dict[str, tuple[int, str]]:
        """The first line and the text of each key, by its path."""
        found: dict[str, tuple[int, str]] = {}
        table: list[str] = []
        for line, text in statements(self.text):
            if not text.startswith("#"):
                path = [*(() if text.startswith("[") else table), *key_of(text)[1]]
                for length in range(len(path)):
                    found.setdefault(_path(path[: length + 1]), (line, text))
                table = path if text.startswith("[") else table
        return found

    def find(self, violation: Violation) -> tuple[tuple[int, bool], int]:
        """Return how well a violation fits here, and its line: that of what it quotes first."""
        if violation.field == self.name:
            at = re.search(r"\(at (?:line (\d+)|end)", violation.message)
            line = int(at[1] or self.text.count("\n") + 1) if at else 0
            return (int(at is not None), False), line
        path = violation.field
        while path and path not in self._statements:
            path = path.rpartition(".")[0]
        first, text = self._statements.get(path, (1, ""))
        text = _TOKEN.sub(lambda token: "" if token[0].startswith("#") else token[0], text)
        item = re.search(r"""(["'])(.+?)\1""", violation.message)
        for line, each in enumerate(text.split("\n") if item else (), first):
            if item and any(f"{mark}{item[2]}{mark}" in each for mark in "\"'"):
                return (len(path), True), line
        return (len(path), False), first


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each statement or comment in valid TOML."""
    depth, line, first, start = 0, 1, 1, 0
    for token in _TOKEN.finditer(f"{text}\n"):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        line += token[0].count("\n")
        if token[0] == "\n" and not depth:
            if statement := text[start : token.start()].strip():
                yield first, statement
            first, start = line, token.end()


def key_of(statement: str) -> tuple[str, list[str]]:
    """Return the key of a statement, or the header that it is, as it is written and in parts."""
    key, parts = cast("re.Match[str]", _KEY.match(statement))[0], list[str]()
    value: Any = tomllib.loads(key if statement.startswith("[") else f"{key}=0")
    while isinstance(value, dict) and value:
        ((part, value),) = cast("dict[str, Any]", value).items()
        parts.append(part)
    return key.strip(), parts


def with_known(keys: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the parts of a key, each with the keys that are known in its place."""
    yield from zip(keys, (KEYS, (), ROLE_KEYS, *[()] * len(keys)), strict=False)


def _path(keys: Sequence[str]) -> str:
    """Return the path of a key, as violations have it: names in quotes, and other keys bare."""
    return ".".join(key if key in known else quote(key) for key, known in with_known(keys))


def placed(violations: Iterable[Violation], files: Sequence[File]) -> tuple[Violation, ...]:
    """Return violations with their places, one for each file that has them.

    One without a place stays as it is.
    """
    found: list[Violation] = []
    for each in violations:
        places = [(*file.find(each), file.name) for file in files]
        best = max((fit for fit, _, _ in places), default=_NOWHERE)
        if best == _NOWHERE:
            found.append(each)
        found += [
            FileViolation(each.field, each.message, name, line)
            for fit, line, name in places
            if fit == best != _NOWHERE
        ]
    return tuple(found)


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
            valid TOML, or a value in place of a table, is reported alone. So is a text of more than
            32 MiB, or with a key of more than 100 parts.
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
                name = "standard input"
                files[name] = File(name, standard_input().decode("utf-8-sig"))
                continue
            for each in found(path):
                name = shown(each)
                files[name] = File(name, each.read_bytes().decode("utf-8-sig"))
        except (OSError, ValueError, TypeError) as error:
            broken.append(Violation(name, f"is unreadable: {error}"))
            cause = cause or error
    return _merged([*files.values()], broken, cause)


def found(path: str | os.PathLike[str]) -> list[Path]:
    """Return the file at a path, or the files of the folder at it.

    Raises:
        FileNotFoundError: The folder has none.
    """
    if not Path(path).is_dir():
        return [Path(path)]
    if files := sorted(Path(path).glob("*.toml")):
        return files
    raise FileNotFoundError("the folder has no *.toml")


def shown(path: object) -> str:
    """Return a path for a message."""
    return str(path) if str(path).isprintable() else quote(path)


def _merged(
    files: Sequence[File], broken: list[Violation], cause: BaseException | None = None
) -> Declaration:
    """Return the declaration that files make together, unless something is broken already."""
    tables: list[dict[str, Any]] = []
    for file in files:
        strange: list[Violation] = []
        try:
            tables.append(_tables(file, strange))
        except ValidationError as error:
            strange, cause = [*error.violations], cause or error.__cause__
        broken += placed(strange, [file])
    messages: list[Violation] = []
    sets = _sets(tables, messages)
    included: set[str] = set()
    roles = [
        _role(name, role, sets, included, messages)
        for table in tables
        for name, role in table.pop("roles").items()
    ]
    fields: dict[str, Any] = {}
    for key, value in (each for table in tables for each in table.items()):
        first = fields.setdefault(key, value)
        if first is not value and isinstance(first, list):
            fields[key] = [*first, *value]
        elif first != value:
            pairs = ((value, first), (first, value))
            messages += (Violation(key, f"{quote(a)} is {quote(b)} elsewhere") for a, b in pairs)
    unused = [
        Violation(f"sets.{quote(name)}", "is a set that no role includes")
        for name in sets
        if name not in included
    ]
    try:
        notes = placed(unused, files)
        declaration = Declaration(roles=roles, **fields, files=tuple(files), notes=notes)
        if not (broken or messages):
            return declaration
    except ValidationError as error:
        messages += error.violations
    raise ValidationError(violations=(*broken, *placed(messages, files))) from cause


def parsed(file: File) -> dict[str, Any]:
    """Return what a file holds; raises `ValidationError` where it is not valid TOML."""
    if (flaw := excess(file.text)) is not None:
        raise validation_error((file.name, flaw))
    try:
        return tomllib.loads(file.text)
    except (ValueError, RecursionError) as error:
        raise validation_error((file.name, f"is not valid TOML: {error}")) from error


def _tables(file: File, strange: list[Violation]) -> dict[str, Any]:
    """Return the data of a file without its unknown keys, which are added to a list."""

    def table(path: str, value: object, keys: Iterable[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise validation_error((path, "must be a table"))
        given = cast("dict[str, Any]", value)
        unknown = [f"{path}.{quote(key)}".removeprefix("$.") for key in given if key not in keys]
        message = f"is not a key here; the keys are {', '.join(keys)}"
        strange.extend(Violation(where, message) for where in unknown)
        return {key: given[key] for key in given if key in keys}

    data = table("$", parsed(file), KEYS)
    for key in _LISTS:
        if message := list_rule(to_names(data.get(key, ())), "names", str):
            strange.append(Violation(key, message))
            del data[key]
    for key in ("sets", "roles"):
        given = data.get(key, {})
        data[key] = table(key, given, given)
    for name, role in data["roles"].items():
        data["roles"][name] = table(f"roles.{quote(name)}", role, ROLE_KEYS)
    return data


def _sets(
    tables: Iterable[dict[str, Any]], messages: list[Violation]
) -> dict[str, tuple[AnyPermission, ...]]:
    """Return the sets of all files; what is wrong with them is added to a list."""
    sets: dict[str, tuple[AnyPermission, ...]] = {}
    for name, listed in (each for table in tables for each in table.pop("sets").items()):
        permissions = to_permissions(listed)
        message = "is defined more than once" if name in sets else permissions_rule(permissions)
        sets[name] = () if message else permissions
        if message:
            messages.append(Violation(f"sets.{quote(name)}", message))
    return sets


def _role(
    name: str,
    given: dict[str, Any],
    sets: dict[str, tuple[AnyPermission, ...]],
    included: set[str],
    messages: list[Violation],
) -> DeclaredRole:
    """Return a role with what it includes; what is wrong with that is added to a list."""
    own: Any = given.pop("permissions", [])
    listed = cast("list[object]", own) if isinstance(own, list) else []
    include = to_names(given.pop("include", ()))
    message, origins = list_rule(include, "names of sets", str), dict[str, str]()
    for each in () if message else include:
        if each in sets:
            included.add(each)
            origins |= {str(p): each for p in sets[each] if p not in listed}
            continue
        is_early = len(messages) < _MAX_SUGGESTIONS
        near = get_close_matches(each[:100], sets, 1, 0.0) if is_early else ()
        message = f"{quote(each)} is not a set{f'; did you mean {quote(*near)}?' if near else ''}"
    if message:
        messages.append(Violation(f"roles.{quote(name)}.include", message))
    given["permissions"] = [*listed, *origins] if own is listed else own
    return DeclaredRole(name=name, origins=origins, **given)
