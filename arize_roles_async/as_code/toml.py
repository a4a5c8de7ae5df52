"""TOML as text: quoted names, the limits of a file, its statements, and the order of its lists."""

import json
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property, reduce
from operator import itemgetter
from typing import Any, Final, cast

import attr

from arize_roles_async import ValidationError, Violation
from arize_roles_async._values.base_errors import validation_error
from arize_roles_async._values.text import printable
from arize_roles_async.as_code.schema import SCHEMA, Table, within

_DEPTH: Final = 5
"""The parts of the longest path that has a place: a user's on a project."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9 _.-]*")
MAX_FILE: Final = 32 * 1024 * 1024
"""Bytes of a file."""
TOO_LARGE: Final = f"must have at most {MAX_FILE >> 20} MiB"
_BOM: Final = "\ufeff"
# A grammar of our own finds lines and orders lists, since no library does both. tomlkit has no
# lines, and takes 2.2 s for 4,000 roles (tomllib 0.3). taplo and tombi are programs without lines
# of keys, and lay out all the rest again.
# Nothing is read twice: a string that does not end takes the rest.
_TEXT: Final = r"""(?sx)
    \"{3} (?: [^"\\]++ | \\. | "(?!"") )*+ "{0,5} | '{3} (?: [^']++ | '(?!'') )*+ '{0,5}
    | " (?: [^"\\\n]++ | \\. )*+ "? | ' [^'\n]*+ '? | [#][^\n]*+
"""
_FIELD: Final = re.compile(r'(?:"(?:\\.|[^"\\])*"|\'[^\']*\'|[^"\'=#\n])+=[ \t]*')
_COMMENTS: Final = r"((?:[\s,]*#[^\n]*+)*+)[\s,]*"
_QUOTED: Final = r'((?!"""|\'\'\')(?:"(?:\\.|[^"\\])*"|\'[^\']*\'))'
_ITEM: Final = rf"{_COMMENTS}{_QUOTED}[ \t,]*(#[^\n]*)?"
_LIST: Final = re.compile(rf"(?s)\[((?:{_ITEM})*+){_COMMENTS}(\].*)")


def quote(text: object) -> str:
    """Return text as a TOML string that no terminal or runner obeys, and that closes no fence."""
    if _PLAIN.fullmatch(str(text)):  # Most names are; 60,000 others take a second.
        return f'"{text}"'
    # TOML takes JSON's escapes, but not the surrogate pairs that `ensure_ascii` makes.
    escaped = json.dumps(str(text), ensure_ascii=False).replace("```", "``\\u0060")
    return printable("".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped))


@attr.frozen
class FileViolation(Violation):
    """A broken rule at a place in a file."""

    file: str
    line: int

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.message if self.field == self.file else super().__str__()}"


def parsed(name: str, text: str) -> Table:
    """Return the data of a file; raises `ValidationError` if it is no TOML, or exceeds a limit."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE:
        raise validation_error((name, TOO_LARGE))
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        message, line = f"is not valid TOML: {error}", getattr(error, "lineno", None)
        if marker := re.search(r"(?m)^(?:<{7}|={7}|>{7})(?: |$)", text):
            message = "has a conflict of a merge, which somebody has to resolve"
            line = text.count("\n", 0, marker.start()) + 1
        # Before Python 3.14 only the message has it.
        elif line is None and (found := re.search(r"\(at (?:line (\d+)|end)", str(error))):
            line = int(found[1] or text.count("\n") + 1)
        broken = FileViolation(name, message, name, line) if line else Violation(name, message)
        raise ValidationError(violations=(broken,)) from error


def statements(text: str) -> Iterator[tuple[int, list[str], slice, list[tuple[int, str]]]]:
    """Yield the headers and fields of valid TOML.

    Each comes with its first line, the parts of its path, those of its table first, where in the
    text its value is, and the quoted texts of that, each with its line. A header has no value.
    """
    depth, line, first, start = 0, 1, 1, 0
    table: list[str] = []
    texts: list[tuple[int, str]] = []
    for token in re.finditer(rf"{_TEXT} | [\[\]{{}}\n]", f"{text}\n"):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        texts += [(line, token[0])] if token[0][0] in "\"'" else []
        line += token[0].count("\n")
        if token[0] == "\n" and not depth:
            end = token.start()
            if text[start:end].lstrip().startswith("["):
                table = _parts(text[start:end])
                yield first, table, slice(end, end), []
            elif found := _FIELD.match(text, start, end):
                yield first, [*table, *_parts(f"{found[0]}0")], slice(found.end(), end), texts
            first, start, texts = line, token.end(), []


def _parts(definition: str) -> list[str]:
    parts: list[str] = []
    value: Any = tomllib.loads(definition)
    while isinstance(value, dict) and value:
        ((part, value),) = cast("Table", value).items()
        parts.append(part)
    return parts


@attr.frozen
class File:
    """A file of roles: its name, for messages, and its text as it was written."""

    name: str
    written: str

    @cached_property
    def text(self) -> str:
        """Its text in the one form that all else reads: no byte order mark, newlines alone."""
        return re.sub(r"\r+\n", "\n", self.written.removeprefix(_BOM))

    @cached_property
    def places(self) -> dict[str, int]:
        """The first line of each field, and of each text in its value, by its path."""
        places: dict[str, int] = {}
        for line, parts, _, texts in statements(self.text):
            path, schema = "", SCHEMA
            for part in parts[:_DEPTH]:
                is_field = part in schema.get("properties", ())
                path, schema = f"{path}.{part if is_field else quote(part)}", within(schema, part)
                places.setdefault(path[1:], line)
            for at, text in texts:
                item = tomllib.loads(f"x={text}")["x"]
                places.setdefault(f"{path[1:]}.{quote(item)}", at)
        return places


def formatted(name: str, written: str) -> str:
    """Return a file with each list in order, a text on a line; raises as `parsed` does.

    A comment stays above what it was above, or behind it, and all else as it was written; lines
    that end in different ways all end as Windows ends them.
    """
    text = File(name, written).text
    parsed(name, text)
    parts, done = list[str](), 0
    for _, path, value, _ in statements(text):
        if reduce(within, path, SCHEMA).get("type") == "array":
            parts += [text[done : value.start], _listed(text[value])]
            done = value.stop
    mark, end = (written[: written.startswith(_BOM)], "\r\n" if "\r\n" in written else "\n")
    return mark + "".join([*parts, text[done:]]).replace("\n", end)


def _listed(value: str) -> str:
    """Return a value; a list of texts with each on a line, in their order, with its comments."""
    if not (found := _LIST.fullmatch(value)):
        return value
    listed, *_, last, end = found.groups()
    items = [
        (tomllib.loads(f"x={text}")["x"], f"{above}\n{text},{behind and ' '}{behind}")
        for above, text, behind in re.findall(_ITEM, listed)
    ]
    items.sort(key=itemgetter(0))
    texts = "\n".join([*(item for _, item in items), last])
    lines = [line.lstrip(" \t,") for line in texts.split("\n")]
    return "".join(["[\n", *(f"    {line}\n" for line in lines if line), end])
