"""The commands of `python -m arize_roles_fake`."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake.__main__ import main
from arize_roles_fake._server import demo as module
from tests.support.clients import PREDEFINED
from tests.support.processes import LONGEST_WAIT, MEASURED, await_true

COMMAND = (sys.executable, "-m", "arize_roles_fake")


@contextmanager
def serving_process(*arguments: str) -> Generator[tuple[str, "subprocess.Popen[str]"]]:
    """Runs `serve` as a process until the block ends, and hands out what it printed."""
    with subprocess.Popen(  # noqa: S603 - this interpreter
        (*COMMAND, "serve", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()


@contextmanager
def serving(*arguments: str) -> Generator[tuple[str, io.StringIO]]:
    """Runs `serve` in a thread until the block ends, and hands out its URL and standard error.

    A signal reaches only the main thread, so the block's end takes its place.
    """
    output, errors = io.StringIO(), io.StringIO()
    stops: list[Callable[[], object]] = []

    def stop_with_block(
        loop: asyncio.AbstractEventLoop, number: int, stop: Callable[[int], object], _: int
    ) -> None:
        stops.append(lambda: loop.call_soon_threadsafe(stop, number))

    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(output),
        redirect_stderr(errors),
        ThreadPoolExecutor(1) as pool,
    ):
        patch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", stop_with_block)
        status = pool.submit(main, ["serve", *arguments])
        await_true(lambda: status.done() or "\n" in output.getvalue(), "the URL of `serve`")
        try:
            yield output.getvalue().strip(), errors
        finally:
            for stop in stops[:1]:  # for two signals, one of which is enough
                stop()
        assert status.result(LONGEST_WAIT) == 0


def ask(
    url: str, key: str, path: str = "", *, host: str | None = None, body: bytes | None = None
) -> Any:  # noqa: ANN401 - JSON
    headers = {"Authorization": f"Bearer {key}"} | ({} if host is None else {"Host": host})
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}/v2/roles{path}", headers=headers, data=body
    )
    with urllib.request.urlopen(request, timeout=LONGEST_WAIT) as answer:  # noqa: S310
        return json.load(answer)


class TestServeProcess:
    """`serve`, as its own process or by its arguments."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_url(self, number: signal.Signals) -> None:
        """`serve` prints its URL once ready, and ends cleanly."""
        with serving_process() as (url, process):
            assert [role["name"] for role in ask(url, "fake-api-key")["roles"]] == PREDEFINED
            process.send_signal(number)
            output, errors = process.communicate(timeout=LONGEST_WAIT)
        assert (process.returncode, output) == (0, "")
        assert errors == (
            f"export ARIZE_API_KEY=fake-api-key ARIZE_BASE_URL={url}\n"
            "export ARIZE_API_SCHEME=http ARIZE_API_HOST=127.0.0.1 "
            f"ARIZE_API_PORT={url.rpartition(':')[2]}\n"
        )

    def test_options(self, tmp_path: Path) -> None:
        """`serve` takes an account, a key, latency and faults."""
        path = tmp_path / "account.json"
        path.write_text('{"roles": [{"name": "AI Engineer"}], "keys": {"old": null}}')
        with serving(
            *("--account", str(path), "--api-key", "secret", "--latency", "0.001-0.002"),
            *("--fault", "list:500", "--fault", "list:409,after=1"),
        ) as (url, _):
            for status in (500, 409):
                with pytest.raises(urllib.error.HTTPError, match=str(status)) as caught:
                    ask(url, "secret")
                caught.value.close()
            assert [role["name"] for role in ask(url, "secret")["roles"]] == ["AI Engineer"]
            with pytest.raises(urllib.error.HTTPError, match="401") as caught:
                ask(url, "old")
            caught.value.close()

    def test_account_keys(self, tmp_path: Path) -> None:
        """`serve` keeps the keys of an account unless one is given."""
        path = tmp_path / "account.json"
        account = FakeAccount()
        account.add_key("second")
        account.dump(path)
        with serving("--account", str(path), "--latency", "0") as (url, _):
            assert len(ask(url, "second")["roles"]) == 7

    def test_default_key(self) -> None:
        """An account file without keys gets the key that `--help` names."""
        with serving("--account", '{"roles": []}') as (url, _):
            assert ask(url, "fake-api-key")["roles"] == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--fault", "lsit:500"), "this fault cannot be scripted: operation must be one of"),
            (("--fault", "list:500,time=2"), "'time=2' is not a fault option"),
            (
                ("--latency", "soon"),
                "--latency must be seconds, such as 0.2 or 0.1-0.5, not 'soon'",
            ),
            (("--latency", "1-"), "--latency must be seconds, such as 0.2 or 0.1-0.5, not '1-'"),
            (
                ("--latency", "2-1"),
                "seconds must be 0 or more, and up_to at least that, not 2.0 and 1.0",
            ),
            (("--rate", "fast"), "--rate must be calls a second, such as 20, or 20/5, not 'fast'"),
            (("--rate", "20/"), "--rate must be calls a second, such as 20, or 20/5, not '20/'"),
            (("--rate", "0"), "per_second must be above 0, and burst an integer of 1 or more"),
            (("--account", "no/such/file"), "No such file or directory: 'no/such/file'"),
            (
                ("--account", "{}"),
                "this is not an account file: Object missing required field `roles`",
            ),
            (("--assume", "unknown_id=500"), "unknown_id must be 404 or 400, not '500'"),
            (("--api-key-file", "no/such/file"), "No such file or directory: 'no/such/file'"),
            (
                ("--account", '{"roles": [], "keys": {}}'),
                "the account has no API key; pass one with --api-key",
            ),
            (("--api-key", "two words"), "a key must be printable ASCII without spaces"),
            (("--account", '{"roles": [], "keys": {}}'), "the account has no API key"),
            (("--save", "no/such/file"), "No such file or directory: 'no/such/file'"),
            (
                ("--account", '{"roles": [], "\\u001b[2J##[group]": 1}'),
                r"unknown field `�[2J#\u0023[group]`",
            ),
        ],
    )
    def test_refused(
        self, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`serve` refuses what makes no sense."""
        with pytest.raises(SystemExit) as caught:
            main(["serve", *arguments])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err

    def test_cannot_listen(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`serve` says where it cannot listen."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert main(["serve", "--port", str(port)]) == 1
        assert capsys.readouterr().err.startswith(f"cannot listen on 127.0.0.1, port {port}: ")

    def test_port_no_number(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`serve` says that a port is a number."""
        with pytest.raises(SystemExit):
            main(["serve", "--port", "many"])
        assert "argument --port: invalid int value: 'many'" in capsys.readouterr().err

    def test_no_port(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`serve` says which port does not exist."""
        assert main(["serve", "--port", "65536"]) == 1
        assert capsys.readouterr().err.startswith("cannot listen on 127.0.0.1, port 65536: ")

    def test_no_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A command is required."""
        with pytest.raises(SystemExit):
            main([])
        assert "the following arguments are required: command" in capsys.readouterr().err


class TestServe:
    """More of what `serve` does."""

    def test_key_of_file(self, tmp_path: Path) -> None:
        """The key may be in a file, with a newline after it."""
        path = tmp_path / "key"
        path.write_text("secret\n")
        with serving("--api-key-file", str(path)) as (url, _):
            assert len(ask(url, "secret")["roles"]) == 7

    def test_key_of_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key may be in the environment, under a name that no real key has."""
        monkeypatch.setenv("ARIZE_FAKE_API_KEY", "secret")
        with serving() as (url, _):
            assert len(ask(url, "secret")["roles"]) == 7

    def test_key_of_any_characters(self) -> None:
        """A shell that takes the exports has the key as it is."""
        with serving("--api-key", "a$b;c'd") as (_, exports):
            pass
        shown = subprocess.run(  # noqa: S602 - what was printed is what is tested
            f'{exports.getvalue()}printf %s "$ARIZE_API_KEY"',
            shell=True,
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout == "a$b;c'd"

    @pytest.mark.parametrize(("rate", "at_once"), [("0.001", 1), ("0.001/3", 3)])
    def test_rate(self, rate: str, at_once: int) -> None:
        """Calls that come faster than the rate are answered with 429."""
        with serving("--rate", rate) as (url, _):
            for _ in range(at_once):
                assert len(ask(url, "fake-api-key")["roles"]) == 7
            with pytest.raises(urllib.error.HTTPError, match="429") as caught:
                ask(url, "fake-api-key")
            caught.value.close()

    def test_assume(self) -> None:
        """An assumption may be turned."""
        with serving("--assume", "unknown_id=400") as (url, _):
            with pytest.raises(urllib.error.HTTPError, match="400") as caught:
                ask(url, "fake-api-key", "/Um9sZTowOm5vbmU=")
            caught.value.close()

    def test_assume_otherwise(self, tmp_path: Path) -> None:
        """An assumption that is turned leaves the others as the account's file has them."""
        path = tmp_path / "account.json"
        FakeAccount(assumptions=Assumptions(paging="by-offset", unknown_id=400)).dump(path)
        saved = tmp_path / "saved.json"
        with serving(*("--account", str(path), "--save", str(saved), "--assume", "unknown_id=404")):
            pass
        assert FakeAccount.load(saved).assumptions == Assumptions(paging="by-offset")

    def test_save(self, tmp_path: Path) -> None:
        """The account is written on exit, as it is then, and can be served again."""
        path = tmp_path / "account.json"
        with serving("--save", str(path), "--assume", "paging=by-offset") as (url, _):
            ask(url, "fake-api-key", body=b'{"name": "A", "permissions": ["ROLE_READ"]}')
        account = FakeAccount.load(path)
        assert (account.api_key, len(account.roles)) == ("fake-api-key", 8)
        account.assert_roles({"A": {"ROLE_READ"}})
        assert account.assumptions.paging == "by-offset"

    def test_free_port(self) -> None:
        """By default each server listens on a port of its own."""
        with serving() as (one, _), serving() as (other, _):
            assert one.startswith("http://127.0.0.1:")
            assert other.startswith("http://127.0.0.1:")
            assert one != other

    def test_host(self) -> None:
        """It listens on the address that it is given."""
        with serving("--host", "::1") as (url, _):
            assert url.startswith("http://[::1]:")
            assert len(ask(url, "fake-api-key")["roles"]) == 7

    def test_foreign_host(self) -> None:
        """On loopback only this machine's names are answered, and those that are allowed."""
        with serving("--allow-host", "Proxied.example") as (url, _):
            for host in ("localhost", "127.0.0.1", "proxied.example:80", "PROXIED.example"):
                assert len(ask(url, "fake-api-key", host=host)["roles"]) == 7
            with pytest.raises(urllib.error.HTTPError, match="403") as caught:
                ask(url, "fake-api-key", host="evil.example")
            with caught.value as answer:
                assert "names another machine" in json.load(answer)["detail"]

    @pytest.mark.parametrize(
        ("arguments", "warned"), [((), True), (("--api-key", "secret"), False)]
    )
    def test_beyond_loopback(self, arguments: tuple[str, ...], warned: bool) -> None:  # noqa: FBT001
        """Where others can reach the server, the default key leads to a warning."""
        with serving("--host", "0.0.0.0", *arguments) as (_, printed):  # noqa: S104
            errors = printed.getvalue()
        warning = (
            "warning: other machines can reach 0.0.0.0, and the key fake-api-key is public; "
            "pass another one with --api-key-file\n"
        )
        assert (warning in errors) is warned
        assert ("warning" in errors) is warned

    def test_public_second(self, tmp_path: Path) -> None:
        """So does the default key as another one of the account's keys."""
        path = tmp_path / "account.json"
        path.write_text('{"roles": [], "keys": {"own": null, "fake-api-key": []}}')
        with serving("--host", "0.0.0.0", "--account", str(path)) as (_, printed):  # noqa: S104
            assert "the key fake-api-key is public" in printed.getvalue()

    def test_no_signal_handlers(self) -> None:
        """It runs and ends where event loops take no signal handlers, as on Windows."""
        code = (
            "import asyncio, signal\n"
            "def none(self, *_):\n"
            # As the loops of Windows do, so that a signal ends a wait that begins at the same time.
            "    signal.set_wakeup_fd(self._csock.fileno())\n"
            "    raise NotImplementedError\n"
            "asyncio.SelectorEventLoop.add_signal_handler = none\n"
            "from arize_roles_fake.__main__ import main\n"
            "assert main(['serve']) == 0"
        )
        with subprocess.Popen(  # noqa: S603 - this interpreter
            (sys.executable, "-c", code),
            env=os.environ | MEASURED,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("http://")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LONGEST_WAIT)
        assert process.returncode == 0


class TestDemo:
    """`demo`."""

    def test_demo(
        self,
    ) -> None:
        """The demo drives the client, and says that all was as expected."""
        done = subprocess.run(  # noqa: S603 - this interpreter
            (*COMMAND, "demo"),
            env=os.environ | MEASURED,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_WAIT,
        )
        assert (done.returncode, done.stderr) == (0, "")
        said = re.sub(r"(127.0.0.1:)\d+", r"\1<port>", done.stdout)
        said = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "<time>", said)
        assert said == (Path(__file__).parents[1] / "data" / "demo.txt").read_text("utf-8")

    def test_not_refused(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The demo fails where a call succeeds that should fail."""

        account = FakeAccount()
        account.fail(
            "create",
            201,
            page=(
                '{"id": "Um9sZToxOmFCY0Q=", "name": "Data Scientist", "is_predefined": false, '
                '"created_at": "2026-01-01T12:00:00Z", "updated_at": "2026-01-01T12:00:00Z"}'
            ),
            headers={"Content-Type": "application/json"},
            role="Data Scientist",
            after=1,
        )
        monkeypatch.setattr(module, "FakeAccount", lambda: account)
        assert main(["demo"]) == 1
        assert capsys.readouterr().err == (
            "\nNot as expected: AssertionError('ConflictError was not raised')\n"
        )

    def test_unexpected(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The demo fails where an answer is not as expected."""
        monkeypatch.setattr(module, "FakeAccount", lambda: FakeAccount(predefined=False))
        assert main(["demo"]) == 1
        assert capsys.readouterr().err == (
            "\nNot as expected: AssertionError('expected that the walk lists every role')\n"
        )

    def test_other_order(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The demo fails where the roles come in another order."""
        assumptions = Assumptions(list_order="oldest-first")
        monkeypatch.setattr(module, "FakeAccount", lambda: FakeAccount(assumptions=assumptions))
        assert main(["demo"]) == 1
        assert capsys.readouterr().err == (
            "\nNot as expected: AssertionError('expected that the walk lists every role')\n"
        )

    def test_other_roles(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The demo fails where the calls leave other roles in the account than they should."""

        account = FakeAccount()
        account.fail("delete", 204, page="", role="AI Engineer")
        account.fail("get", 404, role="AI Engineer", after=2)
        monkeypatch.setattr(module, "FakeAccount", lambda: account)
        assert main(["demo"]) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith("\nNot as expected: AssertionError(")
        assert "'AI Engineer'    not expected" in captured.err
        assert "All as expected" not in captured.out

    def test_refused(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The demo fails where a call fails that should not."""
        monkeypatch.setattr(module, "FakeAccount", lambda: FakeAccount(max_custom_roles=0))
        assert main(["demo"]) == 1
        assert capsys.readouterr().err.startswith("\nNot as expected: ForbiddenError(")

    def test_expectations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The demo expects this."""
        expected: list[tuple[bool, str]] = []

        def expect(holds: object, expectation: str) -> None:
            expected.append((bool(holds), expectation))

        monkeypatch.setattr(module, "expect", expect)
        assert main(["demo"]) == 0
        assert expected == [
            (True, "the new role is the only custom one"),
            (True, "its ID finds the role"),
            (True, "its name finds the role"),
            (True, "the update replaced the permissions"),
            (True, "the walk lists every role"),
        ]
