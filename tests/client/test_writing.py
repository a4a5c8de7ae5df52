"""Files are written whole, or stay as they were."""

import os
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from arize_roles_async._values.writing import write_file
from tests.support.full_disk import ROOM, full_disk

TOO_LONG = b"x" * (ROOM + 1)


@contextmanager
def as_anybody() -> Generator[None]:
    """Take root's rights away in a block."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFull:
    def test_kept(self, tmp_path: Path) -> None:
        """On a full disk a file stays as it was, nothing is beside it, and the error names it."""
        path = tmp_path / "a.toml"
        path.write_bytes(b"before")
        with full_disk(), pytest.raises(OSError, match=r"a\.toml") as caught:
            write_file(path, TOO_LONG)
        assert caught.value.filename == str(path)
        assert isinstance(caught.value.__cause__, OSError)
        assert path.read_bytes() == b"before"
        assert [*tmp_path.iterdir()] == [path]

    def test_interrupted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupt leaves the file as it was, too."""
        path = tmp_path / "a.toml"
        path.write_bytes(b"before")
        monkeypatch.setattr(Path, "replace", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_file(path, b"after")
        assert path.read_bytes() == b"before"
        assert [*tmp_path.iterdir()] == [path]


class TestPlace:
    def test_link(self, tmp_path: Path) -> None:
        """A link stays a link, and what it leads to is written."""
        (tmp_path / "there").mkdir()
        for name, leads_to in (("old", "there/a.toml"), ("dangling", "there/b.toml")):
            link = tmp_path / name
            link.symlink_to(leads_to)
            write_file(link, b"after")
            assert link.is_symlink()
            assert (tmp_path / leads_to).read_bytes() == b"after"

    def test_pipe(self) -> None:
        """What is no file is written to, and stays what it is."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as read_end:
            write_file(f"/dev/fd/{writing}", b"after")
            os.close(writing)
            assert read_end.read() == b"after"

    def test_folder(self, tmp_path: Path) -> None:
        """A folder is refused, and the error names it."""
        with pytest.raises(IsADirectoryError) as caught:
            write_file(tmp_path, b"after")
        assert caught.value.filename == str(tmp_path)

    def test_missing_folder(self, tmp_path: Path) -> None:
        """A file in a folder that is not there is refused by its own name."""
        with pytest.raises(FileNotFoundError) as caught:
            write_file(tmp_path / "no" / "a.toml", b"after")
        assert caught.value.filename == str(tmp_path / "no" / "a.toml")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes and owners")
class TestMode:
    @pytest.mark.parametrize("before", [0o600, 0o664, 0o755])
    def test_kept(self, tmp_path: Path, before: int) -> None:
        """A file keeps its mode, whatever new files get."""
        path = tmp_path / "a.toml"
        path.touch()
        path.chmod(before)
        write_file(path, b"after")
        assert mode(path) == before

    def test_new(self, tmp_path: Path) -> None:
        """A new file has the mode of any new file."""
        (tmp_path / "other").touch()
        write_file(tmp_path / "a.toml", b"after")
        assert mode(tmp_path / "a.toml") == mode(tmp_path / "other")

    def test_wanted(self, tmp_path: Path) -> None:
        """A mode that is wanted holds also where the file had another one."""
        path = tmp_path / "a.toml"
        path.touch()
        path.chmod(0o644)
        write_file(path, b"after", mode=0o600)
        assert mode(path) == 0o600

    def test_read_only(self) -> None:
        """A file that this process may not write is not replaced, although its folder may be."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.toml"
            path.write_bytes(b"before")
            path.chmod(0o444)
            Path(folder).chmod(0o777)
            with as_anybody(), pytest.raises(PermissionError, match=r"a\.toml"):
                write_file(path, b"after")
            assert path.read_bytes() == b"before"

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
    def test_owner(self, tmp_path: Path) -> None:
        """A file keeps its owner and its group."""
        path = tmp_path / "a.toml"
        path.touch()
        os.chown(path, 12, 34)
        write_file(path, b"after")
        assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)

    def test_owner_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that may not give files away writes the file as its own."""
        monkeypatch.setattr(os, "chown", Mock(side_effect=PermissionError))
        path = tmp_path / "a.toml"
        path.touch()
        write_file(path, b"after")
        assert path.read_bytes() == b"after"
