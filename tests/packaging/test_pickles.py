"""Values and errors come out of a pickle as they went in, as caches and other processes need it."""

import copy
import inspect
import pickle
from enum import Enum
from typing import Any, Final

import attrs
import msgspec
import pytest

import arize_roles_async as roles
import arize_roles_fake as fake
from arize_roles_async import as_code, transport

# Nobody keeps a fault: a test holds it while it scripts an account.
KEPT: Final[dict[str, Any]] = {
    name: of
    for module in (roles, as_code, transport, fake)
    for name in module.__all__
    if inspect.isclass(of := getattr(module, name)) and name != "Fault"
    if attrs.has(of) or issubclass(of, Exception | msgspec.Struct | str)
}
ASKED: Final[dict[type, dict[str, Any]]] = {
    transport.CreateRole: {"name": "A", "permissions": (roles.Permission.ROLE_READ,)},
    transport.UpdateRole: {"description": None},
    transport.ListRoles: {"limit": 5, "cursor": "a", "is_predefined": True},
}


# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportArgumentType=false
# A class of any kind.


def make(of: Any) -> Any:  # noqa: ANN401 - any public class
    """Return a value of a class with another value in each of its fields."""
    if issubclass(of, msgspec.Struct):
        return of(**ASKED.get(of, {name: name for name in of.__struct_fields__}))
    if attrs.has(of):
        made = object.__new__(of)
        for field in attrs.fields(of):
            # What a class makes of its arguments is not asked here.
            object.__setattr__(made, field.name, f"a {field.name}")
        return made
    if issubclass(of, Enum):
        return next(iter(of))
    if issubclass(of, str | Warning):
        return of("MOON_READ")
    taken = inspect.getfullargspec(of).kwonlyargs
    given: dict[str, Any] = {name: f"a {name}" for name in taken}
    if "violations" in given:
        given["violations"] = (roles.Violation("name", "must be a string"),)
    error = of("m", **given)
    # Some fields are set later.
    vars(error).update(dict.fromkeys(inspect.get_annotations(of), "set later"))
    return error


@pytest.mark.parametrize("name", KEPT)
def test_round_trip(name: str) -> None:
    """A value is equal to its pickle and its copies; an error has the same fields."""
    value = make(KEPT[name])
    loaded = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    for other in (loaded, copy.copy(loaded)):
        assert type(other) is type(value)
        if isinstance(value, Exception):
            assert (other.args, vars(other)) == (value.args, vars(value))
        else:
            assert other == value
