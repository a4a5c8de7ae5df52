"""Imports run one way: down the floors of the client, and from the fake to the client."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import arize_roles_async
import arize_roles_fake

pytestmark = pytest.mark.usefixtures("unmeasured")

CLIENT = Path(arize_roles_async.__file__).parent
FAKE = Path(arize_roles_fake.__file__).parent

# A room imports from itself and from the rooms before it.
CLIENT_ROOMS = (
    "_version",
    "_values",
    "_wire",
    "_calls",
    "_role_bindings",
    "_protocol",
    "_client",
    "_aiohttp",
    "__init__",
    "transport",
    "as_code",
    "__main__",
)
FAKE_ROOMS = (
    "_service",
    "_testing",
    "_account",
    "_client",
    "_mock",
    "_server",
    "_recording",
    "__init__",
    "pytest_plugin",
    "contract",
    "__main__",
)
ABOVE = {"transport", "as_code", "__main__"}
"""These use the client's public names, and nothing imports them."""


def modules_of(package: Path) -> list[str]:
    """Return the names of a package's modules, `__init__` among them."""
    paths = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths)


def room(module: str) -> str:
    return module.partition(".")[0]


CLIENT_MODULES = modules_of(CLIENT)
FAKE_MODULES = modules_of(FAKE)


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


@functools.cache
def parse(package: Path, module: str) -> ast.Module:
    return ast.parse(package.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))


def at_run_time(node: ast.AST, *, in_functions: bool) -> Iterator[ast.AST]:
    """Yield what is below a node, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not in_functions:
            continue
        yield child
        yield from at_run_time(child, in_functions=in_functions)


@functools.cache
def everywhere(package: Path, module: str) -> set[str]:
    """Return what a module imports, ever or for type checkers."""
    return imports(ast.walk(parse(package, module)))


def in_functions(package: Path, module: str) -> set[str]:
    """Return what a module imports at run time, now or later."""
    return imports(at_run_time(parse(package, module), in_functions=True))


def at_the_top(package: Path, module: str) -> set[str]:
    """Return what a module imports when it is imported itself."""
    return imports(at_run_time(parse(package, module), in_functions=False))


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def siblings(names: set[str], package: str) -> set[str]:
    """Return what the names of imports are called within a package."""
    parts = [name.split(".") for name in names]
    return {each[1] for each in parts if each[0] == package and len(each) > 1}


def deep_siblings(names: set[str], package: str, modules: list[str]) -> set[str]:
    """Return the modules of a package that the names of imports lead to."""
    inner = {name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}.")}
    return {
        module for module in modules if any(f"{name}.".startswith(f"{module}.") for name in inner)
    }


@pytest.mark.parametrize(
    ("modules", "rooms"), [(CLIENT_MODULES, CLIENT_ROOMS), (FAKE_MODULES, FAKE_ROOMS)]
)
def test_plan(modules: list[str], rooms: tuple[str, ...]) -> None:
    """Every module is in a room of the plan, and every room is there."""
    assert {room(module) for module in modules} == set(rooms)


@pytest.mark.parametrize("module", CLIENT_MODULES)
def test_client_rooms(module: str) -> None:
    """A module of the client imports only from its own room and those below."""
    below = set(CLIENT_ROOMS[: CLIENT_ROOMS.index(room(module)) + 1])
    if room(module) in ABOVE:
        below |= set(arize_roles_async.__all__)
    if module != "__init__":
        assert siblings(in_functions(CLIENT, module), "arize_roles_async") <= below


@pytest.mark.parametrize("module", FAKE_MODULES)
def test_fake_rooms(module: str) -> None:
    """A module of the fake imports only from its own room and those below."""
    below = set(FAKE_ROOMS[: FAKE_ROOMS.index(room(module)) + 1]) | set(arize_roles_fake.__all__)
    if module != "__init__":
        assert siblings(at_the_top(FAKE, module), "arize_roles_fake") <= below


@pytest.mark.parametrize(("package", "modules"), [(CLIENT, CLIENT_MODULES), (FAKE, FAKE_MODULES)])
def test_one_way(package: Path, modules: list[str]) -> None:
    """The modules of a package import one another one way."""
    graph = {
        module: deep_siblings(at_the_top(package, module), package.name, modules) - {module}
        for module in modules
        if module != "__init__"
    }
    assert list(TopologicalSorter(graph).static_order())


def test_above() -> None:
    """Nothing imports what is above the client."""
    below = [module for module in CLIENT_MODULES if room(module) not in ABOVE]
    for package, names in ((CLIENT, below), (FAKE, FAKE_MODULES)):
        for module in names:
            assert not siblings(everywhere(package, module), "arize_roles_async") & ABOVE, module


@pytest.mark.parametrize("module", CLIENT_MODULES)
def test_client_alone(module: str) -> None:
    """The client imports neither the fake nor pytest."""
    imported = packages(everywhere(CLIENT, module))
    assert not imported & {"arize_roles_fake", "pytest", "_pytest"}


def test_aiohttp() -> None:
    """Only the transport imports aiohttp."""
    importing = {name for name in CLIENT_MODULES if "aiohttp" in packages(everywhere(CLIENT, name))}
    assert {room(module) for module in importing} == {"_aiohttp"}


def test_pytest_users() -> None:
    """Only what is for tests imports pytest."""
    importing = {name for name in FAKE_MODULES if "pytest" in packages(everywhere(FAKE, name))}
    assert {room(module) for module in importing} == {"contract", "pytest_plugin"}


def test_contract() -> None:
    """Nothing imports the contract suite."""
    for module in FAKE_MODULES:
        if room(module) == "contract":
            continue
        assert "contract" not in siblings(everywhere(FAKE, module), "arize_roles_fake")


@pytest.mark.parametrize(
    ("statement", "unneeded"),
    [
        ("import arize_roles_async", "aiohttp anyio arize_roles_fake cattrs pandas polars pytest"),
        ("import arize_roles_fake", "aiohttp cattrs pandas polars pytest"),
        (
            "from arize_roles_fake import FakeRolesClient; FakeRolesClient()",
            "aiohttp asyncio cattrs pandas polars pytest",
        ),
        (
            "from arize_roles_async import AiohttpRolesClient; AiohttpRolesClient('key')",
            "anyio arize_roles_fake attrs cattrs pandas polars pydantic pytest",
        ),
    ],
)
def test_import_cost(statement: str, unneeded: str) -> None:
    """An import brings no more than it needs."""
    code = f"{statement}\nimport sys\nprint(*(set({unneeded!r}.split()) & set(sys.modules)))"
    done = subprocess.run(  # noqa: S603 - the code is above
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
