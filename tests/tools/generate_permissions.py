"""Rewrites the members of `Permission` from a text file of identifiers, one a line.

    python -m tests.tools.generate_permissions

It reads the project's own list, `tests/data/permissions.txt`.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = ROOT / "tests" / "data" / "permissions.txt"
MODULE = ROOT / "arize_roles_async" / "_values" / "permissions.py"
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
    MODULE.write_text(generate(MODULE.read_text("utf-8"), LIST.read_text("utf-8")), "utf-8")
