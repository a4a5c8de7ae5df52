"""The names of public classes, and old pickles of their objects."""

from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def public(package: str) -> Callable[[_T], _T]:
    """Return a decorator that names a class or function by the package that users import it from.

    Tracebacks and reprs show that name, and pickles keep it, so that the module may change. A class
    of attrs takes pickles from before it had a field, and gives the field its default.
    """

    def name(member: _T) -> _T:
        member.__module__ = package
        if "__attrs_attrs__" in vars(member):
            setattr(member, "__setstate__", _set_state)  # noqa: B010 - the type has none
        return member

    return name


def _set_state(self: Any, state: dict[str, Any]) -> None:  # noqa: ANN401 - an object of any class
    for field in self.__attrs_attrs__:
        default = field.default
        # A default that is not the same for all objects is made by a factory.
        made = default.factory() if hasattr(default, "factory") else default
        value = state.get(field.name, made)
        object.__setattr__(self, field.name, value)
