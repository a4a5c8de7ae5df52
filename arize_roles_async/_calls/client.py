"""A client without methods: its options, its end, and the calls that its methods begin."""

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import ClassVar, NoReturn, Self

from msgspec import UNSET, UnsetType

from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._calls.driver import Destination, DrivenCall
from arize_roles_async._calls.resource import Resource
from arize_roles_async._values.errors import ClientStateError
from arize_roles_async._values.options import RetryPolicy, Timeouts, check_grace, check_type
from arize_roles_async._wire.redaction import takes_secrets

Waits = tuple[RetryPolicy, float | None, Callable[[], float], Callable[[float], Awaitable[None]]]
"""How a client waits between attempts: its retries, seconds for all, its clock and its sleep."""


def earliest_change(call: DrivenCall) -> float:
    """Return the earliest time at which a call can have made its change; see `created_since`."""
    return call.created_since(call.driver.transport.now(), time.time())


class BaseClient:
    """The part of a client that is the same for every resource."""

    _resource: ClassVar[Resource]
    _background = False
    _permit: Callable[[], object] | None = None

    def __init__(
        self, destination: Destination, source: KeySource, timeouts: Timeouts, retry: RetryPolicy
    ) -> None:
        self._destination = destination
        self._key_source = source
        self._driver = destination.driver(source)
        self._timeouts = timeouts
        self._retry = retry

    @takes_secrets
    def with_options(
        self,
        *,
        api_key: ApiKey | UnsetType = UNSET,
        timeout: float | Timeouts | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        background: bool | UnsetType = UNSET,
    ) -> Self:
        """Return a client with other options over the same connections; closing one closes both.

        Omitted options keep their values. All copies share `max_concurrency`. Copies with the same
        key share the rate under a rate limit and the names that were looked up; different keys
        share neither. A client keeps these for the hundred keys that were used last.

        Args:
            api_key: Another API key, or a function that returns it, as `AiohttpRolesClient` takes
                it.
            timeout: Seconds for a whole call; None is no limit. The limits on connecting and on
                silence are then the defaults. `Timeouts` sets every limit.
            retry: Attempts of a call, and the waits between them.
            background: True if its calls give way: each request is sent only when no other call
                of the client waits, so these calls may wait until their own time is up. An
                implementation of your own that queues calls does the same; any other ignores it.

        Raises:
            ConfigurationError: A value is of the wrong type, or out of its range, or no header can
                carry the key.
        """
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        BaseClient.__init__(
            other,
            self._destination,
            self._key_source if api_key is UNSET else KeySource(api_key),
            self._timeouts if timeout is UNSET else Timeouts.of(timeout),
            self._retry if retry is UNSET else RetryPolicy.of(retry),
        )
        if background is not UNSET:
            check_type("background", background, bool, "True or False")
            other._background = background
        return other

    def __reduce__(self) -> NoReturn:
        raise ClientStateError(
            "a client cannot be pickled or copied, since it holds the API key and connections; "
            "make one in each process"
        )

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
        await self._destination.aclose(check_grace(grace))

    async def __aenter__(self) -> Self:
        self._destination.choose(self._driver).check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self.aclose()

    # These three are for roles as code, which waits between its calls, on their clock.

    def _use_permit(self, at_once: Self, permit: Callable[[], object]) -> Waits:
        vars(at_once)["_permit"] = permit
        return self._retry, self._timeouts.total, self._now, self._sleep

    def _now(self) -> float:
        return self._destination.choose(self._driver).transport.now()

    async def _sleep(self, seconds: float) -> None:
        limits = Timeouts(total=None)
        call = self._destination.choose(self._driver).begin(
            self._resource, "wait", limits, self._retry, name=None, background=False
        )
        with call.time_limit:
            await call.driver.transport.event(call).wait(seconds)

    def _begin(self, operation: str, name: str | None = None) -> DrivenCall:
        """Begin a call, which keeps its driver from start to end."""
        call = self._destination.choose(self._driver).begin(
            self._resource,
            operation,
            self._timeouts,
            self._retry,
            name=name,
            background=self._background,
        )
        call.permit = self._permit
        return call
