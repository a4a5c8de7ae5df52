"""Formatting: TOML in a fixed order, with its comments."""

import re
import tomllib
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from arize_roles_async.as_code.toml import statements

_Rank = list[tuple[int, str]]

_COMMENTS: Final = r"((?:[\s,]*#[^\n]*+)*+)[\s,]*"
_TEXT: Final = r'((?!"""|\'\'\')(?:"(?:\\.|[^"\\])*"|\'[^\']*\'))'
_ITEM: Final = rf"{_COMMENTS}{_TEXT}[ \t,]*(#[^\n]*)?"
_LIST: Final = re.compile(rf"(?s)\[((?:{_ITEM})*+){_COMMENTS}(\].*)")


def formatted(text: str, known: Sequence[Sequence[str]]) -> str:
    """Return valid TOML in a fixed order, with one item of a list of texts on a line.

    A comment stays above what it was above, or behind it; one at the top, with an empty line below
    it, stays there. Everything else is as it was written, and means the same.

    Args:
        text: The TOML.
        known: The keys in each place of a path, in their order; any others follow by name.
    """
    head: list[str] = []
    above: list[str] = []
    table: list[str] = []
    entries: list[tuple[tuple[bool, _Rank, int], _Rank, str]] = []
    number = last = 0
    for line, path, key, value in statements(text):
        if path and not entries and line > last + 1:
            head, above = above, []
        above.append(f"{key} = {_listed(value)}" if key else value)
        if path:
            table = table if key else path
            # A key above all tables is a block of its own.
            number += not (key and table)
            block = (bool(table), _rank(table or path, known), number)
            entries.append((block, _rank(path, known), "\n".join(above)))
            above = []
        last = line
    entries.sort(key=itemgetter(0, 1))
    groups = groupby(entries, key=itemgetter(0))
    blocks = [head, *([entry for *_, entry in group] for _, group in groups), above]
    return "\n".join("\n".join([*lines, ""]) for lines in blocks if lines)


def _rank(path: list[str], known: Sequence[Sequence[str]]) -> _Rank:
    return [
        (keys.index(key), "") if key in keys else (len(keys), key)
        for key, keys in zip(path, known, strict=False)
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
