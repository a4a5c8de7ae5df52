"""A scratch copy of the project, in which a fault is planted and tests run that never hang."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from tests.support.reach import RECORD
from tests.tools.syntax_faults import Fault

_FORKED: Final = Path(__file__).with_name("forked.py")
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)
_STARTED: Final = re.compile(rb"^([^\s\[]+::[^\s\[]+)", re.MULTILINE)
_POLL: Final = 0.05
_TAIL: Final = 4096


@attrs.frozen
class Failure:
    """Why a run of tests failed.

    Attributes:
        test: The test, as far as pytest names one.
        is_late: Whether it took too long.
        started: The tests that were started until then: pytest changes their order where some
            share a fixture.
    """

    test: str = ""
    is_late: bool = False
    started: frozenset[str] = frozenset()

    def is_of(self, test: str) -> bool:
        """Tell whether a test failed, perhaps because its module cannot be imported."""
        return self.test == test or test.startswith(self.test + "::")


class OutOfTimeError(Exception):
    """The time for everything is over."""


class Scratch:
    """A copy of the project with a process of pytest at a time.

    Args:
        root: The project.
        folder: A folder to make, for the copy and all that its tests write.
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
        environment = {**os.environ, **paths}
        for name in (RECORD, "PYTHONDONTWRITEBYTECODE"):
            environment.pop(name, None)
        self._runner = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-P", str(_FORKED)],
            bufsize=0,
            cwd=self.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._runner.stdin
        assert self._runner.stdout
        self._asked, self._told = self._runner.stdin, self._runner.stdout

    def stop(self) -> None:
        """End what runs, from any thread."""
        self._until = 0

    def close(self) -> None:
        """End the process that runs pytest, once nothing runs in it any more."""
        with self._runner:
            pass

    def collect(self, tests: Iterable[str]) -> None:
        """Let pytest find the tests, which also compiles all that they import.

        Raises:
            RuntimeError: It does not find them all.
        """
        if self._pytest(tests, "--collect-only", allowed=lambda _test: 600, compiles=True):
            raise RuntimeError(f"pytest does not find the tests: {self._output.read_text('utf-8')}")

    @contextmanager
    def planted(self, fault: Fault) -> Generator[None]:
        """Have a fault in the copy for a while, perhaps beside others of other files."""
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

    def run(self, tests: Sequence[str], *, allowed: Callable[[str], float]) -> Failure | None:
        """Run tests until one fails.

        Args:
            tests: The tests.
            allowed: Returns how many seconds a test may take, and the start, whose name is "".

        Returns:
            The failure, or None if all passed.

        Raises:
            OutOfTimeError: The time for everything ended before.
        """
        return self._pytest(tests, "-v", "-x", "--tb=no", "-rfE", allowed=allowed)

    def _pytest(
        self,
        tests: Iterable[str],
        *options: str,
        allowed: Callable[[str], float],
        compiles: bool = False,
    ) -> Failure | None:
        if time.monotonic() >= self._until:
            raise OutOfTimeError
        self._arguments.write_text("\n".join(tests), "utf-8")
        self._output.write_bytes(b"")
        arguments = ["-p", "no:cacheprovider", *options, f"@{self._arguments}"]
        asked = json.dumps([arguments, str(self._output), compiles])
        self._asked.write(f"{asked}\n".encode())
        process = int(self._told.readline())
        late: Failure | None = None
        try:
            late = self._wait(allowed)
        finally:
            # Also what a test that was ended has left behind.
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            status = int(self._told.readline())
        if status == 0 and late is None:
            return None
        output = self._output.read_bytes()
        started = frozenset(name.decode() for name in _STARTED.findall(output))
        if late is not None:
            return attrs.evolve(late, started=started)
        named = _FAILED.search(output.decode("utf-8", "replace"))
        return Failure(named[1] if named else "", started=started)

    def _wait(self, allowed: Callable[[str], float]) -> Failure | None:
        """Wait for the end of a run, or until a test takes too long."""
        test, size, waited, now = "", 0, 0.0, time.monotonic()
        while not select.select([self._told], [], [], _POLL)[0]:
            before, now = now, time.monotonic()
            # No more than a second at a time: what stops this process may stop that one, too.
            waited += min(now - before, 1.0)
            if now >= self._until:
                raise OutOfTimeError
            if size != (size := self._output.stat().st_size):
                test, waited = self._running(), 0.0
            elif waited >= allowed(test):
                return Failure(test, is_late=True)
        return None

    def _running(self) -> str:
        with self._output.open("rb") as output:
            output.seek(max(0, self._output.stat().st_size - _TAIL))
            named = _STARTED.findall(output.read())
        return named[-1].decode() if named else ""
