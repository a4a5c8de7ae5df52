"""The contract suite on every client that there is."""

import functools
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import ClassVar, Final

import pytest

from arize_roles_async import AiohttpRolesClient, RolesClient
from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake.contract import RolesContract
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeDirectorySuite,
    FakeSuite,
    SocketBindingsSuite,
    SocketDirectorySuite,
    SocketSuite,
    contract_tests,
    failed_tests,
)
from tests.support.sizes import sized

TICK: Final = 0.015625


class TestFakeClient(FakeSuite):
    pass


class TestFakeClientUnderTrio(FakeSuite):
    backend = "trio"


class TestAiohttpClient(SocketSuite):
    pass


class CoarseSuite(FakeSuite):
    """An account whose clock ticks every 16 ms, as Windows' does."""

    @functools.cached_property
    def account(self) -> FakeAccount:
        return FakeAccount(clock=coarse_clock)


def test_coarse_clock() -> None:
    """The rules of time and order hold on such a clock."""
    asked = [name for name in contract_tests() if re.search("update|sees|time|walk", name)]
    assert failed_tests(CoarseSuite, sized(asked, contract_tests())) == []


class TestFakeBindings(FakeBindingsSuite):
    pass


class TestFakeBindingsUnderTrio(FakeBindingsSuite):
    backend = "trio"


class TestBindingsElsewhere(FakeBindingsSuite):
    """Users who have roles on other resources, more than a page, and more by one later."""

    assumptions = Assumptions(list_order="oldest-first")
    PLACES: ClassVar = [*(f"Space:other {number}" for number in range(100)), "Project:other"]

    @functools.cached_property
    def account(self) -> FakeAccount:
        users = ("ada@example.com", "eve@example.com")
        account = FakeAccount(
            assumptions=self.assumptions,
            users=users,
            resources=["Space:ML", "Space:Ops", "Project:ML/churn", *self.PLACES],
        )
        for user, place in itertools.product(users, self.PLACES):
            account.bind("Member", user=user, resource=place)
        return account

    @pytest.fixture(autouse=True)
    def only_the_tests(self) -> Iterator[None]:
        """The tests remove what they made, and nothing else."""
        before = self.account.bindings()
        yield
        assert self.account.bindings() == before


class TestAiohttpBindings(SocketBindingsSuite):
    pass


class TestFakeDirectory(FakeDirectorySuite):
    pass


class TestFakeDirectoryUnderTrio(FakeDirectorySuite):
    backend = "trio"


class TestNamedDirectory(FakeDirectorySuite):
    """Names with letters in them, beside others that contain them."""

    assumptions = Assumptions(unknown_space="empty", foreign_cursor="ignored")

    @functools.cached_property
    def account(self) -> FakeAccount:
        account = FakeAccount(assumptions=self.assumptions, users=(), resources=())
        account.add_user("xada@example.com.br")
        account.add_user("Ada@example.com", status="INVITED")
        account.add_user("eve@example.com")
        account.add_space("ML Platform")
        account.add_space("ML", organization="Other")
        account.add_space("Ops")
        account.add_project("churn 2", space="ML")
        account.add_project("Churn", space="ML")
        return account

    def user_ids(self) -> list[str]:
        return [self.account.id("Ada@example.com"), self.account.id("eve@example.com")]

    def space_ids(self) -> list[str]:
        return [self.account.id("Space:ML"), self.account.id("Space:Ops")]

    def project_ids(self) -> list[str]:
        return [self.account.id("Project:ML/Churn")]


class TestAiohttpDirectory(SocketDirectorySuite):
    pass


def coarse_clock() -> datetime:
    return datetime.fromtimestamp(time.time() // TICK * TICK, UTC)


class TestRealService(RolesContract):
    @pytest.fixture(autouse=True)
    def only_when_asked(self, request: pytest.FixtureRequest) -> None:
        asked = request.config.getoption("--arize-live")
        if not (asked and os.environ.get("ARIZE_API_KEY")):
            pytest.skip("talks to the real service: pass --arize-live and set ARIZE_API_KEY")

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return AiohttpRolesClient()

    @pytest.mark.skip("a service that broke the rule would lose a role that nobody can make again")
    def test_delete_predefined(self) -> None: ...
