"""Mutants: which there are, and what becomes of one in a small project."""

import ast
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.tools.mutants import Change, by_hand, drawn, judge, judges, modules

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


@pytest.mark.parametrize("fault", [*by_hand(ROOT)], ids=str)
def test_fits(fault: Change) -> None:
    """The text of a fault stands in its module once, and the module with it is Python."""
    assert fault.source is not None
    ast.parse(fault.source)


@pytest.mark.full
def test_judged(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A change that a test sees is caught, another survives, and one that does not fit, too."""
    texts = {"it doubles": ("* 2", "* 3"), "it is 1": ("UNUSED = 1", "UNUSED = 2")}
    changes = [Change(FILE, what, SOURCE.replace(*text)) for what, text in texts.items()]
    assert judge(project, [*changes, Change(FILE, "it is gone", None)]) == 2
    shown = capfd.readouterr().out
    assert f"caught    {FILE}: it doubles\n" in shown
    assert f"SURVIVES  {FILE}: it is 1\n" in shown
    assert f"SURVIVES  {FILE}: it is gone does not fit the source" in shown


def test_drawn(project: Path) -> None:
    """A seed draws the same mutants that are Python, each of another line."""
    first, second = ([*drawn(project, [FILE], 5)] for _ in range(2))
    assert first == second
    assert sorted(mutant.what[:7] for mutant in first) == ["line 2:", "line 5:"]


def test_judges() -> None:
    """Tests are named for each module, and are there."""
    named = {test for file in modules(ROOT) for test in judges(ROOT, file)}
    assert [test for test in sorted(named) if not (ROOT / test).exists()] == []
