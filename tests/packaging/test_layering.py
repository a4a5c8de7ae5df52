"""What modules name and imports cost; `lint-imports` holds their order, by pyproject.toml."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, ran

pytestmark = pytest.mark.usefixtures("unmeasured")

CLIENT = ROOT / "arize_roles_async"
SHARED = [each for room in ("_wire", "_calls", "_clients") for each in CLIENT.glob(f"{room}/*.py")]


@pytest.mark.parametrize("module", SHARED, ids=[module.stem for module in SHARED])
def test_no_resource(module: Path) -> None:
    """What every resource shares names none of them, as a path, an operation or a class."""
    tree = ast.parse(module.read_text("utf-8"))
    for node in ast.walk(tree):
        # A text that stands alone is a docstring.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    code = re.sub(r"arize_roles_async|Roles\w*Error", "", ast.unparse(tree))
    assert re.findall(r"(?i)\w*(?:role|binding)\w*", code) == []


def test_internals() -> None:
    """One module alone reads private names of aiohttp, which it checks."""
    sources = {path: path.read_text("utf-8") for path in ROOT.glob("arize_roles_*/**/*.py")}
    of_aiohttp = [
        path for path, text in sources.items() if re.search(r"(from|import) aiohttp", text)
    ]
    # Other than as a text, ruff finds one.
    readers = [path for path in of_aiohttp if re.search(r"""["']_[a-z]""", sources[path])]
    assert readers == [CLIENT / "_aiohttp" / "internals.py"]


UNNEEDED = {
    "import arize_roles_async": "aiohttp anyio arize_roles_fake cattrs pandas polars pytest",
    "import arize_roles_fake": "aiohttp cattrs pandas polars pytest",
    "import arize_roles_fake as f; f.FakeRolesClient()": (
        "aiohttp asyncio cattrs pandas polars pytest"
    ),
    "import arize_roles_async as a; a.AiohttpRolesClient('key')": (
        "anyio arize_roles_fake attrs cattrs pandas polars pydantic pytest"
    ),
    "import arize_roles_fake.pytest_plugin": "aiohttp arize_roles_async attrs msgspec",
}


@pytest.mark.parametrize("statement", UNNEEDED)
def test_import_cost(statement: str) -> None:
    """An import brings no more than it needs."""
    done = ran(sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)", check=True)
    assert {*UNNEEDED[statement].split()} & {*done.stdout.split()} == set()
