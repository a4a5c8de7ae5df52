"""Finds the examples of the README, of the guides and of every docstring."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

import arize_roles_async
import arize_roles_fake
from tests.support.modules import modules_of

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
MODULES: Final = (*modules_of(arize_roles_async), *modules_of(arize_roles_fake))


@attrs.frozen
class Docstring:
    """A docstring that has examples."""

    title: str
    examples: tuple[str, ...]
    module: ModuleType


def pages() -> dict[str, str]:
    """Return the README and the pages of both guides that have examples, each as one file."""
    paths = sorted([ROOT / "README.md", *ROOT.glob("arize_roles_*/guide/*.md")])
    files = {title: joined(title) for title in (str(path.relative_to(ROOT)) for path in paths)}
    return {title: text for title, text in files.items() if text}


def joined(title: str) -> str:
    """Return the examples of a page as one file, as a reader pastes them."""
    return "\n\n".join(examples((ROOT / title).read_text("utf-8")))


def definitions(title: str) -> dict[str, Any]:
    """Return what a page defines before the last statement, which runs it."""
    names: dict[str, Any] = {"__name__": "__example__"}
    tree = ast.parse(joined(title))
    tree.body.pop()
    exec(compile(tree, title, "exec"), names)  # noqa: S102 - our own text
    return names


def examples(text: str, language: str = "python") -> tuple[str, ...]:
    """Return the examples of a text: its fences of a language."""
    return tuple(re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text))


def docstrings() -> Iterator[Docstring]:
    """Yield every docstring that has examples."""
    for module in MODULES:
        source = inspect.getsource(module)
        if "```python" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                title = f"{module.__name__}.{getattr(node, 'name', '')}".rstrip(".")
                if found := examples(ast.get_docstring(node) or ""):
                    yield Docstring(title, found, module)
