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
    {"_error_details", "_gateway_page", "_json", "_secrets", "_text", "_version"},
    {"_display", "_errors"},
    {"_alpha", "_permissions"},
    {"_convert", "_fields", "_frames"},
    {"_models", "_options", "_requests"},
    {"_wire"},
    {"_call", "_pace"},
    {"_deadlines", "_transport", "_turnstile"},
    {"_paging"},
    {"_lookup"},
    {"_protocol"},
    {"_client"},
    {"_config"},
    {"_aiohttp"},
)
# Above the package: they use its public names, and nothing of it imports them.
ABOVE = ({"as_code"}, {"__main__"})


def modules(package: Path) -> list[str]:
    """Return the names of a package's modules, `__init__` among them."""
    paths = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths)


CLIENT_MODULES = modules(CLIENT)
FAKE_MODULES = modules(FAKE)
PLACED = [module for module in CLIENT_MODULES if module != "__init__"]


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


def test_floors() -> None:
    """Every module of the client is on one floor."""
    assert sorted(module for floor in (*FLOORS, *ABOVE) for module in floor) == PLACED


@pytest.mark.parametrize("module", PLACED)
def test_floors_below(module: str) -> None:
    """A module of the client imports only from the floors below."""
    floors = (*FLOORS, *ABOVE)
    level = next(level for level, floor in enumerate(floors) if module in floor)
    below = {name for floor in floors[:level] for name in floor}
    if level >= len(FLOORS):
        below |= set(arize_roles_async.__all__)
    assert siblings(in_functions(CLIENT, module), "arize_roles_async") <= below


def test_above() -> None:
    """Nothing imports what is above the client."""
    above = {name for floor in ABOVE for name in floor}
    below = set(CLIENT_MODULES) - above
    for package, names in ((CLIENT, below), (FAKE, set(FAKE_MODULES))):
        for module in names:
            assert not siblings(everywhere(package, module), "arize_roles_async") & above, module


@pytest.mark.parametrize("module", CLIENT_MODULES)
def test_client_alone(module: str) -> None:
    """The client imports neither the fake nor pytest."""
    imported = packages(everywhere(CLIENT, module))
    assert not imported & {"arize_roles_fake", "pytest", "_pytest"}


def test_aiohttp() -> None:
    """Only the transport imports aiohttp."""
    importing = {name for name in CLIENT_MODULES if "aiohttp" in packages(everywhere(CLIENT, name))}
    assert importing == {"_aiohttp"}


def test_fake_one_way() -> None:
    """The modules of the fake import one another one way."""
    graph = {
        module: siblings(at_the_top(FAKE, module), "arize_roles_fake")
        for module in FAKE_MODULES
        if module != "__init__"
    }
    assert list(TopologicalSorter(graph).static_order())


def test_pytest_users() -> None:
    """Only what is for tests imports pytest."""
    importing = {
        module for module in FAKE_MODULES if "pytest" in packages(everywhere(FAKE, module))
    }
    assert importing == {"contract", "pytest_plugin"}


def test_contract() -> None:
    """Nothing imports the contract suite."""
    for module in FAKE_MODULES:
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
            "anyio arize_roles_fake attrs cattrs pandas polars pytest",
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
