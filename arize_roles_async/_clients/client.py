"""A client without methods: its options, its end, and the calls that its methods begin."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, ClassVar, Generic, NoReturn, Self, TypeVar, cast

import attr
import msgspec
from msgspec import UNSET, UnsetType

from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._calls.call import Collection, TimeLimit, retry_delay
from arize_roles_async._calls.driver import DrivenCall, Shared
from arize_roles_async._calls.queue import BACKGROUND
from arize_roles_async._clients.protocol import Client
from arize_roles_async._values import errors
from arize_roles_async._values.options import Options, RetryPolicy, Timeouts, check_seconds
from arize_roles_async._wire.secrets import takes_secrets

_L_co = TypeVar("_L_co", covariant=True)
_T = TypeVar("_T")
_ClientT = TypeVar("_ClientT", bound="BaseClient[object]")

_FAILED, _LIMITED = 20, 3
"""The weights of an attempt that fails, and of one that a rate limit refuses: three of the former
or 20 of the latter end a change, if the client's policy has three."""


class Parts:
    """Makes the calls of clients of ours parts of one call, if there is one.

    They end with it at the latest, and begin although the client is closing.
    """

    def __init__(self, call: DrivenCall[object] | None) -> None:
        self._call = call
        self._spent = 0

    def of(self, client: _T) -> _T:
        """Return a client whose calls are parts."""
        if self._call is None or not issubclass(type(client), BaseClient):
            return client
        ours = cast("BaseClient[object]", client)
        copy = ours._copy_as(type(ours))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        vars(copy)["_whole"] = self._call
        return cast("_T", copy)

    async def wait_to_retry(self, failure: errors.RolesError) -> bool:
        """Wait as a call does before a change is tried again; return False if it must not be."""
        from anyio import sleep

        call = self._call
        if isinstance(failure, errors.OutcomeUnknownError):
            failure = cast("errors.RolesError", failure.__cause__)
        self._spent += _LIMITED if isinstance(failure, errors.RateLimitError) else _FAILED
        attempt = self._spent // _FAILED or 1
        retry = RetryPolicy() if call is None else call.options.retry
        delay = retry_delay(retry, failure, attempt=attempt, change=True)
        if delay is None or (call is not None and call.now() + delay >= call.deadline):
            return False
        await (sleep(delay) if call is None else call.event().wait(delay))
        return True


@asynccontextmanager
async def one_call(client: object, operation: str) -> AsyncGenerator[Parts]:
    """Let a block have the time of one call of a client, if it is of ours.

    Yields what makes other calls parts of that call, in the block and after it.
    """
    if not issubclass(type(client), BaseClient):
        yield Parts(None)
        return
    ours = cast("BaseClient[object]", client)
    # Imported here, since most programs need none.
    from anyio import Lock

    with ours._begin(operation) as call:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        call.one_asks = Lock()
        if not call.keys:
            await call.ask_key()
        try:
            yield Parts(call)
        except errors.RolesTimeoutError as error:
            error.attempts = call.attempts
            if call.now() < call.deadline:
                raise
            raise call.interrupted() from error


class BaseClient(Client, Generic[_L_co]):
    """The part of a client that is the same for every resource."""

    _collection: ClassVar[Collection]
    _whole: DrivenCall[object] | None = None
    """The call that the client's calls are parts of."""

    def __init__(
        self,
        shared: Shared[_L_co],
        source: KeySource,
        timeout: float | Timeouts | None,
        retry: RetryPolicy | None,
    ) -> None:
        self._options = Options(
            timeouts=timeout if isinstance(timeout, Timeouts) else Timeouts(total=timeout),
            retry=RetryPolicy() if retry is None else retry,
        )
        self._shared = shared
        self._driver = shared.driver(source)

    @takes_secrets
    def with_options(
        self,
        *,
        api_key: ApiKey | UnsetType = UNSET,
        timeout: float | Timeouts | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        background: bool | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
    ) -> Self:
        other = self._copy_as(type(self))
        if not isinstance(timeout, Timeouts | UnsetType):
            timeout = attr.evolve(self._options.timeouts, total=timeout)
        given = {"timeouts": timeout, "retry": retry, "background": background, "name": name}
        # Not `replace`, which checks nothing in msgspec 0.19.
        options: dict[str, Any] = msgspec.structs.asdict(self._options)
        options |= {option: value for option, value in given.items() if value is not UNSET}
        other._options = Options(**options)  # noqa: SLF001 - of a copy
        if api_key is not UNSET:
            other._driver = self._shared.driver(KeySource(api_key))  # noqa: SLF001 - of a copy
        return other

    def _copy_as(self, kind: type[_ClientT]) -> _ClientT:
        """Return a client, perhaps of another resource, with the same options and connections."""
        other = object.__new__(kind)
        for name, value in vars(self).items():
            # A cached client of another resource has the options of this one.
            if not isinstance(getattr(type(self), name, None), cached_property):
                vars(other)[name] = value
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__.removeprefix('Base')}>"

    def __reduce__(self) -> NoReturn:
        raise errors.ClientStateError(
            "a client cannot be pickled or copied, since it holds the API key and connections; "
            "make one in each process"
        )

    async def aclose(self, *, grace: float = 0.0) -> None:
        check_seconds("grace", grace, zero=True)
        await self._shared.aclose(grace)

    async def __aenter__(self) -> Self:
        self._shared.driver_now(self._driver).check_state()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _begin(
        self, operation: str, collection: Collection | None = None
    ) -> TimeLimit[DrivenCall[_L_co]]:
        """Begin a call, perhaps as a part of another one, and return the block that it runs in."""
        driver = self._shared.driver_now(self._driver)
        transport, options, whole = driver.transport, self._options, self._whole
        # A part of a call under way may begin although the client is closing.
        if whole is None or whole.driver.transport is not transport:
            driver.check_state()
        now, total = transport.now(), options.timeouts.total
        call = DrivenCall(
            collection or self._collection,
            operation,
            options,
            now,
            next(driver.slots.turns) + BACKGROUND * options.background,
            driver.key_source.fixed,
            math.inf if total is None else now + total,
            driver=driver,
            lookup=driver.lookup,
        )
        if whole is not None:
            call.whole, call.attempts = whole, whole.attempts
            call.deadline = min(call.deadline, now + whole.deadline - whole.now())
        limit = call.time_limit = transport.time_limit(call)
        return limit
