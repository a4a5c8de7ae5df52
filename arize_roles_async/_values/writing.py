"""Writing a file: whole, or not at all."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def write_file(path: str | Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file, which has all the data afterwards or stays as it was.

    The data is written beside the file and then takes its place. A link stays, and what it leads to
    is written. The mode stays, unless one is given, and so does the owner, if this process may give
    files away. What is no file, such as `/dev/stdout`, is written to.

    Raises:
        OSError: The file cannot be written; the error has its name.
    """
    target = Path(os.path.realpath(path))
    beside = target.parent / f".{os.urandom(8).hex()}.tmp"
    try:
        before = Path(path).stat() if Path(path).exists() else None
        # A redirect may lead from a device to a file, which keeps what it has.
        if before and (str(path).startswith("/dev/") or not stat.S_ISREG(before.st_mode)):
            with Path(path).open("ab") as device:
                device.write(data)
            return
        if before:
            # A file that this process may not write could still be replaced.
            target.open("r+b").close()
            mode = stat.S_IMODE(before.st_mode) if mode is None else mode
        new = 0o666 if mode is None else mode
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, new)) as file:
            file.write(data)
        if before:
            with suppress(AttributeError, PermissionError):  # Windows has no owners.
                os.chown(beside, before.st_uid, before.st_gid)
        if mode is not None:
            beside.chmod(mode)
        beside.replace(target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
