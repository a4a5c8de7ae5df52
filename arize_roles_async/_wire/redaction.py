"""Keeping the API key and passwords out of errors, log lines and tracebacks."""

import functools
import re
from collections.abc import Iterable
from typing import Final, Generic, NoReturn, TypeVar

from arize_roles_async._values.errors import RolesError

_T_co = TypeVar("_T_co", covariant=True)

_API_KEY: Final = "[API key]"
_UNMISTAKABLE: Final = 8


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


def redacted_cause(error: BaseException, keys: Iterable[Secret[str]]) -> BaseException:
    """Return an error for use as a cause; only its text if its chain shows one of the keys."""
    link: BaseException | None = error
    while link is not None:
        text = f"{link}{link!r}"
        if redact(text, *keys) != text:
            return RolesError(redact(f"{type(error).__name__}: {error}", *keys))
        link = link.__cause__ or link.__context__
    return error


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
