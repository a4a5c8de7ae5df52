"""Mutants: which there are, and what becomes of one in a small project."""

import ast
import random
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.tools.mutants import Fault, Mutant, by_hand, draw, judge_all, judges, modules

SOURCE = "def double(number, /):\n    return number * 2\n\n\nUNUSED = 1\n"
TESTS = (
    "from arize_roles_async.small import double\n\n\ndef test_it():\n    assert double(3) == 6\n"
)
FILE = "arize_roles_async/small.py"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project with one module and one test.

    Its test needs no plugin of pytest's, and some take seconds to import.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    files = {
        "arize_roles_async/__init__.py": "",
        FILE: SOURCE,
        "tests/test_small.py": TESTS,
        "tests/data/judges.toml": '"arize_roles_async/*" = ["tests/test_small.py"]\n',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


class TestByHand:
    """The faults of tests/data/faults.toml."""

    @pytest.mark.parametrize("fault", by_hand(ROOT), ids=str)
    def test_fits(self, fault: Fault) -> None:
        """Its text stands in the module once, and the module with the fault is Python."""
        changed = fault.into((ROOT / fault.file).read_text("utf-8"))
        assert changed is not None
        ast.parse(changed)

    @pytest.mark.full
    def test_judged(self, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A fault that a test sees is caught, another survives, and one that does not fit, too."""
        faults = [
            Fault("it doubles", FILE, "number * 2", "number * 3"),
            Fault("it is 1", FILE, "UNUSED = 1", "UNUSED = 2"),
            Fault("it is gone", FILE, "nothing", "UNUSED = 2"),
        ]

        assert judge_all(project, faults) == 2

        shown = capfd.readouterr().out
        assert f"caught    {FILE}: it doubles  " in shown
        assert f"SURVIVES  {FILE}: it is 1  " in shown
        assert f"SURVIVES  {FILE}: it is gone  it does not fit the source" in shown
        assert "1 of 3 caught, 0 not judged" in shown
        assert (project / FILE).read_text("utf-8") == SOURCE


class TestDrawn:
    """Mutants of cosmic-ray."""

    def test_seed(self, project: Path) -> None:
        """A seed draws the same mutants that are Python, each of another line."""
        first, second = (
            draw(project, [FILE], 9, random.Random(5))  # noqa: S311 - a sample
            for _ in range(2)
        )
        assert first == second
        assert sorted(mutant.line for mutant in first) == [2, 5]

    @pytest.mark.full
    def test_broken(self, project: Path) -> None:
        """Tests that cannot be collected are an error, since they would catch everything."""
        (project / "tests/test_small.py").write_text("import nothing_at_all", "utf-8")

        with pytest.raises(RuntimeError, match="cannot be collected without a change: "):
            judge_all(project, [Mutant(FILE, "core/NumberReplacer", 0, 2)])


def test_judges() -> None:
    """Tests are named for each module, and are there."""
    named = {test for file in modules(ROOT) for test in judges(ROOT, file)}
    assert [test for test in sorted(named) if not (ROOT / test).exists()] == []
    with pytest.raises(LookupError, match=r"names no tests for setup\.py$"):
        judges(ROOT, "setup.py")
