"""Clients of role bindings that break a rule, and fail the tests of that rule alone."""

# ruff: noqa: ANN401 - arguments are handed on as they come

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import pytest

from arize_roles_async import (
    ConflictError,
    ListRoleBindingsResponse,
    PaginationMetadata,
    RoleBinding,
    RoleBindingPages,
    RoleBindingResourceType,
    RoleBindingsClient,
)
from arize_roles_async._role_bindings.client import BaseRoleBindingsClient
from arize_roles_fake.contract import DirectoryContract, RoleBindingsContract
from tests.contract.suites import FakeBindingsSuite, failed_tests, sample


class TakesTheExisting(BaseRoleBindingsClient):
    async def create(self, **arguments: Any) -> RoleBinding:
        try:
            return await super().create(**arguments)
        except ConflictError:
            return await self.ensure(**arguments)


class MakesAnew(BaseRoleBindingsClient):
    async def update(self, *, binding_id: str, role_id: str) -> RoleBinding:
        binding = await super().update(binding_id=binding_id, role_id=role_id)
        await self.delete(binding_id=binding_id)
        return await self.create(
            user_id=binding.user_id,
            role_id=role_id,
            resource_type=binding.resource_type,
            resource_id=binding.resource_id,
        )


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


class KeepsTheRole(BaseRoleBindingsClient):
    async def ensure(self, **arguments: Any) -> RoleBinding:
        try:
            return await self.create(**arguments)
        except ConflictError:
            place = {name: arguments[name] for name in ("user_id", "resource_id")}
            async for binding in self.find(**place):
                return binding
            raise


class RemovesEverything(BaseRoleBindingsClient):
    async def remove(self, *, user_id: str, **place: Any) -> bool:
        was_there = await super().remove(user_id=user_id, **place)
        if was_there:
            for each in [each async for each in self.find(user_id=user_id)]:
                if each.resource_type == "PROJECT":
                    await self.delete(binding_id=each.id)
        return was_there


BROKEN: Final[list[tuple[type[BaseRoleBindingsClient], str]]] = [
    (TakesTheExisting, "second_role"),
    (MakesAnew, "change_hidden other_sees update update_to_own_role"),
    (ListsBothTypes, "filters"),
    (RemovesEverything, "remove"),
    (KeepsTheRole, "change_hidden ensure"),
]


def suite_of(client: type[BaseRoleBindingsClient]) -> type:
    """Return the suite of a client in place of the fake's."""

    def open_client(self: FakeBindingsSuite) -> AbstractAsyncContextManager[RoleBindingsClient]:
        bindings = self.open_roles().role_bindings
        bindings.__class__ = client
        return bindings

    return type("Suite", (FakeBindingsSuite,), {"open_client": open_client})


def failing() -> Iterator[tuple[type, str]]:
    """Yield suites of broken clients, with the tests that fail."""
    for client, tests in BROKEN:
        yield from ((suite_of(client), f"test_{test}") for test in tests.split())


@pytest.mark.parametrize(("client", "tests"), BROKEN)
def test_broken_rule(client: type[BaseRoleBindingsClient], tests: str) -> None:
    """A client that breaks a rule fails the tests of that rule, and no other."""
    broken = " ".join(f"test_{name}" for name in tests.split())
    asked = sample(client, broken, RoleBindingsContract)
    assert failed_tests(suite_of(client), asked) == broken.split()


@pytest.mark.parametrize("contract", [RoleBindingsContract, DirectoryContract])
def test_not_offered(contract: type) -> None:
    """A suite without other keys skips the rules that need them, and the report says why."""

    methods = ("open_client", "open_roles", "user_ids", "space_ids", "project_ids")
    bare: Any = type("Bare", (contract,), dict.fromkeys(methods))
    with pytest.raises(pytest.skip.Exception, match=r"Bare does not offer other_key$"):
        bare().other_key()
