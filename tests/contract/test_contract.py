"""The contract suite on every client that there is."""

import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from arize_roles_async import AiohttpRolesClient, RolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient, serve
from arize_roles_fake.contract import RolesContract


class TestFakeClient(RolesContract):
    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return FakeRolesClient()


class TestFakeClientUnderTrio(TestFakeClient):
    backend = "trio"


class TestAiohttpClientOverASocket(RolesContract):
    @asynccontextmanager
    async def open_client(self) -> AsyncGenerator[RolesClient]:
        account = FakeAccount()
        async with (
            serve(account) as url,
            AiohttpRolesClient(account.api_key, base_url=url) as roles,
        ):
            yield roles


class TestAiohttpClientOnTheRealService(RolesContract):
    @pytest.fixture(autouse=True)
    def only_when_asked(self, request: pytest.FixtureRequest) -> None:
        asked = request.config.getoption("--arize-live")
        if not (asked and os.environ.get("ARIZE_API_KEY")):
            pytest.skip("talks to the real service: pass --arize-live and set ARIZE_API_KEY")

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return AiohttpRolesClient()

    @pytest.mark.skip("a service that broke the rule would lose a role that nobody can make again")
    def test_delete_predefined(self) -> None: ...
