"""TOML as text: quoted names, the limits of a file, and the lines of its statements."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final, cast

from arize_roles_async._values.text import printable

_PLAIN: Final = re.compile(r"[A-Za-z0-9 _.-]*")
MAX_FILE: Final = 32 * 1024 * 1024
"""Bytes of a file."""
TOO_LARGE: Final = f"must have at most {MAX_FILE >> 20} MiB"
_MAX_PARTS: Final = 100
"""Parts of a key, such as `a.b`; the time that tomllib takes grows with the square of them."""
# Nothing is read twice: a string that does not end takes the rest.
_TEXT: Final = r"""(?sx)
    \"{3} (?: [^"\\]++ | \\. | "(?!"") )*+ "{0,5} | '{3} (?: [^']++ | '(?!'') )*+ '{0,5}
    | " (?: [^"\\\n]++ | \\. )*+ "? | ' [^'\n]*+ '? | [#][^\n]*+
"""
_KEY: Final = r'(?:"(?:\\.|[^"\\])*"|\'[^\']*\'|[^"\'=#])+'


def quote(text: object) -> str:
    """Return text as a TOML string that no terminal or runner obeys, and that closes no fence."""
    if _PLAIN.fullmatch(str(text)):  # Most names are; 60,000 others take a second.
        return f'"{text}"'
    # TOML takes JSON's escapes, but not the surrogate pairs that `ensure_ascii` makes.
    escaped = json.dumps(str(text), ensure_ascii=False).replace("```", "``\\u0060")
    return printable("".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped))


class TomlError(ValueError):
    """A text is no TOML, or exceeds a limit."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def parsed(text: str) -> dict[str, Any]:
    """Return the data of a file; raises `TomlError`."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE:
        raise TomlError(TOO_LARGE)
    # Few files need the closer look, which takes longer.
    if any(line.count(".") >= _MAX_PARTS for line in text.split("\n")):
        bare = re.sub(_TEXT, lambda found: "\n" * found[0].count("\n"), text)
        for number, line in enumerate(bare.split("\n"), 1):
            # Outside of texts, a line of a file of roles has no other dots.
            if line.count(".") >= _MAX_PARTS:
                raise TomlError(f"has a key of more than {_MAX_PARTS} parts", number)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        at: int | None = getattr(error, "lineno", None)
        # Before Python 3.14 only the message has it.
        if at is None and (found := re.search(r"\(at (?:line (\d+)|end)", str(error))):
            at = int(found[1] or text.count("\n") + 1)
        raise TomlError(f"is not valid TOML: {error}", at) from error


def texts(value: str) -> Iterator[tuple[str, int]]:
    """Yield each text in a value, with the number of lines above it."""
    lines = end = 0
    for token in re.finditer(_TEXT, value):
        lines, end = lines + value.count("\n", end, token.start()), token.start()
        if not token[0].startswith("#"):
            yield tomllib.loads(f"x={token[0]}")["x"], lines


def statements(text: str) -> Iterator[tuple[int, list[str], str, str]]:
    """Yield the comments, headers, and keys with their values, of valid TOML.

    Each comes with its first line, the parts of its key, those of its table first, the key as it is
    written, and the rest of its text. A comment has no key, and a header none that is written.
    """
    depth, line, first, start = 0, 1, 1, 0
    table: list[str] = []
    for token in re.finditer(rf"{_TEXT} | [\[\]{{}}\n]", f"{text}\n"):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        line += token[0].count("\n")
        if token[0] == "\n" and not depth:
            statement = text[start : token.start()].strip()
            if statement.startswith("["):
                table = _parts(statement)
                yield first, table, "", statement
            elif found := re.match(_KEY, statement):
                key = found[0].strip()
                value = statement[found.end() :].lstrip("= \t")
                yield first, [*table, *_parts(f"{key}=0")], key, value
            elif statement:
                yield first, [], "", statement
            first, start = line, token.end()


def _parts(definition: str) -> list[str]:
    parts: list[str] = []
    value: Any = tomllib.loads(definition)
    while isinstance(value, dict) and value:
        ((part, value),) = cast("dict[str, Any]", value).items()
        parts.append(part)
    return parts
