"""The parts of a contract that are the same for every resource.

A rule is a test; it makes its roles under random names, and shows the case in which it failed.
"""

import asyncio
import functools
import inspect
import secrets
import sys
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal, NoReturn, TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from arize_roles_async import (
    AlphaWarning,
    BetaWarning,
    Permission,
    Role,
    RolesClient,
    StatusError,
    ValidationError,
)
from arize_roles_async._values.errors import STATUS_ERRORS
from arize_roles_fake._service.assumptions import Assumptions
from arize_roles_fake.pytest_plugin import NOT_RUN

MAX_ROUNDS: Final = 10_000
"""Limit on the rounds of a loop that only the client ends."""

TICK: Final = 0.02
"""Seconds between two readings of a clock, which may tick only every 16 ms."""

PAUSES: Final = (0.0, *(TICK * 2**number for number in range(6)))
"""Seconds to wait, one after the other, until a clock has ticked, which may be once a second."""

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""A time that can be compared only with times that carry an offset."""

FAILURES: Final = (Exception, pytest.fail.Exception)

_MAX_WAITS: Final = 100
"""Limit on the waits of a rule until no client is stale."""

_MAX_CASE: Final = 200
"""Limit on the characters of a case in a failure."""

_S = TypeVar("_S", bound="Suite")
_C = TypeVar("_C")
_T = TypeVar("_T")


class Call:
    """A call of a client, which a failure shows as Python code."""

    def __init__(self, client: object, method: str, *args: object, **arguments: object) -> None:
        self._client = client
        self.method = method
        self._args = args
        self._arguments = arguments

    def __call__(self) -> Awaitable[object]:
        __tracebackhide__ = True
        begun: Awaitable[object] = self._begin()
        return begun

    async def found(self, visit: Callable[[Any], Awaitable[None]] | None = None) -> list[Any]:
        """Return the item that the call finds, or every item of a listing, each visited."""
        __tracebackhide__ = True
        begun: Any = self._begin()
        if hasattr(begun, "__aiter__"):
            return await walk(begun, visit)
        if visit is not None:
            await visit(None)
        return [await begun]

    def _begin(self) -> Any:  # noqa: ANN401 - of any method
        return getattr(self._client, self.method)(*self._args, **self._arguments)

    def __repr__(self) -> str:
        arguments = [repr(value) for value in self._args]
        arguments += [f"{name}={value!r}" for name, value in self._arguments.items()]
        return f"{self.method}({', '.join(arguments)})"


def rule(test: Callable[[_S], None]) -> Callable[[_S], None]:
    """Add rule, case and assumptions to a failure, and ignore notices of early stages."""
    rule = " ".join((test.__doc__ or "").split())

    @functools.wraps(test)
    def ask(self: Any) -> None:  # noqa: ANN401 - of any contract
        __tracebackhide__ = True
        try:
            with warnings.catch_warnings():
                for notice in (AlphaWarning, BetaWarning):
                    warnings.simplefilter("ignore", notice)
                test(self)
        except FAILURES as error:
            if rule:
                error.add_note(f"Rule: {rule}")
            for case in self._cases:
                error.add_note(f"Case: {repr(case)[:_MAX_CASE]}")
            if self._asked:
                error.add_note(f"Assumed: {', '.join(map('='.join, self._asked.items()))}")
            raise

    return ask


def with_client(test: Callable[[_S, _C], Coroutine[Any, Any, None]]) -> Callable[[_S], None]:
    """Return a synchronous test, for pytest, of an async method that takes a client.

    The client is a fresh one from `open_client`. What the test made is deleted at the end, however
    the test ends, or hangs.
    """

    @functools.wraps(test)
    def run(self: Any) -> None:  # noqa: ANN401 - of any contract
        __tracebackhide__ = True

        async def main() -> None:
            __tracebackhide__ = True
            async with self.open_client() as client:
                try:
                    await self._in_time(test(self, client))
                finally:
                    await self._end(client)

        self._run(main)

    # With it, pytest would take the parameters of the async method for fixtures.
    del run.__wrapped__
    return rule(run)


class _SuiteType(ABCMeta):
    """Makes a suite that lacks a method an error where pytest collects it.

    pytest passes over abstract classes, and says nothing.
    """

    def __init__(cls, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a class's own
        super().__init__(*args, **kwargs)
        cls.__abstractmethods__: frozenset[str] = frozenset()

    def __call__(cls: type[_T]) -> _T:
        """Return an instance for one test, or raise `TypeError` for the methods that it lacks."""
        __tracebackhide__ = True
        named = ((name, getattr(cls, name)) for name in sorted(dir(cls)))
        lacks = [name for name, method in named if getattr(method, "__isabstractmethod__", False)]
        if lacks:
            raise TypeError(
                f"{cls.__name__} lacks {', '.join(lacks)}: define what the contract's tests call"
            )
        made: _T = type.__call__(cls)
        # pytest collects no class that has an `__init__`.
        vars(made).update(_asked={}, _cases=[], _names=set())
        return made


class Suite(metaclass=_SuiteType):
    """The base of every contract: how its tests run, and the rules of a client of any resource."""

    backend: Literal["asyncio", "trio"] = "asyncio"
    """The event loop that the tests run under."""

    assumptions: Assumptions = Assumptions()
    """The behaviour that the tests expect where the service's reference is silent."""

    max_staleness: float = 0.0
    """The seconds for which a client may return what it has read, whatever other clients write."""

    rounds: int = 300
    """The number of times that `test_any_order` draws some calls."""

    time_limit: float = 60.0
    """The seconds after which a rule has failed, besides its waits for `max_staleness`."""

    _contract: ClassVar[type | None] = None
    """The contract whose rules a subclass inherits."""
    _asked: dict[str, str]
    """The assumptions that the rule has asked for, with their values."""
    _cases: list[object]
    """The cases that `_each` has yielded and that have not ended, the outermost first."""
    _names: set[str]
    """The names of the roles that are deleted at the end."""

    def __init_subclass__(cls, *, is_contract: bool = False) -> None:
        """Refuse what hides a rule: an override without a reason."""
        super().__init_subclass__()
        if not inspect.iscoroutinefunction(cls.outlast_caches):
            raise TypeError(f"{cls.__name__}.outlast_caches must be an async function")
        if is_contract:
            cls._contract = cls
        for name in [each for each in dir(cls._contract) if each.startswith("test_")]:
            override = getattr(cls, name)
            if override is not getattr(cls._contract, name) and not _says_why(override):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides a rule of the contract: it must be marked "
                    "with pytest.mark.skip or pytest.mark.xfail, without a condition and with the "
                    "reason"
                )

    @abstractmethod
    def open_client(self) -> AbstractAsyncContextManager[Any]:
        """Return a new client for each call, which is closed at the end of the block."""

    def other_key(self, *, grants: Iterable[Permission] | None = None) -> str:  # noqa: ARG002
        """Return an API key of the test's account that is not the client's. Optional.

        Args:
            grants: The permissions that it grants; all by default.
        """
        return self._not_offered("other_key")

    def short_pages(self) -> AbstractAsyncContextManager[None]:
        """Return a block in which every page of a list has at most one item. Optional."""
        return self._not_offered("short_pages")

    def accounts(self) -> tuple[Any, Any]:
        """Return the test's account, and an equal one, of which later IDs are equal. Optional."""
        return self._not_offered("accounts")

    async def _clean_up(self, client: Any, /) -> None:  # noqa: ANN401 - the same
        """Delete what the test made; nothing, where nothing can be made."""

    async def _end(self, client: object) -> None:
        """Clean up; an error in this does not replace the test's failure."""
        __tracebackhide__ = True
        failure = sys.exception()
        try:
            await self._in_time(self._clean_up(client))
        except FAILURES as error:
            if failure is None:
                raise
            failure.add_note(f"The clean-up failed too: {error!r}")

    async def _in_time(self, main: Awaitable[None]) -> None:
        """Await what a broken client may keep from its end."""
        __tracebackhide__ = True
        limit = self.time_limit + _MAX_WAITS * self.max_staleness
        with anyio.move_on_after(limit) as scope:
            await main
        if scope.cancelled_caught:
            pytest.fail(f"it has not ended after {limit} seconds")

    def _not_offered(self, method: str) -> NoReturn:
        pytest.skip(f"{NOT_RUN}: {type(self).__name__} does not offer {method}")

    def _assumed(self, name: str) -> Any:  # noqa: ANN401 - a word or a status
        """Return the value of an assumption, which a failure of the rule names."""
        value = getattr(self.assumptions, name)
        self._asked[name] = str(value)
        return value

    def _refusal(self, name: str) -> type[StatusError]:
        """Return the class of the error that an assumption about a status leads to."""
        return STATUS_ERRORS[self._assumed(name)]

    def _refused_if(self, name: str, value: int | str) -> AbstractContextManager[object]:
        """Return a block that must be refused if an assumption has a value.

        The value is the status of the refusal; if it is a word, the status is 409.
        """
        if self._assumed(name) != value:
            return nullcontext()
        return pytest.raises(STATUS_ERRORS[value if isinstance(value, int) else 409])

    def _in_order(self, *made: _T) -> tuple[_T, ...]:
        """Return items, given in the order in which they were made, in the order of a list."""
        return made[::-1] if self._assumed("list_order") == "newest-first" else made

    async def outlast_caches(self) -> None:
        """Wait until no client may be stale; override it if the clients' clock is not real."""
        if self.max_staleness:
            await anyio.sleep(self.max_staleness + TICK)

    def _run(self, main: Callable[[], Awaitable[object]]) -> None:
        """Run an async function in a new event loop, of which a failure shows no frames."""
        __tracebackhide__ = True
        failures: list[BaseException] = []

        async def attempt() -> None:
            __tracebackhide__ = True
            try:
                await main()
            except FAILURES as error:
                failures.append(error)

        anyio.run(attempt, backend=self.backend)
        if failures:
            raise failures.pop()

    def _each(self, cases: Iterable[_T]) -> Iterator[_T]:
        """Yield the cases of a rule one by one; a failure says in which one it came."""
        for case in cases:
            self._cases.append(case)
            yield case
            self._cases.pop()

    def _unique(self, name: str) -> str:
        """Return a name that begins with `name` and that no role of the account has."""
        return self._remember(f"{name} (contract {secrets.token_hex(5)})")

    def _remember(self, name: str) -> str:
        """Have the role with this name deleted at the end of the test."""
        self._names.add(name)
        return name

    async def _delete_roles(self, roles: RolesClient) -> None:
        if not self._names:
            return
        for role in await walk(roles.list(is_predefined=False)):
            if role.name in self._names:
                await roles.delete(role_id=role.id)

    async def _make(self, roles: RolesClient, name: str = "Role", **given: Any) -> Role:  # noqa: ANN401
        """Make a role under a unique name, for a test that is about something else."""
        __tracebackhide__ = True
        arguments: dict[str, Any] = {"permissions": [Permission.PROJECT_READ], **given}
        return await roles.create(name=self._unique(name), **arguments)

    async def _all_raise(
        self,
        error: type[BaseException] | tuple[type[BaseException], ...],
        calls: Iterable[Callable[[], Awaitable[object]]],
    ) -> None:
        """Expect an error of each call."""
        __tracebackhide__ = True
        for call in self._each(calls):
            with pytest.raises(error):
                await call()

    async def _all_invalid(self, calls: Iterable[Call], *fields: str) -> None:
        """Expect a `ValidationError` of each call, which names these arguments and no other."""
        __tracebackhide__ = True
        wanted = sorted(fields)
        for call in self._each(calls):
            with pytest.raises(ValidationError) as caught:
                await call()
            violations = caught.value.violations
            named = sorted({name for each in violations for name in each.field.split(", ")})
            assert named == wanted, (
                f"the error must name {wanted}, and names {named}: {caught.value}"
            )
            assert all(each.message for each in violations)

    async def _ends_cancelled(self, call: Call) -> bool:
        """Cancel a call once it waits, and return whether that ended it."""
        if self.backend == "asyncio":
            # A task is cancelled once, where a scope would cancel each of its further attempts.
            task = asyncio.ensure_future(call())
            await checkpoint()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return task.cancelled()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        return scope.cancelled_caught


async def walk(
    listing: AsyncIterable[_T], visit: Callable[[_T], Awaitable[None]] | None = None
) -> list[_T]:
    """Return every item of a listing, each visited as it comes."""
    seen: list[_T] = []
    async for item in listing:
        seen.append(item)
        assert len(seen) <= MAX_ROUNDS, "the listing does not end"
        if visit is not None:
            await visit(item)
        await checkpoint()  # Other tasks run, and a cancellation arrives.
    return seen


async def together(*calls: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run calls at the same time; the first failure ends the others, and is raised alone."""
    __tracebackhide__ = True
    failures: list[BaseException] = []

    async with anyio.create_task_group() as tasks:

        async def run(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
            __tracebackhide__ = True
            try:
                await call()
            except FAILURES as error:
                failures.append(error)
                tasks.cancel_scope.cancel()

        for call in calls:
            tasks.start_soon(run, call)
    if failures:
        raise failures[0]


def _says_why(test: object) -> bool:
    """Return whether a test is marked so that the report shows it with a reason."""
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    return any(
        any((*mark.args, mark.kwargs.get("reason")))
        and (mark.name == "skip" or not (mark.args or "condition" in mark.kwargs))
        for mark in marks
        if mark.name in {"skip", "xfail"}
    )
