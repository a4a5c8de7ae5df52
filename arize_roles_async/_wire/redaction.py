"""Keeping the API key and passwords out of texts and errors that are shown."""

import functools
import re
from typing import Final

from arize_roles_async._values.base_errors import RolesError
from arize_roles_async._values.text import MAX_MESSAGE, text_of
from arize_roles_async._wire.secrets import Secret, linked, takes_secrets

_API_KEY: Final = "[API key]"
_UNMISTAKABLE: Final = 8
_RECOGNIZED: Final = 16
"""Characters of a key that is cut: with fewer, its beginning may stay in a text."""
_END: Final = 24
"""Characters of the end of a longer key that are recognized."""
_CUT: Final = 16 * _RECOGNIZED
"""Characters left out where a text is cut: one of a key takes 16, such as `&amp;amp;lowbar;`."""
_NAMES: Final = {"+": "plus", ".": "period", "/": "sol", "=": "equals", "_": "lowbar"}
"""The names of characters of a key in HTML."""
_NULS: Final = r"(?:\0|\\{1,3}x00){0,3}"
"""The pattern of what is before a character in UTF-16 and UTF-32, also as Python shows bytes."""
_ANY: Final = (
    rf"(?:{_NULS}(?:[\w.~+=-]|\\{{0,3}}/|(?:\\{{1,3}}u00|%(?:25){{0,2}})[0-9A-Fa-f]{{2}}"
    r"|&(?:amp;){0,2}#?\w{1,8};))"
)
"""The pattern of any character of a key, however it is written."""
_PART: Final = r"[\0\w.~+/=&;#%\\-]"
# A pattern and not a compiled one: most programs that import this never need it.
_USERINFO: Final = r"(://[^\s/@:]*:)[^\s/@]+@"


@takes_secrets
def redact(text: str, *keys: Secret[str]) -> str:
    """Return a text with `[API key]` in place of each key.

    A key of 8 characters or more is redacted everywhere, also as JSON, HTML and URLs write it. So
    is a beginning of 16 characters or more, since others cut what they quote. A shorter key, such
    as `test`, may be an ordinary word, and is redacted only after `Bearer`.
    """
    # The longest first: another key may be its beginning, and would leave its rest behind.
    for key in sorted((each.reveal() for each in keys), key=len, reverse=True):
        for pattern in _patterns(key):
            text = pattern.sub(_API_KEY, text)
    return text


def beginning(text: str, length: int, *keys: Secret[str]) -> str:
    """Return the beginning of a text, without the keys; only that much of the text is read."""
    if len(text) <= length:
        return redact(text, *keys)
    # A part of a key may be where the text is cut.
    return redact(text[: length + _CUT], *keys)[:-_CUT][:length]


def redacted(error: BaseException, *keys: Secret[str]) -> str:
    """Return the text of an error of other code, without the keys and without passwords of URLs."""
    text = f"{type(error).__name__}: {text_of(error)}".removesuffix(": ")
    return re.sub(_USERINFO, r"\1[password]@", beginning(text, 2 * MAX_MESSAGE, *keys))


def redacted_cause(error: BaseException, *keys: Secret[str]) -> BaseException:
    """Return an error of other code for use as a cause.

    It is only the text of the error if the error or one that it hangs on shows a secret or is long,
    as aiohttp's errors quote all that came where bytes are not HTTP.
    """
    for link in linked(error):
        # aiohttp's errors quote the request's headers in their repr, and bytes in their arguments.
        text = "".join(map(text_of, (link, [link], link.args, getattr(link, "__notes__", ""))))
        is_long = len(text_of(link)) > MAX_MESSAGE or len(text) > 8 * MAX_MESSAGE
        if is_long or redact(text, *keys) != text or re.search(_USERINFO, text):
            return RolesError(redacted(error, *keys))
    return error


@functools.lru_cache(maxsize=128)
def _patterns(key: str) -> list[re.Pattern[str]]:
    """Return the patterns of a key's beginning and end; a long key makes no pattern slow."""
    pattern = _NULS.join(map(_written, key[:_RECOGNIZED]))
    if len(key) < _UNMISTAKABLE:
        pattern = rf"(?i:(?<=bearer\s)|(?<=bearer%20)){pattern}"
    patterns = [f"{pattern}{_ANY}{{0,{max(0, len(key) - _RECOGNIZED)}}}+"]
    if len(key) > _END:
        patterns.append(rf"(?<!{_PART}){_PART}*{_NULS.join(map(_written, key[-_END:]))}")
    return [re.compile(each, re.ASCII) for each in patterns]


def _written(sign: str) -> str:
    """Return the pattern of a character of a key as it is, or as JSON, URLs and HTML write it."""
    number = f"{ord(sign):x}"
    name = _NAMES.get(sign, number)
    html = rf"&(?:amp;){{0,2}}(?:#0{{0,2}}{ord(sign)}|#x0{{0,2}}{number}|{name});"
    escaped = rf"%(?:25){{0,2}}{number}|\\{{1,3}}u00{number}|{html}"
    return sign if sign.isalnum() else rf"(?:\\{{0,3}}{re.escape(sign)}|(?i:{escaped}))"
