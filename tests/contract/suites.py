"""Contract suites over a fake account; each test has one of its own."""

import functools
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import pytest

from arize_roles_async import AiohttpRolesClient, Directory, RoleBindingsClient, RolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake.contract import (
    DirectoryContract,
    OnFakeAccount,
    RoleBindingsContract,
    RolesContract,
)
from tests.support.sizes import sized


def contract_tests(contract: type = RolesContract) -> list[str]:
    """Return the names of a contract's tests."""
    return [name for name in dir(contract) if name.startswith("test_")]


def failure(suite: object, rule: str) -> BaseException | None:
    """Return how a rule of a suite fails; None if it holds."""
    try:
        getattr(suite, rule)()
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all that pytest counts
        return error
    return None


START: Final = datetime.now(UTC)


class OnAccount(OnFakeAccount):
    rounds = sized(20, 300)

    @functools.cached_property
    def account(self) -> FakeAccount:
        """An account whose second takes 0.1 s, where rules wait until its clock ticks."""
        account = super().account
        if self.assumptions.timestamps == "seconds":
            account._clock = lambda: START + 10 * (datetime.now(UTC) - START)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return account

    def accounts(self) -> tuple[FakeAccount, FakeAccount]:
        """Return accounts on which time passes as it does for their clients."""
        ahead = self.account.now() - datetime.now(UTC)
        self.account._clock = lambda: datetime.now(UTC) + ahead  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return super().accounts()


class FakeSuite(OnAccount, RolesContract):
    """The fake client."""

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return FakeRolesClient(self.account)


class BlockSuite(FakeSuite):
    """A client that its block alone can hand out."""

    @asynccontextmanager
    async def open_client(self) -> AsyncGenerator[RolesClient]:
        async with FakeRolesClient(self.account) as roles:
            yield roles


class SocketSuite(OnAccount, RolesContract):
    """The real client, over a socket."""

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return AiohttpRolesClient(self.account.api_key, base_url=self.url)


class FakeBindingsSuite(OnAccount, RoleBindingsContract):
    """The fake client."""

    def open_roles(self) -> FakeRolesClient:
        return FakeRolesClient(self.account)

    def open_client(self) -> AbstractAsyncContextManager[RoleBindingsClient]:
        return self.open_roles().role_bindings


class SocketBindingsSuite(OnAccount, RoleBindingsContract):
    """The real client, over a socket."""

    def open_roles(self) -> AiohttpRolesClient:
        return AiohttpRolesClient(self.account.api_key, base_url=self.url)

    def open_client(self) -> AbstractAsyncContextManager[RoleBindingsClient]:
        return self.open_roles().role_bindings


class FakeDirectorySuite(OnAccount, DirectoryContract):
    """The fake client."""

    def open_client(self) -> AbstractAsyncContextManager[Directory]:
        return FakeRolesClient(self.account).directory


class SocketDirectorySuite(OnAccount, DirectoryContract):
    """The real client, over a socket."""

    def open_client(self) -> AbstractAsyncContextManager[Directory]:
        return AiohttpRolesClient(self.account.api_key, base_url=self.url).directory
