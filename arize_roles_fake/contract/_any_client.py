"""The rules of a client of any resource: its memory, keys, options, event loops and end."""

# ruff: noqa: ANN401 - a client of any resource, and its items

import secrets
import traceback
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, ClassVar, Final

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from arize_roles_async import (
    UNSET,
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    Permission,
    RateLimitError,
    RetryPolicy,
    RolesError,
    RolesTimeoutError,
    StatusError,
    Timeouts,
    ValidationError,
)
from arize_roles_fake._account.account import FakeAccount
from arize_roles_fake._client import FakeRolesClient
from arize_roles_fake.contract._any_order import AnyOrder, Calls
from arize_roles_fake.contract._suite import Call, Suite, rule, together, with_client
from arize_roles_fake.pytest_plugin import NOT_RUN

_WALKS: Final = ("all", "__anext__")


class AnyClient(Suite):
    """The base of every contract."""

    _protocol: ClassVar[type]

    @abstractmethod
    def _calls(self, client: Any, /) -> list[Call]:
        """Return a call of each method, which changes nothing; the first one reads a page."""

    @abstractmethod
    async def _items(self, client: Any, /) -> list[Any]:
        """Return items that are there, one of each kind, which the test makes if it can."""

    @abstractmethod
    def _reads(self, client: Any, item: Any, /) -> list[Call]:
        """Return a call for each way to find an item: by its ID, its name, and in lists."""

    def _deleting(self, client: Any, item: Any, /) -> list[Call]:  # noqa: ARG002
        """Return a call that deletes an item, where items can be deleted."""
        return []

    @abstractmethod
    def _of(self, roles: FakeRolesClient, /) -> Any:
        """Return the client of this contract that a client of roles has."""

    @abstractmethod
    async def _drawn(
        self, client: Any, items: Any, ids: list[str], /
    ) -> tuple[Calls, Calls, Calls]:
        """Return calls that read, those that change something, and those of an account itself."""

    async def _races(
        self,
        clients: tuple[Any, Any],  # noqa: ARG002
        /,
    ) -> AsyncIterator[tuple[Sequence[Call], Sequence[object]]]:
        """Yield calls to make at the same moment, and the classes of their ends. Optional."""
        return
        yield

    # What a client remembers

    @with_client
    async def test_any_order(self, client: Any) -> None:
        """Calls in any order end as the same ones of the fake, on an account that is equal.

        They send the same changes, also after one whose outcome is unknown. They are drawn by
        chance, with the same seed in each run. Clients and their copies make them, with options in
        turn, also two at the same moment, while somebody else makes some, and the account changes
        or fails. Once the client is closed, each of them is an error. Two key functions are two
        keys.
        """
        items, key, blind = await self._items(client), self.other_key(), self.other_key(grants=())
        accounts = self.accounts()
        somebody, twin, another = [
            self._of(FakeRolesClient(accounts[number])) for number in (0, 1, 1)
        ]
        async with self.open_client() as other:
            ids = [each.id for each in items]
            tables = await self._drawn(client, items, ids)
            order = AnyOrder(accounts, [(somebody, another), (other, twin)], tables, ids)
            order.copy(1, api_key=lambda: key)
            order.copy(1, api_key=lambda: blind)
            order.copy(2, timeout=None, retry=RetryPolicy(attempts=2, backoff=1e-6))
            order.copy(4, background=True, name="A", retry=UNSET)
            outlast = self.outlast_caches if self.max_staleness else None
            for _ in range(self.rounds):
                await order.turn(outlast)
            await together(other.aclose, somebody.aclose)
            made = [each.found for each in order.made]
            await self._all_raise((ClientStateError, ValidationError), made)

    @with_client
    async def test_short_pages(self, client: Any) -> None:
        """Each way to find an item is the same at one moment with all others, on short pages."""
        items = await self._items(client)
        reads = [read for item in items for read in self._reads(client, item)]
        before = [await _found(read) for read in reads]
        await self.outlast_caches()

        async def read_again(read: Call, found: list[Any]) -> None:
            __tracebackhide__ = True
            assert await _found(read) == found, read

        async with self.short_pages():
            pairs = zip(reads, before, strict=True)
            await together(*[partial(read_again, *each) for each in pairs])

    @with_client
    async def test_at_once(self, client: Any) -> None:
        """Of changes at the same moment, each ends for itself, as if one of them were first."""
        async with self.open_client() as other:
            async for calls, expected in self._races((client, other)):
                ends: list[object] = []

                async def note_end(call: Call, ends: list[object] = ends) -> None:
                    ends.append(await _kind_of_end(call))

                await together(*[partial(note_end, each) for each in self._each(calls)])
                assert Counter(ends) == Counter(expected)

    @with_client
    async def test_read_under_way(self, client: Any) -> None:
        """A read that begins after a change shows it, although an older one is under way."""
        account, _ = self.accounts()
        item = (await self._items(client))[0]
        ways = self._reads(client, item) if self._deleting(client, item) else ()
        async with self.open_client() as other:
            for number, _ in enumerate(ways):
                read, found = self._reads(client, item)[number], list[Any]()
                (delete,) = self._deleting(other, item)
                for _ in range(2):  # The second time, it may ask for the item by its ID.
                    await read.found()
                    await self.outlast_caches()
                with account.block(account.calls[-1].operation) as blocked:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(_find, read, list[Any]())
                        await blocked.reached(timeout=2.0)
                        await delete()
                        await self.outlast_caches()
                        tasks.start_soon(_find, read, found)
                        with suppress(TimeoutError):
                            await blocked.reached(2, timeout=0.2)
                        blocked.release()
                assert item not in found
                await self.outlast_caches()
                await self._clean_up(client)
                item = (await self._items(client))[0]

    @with_client
    async def test_cancel_call(self, client: Any) -> None:
        """No method swallows a cancellation; after fifty, a call ends as it did before them."""
        calls = self._calls(client)
        for call in self._each(calls):
            assert await self._ends_cancelled(call)
            await calls[0]()
        for call in self._each(self._calls(client)):
            is_walk = call.method in _WALKS
            end = is_walk or await _kind_of_end(call)
            for _ in range(50):
                await self._ends_cancelled(call)
            assert is_walk or await _kind_of_end(call) is end

    @with_client
    async def test_cancel_one_of_two(self, client: Any) -> None:
        """Of two equal calls at one moment, either can be cancelled: the other has its result."""
        for item in await self._items(client):
            for read in self._each(self._reads(client, item)):
                for cancelled in (0, 1):
                    found: list[Any] = []
                    scopes = anyio.CancelScope(), anyio.CancelScope()
                    async with anyio.create_task_group() as tasks:
                        for scope in scopes:
                            tasks.start_soon(_find, read, found, scope)
                        scopes[cancelled].cancel()
                    assert item in found

    # Options of copies

    @with_client
    async def test_options_refused(self, client: Any) -> None:
        """A time limit is above 0, and each other option of its type; one of a key is below."""
        refused: dict[str, tuple[Any, ...]] = {
            "timeout": (0, -1.0, float("nan"), float("inf"), True, "5"),
            "retry": (None, 3),
            "background": (None, 1),
            "name": (5, b"A"),
        }
        for option, values in refused.items():
            for value in self._each(values):
                with pytest.raises(ConfigurationError):
                    client.with_options(**{option: value})

    @with_client
    async def test_options_in_turn(self, client: Any) -> None:
        """The last value of each option counts for a copy of a copy; `UNSET` keeps it.

        A number as `timeout` limits the whole call, and None does not; other limits stay. A copy
        changes no client that it was made from. `retry` shows in `test_any_order`; `name` and
        `background` show in no result, so here they only change no other option.
        """
        asked, key, (account, _) = 0, self.other_key(), self.accounts()

        def get_key() -> str:
            nonlocal asked
            asked += 1
            return key

        total, read, item = ("total", 0.02), ("read", 0.03), (await self._items(client))[0]
        turns: list[tuple[dict[str, Any], tuple[str, float]]] = [
            ({"timeout": Timeouts(read=0.03)}, read),
            ({"timeout": 0.02}, total),
            ({"timeout": UNSET, "name": "A"}, total),
            ({"timeout": None, "background": True}, read),
            ({"timeout": UNSET, "name": None}, read),
            ({"timeout": 0.02, "background": UNSET}, total),
            ({"timeout": 20.0, "background": False, "retry": UNSET}, read),
        ]
        copies = [client.with_options(api_key=get_key, retry=RetryPolicy(attempts=1))]
        for given, _ in turns:
            copies.append(copies[-1].with_options(**given))
        await anyio.sleep(0.02)  # A limit that began with its copy would be over.
        with _failing(account, "any", failure="silent"):
            for copied, (_, limit) in self._each(zip(copies[1:], turns, strict=True)):
                asked = 0
                for number, read_it in enumerate(self._reads(copied, item), 1):
                    with pytest.raises(RolesTimeoutError) as caught:
                        await read_it.found()
                    assert (caught.value.limit, caught.value.seconds, asked) == (*limit, number)
        await self._calls(client)[0]()

    @with_client
    async def test_rate_limited(self, client: Any) -> None:
        """A 429 is a `RateLimitError` with the seconds to wait; another key is not limited."""
        key, (account, _) = self.other_key(), self.accounts()
        for number, _ in enumerate(self._each(self._calls(client))):
            # A client of its own, as a client waits with its next request after a 429.
            async with self.open_client() as other:
                limited = other.with_options(retry=RetryPolicy(attempts=1))
                fails = _failing(account, "any", failure=429, retry_after=70)
                with fails, pytest.raises(RateLimitError) as caught:
                    await self._calls(limited)[number]()
                assert (caught.value.status, caught.value.retry_after) == (429, 70.0)
                another = self._calls(other.with_options(api_key=key))[number]
                assert await _kind_of_end(another) is not RateLimitError

    # Keys that change; rules of a second valid key need `other_key`

    @with_client
    async def test_key_of_copy(self, client: Any) -> None:
        """A copy is of the client's class and sends its own key: a made-up one is a 401.

        The key is asked for once more after a 401, and for nothing else: no call is made again.
        """
        asked = 0

        def get_key() -> str:
            nonlocal asked
            asked += 1
            return f"made-up-{secrets.token_hex()}"

        stranger = client.with_options(api_key=get_key)
        assert type(stranger) is type(client)
        for number, call in enumerate(self._each(self._calls(stranger)), 1):
            with pytest.raises(AuthenticationError):
                await call()
            assert asked == 2 * number

    @with_client
    async def test_key_in_errors(self, client: Any) -> None:
        """No error holds the key of the call, in its text, its fields, its notes or its causes."""
        for key in self._each((self.other_key(), f"made-up-{secrets.token_hex()}")):
            for call in self._calls(client.with_options(api_key=key)):
                try:
                    await call()
                except (RolesError, StopAsyncIteration) as error:
                    is_there = key in "".join(traceback.format_exception(error)) + str(vars(error))
                    assert not is_there, f"the error of {call!r} holds the API key"

    @with_client
    async def test_key_function(self, client: Any) -> None:
        """A function, synchronous or asynchronous, is called once for the key of each call."""
        key, asked = self.other_key(), 0

        def get_key() -> str:
            nonlocal asked
            asked += 1
            return key

        async def fetch_key() -> str:
            return get_key()

        for function in self._each((get_key, fetch_key)):
            other, asked = client.with_options(api_key=function), 0
            for number in (1, 2):
                await self.outlast_caches()
                await self._calls(other)[0]()
                assert asked == number

    @with_client
    async def test_key_refused(self, client: Any) -> None:
        """After a 401 the function is called again, and another key is tried."""
        keys = iter((f"made-up-{secrets.token_hex()}", self.other_key()))
        await self._calls(client.with_options(api_key=lambda: next(keys)))[0]()
        assert [*keys] == []

    @with_client
    async def test_key_function_fails(self, client: Any) -> None:
        """A function that fails is a `ConfigurationError`, with its error as the cause."""

        def fail() -> str:
            raise LookupError

        async def fail_later() -> str:
            return fail()

        for function in self._each((fail, fail_later)):
            with pytest.raises(ConfigurationError) as caught:
                await self._calls(client.with_options(api_key=function))[0]()
            assert isinstance(caught.value.__cause__, LookupError)

    @with_client
    async def test_key_not_text(self, client: Any) -> None:
        """A key is what a bearer token may be; any other is refused, also a function's."""
        keys: list[Any] = ["", "a key", "kéy", "key\n", '"key"', "k=y", b"key", 5, None]
        for key in self._each(keys):
            with pytest.raises(ConfigurationError):
                client.with_options(api_key=key)
            other = client.with_options(api_key=lambda key=key: key)
            with pytest.raises(ConfigurationError):
                await self._calls(other)[0]()

    # The end of a client, and event loops

    @with_client
    async def test_close_shared(self, client: Any) -> None:
        """After `aclose` of a client or its copy, which may be called twice, both are closed.

        Every call is an error.
        """
        del client
        for close_the_copy in self._each((False, True)):
            async with self.open_client() as other:
                copied = other.with_options(timeout=20.0)
                calls = [*self._calls(other), *self._calls(copied), Call(other, "__aenter__")]
                for _ in range(2):
                    await (copied if close_the_copy else other).aclose()
                await self._all_raise(ClientStateError, calls)

    @with_client
    async def test_close_gently(self, client: Any) -> None:
        """During its grace, `aclose` lets calls under way end, and refuses new ones."""
        del client
        async with self.open_client() as other:

            async def begin(call: Call) -> None:
                assert await _kind_of_end(call) is not ClientStateError

            async def close() -> None:
                await _let_others_begin()
                await other.aclose(grace=20.0)

            async def come_late() -> None:
                await _let_others_begin()
                await _let_others_begin()
                with pytest.raises(ClientStateError):
                    await self._calls(other)[0]()

            calls = [*self._calls(other), *self._calls(other)]
            # Each page of a walk is a call.
            begun = [partial(begin, each) for each in calls if each.method not in _WALKS]
            await together(*begun, close, come_late)

    @with_client
    async def test_close_at_once(self, client: Any) -> None:
        """In the grace of an `aclose`, another one closes at once, and so does a cancellation."""
        del client
        for cancels in self._each((False, True)):
            async with self.open_client() as other:
                copied = other.with_options(api_key=anyio.sleep_forever)

                async def close(scope: anyio.CancelScope, other: Any = other) -> None:
                    with scope:
                        await other.aclose(grace=120.0)

                scope = anyio.CancelScope()
                with anyio.fail_after(2.0):
                    async with anyio.create_task_group() as tasks:
                        for call in self._calls(copied)[:2]:
                            tasks.start_soon(self._all_raise, ClientStateError, [call])
                        await _let_others_begin()
                        tasks.start_soon(close, scope)
                        await _let_others_begin()
                        if cancels:
                            scope.cancel()
                        else:
                            await other.aclose()

    @with_client
    async def test_bad_grace(self, client: Any) -> None:
        """A grace is a number of seconds, 0 or more; any other leaves the client open."""
        graces: list[Any] = [-1, -0.5, float("nan"), float("inf"), True, None, "5"]
        for grace in self._each(graces):
            with pytest.raises(ConfigurationError):
                await client.aclose(grace=grace)
            await self._calls(client)[0]()

    @rule
    def test_next_loop(self) -> None:
        """A client whose event loop was closed opens again in the next one."""
        client: Any = self.open_client()
        if not isinstance(client, self._protocol):
            pytest.skip(f"{NOT_RUN}: open_client of {type(self).__name__} returns no client")

        async def use() -> None:
            await self._calls(client)[0]()

        for main in (use, use, Call(client, "aclose")):
            self._run(main)

    @with_client
    async def test_two_loops(self, client: Any) -> None:
        """Two event loops that are open at once cannot share a client."""

        async def use() -> None:
            with pytest.raises(ClientStateError):
                await self._calls(client)[0]()

        await self._calls(client)[0]()
        await self.outlast_caches()
        await anyio.to_thread.run_sync(self._run, use)
        await self._calls(client)[0]()


class PlacesSuite(AnyClient):
    """The base of contracts about users, and the spaces and projects where they have roles."""

    @abstractmethod
    def user_ids(self) -> Sequence[str]:
        """Return the IDs of two users, who have no role on these three resources.

        Nobody else has the address of one of them.
        """

    @abstractmethod
    def space_ids(self) -> Sequence[str]:
        """Return the IDs of two spaces with names that no other has."""

    @abstractmethod
    def project_ids(self) -> Sequence[str]:
        """Return the ID of a project with a name that no other has."""

    def other_key(
        self,
        *,
        grants: Iterable[Permission] | None = None,
        on: Mapping[str, Iterable[Permission]] | None = None,  # noqa: ARG002
    ) -> str:
        """Return an API key of the test's account that is not the client's. Optional.

        Args:
            grants: The permissions that it grants everywhere; all by default.
            on: Those that it grants on single resources besides, by the IDs of these.
        """
        return super().other_key(grants=grants)


async def _found(read: Call) -> list[Any]:
    """Return what a call finds, which is nothing if it is refused."""
    try:
        return await read.found()
    except StatusError:
        return []


@contextmanager
def _failing(account: FakeAccount, operation: Any, **fault: Any) -> Generator[None]:
    """Have every request of an operation fail in a block."""
    account.fail(operation, times=None, **fault)
    try:
        yield
    finally:
        account.clear_faults()


async def _kind_of_end(call: Call) -> object:
    """Return the class of what a call returns or raises; of a truth value, the value."""
    try:
        end = await call()
    except (RolesError, StopAsyncIteration) as error:
        end = error
    return end if isinstance(end, bool) else type(end)


async def _find(read: Call, found: list[Any], scope: anyio.CancelScope | None = None) -> None:
    with scope or nullcontext():
        found += await _found(read)


async def _let_others_begin() -> None:
    """Let tasks that were started begin: trio runs those of one step in a random order."""
    for _ in range(5):
        await checkpoint()
