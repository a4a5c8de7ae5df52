"""API keys that change: functions that return them, and copies of a client with other keys."""

import asyncio
import contextvars
import copy
import json
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    RolesError,
    StatusError,
)
from arize_roles_async.transport import HttpRolesClient, HttpTransport
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
from tests.support.clients import SOON, Connect, account_at_noon, both_clients, create, passed, use
from tests.support.documentation import definitions
from tests.support.event_loop import settle, until


class Keys:
    """Returns these keys one after the other, the last one for ever, and counts."""

    def __init__(self, *keys: Any) -> None:  # noqa: ANN401 - also what is refused
        self._keys = keys
        self.asked = 0

    def __call__(self) -> Any:  # noqa: ANN401
        self.asked += 1
        key = self._keys[min(self.asked, len(self._keys)) - 1]
        if isinstance(key, BaseException):
            raise key
        return key

    def again(self) -> Any:  # noqa: ANN401
        return self()


FOUND = ["fake-api-key", "fake-api-key", "other-api-key", "other-api-key"]


def sent(account: FakeAccount) -> list[str]:
    """Return the keys of the requests that an account got."""
    return [call.api_key for call in account.calls]


def two_keys() -> FakeAccount:
    account = account_at_noon()
    account.add_key("other-api-key")
    return account


@both_clients
class TestFunction:
    """A function that returns the key."""

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (None, "the function given as api_key must return a string, not NoneType"),
            (b"key", "the function given as api_key must return a string, not bytes"),
            ("", "the API key must not be empty"),
            ("k" * 4097, "the API key must have at most 4096 characters"),
            (LookupError("sealed"), "the function given as api_key raised LookupError"),
            # Only the function was cancelled, and not the call.
            (asyncio.CancelledError(), "the function given as api_key raised CancelledError"),
        ],
    )
    async def test_no_key(self, connect: Connect, key: object, message: str) -> None:
        """A function that returns no key, or raises, has nothing sent, and costs no slot."""
        account = FakeAccount(api_key="k" * 4096)
        keys = Keys(key, account.api_key)
        async with connect(account, api_key=keys, retry=SOON, max_concurrency=1) as roles:
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()
            await roles.list()
        assert str(caught.value) == message
        assert caught.value.__cause__ is (key if isinstance(key, BaseException) else None)
        assert len(account.calls) == 1

    async def test_exit(self, connect: Connect) -> None:
        """What ends the program ends the call as it is."""
        async with connect(FakeAccount(), api_key=Keys(SystemExit(3))) as roles:
            with pytest.raises(SystemExit):
                await roles.list()

    async def test_leaving_queue(self, connect: Connect) -> None:
        """A call asks when it leaves the queue, and not before; a refused argument never does."""
        account, asked = two_keys(), 0
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def key() -> asyncio.Future[str]:
            nonlocal asked
            asked += 1
            return answer

        async with connect(account, api_key=key, max_concurrency=1) as roles:
            with pytest.raises(ValueError, match="role_id"):
                await roles.get(role_id="")
            calls = [asyncio.create_task(use(roles)) for _ in range(3)]
            await until(lambda: asked)
            await settle()
            assert asked == 1
            answer.set_result("fake-api-key")
            await asyncio.gather(*calls)
        assert asked == 3

    async def test_shared_walk(self, connect: Connect) -> None:
        """Calls share a walk only if they send the same key."""
        account = account_at_noon()
        account.add_key("blind-api-key", grants=[])
        account.add_role("Role", ["PROJECT_READ"])
        tenant = contextvars.ContextVar("tenant", default="fake-api-key")

        async def find(key: str) -> object:
            tenant.set(key)
            return await roles.get(role="Role")

        async with connect(account, api_key=tenant.get) as roles:
            keys = ["fake-api-key", "blind-api-key"] * 2
            found = await asyncio.gather(*map(find, keys), return_exceptions=True)
        assert [isinstance(each, ForbiddenError) for each in found] == [False, True] * 2

    async def test_hold_meanwhile(self, connect: Connect) -> None:
        """A call whose key takes long to come waits out a hold that began meanwhile."""
        account = account_at_noon()
        account.fail("list", 429, retry_after=5)
        keys = Keys("fake-api-key")

        async def key() -> str:
            if keys() and keys.asked == 2:
                await until(lambda: bool(account.calls))
            return "fake-api-key"

        async with connect(account, api_key=key, retry=SOON) as roles:
            await asyncio.gather(roles.list().all(), roles.list().all())
        begun = account.calls[0].at
        assert [(c.outcome, (c.at - begun).total_seconds() >= 5) for c in account.calls] == [
            *((429, False), (200, True), (200, True))
        ]
        assert keys.asked == 2


End = type[RolesError] | None


@both_clients
class TestRefused:
    """A key that the service refuses with 401."""

    @pytest.mark.parametrize(
        ("given", "faults", "keys", "end"),
        [
            (["expired"], [], ["expired"], AuthenticationError),
            (["fake-api-key", "other-api-key"], ["lost", 401], FOUND, None),
            (["fake-api-key", OSError()], ["lost", 401], FOUND[:2], OutcomeUnknownError),
            (["fake-api-key", "other-api-key"], [401, 409], FOUND[1:3], ConflictError),
            (["fake-api-key"], ["lost", 401, 401], ["fake-api-key"] * 3, OutcomeUnknownError),
        ],
    )
    async def test_create(
        self, connect: Connect, given: list[Any], *, faults: list[Any], keys: list[str], end: End
    ) -> None:
        """The key is asked for again once; a change whose answer was lost stays in doubt."""
        account, source = two_keys(), Keys(*given)
        for fault in faults:
            account.fail("any", fault, when="after" if fault == "lost" else "before")
        async with connect(account, api_key=source, retry=SOON) as roles:
            (ended,) = await asyncio.gather(create(roles), return_exceptions=True)
        assert account.roles == (ended,) if end is None else type(ended) is end
        assert sent(account) == keys
        assert source.asked == 2

    @pytest.mark.parametrize(
        ("of", "when", "last"), [("role", "after", 502), ("", "after", 502), ("", "before", 404)]
    )
    async def test_delete(self, connect: Connect, of: str, when: Any, last: Any) -> None:  # noqa: ANN401
        """The account of another key, which may be another one, proves nothing about a delete."""
        account, source = two_keys(), Keys("fake-api-key", "other-api-key")
        role = account.add_role("Role", ["PROJECT_READ"])
        made = None if of else account.bind(role, user="ada@example.com", resource="Space:1")
        operation: Any = "role_bindings.delete" if made else "delete"
        account.fail(operation, "lost", when=when)
        account.fail(operation, 401)
        account.fail(operation, last, times=None)
        async with connect(account, api_key=source, retry=SOON) as client:
            roles: Any = client
            delete = roles.role_bindings.delete if made else roles.delete
            with pytest.raises(OutcomeUnknownError):
                await delete(**({"binding_id": made.id} if made else {"role_id": role.id}))

    async def test_gateway(self, connect: Connect) -> None:
        """A 401 of a gateway does not ask for the key again."""
        account, keys = two_keys(), Keys("fake-api-key", "other-api-key")
        account.fail("list", 401, body="<p>No</p>")
        async with connect(account, api_key=keys) as roles:
            with pytest.raises(StatusError):
                await roles.list()
        assert keys.asked == 1


@both_clients
class TestCopies:
    """Copies of a client with other keys."""

    async def test_kinds(self, connect: Connect) -> None:
        """A function is known by itself, a method by its object, and none by hash or equality."""

        class Odd(Keys):
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other: object) -> bool:
                raise AssertionError("nobody compares it")

        account = two_keys()
        account.add_role("Role", ["PROJECT_READ"])
        one, other = Odd("other-api-key"), Odd("other-api-key")
        async with connect(account) as roles:
            for key in (one, one, other, one.again, one.again, other.again, one.__call__):
                await roles.with_options(api_key=key).get(role="Role")
        # A key that is not known reads the list.
        operations = [call.operation for call in account.calls]
        assert operations == ["list", "get", "list", "list", "get", "list", "list"]

    async def test_slots(self, connect: Connect) -> None:
        """Copies share the requests under way, in the order of their calls, and one closes all."""
        account = two_keys()
        account.slow_down(0.01)
        async with connect(account, max_concurrency=1) as roles:
            other = roles.with_options(api_key="other-api-key")
            await asyncio.gather(*map(use, [roles, roles, other, roles, other]))
            await other.aclose()
            with pytest.raises(ClientStateError):
                await use(roles)
        first, second = "fake-api-key", "other-api-key"
        assert sent(account) == [first, first, second, first, second]


@pytest.mark.parametrize(("others", "operations"), [(999, ["get"]), (1000, ["list"])])
async def test_many(others: int, operations: list[str]) -> None:
    """What a key saw, and its pace, are forgotten once a thousand others were used since."""
    account = two_keys()
    account.add_role("Role", ["PROJECT_READ"])
    roles = FakeRolesClient(account)
    await roles.with_options(api_key="other-api-key").get(role="Role")
    account.fail("list", 429, retry_after=30)
    hasty = RetryPolicy(attempts=1)
    with pytest.raises(RateLimitError):
        await roles.with_options(api_key="other-api-key", retry=hasty).list()
    before = len(account.calls)
    for index in range(others):
        roles.with_options(api_key=f"key-{index}")
    began = passed(account)
    await roles.with_options(api_key="other-api-key", timeout=60.0).get(role="Role")
    assert [call.operation for call in account.calls[before:]] == operations
    assert (passed(account) - began >= 30.0) is (operations == ["get"])


async def test_subclass(arize_env: RolesServer) -> None:
    """A copy shares what a subclass has set, except where it has its own, as in the guide."""
    arize_env.account.add_role("A", ["ROLE_READ"])
    arize_env.account.add_key("other-api-key")
    kind = definitions("arize_roles_async/guide/api-keys.md")["RolesWithCache"]
    own = arize_env.account.api_key
    async with kind(own) as roles:
        other = roles.with_options(api_key="other-api-key")
        for each in (roles, other, roles, other):
            assert (await each.cached("A")).name == "A"
        assert sent(arize_env.account) == [own, "other-api-key"]
        del kind.with_options
        copied = roles.with_options(api_key="other-api-key")
        assert (type(copied), copied.cache) == (kind, roles.cache)


async def test_rotation() -> None:
    """With the guide's function calls fail after a rotation until the expiry, and fetch once."""
    account, time, fetched = two_keys(), SimpleNamespace(seconds=0.0), list[str]()

    async def fetch() -> str:
        await asyncio.sleep(0)
        fetched.append("other-api-key" if fetched else "fake-api-key")
        return fetched[-1]

    names = definitions("arize_roles_async/guide/api-keys.md")
    names["fetch_key"] = fetch
    names["time"] = SimpleNamespace(monotonic=lambda: time.seconds)
    async with FakeRolesClient(account, api_key=names["KeyFromVault"]()) as roles:
        await roles.list()
        account.remove_key("fake-api-key")
        time.seconds = 299.0
        with pytest.raises(AuthenticationError):
            await roles.list()
        time.seconds = 300.0
        await asyncio.gather(*(use(roles) for _ in range(20)))
    assert fetched == ["fake-api-key", "other-api-key"]


KEY = "ak-0123/4567"
FLAWS = {
    f"{KEY} ": "white space",
    f"{KEY}\n": "white space",
    f"{KEY}\x1b": "a control character",
    f"{KEY}\x7f": "a control character",
    f"{KEY}\u00e9": "a character that is not ASCII",
    f'{KEY}"': "a quotation mark",
    f"{KEY}'": "a quotation mark",
    f"{KEY}$": "another sign",
    f"{KEY}=a": "= elsewhere",
    f"={KEY}": "= elsewhere",
}
ENTRIES: dict[str, Callable[[str], object]] = {
    "argument": AiohttpRolesClient,
    "transport": lambda key: HttpRolesClient(Mock(HttpTransport), key),
    "copy": lambda key: FakeRolesClient().with_options(api_key=key),
    "function": lambda key: asyncio.run(use(AiohttpRolesClient(lambda: key))),
    "environment": lambda _: AiohttpRolesClient(),
    "fake": lambda key: FakeRolesClient(api_key=key),
    "fake's function": lambda key: asyncio.run(use(FakeRolesClient(api_key=lambda: key))),
    "account": lambda key: FakeAccount(api_key=key),
    "account's further key": lambda key: FakeAccount().add_key(key),
    "account file": lambda key: FakeAccount.load(json.dumps({"roles": [], "keys": {key: None}})),
}


@pytest.mark.parametrize("enter", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize(("key", "flaw"), FLAWS.items())
def test_no_key(
    enter: Callable[[str], object], key: str, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no bearer token is refused wherever it comes in, by the kind of its flaw alone."""
    monkeypatch.setenv("ARIZE_API_KEY", key)
    rule = "must have only letters, digits and - . _ ~ + /, and = at its end; it has "
    with pytest.raises((ConfigurationError, ValueError)) as caught:
        enter(key)
    assert str(caught.value).endswith(f"key {rule}{flaw}")


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("make", [FakeRolesClient, lambda: AiohttpRolesClient("fake-api-key")])
def test_pickle(leave: Callable[[object], object], make: Callable[[], object]) -> None:
    """A client cannot be pickled."""
    why = "since it holds the API key and connections; make one in each process"
    with pytest.raises(ClientStateError, match=f"^a client cannot be pickled or copied, {why}$"):
        leave(make())
