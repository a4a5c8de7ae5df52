"""JSON from anybody: how long it may be, and how many values it may hold."""

from typing import Final

import msgspec

MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes of a body. The longest page that the service can need fits: 100 roles, each with 500
permissions and a name and a description of which every character is escaped."""

MAX_VALUES: Final = 200_000
"""Values in a body. The same page fits even where every character of a text is a comma."""

MAX_ID: Final = 1_000
"""Characters of an ID or a cursor, which go into a URL; the service's have fewer than 100."""


def parse_json(body: bytes) -> object:
    """Return the value that JSON from outside describes.

    Raises:
        ValueError: It is not valid JSON, or holds too many values; the message says so without a
            subject.
    """
    # Before anything is made of them: a value of two bytes can take a hundred in memory, and a
    # body of a kilobyte is megabytes when it was compressed.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise ValueError(f"must hold at most {MAX_VALUES} values")
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from error
