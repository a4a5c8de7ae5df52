"""The public interface: what can be called, with which arguments and defaults; the commands."""

import inspect
from importlib import import_module
from typing import get_type_hints

import pytest

from tests.tools.interface import FILE, MODULES, helps, interface, missing, names

NAMES = [(module, name) for module, it in MODULES.items() for name in it.__all__]


def test_interface() -> None:
    """Names, arguments, defaults and options are those that callers rely on."""
    assert interface().splitlines() == FILE.read_text("utf-8").splitlines()


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_name(module: str, name: str) -> None:
    """The source and the annotations of every public class and function can be read."""
    member = getattr(MODULES[module], name)
    # One is the type of `UNSET`, which is msgspec's and written in C.
    if (inspect.isclass(member) or inspect.isfunction(member)) and member.__module__ != "msgspec":
        assert f" {name}" in inspect.getsource(member)
    parts = dict(inspect.getmembers(member)).values() if isinstance(member, type) else ()
    for each in (member, *parts):
        function = each.fget if isinstance(each, property) else each
        if isinstance(function, type) or inspect.isfunction(function):
            get_type_hints(function)


@pytest.mark.parametrize("package", ["arize_roles_async", "arize_roles_fake"])
def test_dir(package: str) -> None:
    """Completion has every public name, also those that are imported at their first use."""
    assert dir(import_module(package)) == sorted(import_module(package).__all__)


def test_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command explains itself and its options."""
    monkeypatch.setenv("COLUMNS", "1000")
    shown = "\n".join(shown for _, shown in helps())
    assert shown == FILE.with_name("help.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        # Of a changed signature, the parameters; of a new class or command, its own name.
        ("T(*, a=1, b=2, c=3)", "T(*, a=1, b=4, d=3)", {"b", "c", "d"}),
        ("V(field)", "V(*, field)", {"V"}),
        ("a plan --comment --format", "a plan --format", {"--comment"}),
        ("B()", "B()\nC(*, d)\nC.f(self, g)\nC.h\nj k --l", {"C", "k"}),
    ],
)
def test_changed(before: str, after: str, wanted: set[str]) -> None:
    """The entry of a change has the names of the difference, as code and whole."""
    assert names(before, after) == wanted
    assert missing("`C2`, `k`, C and `--comment-file`", wanted) == sorted(wanted - {"k"})
