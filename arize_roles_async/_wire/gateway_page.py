"""The text of an HTML page, since gateways answer with pages of their own."""

from html.parser import HTMLParser
from typing import Final

_MAX_BYTES: Final = 20_000
_UNSEEN: Final = frozenset({"head", "script", "style", "noscript", "template"})


def page_text(body: bytes) -> str:
    """Return the title of an HTML page, or its visible text; empty if it is not HTML.

    Args:
        body: The page; only its first 20,000 bytes are read.
    """
    text = body[:_MAX_BYTES].decode("utf-8", "replace")
    if "<" not in text:
        return ""
    reader = _Reader()
    reader.feed(text)
    return " ".join("".join(reader.title).split()) or " ".join(" ".join(reader.visible).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.visible: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "title" or tag in _UNSEEN:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[self._open.index(tag) :]

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title.append(data)
        elif not self._open:
            self.visible.append(data)
