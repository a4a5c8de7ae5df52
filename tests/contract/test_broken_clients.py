"""Clients with a fault of several calls, which no line of `data/contract.toml` says."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import functools
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

import attrs
import pytest

from arize_roles_async import (
    ConflictError,
    ListRoleBindingsResponse,
    ListRolesResponse,
    NotFoundError,
    PaginationMetadata,
    RoleBinding,
    RoleBindingPages,
    RoleBindingResourceType,
    RolePages,
)
from arize_roles_async._role_bindings.client import BaseRoleBindingsClient
from tests.contract.faulty import failure
from tests.contract.suites import FakeBindingsSuite, FakeSuite
from tests.contract.wrapping import WrappingClient


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


class KeepsTheRole(BaseRoleBindingsClient):
    async def ensure(self, **arguments: Any) -> RoleBinding:
        try:
            return await self.create(**arguments)
        except ConflictError:
            place = {name: arguments[name] for name in ("user_id", "resource_id")}
            async for binding in self.find(**place):
                return binding
            raise


class ListsBothTypes(BaseRoleBindingsClient):
    def list(self, *, resource_type: str, **arguments: Any) -> RoleBindingPages:
        async def fetch(**page: Any) -> ListRoleBindingsResponse:
            found: list[RoleBinding] = []
            for each in RoleBindingResourceType:
                asked: dict[str, Any] = {**page, "resource_type": each}
                found += await super(ListsBothTypes, self).list(**asked)
            return ListRoleBindingsResponse(
                role_bindings=tuple(found), pagination=PaginationMetadata(has_more=False)
            )

        listing = super().list(resource_type=resource_type, **arguments)
        if arguments:
            return listing
        return RoleBindingPages.from_fetch(fetch, resource_type=resource_type)


class BrokenSuite(FakeSuite):
    client: type[WrappingClient]

    def connect(self, api_key: str) -> Any:
        inner: Any = super().connect(api_key)
        return self.client(inner)


class BrokenBindingsSuite(FakeBindingsSuite):
    client: type[BaseRoleBindingsClient]

    def open_client(self) -> Any:
        bindings = self.open_roles().role_bindings
        bindings.__class__ = self.client
        return bindings


BROKEN: Final[list[tuple[Any, type, str]]] = [
    (BrokenSuite, NeverEnds, "test_filter"),
    (BrokenSuite, NotesItsKey, "test_key_in_errors"),
    (BrokenBindingsSuite, KeepsTheRole, "test_ensure"),
    (BrokenBindingsSuite, ListsBothTypes, "test_filters"),
]


def suite_of(suite: Any, client: type) -> Any:
    """Return a suite of a client."""
    made = suite()
    made.client = client
    return made


def failing() -> Iterator[tuple[Callable[[], object], str]]:
    """Yield suites of broken clients, each with the test that fails."""
    for suite, client, test in BROKEN:
        yield functools.partial(suite_of, suite, client), test


@pytest.mark.parametrize(("suite", "client", "test"), BROKEN)
def test_seen(suite: Any, client: type, test: str) -> None:
    """A client that breaks a rule fails its test."""
    assert failure(suite_of(suite, client), test) is not None
