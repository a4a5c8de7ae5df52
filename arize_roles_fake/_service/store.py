"""The roles and role bindings of an account, by ID, by what is unique, and in order of age."""

import base64
import heapq
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from arize_roles_async._role_bindings.models import RoleBinding
from arize_roles_async._values.models import Role
from arize_roles_async._values.permissions import Permission
from arize_roles_fake._service.order import Order, Position

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


def numbered_id(kind: str, number: int) -> str:
    """Return the ID of the thing with a kind and a number, the same in every run."""
    letters = zlib.crc32(str(number).encode()).to_bytes(4)
    tail = "".join(chr(ord("a") + byte % 26) for byte in letters)
    return base64.b64encode(f"{kind}:{number}:{tail}".encode()).decode()


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


class RoleStore:
    """Roles with unique IDs and names.

    Args:
        normalize: Returns the same text for names that count as the same.
    """

    def __init__(self, normalize: Callable[[str], str]) -> None:
        self._normalize = normalize
        self._roles: dict[str, Role] = {}
        self._ids: dict[str, str] = {}
        self._orders = {True: Order(), False: Order()}
        self.bindings: BindingStore = BindingStore()
        self._kept_names: dict[str, str] = {}
        self._taken: set[str] = set()
        """The IDs that roles have, had, or are to have."""
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
        return len(self._orders[is_predefined])

    def iter_after(
        self, position: Position | None, *, is_predefined: bool | None, newest_first: bool = True
    ) -> Iterator[tuple[Position, Role]]:
        """Yield the roles that come after `position` in a list, or all, of one kind or of both."""
        kinds = self._orders if is_predefined is None else (is_predefined,)
        orders = (self._orders[kind] for kind in kinds)
        lists = (order.iter_after(position, newest_first=newest_first) for order in orders)
        items = heapq.merge(*lists, reverse=newest_first)
        return ((where, self._roles[role_id]) for where, role_id in items)

    def next_id(self) -> str:
        """Return the ID that the next role gets, the same in every run."""
        chosen = numbered_id("Role", self.created + 1)
        while chosen in self._taken:
            self.created += 1
            chosen = numbered_id("Role", self.created + 1)
        return chosen

    def reserve(self, role_id: str) -> None:
        """Keep an ID for a role that is added later."""
        self._taken.add(role_id)

    def add(self, role: Role) -> None:
        """Add a role whose ID and name are free."""
        self.created += 1
        self._taken.add(role.id)
        self._roles[role.id] = role
        self._ids[self._normalize(role.name)] = role.id
        self._orders[role.is_predefined].add(role.id, role.created_at, self.created)

    def replace(self, role: Role, changed: Role) -> None:
        """Replace `role` by `changed`, which has the same ID."""
        del self._ids[self._normalize(role.name)]
        self._ids[self._normalize(changed.name)] = changed.id
        self._roles[changed.id] = changed

    def remove(self, role: Role) -> None:
        """Remove a role that nobody has; its name is free again."""
        del self._roles[role.id]
        del self._ids[self._normalize(role.name)]
        self._orders[role.is_predefined].remove(role.id)

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

    def copy(self) -> "RoleStore":
        """Return a store of its own with the same roles."""
        other = RoleStore(self._normalize)
        other._roles, other._ids = self._roles.copy(), self._ids.copy()
        other._orders = {kind: order.copy() for kind, order in self._orders.items()}
        other.bindings = self.bindings.copy()
        other._kept_names = self._kept_names.copy()
        other._taken = self._taken.copy()
        other.created = self.created
        return other


class BindingStore:
    """Role bindings with unique IDs, one at most for each user and resource."""

    def __init__(self) -> None:
        self._bindings: dict[str, RoleBinding] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._order = Order()
        self._taken: set[str] = set()
        """The IDs that bindings have, had, or are to have."""
        self.created: int = 0
        """The number of bindings that were ever added, from which the next ID is made."""

    def __len__(self) -> int:
        return len(self._bindings)

    def by_id(self, binding_id: str) -> RoleBinding | None:
        """Return the binding with this ID, or None."""
        return self._bindings.get(binding_id)

    def by_target(self, user_id: str, resource_id: str) -> RoleBinding | None:
        """Return the binding of a user on a resource, or None."""
        return self._bindings.get(self._ids.get((user_id, resource_id), ""))

    def of_role(self, role_id: str) -> tuple[RoleBinding, ...]:
        """Return the bindings of a role, in the order in which they were made."""
        return tuple(each for each in self._bindings.values() if each.role_id == role_id)

    def iter_after(
        self, position: Position | None, *, newest_first: bool = True
    ) -> Iterator[tuple[Position, RoleBinding]]:
        """Yield the bindings that come after `position` in a list, or all."""
        items = self._order.iter_after(position, newest_first=newest_first)
        return ((where, self._bindings[binding_id]) for where, binding_id in items)

    def next_id(self) -> str:
        """Return the ID that the next binding gets, the same in every run."""
        chosen = numbered_id("RoleBinding", self.created + 1)
        while chosen in self._taken:
            self.created += 1
            chosen = numbered_id("RoleBinding", self.created + 1)
        return chosen

    def reserve(self, binding_id: str) -> None:
        """Keep an ID for a binding that is added later."""
        self._taken.add(binding_id)

    def add(self, binding: RoleBinding) -> None:
        """Add a binding whose ID is free, of a user who has none on the resource."""
        self.created += 1
        self._taken.add(binding.id)
        self._bindings[binding.id] = binding
        self._ids[binding.user_id, binding.resource_id] = binding.id
        self._order.add(binding.id, binding.created_at, self.created)

    def replace(self, changed: RoleBinding) -> None:
        """Replace the binding with the same ID, user and resource."""
        self._bindings[changed.id] = changed

    def remove(self, binding: RoleBinding) -> None:
        """Remove a binding."""
        del self._bindings[binding.id]
        del self._ids[binding.user_id, binding.resource_id]
        self._order.remove(binding.id)

    def copy(self) -> "BindingStore":
        """Return a store of its own with the same bindings."""
        other = BindingStore()
        other._bindings, other._ids = self._bindings.copy(), self._ids.copy()
        other._order, other._taken = self._order.copy(), self._taken.copy()
        other.created = self.created
        return other
