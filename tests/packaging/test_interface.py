"""The public interface: what can be called, with which arguments and defaults; the commands."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from tests.tools.interface import MODULES, from_text, helps, interface, missing, names

DATA = Path(__file__).parents[1] / "data"
INTERFACE, HELP = DATA / "interface.txt", DATA / "help.txt"
NOW = interface()


@pytest.mark.parametrize("section", [*NOW])
def test_interface(section: str) -> None:
    """Names, arguments, defaults and options are those that callers rely on."""
    assert NOW[section] == from_text(INTERFACE.read_text("utf-8"))[section]


@pytest.mark.parametrize("module", MODULES)
def test_source(module: str) -> None:
    """The source of every public class and function can be read."""
    for name in import_module(module).__all__:
        member = getattr(import_module(module), name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert f" {name}" in inspect.getsource(member)


@pytest.mark.parametrize("package", ["arize_roles_async", "arize_roles_fake"])
def test_dir(package: str) -> None:
    """Completion has every public name, also those that are imported at their first use."""
    assert dir(import_module(package)) == sorted(import_module(package).__all__)


@pytest.mark.parametrize("module", MODULES)
def test_hints(module: str) -> None:
    """The annotations of every public name can be read, with and without the optional packages."""
    for name in import_module(module).__all__:
        member = getattr(import_module(module), name)
        parts = dict(inspect.getmembers(member)).values() if isinstance(member, type) else ()
        for each in (member, *parts):
            function = each.fget if isinstance(each, property) else each
            if isinstance(function, type) or inspect.isfunction(function):
                get_type_hints(function)


def test_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command explains itself and its options."""
    monkeypatch.setenv("COLUMNS", "1000")
    assert "\n".join(shown for _, shown in helps()) == HELP.read_text("utf-8")


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        # Of a changed signature, the parameters; of a new class or command, its own name.
        ("T(*, a=1, b=2, c=3)", "T(*, a=1, b=4, d=3)", {"b", "c", "d"}),
        ("V(field)", "V(*, field)", {"V"}),
        ("F.f(self, *sizes)", "F.f(self, *pages)", {"sizes", "pages"}),
        ("a plan\na plan --comment", "a plan", {"--comment"}),
        ("B()", "B()\nC(*, d)\nC.f(self, g)\nC.h\nj k\nj k --l", {"C", "k"}),
        ("ARIZE_REGION", "ARIZE_ZONE", {"ARIZE_REGION", "ARIZE_ZONE"}),
    ],
)
def test_changed(before: str, after: str, wanted: set[str]) -> None:
    """The entry of a change has the names of the difference."""
    assert names({"a": before.split("\n")}, {"a": after.split("\n")}) == wanted


def test_missing() -> None:
    """A name is in an entry if it stands there as code, and whole."""
    entry = "Words: connect; `--comment-file`, `Violations`, `read`."
    wanted = {"connect", "read", "--comment", "Violation"}
    assert missing(entry, wanted) == ["--comment", "Violation", "connect"]
