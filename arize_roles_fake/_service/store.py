"""The roles and role bindings of an account, by ID, by what is unique, and in order of age."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Generic, TypeVar

from arize_roles_async._directory.models import Project, Space, User
from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_fake._service.ids import Ids

Position = tuple[datetime, int]
"""The place of a record in lists: when it was created, then its number."""

Record = TypeVar("Record", Role, RoleBinding, User, Space, Project)


class Store(Generic[Record]):
    """Records of one kind: by their IDs, by a key that no other has, and in order of age."""

    def __init__(self, kind: str, ids: Ids) -> None:
        self._kind = kind
        """The kind that an ID of such a record says."""
        self._new_ids = ids
        self._records: dict[str, Record] = {}
        self._ids: dict[Hashable, str] = {}
        self._positions: dict[str, Position] = {}
        self._by_age: list[tuple[Position, str]] = []
        self.used_ids: set[str] = set()
        """The IDs that records have, had, or are to have."""
        self.created: int = 0
        """The number of records that were ever added, from which the next ID is made."""

    def __len__(self) -> int:
        return len(self._records)

    def _key(self, record: Record) -> Hashable:
        """Return what is unique about a record, which may be more than its ID."""
        return record.id

    def by_id(self, record_id: str) -> Record | None:
        """Return the record with this ID, or None."""
        return self._records.get(record_id)

    def next_id(self) -> str:
        """Return the ID that the next record gets, the same in every run."""
        while (chosen := self._new_ids.numbered(self._kind, self.created + 1)) in self.used_ids:
            self.created += 1
        return chosen

    def deleted_ids(self) -> set[str]:
        """Return the IDs, not made here, of records that are deleted."""
        gone = self.used_ids - self._records.keys()
        made = (self._new_ids.numbered(self._kind, each + 1) for each in range(self.created))
        return gone and gone.difference(made)

    def put(self, record: Record) -> None:
        """Add a record whose key is free, or replace the one with its ID at its place in lists."""
        known = self.by_id(record.id)
        if known is None:
            self.created += 1
            self.used_ids.add(record.id)
            moment = record.created_at
            assert moment is not None  # noqa: S101 - the account writes every field
            self._positions[record.id] = position = (moment, self.created)
            insort(self._by_age, (position, record.id))
        else:
            del self._ids[self._key(known)]
        self._records[record.id] = record
        self._ids[self._key(record)] = record.id

    def remove(self, record: Record) -> None:
        """Remove a record; its key is free again."""
        place = self._positions.pop(record.id), record.id
        del self._by_age[bisect_left(self._by_age, place)]
        del self._records[record.id], self._ids[self._key(record)]

    def after(
        self, position: Position | None, *, newest_first: bool
    ) -> Iterator[tuple[Position, Record]]:
        """Yield the records after a position, or all, each with its own."""
        places = self._by_age
        start, end = 0, len(places)
        if position is not None and newest_first:
            end = bisect_left(places, position, key=itemgetter(0))
        elif position is not None:
            start = bisect_right(places, position, key=itemgetter(0))
        indexes = range(start, end)
        for index in reversed(indexes) if newest_first else indexes:
            own, record_id = places[index]
            yield own, self._records[record_id]

    def in_order(self) -> tuple[Record, ...]:
        """Return every record, oldest first."""
        return tuple(self._records[record_id] for _, record_id in self._by_age)


class RoleTable(Store[Role]):
    """Roles with unique names."""

    def __init__(self, ids: Ids, normalize: Callable[[str], str]) -> None:
        super().__init__("Role", ids)
        self.normalize = normalize
        """Returns the same text for names that count as the same."""

    def _key(self, record: Role) -> str:
        return self.normalize(record.name)

    def by_name(self, name: str) -> Role | None:
        """Return the role with this name, or None."""
        return self._records.get(self._ids.get(self.normalize(name), ""))


class BindingTable(Store[RoleBinding]):
    """Role bindings, one at most for each user and resource."""

    def _key(self, record: RoleBinding) -> tuple[str, str]:
        return record.user_id, record.resource_id

    def of_role(self, role: Role) -> tuple[RoleBinding, ...]:
        """Return the bindings of a role, oldest first."""
        return tuple(each for each in self.in_order() if each.role_id == role.id)

    def by_target(self, user_id: str, resource_id: str) -> RoleBinding | None:
        """Return the binding of a user on a resource, or None."""
        return self._records.get(self._ids.get((user_id, resource_id), ""))


class Records:
    """All the records of an account."""

    def __init__(self, ids: Ids, normalize: Callable[[str], str]) -> None:
        self.roles: RoleTable = RoleTable(ids, normalize)
        self.bindings: BindingTable = BindingTable("RoleBinding", ids)
        self.users: Store[User] = Store("User", ids)
        self.spaces: Store[Space] = Store("Space", ids)
        self.projects: Store[Project] = Store("Model", ids)
        self.blocked: set[str] = set()
        """The IDs of users who are in no list and can have no role."""
        self.kept_names: list[str] = []
        """The names of deleted roles that no new role may have."""
        self.extra_permissions: set[str] = set()
        """Permissions of the account that are newer than this version of the library."""
