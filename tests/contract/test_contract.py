"""The contract suite on every client that there is."""

import os
from contextlib import AbstractAsyncContextManager

import pytest

from arize_roles_async import AiohttpRolesClient, RolesClient
from arize_roles_fake.contract import RolesContract
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeDirectorySuite,
    FakeSuite,
    SocketBindingsSuite,
    SocketDirectorySuite,
    SocketSuite,
)

TestFakeClient = FakeSuite
TestAiohttpClient = SocketSuite
TestFakeBindings = FakeBindingsSuite
TestAiohttpBindings = SocketBindingsSuite
TestFakeDirectory = FakeDirectorySuite
TestAiohttpDirectory = SocketDirectorySuite


class TestRealService(RolesContract):
    time_limit = 600.0

    @pytest.fixture(autouse=True)
    def only_when_asked(self, request: pytest.FixtureRequest) -> None:
        asked = request.config.getoption("--arize-live")
        if not (asked and os.environ.get("ARIZE_API_KEY")):
            pytest.skip("talks to the real service: pass --arize-live and set ARIZE_API_KEY")

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return AiohttpRolesClient()

    @pytest.mark.skip("a service that broke the rule would lose a role that nobody can make again")
    def test_delete_predefined(self) -> None: ...
