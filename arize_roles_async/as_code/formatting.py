"""Formatting: a file in the order of `Declaration.to_toml`, with its comments."""

import re
import tomllib
from itertools import groupby
from operator import itemgetter
from typing import Final

from arize_roles_async.as_code.files import KNOWN, File
from arize_roles_async.as_code.toml import statements

_ITEM: Final = re.compile(
    r'"""|\'\'\'|(?P<text>"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')|(?P<comment>#[^\n]*)|\n|(?P<end>\])|[^\s,]'
)


def formatted(file: File) -> str:
    """Return the text of a file in the fixed order, with one permission or name on a line.

    A comment stays above what it was above, or behind it; one at the top, with an empty line below
    it, stays there. Everything else is as it was written, and means the same.

    Raises:
        ValidationError: It is not valid TOML.
    """
    file.parsed()
    head: list[str] = []
    above: list[str] = []
    table: list[str] = []
    entries: list[tuple[tuple[_Rank, int, _Rank], str]] = []
    number = last = 0
    for line, text, path, key in statements(file.text):
        if path:
            if not entries and line > last + 1:
                head, above = above, []
            if not key:
                table, number = path, number + 1
            value = text[len(key) :].lstrip(" \t=")
            listed = _listed(value) if value.startswith("[") else value
            above.append(f"{key} = {listed}" if key else text)
            entries.append(((_rank(table), number, _rank(path)), "\n".join(above)))
            above = []
        else:
            above.append(text)
        last = line
    blocks = ["\n".join(head)]
    entries.sort(key=itemgetter(0))
    for number, group in groupby(entries, key=lambda entry: entry[0][1]):
        texts = [text for _, text in group]
        blocks += ["\n".join(texts)] if number else texts
    blocks.append("\n".join(above))
    return "\n".join(f"{block}\n" for block in blocks if block)


_Rank = list[tuple[int, str]]


def _rank(path: list[str]) -> _Rank:
    """Return the place of a key: known keys in their order, then the others by name."""
    return [
        (known.index(key), "") if key in known else (len(known), key)
        for key, known in zip(path, KNOWN, strict=False)
    ]


def _listed(array: str) -> str:
    """Return an array with its texts sorted, each on a line with its comments."""
    tokens = [*_ITEM.finditer(array, 1)]
    end = next(token for token in tokens if token["end"])
    items: list[tuple[str, str]] = []
    above: list[str] = []
    is_behind = False
    for token in tokens[: tokens.index(end)]:
        if token["text"]:
            item = "\n    ".join([*above, f"{token[0]},"])
            items.append((tomllib.loads(f"x={token[0]}")["x"], item))
            above, is_behind = [], True
        elif token["comment"] and is_behind:
            items[-1] = (items[-1][0], f"{items[-1][1]}  {token[0]}")
        elif token["comment"]:
            above.append(token[0])
        elif token[0] == "\n":
            is_behind = False
        else:  # Not a list of texts.
            return array
    lines = [*(item for _, item in sorted(items)), *above]
    return "".join(["[\n", *(f"    {line}\n" for line in lines), array[end.start() :]])
