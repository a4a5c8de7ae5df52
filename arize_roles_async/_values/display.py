"""The reprs of a response's fields, each on one line and of bounded length."""

from collections.abc import Sequence
from typing import Final, Protocol

from arize_roles_async._values.permissions import Permissions
from arize_roles_async._values.text import quoted

_MAX_NAMES: Final = 3
_MAX_TEXT: Final = 40


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def shorten(text: str | None) -> str:
    """Return the repr of a text, or of the beginning of a long one."""
    return quoted(text, _MAX_TEXT)


def shorten_permissions(permissions: Permissions | None) -> str:
    """Return the first few permissions and how many more there are."""
    if permissions is None:
        return "None"
    # An unknown permission may be any text.
    first = [p.value if p.is_known else shorten(p.value) for p in permissions[:_MAX_NAMES]]
    return f"({_with_rest(first, len(permissions))})"


def shorten_roles(roles: Sequence[_Named]) -> str:
    """Return the names of the first few roles and how many more there are."""
    first = [shorten(role.name) for role in roles[:_MAX_NAMES]]
    return f"[{_with_rest(first, len(roles))}]"


def _with_rest(first: Sequence[str], count: int) -> str:
    rest = count - len(first)
    return ", ".join([*first, f"… {rest} more"] if rest else first)
