"""Keeping the API key and passwords out of errors, log lines and tracebacks."""

import base64
import functools
import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from operator import eq
from types import TracebackType
from typing import Final, Generic, NoReturn, TypeVar, cast

from arize_roles_async._values.errors import RolesError
from arize_roles_async._values.text import MAX_MESSAGE

_E = TypeVar("_E", bound=BaseException)
_F = TypeVar("_F", bound=Callable[..., object])
_T_co = TypeVar("_T_co", covariant=True)

_API_KEY: Final = "[API key]"
_UNMISTAKABLE: Final = 8
LONGEST_REST: Final = 16
"""Characters of a key that is cut: with fewer, its beginning may stay in a text."""
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

    A key of 8 characters or more is redacted everywhere, also in base64. So is a beginning of 16
    characters or more, since others cut what they quote. A shorter key, such as `test`, may be an
    ordinary word, and is redacted only after `Bearer`.

    Texts of up to 64 Ki characters are searched for keys that are percent-encoded, or escaped as in
    JSON or HTML, too; one in which a key is found is decoded in the result.
    """
    texts = {text: None}
    for _ in range(_ENCODINGS if len(text) <= _MAX_DECODED else 0):
        texts |= {decode(each): None for each in texts for decode in _DECODERS}
    # The whole key first, so that no rest of it is left behind a beginning.
    for found, among in ((_without, texts), (_without_beginnings, reversed(texts))):
        for each in among:
            clean = each
            for key in keys:
                clean = found(clean, key.reveal())
            if clean != each:
                return redact(clean, *keys)
    return text


def redacted_values(value: object, *keys: Secret[str]) -> object:
    """Return a value that JSON described, with `[API key]` in place of each key in its texts."""
    if isinstance(value, str):
        return redact(value, *keys)
    if isinstance(value, list):
        return [redacted_values(each, *keys) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return {redact(name, *keys): redacted_values(each, *keys) for name, each in members}
    return value


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


def _from_hex(text: str) -> str:
    return re.sub(r"(?:%|\\+u00)([2-7][0-9a-fA-F])", lambda found: chr(int(found[1], 16)), text)


def _from_html(text: str) -> str:
    import html

    return html.unescape(text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


_DECODERS: Final = (_from_hex, _from_html, _unescaped)
_ENCODINGS: Final = 3
"""Encodings within one another."""
_MAX_DECODED: Final = 64 * 1024
"""Characters of a text that is decoded; a longer one would take long."""


def _without_secrets(text: str, *keys: Secret[str]) -> str:
    return re.sub(_USERINFO, r"\1[password]@", redact(text, *keys))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it hangs on."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _without(text: str, key: str) -> str:
    """Return a text without a key, and without what stands for it in base64."""
    if len(key) < _UNMISTAKABLE:
        return re.sub(rf"(?i:(?<=bearer\s)){re.escape(key)}", _API_KEY, text)
    for spelled in _spellings(key):
        text = text.replace(spelled, _API_KEY)
    return text


def _without_beginnings(text: str, key: str) -> str:
    """Return a text without the long beginnings of a key."""
    spellings = [each for each in _spellings(key) if len(each) >= LONGEST_REST]
    begins = "|".join(re.escape(each[:LONGEST_REST]) for each in spellings)
    pieces: list[str] = []
    end = 0
    for found in re.finditer(begins, text) if begins else ():
        begin = found.start()
        if begin >= end:
            pieces += text[end:begin], _API_KEY
            same = (map(eq, each, text[begin : begin + len(each)]) for each in spellings)
            end = begin + max(sum(takewhile(bool, each)) for each in same)
    return "".join(pieces) + text[end:]


@functools.lru_cache(maxsize=8)
def _spellings(key: str) -> tuple[str, ...]:
    """Return a key as it is, and in base64 behind 0, 1 and 2 bytes."""
    spelled = [key]
    for signs in (b"+/", b"-_"):
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + key.encode(), signs).decode()
            # The first and the last character depend on what is around the key, too.
            spelled.append(encoded[-(-before * 8 // 6) : (before + len(key)) * 8 // 6])
    return tuple(dict.fromkeys(spelled))
