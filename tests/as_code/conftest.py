"""The command's fixtures."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from arize_roles_fake import RolesServer
from tests.as_code.accounts import role_id
from tests.as_code.shell import KEY, Account, Shell


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """Heed signals, which a process in the background may ignore, and what it starts; the command
    handles them until its process ends."""

    def heed(*_: object) -> None:
        pass

    each = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(one, signal.signal(one, heed)) for one in each]
    yield
    for one, handler in before:
        signal.signal(one, handler)


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """The command on an account, in a folder with a file of roles."""
    monkeypatch.chdir(tmp_path)
    served = Account()
    for name in ("B old", "D", "Same", "Undeclared"):
        served.add_role(name, ["ROLE_READ"], id=role_id(name))
    with RolesServer(served) as server:
        monkeypatch.setenv("ARIZE_API_KEY", KEY)
        monkeypatch.setenv("ARIZE_BASE_URL", server.url)
        yield Shell(served, tmp_path, capsys)
