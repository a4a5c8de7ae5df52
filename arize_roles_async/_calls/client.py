"""A client without methods: its options, its end, and the calls that its methods begin."""

import time
from collections.abc import Awaitable
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Generic, NoReturn, Self, TypeVar, cast

import attr
from msgspec import UNSET, UnsetType

from arize_roles_async._calls.api_key import ApiKey, KeySource
from arize_roles_async._calls.call import FindOutcome
from arize_roles_async._calls.collection import Collection
from arize_roles_async._calls.driver import DrivenCall, Shared
from arize_roles_async._calls.protocol import Client
from arize_roles_async._calls.queue import BACKGROUND
from arize_roles_async._values.errors import ClientStateError, NotFoundError
from arize_roles_async._values.options import RetryPolicy, Timeouts, check_seconds, check_type
from arize_roles_async._wire.secrets import takes_secrets

_L_co = TypeVar("_L_co", covariant=True)
_T = TypeVar("_T")
_ClientT = TypeVar("_ClientT", bound="BaseClient[object]")


def begin(client: object, operation: str) -> DrivenCall[object] | None:
    """Begin a call of a client of ours, which other calls may be parts of."""
    ours = _ours(client)
    return None if ours is None else ours._begin(operation)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def part_of(call: DrivenCall[object] | None, client: _T) -> _T:
    """Return a client whose calls are parts of a call, if there is one and the client is of ours.

    The parts end with the call at the latest, and begin although the client is closing.
    """
    ours = _ours(client)
    if call is None or ours is None:
        return client
    copy = ours._copy_as(type(ours))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    vars(copy)["_whole"] = call
    return cast("_T", copy)


def _ours(client: object) -> "BaseClient[object] | None":
    # Not `isinstance`, after which its type is known in part alone.
    return cast("BaseClient[object]", client) if issubclass(type(client), BaseClient) else None


def may_be_since(call: DrivenCall[object], moment: datetime) -> bool:
    """Return whether a time of the service may be that of a change by a call.

    A time stands for the whole second or millisecond that it begins, as it is nowhere documented
    how exactly the service writes times.
    """
    stands_for = 1e-3 if moment.microsecond else 1.0
    earliest = call.created_since(call.driver.transport.now(), time.time())
    return moment.timestamp() + stands_for > earliest


async def expect_gone(
    found: Awaitable[object], step: FindOutcome, *, was_seen: bool
) -> UnsetType | None:
    """Return None if a call has deleted the item that `found` gets, or UNSET if that is open.

    Raises:
        RolesError: The failure of the change: the item is still there.
    """
    try:
        await found
    except NotFoundError:
        # If the service did nothing, as it says, somebody else has deleted it.
        return None if was_seen and not step.all_refused else UNSET
    # If it is there after a 404, the key lacks the right to delete it.
    if step.all_refused or isinstance(step.failure, NotFoundError):
        raise step.failure
    return UNSET


class BaseClient(Client, Generic[_L_co]):
    """The part of a client that is the same for every resource."""

    _collection: ClassVar[Collection]
    _background = False
    _whole: DrivenCall[object] | None = None
    """The call that the client's calls are parts of."""
    _name: str | None = None

    def __init__(
        self,
        shared: Shared[_L_co],
        source: KeySource,
        timeout: float | Timeouts | None,
        retry: RetryPolicy | None,
    ) -> None:
        self._timeouts = timeout if isinstance(timeout, Timeouts) else Timeouts(total=timeout)
        self._retry = RetryPolicy() if retry is None else retry
        check_type("retry", self._retry, RetryPolicy, "a RetryPolicy")
        self._shared = shared
        self._key_source = source
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
        if not isinstance(timeout, Timeouts):
            timeout = (
                self._timeouts if timeout is UNSET else attr.evolve(self._timeouts, total=timeout)
            )
        BaseClient.__init__(  # pyright: ignore[reportUnknownMemberType] - generic
            other,
            self._shared,
            self._key_source if api_key is UNSET else KeySource(api_key),
            timeout,
            self._retry if retry is UNSET else retry,
        )
        if background is not UNSET:
            check_type("background", background, bool, "True or False")
            other._background = background  # noqa: SLF001 - of a copy
        if name is not UNSET:
            check_type("name", name, str, "a string")
            other._name = name  # noqa: SLF001 - of a copy
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
        raise ClientStateError(
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
        self, operation: str, name: str | None = None, collection: Collection | None = None
    ) -> DrivenCall[_L_co]:
        """Begin a call, which keeps its driver from start to end, and runs in its `time_limit`."""
        driver = self._shared.driver_now(self._driver)
        whole = self._whole
        # A part of a call under way may begin although the client is closing.
        if whole is None or whole.driver.transport is not driver.transport:
            driver.check_state()
        key = driver.key_source.fixed
        call = DrivenCall(
            collection or self._collection,
            operation,
            self._timeouts,
            self._retry,
            driver.transport.now(),
            name,
            next(driver.slots.turns) + BACKGROUND * self._background,
            () if key is None else (key,),
            driver=driver,
            lookup=driver.lookup,
            client=self._name,
        )
        if whole is not None:
            left = whole.deadline - whole.driver.transport.now()
            call.deadline = min(call.deadline, call.sent_at + left)
        call.time_limit = driver.transport.time_limit(call)
        return call
