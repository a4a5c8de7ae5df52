"""The limits of a file, which are checked before it is parsed."""

import re
from typing import Final

_MAX_FILE: Final = 32 * 1024 * 1024
"""Bytes of a file."""
_MAX_PARTS: Final = 100
"""Parts of a key, such as `a.b`; the time that tomllib takes grows with the square of them."""
# Nothing is read twice: a string that does not end takes the rest.
_TEXT: Final = r"""(?sx)
    \"{3} (?: [^"\\]++ | \\. | "(?!"") )*+ "{0,5} | '{3} (?: [^']++ | '(?!'') )*+ '{0,5}
    | " (?: [^"\\\n]++ | \\. )*+ "? | ' [^'\n]*+ '? | [#][^\n]*+
"""
_DOTTED: Final = r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+)++"


def excess(text: str) -> str | None:
    """Return which limit the text of a file exceeds, and where, or None."""
    if len(text.encode("utf-8", "surrogatepass")) > _MAX_FILE:
        return f"must have at most {_MAX_FILE >> 20} MiB"
    # A key stands on one line, so few files need the closer look, which takes longer.
    if all(line.count(".") < _MAX_PARTS for line in text.split("\n")):
        return None
    bare = re.sub(_TEXT, lambda found: "x" + "\n" * found[0].count("\n"), text)
    for key in re.finditer(_DOTTED, bare):
        if key[0].count(".") >= _MAX_PARTS:
            line = bare.count("\n", 0, key.start()) + 1
            return f"has a key of more than {_MAX_PARTS} parts (at line {line})"
    return None
