"""`mock_arize`: sends the calls of the code under test to an account and not to a socket."""

import functools
import inspect
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.driver import Driver, Shared
from arize_roles_async._values.errors import ClientStateError
from arize_roles_async._wire.secrets import Secret
from arize_roles_fake._account.account import FakeAccount
from arize_roles_fake._client import AccountTransport
from arize_roles_fake._testing.recorder import (
    UnusedFaults,
    check_unused_faults,
    recorders,
    running_recorder,
    unused_report,
)
from arize_roles_fake._testing.timeline import Clock, SharedTime

if TYPE_CHECKING:
    from arize_roles_async._aiohttp.hooks import AiohttpShared
    from arize_roles_async._aiohttp.transport import AiohttpTransport

_A = TypeVar("_A", FakeAccount, Mapping[str, FakeAccount])
_F = TypeVar("_F", bound=Callable[..., Any])

_KEY: Final = "ARIZE_API_KEY"


@overload
def mock_arize(
    accounts: FakeAccount | None = None, *, unused_faults: UnusedFaults = "error"
) -> "MockArize[FakeAccount]": ...
@overload
def mock_arize(
    accounts: Mapping[str, FakeAccount], *, unused_faults: UnusedFaults = "error"
) -> "MockArize[Mapping[str, FakeAccount]]": ...
def mock_arize(accounts: Any = None, *, unused_faults: UnusedFaults = "error") -> "MockArize[Any]":
    """Send the calls of every `AiohttpRolesClient` to an account, in process, in a block.

    The block covers the whole process with all its threads, and every call that begins in it. In
    it, `ARIZE_API_KEY` holds a key of the account. As a decorator of functions and coroutine
    functions, it puts the block around each call. The guide `testing.md` has examples.

    Args:
        accounts: The account; a fresh one by default. Any key that it does not have counts as its
            first one, unless `FakeAccount.remove_key` removed it. Or a mapping of accounts by their
            keys; then any other key gets 401.
        unused_faults: Whether a fault that struck less often than scripted is an `"error"`, as
            `FakeAccount.unused_faults` lists them: under pytest when the test ends, elsewhere when
            the block ends without an exception. `"allow"` allows them.

    Returns:
        A context manager that yields `accounts`, and a decorator.

    Raises:
        LookupError: On entering: the account has no API key.
        AssertionError: On leaving, outside of pytest: a fault is unused.
        TypeError: `accounts` is neither an account nor a mapping.
        ValueError: `accounts` is empty, or `unused_faults` is another word.
    """
    check_unused_faults(unused_faults)
    if accounts is None or isinstance(accounts, FakeAccount):
        return MockArize(accounts, unused_faults)
    if not isinstance(accounts, Mapping):
        raise TypeError(
            f"accounts must be a FakeAccount or a mapping, not {type(accounts).__name__}"
        )
    if not accounts:
        raise ValueError("accounts must not be empty")
    return MockArize(dict(cast("Mapping[str, FakeAccount]", accounts)), unused_faults)


class MockArize(Generic[_A]):
    """The block that `mock_arize` returns; it can be entered again."""

    def __init__(self, accounts: _A | None, unused_faults: UnusedFaults) -> None:
        self._accounts: Any = accounts
        self._unused_faults: UnusedFaults = unused_faults
        self._entered: list[_Mock] = []

    def __enter__(self) -> _A:
        accounts = FakeAccount() if self._accounts is None else self._accounts
        mock = _Mock(accounts)
        with _lock:
            mock.key_before = _running[0].key_before if _running else os.environ.get(_KEY)
            _running.append(mock)
            _redirect(mock)
        self._entered.append(mock)
        return cast("_A", accounts)

    def __exit__(self, _: object, exc: BaseException | None, traceback: object, /) -> None:
        __tracebackhide__ = True
        mock = self._entered.pop()
        with _lock:
            _running.remove(mock)
            _redirect(mock)
        running_recorder().at_end.append(functools.partial(_restore_environment, mock))
        if self._unused_faults == "allow":
            for account in mock.all_accounts:
                for recorder in recorders:
                    recorder.forget_scripts(account)
        elif exc is None and not recorders:
            unused = (line for each in mock.all_accounts for line in each.unused_faults)
            if report := unused_report(unused, 'mock_arize(unused_faults="allow")'):
                raise AssertionError(report)

    def __call__(self, tested: _F) -> _F:
        """Return a function with the block around each of its calls.

        Raises:
            TypeError: `tested` is a class or a generator function.
        """
        if inspect.isclass(tested):
            raise TypeError(
                "mock_arize decorates no classes: write "
                '@pytest.mark.usefixtures("mocked_arize") above the class, or '
                "self.enterContext(mock_arize()) in the setUp of a unittest.TestCase"
            )
        if inspect.isgeneratorfunction(tested) or inspect.isasyncgenfunction(tested):
            raise TypeError("mock_arize decorates no generators: use `with mock_arize()` inside")

        @functools.wraps(tested)
        def call(*args: object, **kwargs: object) -> object:
            with MockArize(self._accounts, self._unused_faults):
                return tested(*args, **kwargs)

        @functools.wraps(tested)
        async def call_later(*args: object, **kwargs: object) -> object:
            with MockArize(self._accounts, self._unused_faults):
                return await tested(*args, **kwargs)

        return cast("_F", call_later if inspect.iscoroutinefunction(tested) else call)


class _Mock:
    """A block that was entered, with the destinations of its calls."""

    def __init__(self, accounts: FakeAccount | Mapping[str, FakeAccount]) -> None:
        self._accounts = accounts
        self.key: str
        """The key in the environment while the block runs."""
        self.key_before: str | None
        """The key there before the first of the running blocks."""
        self._clock: Clock
        if isinstance(accounts, FakeAccount):
            self.key, self.all_accounts, self._clock = accounts.api_key, [accounts], accounts
        else:
            self.key, self.all_accounts = next(iter(accounts)), [*dict.fromkeys(accounts.values())]
            self._clock = SharedTime([*self.all_accounts])
            running_recorder().keys.update(accounts)
        self._unknown = FakeAccount.load('{"roles": [], "keys": {}}')
        """Answers 401 to every key that has no account, since this account has no key."""
        self._redirected: WeakKeyDictionary[AiohttpShared, Shared[Any]] = WeakKeyDictionary()
        """What calls in the block share, by what they share outside of it."""

    def driver(self, usual: "AiohttpShared", keys: KeySource) -> Driver[Any]:
        """Return the driver of a call, whose client goes to `usual` outside of the block."""
        from arize_roles_async._asyncio import running_loop

        real = cast("AiohttpTransport", usual.transport)
        if real.is_closing:
            raise ClientStateError("the client is closed")
        real.mocked_in = running_loop()
        if usual not in self._redirected:
            transport = AccountTransport(
                self._clock, self.account, unknown_key_is_first=True, host=real.host
            )
            self._redirected[usual] = Shared(transport, usual.slots.number, usual.new_lookup)
            usual.redirected.add(transport)
        return self._redirected[usual].driver(keys)

    def account(self, key: Secret[str]) -> FakeAccount:
        if isinstance(self._accounts, FakeAccount):
            return self._accounts
        return self._accounts.get(key.reveal(), self._unknown)


_lock: Final = threading.Lock()
_running: Final[list[_Mock]] = []
"""The blocks that run in this process, the innermost last."""


def _restore_environment(ended: _Mock) -> None:
    """Take the key of an ended block out of the environment at the end of a test.

    A fixture that ends later than the block, such as `monkeypatch`, puts it back there.
    """
    with _lock:
        if os.environ.get(_KEY) == ended.key:
            _redirect(ended)


def _redirect(changed: _Mock) -> None:
    """Lead clients, and the key in the environment, to the innermost running block."""
    from arize_roles_async._aiohttp import hooks

    hooks.redirect = _driver if _running else None
    key = _running[-1].key if _running else changed.key_before
    if key is None:
        os.environ.pop(_KEY, None)
    else:
        os.environ[_KEY] = key


def _driver(usual: "AiohttpShared", keys: KeySource) -> Driver[Any]:
    with _lock:
        mock = _running[-1] if _running else None
    return usual.driver(keys) if mock is None else mock.driver(usual, keys)
