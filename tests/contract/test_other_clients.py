"""Someone else's `RolesClient`, around the fake's, keeps the contract in its own way."""

# ruff: noqa: ANN401 - arguments are handed on as they come

from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from arize_roles_async import Role, RolesClient
from arize_roles_fake import FakeRolesClient
from tests.contract.suites import AccountSuite, FakeSuite
from tests.contract.wrapping import CacheOfSeconds, OtherWordsClient, WrappingClient


class TestOtherWords(AccountSuite):
    """A client may say everything in words of its own."""

    def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
        return OtherWordsClient(FakeRolesClient(self.account, api_key=api_key))


class TestStale(AccountSuite):
    """A cache whose roles live for five seconds of a clock of its own is as stale as it says."""

    max_staleness = 5.0
    _now = 0.0

    def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
        inner = FakeRolesClient(self.account, api_key=api_key)
        return CacheOfSeconds(inner, 5.0, lambda: self._now)

    async def outlast_caches(self) -> None:
        self._now += self.max_staleness


def test_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the tests wait until caches are stale, and without staleness they do not wait."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    class StaleSuite(FakeSuite):
        max_staleness = 3.0

    monkeypatch.setattr(anyio, "sleep", sleep)
    FakeSuite().test_other_sees()
    assert waits == []
    StaleSuite().test_other_sees()
    assert waits == [3.02] * 5


def test_other_error() -> None:
    """An error of another class, where an argument is invalid, is the one that the rule shows."""

    class Raises(WrappingClient):
        async def create(self, **arguments: Any) -> Role:
            raise LookupError(arguments["name"])

    class Suite(FakeSuite):
        def connect(self, api_key: str) -> AbstractAsyncContextManager[RolesClient]:
            inner: Any = super().connect(api_key)
            return Raises(inner)

    with pytest.raises(LookupError):
        Suite().test_bad_name()
