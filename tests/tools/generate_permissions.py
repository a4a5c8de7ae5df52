"""Rewrites the members of `Permission` from a text file of identifiers, one a line.

    python -m tests.tools.generate_permissions [FILE]

Without FILE it reads the project's own list, `tests/data/permissions.txt`.
"""

import re
import sys
from pathlib import Path

LIST = Path(__file__).parents[1] / "data" / "permissions.txt"
MODULE = Path(__file__).parents[2] / "arize_roles_async" / "_values" / "permissions.py"
BEGIN = "    # -- members: python -m tests.tools.generate_permissions --\n"
END = "    # -- end of members --\n"


def generate(source: str, identifiers: str) -> str:
    """Return `source` with the members between its two marks made anew from `identifiers`."""
    names = sorted({line.strip() for line in identifiers.splitlines()} - {""})
    for name in names:
        if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", name):
            raise ValueError(f"not a permission identifier: {name!r}")
    head, rest = source.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + "".join(f'    {name} = "{name}"\n' for name in names) + END + tail


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else LIST
    MODULE.write_text(generate(MODULE.read_text("utf-8"), chosen.read_text("utf-8")), "utf-8")
