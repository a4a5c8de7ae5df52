"""Clients around a client that keep the contract."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import copy
import functools
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self


class Wrapper:
    """Passes every call of any client on, as one that logs would; of a copy, it wraps the copy."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "inner" or name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def with_options(self, **options: Any) -> Self:
        other = copy.copy(self)
        other.inner = self.inner.with_options(**options)
        return other

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Passed:
    """A method of the inner client; only on the class does Python 3.12 find those of a protocol."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, wrapper: Any, _: type) -> Any:
        return wrapper.__getattr__(self._name)


METHODS = "aclose list get create update delete find ensure remove users spaces projects get_user "
for name in (METHODS + "get_space get_project").split():
    setattr(Wrapper, name, Passed(name))


class CacheOfSeconds(Wrapper):
    """Remembers what it read with its key for some seconds, or until it changes something."""

    def __init__(
        self, inner: Any, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._clock = clock
        self._read: dict[object, tuple[float, Any]] = {}
        self._key: object = None

    def __getattr__(self, name: str) -> Any:
        method = super().__getattr__(name)
        if name.startswith("get"):
            return functools.partial(self._once, method)
        if name in {"list", "users", "spaces", "projects"}:
            return functools.partial(self._list, method)
        if name != "find":
            self._read.clear()
        return method

    async def _once(self, read: Callable[..., Awaitable[Any]], **asked: Any) -> Any:
        if any(isinstance(value, bytes | list) for value in asked.values()):
            return await read(**asked)  # It is an error.
        key = (self._key, read.__name__, *asked.items())
        at, answer = self._read.get(key, (-math.inf, None))
        if self._clock() - at >= self._seconds:
            at, answer = self._read[key] = self._clock(), await read(**asked)
        return answer

    def _list(self, listing: Callable[..., Any], **arguments: Any) -> Any:
        fetch = functools.partial(self._once, listing)
        pages: Any = listing(**arguments)
        return pages.from_fetch(fetch, **arguments)

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        if "api_key" in options:
            other._key = options["api_key"]  # noqa: SLF001 - its own
        return other
