"""Options at the edges of their ranges and back and forth, retries, and the waits between them."""

import asyncio
import inspect
import logging
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from enum import EnumType
from functools import partial
from inspect import signature
from itertools import pairwise
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from unittest.mock import Mock, patch

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from arize_roles_async import (
    ArizeClient,
    ConfigurationError,
    ConflictError,
    RateLimitError,
    RetryPolicy,
    RolesConnectionError,
    RolesError,
    ServerError,
    Timeouts,
)
from arize_roles_async._calls.call import retry_delay
from arize_roles_async._wire.retry_after import retry_after
from arize_roles_fake import FakeAccount, FakeRolesClient
from tests.support.clients import START, account_at_noon, create, passed
from tests.support.sizes import sized

ROLE_ID = "Um9sZToxOmFCY0Q="
BROKEN = RolesConnectionError("broken")


def bounds(policy: RetryPolicy, *attempts: int) -> list[float | None]:
    """Return the longest that a policy waits after each of these attempts."""
    return [retry_delay(policy, BROKEN, attempt=attempt, change=False) for attempt in attempts]


def test_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is at most half a second, then twice that, 8 s at most; it doubles 60 times."""
    monkeypatch.setattr(random, "uniform", uniform := Mock(side_effect=max))
    assert bounds(RetryPolicy(), 1, 2, 3) == [0.5, 1.0, None]
    assert bounds(RetryPolicy(attempts=9), 4, 5, 6, 8, 9) == [4.0, 8.0, 8.0, 8.0, None]
    policy = RetryPolicy(attempts=10_000, backoff=1.0, max_backoff=1e30)
    assert bounds(policy, 60, 61, 62, 5000) == [2.0**59, 2.0**60, 2.0**60, 2.0**60]
    assert {each.args[0] for each in uniform.mock_calls} == {0.0}


BAD: dict[type, list[Any]] = {
    int: [0, -1, True, 1.5, math.nan, "1"],
    float: [0, -1, True, math.nan, math.inf, "1", 10**400],
}
RULES = {int: "an integer of at least 1", float: "a number of seconds above 0"}


FIELDS: list[tuple[Callable[..., object], str, str, Any]] = [
    *(
        (kind, f"{kind.__name__}.", *each)
        for kind in (Timeouts, RetryPolicy)
        for each in get_type_hints(kind).items()
    ),
    (FakeRolesClient, "", "max_concurrency", int),
]


@pytest.mark.parametrize(("kind", "owner", "name", "hint"), FIELDS)
def test_fields(kind: Callable[..., object], owner: str, name: str, hint: Any) -> None:  # noqa: ANN401
    """Each field refuses what breaks its rule, and takes the longest float, and None if it may."""
    number, may_be_none = int if hint is int else float, NoneType in get_args(hint)
    for value in BAD[number] + [None] * (not may_be_none):
        with pytest.raises(ConfigurationError) as caught:
            kind(**{name: value})
        rule = f"{owner}{name} must be {RULES[number]}, not {value!r:.20}"
        assert str(caught.value).startswith(rule)
    for value in [1] + [sys.float_info.max] * (number is float) + [None] * may_be_none:
        kind(**{name: value})


@pytest.mark.parametrize(
    ("failure", "most", "seconds"),
    [
        (ServerError("busy", status=503, retry_after=20.0), 20.0, 20.0),
        (ServerError("busy", status=503, retry_after=0.0), None, 0.0),
        (ServerError("busy", status=503, retry_after=20.5), 20.0, None),
        (ServerError("busy", status=503, retry_after=20.5), None, 20.5),
        (ServerError("busy", status=503, retry_after=math.inf), None, 3600.0),
        (RolesConnectionError("untrusted", certificate=True), None, None),
        (RolesConnectionError("a proxy without its password", credentials=True), None, None),
    ],
)
def test_no_backoff(failure: RolesError, most: float | None, seconds: float | None) -> None:
    """The service's own wait is kept, an hour at most; a failure that lasts is not retried."""
    policy = RetryPolicy(max_retry_after=most)
    assert retry_delay(policy, failure, attempt=1, change=False) == seconds


@pytest.fixture
def _tokyo() -> Iterator[None]:
    """Let this machine be nine hours ahead of the service's dates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("value", "more", "seconds"),
    [
        ("0", {}, 0.0),
        (" 5 ", {}, 5.0),
        ("1" * 15, {}, 111_111_111_111_111.0),
        ("1" * 16, {}, math.inf),
        ("-1", {}, None),
        ("1.5", {}, None),
        ("²", {}, None),
        ("", {}, None),
        ("Thu, 01 Jan 1970 00:00:07 GMT", {}, 2.0),
        ("Thu, 01 Jan 1970 00:00:04 GMT", {}, 0.0),
        (f"Thu, 01 Jan {'9' * 20} 00:00:00 GMT", {}, None),
        # The two forms of a date that RFC 9110 still has recipients take.
        ("Thursday, 01-Jan-70 00:00:07 GMT", {}, 2.0),
        ("Thu Jan  1 00:00:07 1970", {}, 2.0),
        # By the answer's own date, if it has one.
        ("Thu, 01 Jan 1970 00:00:07 GMT", {"Date": "Thu, 01 Jan 1970 00:00:06 GMT"}, 1.0),
        ("Thu, 01 Jan 1970 00:00:07 GMT", {"Date": "yesterday"}, 2.0),
    ],
)
@pytest.mark.usefixtures("_tokyo")
def test_retry_after(
    value: str, more: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header asks to wait for whole seconds, or until a date; anything else asks nothing."""
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert retry_after({"Retry-After": value, **more}) == seconds
    assert retry_after(more) is None


@pytest.mark.parametrize("free", [[], [401], [429], [401, 429], [429, 401]])
@pytest.mark.parametrize("failing", ["list", "update"])
@pytest.mark.parametrize("failures", [1, 2])
async def test_counted(failing: Literal["list", "update"], free: list[int], failures: int) -> None:
    """Each request of a call has all its attempts; a key that is refused, or a 429, is none."""
    account, asked = account_at_noon(), list[str]()
    account.add_role("Role")

    def key() -> str:
        asked.append(f"key-{len(asked)}")
        account.add_key(asked[-1])
        return asked[-1]

    for status in free:
        account.fail("list", status)
    account.fail(failing, 503, times=failures)
    roles = FakeRolesClient(account, api_key=key, retry=RetryPolicy(attempts=2))
    with nullcontext() if failures == 1 else pytest.raises(ServerError):
        await roles.update(role="Role", description="New.")

    counts = {"list": len(free) + 1, "update": failures == 1 or failing == "update"}
    counts[failing] += failures - (failures == 2)
    assert {each: len(account.calls_of(each)) for each in ("list", "update")} == counts
    assert free[:1] != [401] or account.calls[1].at == account.calls[0].at
    assert max(call.attempt for call in account.calls) == max(counts.values())


async def test_rate_limited() -> None:
    """A rate limit is waited out for five minutes, however often it refuses the request."""
    account = account_at_noon()
    account.fail("list", RateLimitError, retry_after=20)
    with pytest.raises(RateLimitError):
        await FakeRolesClient(account, retry=RetryPolicy(attempts=2), timeout=3600.0).list()
    assert len(account.calls) in {11, 12}


@pytest.mark.parametrize("failure", ["refused", "unreachable"])
async def test_not_sent_yet(failure: Literal["refused", "unreachable"]) -> None:
    """A role that is older than the first attempt which was sent is somebody else's."""
    account = account_at_noon()
    account.add_role("Made", ["PROJECT_READ"])
    account.fail("create", failure)
    account.fail("create", "lost", skip=1)
    roles = FakeRolesClient(account, retry=RetryPolicy(backoff=16.0))

    with patch("random.uniform", side_effect=max), pytest.raises(ConflictError):
        await create(roles)

    assert [call.outcome for call in account.calls] == [failure, "lost", 409, 200]


# Options and arguments back and forth. Their values come from the signatures, so that a new one is
# drawn, too: by its type, or if it is a text, by its name.

Arguments = dict[str, Any]
KEYS = ["fake-api-key", "other-api-key"]
PLACES = ["Space:one", "Project:one/two"]
CHANGES = {"create", "update", "delete", "ensure", "remove", "aclose", "with_options"}


def values(hint: Any, texts: Sequence[Any]) -> list[Any]:  # noqa: ANN401
    """Return two values of a type, or those of each type of a union."""
    two: dict[object, list[Any]] = {bool: [True, False], int: [1, 2], float: [1.0, 2.5]}
    two |= {str: [*texts], NoneType: [None], UnsetType: []}
    if hint in two:
        return two[hint]
    if isinstance(hint, EnumType):
        return [*hint][:2]
    if attrs.has(hint):
        fields = {name: values(each, ()) for name, each in get_type_hints(hint).items()}
        return [hint(**{name: each[of] for name, each in fields.items()}) for of in (0, 1)]
    if get_origin(hint) is Callable:
        return [partial(str, each) for each in texts]
    if get_origin(hint) is Iterable:
        return [(each,) for each in values(get_args(hint), texts)]
    return [each for part in get_args(hint) for each in values(part, texts)]


def draw(method: Callable[..., object], texts: Mapping[str, Sequence[Any]]) -> Any:  # noqa: ANN401
    """Draw arguments of a method; those with a default may be left out."""
    hints = get_type_hints(method)
    required: Arguments = {}
    optional: Arguments = {}
    for name, each in [*signature(method).parameters.items()][1:]:
        drawn = st.sampled_from(values(hints[name], texts.get(name, ())))
        (required if each.default is each.empty else optional)[name] = drawn
    return st.fixed_dictionaries(required, optional=optional)


RESOURCES = ("", *(name for name, each in vars(ArizeClient).items() if type(each) is property))
READS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "": ("get", lambda client: client.get(role_id=ROLE_ID)),
    "role_bindings": ("role_bindings.list", lambda client: client.list(resource_type="SPACE")),
    "directory": ("users.list", lambda client: client.users()),
    "by_name": ("role_bindings.list", lambda client: client.find(user="VXNlcjox")),
}
"""Of each resource, a read, and the request that it sends."""


@pytest.mark.arize_roles(unused_faults="allow")
class TestOptions:
    """The options of copies."""

    def record(self, resource: str, *copies: Arguments) -> object:
        """Return what a client does that was copied with these options, one after the other."""
        account = account_at_noon()
        account.add_key(KEYS[1])
        account.slow_down(2.0)
        operation, read = READS[resource]
        account.fail(operation, 503, times=2)
        log, names = logging.getLogger("arize_roles_async"), list[str | None]()

        def note(record: logging.LogRecord) -> None:
            names.append(vars(record)["arize_client"])

        async def use() -> list[object]:
            async with FakeRolesClient(account, max_concurrency=1, timeout=None) as first:
                roles: ArizeClient = first
                of_copy: Any = first
                for options in copies:
                    roles = roles.with_options(**options)
                    # The next copy has its own, with its options.
                    of_copy = getattr(roles, resource, roles)
                calls = [
                    asyncio.ensure_future(each) for each in (first.list(limit=1), read(of_copy))
                ]
                for _ in range(4):  # A search waits for its turn some steps later.
                    await asyncio.sleep(0)
                calls.append(asyncio.ensure_future(first.list(limit=2)))
                return [*await asyncio.gather(*calls, return_exceptions=True)]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(random, "uniform", max)
            patch.setattr(log, "filters", [note])
            log.setLevel(logging.DEBUG)
            results = asyncio.run(use())
            log.setLevel(logging.NOTSET)
        calls = [(each.operation, each.api_key, each.outcome, each.at) for each in account.calls]
        return calls, [type(result) for result in results], passed(account), names

    @settings(max_examples=sized(150, 500))
    @given(
        st.sampled_from(RESOURCES),
        st.lists(
            draw(ArizeClient.with_options, {"api_key": KEYS, "name": ["one", "two"]}),
            min_size=1,
            max_size=4,
        ),
    )
    def test_last_value(self, resource: str, copies: list[Arguments]) -> None:
        """Of the options of several copies in a row, the last value of each counts.

        A number of seconds replaces the total of the limits before it.
        """
        merged: Arguments = {}
        for options in copies:
            limits, seconds = merged.get("timeout"), options.get("timeout", UNSET)
            merged |= options
            if isinstance(limits, Timeouts) and not isinstance(seconds, Timeouts | UnsetType):
                merged["timeout"] = attrs.evolve(limits, total=seconds)
        assert self.record(resource, *copies) == self.record(resource, merged)

    @pytest.mark.parametrize("option", [*signature(ArizeClient.with_options).parameters][1:])
    @pytest.mark.parametrize("resource", RESOURCES)
    def test_shown(self, resource: str, option: str) -> None:
        """A call of each resource shows the difference between each value of an option."""
        hint = get_type_hints(ArizeClient.with_options)[option]
        shown = [self.record(resource, {option: value}) for value in values(hint, KEYS)]
        assert all(one != other for one, other in pairwise(shown))


async def outcomes(client: Any, *calls: tuple[str, str, Arguments]) -> list[object]:  # noqa: ANN401
    """Return the results or errors of a client's calls, made one after the other."""
    found: list[object] = []
    for resource, name, arguments in calls:
        try:
            result = getattr(getattr(client, resource, client), name)(**arguments)
            is_one = inspect.isawaitable(result)
            found.append(await result if is_one else [each async for each in result])
        except RolesError as error:
            found.append((type(error), str(error)))
    return found


@settings(max_examples=sized(25, 500))
@given(st.data())
def test_after_others(data: st.DataObject) -> None:
    """A call that reads returns after others what it returns alone, whatever its arguments."""
    account = FakeAccount(api_key=KEYS[0], clock=lambda: START)
    users, names = ["one@example.com", "two@example.com"], ["one", "two"]
    roles = [account.add_role(name, ["PROJECT_READ"]) for name in names]
    bound = [
        account.bind(x[0], user=x[1], resource=x[2]) for x in zip(roles, users, PLACES, strict=True)
    ]
    texts = dict.fromkeys(("role", "space", "in_space", "project", "name"), names)
    texts |= dict.fromkeys(("user", "email"), users) | {"binding_id": [x.id for x in bound]}
    for name in ("role_id", "user_id", "resource_id"):
        texts[name] = [getattr(each, name) for each in bound]

    async def check() -> None:
        async with FakeRolesClient(account) as client:
            clients: dict[str, Any] = {each: getattr(client, each, client) for each in RESOURCES}
            methods = [
                (resource, name, method)
                for resource, found in clients.items()
                for name, method in inspect.getmembers(found.__class__)
                if inspect.isfunction(method) and name[0] != "_" and name not in CHANGES
            ]
            drawn = data.draw(st.lists(st.sampled_from(methods), max_size=6))
            calls = [(resource, name, data.draw(draw(x, texts))) for resource, name, x in drawn]
            together = await outcomes(client, *calls)
        for call, result in zip(calls, together, strict=True):
            async with FakeRolesClient(account) as alone:
                assert await outcomes(alone, call) == [result]

    asyncio.run(check())
