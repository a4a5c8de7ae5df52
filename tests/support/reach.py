"""Which test runs which line: recorded by `coverage run -m pytest`, where RECORD_REACH is set.

Coverage keeps the lines by test, also those of processes that a test starts; what it does not know
stands in `.coverage_tests.json`.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Final, Self

import attrs
import pytest
from coverage import Coverage, CoverageData

RECORD: Final = "RECORD_REACH"
PACKAGES: Final = ("arize_roles_async", "arize_roles_fake")
_TESTS: Final = ".coverage_tests.json"
_LINES: Final = ".coverage"


def sources(root: Path) -> list[Path]:
    """Return the modules of both packages, in a fixed order."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def digest(root: Path) -> str:
    """Return what changes with any module and any file that holds tests."""
    total = hashlib.sha256()
    for path in [*sources(root), *sorted((root / "tests").rglob("test_*.py"))]:
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


class Recorder:
    """A pytest plugin that tells coverage which test runs, and keeps how long each took."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digest = digest(root)
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._switch(_function(item.nodeid))
        try:
            return (yield)
        finally:
            self._switch("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = _function(report.nodeid)
        self._seconds[test] += report.duration
        if report.failed:
            self._failed.add(test)

    def _switch(self, test: str) -> None:
        measured = Coverage.current()
        if measured is not None:
            measured.switch_context(test)
            # What processes that the test starts are told, where `patch` has "subprocess".
            if (told := "COVERAGE_PROCESS_CONFIG") in os.environ:
                measured.set_option("run:context", test)
                os.environ[told] = measured.config.serialize()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):
            return  # A worker of xdist reports to a process that writes of them all.
        record = {
            "digest": self._digest,
            "seconds": self._seconds,
            "failed": sorted(self._failed),
        }
        (self._root / _TESTS).write_text(json.dumps(record, indent=1), "utf-8")


def _function(nodeid: str) -> str:
    """Return the test function of a test, without its parameters."""
    return nodeid.partition("[")[0]


@attrs.frozen
class Reach:
    """The recording: what to run for a line, and how long that takes.

    Attributes:
        seconds: How long each test function took, with all its parameters; those that failed are
            not here, and nowhere below.
        lines: By file and line, the test functions that ran it, as far as known: not the lines of
            a process that was killed or did not inherit the environment.
        failed: The test functions that failed.
    """

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[int, frozenset[str]]]
    failed: frozenset[str] = frozenset()

    @classmethod
    def load(cls, root: Path) -> Self | None:
        """Return what was last recorded, or None where it is missing or the code has changed."""
        if not (root / _TESTS).exists() or not (root / _LINES).exists():
            return None
        record = json.loads((root / _TESTS).read_text("utf-8"))
        if record["digest"] != digest(root):
            return None
        data = CoverageData(str(root / _LINES))
        data.read()
        failed = frozenset(record["failed"])
        passed = frozenset(record["seconds"]) - failed
        lines = {
            path.relative_to(root).as_posix(): {
                line: passed.intersection(tests)
                for line, tests in data.contexts_by_lineno(str(path)).items()
            }
            for path in sources(root)
        }
        seconds = {test: record["seconds"][test] for test in passed}
        return cls(seconds, lines, failed)

    def tests(self, file: str, lines: Iterable[int]) -> frozenset[str]:
        """Return the tests that ran any of these lines."""
        of_file = self.lines.get(file, {})
        return frozenset[str]().union(*(of_file.get(line, ()) for line in lines))

    def tests_of_file(self, file: str) -> frozenset[str]:
        """Return the tests that ran any line of a file."""
        return self.tests(file, self.lines.get(file, {}))
