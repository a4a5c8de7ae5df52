"""The commands of `python -m arize_roles_fake`."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake.__main__ import main
from tests.support.processes import LONGEST_WAIT, MEASURED, ran
from tests.support.serving import Served, serving

COMMAND = (sys.executable, "-m", "arize_roles_fake")


@contextmanager
def started(
    *command: str, env: dict[str, str] | None = None
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start a command that serves, and hand out its process and its URL; kill it at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - this interpreter
        command, env=env, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


class TestServeProcess:
    """`serve` as its own process, and its arguments."""

    def test_url(self) -> None:
        """`serve` prints its URL once ready, and ends cleanly."""
        with started(*COMMAND, "serve") as (process, url):
            _, page = Served(url).ask("GET", "/v2/roles")
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=LONGEST_WAIT)
        assert len(page["roles"]) == 7
        assert (process.returncode, output) == (0, "")
        assert errors == (
            f"export ARIZE_API_KEY=fake-api-key ARIZE_BASE_URL={url}\n"
            "export ARIZE_API_SCHEME=http ARIZE_API_HOST=127.0.0.1 "
            f"ARIZE_API_PORT={url.rpartition(':')[2]}\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--account", "no/such/file"), "no/such/file"),
            (("--assume", "unknown_id=500"), "unknown_id must be one of 404, 400, not '500'"),
            (("--api-key-file", "no/such/file"), "no/such/file"),
            (
                ("--account", '{"roles": [], "keys": {}}'),
                "the account has no API key; pass one with --api-key",
            ),
            (("--api-key", "two words"), "a key must have only letters, digits and - . _ ~ + /"),
            (("--save", "no/such/file"), "no/such/file"),
            (("--control", "any"), "--control any needs a key other than fake-api-key"),
            (
                ("--account", '{"roles": [], "\\u001b[2J##[group]": 1}'),
                "this is not an account file: ",
            ),
        ],
    )
    def test_refused(
        self, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`serve` refuses what makes no sense."""
        # It would not serve on this port either.
        with pytest.raises(SystemExit) as caught:
            main(["serve", "--port", "65536", *arguments])
        assert caught.value.code == 2
        errors = capsys.readouterr().err
        assert message in errors
        # A terminal and a runner of GitHub would obey them.
        assert "\x1b" not in errors
        assert "##[" not in errors


class TestServe:
    """More of what `serve` does."""

    @pytest.mark.parametrize("port", [None, 65536])
    def test_cannot_listen(self, port: int | None, capsys: pytest.CaptureFixture[str]) -> None:
        """It says where it cannot listen."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = port or taken.getsockname()[1]
            assert main(["serve", "--port", str(port)]) == 1
        assert capsys.readouterr().err.startswith(f"cannot listen on 127.0.0.1, port {port}: ")

    def test_keys(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key may be in a file, the environment or the account; else it is a known one."""
        path = tmp_path / "key"
        path.write_text("of-file\n")
        monkeypatch.setenv("ARIZE_FAKE_API_KEY", "")
        for account, key in (
            ('{"roles": []}', "fake-api-key"),
            ('{"roles": [], "keys": {"first": null, "second": null}}', "second"),
        ):
            with serving("--account", account) as (url, _):
                assert Served(url, key).status() == 200
        with serving("--api-key-file", str(path)) as (url, _):
            assert Served(url, "of-file").status() == 200
        # No real key has this name.
        monkeypatch.setenv("ARIZE_FAKE_API_KEY", "of-environment")
        with serving() as (url, _):
            assert Served(url, "of-environment").status() == 200

    def test_save(self, tmp_path: Path) -> None:
        """The account is written on exit, as it is then; `--assume` leaves others of it."""
        path, saved = tmp_path / "account.json", tmp_path / "saved.json"
        FakeAccount(assumptions=Assumptions(paging="by-offset", unknown_id=400)).dump(path)
        with serving(
            *("--account", str(path), "--save", str(saved), "--assume", "unknown_id=404"),
            *("--api-key", "sesame", "--control"),
        ) as (url, _):
            served = Served(url, "sesame")
            assert served.status("/v2/roles/Um9sZTowOm5vbmU=") == 404
            assert served.ask("PUT", "/-/account", served.ask("GET", "/-/account")[1])[0] == 204
            assert served.create("A") == 201
        account = FakeAccount.load(saved)
        assert (account.api_key, len(account.roles)) == ("sesame", 8)
        account.assert_roles({"A": {"ROLE_READ"}})
        assert json.loads(account.dump())["assumptions"] == {"paging": "by-offset"}

    def test_save_fails(self, tmp_path: Path) -> None:
        """A file that cannot be written on exit is a message; it was written at the start."""
        folder = tmp_path / "folder"
        folder.mkdir()
        saved = folder / "saved.json"
        with serving("--save", str(saved), status=1) as (_, errors):
            assert len(FakeAccount.load(saved).roles) == 7
            saved.unlink()
            folder.rmdir()
        assert errors.getvalue().splitlines()[-1].startswith("the account was not saved: ")

    @pytest.mark.parametrize(
        ("arguments", "warned"),
        [
            ((), True),
            (("--account", '{"roles": [], "keys": {"own": null, "fake-api-key": []}}'), True),
            (("--api-key", "secret"), False),
        ],
    )
    def test_beyond_loopback(self, arguments: tuple[str, ...], warned: bool) -> None:  # noqa: FBT001
        """Where others can reach the server, the default key leads to a warning."""
        with serving("--host", "0.0.0.0", *arguments) as (_, printed):  # noqa: S104
            errors = printed.getvalue()
        warning = (
            "warning: other machines can reach 0.0.0.0, and the key fake-api-key is public; "
            "pass another one with --api-key-file\n"
        )
        assert (warning in errors) is ("warning" in errors) is warned

    def test_options(self) -> None:
        """The key may have any characters, and other names than this machine's are refused."""
        hosts = ("localhost", "[::1]", "PROXIED.example:80", "evil.example", "127.0.0.1")
        options = ("--api-key", "~/a+b=", "--allow-host", "Proxied.example")
        with serving(*options) as (url, exports):
            served = Served(url, "~/a+b=")
            assert [served.status(Host=host) for host in hosts] == [200, 200, 200, 403, 200]
        # A shell that takes the exports has the key as it is.
        shown = ran("/bin/sh", "-c", f'{exports.getvalue()}printf %s "$ARIZE_API_KEY"')
        assert shown.stdout == "~/a+b="

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
        with started(sys.executable, "-c", code, env=os.environ | MEASURED) as (process, url):
            assert url.startswith("http://")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LONGEST_WAIT)
        assert process.returncode == 0


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo drives the client, and prints how each call ended."""
    assert main(["demo"]) == 0
    said = re.sub(r"(127.0.0.1:)\d+", r"\1<port>", capsys.readouterr().out)
    said = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "<time>", said)
    assert said == (Path(__file__).parents[1] / "data" / "demo.txt").read_text("utf-8")
