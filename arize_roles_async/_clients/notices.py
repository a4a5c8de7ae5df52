"""The notice that a method is not stable yet."""

import functools
import inspect
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeVar, cast

_F = TypeVar("_F", bound=Callable[..., object])

_OWN: Final = "arize_roles_async."

warned: Final[set[str]] = set()
"""The methods, and the environment variables, that have warned in this process."""


def pre_release(resource: str, stage: str, category: type[Warning]) -> Callable[[_F], _F]:
    """Warn once a process, at the caller's line, of the stage of each decorated method."""

    def decorate(method: _F) -> _F:
        name = f"{resource}.{method.__name__}"  # ty: ignore[missing-attribute] - it is a method

        @functools.wraps(method)
        def warn_once(*args: object, **kwargs: object) -> object:
            # A method that calls others of this package has warned itself, at its caller's line.
            if name not in warned and not _is_own(inspect.currentframe()):
                message = f"{name} is {stage} and may change without notice"
                warnings.warn(message, category, stacklevel=2)
                # Only now: a warning that a filter turned into an error comes again.
                warned.add(name)
            return method(*args, **kwargs)

        # The wrapper of an async method is async, too; Python 3.11 has no mark for that.
        mark = getattr(inspect, "markcoroutinefunction", None)
        marked = mark(warn_once) if mark and inspect.iscoroutinefunction(method) else warn_once
        # The type of the method itself: with another, pyright shows no docstring of a protocol.
        return cast("_F", marked)

    return decorate


def _is_own(frame: FrameType | None) -> bool:
    """Return whether a module of this package called the function of a frame."""
    caller = frame and frame.f_back
    return caller is not None and str(caller.f_globals.get("__name__")).startswith(_OWN)
