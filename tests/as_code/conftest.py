"""The command's fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from arize_roles_fake import RolesServer
from tests.as_code.shell import KEY, Shell, account


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """The command on an account, in a folder with a file of roles."""
    monkeypatch.chdir(tmp_path)
    served = account()
    with RolesServer(served) as server:
        monkeypatch.setenv("ARIZE_API_KEY", KEY)
        monkeypatch.setenv("ARIZE_BASE_URL", server.url)
        yield Shell(served, server.url, tmp_path, capsys)
