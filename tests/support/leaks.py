"""Parts of an API key that a text shows to somebody who decodes it."""

import base64
import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

_PART: Final = 20
"""Characters of a key that a text must not show, or the whole of a shorter key."""


def parts_shown(text: str, key: str) -> list[str]:
    """Return the parts of a key that a text shows, also in two encodings within one another."""
    parts = [key[begin : begin + _PART] for begin in range(max(1, len(key) - _PART + 1))]
    texts = {text}
    for _ in range(2):
        texts |= {decoded for each in texts for decoded in _decoded(each)}
    return [part for part in parts if any(part in each for each in texts)]


def _decoded(text: str) -> Iterator[str]:
    yield unquote(text, "latin-1")
    yield html.unescape(text)
    yield re.sub(r"\\+u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    yield re.sub(r"\\(.)", r"\1", text)
    for token in re.findall(r"[\w+/-]{8,}", text, re.ASCII):
        signs = token.replace("-", "+").replace("_", "/")
        for begin in range(4):
            whole = signs[begin:] + "A" * (-len(signs[begin:]) % 4)
            yield base64.b64decode(whole).decode("latin-1")
