"""The roles and role bindings of an account, by ID, by what is unique, and in order of age."""

import base64
import heapq
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from copy import copy
from typing import Final, Generic, Self, TypeVar

from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._roles.models import Role
from arize_roles_async._values.permissions import Permission
from arize_roles_fake._service.order import Order, Position

_R = TypeVar("_R", Role, RoleBinding)

_ADMINISTRATION: Final = ("ORGANIZATION", "ROLE", "ROLE_BINDING", "SERVICE_KEY", "USER")

_VIEWS_PROJECTS: Final = (
    Permission.PROJECT_READ,
    Permission.PROJECT_SPAN_READ,
    Permission.TRACE_VIEW_READ,
    Permission.CUSTOM_METRIC_READ,
    Permission.EVALUATOR_READ,
    Permission.PROJECT_EVAL_TASK_READ,
)
_EDITS_PROJECTS: Final = (
    *_VIEWS_PROJECTS,
    Permission.PROJECT_SPAN_CREATE,
    Permission.PROJECT_SPAN_UPDATE,
    Permission.PROJECT_SPAN_ANNOTATE,
    Permission.PROJECT_EVAL_TASK_CREATE,
    Permission.PROJECT_EVAL_TASK_UPDATE,
    Permission.PROJECT_EVAL_TASK_DELETE,
)


def encode_id(text: str) -> str:
    """Return the ID that holds a text, such as `User:ada@example.com`."""
    return base64.b64encode(text.encode()).decode()


def numbered_id(kind: str, number: int) -> str:
    """Return the ID of the thing with a kind and a number, the same in every run."""
    letters = zlib.crc32(str(number).encode()).to_bytes(4)
    tail = "".join(chr(ord("a") + byte % 26) for byte in letters)
    return encode_id(f"{kind}:{number}:{tail}")


# The names are the documentation's, and so are Annotator's description and permissions. The
# permissions of the others are ours, since they are not published.
PREDEFINED: Final[tuple[tuple[str, str | None, tuple[Permission, ...]], ...]] = (
    ("Admin", None, tuple(Permission)),
    ("Member", None, tuple(p for p in Permission if p.resource not in _ADMINISTRATION)),
    ("Read-only", None, tuple(p for p in Permission if p.action == "READ")),
    (
        "Annotator",
        "Can access annotation queues.",
        (Permission.QUEUE_READ, Permission.QUEUE_RECORD_READ, Permission.QUEUE_RECORD_ANNOTATE),
    ),
    ("Project Viewer", None, _VIEWS_PROJECTS),
    ("Project Editor", None, _EDITS_PROJECTS),
    (
        "Project Admin",
        None,
        (*_EDITS_PROJECTS, Permission.PROJECT_DELETE, Permission.PROJECT_RESTRICT),
    ),
)
"""The name, description and permissions of each predefined role, oldest first."""


class _Store(ABC, Generic[_R]):
    """Records of one kind, each with an ID and a key that no other has.

    Args:
        kind: The kind that an ID of such a record says.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._records: dict[str, _R] = {}
        self._ids: dict[Hashable, str] = {}
        self._taken: set[str] = set()
        """The IDs that records have, had, or are to have."""
        self.created: int = 0
        """The number of records that were ever added, from which the next ID is made."""

    def __len__(self) -> int:
        return len(self._records)

    @abstractmethod
    def _key(self, record: _R) -> Hashable:
        """Return what is unique about a record besides its ID."""

    @abstractmethod
    def _order(self, record: _R) -> Order:
        """Return the order that a record is kept in."""

    def by_id(self, record_id: str) -> _R | None:
        """Return the record with this ID, or None."""
        return self._records.get(record_id)

    def next_id(self) -> str:
        """Return the ID that the next record gets, the same in every run."""
        while (chosen := numbered_id(self._kind, self.created + 1)) in self._taken:
            self.created += 1
        return chosen

    def reserve(self, record_id: str) -> None:
        """Keep an ID for a record that is added later."""
        self._taken.add(record_id)

    def add(self, record: _R) -> None:
        """Add a record whose ID and key are free."""
        self.created += 1
        self._taken.add(record.id)
        self._records[record.id] = record
        self._ids[self._key(record)] = record.id
        self._order(record).add(record.id, record.created_at, self.created)

    def replace(self, record: _R, changed: _R) -> None:
        """Replace a record by another one with the same ID."""
        del self._ids[self._key(record)]
        self._ids[self._key(changed)] = changed.id
        self._records[changed.id] = changed

    def remove(self, record: _R) -> None:
        """Remove a record; its key is free again."""
        del self._records[record.id]
        del self._ids[self._key(record)]
        self._order(record).remove(record.id)

    def copy(self) -> Self:
        """Return a store of its own with the same records."""
        other = copy(self)
        own = vars(self).items()
        vars(other).update({name: each.copy() for name, each in own if hasattr(each, "copy")})
        return other


class RoleStore(_Store[Role]):
    """Roles with unique names.

    Args:
        normalize: Returns the same text for names that count as the same.
    """

    def __init__(self, normalize: Callable[[str], str]) -> None:
        super().__init__("Role")
        self.normalize = normalize
        self._custom, self._predefined = Order(), Order()
        self.bindings: BindingStore = BindingStore()
        self.kept_names: list[str] = []
        """The names of deleted roles that no new role may have."""

    def _key(self, record: Role) -> str:
        return self.normalize(record.name)

    def _order(self, record: Role) -> Order:
        return self._predefined if record.is_predefined else self._custom

    def by_name(self, name: str) -> Role | None:
        """Return the role with this name, or None."""
        return self._records.get(self._ids.get(self.normalize(name), ""))

    @property
    def custom_count(self) -> int:
        """The number of custom roles."""
        return len(self._custom)

    def iter_after(
        self, position: Position | None, *, is_predefined: bool | None, newest_first: bool = True
    ) -> Iterator[tuple[Position, Role]]:
        """Yield the roles that come after `position` in a list, or all, of one kind or of both."""
        orders = {False: [self._custom], True: [self._predefined]}
        of_kind = orders[False] + orders[True] if is_predefined is None else orders[is_predefined]
        lists = (order.iter_after(position, newest_first=newest_first) for order in of_kind)
        items = heapq.merge(*lists, reverse=newest_first)
        return ((where, self._records[role_id]) for where, role_id in items)


class BindingStore(_Store[RoleBinding]):
    """Role bindings, one at most for each user and resource."""

    def __init__(self) -> None:
        super().__init__("RoleBinding")
        self._all = Order()

    def _key(self, record: RoleBinding) -> tuple[str, str]:
        return record.user_id, record.resource_id

    def _order(self, record: RoleBinding) -> Order:
        del record
        return self._all

    def by_target(self, user_id: str, resource_id: str) -> RoleBinding | None:
        """Return the binding of a user on a resource, or None."""
        return self._records.get(self._ids.get((user_id, resource_id), ""))

    def of_role(self, role_id: str) -> tuple[RoleBinding, ...]:
        """Return the bindings of a role, in the order in which they were made."""
        return tuple(each for each in self._records.values() if each.role_id == role_id)

    def iter_after(
        self, position: Position | None, *, newest_first: bool = True
    ) -> Iterator[tuple[Position, RoleBinding]]:
        """Yield the bindings that come after `position` in a list, or all."""
        items = self._all.iter_after(position, newest_first=newest_first)
        return ((where, self._records[binding_id]) for where, binding_id in items)
