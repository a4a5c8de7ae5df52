"""Contract suites over a fake account, which each test sets up as its rule needs it."""

import base64
import functools
import random
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from arize_roles_async import AiohttpRolesClient, Permission, Role, RoleBindingsClient, RolesClient
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient, RolesServer
from arize_roles_fake.contract import RoleBindingsContract, RolesContract
from tests.support.sizes import sized

USERS = [base64.b64encode(f"User:{name}".encode()).decode() for name in ("ada", "eve")]
SPACES = [base64.b64encode(f"Space:{number}".encode()).decode() for number in (1, 2)]
PROJECTS = [base64.b64encode(b"Model:1").decode()]


def contract_tests(contract: type = RolesContract) -> list[str]:
    """Return the names of a contract's tests."""
    return [name for name in dir(contract) if name.startswith("test_")]


def failed_tests(suite: Callable[[], object], among: Iterable[str]) -> list[str]:
    """Run tests of a suite, as pytest would, and return those that failed."""
    failed: list[str] = []
    for name in among:
        try:
            getattr(suite(), name)()
        except pytest.skip.Exception:
            pass
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - all that pytest counts as one
            failed.append(name)
    return failed


def sample(client: type, tests: str, contract: type = RolesContract) -> list[str]:
    """Return the tests that a client fails, and a tenth of the others, a seeded one."""
    names = contract_tests(contract)
    drawn = random.Random(client.__name__).sample(names, sized(len(names) // 10, len(names)))  # noqa: S311
    return sorted({*drawn, *tests.split()})


class AccountSuite(RolesContract):
    """One account a test; how a client gets there is a subclass's."""

    @functools.cached_property
    def account(self) -> FakeAccount:
        return FakeAccount(assumptions=self.assumptions)

    @abstractmethod
    def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]: ...

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return self.connect(self.account.api_key)

    def other_key(self, *, grants: Iterable[Permission] | None = None) -> str:
        self.account.add_key("other-key", grants=grants)
        return "other-key"

    @asynccontextmanager
    async def plan_used_up(self) -> AsyncGenerator[None]:
        self.account.max_custom_roles = sum(not role.is_predefined for role in self.account.roles)
        yield
        self.account.max_custom_roles = None

    @asynccontextmanager
    async def rate_limited(self, *, retry_after: int) -> AsyncGenerator[None]:
        self.account.fail("any", 429, times=None, retry_after=retry_after)
        yield
        self.account.clear_faults()

    @asynccontextmanager
    async def undecodable_answers(self) -> AsyncGenerator[None]:
        self.account.fail("any", "undecodable", times=None)
        yield
        self.account.clear_faults()

    @asynccontextmanager
    async def bound(self, role: Role) -> AsyncGenerator[None]:
        self.account.bind(role, user="somebody", resource=f"Space:{role.id}")
        yield
        self.account.unbind(role, user="somebody", resource=f"Space:{role.id}")


class FakeSuite(AccountSuite):
    """The fake client."""

    def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
        return FakeRolesClient(self.account, api_key=api_key)


class Served:
    """A suite whose account is served over a socket."""

    url: str

    @pytest.fixture(autouse=True)
    def serve_account(self) -> Iterator[None]:
        assert isinstance(self, AccountSuite | BindingsSuite)
        with RolesServer(self.account) as server:
            self.url = server.url
            yield


class SocketSuite(Served, AccountSuite):
    """The real client, over a socket."""

    def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
        return AiohttpRolesClient(api_key, base_url=self.url)


def account_of_bindings(assumptions: Assumptions) -> FakeAccount:
    """Return an account that has these users, spaces and projects alone."""
    return FakeAccount(assumptions=assumptions, users=USERS, resources=[*SPACES, *PROJECTS])


class BindingsSuite(RoleBindingsContract):
    """One account a test, which has two users, two spaces and a project."""

    @functools.cached_property
    def account(self) -> FakeAccount:
        return account_of_bindings(self.assumptions)

    @abstractmethod
    def open_roles(self) -> FakeRolesClient | AiohttpRolesClient: ...

    def open_client(self) -> AbstractAsyncContextManager[RoleBindingsClient]:
        return self.open_roles().role_bindings

    def user_ids(self) -> list[str]:
        return USERS

    def space_ids(self) -> list[str]:
        return SPACES

    def project_ids(self) -> list[str]:
        return PROJECTS

    def other_key(
        self,
        *,
        grants: Iterable[Permission] | None = None,
        on: Mapping[str, Iterable[Permission]] | None = None,
    ) -> str:
        self.account.add_key("other-key", grants=grants, on=on)
        return "other-key"


class FakeBindingsSuite(BindingsSuite):
    """The fake client."""

    def open_roles(self) -> FakeRolesClient:
        return FakeRolesClient(self.account)


class SocketBindingsSuite(Served, BindingsSuite):
    """The real client, over a socket."""

    def open_roles(self) -> AiohttpRolesClient:
        return AiohttpRolesClient(self.account.api_key, base_url=self.url)
