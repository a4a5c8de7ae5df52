"""Text that people read: on one line, of bounded length, and safe for any terminal."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

MAX_MESSAGE: Final = 1_500
"""Characters of an error's message; a log line around it stays below 2,000."""
MAX_CLOSEST: Final = 3
"""Similar names in an error."""
MAX_SEARCHED: Final = 20
"""Texts for which an error has the nearest one, since each takes time to search."""
MAX_ALIKE: Final = 200
"""Texts that are compared with one, the first of many: the worst take 50 ms."""

_MAX_QUOTED: Final = 60
_MAX_COMPARED: Final = 40
"""The characters at the beginning of a text that are compared with those of another."""


def one_line(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return a text on one line, `printable`; white space that is not a plain space becomes one.

    A result that is passed again stays as it is. Of a text with more characters than the limit,
    only the beginning is read; it ends in `…` then.
    """
    text = _cut(text, limit)
    return _cut(printable(text if text.isprintable() else re.sub(r"\s+", " ", text)), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def appended(message: str, more: str) -> str:
    """Return a message with more at its end; a long message is cut, and the end is kept."""
    return one_line(message, MAX_MESSAGE - len(more)) + more


def append(error: Exception, more: str) -> None:
    """Add more to the end of an error's message."""
    # Not its text, which a limit that ran out is added to.
    error.args = (appended(error.args[0], more),)


def text_of(value: object) -> str:
    """Return the text of a value of other code, which may have none: Python's words for that."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - whatever the other code raises
        return "<exception str() failed>"


def quoted(value: object, limit: int = _MAX_QUOTED) -> str:
    """Return a value's `repr`, on one line and printable; of a longer text, of its beginning.

    The limit is on the characters of a text, each of which may take up to ten.
    """
    if isinstance(value, str):
        # Cut first, since the repr is as long as the text. A subclass may have its own.
        return printable(repr(_cut(str(value), limit)))
    try:
        return one_line(repr(value), 2 * limit)
    except Exception:  # noqa: BLE001 - a repr may fail, as that of a very large integer does
        return f"a value of type {type(value).__name__}"


def printable(text: str) -> str:
    """Return what is shown of a text that others wrote, so that no terminal or log obeys it.

    Control characters, escape sequences, marks that reverse the direction of writing, and
    surrogates become `�`, except the newline. The commands that runners find in any line of a log
    (`##word[…]`, as for Azure and TeamCity, and GitHub's `::…::` at its start) get an escape, which
    JSON, TOML and Python read back.
    """
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
    text = re.sub(r"##(?=\w*\[)", r"#\\u0023", text)
    return re.sub(r"(?m)^( *):(?=:)", r"\1\\u003a", text)


def type_name(value: object) -> str:
    """Return the name of a value's type for a message."""
    return "None" if value is None else type(value).__name__


def nearest(text: str, others: Iterable[str], cutoff: float = 0.0) -> str:
    """Return the one of other texts that is most like a text; empty if none is alike."""
    return next(iter(alike(text, others, cutoff)), "")


def alike(text: str, others: Iterable[str], cutoff: float) -> list[str]:
    """Return those of other texts that are like a text, the most alike first.

    The beginnings of the first 200 are compared; of those that differ only by case, one is
    returned. The cutoff, up to 1, says how like they have to be.
    """
    import difflib

    capitals = {_beginning(each): each for each in islice(others, MAX_ALIKE)}
    found = difflib.get_close_matches(_beginning(text), capitals, len(capitals) or 1, cutoff)
    return [capitals[each] for each in found]


def _beginning(text: str) -> str:
    return text[:_MAX_COMPARED].upper()
