"""Someone else's `RolesClient`: the contract suite passes it, and says which rule it breaks."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Self, cast

import anyio
import attrs
import pytest
import trio

from arize_roles_async import (
    ClientStateError,
    ConflictError,
    ListRolesResponse,
    NotFoundError,
    PaginationMetadata,
    Role,
    RolePages,
    RolesClient,
)
from arize_roles_fake import FakeRolesClient
from tests.contract.suites import AccountSuite, FakeSuite, contract_tests, failed_tests, sample
from tests.contract.wrapping import (
    CacheOfSeconds,
    CachingClient,
    OtherWordsClient,
    WrappingClient,
)

END: Final = PaginationMetadata(has_more=False)


BROKEN: Final[list[tuple[type[WrappingClient], str]]] = []


def breaks(tests: str) -> Callable[[type[WrappingClient]], type[WrappingClient]]:
    """List a client that breaks one rule, or a few that belong together, with its tests."""

    def add(client: type[WrappingClient]) -> type[WrappingClient]:
        BROKEN.append((client, tests))
        return client

    return add


@breaks("test_call_after_close")
class RemembersAfterClosing(WrappingClient):
    _last: Role

    async def get(self, **target: Any) -> Role:
        with contextlib.suppress(ClientStateError):
            self._last = await super().get(**target)
        return self._last


@breaks("test_filter test_walk_sees_each_once")
class NeverEnds(WrappingClient):
    def list(self, **arguments: Any) -> RolePages:
        async def fetch(**page: Any) -> ListRolesResponse:
            if page["limit"] == 50:  # Of one page, and not of a walk.
                return await self.inner.list(**page)
            first = await self.inner.list(**{**page, "cursor": None})
            more = PaginationMetadata(has_more=True, next_cursor=secrets.token_hex(8))
            return attrs.evolve(first, pagination=more)

        if arguments.get("is_predefined") is None and arguments.get("limit") is None:
            return RolePages.from_fetch(fetch, **arguments)
        return super().list(**arguments)


@breaks("test_create")
class MakesASecondRole(WrappingClient):
    async def create(self, **arguments: Any) -> Role:
        role = await super().create(**arguments)
        if arguments["name"].startswith("AI Engineer ("):
            await super().create(**{**arguments, "name": f"{role.name} 2"})
        return role


@breaks("test_key_in_errors")
class NotesItsKey(WrappingClient):
    key: object = None

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        other.key = options.get("api_key")
        return other

    async def delete(self, **target: Any) -> None:
        try:
            await super().delete(**target)
        except NotFoundError as error:
            error.add_note(f"deleted with {self.key}")
            raise


@breaks("test_name_race")
class ReturnsTheRoleOfAnother(WrappingClient):
    def __init__(self, inner: RolesClient) -> None:
        super().__init__(inner)
        self._asked: list[str] = []

    async def create(self, **arguments: Any) -> Role:
        name = arguments["name"]
        is_new = name not in self._asked
        self._asked.append(name)
        try:
            return await super().create(**arguments)
        except ConflictError:
            role = await self.get(role=name)
            if is_new and not role.is_predefined:
                return role
            raise


@breaks("test_other_sees_create test_other_sees_rename")
class RemembersWhatIsMissing(WrappingClient):
    def __init__(self, inner: RolesClient) -> None:
        super().__init__(inner)
        self._missing: dict[object, NotFoundError] = {}

    async def get(self, **target: Any) -> Role:
        name = target.get("role")
        if isinstance(name, str) and name in self._missing:
            raise self._missing[name]
        try:
            return await super().get(**target)
        except NotFoundError as error:
            if error.name is not None:
                self._missing[error.name] = error
            raise

    async def create(self, **arguments: Any) -> Role:
        self._missing.clear()
        return await super().create(**arguments)

    async def update(self, **arguments: Any) -> Role:
        self._missing.clear()
        return await super().update(**arguments)


@breaks("test_one_grant_each test_write_without_read")
class ReadsWhatItUpdated(WrappingClient):
    async def update(self, **arguments: Any) -> Role:
        updated = await super().update(**arguments)
        return await super().get(role_id=updated.id)


@breaks("test_next_loop")
class KeepsItsFirstLoop(WrappingClient):
    _loop: asyncio.AbstractEventLoop | None = None

    def list(self, **arguments: Any) -> RolePages:
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise ClientStateError("the client belongs to another event loop")
        return super().list(**arguments)


@breaks("test_memory test_other_sees_delete test_other_sees_rename test_other_sees_update")
class RemembersRoles(CachingClient):
    """It can't know what another client writes, nor what another key may read."""


def swallows(method: str, *, again: bool) -> type[WrappingClient]:
    """Return a client that swallows a cancellation in one method, and then perhaps tries again."""

    class Swallows(WrappingClient):
        def list(self, **arguments: Any) -> RolePages:
            listing = super().list(**arguments)
            if method != "list":
                return listing

            async def fetch(**arguments: Any) -> ListRolesResponse:
                page: ListRolesResponse = await swallow(lambda: self.inner.list(**arguments))
                return page

            return RolePages.from_fetch(fetch, **arguments)

    async def swallow(call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except (asyncio.CancelledError, trio.Cancelled):
            return await call() if again else ListRolesResponse(roles=(), pagination=END)

    def swallowing(inner: RolesClient, **arguments: Any) -> Any:
        call = getattr(super(Swallows, cast("Any", inner)), method)
        return swallow(lambda: call(**arguments))

    if method != "list":
        setattr(Swallows, method, swallowing)
    return Swallows


def suite_of(client: Callable[[RolesClient], RolesClient], **members: object) -> Any:
    """Return the suite of a client around the fake's."""

    def connect(self: AccountSuite, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
        return client(FakeRolesClient(self.account, api_key=api_key))

    return type("Suite", (AccountSuite,), {"connect": connect, **members})


def failing() -> Iterator[tuple[type, str]]:
    """Yield suites of broken clients, with the tests that fail."""
    for client, tests in BROKEN:
        yield from ((suite_of(client), test) for test in tests.split())


class TestOtherWords(suite_of(OtherWordsClient)):  # type: ignore[misc]
    """A client may say everything in words of its own."""


@pytest.mark.parametrize(("client", "tests"), BROKEN)
def test_broken_rule(client: type[WrappingClient], tests: str) -> None:
    """A client that breaks a rule fails the tests of that rule, and no other."""
    assert failed_tests(suite_of(client), sample(client, tests)) == tests.split()


def test_other_error() -> None:
    """An error of another class, where an argument is invalid, is the one that the rule shows."""

    class Raises(WrappingClient):
        async def create(self, **arguments: Any) -> Role:
            raise LookupError(arguments["name"])

    with pytest.raises(LookupError):
        suite_of(Raises)().test_bad_name()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("method", ["list", "get", "create", "update", "delete"])
def test_swallows_cancel(method: str, again: bool) -> None:  # noqa: FBT001
    """A client that swallows a cancellation in any method fails the rule of cancellation alone."""
    client = swallows(method, again=again)
    tests = sample(client, "test_cancel_call")
    assert failed_tests(suite_of(client), tests) == ["test_cancel_call"]


@pytest.mark.parametrize("method", ["list", "get", "create", "update", "delete"])
def test_swallows_trio_cancel(method: str) -> None:
    """The rule of cancellation is asked under trio too."""

    with pytest.raises(AssertionError):
        suite_of(swallows(method, again=False), backend="trio")().test_cancel_call()


class CacheSuite(AccountSuite):
    """A cache whose roles live for five seconds of a clock of its own."""

    max_staleness = 5.0
    _now = 0.0

    def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
        return CacheOfSeconds(
            FakeRolesClient(self.account, api_key=api_key), 5.0, lambda: self._now
        )

    async def outlast_caches(self) -> None:
        self._now += self.max_staleness


class TestStaleness:
    """A client that may be stale for some seconds."""

    @pytest.mark.parametrize("name", contract_tests())
    def test_kept(self, name: str) -> None:
        """One that is no staler than its suite says passes every rule."""
        getattr(CacheSuite(), name)()

    def test_real_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By default the tests wait as long, and without staleness they do not wait."""
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        class StaleSuite(FakeSuite):
            max_staleness = 3.0

        monkeypatch.setattr(anyio, "sleep", sleep)
        FakeSuite().test_other_sees_create()
        assert waits == []
        StaleSuite().test_other_sees_create()
        assert waits == [3.02, 3.02]
