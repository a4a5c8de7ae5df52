"""Keeping the API key out of reprs, and out of the frames of a traceback."""

import functools
from collections.abc import Callable, Iterable
from types import TracebackType
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


def linked(error: BaseException) -> Iterable[BaseException]:
    """Return an error and all that it hangs on: causes, contexts, and the members of groups."""
    found: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in found:
            found[id(link)] = link
            waiting += link.__cause__, link.__context__
            if isinstance(link, BaseExceptionGroup):
                waiting += cast("BaseExceptionGroup[BaseException]", link).exceptions
    return found.values()


def without_frames(error: _E, keep: Callable[[str], bool] = lambda _: False) -> _E:
    """Return an error after removing frames that may hold a secret from its traceback.

    Debuggers and reporters show the variables of frames. Those of all that it hangs on go, too,
    except in modules whose names `keep` takes.
    """
    for link in linked(error):
        kept: TracebackType | None = None
        frames: list[TracebackType] = []
        frame = link.__traceback__
        while frame is not None:
            frames.append(frame)
            frame = frame.tb_next
        for frame in reversed(frames):
            if keep(frame.tb_frame.f_globals.get("__name__", "")):
                kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
        link.__traceback__ = kept
    return error


def takes_secrets(function: _F) -> _F:
    """Keep the frames of a function, which hold its arguments, out of what it raises."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again below
            del args, kwargs
            raise without_frames(error)  # noqa: B904 - it is the same one

    return cast("_F", call)
