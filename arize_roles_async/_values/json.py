"""Parsing JSON from outside, with bounds on its length and on the number of its values."""

import math
from typing import Any, Final, cast

import msgspec

MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes of a body. The longest page of the service fits: 100 roles with 500 permissions each, and
every character of their names and descriptions escaped."""

MAX_VALUES: Final = 200_000
"""Values in a body. The same page fits, even if every character of its texts is a comma."""

TOO_LONG: Final = "it holds {} items, more than the limit of {}"

MAX_ID: Final = 1_000
"""Characters of an ID or a cursor, which go into a URL; the service's have fewer than 100."""


def has_too_many_values(body: bytes) -> bool:
    """Return whether JSON holds more than `MAX_VALUES` values, without decoding it.

    A value of two bytes can take a hundred in memory, and a compressed body of a kilobyte can hold
    megabytes.
    """
    return body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES


def parse_json(body: bytes, longest: float = math.inf) -> object:
    """Return the value that JSON from outside describes.

    Raises:
        ValueError: It is not valid JSON, or holds too many values, or an object with a list that is
            longer than `longest`. The message has no subject, such as "is not valid JSON".
    """
    if has_too_many_values(body):
        raise ValueError(f"must hold at most {MAX_VALUES} values")
    try:
        data: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from error
    values: Any = getattr(data, "values", tuple)()
    lists = [cast("list[object]", each) for each in values if isinstance(each, list)]
    if (length := max(map(len, lists), default=0)) > longest:
        raise ValueError(TOO_LONG.format(length, longest))
    return data
