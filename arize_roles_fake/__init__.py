"""The fake of Arize's roles API, for test suites.

Testing with the fake
=====================

`FakeRolesClient` is a `RolesClient` like the real one, over a `FakeAccount` in memory: the same
checks, the same retries, the same errors; no socket, no waiting, any event loop. Hand it to the
code under test, then look at the account:

    async def onboard(roles: RolesClient) -> None:
        await roles.create(name="AI Engineer", permissions=[Permission.PROJECT_READ])

    fake = FakeRolesClient()
    await onboard(fake)
    fake.account.assert_roles({"AI Engineer": {Permission.PROJECT_READ}})

With pytest the fixtures are there as soon as the package is installed. `fake_account` is a fresh
account for each test, `fake_roles` a client of it:

    @pytest.mark.asyncio
    async def test_a_taken_name_is_reported(
        fake_account: FakeAccount, fake_roles: FakeRolesClient
    ) -> None:
        fake_account.add_role("AI Engineer", ["PROJECT_READ"])

        with pytest.raises(ConflictError):
            await fake_roles.create(name="AI Engineer", permissions=["DATASET_READ"])

They are synchronous and tied to no event loop, so `asyncio.run` in a plain test does as well. A
marker sets the account up:

    @pytest.mark.arize_roles(roles={"AI Engineer": ["PROJECT_READ"]}, grants=["ROLE_READ"])
    def test_a_key_without_the_right_is_refused(fake_roles: FakeRolesClient) -> None:
        with pytest.raises(ForbiddenError, match="ROLE_DELETE"):
            asyncio.run(fake_roles.delete(role="AI Engineer"))

Any state, any failure, any time
--------------------------------

    account = FakeAccount(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    account.add_role("Old", ["BRAND_NEW_READ"], created_at=datetime(2020, 1, 1, tzinfo=UTC))
    account.advance(3600)

    account.fail("create", 503, times=2)  # twice, then it works
    account.fail("delete", "lost", when="after", role="Old")  # done, and the answer lost
    account.slow_down(0.2)  # seconds, on the account's clock

    roles = FakeRolesClient(account)
    await roles.create(name="New", permissions=["ROLE_READ"])  # tries three times
    await roles.delete(role="Old")  # finds out that it worked
    account.assert_no_pending_faults()
    assert [call.outcome for call in account.calls_of("create")] == [503, 503, 201]

`FakeAccount.dump` and `FakeAccount.load` keep whole accounts as JSON, `snapshot` and `restore` go
back within a test, `add_key` makes keys with fewer rights.

Over a socket
-------------

For code that makes its own client, or is not even Python, the same account answers over HTTP:

    account = FakeAccount()
    async with serve(account) as url:
        async with AiohttpRolesClient(account.api_key, base_url=url) as client:
            await client.create(name="AI Engineer", permissions=["PROJECT_READ"])
    assert account.role("AI Engineer")

In a synchronous test the fixture `roles_server` has its `url` and `api_key`, and `arize_env` sets
the environment variables of Arize's clients, so that an unmodified program reaches it. On a
command line, `python -m arize_roles_fake serve` does.

Writing a contract test
=======================

A `RolesClient` of your own, a cache around one say, keeps the promises of the protocol if it
passes the suite that ours pass:

    from arize_roles_fake.contract import RolesContract

    class TestMyClient(RolesContract):
        def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
            return FakeRolesClient()  # yours, over this one

See `python -m pydoc arize_roles_fake.contract`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from arize_roles_fake._account import (
        DEFAULT_API_KEY,
        FakeAccount,
        Reply,
        SuspiciousPermissionWarning,
    )
    from arize_roles_fake._assumptions import Assumptions
    from arize_roles_fake._call_log import LoggedCall
    from arize_roles_fake._client import FakeRolesClient
    from arize_roles_fake._faults import Fault
    from arize_roles_fake._make_role import make_role
    from arize_roles_fake._mock import mock_arize
    from arize_roles_fake._server import RolesServer, serve
    from arize_roles_fake._store import Binding

__all__ = [
    "DEFAULT_API_KEY",
    "Assumptions",
    "Binding",
    "FakeAccount",
    "FakeRolesClient",
    "Fault",
    "LoggedCall",
    "Reply",
    "RolesServer",
    "SuspiciousPermissionWarning",
    "make_role",
    "mock_arize",
    "serve",
]

# pytest loads the plugin in this package for everyone who has it installed, and with it this
# module; and only the server needs aiohttp, which takes longest to import.
_HOMES: Final = {
    "DEFAULT_API_KEY": "_account",
    "FakeAccount": "_account",
    "Reply": "_account",
    "SuspiciousPermissionWarning": "_account",
    "Assumptions": "_assumptions",
    "LoggedCall": "_call_log",
    "FakeRolesClient": "_client",
    "Fault": "_faults",
    "make_role": "_make_role",
    "mock_arize": "_mock",
    "RolesServer": "_server",
    "serve": "_server",
    "Binding": "_store",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
