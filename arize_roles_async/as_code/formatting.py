"""Formatting: TOML in a fixed order, with its comments."""

import re
import sys
import tomllib
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from arize_roles_async.as_code.toml import statements

_Rank = list[tuple[int, str]]
_OTHER: Final = (sys.maxsize, "")
"""The rank of an unknown field."""

_COMMENTS: Final = r"((?:[\s,]*#[^\n]*+)*+)[\s,]*"
_TEXT: Final = r'((?!"""|\'\'\')(?:"(?:\\.|[^"\\])*"|\'[^\']*\'))'
_ITEM: Final = rf"{_COMMENTS}{_TEXT}[ \t,]*(#[^\n]*)?"
_LIST: Final = re.compile(rf"(?s)\[((?:{_ITEM})*+){_COMMENTS}(\].*)")


def formatted(text: str, known: Sequence[Sequence[str]]) -> str:
    """Return valid TOML in a fixed order, with one item of a list of texts on a line.

    A comment stays above what it was above, or behind it; the first ones stay at the top, if an
    empty line follows them. Unknown fields come last, as they were written. A text with an array of
    tables, whose order has a meaning, is returned as it is. The fields that are known in each place
    of a path come in their order; where none are, there are names.
    """
    head: list[str] = []
    above: list[str] = []
    table: list[str] = []
    entries: list[tuple[tuple[bool, _Rank, int], _Rank, str]] = []
    number = last = 0
    for line, path, field, value, _ in statements(text):
        if value.startswith("[[") and not field:
            return text
        if above and not (head or entries) and line > last + 1:
            head, above = above, []
        rank = _rank(path, known)
        is_known = len(path) == len(rank) and _OTHER not in rank
        above.append(f"{field} = {_listed(value) if is_known else value}" if field else value)
        if path:
            table = table if field else path
            # A field above all tables is a block of its own.
            number += not (field and table)
            block = (bool(table), _rank(table or path, known), number)
            entries.append((block, rank, "\n".join(above)))
            above = []
        last = line
    entries.sort(key=itemgetter(0, 1))
    groups = groupby(entries, key=itemgetter(0))
    blocks = [head, *([entry for *_, entry in group] for _, group in groups), above]
    return "\n".join("\n".join([*lines, ""]) for lines in blocks if lines)


def _rank(path: list[str], known: Sequence[Sequence[str]]) -> _Rank:
    """Return the place of a path; what is below an unknown field has none of its own."""
    rank: _Rank = []
    for part, fields in zip(path, known, strict=False):
        if fields and part not in fields:
            return [*rank, _OTHER]
        rank.append((fields.index(part), "") if fields else (0, part))
    return rank


def _listed(value: str) -> str:
    """Return a value; a list of texts with each on a line, in their order, with its comments."""
    if not (found := _LIST.fullmatch(value)):
        return value
    listed, *_, last, end = found.groups()
    items = [
        (tomllib.loads(f"x={text}")["x"], f"{above}\n{text},{behind and '  '}{behind}")
        for above, text, behind in re.findall(_ITEM, listed)
    ]
    items.sort(key=itemgetter(0))
    texts = "\n".join([*(item for _, item in items), last])
    lines = [line.lstrip(" \t,") for line in texts.split("\n")]
    return "".join(["[\n", *(f"    {line}\n" for line in lines if line), end])
