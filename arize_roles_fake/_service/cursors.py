"""Cursors: where a page of a list ended, and for which list."""

import base64
import hashlib
import os
from typing import Any, Final

import msgspec

from arize_roles_fake._service.store import Position

_SIGNATURE: Final = 12  # Bytes: too many to guess.


class Mark(msgspec.Struct, frozen=True):
    """The end of a page."""

    position: Position | None = None
    """Where its last record is in the list; None before the first."""
    offset: int = 0
    """The number of records before its end."""
    pages: int = 0
    """The number of pages before its end, so that the cursor after an empty page is another."""


class Cursors:
    """Makes and reads the cursors of an account.

    They are signed, so that a made-up one is refused.
    """

    def __init__(self) -> None:
        self._secret = os.urandom(16)

    def make(self, filters: dict[str, object], mark: Mark) -> str:
        """Return the cursor after a page of the list with these filters."""
        text = msgspec.json.encode((filters, mark))
        return base64.b64encode(self._signature(text) + text).decode()

    def read(self, cursor: str, filters: dict[str, object]) -> Mark:
        """Return the end of the page before, or raise `ValueError` with the end of a sentence."""
        try:
            raw = base64.b64decode(cursor, validate=True)
        except ValueError:
            raw = b""
        signature, text = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if signature != self._signature(text):
            raise ValueError("was not issued by this account")
        issued_for, mark = msgspec.json.decode(text, type=tuple[dict[str, Any], Mark])
        changed = [name for name in filters if issued_for.get(name) != filters[name]]
        if changed or issued_for.keys() != filters.keys():
            raise ValueError(f"was issued for another {changed[0] if changed else 'list'}")
        return mark

    def _signature(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._secret, digest_size=_SIGNATURE).digest()
