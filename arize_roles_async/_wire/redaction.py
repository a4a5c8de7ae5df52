"""Keeping the API key and passwords out of errors, log lines and tracebacks."""

import functools
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Generic, NoReturn, TypeVar, cast

from arize_roles_async._values.errors import RolesError
from arize_roles_async._values.text import MAX_MESSAGE

_E = TypeVar("_E", bound=BaseException)
_F = TypeVar("_F", bound=Callable[..., object])
_T_co = TypeVar("_T_co", covariant=True)

_API_KEY: Final = "[API key]"
_UNMISTAKABLE: Final = 8
# A pattern and not a compiled one: most programs that import this never need it.
_USERINFO: Final = r"(://[^\s/@:]*:)[^\s/@]+@"


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


def redact(text: str, *keys: Secret[str]) -> str:
    """Return a text with `[API key]` in place of each key.

    A key of 8 characters or more is redacted everywhere. A shorter one, such as `test`, may be an
    ordinary word, and is redacted only after `Bearer`.
    """
    for key in keys:
        text = _pattern(key.reveal()).sub(_API_KEY, text)
    return text


def redacted(error: BaseException, *keys: Secret[str]) -> str:
    """Return the text of an error of other code, without the keys and without passwords of URLs."""
    return _without_secrets(f"{type(error).__name__}: {error}".removesuffix(": "), *keys)


def redacted_cause(error: BaseException, *keys: Secret[str]) -> BaseException:
    """Return an error of other code for use as a cause.

    It is only the text of the error if the error or one that it hangs on shows a secret or is long,
    as aiohttp's errors quote all that came where bytes are not HTTP.
    """
    for link in _chain(error):
        # aiohttp's errors quote the request's headers in their repr, and bytes in their arguments.
        text = f"{link}{link!r}{link.args}"
        if len(str(link)) > MAX_MESSAGE or _without_secrets(text, *keys) != text:
            return RolesError(redacted(error, *keys))
    return error


def without_frames(error: _E, keep: Callable[[str], bool] = lambda _: False) -> _E:
    """Return an error after removing frames that may hold a secret from its traceback.

    Debuggers and reporters show the variables of frames. Those of its causes and contexts go, too,
    except in modules whose names `keep` takes.
    """
    for link in _chain(error):
        frames: list[TracebackType] = []
        frame = link.__traceback__
        while frame is not None:
            if keep(frame.tb_frame.f_globals.get("__name__", "")):
                frames.append(frame)
            frame = frame.tb_next
        kept: TracebackType | None = None
        for frame in reversed(frames):
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


def _without_secrets(text: str, *keys: Secret[str]) -> str:
    return re.sub(_USERINFO, r"\1[password]@", redact(text, *keys))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it hangs on."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


@functools.lru_cache(maxsize=8)
def _pattern(key: str) -> re.Pattern[str]:
    # JSON and reprs, and these within one another, put backslashes before some characters. A run
    # of them matches only as a whole, so that none of it is read a second time.
    parts = re.findall(r"(\\*)([^\\]|$)", key)
    spelled = "".join(_spelled(len(run), c) for run, c in parts)
    if key[0] in "\\\"'/":
        spelled = rf"(?<!\\){spelled}"
    return re.compile(spelled if len(key) >= _UNMISTAKABLE else rf"(?i:(?<=bearer\s)){spelled}")


def _spelled(backslashes: int, character: str) -> str:
    """Return a pattern of so many backslashes and a character, or the end, in any spelling."""
    is_escaped = backslashes or (character and character in "\"'/")
    return (rf"\\{{{backslashes},}}+" if is_escaped else "") + re.escape(character)
