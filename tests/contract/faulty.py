"""Clients with one fault: they ask or answer otherwise than they should.

A fault is a line of text. With `get 2: another description`, the second `get` of a test answers
with another description, with `get role='A': another description` each `get` with this argument,
and with `every call: another description` each call. In arguments `…` stands for what differs from
run to run. `opposite; ` before a fault says that the service is the opposite of what is assumed, as
the suite knows.

A line may also name a client of `PLANTED`, which has a fault of several calls.

`data/contract.toml` lists faults that each rule has to see, so that nobody weakens a rule unseen.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# A client is broken whatever its methods return.

# ruff: noqa: ANN401 - arguments and answers are of any resource

import collections
import contextlib
import copy
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from inspect import iscoroutinefunction
from types import SimpleNamespace
from typing import Any, Final, Self, cast

import anyio
import attrs

from arize_roles_async import RolesError
from arize_roles_async._clients.paging import Pages
from arize_roles_fake import Assumptions
from arize_roles_fake.contract import (
    DirectoryContract,
    OnFakeAccount,
    RoleBindingsContract,
    RolesContract,
)
from tests.contract.planted import PLANTED
from tests.contract.suites import FakeBindingsSuite, FakeDirectorySuite, FakeSuite
from tests.contract.wrapping import Wrapper

Ways = Iterator[tuple[str, Any]]
"""The ways in which a value can differ, each with such a value."""

CHOICES: Final[dict[str, tuple[Any, ...]]] = dict(Assumptions.choices())
SERVICES: Final = {
    "": Assumptions(),
    "opposite": Assumptions(**{name: values[-1] for name, values in CHOICES.items()}),
    "second": Assumptions(**{name: values[1] for name, values in CHOICES.items()}),
}
"""What the service is, and what the suite assumes, by the word in front of a fault."""

NO_FAULT: Final = "call 0: as it is"
EVERY: Final = "every call"
NOT_MADE: Final = "not made"
BEFORE: Final = "the answer before"
FIRST: Final = "the first answer"
REFUSED: Final = "an error"
SWALLOWED: Final = "swallows its cancellation"


class RefusedError(RolesError):
    """What a client raises that refuses a call without a reason."""


class Script:
    """The calls of one test, and the fault in some of them.

    Attributes:
        calls: The names of the calls so far, by their numbers and by their arguments.
    """

    def __init__(self, fault: str = "") -> None:
        self._name, _, self._way = fault.rpartition(": ")
        self._is_numbered = re.fullmatch(r"[\w.]+ \d+", self._name) is not None
        self._numbers = collections.Counter[str]()
        self._answers: dict[str, list[Any]] = {}
        self.calls: list[str] = []

    async def run(
        self, method: str, call: Callable[..., Any], /, *given: Any, **arguments: Any
    ) -> Any:
        """Make a call, with the fault if it has one."""
        is_faulty, asked = self._begin(method, given, arguments)
        if is_faulty and self._way == NOT_MADE:
            return None
        end: Any
        try:
            end = await call(**asked)
        except anyio.get_cancelled_exc_class():
            if is_faulty and self._way == SWALLOWED:
                return None
            raise
        except Exception as error:  # noqa: BLE001 - it is raised again
            end = error
        return self._end(method, end, is_faulty=is_faulty)

    def run_now(
        self, method: str, call: Callable[..., Any], /, *given: Any, **arguments: Any
    ) -> Any:
        """Make a call that is not asynchronous, with the fault if it has one."""
        is_faulty, asked = self._begin(method, given, arguments)
        end: Any
        try:
            end = call(**asked)
        except Exception as error:  # noqa: BLE001 - it is raised again
            end = error
        ended = self._end(method, end, is_faulty=is_faulty)
        return Nothing() if ended is None else ended

    def _begin(
        self, method: str, given: tuple[Any, ...], arguments: dict[str, Any]
    ) -> tuple[bool, dict[str, Any]]:
        self._numbers[method] += 1
        names = [f"{method} {self._numbers[method]}"]
        if not self._is_numbered:
            texts = [f"{name}={shown(value)}" for name, value in arguments.items()]
            names.append(f"{method} {', '.join([*map(shown, given), *texts])}")
        self.calls += names
        if self._name not in names:
            return False, arguments
        return True, dict(asking(arguments)).get(self._way, arguments)

    def _end(self, method: str, end: Any, *, is_faulty: bool) -> Any:
        before = self._answers.setdefault(method, [])
        if is_faulty:
            ways = dict(ending(end))
            if before:
                ways |= {BEFORE: before[-1], FIRST: before[0]}
            end = ways.get(self._way, end)
        elif self._name == EVERY:
            end = everywhere(end, self._way)
        if isinstance(end, Exception):
            raise end
        before.append(end)
        return end


class Nothing:
    """What a listing is that should have been refused."""

    def __await__(self) -> Iterator[None]:
        return iter(())

    async def __aiter__(self) -> AsyncIterator[None]:
        return
        yield


def shown(value: Any) -> str:
    """Return a value as text, with `…` for an ID, a key and what makes a name unique."""
    # A cursor may begin with a character of base64 that is no letter.
    text = re.sub(r"(?<!\w)[A-Za-z0-9+/]{14,}={0,2}(?!\w)", _unless_made_up, ascii(value))
    text = re.sub(r"\b[0-9a-f]{10,16}\b| at 0x\w+", "…", text)
    text = re.sub(r"(\w)\1{9,}", lambda found: f"{found[1]}*{len(found[0])}", text)
    return text.replace(": ", ":").replace("; ", ";")


def _unless_made_up(found: re.Match[str]) -> str:
    return found[0] if found[0].rstrip("=").endswith("Om5vbmU") or "pub25l" in found[0] else "…"


def asking(arguments: Mapping[str, Any]) -> Ways:
    """Yield the ways in which a call can ask for something else."""
    for name, value in arguments.items():
        yield f"asks without {name}", {each: arguments[each] for each in arguments if each != name}
        # An option that is a record would refuse what it cannot hold.
        for way, other in () if attrs.has(type(value)) else others(value):
            yield f"asks with {way} {name}", {**arguments, name: other}


def ending(end: Any) -> Ways:
    """Yield the ways in which a call can end otherwise."""
    if not isinstance(end, Exception):
        yield from others(end)
        yield REFUSED, RefusedError()
        return
    yield "no error", None
    for name, value in {**vars(end), "status": getattr(end, "status", None)}.items():
        for way, other in others(value):
            changed = copy.copy(end)
            vars(changed)[name] = other
            yield f"{way} {name}", changed
    reworded = copy.copy(end)
    reworded.args = ("No luck.",)
    yield "in other words", reworded
    forgetful: Any = type("Forgetful", (type(end),), {"__reduce__": lambda _: (type(end), ())})
    for way, other_type in (("as its base class", type(end).__base__), ("forgetful", forgetful)):
        changed = cast("Any", copy.copy(end))  # Without its cause.
        with contextlib.suppress(TypeError):  # Not every class has the same layout.
            changed.__class__ = other_type
        yield way, changed


def others(value: Any) -> Ways:
    """Yield the ways in which a value can differ, each with such a value."""
    if attrs.has(type(value)):
        yield from _others_of_record(value)
    elif isinstance(value, list | tuple):
        yield from _others_of_list(tuple(value))
    elif isinstance(value, Wrapper):
        public = {name for name in dir(value) if not name.startswith("_")} - {"aclose"}
        methods = [name for name in public if hasattr(value, name)]
        yield "lookalike", SimpleNamespace(**{name: getattr(value, name) for name in methods})
    else:
        yield from _others_of_one(value)


def everywhere(end: Any, way: str) -> Any:
    """Return what a call ends with, with a way of being wrong also in each item of a page."""
    if (ways := dict(ending(end))) and way in ways:
        return ways[way]
    if not attrs.has(type(end)):
        return end
    lists = {name: value for name in _names(end) if isinstance(value := getattr(end, name), tuple)}
    return attrs.evolve(
        end,
        **{
            name: tuple(dict(others(item)).get(way, item) for item in items)
            for name, items in lists.items()
        },
    )


def _names(record: Any) -> list[str]:
    return [field.name for field in attrs.fields(type(record))]


def _others_of_one(value: Any) -> Ways:
    match value:
        case bool():
            yield "the opposite", not value
        case None:
            yield "some", "something"
        case Enum():
            yield "plain", str(value)
        case str():
            yield "another", f"{value}x"
            yield "empty", ""
            yield "no", None
        case int() | float():
            yield "another", value + 1
            yield "no", None
        case datetime():
            yield "later", value + timedelta(hours=1)
            yield "earlier", value - timedelta(hours=1)
        case _ if callable(value) and not iscoroutinefunction(value):
            yield "remembered", functools.cache(value)
        case _:
            pass


def _others_of_record(value: Any) -> Ways:
    for name in _names(value):
        for way, other in others(getattr(value, name)):
            yield f"{way} {name}", attrs.evolve(value, **{name: other})
    yield "no", None
    yield "lookalike", SimpleNamespace(**{name: getattr(value, name) for name in _names(value)})


def _others_of_list(values: tuple[Any, ...]) -> Ways:
    yield "no", None
    yield "longer", (*values, *values[:1])
    if values:
        yield "shorter", values[:-1]
        yield "begun late", values[1:]
        yield from ((f"{way} first of", (other, *values[1:])) for way, other in others(values[0]))


class Faulty(Wrapper):
    """A client with the fault of a script; `of` adds the methods of its protocol."""

    def __init__(self, inner: Any, script: Script, prefix: str = "") -> None:
        super().__init__(inner)
        self._script = script
        self._prefix = prefix

    @classmethod
    def of(cls, methods: str, listings: str) -> type[Self]:
        """Return a class with these methods."""
        members: dict[str, Any] = {
            **{name: functools.partialmethod(cls._run, name) for name in methods.split()},
            **{name: functools.partialmethod(cls._list, name) for name in listings.split()},
        }
        return cast("type[Self]", type(cls.__name__, (cls,), members))

    async def _run(self, method: str, /, *args: Any, **arguments: Any) -> Any:
        call = functools.partial(getattr(self.inner, method), *args)
        return await self._script.run(f"{self._prefix}{method}", call, *args, **arguments)

    def _list(self, method: str, /, *args: Any, **arguments: Any) -> Any:
        """Return a listing, each page of which is a call besides."""
        script, inner = self._script, getattr(self.inner, method)

        def call(**asked: Any) -> Any:
            listing = inner(*args, **asked)
            if not isinstance(listing, Pages):
                return _found(script, listing)
            fetch = functools.partial(script.run, "page", inner, method)
            return type(listing).from_fetch(fetch, **asked)

        return script.run_now(method, call, *args, **arguments)

    def with_options(self, **options: Any) -> Self:
        other: Self = self._script.run_now("with_options", super().with_options, **options)
        return other

    async def aclose(self, **options: Any) -> None:
        await self._run("aclose", **options)


async def _found(script: Script, iterator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async def read() -> tuple[Any, ...]:
        return tuple([each async for each in iterator])

    for each in await script.run("found", read):
        yield each


FaultyRoles: Final = Faulty.of("get create update delete", "list")
FaultyBindings: Final = Faulty.of("get create update delete ensure remove", "list find")
FaultyDirectory: Final = Faulty.of("get_user get_space get_project", "users spaces projects")


SUITES: Final[dict[type, tuple[Any, type[Faulty]]]] = {
    RolesContract: (FakeSuite, FaultyRoles),
    RoleBindingsContract: (FakeBindingsSuite, FaultyBindings),
    DirectoryContract: (FakeDirectorySuite, FaultyDirectory),
}


def suite(contract: type, fault: str = "") -> Any:
    """Return a suite of a contract whose clients have a fault."""
    service, _, rest = fault.rpartition("; ")
    of, faulty = SUITES[contract]
    made, script = of(), Script("" if rest in PLANTED else rest)
    made.assumptions, made.script = SERVICES[service], script
    if rest != NO_FAULT:
        made.rounds = getattr(PLANTED.get(rest), "rounds", OnFakeAccount.rounds)
    open_client, open_roles = made.open_client, getattr(made, "open_roles", None)
    if rest in PLANTED:
        made.open_client = lambda: PLANTED[rest](open_client())
        made.time_limit = getattr(PLANTED[rest], "time_limit", made.time_limit)
        return made
    made.open_client = lambda: faulty(open_client(), script)
    if open_roles is not None:
        made.open_roles = lambda: FaultyRoles(open_roles(), script, "roles.")
    return made
