"""The modules of a package, in all of its rooms."""

from importlib import import_module
from pathlib import Path
from types import ModuleType


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Import and return the modules of a package."""
    top = Path(str(package.__file__)).parent
    paths = sorted(path.relative_to(top.parent).with_suffix("") for path in top.rglob("*.py"))
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [import_module(name) for name in names]
