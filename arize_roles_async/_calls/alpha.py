"""The notice that the roles methods are ALPHA, once a process for each."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from arize_roles_async._values.errors import AlphaWarning

_P = ParamSpec("_P")
_T = TypeVar("_T")

warned: Final[set[str]] = set()
"""The methods that have warned in this process."""


def _unmarked(function: _T) -> _T:
    return function


# Marks the wrapper of an async method as async, too; Python 3.11 has no such mark.
_marked: Final[Any] = getattr(inspect, "markcoroutinefunction", _unmarked)


def alpha(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Warn once a process, at the caller's line, that a method is ALPHA."""
    name = f"roles.{method.__name__}"  # ty: ignore[missing-attribute] - it is a method

    @functools.wraps(method)
    def warn_once(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if name not in warned:
            warnings.warn(
                f"{name} is ALPHA (BETA in Arize's newest clients) and may change without notice",
                AlphaWarning,
                stacklevel=2,
            )
            # Only now: a warning that a filter turned into an error comes again.
            warned.add(name)
        return method(*args, **kwargs)

    return _marked(warn_once) if inspect.iscoroutinefunction(method) else warn_once
