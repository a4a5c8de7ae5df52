"""Clients with a fault of several calls, which no line of `data/contract.toml` says."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import functools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Self

import attrs
import pytest

from arize_roles_async import (
    UNSET,
    ConflictError,
    ListRoleBindingsResponse,
    ListRolesResponse,
    NotFoundError,
    PaginationMetadata,
    Role,
    RoleBinding,
    RoleBindingPages,
    RoleBindingResourceType,
    RolePages,
    RolesError,
    UserPages,
)
from arize_roles_fake import FakeRolesClient
from tests.contract.suites import FakeBindingsSuite, FakeDirectorySuite, FakeSuite, failure
from tests.contract.wrapping import Wrapper


class NeverEnds(Wrapper):
    def list(self, **arguments: Any) -> RolePages:
        async def fetch(**page: Any) -> Any:
            if page["limit"] == 50:  # Of one page, and not of a walk.
                return await self.inner.list(**page)
            page["cursor"] = None
            first = await self.inner.list(**page)
            more = PaginationMetadata(has_more=True, next_cursor=secrets.token_hex(8))
            return attrs.evolve(first, pagination=more)

        if not isinstance(arguments.get("is_predefined"), bool) and arguments.get("limit") is None:
            return RolePages.from_fetch(fetch, **arguments)
        pages: RolePages = self.inner.list(**arguments)
        return pages


class LooksAtOnePage(Wrapper):
    async def get(self, **target: Any) -> Any:
        page = await self.inner.list(limit=100)
        if "role" not in target or not page.pagination.has_more:
            return await self.inner.get(**target)
        return next((role for role in page if role.name == target["role"]), None)


class ListsByChange(Wrapper):
    """Lists first what was changed last."""

    def list(self, **arguments: Any) -> RolePages:
        async def fetch(**page: Any) -> Any:
            found = await self.inner.list(is_predefined=page.get("is_predefined", UNSET)).all()
            roles = sorted(found, key=lambda role: role.updated_at, reverse=True)
            at, size = int(page["cursor"] or 0), page["limit"]
            end = PaginationMetadata(has_more=at + size < len(roles), next_cursor=str(at + size))
            return ListRolesResponse(roles=tuple(roles[at : at + size]), pagination=end)

        return RolePages.from_fetch(fetch, **arguments)


class NotesItsKey(Wrapper):
    key: object = None

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        other.key = options.get("api_key")
        return other

    async def delete(self, **target: Any) -> None:
        try:
            await self.inner.delete(**target)
        except NotFoundError as error:
            error.add_note(f"deleted with {self.key}")
            raise


class LeavesCopiesOpen(Wrapper):
    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        other.inner = FakeRolesClient(self.inner.account).with_options(**options)
        return other


class UnwrapsItsCopy(Wrapper):
    def with_options(self, **options: Any) -> Any:
        return self.inner.with_options(**options)


class DeletesTwice(Wrapper):
    async def delete(self, **target: Any) -> None:
        try:
            await self.inner.delete(**target)
        except RolesError:
            await self.inner.delete(**target)


class KeepsTheRole(Wrapper):
    async def ensure(self, **arguments: Any) -> Any:
        try:
            return await self.inner.create(**arguments)
        except ConflictError:
            place = {name: arguments[name] for name in ("user_id", "resource_id")}
            async for binding in self.inner.find(**place):
                return binding
            raise


class BindsAgain(Wrapper):
    async def create(self, **arguments: Any) -> Any:
        try:
            return await self.inner.create(**arguments)
        except ConflictError:
            place = {name: arguments[name] for name in ("user_id", "resource_id")}
            async for binding in self.inner.find(**place):
                if binding.role_id != (role_id := arguments["role_id"]):
                    return await self.inner.update(binding_id=binding.id, role_id=role_id)
            raise


class ListsBothTypes(Wrapper):
    def list(self, **arguments: Any) -> Any:
        async def fetch(**page: Any) -> ListRoleBindingsResponse:
            found: list[RoleBinding] = []
            for each in RoleBindingResourceType:
                asked: Any = {**page, "resource_type": each}
                found += await self.inner.list(**asked)
            return ListRoleBindingsResponse(
                role_bindings=tuple(found), pagination=PaginationMetadata(has_more=False)
            )

        if "user_id" in arguments:
            return self.inner.list(**arguments)
        return RoleBindingPages.from_fetch(fetch, **arguments)


class OneWalk(Wrapper):
    """A listing whose loops go on with one and the same walk, until it ends."""

    walk: AsyncIterator[Any] | None = None

    def __await__(self) -> Any:
        return self.inner.__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        self.walk = self.walk or self._each()
        return self.walk

    async def _each(self) -> AsyncIterator[Any]:
        async for each in self.inner:
            yield each
        self.walk = None


class SharesItsWalk(Wrapper):
    def list(self, **arguments: Any) -> Any:
        return OneWalk(self.inner.list(**arguments))


class FiltersLate(Wrapper):
    """Makes pages of all users, and leaves out of each page who is not asked for."""

    def users(self, **arguments: Any) -> Any:
        async def fetch(page: Any) -> Any:
            found: Any = await self.inner.users(limit=page.limit, cursor=page.cursor)
            part = (page.email or "").lower()
            return attrs.evolve(
                found, users=tuple(each for each in found if part in str(each.email).lower())
            )

        return UserPages(fetch, **arguments)


class FirstPageOnly(Wrapper):
    def users(self, **arguments: Any) -> Any:
        async def fetch(page: Any) -> Any:
            found: Any = await self.inner.users(limit=page.limit, email=page.email)
            return attrs.evolve(found, pagination=PaginationMetadata(has_more=False))

        return UserPages(fetch, **arguments)


class SharesItsCache(Wrapper):
    """Remembers whom it found, also for the copies with other keys."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.found: dict[str, Any] = {}

    async def get_user(self, **named: Any) -> Any:
        if (user := named["user"]) not in self.found:
            self.found[user] = await self.inner.get_user(**named)
        return self.found[user]


class KeepsItsKey(Wrapper):
    key: object = None

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        other.key = options.get("api_key")
        return other

    async def get_user(self, **named: Any) -> Any:
        try:
            return await self.inner.get_user(**named)
        except RolesError as error:
            vars(error)["key"] = self.key
            raise


BROKEN: Final[list[tuple[Any, type, str]]] = [
    (FakeSuite, LeavesCopiesOpen, "test_close_shared"),
    (FakeSuite, NeverEnds, "test_filter"),
    (FakeSuite, LooksAtOnePage, "test_name_on_any_page"),
    (FakeSuite, SharesItsWalk, "test_listing_is_lazy"),
    (FakeSuite, ListsByChange, "test_walk_during_updates"),
    (FakeSuite, NotesItsKey, "test_key_in_errors"),
    (FakeSuite, UnwrapsItsCopy, "test_key_of_copy"),
    (FakeSuite, DeletesTwice, "test_key_of_copy"),
    (FakeDirectorySuite, FiltersLate, "test_page"),
    (FakeDirectorySuite, FirstPageOnly, "test_pages"),
    (FakeDirectorySuite, SharesItsCache, "test_without_user_read"),
    (FakeDirectorySuite, KeepsItsKey, "test_key_in_errors"),
    (FakeBindingsSuite, KeepsTheRole, "test_ensure"),
    (FakeBindingsSuite, BindsAgain, "test_memory"),
    (FakeBindingsSuite, ListsBothTypes, "test_filters"),
]


def broken(suite: Any, client: type[Wrapper]) -> Any:
    """Return a suite whose client is another one, around its own."""

    def open_client(self: Any) -> Any:
        return client(suite.open_client(self))

    return type("Broken", (suite,), {"open_client": open_client})()


def failing() -> Iterator[tuple[Callable[[], object], str]]:
    """Yield suites of broken clients, each with the test that fails."""
    for suite, client, test in BROKEN:
        yield functools.partial(broken, suite, client), test


@pytest.mark.parametrize(("suite", "client", "test"), BROKEN)
def test_seen(suite: Any, client: type, test: str) -> None:
    """A client that breaks a rule fails an assertion of its test."""
    assert isinstance(failure(broken(suite, client), test), AssertionError | pytest.fail.Exception)


def test_other_error() -> None:
    """An error of another class, where an argument is invalid, is the one that the rule shows."""

    class Raises(Wrapper):
        async def create(self, **arguments: Any) -> Role:
            raise LookupError(arguments["name"])

    assert type(failure(broken(FakeSuite, Raises), "test_bad_name")) is LookupError
