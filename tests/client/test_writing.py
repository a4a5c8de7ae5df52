"""Files are written whole, or stay as they were."""

import errno
import os
import re
import resource
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import arize_roles_async
import arize_roles_fake
from arize_roles_async._values.writing import write_file
from arize_roles_fake import FakeAccount

CALLS = (os.open, os.chown, os.chmod, os.replace)
"""What `write_file` calls: the moments at which a reader may look, or something may stop it."""
FULL = ("disk", "full")
ROOM = 4_096
"""Bytes that a file can have on a disk that is full."""
ENDS = [None, FULL, *((call.__name__, when) for call in CALLS for when in ("before", "after"))]
on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes and owners")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@on_posix
@pytest.mark.parametrize("end", ENDS, ids=map(str, ENDS))
@pytest.mark.parametrize("before", [None, 0o600, 0o664])
@pytest.mark.parametrize("given", [None, 0o600])
def test_moments(
    given: int | None,
    before: int | None,
    end: tuple[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At every moment a reader sees the old or the new, with its mode, however the writing ends."""
    path, data, failure = tmp_path / "a.toml", b"x" * (ROOM + 1), None
    if before is not None:
        path.write_bytes(b"before")
        path.chmod(before)

    def state() -> tuple[bytes, int] | None:
        return (path.read_bytes(), mode(path)) if path.exists() else None

    def look(*moment: str) -> None:
        seen.add(state())
        beside.update(mode(each) for each in tmp_path.iterdir() if each != path)
        if moment == end:
            raise KeyboardInterrupt

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def watched_call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as they are
            look(call.__name__, "before")
            result = call(*args, **kwargs)
            look(call.__name__, "after")
            return result

        return watched_call

    old, seen, beside = state(), {state()}, set[int]()
    umask, (most, ever) = os.umask(0o022), resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        for call in CALLS:
            patch.setattr(os, call.__name__, watched(call))
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM if end == FULL else most, ever))
        try:
            write_file(path, data, mode=given)
        except (OSError, KeyboardInterrupt) as error:
            failure = error
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, ever))
    os.umask(umask)
    wanted = next(each for each in (given, before, 0o644) if each is not None)
    new = (data, wanted) if failure is None or end == ("replace", "after") else old
    assert state() == new
    assert seen <= {old, new}
    assert all(each & ~wanted == 0 for each in beside)
    assert [*tmp_path.iterdir()] == ([path] if new else [])
    if end == FULL:
        assert isinstance(failure, OSError)
        assert (failure.filename, failure.errno) == (str(path), errno.EFBIG)
        assert isinstance(failure.__cause__, OSError)


@on_posix
def test_account(tmp_path: Path) -> None:
    """An account, which has keys, is nobody else's to read."""
    FakeAccount().dump(tmp_path / "a.toml")
    assert mode(tmp_path / "a.toml") == 0o600


def test_one_writer() -> None:
    """Nothing else in the packages writes a file."""
    writes = re.compile(r'\.(write_bytes|write_text|touch)\(|open\([^)]*"([wax]b?|r\+b)"')
    paths = [
        path
        for package in (arize_roles_async, arize_roles_fake)
        for path in Path(package.__path__[0]).rglob("*.py")
    ]
    assert {each.name for each in paths if writes.search(each.read_text("utf-8"))} == {"writing.py"}


def test_link(tmp_path: Path) -> None:
    """A link stays a link, also one that led nowhere, and what it leads to is written."""
    (tmp_path / "there").write_bytes(b"before")
    for name in ("there", "nowhere"):
        link = tmp_path / f"to {name}"
        link.symlink_to(name)
        write_file(link, b"after")
        assert link.is_symlink()
        assert (tmp_path / name).read_bytes() == b"after"


def test_pipe(tmp_path: Path) -> None:
    """What is no file is written to, and stays what it is; so does a file that it leads to."""
    with (tmp_path / "log").open("w+b") as log:
        for _ in range(2):
            write_file(f"/dev/fd/{log.fileno()}", b"after")
        assert log.read() == b"afterafter"
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as read_end:
        write_file(f"/dev/fd/{writing}", b"after")
        os.close(writing)
        assert read_end.read() == b"after"


@pytest.mark.parametrize(
    ("place", "error"), [(".", IsADirectoryError), ("no/a.toml", FileNotFoundError)]
)
def test_no_file(place: str, error: type[OSError], tmp_path: Path) -> None:
    """A folder, or a file in one that is not there, is refused, and the error names it."""
    with pytest.raises(error) as caught:
        write_file(tmp_path / place, b"after")
    assert caught.value.filename == str(tmp_path / place)


@on_posix
def test_read_only() -> None:
    """A file that this process may not write is not replaced, although its folder may be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.toml"
        path.write_bytes(b"before")
        path.chmod(0o444)
        Path(folder).chmod(0o777)
        user = os.geteuid()
        os.seteuid(user or 65534)  # Root may write anything.
        try:
            with pytest.raises(PermissionError, match=r"a\.toml"):
                write_file(path, b"after")
        finally:
            os.seteuid(user)
        assert path.read_bytes() == b"before"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root")
def test_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
