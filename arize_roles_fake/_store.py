"""The roles of an account: kept by ID, by name and in order of age."""

import base64
import heapq
import zlib
from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
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

_Item = tuple[Place, str]
_CHUNK: Final = 512


class RoleStore:
    """The roles, with unique IDs and names; every step costs the same however many there are."""

    def __init__(self) -> None:
        self._roles: dict[str, Role] = {}
        self._ids: dict[str, str] = {}
        self._places: dict[str, Place] = {}
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
        place = self._places[role.id] = (role.created_at, self._number)
        self._shelves[role.is_predefined].add((place, role.id))

    def replace(self, role: Role, changed: Role) -> None:
        """Put `changed` in the place of `role`, which has the same ID."""
        del self._ids[role.name]
        self._ids[changed.name] = changed.id
        self._roles[changed.id] = changed

    def remove(self, role: Role) -> None:
        """Take a role away; its name is free again."""
        del self._roles[role.id]
        del self._ids[role.name]
        self._shelves[role.is_predefined].remove((self._places.pop(role.id), role.id))

    def copy(self) -> "RoleStore":
        """Return a store of its own with the same roles."""
        other = RoleStore()
        other._roles, other._ids = self._roles.copy(), self._ids.copy()
        other._places = self._places.copy()
        other._shelves = {kind: shelf.copy() for kind, shelf in self._shelves.items()}
        other._number = self._number
        return other


class _Shelf:
    """Role IDs in order of age, in chunks: a step moves one chunk, however many there are."""

    def __init__(self) -> None:
        self._chunks: list[list[_Item]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: "_Item") -> None:
        self._count += 1
        if not self._chunks:
            self._chunks.append([item])
            return
        index = min(self._chunk_of(item), len(self._chunks) - 1)
        chunk = self._chunks[index]
        insort(chunk, item)
        if len(chunk) > _CHUNK:
            half = len(chunk) // 2
            self._chunks[index : index + 1] = [chunk[:half], chunk[half:]]

    def remove(self, item: "_Item") -> None:
        self._count -= 1
        index = self._chunk_of(item)
        chunk = self._chunks[index]
        del chunk[bisect_left(chunk, item)]
        if not chunk:
            del self._chunks[index]

    def older_than(self, place: Place | None) -> Iterator["_Item"]:
        """Yield what is older than `place`, or all there is, newest first."""
        chunks = self._chunks
        if place is None:
            last, end = len(chunks) - 1, None
        else:
            limit = (place, "")
            last = min(self._chunk_of(limit), len(chunks) - 1)
            end = bisect_left(chunks[last], limit) if chunks else None
        for index in range(last, -1, -1):
            yield from reversed(chunks[index][:end] if index == last else chunks[index])

    def copy(self) -> "_Shelf":
        other = _Shelf()
        other._chunks = [chunk.copy() for chunk in self._chunks]
        other._count = self._count
        return other

    def _chunk_of(self, item: "_Item") -> int:
        """Return which chunk an item belongs to; past the last where it is newer than all."""
        return bisect_left(self._chunks, item, key=itemgetter(-1))
