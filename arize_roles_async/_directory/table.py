"""Role bindings with their names as columns of text, and as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Final

from arize_roles_async._directory.models import NamedBinding
from arize_roles_async._values.text import one_line

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run a text that begins so."""
_CSV: Final = (
    *("user", "user_id", "role", "role_id"),
    *("resource_type", "resource", "resource_id", "in_space"),
)


def to_text(bindings: Sequence[NamedBinding]) -> str:
    """Return a line a binding, in columns: the user, the role, and the place."""
    rows = [
        [one_line(x) for x in (each.user or each.user_id, each.role or each.role_id, _place(each))]
        for each in bindings
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def to_csv(bindings: Sequence[NamedBinding]) -> str:
    """Return CSV with a heading; a text that a spreadsheet would run begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    for each in bindings:
        texts = [str(getattr(each, name) or "") for name in _CSV]
        writer.writerow(f"'{text}" if text.startswith(_FORMULA) else text for text in texts)
    return out.getvalue().rstrip("\n")


def _place(binding: NamedBinding) -> str:
    name = binding.resource or binding.resource_id
    if binding.in_space is not None:
        name = f"{binding.in_space} / {name}"
    return f"{binding.resource_type.lower()} {name}"
