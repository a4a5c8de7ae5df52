"""Classes of values: their arguments are given by name, and their fields are frozen."""

import inspect
from types import ModuleType

import attrs
import msgspec
import pytest

import arize_roles_async
import arize_roles_fake
from tests.support.modules import modules_of

# Those of a few fields.
BY_POSITION = {
    *("AskKey", "CallFilter", "File", "FileViolation", "Grants", "Key", "Mark", "Retry"),
    *("Snapshot", "Verify", "Violation", "_Set", "_Versioned"),
}
# These count, or note a use.
CHANGING = {"CallState", "Fault", "_Set"}


def values(package: ModuleType) -> list[type]:
    """Return the classes of a package that attrs or msgspec made."""
    found = [
        member
        for module in modules_of(package)
        for member in vars(module).values()
        if isinstance(member, type)
        and member.__module__.startswith(package.__name__)
        and (attrs.has(member) or issubclass(member, msgspec.Struct))
    ]
    return list(dict.fromkeys(found))


VALUES = [*values(arize_roles_async), *values(arize_roles_fake)]


@pytest.mark.parametrize("of", VALUES, ids=lambda of: of.__name__)
def test_by_name(of: type) -> None:
    """Its fields are given by name."""
    kinds = {parameter.kind for parameter in inspect.signature(of).parameters.values()}
    by_position = of.__name__ in BY_POSITION
    assert kinds == {
        inspect.Parameter.POSITIONAL_OR_KEYWORD if by_position else inspect.Parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("of", VALUES, ids=lambda of: of.__name__)
def test_frozen(of: type) -> None:
    """No field can be set, but for what counts."""
    if issubclass(of, msgspec.Struct) and not attrs.has(of):
        is_frozen = of.__struct_config__.frozen
    else:
        is_frozen = of.__setattr__ is not object.__setattr__
    assert is_frozen is (of.__name__ not in CHANGING)


def test_found() -> None:
    """Classes of both packages are found."""
    assert {each.__name__ for each in VALUES} >= {"Role", "Request", "Assumptions", "RoleData"}
