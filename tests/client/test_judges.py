"""The judge of outcomes, on a sample of calls, and faults that it finds."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import pytest
import uvloop
from hypothesis import settings

from arize_roles_async import ConflictError, OutcomeUnknownError
from arize_roles_async._aiohttp.transport import Attempt, UsedConnection
from arize_roles_async._asyncio import TimedEvent
from arize_roles_async._calls.call import Call
from arize_roles_async._calls.queue import Queue
from arize_roles_async._clients.client import Parts
from arize_roles_async._role_bindings.client import BaseRoleBindingsClient as Bindings
from arize_roles_async._values import requests as rules
from tests.support.sizes import sized
from tests.support.tls import Authority
from tests.support.troubled_service import METHODS
from tests.tools.judge import over_sockets, pairs, random_story, wrong

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.arize_roles(unused_faults="allow")]


def drawn() -> Random:
    """Return the same random numbers in each run, and with the profile `random` others."""
    return Random(0 if settings().derandomize else None)  # noqa: S311 - no secret


def test_pairs() -> None:
    """No pair of attempts' outcomes ends wrong, at any precision of times."""
    assert [*wrong(islice(pairs(drawn()), 0, None, sized(113, 1)))] == []


def test_random() -> None:
    """No call ends wrong."""
    numbers = drawn()
    assert [*wrong(random_story(numbers) for _ in range(sized(200, 20_000)))] == []


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_over_sockets(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    """Nor does one of many over sockets, which leave nothing behind."""
    assert [*found_over_sockets(loop, tmp_path, sized(1, 20))] == []


def found_over_sockets(loop: Any, folder: Path, rounds: int) -> Iterator[str]:  # noqa: ANN401
    numbers, tls = drawn(), Authority(folder)
    with asyncio.Runner(loop_factory=loop) as runner:
        for _ in range(rounds):
            stories = [random_story(numbers) for _ in range(100)]
            yield from runner.run(over_sockets(stories, numbers, tls))


ENSURE: Final = Bindings.ensure
REMOVE: Final = Bindings.remove
CALL: Final[Any] = Attempt.__call__


async def ensure_any_role(bindings: Bindings, **target: Any) -> Any:  # noqa: ANN401
    with suppress(ConflictError):
        return await bindings.create(**target)
    return await ENSURE(bindings, **target)


async def remove_by_end(bindings: Bindings, **target: Any) -> bool:  # noqa: ANN401
    with suppress(OutcomeUnknownError):
        return await REMOVE(bindings, **target)
    return False


def mostly(real: Callable[[Any], object], skipped: int) -> Callable[[Any], object]:
    """Return a method that does nothing each time so many times are over."""
    times = itertools.count(1)
    return lambda self: None if next(times) % skipped == 0 else real(self)


def reset_of_before(connection: UsedConnection) -> None:
    connection.transport.get_extra_info("socket")
    connection.transport.abort()


def forget_failure(attempt: Attempt, *given: object) -> object:
    vars(attempt)["_failure"] = None
    return CALL(attempt, *given)


def apart(_: Parts, client: object) -> object:
    return client


def end_of(address: str) -> str:
    return address[-9:]


PLANTED: Final = {
    "a lost attempt is forgotten": (
        *("roles", patch("arize_roles_async._calls.call._doubt_after", return_value=0)),
        "changed, and raised",
    ),
    "any role is as asked": (
        *("roles", patch("arize_roles_async._roles.client._matches", return_value=True)),
        "nothing was changed",
    ),
    "a role of any age is the call's own": (
        *("roles.create", patch.object(Call, "created_since", return_value=0.0)),
        "it was there before",
    ),
    "the account of another key shows what was made": (
        *("roles.delete", patch.object(Call, "may_be_elsewhere", new=False)),
        "nothing was deleted",
    ),
    "each part asks for a key": (
        *("by_name", patch.object(Parts, "of", apart)),
        "the key was asked for too often",
    ),
    "ensure returns a binding with another role": (
        *("role_bindings.ensure", patch.object(Bindings, "ensure", ensure_any_role)),
        "another role",
    ),
    "remove returns False where its outcome is unknown": (
        *("role_bindings.remove", patch.object(Bindings, "remove", remove_by_end)),
        "it was removed",
    ),
    "a part of the address": (
        *("by_name", patch.object(rules, "as_compared", end_of)),
        "one of two was picked",
    ),
}
PLANTED_IN_SOCKETS: Final = {
    "aiohttp sends again": (patch.object(Attempt, "__call__", forget_failure), "sent twice"),
    "an old reset": (patch.object(UsedConnection, "reset", reset_of_before), "AttributeError"),
    "a slot leaks": (patch.object(Queue, "exit", mostly(Queue.exit, 50)), "a call is stuck"),
    "a wake-up is lost": (patch.object(TimedEvent, "set", mostly(TimedEvent.set, 2)), "is stuck"),
}


@pytest.mark.parametrize(("methods", "planted", "found"), PLANTED.values(), ids=PLANTED)
def test_planted(methods: str, planted: Any, found: str) -> None:  # noqa: ANN401 - of two classes
    """A planted fault is found."""
    numbers, some = Random(1), [each for each in METHODS if each.startswith(methods)]  # noqa: S311
    with planted:
        ends = wrong(random_story(numbers, some) for _ in range(2_000))
        assert any(found in each for each in ends)


@pytest.mark.full
@pytest.mark.parametrize(("planted", "found"), PLANTED_IN_SOCKETS.values(), ids=PLANTED_IN_SOCKETS)
def test_planted_in_sockets(planted: Any, found: str, tmp_path: Path) -> None:  # noqa: ANN401
    """So is one that only connections and many calls at once show."""
    with planted:
        ends = found_over_sockets(asyncio.SelectorEventLoop, tmp_path, 60)
        assert any(found in each for each in ends)
