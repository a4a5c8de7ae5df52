"""Someone else's `RolesClient`: the contract suite passes it, and says which rule it breaks."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Self, cast

import anyio
import attrs
import pytest
import trio

from arize_roles_async import (
    ClientStateError,
    ConflictError,
    ForbiddenError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    PaginationMetadata,
    RateLimitError,
    Role,
    RolePages,
    RolesClient,
    RolesError,
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


def on_error(
    method: str, error: type[RolesError], tests: str
) -> Callable[[Callable[..., Awaitable[Any]]], object]:
    """List a client that does something else where a method raises an error."""

    def add(handle: Callable[..., Awaitable[Any]]) -> object:
        async def call(self: WrappingClient, **arguments: Any) -> Any:
            try:
                return await getattr(self.inner, method)(**arguments)
            except error as raised:
                return await handle(self, raised, **arguments)

        return breaks(tests)(type(handle.__name__, (WrappingClient,), {method: call}))

    return add


@breaks("test_call_after_close")
class RemembersAfterClosing(WrappingClient):
    _last: Role

    async def get(self, **target: Any) -> Role:
        with contextlib.suppress(ClientStateError):
            self._last = await super().get(**target)
        return self._last


@on_error("create", ConflictError, "test_name_taken")
async def creates_over_predefined_names(
    client: RolesClient, error: ConflictError, **arguments: Any
) -> Role:
    role = await client.get(role=arguments["name"])
    if role.is_predefined:
        return role
    raise error


@breaks("test_filter")
class ForgetsTheFilter(WrappingClient):
    def list(self, **arguments: Any) -> RolePages:
        if arguments.get("limit") is None and arguments.get("is_predefined") is False:
            del arguments["is_predefined"]
        return super().list(**arguments)


@breaks("test_replace_permissions")
class SortsPermissions(WrappingClient):
    async def update(self, **arguments: Any) -> Role:
        role = await super().update(**arguments)
        return attrs.evolve(role, permissions=role.permissions and tuple(sorted(role.permissions)))


@on_error("delete", ForbiddenError, "test_delete_predefined")
async def leaves_predefined_roles_alone(_: object, error: ForbiddenError, **target: Any) -> None:
    del target
    if "predefined" not in str(error):
        raise error


@on_error("get", NotFoundError, "test_name_match_exact")
async def finds_names_in_any_case(client: RolesClient, error: NotFoundError, **target: Any) -> Role:
    for name in error.closest:
        if name.lower() == target.get("role"):
            return await client.get(role=name)
    raise error


@breaks("test_permissions_not_iterable")
class TakesOneStringForPermissions(WrappingClient):
    async def create(self, **arguments: Any) -> Role:
        if isinstance(arguments["permissions"], str):
            arguments["permissions"] = [arguments["permissions"]]
        return await super().create(**arguments)


@breaks("test_create_makes_one")
class MakesASecondRole(WrappingClient):
    async def create(self, **arguments: Any) -> Role:
        role = await super().create(**arguments)
        if arguments["name"].startswith("One ("):
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


@on_error("delete", ConflictError, "test_delete_bound")
async def accepts_a_bound_roles_deletion(*_: object, **target: Any) -> None:
    del target


@on_error("get", ForbiddenError, "test_read_without_grant")
async def takes_forbidden_for_missing(*_: object, **target: Any) -> Role:
    del target
    raise NotFoundError("there is no such role")


@on_error("delete", RateLimitError, "test_rate_limited")
async def keeps_the_wait_to_itself(_: object, error: RateLimitError, **target: Any) -> None:
    del target
    error.retry_after = None
    raise error


@on_error("delete", OutcomeUnknownError, "test_undecodable")
async def leaks_its_library(*_: object, **target: Any) -> None:
    del target
    raise LookupError("the body cannot be decoded")


@on_error("create", ForbiddenError, "test_plan_used_up")
async def keeps_the_plan_to_itself(_: object, error: ForbiddenError, **arguments: Any) -> Role:
    del arguments
    if error.problem and error.problem.limit is not None:
        error.problem = None
    raise error


@breaks("test_name_race test_other_takes_name")
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


@on_error("update", ForbiddenError, "test_write_without_grant")
async def ignores_a_forbidden_update(
    client: RolesClient, error: ForbiddenError, **arguments: Any
) -> Role:
    target = {name: arguments[name] for name in ("role", "role_id") if name in arguments}
    if "predefined" in str(error):
        raise error
    return await client.get(**target)


@breaks("test_next_loop")
class KeepsItsFirstLoop(WrappingClient):
    _loop: asyncio.AbstractEventLoop | None = None

    def list(self, **arguments: Any) -> RolePages:
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise ClientStateError("the client belongs to another event loop")
        return super().list(**arguments)


@breaks("test_key_of_copy test_other_sees_delete test_other_sees_rename test_other_sees_update")
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
        suite_of(Raises)().test_name_bad_character()


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
