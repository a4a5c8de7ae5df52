"""Classes with slots."""

from types import ModuleType

import pytest

import arize_roles_async
import arize_roles_fake
from tests.support.modules import modules_of


def slotted(package: ModuleType) -> list[type]:
    """Return the classes of a package that name slots."""
    classes = [
        member
        for module in modules_of(package)
        for member in vars(module).values()
        if isinstance(member, type) and member.__module__.startswith(package.__name__)
    ]
    return [each for each in dict.fromkeys(classes) if vars(each).get("__slots__")]


@pytest.mark.parametrize(
    "of", [*slotted(arize_roles_async), *slotted(arize_roles_fake)], ids=lambda of: of.__name__
)
def test_no_dict(of: type) -> None:
    """A class with slots has no dict, so that no slot is missing and each object is small."""
    assert of.__dictoffset__ == 0


def test_found() -> None:
    """Classes of both packages are found."""
    assert {each.__name__ for each in slotted(arize_roles_async)} >= {"Role", "Secret"}
    assert {each.__name__ for each in slotted(arize_roles_fake)} >= {"Snapshot"}
