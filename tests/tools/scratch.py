"""A scratch copy of the project, in which a fault is planted and tests run that never hang."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from tests.support.reach import RECORD
from tests.tools.syntax_faults import Fault

_MEMORY: Final = 6 << 30
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)


@attrs.frozen
class Failure:
    """Why a run of tests failed.

    Attributes:
        test: The test, as far as pytest names one.
        is_late: Whether it took too long.
    """

    test: str = ""
    is_late: bool = False


class OutOfTimeError(Exception):
    """The time for everything is over."""


class Scratch:
    """A copy of the project with a process of pytest at a time.

    Args:
        root: The project.
        folder: An empty folder for the copy and all that its tests write.
        until: When everything is to be over, by `time.monotonic`.
    """

    def __init__(self, root: Path, folder: Path, *, until: float) -> None:
        self.root = folder / "project"
        self._until = until
        self._arguments = folder / "arguments"
        self._output = folder / "output"
        ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".coverage*")
        shutil.copytree(root, self.root, ignore=ignored)
        (folder / "tmp").mkdir()
        paths = {"PYTHONPATH": str(self.root), "TMPDIR": str(folder / "tmp")}
        self._environment = {**os.environ, **paths}
        self._environment.pop(RECORD, None)

    def stop(self) -> None:
        """End what runs, from any thread."""
        self._until = 0

    def collect(self, tests: Iterable[str]) -> None:
        """Let pytest find the tests, which also compiles all that they import.

        Raises:
            RuntimeError: It does not find them all.
        """
        if self._pytest(tests, "--collect-only", seconds=600):
            raise RuntimeError(f"pytest does not find the tests: {self._output.read_text('utf-8')}")
        self._environment["PYTHONDONTWRITEBYTECODE"] = "1"

    @contextmanager
    def planted(self, fault: Fault) -> Generator[None]:
        """Have a fault in the copy for a while."""
        path = self.root / fault.file
        source, status = path.read_bytes(), path.stat()
        path.write_bytes(fault.planted(source))
        # Python takes a file of the same length and second for the one that it has compiled.
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**10))
        try:
            yield
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def run(self, tests: Sequence[str], *, seconds: float) -> Failure | None:
        """Run tests, in their order, until one fails.

        Returns:
            The failure, or None if all passed.

        Raises:
            OutOfTimeError: The time for everything ended before.
        """
        return self._pytest(tests, "-x", "--tb=no", "-rfE", seconds=seconds)

    def _pytest(self, tests: Iterable[str], *options: str, seconds: float) -> Failure | None:
        self._arguments.write_text("\n".join(tests), "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        end = time.monotonic() + seconds
        with self._output.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - pytest
                [*command, f"@{self._arguments}"],
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            if sys.platform == "linux":
                resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
            while process.poll() is None:
                if time.monotonic() >= self._until:
                    raise OutOfTimeError
                if time.monotonic() >= end:
                    return Failure(is_late=True)
                time.sleep(0.05)
        finally:
            # Also what a test that was ended has left behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode == 0:
            return None
        named = _FAILED.search(self._output.read_text("utf-8", "replace"))
        return Failure(named[1] if named else "")
