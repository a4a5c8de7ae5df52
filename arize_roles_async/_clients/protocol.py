"""What the clients of all resources promise: their options and their end."""

from types import TracebackType
from typing import Protocol, Self

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.api_key import ApiKey
from arize_roles_async._values.options import RetryPolicy, Timeouts


class Client(Protocol):
    """The part of a client's protocol that is the same for every resource."""

    def with_options(
        self,
        *,
        api_key: ApiKey | UnsetType = UNSET,
        timeout: float | Timeouts | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        background: bool | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
    ) -> Self:
        """Return a client with other options over the same connections; closing one closes both.

        Omitted options keep their values. All copies share `max_concurrency`. Copies with the same
        key share the rate under a rate limit and the names that were looked up; different keys
        share neither. A client keeps these for the thousand keys that were used last. A copy has
        the class of its client, and shares the attributes that a subclass has set, such as a cache:
        the guide's page `api-keys` shows one that keeps the roles of each key apart.

        Args:
            api_key: Another API key, or a function that returns it, as `AiohttpRolesClient` takes
                it.
            timeout: Seconds for a whole call; None is no limit. The limits on connecting and on
                silence stay as they are. `Timeouts` sets every limit.
            retry: Attempts of a call, and the waits between them.
            background: True if its calls give way: each request is sent only when no other call
                of the client waits, so these calls may wait until their own time is up. An
                implementation of your own that queues calls does the same; any other ignores it.
            name: The client's name in records of the log, such as that of a tenant.

        Raises:
            ConfigurationError: A value is of the wrong type, or out of its range, or no header can
                carry the key.
        """
        ...

    async def aclose(self, *, grace: float = 0.0) -> None:
        """Close the client and all its copies; the end of an `async with` block does it at once.

        New calls are refused from now on with a `ClientStateError`. Calls that are under way, or
        wait in the queue, may go on for `grace` seconds; each page of a walk is a call. Then they
        end with a `ClientStateError`, or, where a change may have been made, with an
        `OutcomeUnknownError`. `aclose` returns as soon as no call is under way.

        It may be called again, also while it waits: the shortest grace counts. If it is cancelled
        while it waits, it closes at once.

        Args:
            grace: Seconds, 0 or more. `FakeRolesClient` counts them on the account's clock.

        Raises:
            ConfigurationError: `grace` is not such a number; the client stays open.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
