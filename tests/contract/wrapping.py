"""Clients around a client that keep the contract."""

# ruff: noqa: ANN401 - arguments are handed on as they come

import contextlib
import copy
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Self

from arize_roles_async import (
    Directory,
    ListRolesResponse,
    Project,
    ProjectPages,
    Role,
    RoleBinding,
    RoleBindingPages,
    RoleBindingsClient,
    RolePages,
    RolesClient,
    RolesError,
    Space,
    SpacePages,
    User,
    UserPages,
    ValidationError,
    Violation,
)


class Wrapper:
    """Passes on what every client has; of a copy, it wraps the copy."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def with_options(self, **options: Any) -> Self:
        other = copy.copy(self)
        other.inner = self.inner.with_options(**options)
        return other

    async def aclose(self, **options: Any) -> None:
        await self.inner.aclose(**options)

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class WrappingClient(Wrapper):
    """Passes every call on, as a client that logs or counts would."""

    inner: RolesClient

    def list(self, **arguments: Any) -> RolePages:
        return self.inner.list(**arguments)

    async def get(self, **target: Any) -> Role:
        return await self.inner.get(**target)

    async def create(self, **arguments: Any) -> Role:
        return await self.inner.create(**arguments)

    async def update(self, **arguments: Any) -> Role:
        return await self.inner.update(**arguments)

    async def delete(self, **target: Any) -> None:
        await self.inner.delete(**target)


class WrappingBindings(Wrapper):
    """The same around a client of role bindings."""

    inner: RoleBindingsClient

    def list(self, **arguments: Any) -> RoleBindingPages:
        return self.inner.list(**arguments)

    def find(self, **filters: Any) -> AsyncIterator[RoleBinding]:
        return self.inner.find(**filters)

    async def get(self, **target: Any) -> RoleBinding:
        return await self.inner.get(**target)

    async def create(self, **arguments: Any) -> RoleBinding:
        return await self.inner.create(**arguments)

    async def update(self, **arguments: Any) -> RoleBinding:
        return await self.inner.update(**arguments)

    async def delete(self, **target: Any) -> None:
        await self.inner.delete(**target)

    async def ensure(self, **arguments: Any) -> RoleBinding:
        return await self.inner.ensure(**arguments)

    async def remove(self, **target: Any) -> bool:
        return await self.inner.remove(**target)


class WrappingDirectory(Wrapper):
    """The same around a directory."""

    inner: Directory

    def users(self, **filters: Any) -> UserPages:
        return self.inner.users(**filters)

    def spaces(self, **filters: Any) -> SpacePages:
        return self.inner.spaces(**filters)

    def projects(self, **filters: Any) -> ProjectPages:
        return self.inner.projects(**filters)

    async def get_user(self, **target: Any) -> User:
        return await self.inner.get_user(**target)

    async def get_space(self, **target: Any) -> Space:
        return await self.inner.get_space(**target)

    async def get_project(self, **target: Any) -> Project:
        return await self.inner.get_project(**target)


class CacheOfSeconds(WrappingClient):
    """Remembers what it read with its key for some seconds, or until it changes something."""

    def __init__(
        self,
        inner: RolesClient,
        seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._clock = clock
        self._read: dict[object, tuple[float, Any]] = {}

    async def _once(self, key: object, read: Callable[[], Awaitable[Any]]) -> Any:
        at, answer = self._read.get(key, (-math.inf, None))
        if self._clock() - at >= self._seconds:
            at, answer = self._read[key] = self._clock(), await read()
        return answer

    def list(self, **arguments: Any) -> RolePages:
        self.inner.list(**arguments)

        async def fetch(**page: Any) -> ListRolesResponse:
            response: ListRolesResponse = await self._once(
                tuple(page.items()), lambda: self.inner.list(**page)
            )
            return response

        return RolePages.from_fetch(fetch, **arguments)

    async def get(self, **target: Any) -> Role:
        if not all(isinstance(value, str) for value in target.values()):
            return await super().get(**target)
        role: Role = await self._once(
            tuple(target.items()), lambda: super(CacheOfSeconds, self).get(**target)
        )
        return role

    async def create(self, **arguments: Any) -> Role:
        self._read.clear()
        return await super().create(**arguments)

    async def update(self, **arguments: Any) -> Role:
        self._read.clear()
        return await super().update(**arguments)

    async def delete(self, **target: Any) -> None:
        self._read.clear()
        await super().delete(**target)

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        if "api_key" in options:
            vars(other)["_read"] = {}
        return other

    async def aclose(self, **options: Any) -> None:
        await super().aclose(**options)
        self._read.clear()


@contextlib.contextmanager
def other_words() -> Generator[None]:
    try:
        yield
    except ValidationError as error:
        fields = [name for each in error.violations for name in each.field.split(", ")]
        violations = tuple(Violation(field, "not like this") for field in fields)
        raise ValidationError("Please read the manual.", violations=violations) from None
    except RolesError as error:
        twin = copy.copy(error)
        twin.args = ("No luck.",)
        raise twin from error.__cause__


def reworded(method: Any) -> Any:
    """Return a method that raises the same errors in other words."""

    async def call(self: WrappingClient, **arguments: Any) -> Any:
        with other_words():
            return await method(self, **arguments)

    return call


class OtherWordsClient(WrappingClient):
    """Raises the same errors with the same fields, in words of its own."""

    get = reworded(WrappingClient.get)
    create = reworded(WrappingClient.create)
    update = reworded(WrappingClient.update)
    delete = reworded(WrappingClient.delete)
    __aenter__ = reworded(WrappingClient.__aenter__)

    def list(self, **arguments: Any) -> RolePages:
        with other_words():
            super().list(**arguments)

        async def fetch(**arguments: Any) -> ListRolesResponse:
            with other_words():
                return await self.inner.list(**arguments)

        return RolePages.from_fetch(fetch, **arguments)

    def with_options(self, **options: Any) -> Self:
        with other_words():
            return super().with_options(**options)
