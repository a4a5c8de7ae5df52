"""What a test asserts: the calls that came, and the roles and role bindings there are."""

import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from arize_roles_async._values.permissions import AnyPermission
from arize_roles_fake._service.service import Operation
from arize_roles_fake._service.state import State
from arize_roles_fake._testing.call_log import LoggedCall
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

    def calls_of(
        self, operation: Operation | Literal["any"], *, about: str | None = None
    ) -> tuple[LoggedCall, ...]:
        """Return the calls of one operation, oldest first.

        Args:
            operation: The operation; `any` is all, of every resource.
            about: Return only calls about this role, user, space or project, as in `fail`.

        Raises:
            ValueError: There is no such operation, or no call of it can be about that.
        """
        return tuple(filter(Matcher(operation, about).match, self.calls))

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
        described = descriptions or {}
        with self._lock:
            roles = {role.name: role for role in self._state.records.roles.in_order()}
        custom = {name: role.permissions for name, role in roles.items() if not role.is_predefined}
        found = {name: frozenset(map(str, each or ())) for name, each in custom.items()}
        texts = {name: roles[name].description for name in described if name in roles}
        _compare(
            "the custom roles",
            _role_lines(wanted, found, {name: text or None for name, text in described.items()}),
            _role_lines(found, wanted, texts),
        )

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

        def line(user: str, resource: str, role: str) -> str:
            return f"{ids.label_or_id(user)!r} on {ids.label_or_id(resource)!r}: {role!r}"

        wanted = {
            line(ids.of("User", user), ids.of_resource(resource), role)
            for (user, resource), role in expected.items()
        }
        with self._lock:
            records = self._state.records
            names = {role.id: role.name for role in records.roles.in_order()}
            bindings = records.bindings.in_order()
        found = {line(each.user_id, each.resource_id, names[each.role_id]) for each in bindings}
        _compare("the role bindings", wanted, found)


def _role_lines(
    permissions: Mapping[str, frozenset[str]],
    other: Collection[str],
    descriptions: Mapping[str, str | None],
) -> set[str]:
    """Return a line for each role, each description, and each permission of a role in `other`."""
    return {
        *map(repr, permissions),
        *(f"{name!r}: {each}" for name in other for each in permissions.get(name, ())),
        *(f"{name!r}: description {text!r}" for name, text in descriptions.items()),
    }


def _compare(what: str, expected: set[str], found: set[str]) -> None:
    """Raise `AssertionError`, which shows each line that is missing or not expected."""
    __tracebackhide__ = True
    if expected != found:
        signs = ((line, "-" if line in expected else "+") for line in expected ^ found)
        lines = "".join(f"\n  {sign} {line}" for line, sign in sorted(signs))
        raise AssertionError(
            f"{what} are not as expected (- is missing, + is not expected):{lines}"
        )
