"""Clients with a fault of several calls, which no line of a script says, by their names."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# A client is broken whatever its methods return.

# ruff: noqa: ANN401 - arguments and answers are of any resource

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Self

import anyio
import attrs

from arize_roles_async import (
    ClientStateError,
    ConflictError,
    ListRoleBindingsResponse,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    PaginationMetadata,
    RoleBindingResourceType,
    RolesError,
    ValidationError,
    Violation,
)
from arize_roles_fake import FakeRolesClient
from tests.contract.wrapping import Wrapper

LAST: Final = PaginationMetadata(has_more=False)


class Keeps(Wrapper):
    """Answers a method from memory, until a change gives the same value.

    Args:
        inner: The client around which it is.
        method: The method that finds something.
        given: The argument by which the client remembers it.
        changes: The methods that make it forget.
        misses: True if it remembers what is not there.
        memory_of: Returns the name of the memory for an API key.
    """

    def __init__(
        self,
        inner: Any,
        method: str,
        given: str,
        changes: str = "",
        *,
        misses: bool = False,
        memory_of: Callable[[object], object] = id,
    ) -> None:
        super().__init__(inner)
        self._method, self._given, self._changes = method, given, changes.split()
        self._misses, self._memory_of = misses, memory_of
        self._ends: dict[object, Any] = {}
        self.memory: object = None

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)
        if name == self._method:
            return functools.partial(self._find, call)
        return functools.partial(self._change, call) if name in self._changes else call

    async def _find(self, call: Any, **target: Any) -> Any:
        place = (self.memory, target.get(self._given))
        if place[1] is None:
            return await call(**target)
        if place not in self._ends:
            end: Any
            try:
                end = await call(**target)
            except NotFoundError as error:
                end = error
            if isinstance(end, Exception) is not self._misses:
                return await call(**target)
            self._ends[place] = end
        if self._misses:
            raise self._ends[place]
        return self._ends[place]

    async def _change(self, call: Any, **change: Any) -> Any:
        self._ends.pop((self.memory, change.get(self._given)), None)
        return await call(**change)

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        if "api_key" in options:
            other.memory = self._memory_of(options["api_key"])
        return other


class SkipsNoop(Wrapper):
    """Sends no update that changes nothing, as far as it has seen the role."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.seen: dict[object, Any] = {}

    async def get(self, **target: Any) -> Any:
        role = await self.inner.get(**target)
        self.seen[role.id] = role
        return role

    async def update(self, **change: Any) -> Any:
        if (seen := self.seen.get(change.get("role_id"))) and change.get("name") == seen.name:
            return seen
        role = await self.inner.update(**change)
        self.seen[role.id] = role
        return role


class Repeats(Wrapper):
    """Makes a change once more after an error of a class."""

    def __init__(self, inner: Any, error: type[RolesError]) -> None:
        super().__init__(inner)
        self._error = error

    async def delete(self, **target: Any) -> None:
        try:
            await self.inner.delete(**target)
        except self._error:
            await self.inner.delete(**target)


class LosesSlots(Wrapper):
    """Gives a slot back only to a call that was not cancelled."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.slots = [30]

    async def update(self, **change: Any) -> Any:
        assert self.slots[0] > 0, "it would wait for ever"
        self.slots[0] -= 1
        end = (await asyncio.gather(self.inner.update(**change), return_exceptions=True))[0]
        self.slots[0] += 1
        if isinstance(end, Exception):
            raise end
        return end


class OneAtATime(Wrapper):
    """Makes one update after the other."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._lock = anyio.Lock()

    async def update(self, **change: Any) -> Any:
        async with self._lock:
            return await self.inner.update(**change)


class AnswersClosed(Wrapper):
    """Answers a second time also once it is closed."""

    rounds = 20

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._seen: dict[str, Any] = {}

    async def get(self, **target: Any) -> Any:
        with contextlib.suppress(ClientStateError):
            self._seen[repr(target)] = await self.inner.get(**target)
        if repr(target) not in self._seen:
            raise ClientStateError("it is closed")
        return self._seen[repr(target)]


class LosesRequestIds(Wrapper):
    async def create(self, **role: Any) -> Any:
        try:
            return await self.inner.create(**role)
        except RolesError as error:
            error.request_id = None
            raise


class Hangs(Wrapper):
    time_limit = 0.1

    async def get(self, **_: object) -> None:
        await anyio.sleep_forever()


class SharesCalls(Wrapper):
    """Makes equal calls at the same moment once.

    Args:
        inner: The client around which it is.
        method: Their method.
        ends_with_first: True if a call ends with the first caller, and False with any other; None
            if it ends with no caller, and one that begins later shares it, too.
    """

    def __init__(self, inner: Any, method: str, *, ends_with_first: bool | None = None) -> None:
        super().__init__(inner)
        self._method, self._ends_with_first = method, ends_with_first
        self.under_way: dict[str, asyncio.Task[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)
        return functools.partial(self._share, call) if name == self._method else call

    async def _share(self, make: Any, **target: Any) -> Any:
        call = repr(target)
        is_first = call not in self.under_way
        if is_first:
            self.under_way[call] = asyncio.ensure_future(make(**target))
            if self._ends_with_first is not None:
                asyncio.get_running_loop().call_soon(self.under_way.pop, call, None)
        task = self.under_way[call]
        try:
            return await (task if is_first is self._ends_with_first else asyncio.shield(task))
        finally:
            self.under_way.pop(call, None)


class TakesNoneForUnset(Wrapper):
    """Leaves out of the options of a copy what is None."""

    def with_options(self, **options: Any) -> Self:
        given = {name: value for name, value in options.items() if value is not None}
        return super().with_options(**given)


class NotesItsKey(Wrapper):
    key: object = None

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        other.key = options.get("api_key")
        return other

    async def delete(self, **target: Any) -> None:
        try:
            await self.inner.delete(**target)
        except NotFoundError as error:
            self.tell(error)
            raise

    def tell(self, error: NotFoundError) -> None:
        error.add_note(f"deleted with {self.key}")


class KeepsItsKey(NotesItsKey):
    def tell(self, error: NotFoundError) -> None:
        vars(error)["deleted_with"] = self.key


class LeavesCopiesOpen(Wrapper):
    closed: Any = None

    def with_options(self, **options: Any) -> Self:
        other = super().with_options(**options)
        other.closed = self.inner
        other.inner = FakeRolesClient(self.inner.account).with_options(**options)
        return other

    async def aclose(self, **grace: float) -> None:
        await (self.closed or self.inner).aclose(**grace)


class ClosesOnce(Wrapper):
    is_closed = False

    async def aclose(self, **grace: float) -> None:
        if self.is_closed:
            raise ClientStateError("it is closed already")
        self.is_closed = True
        await self.inner.aclose(**grace)

    async def __aexit__(self, *_: object) -> None:
        await self.inner.aclose()


class KeepsItsGrace(ClosesOnce):
    async def aclose(self, **grace: float) -> None:
        with contextlib.suppress(ClientStateError):
            await super().aclose(**grace)


class BlamesTheName(Wrapper):
    async def create(self, **new: Any) -> Any:
        try:
            return await self.inner.create(**new)
        except ValidationError as error:
            named = (*error.violations, Violation("name", "too"))
            raise ValidationError(violations=named) from error


class LooksAtOnePage(Wrapper):
    async def get(self, **target: Any) -> Any:
        page = await self.inner.list(limit=100)
        if "role" not in target or not page.pagination.has_more:
            return await self.inner.get(**target)
        return next((role for role in page if role.name == target["role"]), None)


async def there(bindings: Any, *, user_id: str, resource_id: str, **_: object) -> Any:
    """Return a binding that is in the way."""
    return await anext(bindings.find(user_id=user_id, resource_id=resource_id))


class KeepsTheRole(Wrapper):
    async def ensure(self, **arguments: Any) -> Any:
        try:
            return await self.inner.create(**arguments)
        except ConflictError:
            return await there(self.inner, **arguments)


class BindsAgain(Wrapper):
    async def create(self, **arguments: Any) -> Any:
        try:
            return await self.inner.create(**arguments)
        except ConflictError:
            binding = await there(self.inner, **arguments)
            if binding.role_id == arguments["role_id"]:
                raise
            return await self.inner.update(binding_id=binding.id, role_id=arguments["role_id"])


class OneWalk(Wrapper):
    """A listing whose loops go on with one and the same walk, until it ends."""

    walk: AsyncIterator[Any] | None = None

    def __await__(self) -> Any:
        return self.inner.__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        self.walk = self.walk or self._each()
        return self.walk

    async def _each(self) -> AsyncIterator[Any]:
        async for each in self.inner:
            yield each
        self.walk = None


class SharesItsWalk(Wrapper):
    def list(self, **arguments: Any) -> Any:
        return OneWalk(self.inner.list(**arguments))


class Lists(Wrapper):
    """Has the pages of a method from a function, which is given the inner client's method."""

    def __init__(self, inner: Any, method: str, fetch: Callable[..., Any]) -> None:
        super().__init__(inner)
        self._method, self._fetch = method, fetch

    def __getattr__(self, name: str) -> Any:
        method = super().__getattr__(name)
        return functools.partial(self._list, method) if name == self._method else method

    def _list(self, method: Any, **arguments: Any) -> Any:
        fetch = functools.partial(self._fetch, method)
        return type(method(**arguments)).from_fetch(fetch, **arguments)


async def without_end(roles: Any, **page: Any) -> Any:
    if page["limit"] < 100 or "is_predefined" in page:  # Of one page, and not of a walk.
        return await roles(**page)
    number = int(page["cursor"] or 0) + 1
    more = PaginationMetadata(has_more=number < 2_000, next_cursor=str(number))
    return attrs.evolve(await roles(**{**page, "cursor": None}), pagination=more)


async def twice(users: Any, **page: Any) -> Any:
    found = await users(**page)
    return attrs.evolve(found, users=2 * found.users) if len(found) < 50 else found


async def by_change(roles: Any, *, limit: int, cursor: str | None, **filters: Any) -> Any:
    found = sorted(await roles(**filters).all(), key=lambda role: role.updated_at, reverse=True)
    at = int(cursor or 0)
    end = PaginationMetadata(has_more=at + limit < len(found), next_cursor=str(at + limit))
    return ListRolesResponse(roles=tuple(found[at : at + limit]), pagination=end)


async def both_types(bindings: Any, **page: Any) -> Any:
    if "user_id" in page:
        return await bindings(**page)
    found: list[Any] = []
    for each in RoleBindingResourceType:
        found += await bindings(**{**page, "resource_type": each})
    return ListRoleBindingsResponse(role_bindings=tuple(found), pagination=LAST)


async def filtered_late(users: Any, *, email: Any = "", **page: Any) -> Any:
    found = await users(**page)
    kept = tuple(each for each in found if email.lower() in str(each.email).lower())
    return attrs.evolve(found, users=kept)


async def first_alone(users: Any, **page: Any) -> Any:
    return attrs.evolve(await users(**{**page, "cursor": None}), pagination=LAST)


async def until_short(spaces: Any, **page: Any) -> Any:
    found = await spaces(**page)
    return found if len(found) == page["limit"] else attrs.evolve(found, pagination=LAST)


_CLASSES: Final = (
    "OneAtATime AnswersClosed LosesRequestIds SkipsNoop LosesSlots Hangs TakesNoneForUnset "
    "NotesItsKey KeepsItsKey ClosesOnce KeepsItsGrace LeavesCopiesOpen LooksAtOnePage KeepsTheRole "
    "BindsAgain SharesItsWalk BlamesTheName"
)

PLANTED: Final[dict[str, Callable[[Any], Wrapper]]] = {
    "KeepsNames": lambda inner: Keeps(inner, "get", "role", "update"),
    "KeepsBindings": lambda inner: Keeps(inner, "get", "binding_id", "update delete"),
    "KeepsMisses": lambda inner: Keeps(inner, "get", "role", misses=True),
    "RemembersByKind": lambda inner: Keeps(inner, "get_space", "space", memory_of=type),
    "SendsAgain": lambda inner: Repeats(inner, OutcomeUnknownError),
    "DeletesTwice": lambda inner: Repeats(inner, RolesError),
    "SharesFirstCall": lambda inner: SharesCalls(inner, "get", ends_with_first=True),
    "SharesLaterCall": lambda inner: SharesCalls(inner, "get", ends_with_first=False),
    "SharesOldCall": lambda inner: SharesCalls(inner, "get"),
    "SharesRemoves": lambda inner: SharesCalls(inner, "remove"),
    "NeverEnds": lambda inner: Lists(inner, "list", without_end),
    "ListsTwice": lambda inner: Lists(inner, "users", twice),
    "ListsByChange": lambda inner: Lists(inner, "list", by_change),
    "ListsBothTypes": lambda inner: Lists(inner, "list", both_types),
    "FiltersLate": lambda inner: Lists(inner, "users", filtered_late),
    "FirstPageOnly": lambda inner: Lists(inner, "users", first_alone),
    "EndsAtShortPage": lambda inner: Lists(inner, "spaces", until_short),
    **{name: globals()[name] for name in _CLASSES.split()},
}
"""Clients that are right at every single call, and wrong between two, or in a way of their own."""
