"""Faults that somebody thought of: each breaks a promise that a caller relies on."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from tests.tools.syntax_faults import Fault


@attrs.frozen
class ByHand:
    """A fault by its text.

    Attributes:
        breaks: What no longer holds.
        file: The file's path from the project's root.
        before: A text that stands in the file once.
        after: What takes its place, of no more lines.
    """

    breaks: str
    file: str
    before: str
    after: str


BY_HAND: Final[tuple[ByHand, ...]] = ()


def by_hand(root: Path, listed: Iterable[ByHand] = BY_HAND) -> Iterator[Fault]:
    """Yield each of the faults as it is planted now.

    Raises:
        ValueError: The text of a fault is no longer there, or more than once.
    """
    for hand in listed:
        source = (root / hand.file).read_bytes()
        before = hand.before.encode()
        if source.count(before) != 1:
            raise ValueError(
                f"{hand.file} has {source.count(before)} places for the fault {hand.breaks!r}, not"
                f" 1; its text is {hand.before!r}: write it anew in planted_by_hand.py"
            )
        start = source.index(before)
        end = start + len(before)
        yield Fault.between(hand.file, source, start, end, after=hand.after, breaks=hand.breaks)
