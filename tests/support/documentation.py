"""Finds the examples of the README and of every docstring, and runs them as they stand."""

import ast
import functools
import inspect
import re
from collections.abc import Coroutine, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

import arize_roles_async
import arize_roles_fake
from tests.support.modules import modules_of

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
MODULES: Final = (
    *modules_of(arize_roles_async),
    import_module("arize_roles_async.__main__"),
    *modules_of(arize_roles_fake),
    import_module("arize_roles_fake.__main__"),
)

_FENCED: Final = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@attrs.frozen
class Page:
    """A text with examples, which share their names as they would in one session."""

    title: str
    examples: tuple[str, ...]
    names: Mapping[str, object] = attrs.field(factory=dict[str, object], repr=False)


def pages() -> Iterator[Page]:
    """Yield the README, the pages of both guides, and every docstring that has examples."""
    yield Page("README.md", examples(README))
    for package in (arize_roles_async, arize_roles_fake):
        for path in sorted(Path(str(package.__file__)).parent.glob("guide/*.md")):
            yield Page(f"{package.__name__}/guide/{path.name}", examples(path.read_text("utf-8")))
    for module in MODULES:
        for title, text in _docstrings(module):
            if found := examples(text):
                yield Page(title, found, vars(module))


def examples(text: str) -> tuple[str, ...]:
    """Return the examples of a text: its fences of Python."""
    return tuple(_FENCED.findall(text))


@functools.cache
def _docstrings(module: ModuleType) -> tuple[tuple[str, str], ...]:
    return tuple(_each_docstring(module))


def _each_docstring(module: ModuleType) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Module():
                title = module.__name__
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                title = f"{module.__name__}.{node.name}"
            case _:
                continue
        if text := ast.get_docstring(node):
            yield title, text


def run(example: str, names: dict[str, Any], title: str) -> Coroutine[Any, Any, object] | None:
    """Run an example; one that awaits is returned as what is left to await."""
    code = compile(example, title, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result: Coroutine[Any, Any, object] | None = eval(code, names)  # noqa: S307 - our own text
    return result
