"""The commands of `python -m arize_roles_async`: what they print, and how they end."""

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from arize_roles_async import Request, __version__, as_code
from arize_roles_async.__main__ import main
from arize_roles_fake import FakeAccount, Reply, RolesServer
from tests.as_code.accounts import Gateway, account_of, changes, contents
from tests.support.processes import LONGEST_WAIT, MEASURED, ROOT, await_true
from tests.tools.judge_as_code import heeded_signals

KEY: Final = "secret-of-the-test-4711"
UNWRITTEN: Final = "the standard output cannot be written: [Errno 32] "
FULL: Final = "error: the standard output cannot be written: [Errno 28] No space left on device\n"
CLOSED: Final = "error: the standard output is closed\n"
COMMAND: Final = (sys.executable, "-m", "arize_roles_async")

FILE: Final = """\
account = "staging"
absent = ["D"]

[roles."B"]
previously = ["B old"]
permissions = ["ROLE_READ"]

[roles."New"]
permissions = ["PROJECT_READ"]

[roles."Same"]
permissions = ["ROLE_READ"]
"""

TEXT: Final = """\
  account "staging" at HOST
! update "B old" -> "B"
- delete "D"
-     "ROLE_READ"
+ create "New"
+     "PROJECT_READ"
? "Undeclared" is not declared
  1 to update, 1 to delete, 1 to create; 1 as declared
  checksum SUM
"""


HOSTILE: Final = 'x ##[add-mask]" \\##vso[task.complete]'
"""A role's name with commands to the runners of GitHub and Azure."""
BROKEN: Final = r'? "x #\u0023[add-mask]\" \\#\u0023vso[task.complete]"'


def masked(output: str) -> str:
    """Return an output without the port of a server, which checksums cover."""
    return re.sub(r"2-[0-9a-f]{64}", "SUM", re.sub(r"127\.0\.0\.1:[0-9]+", "HOST", output))


def without_arize() -> dict[str, str]:
    """Return the environment without what configures a client, or has Python buffer nothing."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ARIZE_") and name != "PYTHONUNBUFFERED"
    }


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file that takes an update, a delete and a create on the account below."""
    path = tmp_path / "roles.toml"
    path.write_text(FILE, "utf-8")
    return str(path)


@pytest.fixture
def account() -> FakeAccount:
    account = account_of("B old", "D", "Same", "Undeclared", predefined=True)
    account.add_key(KEY)
    return account


@pytest.fixture
def environment(account: FakeAccount) -> Iterator[dict[str, str]]:
    """The variables that point the commands at the account, which this process serves."""
    with RolesServer(account) as server:
        yield {**without_arize(), "ARIZE_API_KEY": KEY, "ARIZE_BASE_URL": server.url}


@pytest.fixture
def connected(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Points the commands that run in this process at the account."""
    for name in ("ARIZE_API_KEY", "ARIZE_BASE_URL"):
        monkeypatch.setenv(name, environment[name])


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run a command as a process, and return its exit status and what it printed."""
    done = subprocess.run(  # noqa: S603 - this interpreter
        (*COMMAND, *arguments),
        env=environment,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=LONGEST_WAIT,
    )
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@contextmanager
def running(
    environment: dict[str, str], *arguments: str, **streams: int
) -> Generator["subprocess.Popen[str]"]:
    # What a shell runs in the background ignores interrupts, and so would what that starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            (*COMMAND, *arguments),
            env=environment,
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            process.kill()


Ran = tuple[int, str, str]


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process, and return its exit status and what it printed."""

    def run_here(*arguments: str) -> Ran:
        try:
            status = main([*arguments])
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        output, errors = capsys.readouterr()
        assert KEY not in output + errors
        return status, output, errors

    return run_here


@pytest.mark.usefixtures("connected")
class TestRound:
    """Whole runs of several commands."""

    def test_round(self, ran: Callable[..., Ran], account: FakeAccount, file: str) -> None:
        """Check, plan, apply by checksum, plan again, export: to the state that was declared."""
        assert ran("check", file) == (0, "declared: 3; absent: 1\n", "")
        status, output, _ = ran("plan", "--exit-code", file)
        assert (status, masked(output)) == (1, TEXT)
        status, output, _ = ran("plan", "--format", "json", file)
        checksum = json.loads(output)["checksum"]
        assert status == 0
        made = '  made: update "B old" -> "B"\n  made: delete "D"\n  made: create "New"\n'
        status, output, errors = ran("apply", "--checksum", checksum, file)
        assert (status, masked(output), errors) == (0, TEXT + made, "")
        assert ran("plan", "--exit-code", file)[0] == 0
        status, exported, _ = ran("export")
        assert status == 0
        names = ["B", "New", "Same", "Undeclared"]
        assert [role.name for role in as_code.loads(exported).roles] == names
        assert set(contents(account)) == set(names)
        status, output, errors = ran("apply", "--checksum", checksum, file)
        assert (status, output) == (2, "")
        assert "\nerror: nothing was changed: the plan differs from the expected one" in errors

    @pytest.mark.parametrize(
        "arguments",
        [
            "",
            "destroy",
            "apply",
            "apply --yes --checksum 0 FILE",
            f"plan --api-key {KEY[:3]} FILE",
            "plan --format html FILE",
        ],
    )
    def test_usage(
        self, ran: Callable[..., Ran], file: str, account: FakeAccount, arguments: str
    ) -> None:
        """Bad usage is trouble too: no command, no file, two kinds of consent, a key."""
        status, output, errors = ran(*arguments.replace("FILE", file).split())
        assert (status, output) == (2, "")
        assert errors.startswith("usage: arize-roles")
        assert account.calls == ()

    def test_wrong_key(
        self, ran: Callable[..., Ran], file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A key that is refused is trouble, and no output shows it."""
        monkeypatch.setenv("ARIZE_API_KEY", "another-secret-4712")
        status, output, errors = ran("apply", "--yes", file)
        assert (status, output) == (2, "")
        assert "401" in errors
        assert "4712" not in errors


class TestProcesses:
    """`python -m arize_roles_async`, as a process of its own."""

    def test_import_error(self, tmp_path: Path, file: str) -> None:
        """An import that fails is trouble, and no difference."""
        (tmp_path / "difflib.py").write_text("raise ImportError('No difflib here.')")
        broken = without_arize() | MEASURED | {"PYTHONPATH": str(tmp_path)}
        assert run(broken, "plan", "--exit-code", file) == (2, "", "error: No difflib here.\n")

    def test_no_key(self, file: str) -> None:
        """Without a key nothing is sent."""
        assert run(without_arize() | MEASURED, "plan", file) == (
            2,
            "",
            "error: no API key: set ARIZE_API_KEY\n",
        )

    def test_interrupted(
        self, environment: dict[str, str], file: str, account: FakeAccount
    ) -> None:
        """A second interrupt during a change ends with 3: it may have been made."""
        account.fail("delete", "silent")
        with running(environment, "apply", "--yes", file) as process:
            await_true(lambda: len(account.calls_of("delete")) == 1, "the delete")
            process.send_signal(signal.SIGINT)
            await_true(lambda: not pending(process.pid, signal.SIGINT), "its handling")
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=LONGEST_WAIT)
        assert process.returncode == 3
        assert masked(output) == f'{TEXT}  made: update "B old" -> "B"\n'
        assert errors == (
            'error: delete "D" may have been made: stopped by SIGINT\n'
            'made: 1 of 3\nnot reached: 1\n  not reached: create "New"\n'
        )

    @pytest.mark.usefixtures("connected")
    def test_killed(
        self,
        environment: dict[str, str],
        file: str,
        account: FakeAccount,
        ran: Callable[..., Ran],
    ) -> None:
        """After a kill, what was not made is left for the next run."""
        account.fail("delete", "silent")
        with running(environment, "apply", "--yes", file) as process:
            await_true(lambda: len(account.calls_of("delete")) == 1, "the delete")
            process.kill()
            process.communicate(timeout=LONGEST_WAIT)
        assert ran("plan", "--exit-code", file)[1].split("\n")[-3] == (
            "  1 to delete, 1 to create; 2 as declared"
        )
        assert ran("apply", "--yes", file)[0] == 0
        assert set(contents(account)) == {"B", "New", "Same", "Undeclared"}

    @pytest.mark.parametrize(
        "command", [("plan",), ("apply", "--yes"), ("apply", "--yes", "--json")]
    )
    def test_closed_pipe(
        self, environment: dict[str, str], file: str, account: FakeAccount, command: tuple[str, ...]
    ) -> None:
        """Where nobody reads what is printed, nothing is changed, and no traceback comes."""
        reader, writer = os.pipe()
        os.close(reader)
        with running(environment, *command, file, stdout=writer) as process:
            os.close(writer)
            _, errors = process.communicate(timeout=LONGEST_WAIT)
        assert (process.returncode, errors) == (2, f"error: {UNWRITTEN}Broken pipe\n")
        assert changes(account) == []

    def test_head(self, file: str, account: FakeAccount) -> None:
        """A reader that leaves after the plan ends nothing in the middle of a change."""
        reader, writer = os.pipe()
        lines: list[bytes] = []

        class Reading(FakeAccount):
            def handle(self, request: Request) -> Reply:
                if request.target.startswith("/v2/roles/") and not lines:
                    lines.append(os.read(reader, 1))
                    os.close(reader)
                return super().handle(request)

        reading = Reading.load(account.dump())
        with RolesServer(reading) as server:
            environment = {
                **without_arize(),
                "ARIZE_API_KEY": reading.api_key,
                "ARIZE_BASE_URL": server.url,
            }
            with running(environment, "apply", "--yes", file, stdout=writer) as process:
                os.close(writer)
                _, errors = process.communicate(timeout=LONGEST_WAIT)
        assert (process.returncode, errors) == (0, f"warning: {UNWRITTEN}Broken pipe\n")
        assert set(contents(reading)) == {"B", "New", "Same", "Undeclared"}

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            ("check FILE >/dev/full", FULL),
            ("plan FILE >/dev/full", FULL),
            ("export >/dev/full", FULL),
            ("apply --yes FILE >/dev/full", FULL),
            ("apply --yes --json FILE >/dev/full", FULL),
            ("check FILE >&-", CLOSED),
            ("apply --yes FILE >&-", CLOSED),
            ("apply --yes --json FILE <&- >/dev/full 2>&-", ""),
        ],
        ids=str.split("check plan export apply json check-closed apply-closed all-closed"),
    )
    def test_no_output(
        self,
        environment: dict[str, str],
        file: str,
        account: FakeAccount,
        command: str,
        error: str,
    ) -> None:
        """Where nothing can be printed, a sentence says so, and nothing is changed."""
        script = f'exec "$0" -m arize_roles_async {command.replace("FILE", file)}'
        done = subprocess.run(  # noqa: S603 - the script is above
            ["/bin/sh", "-c", script, sys.executable],
            env=environment | MEASURED,
            capture_output=True,
            check=False,
            text=True,
            timeout=LONGEST_WAIT,
        )
        assert (done.returncode, done.stderr) == (2, error)
        assert changes(account) == []


def pending(process: int, each: signal.Signals) -> bool:
    """Return True if a process has not handled a signal yet, as Linux reports it."""
    status = Path(f"/proc/{process}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if "Pnd:" in line]
    return any(mask >> (each - 1) & 1 for mask in masks)


class Signalling(FakeAccount):
    """An account that sends signals to this process while it answers its requests, by number."""

    signals: ClassVar[dict[int, list[signal.Signals]]] = {}

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        for each in self.signals.get(self.calls_in_all, ()):
            os.kill(os.getpid(), each)
        return reply


# The requests of an apply are: list, get, update, get, delete, create.
class TestSignals:
    @pytest.fixture
    def account(self) -> FakeAccount:
        account = account_of("B old", "D", "Same", "Undeclared", predefined=True)
        account.add_key(KEY)
        return Signalling.load(account.dump())

    @pytest.fixture(autouse=True)
    def _heeded(self) -> Iterator[None]:
        """A process in the background was started to ignore SIGINT."""
        with heeded_signals():
            yield

    @pytest.fixture(autouse=True)
    def _connected(self, account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with RolesServer(account) as server:
            monkeypatch.setenv("ARIZE_API_KEY", KEY)
            monkeypatch.setenv("ARIZE_BASE_URL", server.url)
            yield

    def send(self, monkeypatch: pytest.MonkeyPatch, **at: list[signal.Signals]) -> None:
        numbers = {int(number.removeprefix("at_")): each for number, each in at.items()}
        monkeypatch.setattr(Signalling, "signals", numbers)

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_first(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        sent: signal.Signals,
    ) -> None:
        """The request under way ends, no other is begun, and the rest is named."""
        self.send(monkeypatch, at_3=[sent])
        assert main(["apply", "--yes", file]) == 3
        output, errors = capsys.readouterr()
        assert masked(output) == f'{TEXT}  made: update "B old" -> "B"\n'
        assert errors == (
            f"error: stopped by {sent.name}\nmade: 1 of 3\nnot reached: 2\n"
            '  not reached: delete "D"\n  not reached: create "New"\n'
        )
        assert len(account.calls) == 3

    def test_unchanged(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Where nothing was made yet, nothing is, with status 2."""
        self.send(monkeypatch, at_2=[signal.SIGTERM])
        assert main(["apply", "--yes", file]) == 2
        assert capsys.readouterr().err.startswith(
            "error: stopped by SIGTERM\nmade: 0 of 3\nnot reached: 3\n"
        )
        assert changes(account) == []

    def test_last(
        self, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A signal during the last request comes too late."""
        self.send(monkeypatch, at_6=[signal.SIGTERM])
        assert main(["apply", "--yes", file]) == 0
        assert capsys.readouterr().err == ""

    def test_grace(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A request that does not end in time is given up, and its change may have been made."""
        monkeypatch.setattr("arize_roles_async.__main__._GRACE", 0.01)
        account.fail("delete", "silent")
        self.send(monkeypatch, at_5=[signal.SIGTERM])
        assert main(["apply", "--yes", "--json", file]) == 3
        output, errors = capsys.readouterr()
        assert errors.startswith('error: delete "D" may have been made: stopped by SIGTERM\n')
        result = json.loads(output)
        assert result["reason"] == "stopped by SIGTERM"
        assert result["failed"]["before"]["name"] == "D"
        assert result["may_have_been_made"] is True

    @pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"]])
    def test_walk(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        command: list[str],
    ) -> None:
        """A walk ends at once."""
        account.fail("list", "silent")
        self.send(monkeypatch, at_1=[signal.SIGHUP])
        assert main([*command, file]) == 2
        assert capsys.readouterr() == ("", "error: stopped by SIGHUP; nothing was changed\n")

    def test_early(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A second signal before the run has begun does not raise while the first one ends it."""
        survived: list[bool] = []

        def run(command: Coroutine[object, object, int]) -> None:
            command.close()
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGTERM)
                survived.append(True)

        monkeypatch.setattr(asyncio, "run", run)
        assert main(["plan", file]) == 2
        assert survived == [True]

    def test_ending(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Signals while the result is printed change nothing, and it is printed once."""

        class Output(io.BytesIO):
            def write(self, data: Any) -> int:  # noqa: ANN401
                if b"reason" in data:
                    os.kill(os.getpid(), signal.SIGTERM)
                    os.kill(os.getpid(), signal.SIGINT)
                return super().write(data)

        output = Output()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
        assert main(["apply", "--yes", "--json", file]) == 0
        assert len(json.loads(output.getvalue())["made"]) == 3

    def test_unwritten(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Changes that were made and could not be printed are named at the end, on stderr."""

        class Output(io.BytesIO):
            def write(self, data: Any) -> int:  # noqa: ANN401
                if b"made: " in data:
                    raise OSError("No.")
                return super().write(data)

        account.fail("create", 403)
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Output()))
        assert main(["apply", "--yes", file]) == 3
        assert capsys.readouterr().err.splitlines()[-4:] == [
            "made: 2 of 3",
            '  made: update "B old" -> "B"',
            '  made: delete "D"',
            "not reached: 0",
        ]

    def test_ignored(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal that the process was started to ignore, as by nohup, stays ignored."""
        self.send(monkeypatch, at_3=[signal.SIGHUP])
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert main(["apply", "--yes", file]) == 0
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_handlers(self, file: str) -> None:
        """A run leaves the handlers as they were."""
        before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        assert main(["plan", file]) == 0
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before

    def test_thread(self, file: str) -> None:
        """A run in another thread, which can have no handlers, goes without."""
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(main, ["plan", file]).result() == 0


def on_terminal(
    environment: dict[str, str],
    answer: Callable[["subprocess.Popen[str]"], str | None],
    *arguments: str,
) -> tuple[int, str]:
    """Run a command on a terminal, and return its status and what it showed.

    What is answered to its question may be None, where the answer is not typed.
    """
    master, slave = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
    with running(environment | MEASURED, *arguments, **streams) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], LONGEST_WAIT)[0]:
            try:
                shown += os.read(master, 65_536)
            except OSError:  # Linux's end of a terminal that nobody has open.
                break
            if shown.endswith(b"[y/N] ") and (text := answer(process)):
                os.write(master, text.encode())
        os.close(master)
        process.wait(timeout=LONGEST_WAIT)
    return process.returncode, shown.decode().replace("\r\n", "\n")


class Keyboard:
    """A standard input on which a text is typed as soon as something asks for it."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._answer()


class Screen(io.TextIOWrapper):
    """A standard output that somebody looks at."""

    def isatty(self) -> bool:
        return True


Shown = tuple[int, str]


@pytest.fixture
def looked_at(
    connected: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Shown]:
    """Run a command in this process as if on a terminal, and return its status and output."""
    del connected

    def run_here(answer: Callable[[], str], *arguments: str) -> Shown:
        shown = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", Keyboard(answer))
        monkeypatch.setattr(sys, "stdout", Screen(shown, "utf-8", write_through=True))
        status = main([*arguments])
        return status, shown.getvalue().decode() + capsys.readouterr().err

    return run_here


class TestTerminal:
    def test_agreed(self, environment: dict[str, str], file: str, account: FakeAccount) -> None:
        """On a terminal, apply shows the plan in colour, asks, and goes on after a yes."""
        status, shown = on_terminal(environment, lambda _: "Y\n", "apply", file)
        assert status == 0
        assert masked(shown).startswith(
            '  account "staging" at HOST\n\x1b[33m! update "B old" -> "B"\x1b[0m\n\x1b[31m- del'
        )
        assert '\x1b[32m+ create "New"\x1b[0m\n' in shown
        _, _, after = masked(shown).partition(
            '\nMake these changes to account "staging" at HOST? They delete or take permissions '
            "from 1 of 4 custom roles. [y/N] "
        )
        assert after == (
            'Y\n\n  made: update "B old" -> "B"\n  made: delete "D"\n  made: create "New"\n'
        )
        assert set(contents(account)) == {"B", "New", "Same", "Undeclared"}

    def test_colours(
        self, looked_at: Callable[..., Shown], file: str, account: FakeAccount
    ) -> None:
        """Each kind of line has a colour of its own, and the rest has none."""
        account.add_role("new", ["PROJECT_READ"])
        status, shown = looked_at(str, "plan", file)
        label, *lines, counts, checksum = shown.splitlines()
        assert status == 0
        assert {line[:6] for line in lines} == {
            *("\x1b[33m!", "\x1b[31m-", "\x1b[32m+", "\x1b[35m?", "\x1b[36m#"),
        }
        assert all(line.endswith("\x1b[0m") for line in lines)
        assert "\x1b" not in label + counts + checksum

    @pytest.mark.parametrize("answer", ["\n", "n\n", "yo\n"])
    def test_declined(
        self,
        looked_at: Callable[..., Shown],
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        answer: str,
    ) -> None:
        """Any other answer changes nothing; NO_COLOR and TERM=dumb show no colour."""
        monkeypatch.setenv(*(("NO_COLOR", "1") if answer == "yo\n" else ("TERM", "dumb")))
        status, shown = looked_at(lambda: answer, "apply", file)
        assert status == 2
        assert "\x1b[3" not in shown
        assert masked(shown).startswith(TEXT)
        assert shown.endswith("error: nothing was changed\n")
        assert changes(account) == []

    def test_left(self, looked_at: Callable[..., Shown], file: str, account: FakeAccount) -> None:
        """The end of the input changes nothing."""
        status, shown = looked_at(str, "apply", file)
        assert status == 2
        assert shown.endswith("error: nothing was changed\n")
        assert changes(account) == []

    def test_interrupted(
        self, environment: dict[str, str], file: str, account: FakeAccount
    ) -> None:
        """Neither does an interrupt, which does not wait for an answer."""

        def interrupt(process: "subprocess.Popen[str]") -> None:
            # The question is printed before its answer is read, where the signal is to strike.
            state = Path(f"/proc/{process.pid}/stat")
            await_true(lambda: state.read_text().rpartition(") ")[2][0] == "S", "the reading")
            process.send_signal(signal.SIGINT)

        status, shown = on_terminal(environment, interrupt, "apply", file)
        assert status == 2
        assert shown.endswith("error: stopped by SIGINT; nothing was changed\n")
        assert changes(account) == []

    def test_nothing_to_ask(
        self, looked_at: Callable[..., Shown], tmp_path: Path, account: FakeAccount
    ) -> None:
        """Without changes there is nothing to ask."""
        empty = tmp_path / "empty.toml"
        empty.touch()
        status, shown = looked_at(lambda: "y\n", "apply", str(empty))
        assert status == 0
        assert "no changes; 0 as declared" in shown
        assert changes(account) == []

    def test_changed_meanwhile(
        self, looked_at: Callable[..., Shown], file: str, account: FakeAccount
    ) -> None:
        """A change that somebody makes before the answer is not overwritten after a yes."""

        def meddle() -> str:
            account.add_role("New", ["DATASET_DELETE"])
            return "yes\n"

        status, shown = looked_at(meddle, "apply", file)
        assert status == 2
        assert "error: nothing was changed: the plan differs from the expected one" in shown
        assert changes(account) == []


@pytest.mark.usefixtures("connected")
class TestStatuses:
    def test_no_terminal(
        self, file: str, account: FakeAccount, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Without a terminal and a flag, apply refuses before anything is asked."""
        assert main(["apply", file]) == 2
        assert capsys.readouterr() == (
            "",
            "error: apply can ask only on a terminal; pass --yes or --checksum\n",
        )
        assert account.calls == ()

    def test_half_a_terminal(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """It also refuses if only the answer, or only the question, has a terminal."""
        for stream in ("stdin", "stdout"):
            with monkeypatch.context() as patch:
                patch.setattr(getattr(sys, stream), "isatty", lambda: True)
                assert main(["apply", file]) == 2
            assert capsys.readouterr().err.startswith("error: apply can ask only on a terminal; ")
        assert account.calls == ()

    def test_first_fails(
        self, file: str, account: FakeAccount, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Where the first change fails for certain, nothing was changed."""
        account.fail("update", 403)
        assert main(["apply", "--yes", file]) == 2
        assert capsys.readouterr().err.startswith('error: update "B old" -> "B" was not made: ')

    def test_later_fails(
        self, file: str, account: FakeAccount, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Where a later one fails, changes were made."""
        account.fail("delete", 403)
        assert main(["apply", "--yes", file]) == 3
        output, errors = capsys.readouterr()
        assert masked(output) == f'{TEXT}  made: update "B old" -> "B"\n'
        assert errors.startswith('error: delete "D" was not made: ')
        assert errors.endswith('\nmade: 1 of 3\nnot reached: 1\n  not reached: create "New"\n')

    def test_blocked(
        self,
        file: str,
        account: FakeAccount,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A delete that users block stops nothing else; alone, it leaves nothing changed."""
        account.bind("D", user="ada", resource="Space:1")
        assert main(["apply", "--yes", file]) == 3
        errors = capsys.readouterr().err
        assert errors.startswith('error: users still have "D": DELETE ')
        assert errors.endswith('\nmade: 2 of 3\n  blocked: delete "D"\nnot reached: 0\n')
        (tmp_path / "absent.toml").write_text('absent = ["D"]')
        assert main(["apply", "--yes", str(tmp_path / "absent.toml")]) == 2

    def test_many_left(
        self, account: FakeAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """However many changes were not reached, each has its line."""
        names = [f"Role {n:03}" for n in range(97)]
        path = tmp_path / "roles.toml"
        path.write_text("".join(f'[roles."{n}"]\npermissions = ["ROLE_READ"]\n' for n in names))
        account.fail("create", 403)
        assert main(["apply", "--yes", str(path)]) == 2
        _, counts, left, *lines = capsys.readouterr().err.splitlines()
        assert [counts, left] == ["made: 0 of 97", "not reached: 96"]
        assert lines == [f'  not reached: create "{name}"' for name in names[1:]]

    def test_gateway(
        self, file: str, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A gateway's own answer after the first change leaves it open."""
        gateway = Gateway.load(account.dump())
        with RolesServer(gateway) as server:
            monkeypatch.setenv("ARIZE_BASE_URL", server.url)
            assert main(["apply", "--yes", file]) == 3
        assert gateway.role("B")

    def test_json(
        self, file: str, account: FakeAccount, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With --json the result is all that is printed, however the run ends."""
        account.fail("create", 403)
        assert main(["apply", "--yes", "--json", file]) == 3
        failed = json.loads(capsys.readouterr().out)
        assert [each["action"] for each in failed["made"]] == ["update", "delete"]
        assert [failed["failed"]["action"], failed["not_reached"]] == ["create", []]
        assert main(["apply", "--yes", "--json", file]) == 0
        done = json.loads(capsys.readouterr().out)
        assert [done["account"], len(done["made"]), done["reason"]] == ["staging", 1, None]
        assert main(["apply", "--yes", "--json", "--max-removals", "x", file]) == 2
        refused = json.loads(capsys.readouterr().out)
        assert refused["made"] == []
        assert refused["reason"].startswith("max_removals: must be a number, or a share ")
        assert refused.keys() == {*done, "errors"}

    def test_max_removals(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The limit of removals is the option's, else the variable's."""
        monkeypatch.setenv("ARIZE_ROLES_MAX_REMOVALS", "0")
        assert main(["apply", "--yes", file]) == 2
        assert capsys.readouterr().err == (
            'delete "D"\n'
            "error: nothing was changed: 1 of 4 custom roles would be deleted or lose permissions, "
            "and the limit is 0; expect a reviewed plan, or raise max_removals (--checksum, "
            "--max-removals)\n"
        )
        assert changes(account) == []
        assert main(["apply", "--yes", "--max-removals", "25%", file]) == 0

    def test_stale(self, file: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A plan that is refused is shown on the standard error."""
        assert main(["apply", "--checksum", f"2-{0:064}", file]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert masked(errors) == (
            f"{TEXT}error: nothing was changed: the plan differs from the expected one; the plan's "
            "checksum is now SUM\n"
        )

    @pytest.mark.parametrize(
        "command", [["plan", "--format", "json"], ["apply", "--yes", "--json"]]
    )
    def test_json_error(
        self,
        file: str,
        account: FakeAccount,
        command: list[str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """JSON has an error that changed nothing, with its kind."""
        account.fail("list", 403)
        assert main([*command, file]) == 2
        output, errors = capsys.readouterr()
        shown = json.loads(output)
        assert (shown["kind"], errors) == ("forbidden", f"error: {shown['errors'][0]}\n")
        assert main([*command, f"{file}.none"]) == 2
        assert json.loads(capsys.readouterr().out)["kind"] == "invalid"

    def test_kinds(
        self, file: str, account: FakeAccount, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """So has the result of a run; there is nothing but JSON."""
        account.bind("D", user="ada", resource="Space:1")
        account.fail("create", 409)
        for status, kind in ((3, "conflict"), (3, "blocked")):
            assert main(["apply", "--yes", "--json", file]) == status
            output = capsys.readouterr().out
            assert output.startswith('{"format_version": 1, ')
            assert json.loads(output)["kind"] == kind

    def test_comment_error(self, file: str, account: FakeAccount, tmp_path: Path) -> None:
        """A comment shows the failure instead of an older plan."""
        comment = tmp_path / "comment.md"
        comment.write_text("an older plan")
        account.fail("list", 403)
        assert main(["plan", "--comment", str(comment), file]) == 2
        assert comment.read_text("utf-8").startswith("```diff\n! error: GET /v2/roles")

    def test_account(self, file: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A label that the command is given stands for the file's."""
        assert main(["plan", "--account", "prod", file]) == 0
        output = capsys.readouterr().out
        assert masked(output).startswith('  account "prod" at HOST\n')
        checksum = output.split()[-1]
        assert main(["apply", "--checksum", checksum, file]) == 2
        assert main(["apply", "--checksum", checksum, "--account", "prod", file]) == 0

    def test_comment(self, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A plan for a comment is written beside the one that is printed."""
        comment = tmp_path / "comment.md"
        assert main(["plan", "--comment", str(comment), file]) == 0
        assert masked(capsys.readouterr().out) == TEXT
        assert masked(comment.read_text("utf-8")) == f"```diff\n{TEXT}```\n"

    def test_unknown(self, file: str, account: FakeAccount) -> None:
        """Where the first one may have been made, so may changes."""
        account.fail("update", 500, times=None)
        assert main(["apply", "--yes", file]) == 3

    def test_yes(self, file: str, account: FakeAccount) -> None:
        """With --yes, one walk is made, and each role is read before it is changed."""
        assert main(["apply", "--yes", file]) == 0
        assert [call.operation for call in account.calls] == [
            *("list", "get", "update", "get", "delete", "create"),
        ]

    def test_exact(self, account: FakeAccount, tmp_path: Path) -> None:
        """With --exact, a role that is not declared is a difference."""
        path = tmp_path / "roles.toml"
        path.write_text('[roles.Same]\npermissions = ["ROLE_READ"]')
        assert main(["plan", "--exit-code", str(path)]) == 0
        assert main(["plan", "--exact", str(path)]) == 1
        assert changes(account) == []

    def test_github(
        self, account: FakeAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """For GitHub, notes and what does not fit are annotations at their lines."""
        account.add_role("Reader", ["TAG_READ"])
        path = tmp_path / "roles.toml"
        path.write_text('\n[roles."reader"]\npermissions = ["ROLE_READ"]')
        assert main(["plan", "--format", "github", str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == '+ create "reader"'
        start = f'::notice file={path},line=2::{path}:2: roles."reader": looks like "Reader"; '
        assert lines[-1].startswith(start)
        path.write_text('\nabsent = [\n    "B",\n    "Admin",\n]')
        assert main(["plan", "--format", "github", str(path)]) == 2
        assert capsys.readouterr().out.startswith(f"::error file={path},line=4::{path}:4: absent: ")

    def test_no_place(
        self, file: str, account: FakeAccount, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An error that comes from no line of a file is an annotation without a place."""
        account.fail("list", 403)
        assert main(["plan", "--format", "github", file]) == 2
        assert capsys.readouterr().out.startswith("::error::GET /v2/roles answered 403 ")

    def test_forms(self, file: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A plan shows as text, as JSON or as Markdown."""
        assert main(["plan", "--format", "markdown", file]) == 0
        assert masked(capsys.readouterr().out) == f"```diff\n{TEXT}```\n\n"
        assert main(["plan", "--format", "json", file]) == 0
        assert json.loads(capsys.readouterr().out)["undeclared"] == ["Undeclared"]

    def test_runner(
        self,
        account: FakeAccount,
        file: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A runner finds no command of its own in any output, and the names read back the same."""
        account.add_role(HOSTILE, ["ROLE_READ"])
        comment = tmp_path / "comment.md"
        for command in (
            ["plan", "--comment", str(comment), file],
            ["plan", "--format", "markdown", file],
        ):
            assert main(command) == 0
            assert f"\n{BROKEN} is not declared\n" in capsys.readouterr().out
        assert f"\n{BROKEN} is not declared\n" in comment.read_text("utf-8")
        assert main(["plan", "--format", "json", file]) == 0
        output = capsys.readouterr().out
        assert "##[" not in output
        assert HOSTILE in json.loads(output)["undeclared"]
        assert main(["export"]) == 0
        output = capsys.readouterr().out
        assert "##[" not in output
        assert HOSTILE in tomllib.loads(output)["roles"]

    def test_runner_errors(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nor does a runner find one in an error."""
        path = tmp_path / "roles.toml"
        path.write_text("[roles]\n'x ##[group]' = {permissions = ['a ##vso[b]']}")
        assert main(["plan", str(path)]) == 2
        errors = capsys.readouterr().err
        assert r"#\u0023[group]" in errors
        assert r"#\u0023vso[b]" in errors
        assert "##" not in errors

    def test_does_not_fit(
        self, account: FakeAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Every problem is on its own line."""
        path = tmp_path / "roles.toml"
        path.write_text('absent = ["Admin", "Member"]')
        for command in (["plan", "--exit-code"], ["apply", "--yes"]):
            assert main([*command, str(path)]) == 2
            assert capsys.readouterr() == (
                "",
                (
                    f'error: {path}:1: absent: "Admin" is predefined, and cannot be changed\n'
                    f'error: {path}:1: absent: "Member" is predefined, and cannot be changed\n'
                ),
            )
        assert changes(account) == []

    def test_export(self, account: FakeAccount, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        """An export is UTF-8; a role that no file may declare is named, with status 1."""
        account.add_role("Ü", ["ROLE_READ"])
        assert main(["export"]) == 1
        output, errors = capsysbinary.readouterr()
        assert errors.decode().startswith('warning: left out: roles."Ü".name: must not contain ')
        assert output.decode().startswith("# left out: ")
        assert len(as_code.loads(output.decode()).roles) == 4
        account.reset()
        account.add_role("A", ["ROLE_READ"], description="日本")
        account.add_key(KEY)
        assert main(["export"]) == 0
        assert capsysbinary.readouterr().out == (
            '[roles."A"]\ndescription = "日本"\npermissions = [\n    "ROLE_READ",\n]\n'.encode()
        )

    def test_unforeseen(
        self, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Whatever goes wrong, no end is taken for differences."""

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(as_code, "plan", fail)
        assert main(["plan", "--exit-code", file]) == 2
        assert capsys.readouterr().err == "error: RuntimeError\n"


class TestChecking:
    def test_unknown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """An unknown permission is an error, unless the file says that it is new."""
        path = tmp_path / "roles.toml"
        path.write_text('[roles.A]\npermissions = ["NEW_READ"]')
        assert main(["check", str(path)]) == 2
        assert capsys.readouterr().err.startswith(f'error: {path}:2: roles."A".permissions: ')
        path.write_text('new_permissions = ["NEW_READ"]\n[roles.A]\npermissions = ["NEW_READ"]')
        assert main(["check", str(path)]) == 0
        assert capsys.readouterr().out == "declared: 1; absent: 0\n"

    def test_several(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Files and folders are read as one, and every wrong one is named."""
        (tmp_path / "a.toml").write_text("absent = [")
        (tmp_path / "b.toml").write_text('absent = ["B"]')
        (tmp_path / "c.toml").write_text('absent = ["C"]\nextra = 1')
        a, b, c = (str(tmp_path / f"{name}.toml") for name in "abc")
        assert main(["check", str(tmp_path)]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert [line[:20] for line in errors.splitlines()] == [
            f"error: {a}:1: is not valid TOML: "[:20],
            f'error: {c}:2: "extra": is not a key here; '[:20],
        ]
        (tmp_path / "a.toml").write_text('absent = ["A"]')
        assert main(["check", a, b, b]) == 0
        assert capsys.readouterr().out == "declared: 0; absent: 2\n"

    @pytest.mark.parametrize(
        ("given", "status"), [(b"\xef\xbb\xbf[roles]", 0), (b"\xff", 2), (b"[", 2), (None, 2)]
    )
    def test_standard_input(
        self, monkeypatch: pytest.MonkeyPatch, given: bytes | None, status: int
    ) -> None:
        """The file may be the standard input."""
        stdin = None if given is None else io.TextIOWrapper(io.BytesIO(given))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["check", "-"]) == status

    def test_refuses(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Every violation is on its own line, with its path."""
        path = tmp_path / "roles.toml"
        path.write_text('[roles.A]\n[roles."B\\u001b[31m"]\npermissions = []')
        assert main(["check", str(path)]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert [line.split(": must")[0] for line in errors.splitlines()] == [
            f'error: {path}:1: roles."A".permissions',
            f'error: {path}:2: roles."B\\u001b[31m".name',
            f'error: {path}:3: roles."B\\u001b[31m".permissions',
        ]

    def test_no_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A file that is not there is trouble."""
        assert main(["check", "no/such\x1bfile"]) == 2
        assert capsys.readouterr().err == (
            'error: "no/such\\u001bfile": is unreadable: '
            "[Errno 2] No such file or directory: 'no/such\\x1bfile'\n"
        )

    def test_github(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """For GitHub, each error and note is an annotation at its line, too."""
        path = tmp_path / "50%:a,b.toml"
        path.write_text('[sets]\nall = ["ROLE_READ"]\n[roles."::50%"]\npermissions = []')
        assert main(["check", "--format", "github", str(path)]) == 2
        output, errors = capsys.readouterr()
        place = f"file={tmp_path}/50%25%3Aa%2Cb.toml,line=4"
        rule = 'roles."::50%25".permissions: must hold at least one permission'
        assert output == f"::error {place}::{str(path).replace('%', '%25')}:4: {rule}\n"
        assert errors == f"error: {path}:4: {rule.replace('%25', '%')}\n"
        path.write_text('[sets]\nall = ["ROLE_READ"]')
        assert main(["check", "--format", "github", str(path)]) == 0
        output, _ = capsys.readouterr()
        assert output.startswith(f"::notice {place[:-1]}2::")
        assert output.endswith("\ndeclared: 0; absent: 0\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is the package's."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_scripts() -> None:
    """Both commands are installed by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["scripts"]) == {"arize-roles", "arize-roles-fake"}
    for target in project["scripts"].values():
        module, _, name = target.partition(":")
        command: Callable[[list[str]], int] = getattr(import_module(module), name)
        with pytest.raises(SystemExit) as caught:
            command(["--help"])
        assert caught.value.code == 0
