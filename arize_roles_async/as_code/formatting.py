"""Formatting: a file in the order of `Declaration.to_toml`, with its comments."""

import re
import tomllib
from itertools import groupby
from operator import itemgetter
from typing import Final

from arize_roles_async.as_code.files import KNOWN, File
from arize_roles_async.as_code.toml import statements

_Rank = list[tuple[int, str]]

_COMMENTS: Final = r"((?:[\s,]*#[^\n]*+)*+)[\s,]*"
_TEXT: Final = r'((?!"""|\'\'\')(?:"(?:\\.|[^"\\])*"|\'[^\']*\'))'
_ITEM: Final = rf"{_COMMENTS}{_TEXT}[ \t,]*(#[^\n]*)?"
_LIST: Final = re.compile(rf"(?s)\[((?:{_ITEM})*+){_COMMENTS}(\].*)")


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
    entries: list[tuple[tuple[bool, _Rank, int], _Rank, str]] = []
    number = last = 0
    for line, path, key, value in statements(file.text):
        if path and not entries and line > last + 1:
            head, above = above, []
        above.append(f"{key} = {_listed(value)}" if key else value)
        if path:
            table = table if key else path
            # A key above all tables is a block of its own.
            number += not (key and table)
            block = (bool(table), _rank(table or path), number)
            entries.append((block, _rank(path), "\n".join(above)))
            above = []
        last = line
    entries.sort(key=itemgetter(0, 1))
    groups = groupby(entries, key=itemgetter(0))
    blocks = [head, *([text for *_, text in group] for _, group in groups), above]
    return "\n".join("\n".join([*texts, ""]) for texts in blocks if texts)


def _rank(path: list[str]) -> _Rank:
    """Return the place of a key: known keys in their order, then the others by name."""
    return [
        (known.index(key), "") if key in known else (len(known), key)
        for key, known in zip(path, KNOWN, strict=False)
    ]


def _listed(value: str) -> str:
    """Return a value; a list of texts with each on a line, in their order, with its comments."""
    if not (found := _LIST.fullmatch(value)):
        return value
    listed, *_, last, end = found.groups()
    items = [
        (tomllib.loads(f"x={text}")["x"], f"{above}\n{text},{behind and '  '}{behind}")
        for above, text, behind in re.findall(_ITEM, listed)
    ]
    items.sort()
    texts = "\n".join([*(item for _, item in items), last])
    lines = [line.lstrip(" \t,") for line in texts.split("\n")]
    return "".join(["[\n", *(f"    {line}\n" for line in lines if line), end])
