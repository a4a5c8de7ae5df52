"""The roles of an account, by ID, by name and in order of age, with their bindings."""

import base64
import heapq
import zlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import attrs

from arize_roles_async._values.models import Role
from arize_roles_async._values.permissions import Permission

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


def role_id(number: int) -> str:
    """Return the ID of the role with a number, the same in every run."""
    letters = zlib.crc32(str(number).encode()).to_bytes(4)
    tail = "".join(chr(ord("a") + byte % 26) for byte in letters)
    return base64.b64encode(f"Role:{number}:{tail}".encode()).decode()


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


@attrs.frozen(kw_only=True)
class Binding:
    """A role binding: one user has one role on one space or project."""

    role_id: str
    """The ID of the role."""
    user: str
    """The user: an ID, an email address, or any other text."""
    resource: str
    """The space or project, such as `Space:1`."""


Position = tuple[datetime, int]
"""The place of a role in a list: when it was created, then its number."""

_Item = tuple[Position, str]


class RoleStore:
    """Roles with unique IDs and names.

    Args:
        normalize: Returns the same text for names that count as the same.
    """

    def __init__(self, normalize: Callable[[str], str]) -> None:
        self._normalize = normalize
        self._roles: dict[str, Role] = {}
        self._ids: dict[str, str] = {}
        self._positions: dict[str, Position] = {}
        self._sorted: dict[bool, list[_Item]] = {True: [], False: []}
        self._bindings: dict[tuple[str, str], Binding] = {}
        """The bindings by user and resource, oldest first."""
        self._kept_names: dict[str, str] = {}
        self.created: int = 0
        """The number of roles that were ever added, from which the next ID is made."""

    def __len__(self) -> int:
        return len(self._roles)

    def by_id(self, role_id: str) -> Role | None:
        """Return the role with this ID, or None."""
        return self._roles.get(role_id)

    def by_name(self, name: str) -> Role | None:
        """Return the role with this name, or None."""
        role_id = self._ids.get(self._normalize(name))
        return None if role_id is None else self._roles[role_id]

    def count(self, *, is_predefined: bool) -> int:
        """Return the number of roles of one kind."""
        return len(self._sorted[is_predefined])

    def iter_after(
        self, position: Position | None, *, is_predefined: bool | None, newest_first: bool = True
    ) -> Iterator[tuple[Position, Role]]:
        """Yield the roles that come after `position` in a list, or all, of one kind or of both."""
        kinds = self._sorted if is_predefined is None else (is_predefined,)
        lists = (_after(self._sorted[kind], position, newest_first) for kind in kinds)
        items = heapq.merge(*lists, reverse=newest_first)
        return ((where, self._roles[role_id]) for where, role_id in items)

    def next_id(self) -> str:
        """Return the ID that the next role gets, the same in every run."""
        chosen = role_id(self.created + 1)
        while chosen in self._roles:  # A test gave this ID to a role.
            self.created += 1
            chosen = role_id(self.created + 1)
        return chosen

    def add(self, role: Role) -> None:
        """Add a role whose ID and name are free."""
        self.created += 1
        self._roles[role.id] = role
        self._ids[self._normalize(role.name)] = role.id
        position = self._positions[role.id] = (role.created_at, self.created)
        insort(self._sorted[role.is_predefined], (position, role.id))

    def replace(self, role: Role, changed: Role) -> None:
        """Replace `role` by `changed`, which has the same ID."""
        del self._ids[self._normalize(role.name)]
        self._ids[self._normalize(changed.name)] = changed.id
        self._roles[changed.id] = changed

    def remove(self, role: Role) -> None:
        """Remove a role, with its bindings; its name is free again."""
        del self._roles[role.id]
        del self._ids[self._normalize(role.name)]
        for binding in self.bindings(role.id):
            self.unbind(binding)
        items = self._sorted[role.is_predefined]
        del items[bisect_left(items, (self._positions.pop(role.id), role.id))]

    # The names of deleted roles, for a service that does not accept them again

    @property
    def kept_names(self) -> tuple[str, ...]:
        """The names of deleted roles that no new role may have."""
        return tuple(self._kept_names.values())

    def keep_name(self, name: str) -> None:
        """Refuse a name from now on."""
        self._kept_names[self._normalize(name)] = name

    def is_kept(self, name: str) -> bool:
        """Return whether a name is one of `kept_names`."""
        return self._normalize(name) in self._kept_names

    # Bindings

    def bindings(self, role_id: str) -> tuple[Binding, ...]:
        """Return the bindings of a role, in the order in which they were made."""
        return tuple(each for each in self._bindings.values() if each.role_id == role_id)

    def binding(self, *, user: str, resource: str) -> Binding | None:
        """Return the binding of a user on a resource, or None."""
        return self._bindings.get((user, resource))

    def bind(self, binding: Binding) -> None:
        """Add a binding, of a user who has none on the resource."""
        self._bindings[binding.user, binding.resource] = binding

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""
        del self._bindings[binding.user, binding.resource]

    def copy(self) -> "RoleStore":
        """Return a store of its own with the same roles."""
        other = RoleStore(self._normalize)
        other._roles, other._ids = self._roles.copy(), self._ids.copy()
        other._positions = self._positions.copy()
        other._sorted = {kind: ids.copy() for kind, ids in self._sorted.items()}
        other._bindings = self._bindings.copy()
        other._kept_names = self._kept_names.copy()
        other.created = self.created
        return other


def _after(items: list[_Item], position: Position | None, newest_first: bool) -> Iterator[_Item]:  # noqa: FBT001 - the caller's own argument
    """Yield the items of a sorted list that come after `position`, or all."""
    if newest_first:
        end = len(items) if position is None else bisect_left(items, (position, ""))
        return (items[index] for index in range(end - 1, -1, -1))
    # No ID sorts after this one.
    start = 0 if position is None else bisect_right(items, (position, "\U0010ffff"))
    return (items[index] for index in range(start, len(items)))
