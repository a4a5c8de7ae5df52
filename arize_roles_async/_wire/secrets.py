"""Keeping the API key out of reprs, and out of the frames of a traceback."""

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Generic, NoReturn, TypeVar, cast

_E = TypeVar("_E", bound=BaseException)
_F = TypeVar("_F", bound=Callable[..., object])
_T_co = TypeVar("_T_co", covariant=True)


class Secret(Generic[_T_co]):
    """A value that no repr shows, for variables whose values a traceback may print."""

    __slots__ = ("_value",)

    def __init__(self, value: _T_co) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "[secret]"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be copied or pickled")

    def reveal(self) -> _T_co:
        """Return the value; keep it out of the variables of frames that may raise."""
        return self._value


def linked(error: BaseException, handled: BaseException | None = None) -> Iterable[BaseException]:
    """Return an error and all that it hangs on: causes, contexts, and the members of groups.

    Without what the caller handles, which is the context of all that is raised meanwhile.
    """
    found: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and link is not handled and id(link) not in found:
            found[id(link)] = link
            waiting += link.__cause__, link.__context__
            if isinstance(link, BaseExceptionGroup):
                waiting += cast("BaseExceptionGroup[BaseException]", link).exceptions
    return found.values()


def without_frames(error: _E, handled: BaseException | None) -> _E:
    """Return an error after removing its frames and those of what it hangs on.

    Debuggers and reporters show the variables of frames, of which one may be a secret. What the
    caller handled keeps its frames.
    """
    for link in linked(error, handled):
        link.__traceback__ = None
    return error


def takes_secrets(function: _F) -> _F:
    """Keep the frames of a function, which have its arguments, out of what it raises."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again below
            del args, kwargs
            raise without_frames(error, handled)  # noqa: B904 - it is the same one

    return cast("_F", call)
