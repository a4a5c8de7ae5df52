"""Clients of role bindings that break a rule, and fail the tests of that rule alone."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from arize_roles_async import (
    ConflictError,
    NotFoundError,
    RoleBinding,
    RoleBindingPages,
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


class ForgetsTheUser(BaseRoleBindingsClient):
    def list(self, *, user_id: str | None = None, **arguments: Any) -> RoleBindingPages:
        listing = super().list(user_id=user_id, **arguments)
        return super().list(**arguments) if arguments.get("limit") is None else listing


class TakesHiddenForGone(BaseRoleBindingsClient):
    async def delete(self, *, binding_id: str) -> None:
        with contextlib.suppress(NotFoundError):
            await super().delete(binding_id=binding_id)


class RemovesInAnyCase(BaseRoleBindingsClient):
    async def remove(self, **place: Any) -> bool:
        await super().remove(**place)
        return True


class KeepsTheRole(BaseRoleBindingsClient):
    async def ensure(self, **arguments: Any) -> RoleBinding:
        try:
            return await self.create(**arguments)
        except ConflictError:
            place = {name: arguments[name] for name in ("user_id", "resource_id")}
            async for binding in self.find(**place):
                return binding
            raise


class FindsSpacesAlone(BaseRoleBindingsClient):
    def find(self, **filters: Any) -> AsyncIterator[RoleBinding]:
        found = super().find(**filters)

        async def spaces() -> AsyncIterator[RoleBinding]:
            async for binding in found:
                if binding.resource_type == "SPACE":
                    yield binding

        return spaces()


@pytest.mark.parametrize(
    ("client", "tests"),
    [
        (TakesTheExisting, "second_role"),
        (MakesAnew, "change_hidden other_sees update update_to_own_role"),
        (ForgetsTheUser, "filters unknown"),
        (TakesHiddenForGone, "change_hidden delete hidden other_sees status_error unknown_id"),
        (RemovesInAnyCase, "hidden remove"),
        (KeepsTheRole, "change_hidden ensure"),
        (FindsSpacesAlone, "each_place find"),
    ],
)
def test_broken_rule(client: type[BaseRoleBindingsClient], tests: str) -> None:
    """A client that breaks a rule fails the tests of that rule, and no other."""

    class Suite(FakeBindingsSuite):
        def open_client(self) -> AbstractAsyncContextManager[RoleBindingsClient]:
            bindings = super().open_client()
            bindings.__class__ = client
            return bindings

    broken = " ".join(f"test_{name}" for name in tests.split())
    asked = sample(client, broken, RoleBindingsContract)
    assert failed_tests(Suite, asked) == broken.split()


@pytest.mark.parametrize("contract", [RoleBindingsContract, DirectoryContract])
def test_not_offered(contract: type) -> None:
    """A suite without other keys skips the rules that need them, and the report says why."""

    methods = ("open_client", "open_roles", "user_ids", "space_ids", "project_ids")
    bare: Any = type("Bare", (contract,), dict.fromkeys(methods))
    with pytest.raises(pytest.skip.Exception, match=r"Bare does not offer other_key$"):
        bare().other_key()
