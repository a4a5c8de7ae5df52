"""The public interface: what can be called, with which arguments and defaults; the commands."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.support.interface import COMMANDS, MODULES, as_text, from_text, help_of, interface
from tests.tools.interface import differences, entries, missing, names

DATA = Path(__file__).parents[1] / "data"
INTERFACE, HELP = DATA / "interface.txt", DATA / "help.txt"
NOW = interface()


@pytest.mark.parametrize("section", [*NOW])
def test_interface(section: str) -> None:
    """Names, arguments, defaults and options are those that callers rely on."""
    assert NOW[section] == from_text(INTERFACE.read_text("utf-8"))[section]


def test_text() -> None:
    """A file gives the sections back that were written to it."""
    assert from_text(as_text(NOW)) == NOW


@pytest.mark.parametrize("module", MODULES)
def test_names(module: str) -> None:
    """Tracebacks, reprs and pickles have a class under the name that users import."""
    for name in getattr(import_module(module), "__all__", ["RolesContract"]):
        member = getattr(import_module(module), name)
        if isinstance(member, type):
            assert member.__module__ in MODULES, name
            assert getattr(import_module(member.__module__), name) is member


@pytest.mark.parametrize("package", ["arize_roles_async", "arize_roles_fake"])
def test_dir(package: str) -> None:
    """Completion has every public name, also those that are imported at their first use."""
    assert dir(import_module(package)) == sorted(import_module(package).__all__)


def test_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command explains itself and its options."""
    monkeypatch.setenv("COLUMNS", "1000")
    helps = [help_of(module, name) for module, names in COMMANDS.values() for name in names]
    assert "\n".join(helps) == HELP.read_text("utf-8")


def planted(section: str, line: str, *instead: str) -> dict[str, list[str]]:
    """Return the interface with other lines in place of one."""
    lines = list(NOW[section])
    place = lines.index(line)
    lines[place : place + 1] = instead
    return {**NOW, section: lines}


class TestChanges:
    """The tool that compares the interface with the last release's."""

    @pytest.mark.parametrize(
        ("changed", "lacking"),
        [
            (
                planted(
                    "arize_roles_async",
                    "Timeouts(*, total=30.0, connect=5.0, read=10.0)",
                    "Timeouts(*, total=30.0, connect=4.0, write=10.0)",
                ),
                ["connect", "read", "write"],
            ),
            (planted("commands", "arize-roles plan --comment"), ["--comment"]),
            (
                planted("environment", "ARIZE_REGION", "ARIZE_ZONE"),
                ["ARIZE_REGION", "ARIZE_ZONE"],
            ),
            (planted("arize_roles_async", "Violation(field, message)"), ["Violation"]),
            (planted("arize_roles_fake", "FakeAccount.calls_in_all"), ["calls_in_all"]),
            (
                planted(
                    "arize_roles_async",
                    "Violation(field, message)",
                    "Violation(*, field, message)",
                ),
                ["Violation"],
            ),
            (
                planted(
                    "arize_roles_fake",
                    "FakeAccount.shorten_pages(self, *sizes)",
                    "FakeAccount.shorten_pages(self, *pages)",
                ),
                ["pages", "sizes"],
            ),
        ],
    )
    def test_lacking(self, changed: dict[str, list[str]], lacking: list[str]) -> None:
        """An entry lacks the names of a change that it does not have as code."""
        wanted = names(NOW, changed)
        assert missing("Words: connect; `--comment-file`, `Violations`.", wanted) == lacking
        assert missing(f"All: `{' '.join(lacking)}`.", wanted) == []

    def test_members(self) -> None:
        """Of a class or a command that is new, the name is enough."""
        before = {"a": ["B()"]}
        after = {"a": ["B()", "C(*, d, e=1)", "C.f(self, g)", "C.h"], "i": ["j k", "j k --l"]}
        assert names(before, after) == {"C", "k"}

    def test_differences(self) -> None:
        """The difference has the lines that are gone and new, by their section."""
        before, after = {"a": ["b", "c(d)"], "e": ["f"]}, {"a": ["b", "c(d, g)"], "e": ["f"]}
        assert [*differences(before, after)] == ["a", "-c(d)", "+c(d, g)"]

    def test_entries(self) -> None:
        """The newest entry is the first, and the release the one below it."""
        text = "# Changes\n\n## [Unreleased]\n\n- `a`\n\n## [0.3.0] - today\n\n## [0.2.0]\n"
        assert entries(text) == ("Unreleased]\n\n- `a`\n\n", "0.3.0")
