"""Imports run one way: down the floors of the client, and from the fake to the client."""

import ast
import functools
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import arize_roles_async
import arize_roles_fake
from tests.support.processes import ran

pytestmark = pytest.mark.usefixtures("unmeasured")

CLIENT = Path(arize_roles_async.__file__).parent
FAKE = Path(arize_roles_fake.__file__).parent

# A room imports from itself and from the rooms before it.
CLIENT_ROOMS = (
    *("_version", "_values", "_wire", "_calls", "_asyncio", "_role_bindings", "_roles"),
    *("_directory", "_arize", "transport", "_aiohttp", "__init__", "as_code", "__main__"),
)
FAKE_ROOMS = (
    *("_service", "_testing", "_account", "_client", "_mock", "_server"),
    *("__init__", "pytest_plugin", "contract", "__main__"),
)
ABOVE = {"transport", "as_code", "__main__"}
"""These use the client's public names, and nothing imports them."""


def modules_of(package: Path) -> dict[str, str]:
    """Return the sources of a package's modules by their names, `__init__` among them."""
    paths = {path: path.relative_to(package).with_suffix("") for path in package.rglob("*.py")}
    return {".".join(name.parts): path.read_text("utf-8") for path, name in paths.items()}


MODULES = {package: modules_of(package) for package in (CLIENT, FAKE)}


def room(module: str) -> str:
    return module.partition(".")[0]


def run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from run(child)


@functools.cache
def imports(package: Path, module: str, *, with_types: bool = True) -> set[str]:
    """Return the full names of what a module imports, ever or at run time."""
    tree = ast.parse(MODULES[package][module])
    found: set[str] = set()
    for node in ast.walk(tree) if with_types else run(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def uses(package: Path, module: str, imported: str) -> bool:
    """Return whether a module imports something, or a part of it."""
    return any(f"{name}.".startswith(f"{imported}.") for name in imports(package, module))


@pytest.mark.parametrize(
    ("package", "rooms", "with_types"), [(CLIENT, CLIENT_ROOMS, False), (FAKE, FAKE_ROOMS, True)]
)
def test_rooms(package: Path, rooms: tuple[str, ...], *, with_types: bool) -> None:
    """Each module is in a room of the plan, and imports only from there and from those below."""
    assert {room(module) for module in MODULES[package]} == set(rooms)
    public = set(import_module(package.name).__all__)
    for module in MODULES[package]:
        allowed = set(rooms[: rooms.index(room(module)) + 1])
        if package is FAKE or room(module) in ABOVE:
            allowed |= public
        found = [name.split(".") for name in imports(package, module, with_types=with_types)]
        if module != "__init__":
            assert {each[1] for each in found if each[0] == package.name and each[1:]} <= allowed


@pytest.mark.parametrize(
    ("package", "imported", "rooms"),
    [
        *((CLIENT, imported, set[str]()) for imported in ("arize_roles_fake", "pytest", "_pytest")),
        (CLIENT, "aiohttp", {"_aiohttp"}),
        (FAKE, "pytest", {"contract", "pytest_plugin"}),
        (FAKE, "arize_roles_fake.contract", {"contract"}),
        (FAKE, "arize_roles_async.as_code", {"_server"}),  # The demo shows a plan.
        *(
            (FAKE, f"arize_roles_async.{above}", set[str]())
            for above in sorted(ABOVE - {"as_code"})
        ),
    ],
)
def test_users(package: Path, imported: str, rooms: set[str]) -> None:
    """Only the transport imports aiohttp, what is for tests pytest, and nothing the fake."""
    users = {room(module) for module in MODULES[package] if uses(package, module, imported)}
    assert users == rooms


@pytest.mark.parametrize("shared", ["_wire", "_calls"])
def test_no_resource(shared: str) -> None:
    """What every resource shares names none of them, as a path, an operation or a class."""
    for module in [each for each in MODULES[CLIENT] if room(each) == shared]:
        tree = ast.parse(MODULES[CLIENT][module])
        for node in ast.walk(tree):
            # A text that stands alone is a docstring.
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""
        code = re.sub(r"arize_roles_async|Roles\w*Error", "", ast.unparse(tree))
        assert re.findall(r"(?i)\w*(?:role|binding)\w*", code) == [], module


def test_internals() -> None:
    """One module alone reads private names of aiohttp, which it checks."""
    of_aiohttp = {
        module: source
        for package, modules in MODULES.items()
        for module, source in modules.items()
        if uses(package, module, "aiohttp")
    }
    # Other than as a text, ruff finds one.
    readers = [name for name, source in of_aiohttp.items() if re.search(r"""["']_[a-z]""", source)]
    assert readers == ["_aiohttp.internals"]


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
        ("import arize_roles_fake.pytest_plugin", "aiohttp arize_roles_async attrs msgspec"),
    ],
)
def test_import_cost(statement: str, unneeded: str) -> None:
    """An import brings no more than it needs."""
    code = f"{statement}\nimport sys\nprint(*(set({unneeded!r}.split()) & set(sys.modules)))"
    done = ran(sys.executable, "-c", code, check=True)
    assert done.stdout.split() == []
