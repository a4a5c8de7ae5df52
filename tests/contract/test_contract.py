"""The contract suite on every client that there is."""

import functools
import os
import re
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final

import pytest

from arize_roles_async import AiohttpRolesClient, RolesClient
from arize_roles_fake import FakeAccount
from arize_roles_fake.contract import RolesContract
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeDirectorySuite,
    FakeSuite,
    SocketBindingsSuite,
    SocketDirectorySuite,
    SocketSuite,
    contract_tests,
    failure,
)
from tests.support.sizes import sized

TICK: Final = 0.015625

TestFakeClient = FakeSuite
TestAiohttpClient = SocketSuite
TestFakeBindings = FakeBindingsSuite
TestAiohttpBindings = SocketBindingsSuite
TestFakeDirectory = FakeDirectorySuite
TestAiohttpDirectory = SocketDirectorySuite


def coarse_clock() -> datetime:
    return datetime.fromtimestamp(time.time() // TICK * TICK, UTC)


class CoarseSuite(FakeSuite):
    """An account whose clock ticks every 16 ms, as Windows' does."""

    @functools.cached_property
    def account(self) -> FakeAccount:
        return FakeAccount(clock=coarse_clock)


def test_coarse_clock() -> None:
    """The rules of time and order hold on such a clock."""
    asked = [name for name in contract_tests() if re.search("update|sees|time|walk", name)]
    for name in sized(asked, contract_tests()):
        assert failure(CoarseSuite(), name) is None, name


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
