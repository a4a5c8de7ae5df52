"""API keys that change: functions that return them, and copies of a client with other keys."""

import asyncio
import contextvars
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from arize_roles_async import (
    AiohttpRolesClient,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    RolesError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
)
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import Connect, account_at_noon, both_clients
from tests.support.documentation import definitions
from tests.support.event_loop import until
from tests.support.raw_http import scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ONCE = RetryPolicy(attempts=1)
THRICE = RetryPolicy(attempts=3, backoff=0.001)


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


class AsyncKeys(Keys):
    """The same, as an asynchronous function."""

    async def __call__(self) -> Any:  # noqa: ANN401
        await asyncio.sleep(0)
        return super().__call__()


both_kinds = pytest.mark.parametrize("kind", [Keys, AsyncKeys])


def sent(account: FakeAccount) -> list[str]:
    """Return the keys of the requests that an account got."""
    return [call.api_key for call in account.calls]


def two_keys() -> FakeAccount:
    account = account_at_noon()
    account.add_key("other-api-key")
    return account


@both_clients
@pytest.mark.asyncio
class TestFunction:
    """A function that returns the key."""

    @both_kinds
    async def test_each_call(self, connect: Connect, kind: type[Keys]) -> None:
        """Each call sends the key that the function returns then."""
        account, keys = two_keys(), kind("fake-api-key", "other-api-key")
        async with connect(account, api_key=keys) as roles:
            await roles.list()
            await roles.list()

        assert sent(account) == ["fake-api-key", "other-api-key"]

    async def test_once_a_call(self, connect: Connect) -> None:
        """A call asks once, however many requests it sends."""
        account, keys = two_keys(), Keys("fake-api-key", "other-api-key")
        for number in range(101):
            account.add_role(f"Role {number}", ["PROJECT_READ"])
        account.fail("list", 503)
        async with connect(account, api_key=keys, retry=THRICE) as roles:
            await roles.update(role="Role 0", description="Changed.")

        assert keys.asked == 1
        assert sent(account) == ["fake-api-key"] * 4

    async def test_not_before(self, connect: Connect) -> None:
        """Neither a client that is made nor an argument that is refused asks."""
        account, keys = two_keys(), Keys("fake-api-key")
        async with connect(account, api_key=keys) as roles:
            roles.list()
            with pytest.raises(ValueError, match="role_id"):
                await roles.get(role_id="")

        assert keys.asked == 0

    @both_kinds
    async def test_raises(self, connect: Connect, kind: type[Keys]) -> None:
        """An exception of the function is the cause of a `ConfigurationError`; nothing is sent."""
        account, error = two_keys(), LookupError("the vault is sealed")
        async with connect(account, api_key=kind(error), retry=THRICE) as roles:
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()

        assert str(caught.value) == "the function given as api_key raised LookupError"
        assert caught.value.__cause__ is error
        assert account.calls == ()

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (None, "the function given as api_key must return a string, not NoneType"),
            (b"key", "the function given as api_key must return a string, not bytes"),
            ("", "the API key must be printable ASCII without spaces"),
            ("a key", "the API key must be printable ASCII without spaces"),
            ("k" * 4097, "the API key must have at most 4096 characters"),
        ],
    )
    async def test_no_key(self, connect: Connect, key: object, message: str) -> None:
        """A value that is no key is refused before anything is sent."""
        account = two_keys()
        async with connect(account, api_key=Keys(key)) as roles:
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()

        assert str(caught.value) == message
        assert account.calls == ()

    async def test_slot(self, connect: Connect) -> None:
        """A function that fails costs no slot."""
        account, keys = two_keys(), Keys(OSError(), OSError(), "fake-api-key")
        async with connect(account, api_key=keys, max_concurrency=1) as roles:
            for _ in range(2):
                with pytest.raises(ConfigurationError):
                    await roles.list()
            await roles.list()

    async def test_leaving_queue(self, connect: Connect) -> None:
        """A call asks when it leaves the queue, and not before."""
        account, asked, answer = two_keys(), 0, asyncio.Event()

        async def key() -> str:
            nonlocal asked
            asked += 1
            await answer.wait()
            return "fake-api-key"

        async with connect(account, api_key=key, max_concurrency=1) as roles:
            calls = [asyncio.create_task(use(roles)) for _ in range(3)]
            await until(lambda: asked)
            for _ in range(20):
                await asyncio.sleep(0)
            assert asked == 1
            answer.set()
            await asyncio.gather(*calls)

        assert asked == 3

    async def test_time(self, connect: Connect) -> None:
        """A function that takes too long ends the call, in real seconds, and costs no slot."""
        account = two_keys()
        answers: list[Callable[[], Awaitable[str]]] = [never, at_once]

        async def key() -> str:
            return await answers.pop(0)()

        limits = Timeouts(total=0.05)
        async with connect(account, api_key=key, max_concurrency=1) as roles:
            with pytest.raises(RolesTimeoutError) as caught:
                await roles.with_options(timeout=limits).create(
                    name="Role", permissions=["PROJECT_READ"]
                )
            await roles.list()

        assert caught.value.limit == "total"
        assert not caught.value.sent
        assert [call.operation for call in account.calls] == ["list"]

    async def test_cancelled(self, connect: Connect) -> None:
        """A cancellation while the function is asked is the caller's, and costs no slot."""
        account, asked = two_keys(), asyncio.Event()
        answers: list[Callable[[], Awaitable[str]]] = [never, at_once]

        async def key() -> str:
            asked.set()
            return await answers.pop(0)()

        async with connect(account, api_key=key, max_concurrency=1) as roles:
            call = asyncio.create_task(use(roles))
            await asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await roles.list()

    async def test_cancelled_itself(self, connect: Connect) -> None:
        """A function that was cancelled, though the call was not, has failed."""
        account = two_keys()

        async def key() -> str:
            refresh: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            refresh.cancel()
            return await refresh

        async with connect(account, api_key=key, retry=THRICE) as roles:
            with pytest.raises(ConfigurationError, match="raised CancelledError") as caught:
                await roles.list()

        assert isinstance(caught.value.__cause__, asyncio.CancelledError)

    async def test_context(self, connect: Connect) -> None:
        """The function runs in the context of the call."""
        account = two_keys()
        tenant = contextvars.ContextVar("tenant", default="fake-api-key")
        async with connect(account, api_key=tenant.get) as roles:
            await roles.list()
            tenant.set("other-api-key")
            await roles.list()

        assert sent(account) == ["fake-api-key", "other-api-key"]

    async def test_names(self, connect: Connect) -> None:
        """Names seen with one key are not used for another, which may be of another account."""
        account = two_keys()
        account.add_role("Role", ["PROJECT_READ"])
        tenant = contextvars.ContextVar("tenant", default="fake-api-key")
        async with connect(account, api_key=tenant.get) as roles:
            await roles.get(role="Role")
            await roles.get(role="Role")
            tenant.set("other-api-key")
            await roles.get(role="Role")

        assert [call.operation for call in account.calls] == ["list", "get", "list"]

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


@both_clients
@pytest.mark.asyncio
class TestPace:
    async def test_hold_meanwhile(self, connect: Connect) -> None:
        """A call whose key takes long to come waits out a hold that began meanwhile."""
        account = account_at_noon()
        account.fail("list", 429, retry_after=5)
        keys = Keys("fake-api-key")

        async def key() -> str:
            if keys() and keys.asked == 2:
                await until(lambda: bool(account.calls))
            return "fake-api-key"

        async with connect(account, api_key=key, retry=THRICE) as roles:
            await asyncio.gather(roles.list().all(), roles.list().all())

        begun = account.calls[0].at
        assert [(c.outcome, (c.at - begun).total_seconds() >= 5) for c in account.calls] == [
            *((429, False), (200, True), (200, True)),
        ]
        assert keys.asked == 2

    async def test_many_busy_keys(self, connect: Connect) -> None:
        """The pace of a key that met a limit is kept, however many others are busy."""
        account = account_at_noon()
        tenants = [f"tenant-{number}" for number in range(110)]
        for tenant in tenants:
            account.add_key(tenant)
        account.fail("list", 429, times=110, retry_after=30)
        async with connect(account) as roles:
            for _ in range(2):
                for tenant in tenants:
                    with pytest.raises(RateLimitError):
                        await roles.with_options(api_key=tenant, timeout=5.0).list()

        assert len(account.calls) == 110


@both_clients
@pytest.mark.asyncio
class TestRefused:
    """A key that the service refuses with 401."""

    @both_kinds
    async def test_another(self, connect: Connect, kind: type[Keys]) -> None:
        """The call goes on with the key that the function returns then, also without retries."""
        account, keys = two_keys(), kind("expired", "other-api-key")
        async with connect(account, api_key=keys) as roles:
            role = await roles.create(name="Role", permissions=["PROJECT_READ"])

        assert account.role("Role") == role
        assert sent(account) == ["expired", "other-api-key"]

    async def test_rest_of_call(self, connect: Connect) -> None:
        """Every later request of the call sends the new key."""
        account, keys = two_keys(), Keys("expired", "other-api-key", "unused")
        account.add_role("Role", ["PROJECT_READ"])
        async with connect(account, api_key=keys) as roles:
            await roles.update(role="Role", description="Changed.")

        assert sent(account) == ["expired", *["other-api-key"] * 2]
        assert keys.asked == 2

    async def test_same(self, connect: Connect) -> None:
        """The same key again ends the call, with one request sent."""
        account, keys = two_keys(), Keys("expired")
        async with connect(account, api_key=keys, retry=THRICE) as roles:
            with pytest.raises(AuthenticationError):
                await roles.list()

        assert sent(account) == ["expired"]
        assert keys.asked == 2

    async def test_once(self, connect: Connect) -> None:
        """A second refusal ends the call."""
        account, keys = two_keys(), Keys("expired", "expired-too", "fake-api-key")
        async with connect(account, api_key=keys, retry=THRICE) as roles:
            with pytest.raises(AuthenticationError):
                await roles.list()

        assert sent(account) == ["expired", "expired-too"]
        assert keys.asked == 2

    async def test_fixed(self, connect: Connect) -> None:
        """A fixed key is sent once."""
        account = two_keys()
        async with connect(account, api_key="expired", retry=THRICE) as roles:
            with pytest.raises(AuthenticationError):
                await roles.list()

        assert sent(account) == ["expired"]

    async def test_own_policy(self, connect: Connect) -> None:
        """Nor is it sent again for a policy of one's own that retries every failure."""
        waits = [0.0, 0.0]

        class Always(RetryPolicy):
            def delay(self, failure: RolesError, *, attempt: int, change: bool) -> float | None:
                del failure, attempt, change
                return waits.pop() if waits else None

        account = two_keys()
        async with connect(account, api_key="expired", retry=Always()) as roles:
            with pytest.raises(AuthenticationError):
                await roles.list()

        assert sent(account) == ["expired"]

    async def test_function_fails(self, connect: Connect) -> None:
        """A function that fails when it is asked again ends the call, and costs no slot."""
        account, error = two_keys(), OSError("no vault")
        keys = Keys("expired", error, "fake-api-key")
        async with connect(account, api_key=keys, max_concurrency=1) as roles:
            with pytest.raises(ConfigurationError) as caught:
                await roles.list()
            await roles.list()

        assert caught.value.__cause__ is error

    async def test_after_lost_answer(self, connect: Connect) -> None:
        """A change whose first answer was lost goes on with another key, and is found."""
        account, keys = two_keys(), Keys("fake-api-key", "other-api-key")
        account.fail("create", "lost", when="after")
        account.fail("create", 401)
        async with connect(account, api_key=keys, retry=THRICE) as roles:
            role = await roles.create(name="Role", permissions=["PROJECT_READ"])

        assert account.roles == (role,)
        assert sent(account)[:3] == ["fake-api-key", "fake-api-key", "other-api-key"]

    async def test_unknown_outcome(self, connect: Connect) -> None:
        """A change whose first answer was lost, and whose key stays refused, may have been made."""
        account = two_keys()
        account.fail("create", "lost")
        account.fail("create", 401)
        async with connect(account, api_key=Keys("fake-api-key"), retry=THRICE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.create(name="Role", permissions=["PROJECT_READ"])

        assert isinstance(caught.value.__cause__, AuthenticationError)

    async def test_unknown_and_function_fails(self, connect: Connect) -> None:
        """A function that fails after a change whose answer was lost leaves it open."""
        account, error = two_keys(), OSError("no vault")
        account.fail("create", "lost", when="after")
        account.fail("create", 401)
        async with connect(account, api_key=Keys("fake-api-key", error), retry=THRICE) as roles:
            with pytest.raises(OutcomeUnknownError) as caught:
                await roles.create(name="Role", permissions=["PROJECT_READ"])

        assert isinstance(caught.value.__cause__, ConfigurationError)
        assert caught.value.__cause__.__cause__ is error


@both_clients
@pytest.mark.asyncio
class TestCopies:
    """Copies of a client with other keys."""

    async def test_key(self, connect: Connect) -> None:
        """A copy sends its own key, and the client goes on with its own."""
        account = two_keys()
        async with connect(account) as roles:
            other = roles.with_options(api_key="other-api-key")
            await other.list()
            await roles.list()
            await other.with_options(timeout=5.0).list()

        assert sent(account) == ["other-api-key", "fake-api-key", "other-api-key"]

    async def test_function(self, connect: Connect) -> None:
        """A copy may have a function."""
        account = two_keys()
        async with connect(account) as roles:
            await roles.with_options(api_key=AsyncKeys("other-api-key")).list()

        assert sent(account) == ["other-api-key"]

    async def test_any_hash(self, connect: Connect) -> None:
        """A function may have no hash, or one that changes: it is known by what it is."""

        class Changing(Keys):
            hashed = 0

            def __eq__(self, other: object) -> bool:
                raise AssertionError("nobody compares it")

            def __hash__(self) -> int:
                self.hashed += 1
                return self.hashed

        class Unhashable(Keys):
            __hash__ = None  # type: ignore[assignment]

        account = two_keys()
        async with connect(account) as roles:
            for key in (Changing("other-api-key"), Unhashable("other-api-key")):
                for _ in range(102):
                    roles.with_options(api_key=key)
                    roles.with_options(api_key=lambda: "fake-api-key")
                await roles.with_options(api_key=key).list()

        assert sent(account) == ["other-api-key", "other-api-key"]

    async def test_method(self, connect: Connect) -> None:
        """A method, which Python makes anew each time, is known by its object and function."""
        account = two_keys()
        account.add_role("Role", ["PROJECT_READ"])
        keys = Keys("other-api-key")
        async with connect(account) as roles:
            for _ in range(2):
                await roles.with_options(api_key=keys.__call__).get(role="Role")

        assert [call.operation for call in account.calls] == ["list", "get"]

    @pytest.mark.parametrize("key", ["", "a key", None, 5, b"key"])
    async def test_bad_key(self, connect: Connect, key: Any) -> None:  # noqa: ANN401
        """A copy with no key is refused."""
        async with connect(two_keys()) as roles:
            with pytest.raises(ConfigurationError):
                roles.with_options(api_key=key)

    async def test_slots(self, connect: Connect) -> None:
        """Copies share the requests that may be under way, in the order of their calls."""
        account = two_keys()
        account.slow_down(0.01)
        async with connect(account, max_concurrency=1) as roles:
            other = roles.with_options(api_key="other-api-key")
            calls = [use(roles), use(roles), use(other), use(roles), use(other)]
            await asyncio.gather(*calls)

        first, second = "fake-api-key", "other-api-key"
        assert sent(account) == [first, first, second, first, second]

    async def test_pace(self, connect: Connect) -> None:
        """A rate limit of one key holds no other back; copies with the same key share it."""
        account = two_keys()
        async with connect(account) as roles:
            account.fail("list", 429, retry_after=1000)
            with pytest.raises(RateLimitError):
                await roles.list()
            await roles.with_options(api_key="other-api-key").list()
            with pytest.raises(RateLimitError):
                await roles.with_options(api_key="fake-api-key").list()

        assert sent(account) == ["fake-api-key", "other-api-key"]

    async def test_names(self, connect: Connect) -> None:
        """Known names are of one key; copies with the same key share them."""
        account = two_keys()
        account.add_role("Role", ["PROJECT_READ"])
        async with connect(account) as roles:
            await roles.get(role="Role")
            await roles.with_options(api_key="other-api-key").get(role="Role")
            await roles.with_options(api_key="fake-api-key").get(role="Role")
            await roles.with_options(api_key="other-api-key").get(role="Role")

        assert [call.operation for call in account.calls] == ["list", "list", "get", "get"]

    async def test_slots_of_rest(self, connect: Connect) -> None:
        """A key that a rate limit holds back leaves its slots to others."""
        account = two_keys()
        account.fail("list", 429, retry_after=10)
        async with connect(account, max_concurrency=1, retry=THRICE) as roles:
            other = roles.with_options(api_key="other-api-key")
            held = [asyncio.create_task(use(roles)) for _ in range(3)]
            await until(lambda: account.calls)
            for _ in range(3):
                await other.list()
            await asyncio.gather(*held)

        assert sent(account).count("other-api-key") == 3

    async def test_many_keys(self, connect: Connect) -> None:
        """Of a hundred keys the client knows the names; the one that was used first is dropped."""
        account = account_at_noon()
        account.add_role("Role", ["PROJECT_READ"])
        keys = [f"key-{number}" for number in range(101)]
        for key in keys:
            account.add_key(key)
        async with connect(account) as roles:
            for key in [*keys, keys[-1], keys[0]]:
                await roles.with_options(api_key=key).get(role="Role")

        assert [call.operation for call in account.calls[-2:]] == ["get", "list"]


class TestGateway:
    @pytest.mark.asyncio
    async def test_401(self) -> None:
        """A 401 of a gateway does not ask for the key again."""
        keys = Keys("fake-api-key", "other-api-key")
        page = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n<p>No</p>"
        async with (
            scripted(page) as script,
            AiohttpRolesClient(keys, base_url=script.url, retry=ONCE) as roles,
        ):
            with pytest.raises(StatusError):
                await roles.list()

        assert keys.asked == 1


class Vault:
    """A key that is rotated, the time, and the fetches of the guide's example."""

    def __init__(self) -> None:
        self.key, self.seconds = "fake-api-key", 0.0
        self.fetches = self.under_way = self.most = 0

    async def fetch(self) -> str:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.fetches += 1
        return self.key

    def client(self, account: FakeAccount) -> FakeRolesClient:
        """Return a client whose key comes from the example's `KeyFromVault`."""
        names = definitions("arize_roles_async/guide/api-keys.md")
        names["fetch_key"] = self.fetch
        names["time"] = SimpleNamespace(monotonic=lambda: self.seconds)
        return FakeRolesClient(account, api_key=names["KeyFromVault"]())


@pytest.mark.asyncio
class TestVault:
    """The guide's function with an expiry and a lock."""

    async def test_rotation(self) -> None:
        """After a rotation every call fails until the expiry, and after it none does."""
        account, vault = two_keys(), Vault()
        async with vault.client(account) as roles:
            await roles.list()
            account.remove_key("fake-api-key")
            vault.key, vault.seconds = "other-api-key", 299.0
            with pytest.raises(AuthenticationError):
                await roles.list()
            vault.seconds = 300.0
            await asyncio.gather(*(use(roles) for _ in range(20)))

        assert (vault.fetches, vault.most) == (2, 1)

    async def test_overlap(self) -> None:
        """While both keys are valid, no call fails."""
        account, vault = two_keys(), Vault()
        async with vault.client(account) as roles:
            await roles.list()
            vault.key, vault.seconds = "other-api-key", 299.0
            await roles.list()
            vault.seconds = 300.0
            await roles.list()
            account.remove_key("fake-api-key")
            await roles.list()

        assert sent(account) == ["fake-api-key"] * 2 + ["other-api-key"] * 2


class TestTrio:
    """The fake under trio."""

    def test_function(self) -> None:
        """An asynchronous function may wait for what is trio's, and is cancelled in time."""
        waits = [0.0, math.inf]

        async def key() -> str:
            await trio.sleep(waits.pop(0))
            return "fake-api-key"

        async def main() -> None:
            async with FakeRolesClient(two_keys(), api_key=key) as roles:
                await roles.list()
                with pytest.raises(RolesTimeoutError):
                    await roles.with_options(timeout=0.05).list()

        trio.run(main)


class TestLoops:
    """Several keys, and one event loop after the other."""

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_slots(self, backend: str) -> None:
        """In the next event loop all slots are free, for each key."""
        roles = FakeRolesClient(max_concurrency=1)
        roles.account.add_key("other-api-key")
        other = roles.with_options(api_key="other-api-key")

        async def both() -> None:
            await roles.list()
            await other.list()

        async def abandon() -> None:
            roles.account.fail("list", "silent")
            with anyio.move_on_after(0.01):
                await roles.with_options(timeout=None).list()

        for main in (both, abandon, both):
            anyio.run(main, backend=backend)


async def use(roles: Any) -> None:  # noqa: ANN401
    await roles.list()


async def never() -> str:
    await asyncio.Event().wait()
    raise AssertionError


async def at_once() -> str:
    return "fake-api-key"
