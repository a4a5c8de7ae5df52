"""What a test asserts: the calls that came, and the roles and role bindings there are."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping

from arize_roles_async._values.permissions import AnyPermission
from arize_roles_fake._service.service import OPERATIONS, Operation
from arize_roles_fake._service.state import State
from arize_roles_fake._testing.call_log import LoggedCall
from arize_roles_fake._testing.expectations import binding_differences, role_differences
from arize_roles_fake._testing.make_role import reject_string
from arize_roles_fake._testing.received import Matcher


class Assertions:
    """What a test asserts of an account and its calls."""

    _lock: threading.RLock
    _state: State
    _log: deque[LoggedCall]

    @property
    def calls(self) -> tuple[LoggedCall, ...]:
        """Every call that the log keeps, oldest first."""
        with self._lock:
            return tuple(self._log)

    def calls_of(self, operation: Operation, *, about: str | None = None) -> tuple[LoggedCall, ...]:
        """Return the calls of one operation, oldest first.

        Args:
            operation: The operation.
            about: Return only calls about this role, user, space or project, as in `fail`.

        Raises:
            ValueError: There is no such operation, or no call of it can be about that.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"operation must be one of {', '.join(OPERATIONS)}, not {operation!r}")
        wanted = Matcher(operation, about)
        return tuple(filter(wanted.match, self.calls))

    def assert_roles(
        self,
        expected: Mapping[str, Iterable[AnyPermission | str]],
        *,
        descriptions: Mapping[str, str | None] | None = None,
    ) -> None:
        """Assert that these are the custom roles, and that each holds these permissions.

        Args:
            expected: The permissions of each role by its name, in any order.
            descriptions: The descriptions of some of the roles by their names; None is no
                description.

        Raises:
            AssertionError: The account differs; the message names each role and permission that
                is missing or not expected.
            TypeError: The permissions of a role are one string.
        """
        __tracebackhide__ = True
        wanted = {name: frozenset(map(str, reject_string(p))) for name, p in expected.items()}
        with self._lock:
            roles = self._state.records.roles.in_order()
        if text := role_differences(roles, wanted, descriptions or {}):
            raise AssertionError(text)

    def assert_bindings(self, expected: Mapping[tuple[str, str], str]) -> None:
        """Assert that these are the role bindings.

        Args:
            expected: The name of the role by the user and the resource, each an ID or a label, such
                as `{("user@example.com", "Space:1"): "Analyst"}`.

        Raises:
            AssertionError: The account differs; the message names each binding that is missing or
                not expected.
            ValueError: A resource is neither a space nor a project.
        """
        __tracebackhide__ = True
        ids = self._state.ids
        wanted = {
            (ids.of_user(user), ids.of_resource(resource)): role
            for (user, resource), role in expected.items()
        }
        with self._lock:
            records = self._state.records
            names = {role.id: role.name for role in records.roles.in_order()}
            found = {
                (each.user_id, each.resource_id): names[each.role_id]
                for each in records.bindings.in_order()
            }
        if text := binding_differences(found, wanted, ids):
            raise AssertionError(text)
