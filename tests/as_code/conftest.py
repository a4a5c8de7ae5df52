"""The command's fixture."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from arize_roles_fake import RolesServer
from tests.as_code.shell import KEY, Account, Shell


@pytest.fixture
def _heeded() -> Iterator[None]:
    """Heed the signals that a process in the background was started to ignore.

    What it starts would ignore them, too.
    """

    def heed(*_: object) -> None:
        pass

    each = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(one, signal.signal(one, heed)) for one in each]
    yield
    for one, handler in before:
        signal.signal(one, handler)


@pytest.fixture
def shell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    _heeded: None,
) -> Iterator[Shell]:
    """The command on an account, in a folder with a file of roles."""
    monkeypatch.chdir(tmp_path)
    served = Account()
    for name in ("B old", "D", "Same", "Undeclared"):
        served.add_role(name, ["ROLE_READ"])
    with RolesServer(served) as server:
        monkeypatch.setenv("ARIZE_API_KEY", KEY)
        monkeypatch.setenv("ARIZE_BASE_URL", server.url)
        yield Shell(served, server.url, tmp_path, capsys)
