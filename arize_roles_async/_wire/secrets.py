"""Keeping the API key out of reprs, and out of the frames of a traceback."""

import functools
import sys
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Generic, NoReturn, TypeVar, cast

_E = TypeVar("_E", bound=BaseException)
_F = TypeVar("_F", bound=Callable[..., object])
_T_co = TypeVar("_T_co", covariant=True)
_Stays = Callable[[FrameType], bool | None]


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


def without_frames(error: _E, handled: BaseException | None, stays: _Stays = lambda _: None) -> _E:
    """Return an error after removing frames that may have a secret from its traceback.

    Debuggers and reporters show the variables of frames. `stays` says whether a frame stays; None
    removes it with all that it called. What the error hangs on keeps frames only if it was raised
    below one that stays: others may come from a callback that writes. What the caller handled
    before keeps its own.
    """
    outer: set[FrameType] | None = None
    for link in linked(error, handled):
        frame, link.__traceback__ = link.__traceback__, None
        if outer is not None and not (frame and frame.tb_frame in outer):
            continue
        kept = list[TracebackType]()
        while frame and (verdict := stays(frame.tb_frame)) is not None:
            if verdict:
                kept.append(frame)
            frame = frame.tb_next
        outer = outer or {each.tb_frame for each in kept}
        for each in reversed(kept):
            link.__traceback__ = TracebackType(
                link.__traceback__, each.tb_frame, each.tb_lasti, each.tb_lineno
            )
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
