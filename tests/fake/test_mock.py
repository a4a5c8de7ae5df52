"""Clients of the code under test, led to an account in process."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncGenerator
from functools import partial

import pytest
import trio

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    ClientStateError,
    ForbiddenError,
    RateLimitError,
)
from arize_roles_fake import FakeAccount, RolesServer, mock_arize
from tests.support.clients import ONCE, account_at_noon, passed, use
from tests.support.processes import ran


async def count_roles(**arguments: object) -> int:
    """Code under test, which makes its own client."""
    async with AiohttpRolesClient(**arguments) as roles:  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        return len(await roles.list().all())


def test_any_configuration() -> None:
    """However a client is configured and as often as one is opened, it sees the account."""
    with mock_arize() as account:
        account.add_role("A")
        assert asyncio.run(count_roles()) == 8
        assert asyncio.run(count_roles(region="eu-west-1a", proxy="http://proxy.example")) == 8
        assert asyncio.run(count_roles(base_url="https://arize.example:8443/ax", timeout=1)) == 8
    assert [(call.operation, call.host) for call in account.calls] == [
        ("list", "api.arize.com"),
        ("list", "api.eu-west-1a.arize.com"),
        ("list", "arize.example:8443"),
    ]


def test_dropped() -> None:
    """A client may also be dropped once its event loop has ended, as one of the service may."""
    with mock_arize():
        roles = AiohttpRolesClient()
        asyncio.run(use(roles))
        del roles
        gc.collect()


def test_trio() -> None:
    """Under trio, a client raises the same error as outside of the block."""
    error = "the client runs under asyncio only"
    with pytest.raises(ClientStateError, match=error):
        trio.run(partial(count_roles, api_key="any"))
    with mock_arize(), pytest.raises(ClientStateError, match=error):
        trio.run(partial(count_roles, api_key="any"))


def served() -> FakeAccount:
    """Return what stands for the real service in these tests."""
    return FakeAccount(api_key="real", predefined=False)


class TestScope:
    """Where a call goes is decided as it begins."""

    async def test_made_before(self) -> None:
        """A client of before the block reaches the account in it, and its own service after it."""
        with RolesServer(served()) as service:
            role = service.account.add_role("A")
            async with AiohttpRolesClient("real", base_url=service.url) as roles:
                assert len(await roles.list()) == 1
                with mock_arize(FakeAccount(predefined=False)) as account:
                    account.add_role("A", id=role.id)
                    await roles.delete(role="A")
                    account.assert_roles({})
                assert (await roles.get(role="A")).id == role.id
            assert service.account.roles == (role,)

    def test_nested(self) -> None:
        """The block that was entered last counts, also again; blocks may end in any order."""
        before = os.environ.get("ARIZE_API_KEY")
        first = mock_arize(FakeAccount(api_key="a"))
        second = mock_arize(FakeAccount(api_key="b", predefined=False))
        first.__enter__()
        for _ in range(2):
            with second:
                assert (os.environ["ARIZE_API_KEY"], asyncio.run(count_roles())) == ("b", 0)
            assert (os.environ["ARIZE_API_KEY"], asyncio.run(count_roles())) == ("a", 7)
        with second:
            first.__exit__(None, None, None)
            assert (os.environ["ARIZE_API_KEY"], asyncio.run(count_roles())) == ("b", 0)
        assert os.environ.get("ARIZE_API_KEY") == before

    async def test_closed(self) -> None:
        """A client that is closed stays closed, inside and outside, with its copies."""
        roles = AiohttpRolesClient("key")
        with mock_arize():
            await roles.list()
            await roles.aclose()
            with pytest.raises(ClientStateError, match="closed"):
                await roles.list()
        with pytest.raises(ClientStateError, match="closed"):
            await roles.list()
        with mock_arize(), pytest.raises(ClientStateError, match="closed"):
            await roles.with_options(timeout=1).list()

    async def test_slots(self) -> None:
        """A client sends as many requests at once as outside of the block."""
        with mock_arize(account_at_noon()) as account:
            account.slow_down(1)
            async with AiohttpRolesClient(max_concurrency=2) as roles:
                await asyncio.gather(*[use(roles) for _ in range(6)])
        assert passed(account) == 3.0

    async def test_own_clock(self) -> None:
        """A rate limit of an account holds back no call to the service, nor to another account."""
        with RolesServer(served()) as service:
            options = {"retry": ONCE, "timeout": 5}
            async with AiohttpRolesClient("real", base_url=service.url, **options) as roles:  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
                await roles.list()
                with mock_arize(account_at_noon()) as account:
                    account.fail("list", 429, retry_after=3600)
                    with pytest.raises(RateLimitError):
                        await roles.list()
                with mock_arize(account_at_noon()) as other:
                    await roles.list()
                await roles.list()
        assert passed(other) == 0.0
        assert len(service.account.calls) == 2


class TestKeys:
    """Which keys are known."""

    def test_any(self) -> None:
        """One account takes any key, which may do as much as its first one."""
        with mock_arize() as account:
            assert asyncio.run(count_roles(api_key="of-production")) == 7
            account.add_key(account.api_key, grants=["ROLE_UPDATE"])
            with pytest.raises(ForbiddenError):
                asyncio.run(count_roles(api_key="of-production"))
        assert {call.api_key for call in account.calls} == {"of-production"}

    def test_removed(self) -> None:
        """A key that was removed is a 401, until it is added again; so is any, of no key at all."""
        with mock_arize() as account:
            account.add_key("old")
            account.remove_key("old")
            with pytest.raises(AuthenticationError):
                asyncio.run(count_roles(api_key="old"))
            account.add_key("old")
            assert asyncio.run(count_roles(api_key="old")) == 7
            account.remove_key("old")
            account.remove_key(account.api_key)
            with pytest.raises(AuthenticationError):
                asyncio.run(count_roles(api_key="new"))

    def test_accounts(self) -> None:
        """Of several accounts, the key says which; another key is a 401."""
        one, two = FakeAccount(), FakeAccount(predefined=False)
        with mock_arize({"one": one, "two": two}) as accounts:
            assert accounts["two"] is two
            assert os.environ["ARIZE_API_KEY"] == "one"
            assert asyncio.run(count_roles()) == 7
            assert asyncio.run(count_roles(api_key="two")) == 0
            with pytest.raises(AuthenticationError):
                asyncio.run(count_roles(api_key=one.api_key))
        assert (len(one.calls), len(two.calls)) == (1, 1)

    async def test_time(self) -> None:
        """The time of a client is the latest of its accounts, and passes for all of them."""
        accounts = {"one": account_at_noon(), "two": account_at_noon()}
        accounts["one"].fail("list", 429, retry_after=60)
        roles = AiohttpRolesClient(lambda: "one", retry=ONCE)
        with mock_arize(accounts):
            with pytest.raises(RateLimitError):
                await roles.list()
            accounts["two"].advance(60)
            accounts["one"].slow_down(5)
            await roles.list()
            await roles.aclose()
        assert (passed(accounts["one"]), passed(accounts["two"])) == (5.0, 65.0)

    def test_refused(self) -> None:
        """Something else than accounts is refused, and an account without a key."""
        with pytest.raises(TypeError, match="accounts must be a FakeAccount or a mapping, not str"):
            mock_arize("key")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
        with pytest.raises(ValueError, match="accounts must not be empty"):
            mock_arize({})
        account = FakeAccount()
        account.remove_key(account.api_key)
        with pytest.raises(LookupError), mock_arize(account):
            pass


def test_generator() -> None:
    """A generator is refused, whose block would be open between its steps."""

    async def fixture() -> AsyncGenerator[None]:
        yield

    with pytest.raises(TypeError, match="no generators: use `with mock_arize"):
        mock_arize()(fixture)


def test_class() -> None:
    """A class is refused, with what to write instead for pytest and for unittest."""
    with pytest.raises(TypeError) as caught:
        mock_arize()(TestScope)
    assert '@pytest.mark.usefixtures("mocked_arize") above the class' in str(caught.value)
    assert "self.enterContext(mock_arize()) in the setUp of a" in str(caught.value)


class TestUnusedFaults:
    """Faults that struck no call."""

    def test_outside(self) -> None:
        """Outside of pytest the end of a block asks, unless it allows them or raised."""
        script = """
from contextlib import suppress
from arize_roles_fake import FakeAccount, mock_arize

with mock_arize(unused_faults="allow") as account:
    account.fail("list", 503)
with mock_arize() as account:
    account.fail("list", 503)
    account.clear_faults()
with suppress(OSError), mock_arize() as account:
    account.fail("list", 503)
    raise OSError
print("so far")
with mock_arize({"a": FakeAccount(), "b": FakeAccount()}) as accounts:
    accounts["b"].fail("list", 503)
"""
        done = ran(sys.executable, "-c", script)
        assert done.stdout == "so far\n"
        assert done.stderr.endswith(
            "AssertionError: faults that struck less often than scripted:\n"
            "  list fails with 503, 1 time: struck 0 requests\n"
            'to allow unused faults: mock_arize(unused_faults="allow")\n'
        )

    def test_allowed(self) -> None:
        """Under pytest an argument of the block allows them as well; another word is refused."""
        account = FakeAccount()

        @mock_arize(account, unused_faults="allow")
        def script() -> None:
            account.fail("list", 503)

        script()
        with pytest.raises(ValueError, match="unused_faults must be 'error' or 'allow', not 'no'"):
            mock_arize(unused_faults="no")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
