"""Imports run one way: down the floors of the client, and from the fake to the client."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import arize_roles_async
import arize_roles_fake

CLIENT = Path(arize_roles_async.__file__).parent
FAKE = Path(arize_roles_fake.__file__).parent

FLOORS = (
    {"_deadlines", "_errors", "_permissions", "_version"},
    {"_models", "_options", "_requests"},
    {"_convert", "_frames", "_wire"},
    {"_lookup", "_paging"},
    {"_protocol"},
    {"_base"},
    {"_config"},
    {"_aiohttp"},
)
# Imported within functions, by what stands below them: most callers need neither.
LAZY = {"_convert", "_frames"}

CLIENT_MODULES = sorted(path.stem for path in CLIENT.glob("_*.py") if path.stem != "__init__")
FAKE_MODULES = sorted(path.stem for path in FAKE.glob("*.py"))


def imports(nodes: Iterator[ast.AST]) -> set[str]:
    """Return the full names of what import statements among these nodes import from."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def everywhere(path: Path) -> set[str]:
    return imports(ast.walk(ast.parse(path.read_text("utf-8"))))


def at_the_top(path: Path) -> set[str]:
    """Return what a module imports when it is imported itself."""
    return imports(ast.iter_child_nodes(ast.parse(path.read_text("utf-8"))))


def siblings(names: set[str], package: str) -> set[str]:
    """Return the modules of a package that are among the names of imports."""
    parts = [name.split(".") for name in names]
    return {each[1] for each in parts if each[0] == package and len(each) > 1}


def test_every_module_of_the_client_is_on_one_floor() -> None:
    assert sorted(module for floor in FLOORS for module in floor) == CLIENT_MODULES


@pytest.mark.parametrize("module", CLIENT_MODULES)
def test_client_module_imports_only_from_the_floors_below(module: str) -> None:
    level = next(level for level, floor in enumerate(FLOORS) if module in floor)
    below = {name for floor in FLOORS[:level] for name in floor}
    path = CLIENT / f"{module}.py"
    assert siblings(at_the_top(path), "arize_roles_async") <= below
    assert siblings(everywhere(path), "arize_roles_async") <= below | LAZY


@pytest.mark.parametrize("module", ["__init__", *CLIENT_MODULES])
def test_client_imports_neither_the_fake_nor_pytest(module: str) -> None:
    packages = {name.partition(".")[0] for name in everywhere(CLIENT / f"{module}.py")}
    assert not packages & {"arize_roles_fake", "pytest", "_pytest"}


def test_only_the_transport_imports_aiohttp() -> None:
    for module in {*CLIENT_MODULES, "__init__"} - {"_aiohttp"}:
        packages = {name.partition(".")[0] for name in everywhere(CLIENT / f"{module}.py")}
        assert "aiohttp" not in packages, module


def test_modules_of_the_fake_import_one_another_one_way() -> None:
    graph = {
        module: siblings(at_the_top(FAKE / f"{module}.py"), "arize_roles_fake")
        for module in FAKE_MODULES
        if module != "__init__"
    }
    assert list(TopologicalSorter(graph).static_order())


def test_only_what_is_for_tests_imports_pytest() -> None:
    importing = {
        module
        for module in FAKE_MODULES
        if "pytest" in {name.partition(".")[0] for name in everywhere(FAKE / f"{module}.py")}
    }
    assert importing == {"contract", "pytest_plugin"}


def test_nothing_imports_the_contract_suite() -> None:
    for module in FAKE_MODULES:
        assert "contract" not in siblings(everywhere(FAKE / f"{module}.py"), "arize_roles_fake")


@pytest.mark.parametrize(
    ("statement", "unneeded"),
    [
        ("import arize_roles_async", "aiohttp anyio arize_roles_fake cattrs pandas polars pytest"),
        ("import arize_roles_fake", "aiohttp cattrs pandas polars pytest"),
        (
            "from arize_roles_fake import FakeRolesClient; FakeRolesClient()",
            "aiohttp cattrs pandas polars pytest",
        ),
        (
            "from arize_roles_async import AiohttpRolesClient; AiohttpRolesClient('key')",
            "anyio arize_roles_fake attrs cattrs pandas polars pytest",
        ),
    ],
)
def test_import_brings_no_more_than_it_needs(statement: str, unneeded: str) -> None:
    code = f"{statement}\nimport sys\nprint(*(set({unneeded!r}.split()) & set(sys.modules)))"
    done = subprocess.run(  # noqa: S603 - the code is above
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
