"""The use of accounts while a test runs, for the pytest plugin, which always imports this."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from arize_roles_fake._testing.call_log import LoggedCall


UnusedFaults = Literal["error", "allow"]
"""The two ways to end a test whose faults have struck less often than scripted."""


class Expectation(Protocol):
    """A failure, a latency, a block or short pages, as a test scripted them."""

    def unused(self) -> str | None:
        """Return a line that names it, or None once it has struck as often as scripted."""


_MAX_ACCOUNTS: Final = 8


class RecordedAccount(Protocol):
    """An account, as a recorder and a report see it."""

    @property
    def calls(self) -> "tuple[LoggedCall, ...]": ...

    @property
    def unused_faults(self) -> tuple[str, ...]: ...


class Recorder:
    """The accounts that a test asks, and all that it scripts on any account."""

    def __init__(self, *, is_paused: bool = False) -> None:
        self._asked: dict[RecordedAccount, int] = {}
        """Accounts with the numbers of their calls; the one that was asked last comes last."""
        self.keys: set[str] = set()
        """The API keys that the test gave to accounts, or sent, and those of accounts it asked."""
        self.refusals: list[str] = []
        """Why clients were kept off the network, under `arize_roles_offline`."""
        self.account: RecordedAccount | None = None
        """The account of the fixture `fake_account`."""
        self.at_end: list[Callable[[], None]] = []
        """What to do once the test has ended, with its fixtures."""
        self.passed: bool | None = None
        """Whether the test itself passed; None if it was not run."""
        self._scripted: list[tuple[object, Expectation]] = []
        self._is_paused = is_paused

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep out what is scripted for more tests than one."""
        was_paused, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = was_paused

    def note_call(self, account: RecordedAccount, keys: Iterable[str]) -> None:
        self.keys.update(filter(None, keys))  # A request without a key has an empty one.
        self._asked[account] = self._asked.pop(account, 0) + 1
        if len(self._asked) > _MAX_ACCOUNTS:
            del self._asked[next(iter(self._asked))]

    def accounts(self) -> list[tuple[RecordedAccount, int]]:
        """Return the fixture's account and the newest others, each with its number of calls."""
        own = self.account
        first = {} if own is None else {own: len(own.calls)}
        return [*(first | self._asked).items()]

    def note_script(self, account: object, scripted: Expectation) -> None:
        if not self._is_paused:
            self._scripted.append((account, scripted))

    def forget_scripts(self, account: object) -> None:
        self._scripted = [each for each in self._scripted if each[0] is not account]

    def unused(self) -> Iterator[str]:
        return unused_of(scripted for _, scripted in self._scripted)


def check_unused_faults(word: object) -> None:
    """Raise `ValueError` if a word is neither `error` nor `allow`."""
    if word not in {"error", "allow"}:
        raise ValueError(f"unused_faults must be 'error' or 'allow', not {word!r}")


def unused_of(scripted: Iterable[Expectation]) -> Iterator[str]:
    """Yield a line for each that has not struck as often as scripted."""
    return (line for each in scripted if (line := each.unused()) is not None)


def unused_report(lines: Iterable[str], how_to_allow: str) -> str:
    """Return the message of a test that scripted more than it used; empty for none."""
    named = [f"  {line}" for line in lines]
    if not named:
        return ""
    head = "faults that struck less often than scripted:"
    return "\n".join([head, *named, f"to allow unused faults: {how_to_allow}"])


recorders: Final[list[Recorder]] = []
"""Under pytest, a paused recorder of the session, and that of the running test, which counts."""


urls: Final[list[tuple[RecordedAccount, str]]] = []
"""The accounts that are served, each with a URL."""


def running_recorder() -> Recorder:
    """Return the recorder of the running test; outside of pytest, one that nobody reads."""
    return recorders[-1] if recorders else Recorder()
