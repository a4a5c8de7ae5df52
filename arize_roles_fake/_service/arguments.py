"""Arguments that may not be None."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args

_F = TypeVar("_F", bound=Callable[..., Any])


def without_none(function: _F) -> _F:
    """Return a function that raises `TypeError` for None, unless the argument's type has it."""
    parameters = inspect.signature(function).parameters.values()
    refused = {each.name for each in parameters if type(None) not in get_args(each.annotation)}
    places = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        __tracebackhide__ = True
        for name, value in (*zip(places, args, strict=False), *kwargs.items()):
            if value is None and name in refused:
                raise TypeError(f"{name} must not be None")
        return function(*args, **kwargs)

    return cast("_F", call)
