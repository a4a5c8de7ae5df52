"""Someone else's `RolesClient`: the contract suite passes it, and says which rule it breaks."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import copy
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal, Self, overload

import attrs
import pytest

from arize_roles_async import (
    UNSET,
    AnyPermission,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RetryPolicy,
    Role,
    RolePages,
    RolesClient,
    Timeouts,
    Unset,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake.contract import RolesContract, with_client

TESTS = sum(name.startswith("test_") for name in dir(RolesContract))


class CachingClient:
    """Remembers every role that it was asked for by ID, until it is changed through it."""

    def __init__(self, inner: RolesClient) -> None:
        self._inner = inner
        self._cache: dict[str, Role] = {}

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | None = None,
    ) -> RolePages:
        return self._inner.list(limit=limit, cursor=cursor, is_predefined=is_predefined)

    @overload
    async def get(self, *, role_id: str) -> Role: ...
    @overload
    async def get(self, *, role: str) -> Role: ...
    async def get(self, **target: Any) -> Role:
        if list(target) != ["role_id"] or target["role_id"] not in self._cache:
            role = await self._inner.get(**target)
            self._cache[role.id] = role
            return role
        return self._cache[target["role_id"]]

    async def create(
        self,
        *,
        name: str,
        permissions: Iterable[AnyPermission | str],
        description: str | None = None,
    ) -> Role:
        return await self._inner.create(name=name, permissions=permissions, description=description)

    @overload
    async def update(
        self,
        *,
        role_id: str,
        name: str | None = None,
        description: str | Literal[Unset.UNSET] | None = UNSET,
        permissions: Iterable[AnyPermission | str] | None = None,
    ) -> Role: ...
    @overload
    async def update(
        self,
        *,
        role: str,
        name: str | None = None,
        description: str | Literal[Unset.UNSET] | None = UNSET,
        permissions: Iterable[AnyPermission | str] | None = None,
    ) -> Role: ...
    async def update(self, **arguments: Any) -> Role:
        role = await self._inner.update(**arguments)
        self._cache[role.id] = role
        return role

    @overload
    async def delete(self, *, role_id: str) -> None: ...
    @overload
    async def delete(self, *, role: str) -> None: ...
    async def delete(self, **target: Any) -> None:
        # Which role a name meant is not known here, so nothing is remembered.
        self._cache.clear()
        await self._inner.delete(**target)

    def with_options(
        self,
        *,
        timeout: float | Timeouts | Literal[Unset.UNSET] | None = UNSET,
        retry: RetryPolicy | Literal[Unset.UNSET] = UNSET,
    ) -> Self:
        other = copy.copy(self)
        other._inner = self._inner.with_options(timeout=timeout, retry=retry)
        return other

    async def aclose(self) -> None:
        self._cache.clear()
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self.aclose()


class TestCachingClient(RolesContract):
    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return CachingClient(FakeRolesClient())


# Each of these breaks one rule.


class RemembersAfterClosing(CachingClient):
    async def aclose(self) -> None:
        await self._inner.aclose()


class RemembersWhatWasDeleted(CachingClient):
    async def delete(self, **target: Any) -> None:
        await self._inner.delete(**target)


class RemembersWhatWasUpdated(CachingClient):
    async def update(self, **arguments: Any) -> Role:
        return await self._inner.update(**arguments)


class CreatesOverPredefinedNames(CachingClient):
    async def create(self, **arguments: Any) -> Role:
        try:
            return await super().create(**arguments)
        except ConflictError:
            role = await self.get(role=arguments["name"])
            if role.is_predefined:
                return role
            raise


class ForgetsTheFilter(CachingClient):
    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        is_predefined: bool | None = None,
    ) -> RolePages:
        if limit is None and is_predefined is False:
            is_predefined = None
        return super().list(limit=limit, cursor=cursor, is_predefined=is_predefined)


class SortsPermissions(CachingClient):
    async def update(self, **arguments: Any) -> Role:
        role = await super().update(**arguments)
        return attrs.evolve(role, permissions=tuple(sorted(role.permissions or ())))


class SwallowsAForbiddenDeletion(CachingClient):
    async def delete(self, **target: Any) -> None:
        try:
            await super().delete(**target)
        except ForbiddenError:
            return


class FindsNamesInAnyCase(CachingClient):
    async def get(self, **target: Any) -> Role:
        try:
            return await super().get(**target)
        except NotFoundError as error:
            for name in error.closest:
                if name.lower() == target.get("role"):
                    return await super().get(role=name)
            raise


class TakesOneStringForPermissions(CachingClient):
    async def create(self, *, permissions: Any, **arguments: Any) -> Role:
        if not isinstance(permissions, str):
            return await super().create(permissions=permissions, **arguments)
        return await super().create(permissions=[permissions], **arguments)


def failed_tests(client: type[CachingClient]) -> list[str]:
    """Run the suite on a client, as pytest would, and return the tests that failed."""

    class Suite(RolesContract):
        def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
            return client(FakeRolesClient())

    failed: list[str] = []
    for name, _ in inspect.getmembers(RolesContract, inspect.isfunction):
        if name.startswith("test_"):
            try:
                getattr(Suite(), name)()
            except (Exception, pytest.fail.Exception):  # noqa: BLE001 - all that pytest counts as one
                failed.append(name)
    return failed


@pytest.mark.parametrize(
    ("client", "test"),
    [
        (RemembersAfterClosing, "test_call_after_close"),
        (RemembersWhatWasDeleted, "test_delete"),
        (RemembersWhatWasUpdated, "test_update_returns_role"),
        (CreatesOverPredefinedNames, "test_name_of_predefined"),
        (ForgetsTheFilter, "test_filter_custom"),
        (SortsPermissions, "test_replace_permissions"),
        (SwallowsAForbiddenDeletion, "test_delete_predefined"),
        (FindsNamesInAnyCase, "test_name_match_exact"),
        (TakesOneStringForPermissions, "test_permissions_not_iterable"),
    ],
)
def test_broken_rule_fails_the_test_that_is_named_after_it(
    client: type[CachingClient], test: str
) -> None:
    assert failed_tests(client) == [test]


def test_client_that_keeps_the_rules_fails_no_test() -> None:
    assert failed_tests(CachingClient) == []


SUITE = """
from arize_roles_fake import FakeRolesClient
from arize_roles_fake.contract import RolesContract

class TestClient(RolesContract):
    def open_client(self):
        return FakeRolesClient()
"""
OVERRIDE = """
    import pytest

    @pytest.mark.skip("this client is never closed")
    def test_close_twice(self) -> None: ...
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    def run_suite(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*arguments)

    return run_suite


@pytest.mark.parametrize("without", ["", "anyio", "aiohttp asyncio", "aiohttp asyncio anyio"])
def test_suite_runs_with_any_async_plugin_and_with_none(
    run: Callable[..., pytest.RunResult], without: str
) -> None:
    flags = [flag for plugin in without.split() for flag in ("-p", f"no:{plugin}")]
    run(SUITE, *flags).assert_outcomes(passed=TESTS)


def test_override_of_a_rule_stays_visible(run: Callable[..., pytest.RunResult]) -> None:
    result = run(SUITE + OVERRIDE, "-k", "close_twice", "-rs")
    result.assert_outcomes(skipped=1, deselected=TESTS - 1)
    result.stdout.fnmatch_lines("*this client is never closed*")


def test_every_test_says_which_rule_it_holds() -> None:
    for name, test in inspect.getmembers(RolesContract, inspect.isfunction):
        if name.startswith("test_"):
            assert test.__doc__
            assert list(inspect.signature(test).parameters) == ["self"]


class _LeavesARole(RolesContract):
    """A client whose account outlives it, and a test that fails after it made a role."""

    account = FakeAccount()

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return FakeRolesClient(self.account)

    @with_client
    async def fail(self, roles: RolesClient) -> None:
        await self.make(roles)
        raise LookupError


def test_what_a_failing_test_made_is_deleted() -> None:
    suite = _LeavesARole()
    suite.account.add_role("Theirs")
    with pytest.raises(LookupError):
        suite.fail()
    suite.account.assert_roles({"Theirs": set()})


def test_suite_leaves_an_account_as_it_was() -> None:
    suite = _LeavesARole()
    suite.account.add_role("A role of the account's", ["SPACE_READ"])
    before = suite.account.roles
    for name, test in inspect.getmembers(_LeavesARole, inspect.isfunction):
        if name.startswith("test_"):
            test(_LeavesARole())
    assert suite.account.roles == before
