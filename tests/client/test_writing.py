"""Files are written whole, or stay as they were."""

import ast
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import arize_roles_async
import arize_roles_fake
from arize_roles_async._values.writing import write_file
from arize_roles_fake import FakeAccount
from tests.support.full_disk import ROOM, full_disk

TOO_LONG = b"x" * (ROOM + 1)
CALLS = ("open", "chown", "chmod", "replace", "unlink")
"""What write_file calls of `os`: the moments at which a reader may look."""


def dump(path: Path) -> None:
    account = FakeAccount(predefined=False)
    for name in "ABCDE":
        account.add_role(name, description="x" * 1_000)
    account.dump(path)


WRITERS: dict[str, tuple[Callable[[Path], None], int | None]] = {
    "a file": (lambda path: write_file(path, TOO_LONG), None),
    "an account, which has keys": (dump, 0o600),
}
"""Each with the mode of what it writes, if it is not that of any file."""

State = tuple[bytes, int] | None
"""The text and the mode of a file, if it is there."""


def state(path: Path) -> State:
    return (path.read_bytes(), mode(path)) if path.exists() else None


class Watch:
    """Looks at a file, and at what is beside it, around each call of `os`; may stop at one."""

    def __init__(self, path: Path, stop: tuple[str, str] | None) -> None:
        self.path = path
        self.seen: list[State] = []
        self.beside: list[int] = []
        """The modes of other files."""
        self._stop = stop

    def watched(self, name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def watched_call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as they are
            self._look(name, "before")
            result = call(*args, **kwargs)
            self._look(name, "after")
            return result

        return watched_call

    def _look(self, *moment: str) -> None:
        self.seen.append(state(self.path))
        self.beside += [mode(each) for each in self.path.parent.iterdir() if each != self.path]
        if moment == self._stop:
            self._stop = None
            raise KeyboardInterrupt


ENDS: list[tuple[str, str] | None] = [
    None,
    ("disk", "full"),
    *((name, when) for name in CALLS[:-1] for when in ("before", "after")),
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes and owners")
@pytest.mark.parametrize("end", ENDS, ids=map(str, ENDS))
@pytest.mark.parametrize("before", [None, 0o600, 0o664])
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_moments(
    writer: tuple[Callable[[Path], None], int | None],
    before: int | None,
    end: tuple[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At every moment a reader sees the old or the new, with its mode, however the writing ends."""
    write, wanted = writer
    path = tmp_path / "a.toml"
    if before is not None:
        path.write_bytes(b"before")
        path.chmod(before)
    old, watch = state(path), Watch(path, end)
    for name in CALLS:
        monkeypatch.setattr(os, name, watch.watched(name))
    previous = os.umask(0o022)
    caught: BaseException | None = None
    try:
        with full_disk() if end == ("disk", "full") else nullcontext():
            write(path)
    except (OSError, KeyboardInterrupt) as error:
        caught = error
    finally:
        os.umask(previous)
        monkeypatch.undo()
    new_mode = next(m for m in (wanted, before, 0o644) if m is not None)
    is_new = state(path) != old
    assert is_new is (caught is None or end == ("replace", "after"))
    if is_new:
        data, ended_mode = state(path) or (b"", 0)
        assert len(data) > ROOM
        assert ended_mode == new_mode
    assert {*watch.seen} <= {old, state(path)}
    assert all(each & ~new_mode == 0 for each in watch.beside)
    assert [*tmp_path.iterdir()] == ([path] if is_new or before is not None else [])
    if end == ("disk", "full"):
        assert isinstance(caught, OSError)
        assert (caught.filename, caught.errno) == (str(path), errno.EFBIG)
        assert isinstance(caught.__cause__, OSError)


def test_one_writer() -> None:
    """Nothing else in the packages writes a file."""
    found: set[str] = set()
    for package in (arize_roles_async, arize_roles_fake):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.Attribute(attr="write_bytes" | "write_text" | "touch"):
                        found.add(path.name)
                    case ast.Call(
                        func=ast.Name(id="open") | ast.Attribute(attr="open"),
                        args=[*_, ast.Constant(value="w" | "wb" | "a" | "ab" | "x" | "xb" | "r+b")],
                    ):
                        found.add(path.name)
                    case _:
                        pass
    assert found == {"writing.py"}


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

    @pytest.mark.parametrize(
        ("place", "error"), [(".", IsADirectoryError), ("no/a.toml", FileNotFoundError)]
    )
    def test_no_file(self, place: str, error: type[OSError], tmp_path: Path) -> None:
        """A folder, or a file in one that is not there, is refused, and the error names it."""
        with pytest.raises(error) as caught:
            write_file(tmp_path / place, b"after")
        assert caught.value.filename == str(tmp_path / place)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes and owners")
class TestMode:
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
    def test_owner(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file keeps its owner, unless the process may give none away."""
        path = tmp_path / "a.toml"
        path.touch()
        os.chown(path, 12, 34)
        write_file(path, b"before")
        assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)
        monkeypatch.setattr(os, "chown", Mock(side_effect=PermissionError))
        write_file(path, b"after")
        assert path.read_bytes() == b"after"
        assert (path.stat().st_uid, path.stat().st_gid) == (0, 0)
