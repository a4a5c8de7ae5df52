"""An account with its clients, runs of pytest inside a test, and commands that record."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from textwrap import dedent

import anyio
import msgspec
import pytest
import trio

from arize_roles_async import Request, Response, RolesClient
from arize_roles_fake import FakeAccount, RolesServer
from arize_roles_fake.__main__ import main
from arize_roles_fake._recording.record import encode, record
from tests.support.clients import Connect, account_at_noon, in_process

# Loaded for good: pytester forgets the modules that an inner run loads.
assert anyio
assert trio

ALPHA = "ignore::arize_roles_async.AlphaWarning"
IMPORTS = """
import asyncio
import pytest
from arize_roles_async import *
from arize_roles_fake import *
"""


@pytest.fixture
def account() -> FakeAccount:
    """Return an account whose time stands still."""
    return account_at_noon()


@pytest.fixture
def connect() -> Connect:
    """Return what makes the client: in process, unless a test is parametrized."""
    return in_process


@pytest.fixture
async def roles(connect: Connect, account: FakeAccount) -> AsyncGenerator[RolesClient]:
    """Return a client of the account that does not try again."""
    async with connect(account) as client:
        yield client


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs a suite as strictly as pytest can, and sees that it has the outcomes.

    It has the imports that most of them need.
    """

    def run_suite(
        source: str, *arguments: str, mode: str = "strict", **outcomes: int
    ) -> pytest.RunResult:
        pytester.makepyprojecttoml(
            f"""
            [tool.pytest.ini_options]
            addopts = "--strict-markers --strict-config -pno:cacheprovider"
            filterwarnings = ["error", "{ALPHA}"]
            asyncio_mode = "{mode}"
            asyncio_default_fixture_loop_scope = "function"
            """
        )
        pytester.makepyfile(IMPORTS + dedent(source))
        result = pytester.runpytest_inprocess(*arguments)
        if outcomes:
            result.assert_outcomes(**outcomes)
        return result

    return run_suite


def sending_to(account: FakeAccount) -> Callable[[Request], Awaitable[Response]]:
    """Return what sends the requests of a recording to an account in this process."""

    async def send(request: Request) -> Response:
        headers = {"Authorization": f"Bearer {account.api_key}", **request.headers}
        return account.handle(msgspec.structs.replace(request, headers=headers))

    return send


class Recorder:
    """The commands `record` and `compare` on one file."""

    def __init__(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.file = file
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def record(
        self,
        account: FakeAccount,
        *statuses: int,
        key: str | None = None,
        url: str | None = None,
        out: str = "recording.json",
    ) -> str:
        """Record a served account, and return what goes to standard error."""
        with RolesServer(account) as server:
            self._monkeypatch.setenv("ARIZE_API_KEY", server.api_key if key is None else key)
            out = str(self.file.parent / out)
            arguments = ("--base-url", url or server.url, "--out", out)
            assert main(["record", *arguments]) in (statuses or (0,))
        return self._capsys.readouterr().err

    def record_here(self, account: FakeAccount) -> None:
        """Record an account without the command and a server, for a test of `compare`."""
        self.file.write_bytes(encode(asyncio.run(record(sending_to(account), asyncio.sleep))))

    def compare(self, status: int, *arguments: str) -> list[str]:
        """Compare the recording with the fake, and return the lines that are printed."""
        assert main(["compare", str(self.file), *arguments]) == status
        output, errors = self._capsys.readouterr()
        return (errors if status == 2 else output).splitlines()


@pytest.fixture
def recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Recorder:
    """Return the commands on a file that is not there yet."""
    return Recorder(tmp_path / "recording.json", monkeypatch, capsys)
