"""What the calls of a resource have to know of it: the rest is in the resource's own room."""

import msgspec

from arize_roles_async._wire.request import Request


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of the API, and what its answers mean."""

    path: str
    """The path of the collection; that of an item has the item's ID after it."""
    operations: tuple[str, ...]
    """Their names, such as `role_bindings.list`: only those that the resource has."""
    id_argument: str
    """The argument of a method that takes an item's ID."""
    verdicts: dict[tuple[str, int], bool] = {}
    """The refusals by the service itself, as operation and status, that show whether a change in
    doubt was made. After any other, the account is read."""

    def hint(self, request: Request, status: int) -> str:
        """Return the next step after a refusal, for the end of its message, or nothing."""
        del request, status
        return ""
