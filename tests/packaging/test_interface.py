"""The public interface: what can be called, with which arguments and defaults; the commands."""

import inspect
import os
import re
from importlib import import_module
from typing import get_type_hints

import pytest

from arize_roles_async import RolesClient, RolesError
from arize_roles_async._aiohttp import config
from arize_roles_async._roles.requests import ROLES
from arize_roles_async._values import errors
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


def test_errors() -> None:
    """A new error, such as one for another status, is a public name."""
    ours = (each for each in vars(errors).values() if isinstance(each, type))
    named = {each.__name__ for each in ours if issubclass(each, RolesError)}
    assert named <= {*MODULES["arize_roles_async"].__all__}


def test_operations() -> None:
    """The protocol has every operation, and nothing else that asks the service."""
    methods = {name for name, _ in inspect.getmembers(RolesClient, inspect.isfunction)}
    operations = {*ROLES.operations}
    assert {each for each in methods if each[0] != "_"} == operations | {"aclose", "with_options"}


def test_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every variable that configures a client, the fixture `arize_env` has its own value.

    Two stay, which say whom to trust: other programs read them, too, and its server is plain http.
    """
    names = {*re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', inspect.getsource(config))}
    assert names >= {"ARIZE_API_KEY", "ARIZE_BASE_URL", "SSL_CERT_FILE"}
    for name in names:
        monkeypatch.setenv(name, "a developer's own")
    request.getfixturevalue("arize_env")
    left = {name for name in names if os.environ.get(name) == "a developer's own"}
    assert left == {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}
