"""The notice that a method is not stable yet."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

warned: Final[set[str]] = set()
"""The methods that have warned in this process."""


def pre_release(
    resource: str, stage: str, category: type[Warning]
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Warn once a process, at the caller's line, of the stage of each decorated method."""

    def decorate(method: Callable[_P, _T]) -> Callable[_P, _T]:
        name = f"{resource}.{method.__name__}"  # ty: ignore[missing-attribute] - it is a method

        @functools.wraps(method)
        def warn_once(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            if name not in warned:
                message = f"{name} is {stage} and may change without notice"
                warnings.warn(message, category, stacklevel=2)
                # Only now: a warning that a filter turned into an error comes again.
                warned.add(name)
            return method(*args, **kwargs)

        # The wrapper of an async method is async, too; Python 3.11 has no mark for that.
        mark: Any = getattr(inspect, "markcoroutinefunction", None)
        return mark(warn_once) if mark and inspect.iscoroutinefunction(method) else warn_once

    return decorate
