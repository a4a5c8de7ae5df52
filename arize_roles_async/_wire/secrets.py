"""Keeping the API key out of reprs, and out of the frames of a traceback."""

import functools
import sys
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
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


def without_frames(
    error: _E, handled: BaseException | None, stays: Callable[[str], bool | None] = lambda _: None
) -> _E:
    """Return an error after removing frames that may have a secret from its traceback.

    What the caller handled before keeps its frames.

    Debuggers and reporters show the variables of frames. `stays` says of a frame's module whether
    the frame stays; None removes it with all that it called. What the error hangs on keeps frames
    only if it was raised below one that stays: others may come from a callback that writes.
    """
    outer: set[FrameType] | None = None
    for link in linked(error, handled):
        kept = list[TracebackType]()
        frame = link.__traceback__
        if outer is None or (frame and frame.tb_frame in outer):
            while frame:
                verdict = stays(frame.tb_frame.f_globals.get("__name__", ""))
                if verdict is None:
                    break
                if verdict:
                    kept.append(frame)
                frame = frame.tb_next
        outer = {each.tb_frame for each in kept} if outer is None else outer
        link.__traceback__ = None
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
