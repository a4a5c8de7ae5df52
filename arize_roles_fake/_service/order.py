"""Records in the order of a list: by the time of their creation."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import datetime

Position = tuple[datetime, int]
"""The place of a record in every list: when it was created, then its number."""

_Item = tuple[Position, str]


class Order:
    """The IDs of records by their positions."""

    def __init__(self, items: list[_Item] | None = None) -> None:
        self._items = items or []

    def __len__(self) -> int:
        return len(self._items)

    def add(self, position: Position, record_id: str) -> None:
        """Add the ID of the record with a position."""
        insort(self._items, (position, record_id))

    def remove(self, position: Position, record_id: str) -> None:
        """Remove an ID."""
        del self._items[bisect_left(self._items, (position, record_id))]

    def iter_after(self, position: Position | None, *, newest_first: bool) -> Iterator[_Item]:
        """Yield the IDs that come after a position in a list, or all, each with its position."""
        items = self._items
        if newest_first:
            end = len(items) if position is None else bisect_left(items, (position, ""))
            return (items[index] for index in range(end - 1, -1, -1))
        # No ID sorts after this one.
        start = 0 if position is None else bisect_right(items, (position, "\U0010ffff"))
        return (items[index] for index in range(start, len(items)))

    def copy(self) -> "Order":
        """Return an order of its own with the same IDs."""
        return Order(self._items.copy())
