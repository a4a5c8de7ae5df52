"""HTTP responses without a connection, and the part of one that an error may quote."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from arize_roles_async._values.json import parse_json
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.redaction import LONGEST_REST, Secret, redact, redacted_values

_MAX_EXCERPT: Final = 200
_MAX_EXCERPT_SOURCE: Final = 4 * 1024
"""Bytes of a body that an excerpt is made of: a character that is escaped takes up to 12."""
_CUT: Final = 12 * LONGEST_REST
"""Characters that are left out where a longer body is cut, since a part of a key may be there."""
MAX_QUOTED: Final = 500


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An HTTP response without its connection.

    Header names are looked up as HTTP's registry writes them, or in a case-insensitive mapping.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    keys: tuple[Secret[str], ...] = ()
    """The API keys that its call has sent; an answer may echo one, and no error may quote it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no more than `repr`: a traceback by rich would show every field of a struct."""
        return [("status", self.status)]

    def header(self, name: str) -> str | None:
        """Return a header as an error may quote it: on one line, without the API key."""
        value = self.headers.get(name)
        return None if value is None else one_line(self.redacted(value), MAX_QUOTED)

    def redacted(self, text: str) -> str:
        """Return a text of the response as an error may quote it: without the API key."""
        return redact(text, *self.keys)

    def redacted_body(self) -> bytes:
        """Return the body as an error may quote it: without the API key."""
        if not self.keys:
            return self.body
        body = self.body
        if b"\\" in body:
            # Escapes could hide the key, so JSON is encoded again.
            with contextlib.suppress(ValueError):
                body = msgspec.json.encode(parse_json(body))
        text = body.decode("utf-8", "replace")
        clean = self.redacted(text)
        if clean == text:
            return body
        with contextlib.suppress(ValueError, RecursionError):
            # Decoded as a whole, it might be JSON no longer.
            return msgspec.json.encode(redacted_values(parse_json(body), *self.keys))
        return clean.encode()


def beginning(response: Response, length: int) -> str:
    """Return the text of the first bytes of a body, without the API key."""
    source = response.body[: length + _CUT].decode("utf-8", "replace").replace("\\/", "/")
    # Escapes could hide the key.
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), source)
    text = response.redacted(text)
    return (text[:-_CUT] if len(response.body) > length + _CUT else text)[:length]


def excerpt(response: Response) -> str:
    """Return the beginning of a body, quoted, on one line, without the API key."""
    return repr(one_line(beginning(response, _MAX_EXCERPT_SOURCE), _MAX_EXCERPT))
