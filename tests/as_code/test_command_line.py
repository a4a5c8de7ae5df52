"""The commands of `python -m arize_roles_async`: what they print, and how they end."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from arize_roles_async import as_code
from arize_roles_async.__main__ import main
from arize_roles_fake import FakeAccount, RolesServer
from tests.as_code.accounts import account_of, changes, contents
from tests.support.processes import PATIENCE, ROOT, await_true

KEY: Final = "secret-of-the-test-4711"
COMMAND: Final = (sys.executable, "-m", "arize_roles_async")

FILE: Final = """\
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
! update "B old" -> "B"
- delete "D"
-     "ROLE_READ"
+ create "New"
+     "PROJECT_READ"
? "Undeclared" is not declared
  1 to update, 1 to delete, 1 to create; 1 as declared
  checksum b01d06bc2154356f869bc6c526b32f249c60ec8ef8ebb3a54223a8943046090e
"""


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
    """What points the commands at the account, served by this process."""
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
        timeout=PATIENCE,
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


@contextmanager
def serving(*arguments: str) -> Generator[str]:
    """Run the fake's server as a process until the block ends, and hand out its URL."""
    with subprocess.Popen(  # noqa: S603 - this interpreter
        (sys.executable, "-m", "arize_roles_fake", "serve", *arguments),
        env=without_arize(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)


class TestProcesses:
    """Whole runs against `python -m arize_roles_fake serve`, a process of its own."""

    def test_round(self, account: FakeAccount, file: str, tmp_path: Path) -> None:
        """Check, plan, apply by checksum, plan again, export: to the state that was declared."""
        saved = tmp_path / "saved.json"
        given = tmp_path / "account.json"
        for key in account.api_keys[:-1]:
            account.remove_key(key)
        account.dump(given)
        with serving("--account", str(given), "--save", str(saved)) as url:
            environment = {**without_arize(), "ARIZE_API_KEY": KEY, "ARIZE_BASE_URL": url}

            assert run(environment, "check", file) == (0, "declared: 3; absent: 1\n", "")
            assert run(environment, "plan", "--exit-code", file) == (1, TEXT, "")
            status, output, _ = run(environment, "plan", "--format", "json", file)
            checksum = json.loads(output)["checksum"]
            assert (status, checksum) == (0, TEXT[-65:-1])
            made = '  made: update "B old" -> "B"\n  made: delete "D"\n  made: create "New"\n'
            applied = run(environment, "apply", "--checksum", checksum, file)
            assert applied == (0, TEXT + made, "")
            assert run(environment, "plan", "--exit-code", file)[0] == 0
            status, exported, _ = run(environment, "export")
            stale = run(environment, "apply", "--checksum", checksum, file)
            assert (stale[0], stale[1]) == (2, "")
            assert stale[2].startswith("error: nothing was changed, as the plan is not the expect")
        assert status == 0
        names = [role.name for role in as_code.loads(exported).roles]
        assert names == ["B", "New", "Same", "Undeclared"]
        assert set(contents(FakeAccount.load(saved))) == set(names)

    def test_wrong_key(self, environment: dict[str, str], file: str) -> None:
        """A key that is refused is trouble, and no output shows it."""
        wrong = {**environment, "ARIZE_API_KEY": "another-secret-4712"}
        status, output, errors = run(wrong, "apply", "--yes", file)
        assert (status, output) == (2, "")
        assert "401" in errors
        assert "4712" not in errors

    def test_no_key(self, file: str) -> None:
        """Without a key nothing is sent."""
        assert run(without_arize(), "plan", file) == (
            2,
            "",
            "error: no API key: pass api_key, or set ARIZE_API_KEY\n",
        )

    def test_usage(self, environment: dict[str, str], file: str, account: FakeAccount) -> None:
        """Bad usage is trouble too: no command, no file, two kinds of consent, a key."""
        for arguments in (
            (),
            ("destroy",),
            ("apply",),
            ("apply", "--yes", "--checksum", "0", file),
            ("plan", "--api-key", KEY[:3], file),
            ("plan", "--format", "html", file),
        ):
            status, output, errors = run(environment, *arguments)
            assert (status, output) == (2, "")
            assert errors.startswith("usage: arize-roles")
        assert account.calls == ()

    def test_interrupted(
        self, environment: dict[str, str], file: str, account: FakeAccount
    ) -> None:
        """An interrupt during a change ends with 3: it may have been made."""
        account.fail("delete", "silent")
        with running(environment, "apply", "--yes", file) as process:
            await_true(lambda: len(account.calls_of("delete")) == 1, "the delete")
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 3
        assert output == f'{TEXT}  made: update "B old" -> "B"\n'
        assert errors == "error: KeyboardInterrupt\n"

    def test_interrupted_early(
        self, environment: dict[str, str], file: str, account: FakeAccount
    ) -> None:
        """An interrupt during the walk ends with 2: nothing was changed."""
        account.fail("list", "silent")
        with running(environment, "apply", "--yes", file) as process:
            await_true(lambda: len(account.calls) == 1, "the list")
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, output, errors) == (2, "", "error: KeyboardInterrupt\n")
        assert changes(account) == []

    def test_killed(self, environment: dict[str, str], file: str, account: FakeAccount) -> None:
        """After a kill, what was not made is left for the next run."""
        account.fail("delete", "silent")
        with running(environment, "apply", "--yes", file) as process:
            await_true(lambda: len(account.calls_of("delete")) == 1, "the delete")
            process.kill()
            process.communicate(timeout=PATIENCE)
        assert run(environment, "plan", "--exit-code", file)[1].split("\n")[-3] == (
            "  1 to delete, 1 to create; 2 as declared"
        )
        assert run(environment, "apply", "--yes", file)[0] == 0
        assert set(contents(account)) == {"B", "New", "Same", "Undeclared"}

    @pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")])
    def test_closed_pipe(
        self, environment: dict[str, str], file: str, account: FakeAccount, command: tuple[str, ...]
    ) -> None:
        """Where nobody reads what is printed, nothing is changed, and no traceback comes."""
        reader, writer = os.pipe()
        os.close(reader)
        with running(environment, *command, file, stdout=writer) as process:
            os.close(writer)
            _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (2, "error: [Errno 32] Broken pipe\n")
        assert changes(account) == []


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
    with running(environment, *arguments, **streams) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], PATIENCE)[0]:
            try:
                shown += os.read(master, 65_536)
            except OSError:  # Linux's end of a terminal that nobody has open.
                break
            if shown.endswith(b"[y/N] ") and (text := answer(process)):
                os.write(master, text.encode())
        os.close(master)
        process.wait(timeout=PATIENCE)
    return process.returncode, shown.decode().replace("\r\n", "\n")


class TestTerminal:
    def test_agreed(self, environment: dict[str, str], file: str, account: FakeAccount) -> None:
        """On a terminal, apply shows the plan in colour, asks, and goes on after a yes."""
        status, shown = on_terminal(environment, lambda _: "Y\n", "apply", file)
        assert status == 0
        assert shown.startswith('\x1b[33m! update "B old" -> "B"\x1b[0m\n\x1b[31m- delete "D"')
        assert '\x1b[32m+ create "New"\x1b[0m\n' in shown
        _, _, after = shown.partition("\nMake these changes? [y/N] ")
        assert after == (
            'Y\n\n  made: update "B old" -> "B"\n  made: delete "D"\n  made: create "New"\n'
        )
        assert set(contents(account)) == {"B", "New", "Same", "Undeclared"}

    def test_colours(self, environment: dict[str, str], file: str, account: FakeAccount) -> None:
        """Each kind of line has a colour of its own, and the rest has none."""
        account.add_role("new", ["PROJECT_READ"])
        status, shown = on_terminal(environment, lambda _: None, "plan", file)
        *lines, counts, checksum = shown.splitlines()
        assert status == 0
        assert {line[:6] for line in lines} == {
            *("\x1b[33m!", "\x1b[31m-", "\x1b[32m+", "\x1b[35m?", "\x1b[36m#"),
        }
        assert all(line.endswith("\x1b[0m") for line in lines)
        assert "\x1b" not in counts + checksum

    @pytest.mark.parametrize("answer", ["\n", "n\n", "yo\n"])
    def test_declined(
        self, environment: dict[str, str], file: str, account: FakeAccount, answer: str
    ) -> None:
        """Any other answer changes nothing; NO_COLOR shows no colour."""
        plain = {**environment, "NO_COLOR": "1"}
        status, shown = on_terminal(plain, lambda _: answer, "apply", file)
        assert status == 2
        assert "\x1b[3" not in shown
        assert shown.startswith(TEXT)
        assert shown.endswith("error: nothing was changed\n")
        assert changes(account) == []

    def test_left(self, environment: dict[str, str], file: str, account: FakeAccount) -> None:
        """The end of the input changes nothing."""
        status, shown = on_terminal(environment, lambda _: "\x04", "apply", file)
        assert status == 2
        assert shown.endswith("error: EOFError\n")
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
        assert shown.endswith("error: KeyboardInterrupt\n")
        assert changes(account) == []

    def test_nothing_to_ask(
        self, environment: dict[str, str], tmp_path: Path, account: FakeAccount
    ) -> None:
        """Without changes there is nothing to ask."""
        empty = tmp_path / "empty.toml"
        empty.touch()
        status, shown = on_terminal(environment, lambda _: "y\n", "apply", str(empty))
        assert status == 0
        assert "no changes; 0 as declared" in shown
        assert changes(account) == []

    def test_changed_meanwhile(
        self, environment: dict[str, str], file: str, account: FakeAccount
    ) -> None:
        """What somebody changed while the question stood is not overwritten after a yes."""

        def meddle(_: object) -> str:
            account.add_role("New", ["DATASET_DELETE"])
            return "yes\n"

        status, shown = on_terminal(environment, meddle, "apply", file)
        assert status == 2
        assert "error: nothing was changed, as the plan is not the expected one" in shown
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
            "error: apply asks on a terminal; give it --yes or --checksum\n",
        )
        assert account.calls == ()

    def test_half_a_terminal(
        self,
        file: str,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """It refuses as well where only the answer, or only the question, has a terminal."""
        for stream in ("stdin", "stdout"):
            with monkeypatch.context() as patch:
                patch.setattr(getattr(sys, stream), "isatty", lambda: True)
                assert main(["apply", file]) == 2
            assert capsys.readouterr().err.startswith("error: apply asks on a terminal; ")
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
        account.bind("D", user="ada", resource="space")
        assert main(["apply", "--yes", file]) == 3
        output, errors = capsys.readouterr()
        assert output == f'{TEXT}  made: update "B old" -> "B"\n'
        assert errors.startswith('error: delete "D" was not made, as the role is still bound')

    def test_unknown(self, file: str, account: FakeAccount) -> None:
        """Where the first one may have been made, so may changes."""
        account.fail("update", 500, when="after", times=None)
        assert main(["apply", "--yes", file]) == 3

    def test_yes(self, file: str, account: FakeAccount) -> None:
        """With --yes, one walk and a request a change are made."""
        assert main(["apply", "--yes", file]) == 0
        assert [call.operation for call in account.calls] == ["list", "update", "delete", "create"]

    def test_exact(self, account: FakeAccount, tmp_path: Path) -> None:
        """With --exact, a role that is not declared is a difference."""
        path = tmp_path / "roles.toml"
        path.write_text('[roles.Same]\npermissions = ["ROLE_READ"]')
        assert main(["plan", "--exit-code", str(path)]) == 0
        assert main(["plan", "--exact", str(path)]) == 0
        assert main(["plan", "--exact", "--exit-code", str(path)]) == 1
        assert changes(account) == []

    def test_forms(self, file: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A plan shows as text, as JSON or as Markdown."""
        assert main(["plan", "--format", "markdown", file]) == 0
        assert capsys.readouterr().out == f"```diff\n{TEXT}```\n\n"
        assert main(["plan", "--format", "json", file]) == 0
        assert json.loads(capsys.readouterr().out)["undeclared"] == ["Undeclared"]

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
                    'error: absent: "Admin" is predefined, and cannot be changed\n'
                    'error: absent: "Member" is predefined, and cannot be changed\n'
                ),
            )
        assert changes(account) == []

    def test_export(self, account: FakeAccount, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        """An export is UTF-8."""
        account.add_role("Ü", ["ROLE_READ"])
        assert main(["export"]) == 2
        assert 'roles."Ü".name' in capsysbinary.readouterr().err.decode()
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

        def fail(_: str) -> None:
            raise RuntimeError

        monkeypatch.setattr(as_code, "load", fail)
        assert main(["plan", "--exit-code", file]) == 2
        assert capsys.readouterr().err == "error: RuntimeError\n"


class TestChecking:
    def test_warns(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Offline, a permission that is not known is a warning."""
        path = tmp_path / "roles.toml"
        path.write_text('[roles.A]\npermissions = ["DATASET_RAED", "ROLE_READ"]')
        assert main(["check", str(path)]) == 0
        output, errors = capsys.readouterr()
        assert output == "declared: 1; absent: 0\n"
        assert errors.startswith("warning: roles.\"A\".permissions: 'DATASET_RAED' is n")

    def test_refuses(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Every violation is on its own line, with its path."""
        path = tmp_path / "roles.toml"
        path.write_text('[roles.A]\n[roles."B\\u001b[31m"]\npermissions = []')
        assert main(["check", str(path)]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert [line.split(": must")[0] for line in errors.splitlines()] == [
            'error: roles."A".permissions',
            'error: roles."B\\u001b[31m".name',
            'error: roles."B\\u001b[31m".permissions',
        ]

    def test_no_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A file that is not there is trouble."""
        assert main(["check", "no/such\x1bfile"]) == 2
        assert capsys.readouterr().err == (
            "error: file: is unreadable: [Errno 2] No such file or directory: 'no/such\\x1bfile'\n"
        )


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
