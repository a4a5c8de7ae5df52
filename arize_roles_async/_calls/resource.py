"""What the calls of a resource have to know of it: the rest is in the resource's own room."""

from collections.abc import Callable

import msgspec

from arize_roles_async._wire.problems import no_hint
from arize_roles_async._wire.request import Request


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of the API, and what its answers mean."""

    path: str
    """The path of the collection; that of an item has the item's ID after it."""
    operations: tuple[str, ...]
    """Their names, such as `role_bindings.list`: only those that the resource has."""
    id_argument: str
    """The argument of a method that takes an item's ID."""
    settled: dict[tuple[str, int], bool] = {}
    """The refusals by the service itself, as operation and status, that show whether a change in
    doubt was made. After any other, the account is read."""
    hint: Callable[[Request, int], str] = no_hint
    """Returns the next step after a refusal with a status, for the end of its message, or nothing.
    """
