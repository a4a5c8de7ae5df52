"""The public interface: what can be called, with which arguments and defaults; the commands."""

import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import arize_roles_async
import arize_roles_async.__main__ as client_command
import arize_roles_fake
import arize_roles_fake.__main__ as fake_command
from arize_roles_async import as_code, transport

DATA = Path(__file__).parents[1] / "data"
INTERFACE, HELP = DATA / "interface.txt", DATA / "help.txt"


def signature(call: Callable[..., object]) -> str:
    """Return a signature without its types."""
    parameters = inspect.signature(call).parameters.values()
    bare = str(inspect.Signature([each.replace(annotation=each.empty) for each in parameters]))
    return re.sub(r" at 0x[0-9a-f]+", "", bare)


def is_of(package: ModuleType, member: object) -> bool:
    """Return True if something is the package's own."""
    module = getattr(member, "__module__", None) or ""
    return module == package.__name__ or module.startswith(f"{package.__name__}._")


def interface(package: ModuleType) -> Iterator[str]:
    """Yield a line for each function, class and method that a package shows."""
    for name, member in inspect.getmembers(package):
        if name.startswith("_") or not is_of(package, member):
            continue
        if inspect.isfunction(member):
            yield f"{name}{signature(member)}"
        if not inspect.isclass(member) or issubclass(member, Enum | Warning | str):
            continue
        if not is_protocol(member):
            yield f"{name}{signature(member)}"
        for method, function in inspect.getmembers(member, inspect.isroutine):
            if not method.startswith("_") and is_ours(function):
                yield f"{name}.{method}{signature(function)}"


def is_protocol(of: type) -> bool:
    return bool(getattr(of, "_is_protocol", False))


def is_ours(function: object) -> bool:
    return str(getattr(function, "__module__", "")).startswith("arize_roles_")


@pytest.mark.parametrize("module", [arize_roles_async, as_code, transport, arize_roles_fake])
def test_interface(module: ModuleType) -> None:
    """Arguments and defaults are those that callers rely on."""
    sections = INTERFACE.read_text("utf-8").split("\n\n")
    expected = {name: lines for name, *lines in map(str.splitlines, sections)}
    assert [*interface(module)] == expected[module.__name__]


@pytest.mark.parametrize("module", [arize_roles_async, as_code, transport, arize_roles_fake])
def test_traceback_names(module: ModuleType) -> None:
    """A traceback shows an error or a warning under a name that users can import."""
    for name, member in inspect.getmembers(module, inspect.isclass):
        if issubclass(member, Exception):
            shown = import_module(member.__module__)
            assert "._" not in shown.__name__, name
            assert getattr(shown, name) is member


def helps(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help of every command, with single spaces."""
    texts: list[str] = []
    for command, names in (
        (client_command.main, ("", "check", "plan", "apply", "export")),
        (fake_command.main, ("", "demo", "serve", "record", "compare")),
    ):
        for name in names:
            with pytest.raises(SystemExit) as ended:
                command([*filter(None, [name]), "--help"])
            assert ended.value.code == 0
            texts.append(re.sub(" +", " ", capsys.readouterr().out))
    return "\n".join(texts)


def test_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command explains itself and its options."""
    monkeypatch.setenv("COLUMNS", "1000")
    assert helps(capsys) == HELP.read_text("utf-8")
