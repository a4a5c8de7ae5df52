"""The source of the API key of a call."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast

from arize_roles_async._values.errors import ConfigurationError
from arize_roles_async._wire.redaction import redacted_cause
from arize_roles_async._wire.secrets import Secret

ApiKey: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""An API key, or a function, synchronous or asynchronous, that returns one."""

_MAX_KEY: Final = 4_096
_FLAWS: Final = {
    r"\s": "white space",
    r"[\0-\x1f\x7f]": "a control character",
    r"[^\0-\x7f]": "a character that is not ASCII",
    "['\"]": "a quotation mark",
    "[^A-Za-z0-9._~+/=-]": "another sign",
    "": "= elsewhere",
}
"""What is wrong with a key in which a pattern is found, the first of them."""


class KeySource:
    """A fixed key, or a function that returns the key of each call."""

    def __init__(self, api_key: ApiKey) -> None:
        self._source = Secret(api_key)
        self.fixed: tuple[Secret[str], ...] = ()
        """The key that a call begins with, if it is fixed; else empty."""
        if not callable(api_key):
            rule = "api_key must be a string or a function that returns one"
            self.fixed = (_checked(self._source, rule),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeySource) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> object:
        """Return the key, or the identity of the function, which may have any hash or none."""
        if self.fixed:
            return self.fixed[0].reveal()
        function = self._source.reveal()
        if inspect.ismethod(function):
            return id(function.__self__), id(function.__func__)
        return id(function)

    async def ask(self, *earlier: Secret[str]) -> Secret[str]:
        """Return the key to send now; an error shows none of the earlier keys of the call.

        Raises:
            ConfigurationError: The function raised, or did not return a key.
        """
        if self.fixed:
            return self.fixed[0]
        function = cast("Callable[[], object]", self._source.reveal())
        try:
            answer = Secret(function())
            if inspect.isawaitable(answer.reveal()):
                answer = Secret(await cast("Awaitable[object]", answer.reveal()))
        except BaseException as error:
            if not (isinstance(error, Exception) or _is_cancelled_alone(error)):
                raise
            what, cause = type(error).__name__, redacted_cause(error, *earlier)
        else:
            return _checked(answer, "the function given as api_key must return a string")
        # Raised outside the handler, so that it carries no exception but its cause.
        raise ConfigurationError(f"the function given as api_key raised {what}") from cause


def api_key_flaw(key: Secret[str]) -> str | None:
    """Return what is wrong with a key as a bearer token (RFC 6750), or None."""
    value = cast("object", key.reveal())
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if len(value) > _MAX_KEY:
        return f"must have at most {_MAX_KEY} characters"
    if re.fullmatch("[A-Za-z0-9._~+/-]+=*", value):
        return None
    if not value:
        return "must not be empty"
    flaw = next(flaw for pattern, flaw in _FLAWS.items() if re.search(pattern, value))
    return f"must have only letters, digits and - . _ ~ + /, and = at its end; it has {flaw}"


def _is_cancelled_alone(error: BaseException) -> bool:
    """Return whether only the function was cancelled, and not the task that called it."""
    # Imported here, since trio does without it.
    import asyncio

    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


def _checked(key: Secret[object], rule: str) -> Secret[str]:
    """Return a key that can be a bearer token, or raise an error that does not show it."""
    if not isinstance(key.reveal(), str):
        raise ConfigurationError(f"{rule}, not {type(key.reveal()).__name__}")
    text = cast("Secret[str]", key)
    if (flaw := api_key_flaw(text)) is not None:
        raise ConfigurationError(f"the API key {flaw}")
    return text
