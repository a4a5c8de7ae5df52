"""HTTP responses without a connection, and the part of one that an error may quote."""

from collections.abc import Mapping
from typing import Final

import msgspec

from arize_roles_async._values.text import one_line
from arize_roles_async._wire.redaction import beginning, redact
from arize_roles_async._wire.secrets import Secret

SUCCESS: Final = range(200, 300)
_MAX_EXCERPT: Final = 200
_MAX_READ: Final = 4 * 1024
"""Characters that are read of what is quoted: one that is escaped takes up to 12."""
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

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show no more than `repr`: a traceback by rich would show every field of a struct."""
        return [("status", self.status)]

    def header(self, name: str) -> str | None:
        """Return a header as an error may quote it: on one line, without the API key."""
        if (value := self.headers.get(name)) is None:
            return None
        return one_line(beginning(value, _MAX_READ, *self.keys), MAX_QUOTED)

    def redacted(self, text: str) -> str:
        """Return a text of the response as an error may quote it: without the API key."""
        return redact(text, *self.keys)


def beginning_of(response: Response, length: int = _MAX_READ) -> str:
    """Return the text that a body begins with, without the API key."""
    # A character has four bytes at most, and where a text is cut, a few more are read.
    text = response.body[: 8 * length].decode("utf-8", "replace")
    return beginning(text, length, *response.keys)


def excerpt(response: Response) -> str:
    """Return the beginning of a body, quoted, on one line, without the API key."""
    return repr(one_line(beginning_of(response), _MAX_EXCERPT))
