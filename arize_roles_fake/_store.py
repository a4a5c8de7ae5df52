"""The roles of an account: kept by ID, by name and in order of age."""

import base64
import heapq
import zlib
from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from arize_roles_async._models import Role
from arize_roles_async._permissions import Permission

_ADMINISTRATION: Final = ("ORGANIZATION", "ROLE", "ROLE_BINDING", "SERVICE_KEY", "USER")


def _role_id(number: int) -> str:
    letters = zlib.crc32(str(number).encode()).to_bytes(4)
    tail = "".join(chr(ord("a") + byte % 26) for byte in letters)
    return base64.b64encode(f"Role:{number}:{tail}".encode()).decode()


# The service does not publish the names and permissions of its predefined roles: these are ours.
PREDEFINED: Final = tuple(
    (_role_id(number), name, permissions)
    for number, (name, permissions) in enumerate(
        (
            ("Admin", tuple(Permission)),
            ("Member", tuple(p for p in Permission if p.resource not in _ADMINISTRATION)),
            ("Viewer", tuple(p for p in Permission if p.action == "READ")),
        ),
        start=1,
    )
)

Place = tuple[datetime, int]
"""Where a role stands in a listing: by when it was made, then by its number."""


class RoleStore:
    """The roles, with unique IDs and names; every step costs the same however many there are."""

    def __init__(self) -> None:
        self._roles: dict[str, Role] = {}
        self._ids: dict[str, str] = {}
        self._shelves = {True: _Shelf(), False: _Shelf()}
        self._number = 0

    def __len__(self) -> int:
        return len(self._roles)

    def with_id(self, role_id: str) -> Role | None:
        """Return the role with this ID, or None."""
        return self._roles.get(role_id)

    def named(self, name: str) -> Role | None:
        """Return the role with exactly this name, or None."""
        role_id = self._ids.get(name)
        return None if role_id is None else self._roles[role_id]

    def count(self, *, is_predefined: bool) -> int:
        """Return how many roles there are of one kind."""
        return len(self._shelves[is_predefined])

    def older_than(
        self, place: Place | None, *, is_predefined: bool | None
    ) -> Iterator[tuple[Place, Role]]:
        """Yield the roles older than `place`, or all, newest first, of one kind or of both."""
        if is_predefined is None:
            kinds = list(self._shelves.values())
        else:
            kinds = [self._shelves[is_predefined]]
        items = heapq.merge(*(shelf.older_than(place) for shelf in kinds), reverse=True)
        return ((where, self._roles[role_id]) for where, role_id in items)

    def next_id(self) -> str:
        """Return the ID that the next role gets, the same in every run."""
        role_id = _role_id(self._number + 1)
        while role_id in self._roles:  # A test chose this one.
            self._number += 1
            role_id = _role_id(self._number + 1)
        return role_id

    def add(self, role: Role) -> None:
        """Put a role there whose ID and name are free."""
        self._number += 1
        self._roles[role.id] = role
        self._ids[role.name] = role.id
        self._shelves[role.is_predefined].add((role.created_at, self._number), role.id)

    def replace(self, role: Role, changed: Role) -> None:
        """Put `changed` in the place of `role`, which has the same ID."""
        del self._ids[role.name]
        self._ids[changed.name] = changed.id
        self._roles[changed.id] = changed

    def remove(self, role: Role) -> None:
        """Take a role away; its name is free again."""
        del self._roles[role.id]
        del self._ids[role.name]
        self._shelves[role.is_predefined].remove(role.id)

    def copy(self) -> "RoleStore":
        """Return a store of its own with the same roles."""
        other = RoleStore()
        other._roles, other._ids = self._roles.copy(), self._ids.copy()
        other._shelves = {kind: shelf.copy() for kind, shelf in self._shelves.items()}
        other._number = self._number
        return other


class _Shelf:
    """Role IDs in order of age, with pages that cost the same however many there are."""

    def __init__(self) -> None:
        self._places: list[tuple[Place, str]] = []
        self._gone: set[str] = set()

    def __len__(self) -> int:
        return len(self._places) - len(self._gone)

    def add(self, place: Place, role_id: str) -> None:
        insort(self._places, (place, role_id))

    def remove(self, role_id: str) -> None:
        # Cutting an item out of a long list moves all behind it; swept together that is cheap.
        self._gone.add(role_id)
        if len(self._gone) * 2 > len(self._places):
            self._places = [item for item in self._places if item[1] not in self._gone]
            self._gone.clear()

    def older_than(self, place: Place | None) -> Iterator[tuple[Place, str]]:
        """Yield what is older than `place`, or all there is, newest first."""
        end = len(self._places) if place is None else bisect_left(self._places, (place, ""))
        for index in range(end - 1, -1, -1):
            item = self._places[index]
            if item[1] not in self._gone:
                yield item

    def copy(self) -> "_Shelf":
        other = _Shelf()
        other._places, other._gone = self._places.copy(), self._gone.copy()
        return other
