"""Keeping the API key and passwords out of errors, log lines and tracebacks."""

import functools
import re
from typing import Final, Generic, NoReturn, TypeVar

_T = TypeVar("_T")

_API_KEY: Final = "[API key]"
_UNMISTAKABLE: Final = 8


class Secret(Generic[_T]):
    """A value that no repr shows, for variables whose values a traceback may print."""

    __slots__ = ("_value",)

    def __init__(self, value: _T) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "[secret]"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be copied or pickled")

    def reveal(self) -> _T:
        """Return the value, which belongs in no variable of a frame that may raise."""
        return self._value


def redact(text: str, key: str) -> str:
    """Return a text with `[API key]` in place of the key.

    Args:
        text: What an error or a log line is about to quote.
        key: The API key.
    """
    # A key of 8 characters or more is redacted everywhere. A shorter one, such as `test`, may be
    # an ordinary word, and is redacted only after `Bearer`.
    return _pattern(key).sub(_API_KEY, text)


@functools.lru_cache(maxsize=8)
def _pattern(key: str) -> re.Pattern[str]:
    # JSON and reprs, and these within one another, put backslashes before some characters.
    spelled = "".join(
        r"\\+" if c == "\\" else (r"\\*" if c in "\"'/" else "") + re.escape(c) for c in key
    )
    return re.compile(spelled if len(key) >= _UNMISTAKABLE else rf"(?i:(?<=bearer\s)){spelled}")
