"""The contract under trio, in other accounts, and on what somebody makes of the fake's client.

Shorter tests reach the same lines.
"""

# ruff: noqa: ANN401 - a client of any resource

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from arize_roles_async import RolesError
from arize_roles_fake import Assumptions, FakeAccount
from tests.contract.suites import FakeBindingsSuite, FakeDirectorySuite, FakeSuite
from tests.contract.wrapping import CacheOfSeconds

pytestmark = pytest.mark.usefixtures("unmeasured")


class TestFakeClientUnderTrio(FakeSuite):
    backend = "trio"


class TestFakeBindingsUnderTrio(FakeBindingsSuite):
    backend = "trio"


class TestFakeDirectoryUnderTrio(FakeDirectorySuite):
    backend = "trio"


class TestBindingsElsewhere(FakeBindingsSuite):
    """Users who have roles on other resources, more than a page, and more by one later."""

    assumptions = Assumptions(list_order="oldest-first")

    @functools.cached_property
    def account(self) -> FakeAccount:
        account = super().account
        for user in ("ada@example.com", "eve@example.com"):
            for place in (*(f"Space:other {number}" for number in range(100)), "Project:other"):
                account.bind("Member", user=user, resource=place)
        return account

    @pytest.fixture(autouse=True)
    def only_the_tests(self) -> Iterator[None]:
        """The tests remove what they made, and nothing else."""
        before = self.account.bindings()
        yield
        assert self.account.bindings() == before


class TestNamedDirectory(FakeDirectorySuite):
    """Names with capitals or of one character, beside others that contain them."""

    assumptions = Assumptions(unknown_space="empty", foreign_cursor="ignored")

    @functools.cached_property
    def account(self) -> FakeAccount:
        account = FakeAccount(assumptions=self.assumptions, users=(), resources=())
        account.add_user("xada@example.com.br")
        ada, churn = account.id("ada@example.com"), account.id("Project:ML/churn")
        account.add_user("Ada@example.com", id=ada, status="INVITED")
        account.add_user("eve@example.com")
        account.add_space("ML Platform")
        account.add_space("ML", organization="Other")
        account.add_space("Ops")
        account.add_project("7 2", space="ML")
        account.add_project("7", space="ML", id=churn)
        return account


class TestOtherWords(FakeSuite):
    """A client may say everything in words of its own."""

    @pytest.fixture(autouse=True)
    def other_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def say(error: RolesError) -> str:
            del error
            return "No luck."

        monkeypatch.setattr(RolesError, "__str__", say)


class Stale:
    """A cache that is as stale as it says."""

    max_staleness = 5.0
    _now = 0.0

    def open_client(self) -> Any:
        suite: Any = super()
        return CacheOfSeconds(suite.open_client(), 5.0, lambda: self._now)

    async def outlast_caches(self) -> None:
        self._now += self.max_staleness


class TestStaleRoles(Stale, FakeSuite):
    @functools.cached_property
    def account(self) -> FakeAccount:
        account = super().account
        account.add_role("Theirs")
        return account


class TestStaleBindings(Stale, FakeBindingsSuite): ...


class TestStaleDirectory(Stale, FakeDirectorySuite): ...
