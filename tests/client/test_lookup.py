"""Roles by name: who shares a walk, which names are known, and what an unknown name is told."""

import asyncio
import functools
import gc
import weakref
from collections.abc import Sequence
from typing import Any, Literal

import pytest
import trio

from arize_roles_async import (
    ForbiddenError,
    NotFoundError,
    RetryPolicy,
    Role,
    ServerError,
    Timeouts,
)
from arize_roles_async._roles.lookup import NameLookup
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient, make_role
from tests.support.event_loop import settle


def account_of(number: int) -> FakeAccount:
    """Return an account whose listing begins with `Role 0`."""
    account = FakeAccount(predefined=False)
    for index in reversed(range(number)):
        account.add_role(f"Role {index}")
    return account


def operations(account: FakeAccount, before: int = 0) -> list[str]:
    """Return the operations of the calls after the first ones, which do not count."""
    return [call.operation for call in account.calls[before:]]


class TestSharedWalk:
    async def test_goes_on(self) -> None:
        """A call goes on as soon as its role is found, and another fetches the other pages."""
        account = account_of(250)
        roles, ends = FakeRolesClient(account), dict[str, int]()

        async def get(name: str) -> None:
            await roles.get(role=name)
            ends[name] = len(account.calls)

        await asyncio.gather(*map(get, ("Role 0", "Role 249", "Role 1")))
        assert ends == {"Role 0": 1, "Role 1": 1, "Role 249": 3}

    async def test_late(self) -> None:
        """A call that lacks the time for a page leaves it to another that shares the walk."""
        account, ready = account_of(1), asyncio.Event()

        async def key() -> str:
            await ready.wait()
            return account.api_key

        roles, calls = FakeRolesClient(account, api_key=key), list[asyncio.Future[Role]]()
        for seconds in (0.0, 25.0):
            account.advance(seconds)
            calls.append(asyncio.ensure_future(roles.get(role="Role 0")))
            await settle()
        account.fail("list", 503, retry_after=10)
        ready.set()
        late, other = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(late, ServerError)
        assert isinstance(other, Role)
        assert operations(account) == ["list", "list"]

    async def test_error_of_each(self) -> None:
        """The calls of a walk that failed have an error each, to which others may add."""
        roles = FakeRolesClient()
        roles.account.fail("list", 403)
        calls = (roles.get(role="A"), roles.get(role="B"))
        one, other = await asyncio.gather(*calls, return_exceptions=True)
        assert type(one) is type(other) is ForbiddenError
        assert one is not other

    async def test_later_call(self) -> None:
        """A call that comes after a walk began has a walk of its own, after that one."""
        account = account_of(101)
        roles = FakeRolesClient(account)
        with account.block("list") as blocked:
            first = asyncio.ensure_future(roles.get(role="Role 100"))
            await blocked.reached()
            account.add_role("New")
            calls = [asyncio.ensure_future(roles.get(role="New")) for _ in range(2)]
            await settle()
            calls[0].cancel()
        assert [(await call).name for call in (first, calls[1])] == ["Role 100", "New"]
        assert operations(account) == ["list"] * 3

    async def test_other_options(self) -> None:
        """Clients with other options try as hard as they say, so they share no walk."""
        roles = FakeRolesClient()
        once = RetryPolicy(attempts=1)
        options: list[Any] = [{}, {"timeout": 20.0}, {"retry": once}, {"background": True}]
        clients = [roles.with_options(**each) for each in options]
        await asyncio.gather(*(c.get(role=name) for c in clients for name in ("Admin", "Member")))
        assert operations(roles.account) == ["list"] * 4

    async def test_nothing_kept(self) -> None:
        """Nothing is kept of lookups that are over."""
        roles, timeouts = FakeRolesClient(account_of(101)), Timeouts(total=None)
        kept, limited = weakref.ref(timeouts), roles.with_options(timeout=timeouts)
        await asyncio.gather(*(limited.get(role=f"Role {number}") for number in (0, 100, 0)))
        del timeouts, limited
        gc.collect()
        assert kept() is None

    def test_under_trio(self) -> None:
        """A shared search survives the call that fetches, also if trio cancels it."""
        roles, found = FakeRolesClient(), list[Role]()

        async def find() -> None:
            found.append(await roles.get(role="Read-only"))

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    nursery.start_soon(find)
                    nursery.start_soon(find)
                    scope.cancel()
                    await find()

        trio.run(main)
        assert [role.name for role in found] == ["Read-only", "Read-only"]


@pytest.mark.parametrize(
    ("name", "names", "closest"),
    [
        # The three that are most alike, and at least as alike as with three letters of five.
        ("Reader", ["Reade", "Readers", "Reader 1", "Reader 22"], ("Readers", "Reade", "Reader 1")),
        ("abcde", ["abcxy", "abxyz"], ("abcxy",)),
        ("READER", ["Reader"], ("Reader",)),
        # No name that no role can have, and of a long one the beginning counts.
        ("a" * 250 + "bbbbb", ["a" * 255, "a" * 256], ("a" * 255,)),
        # The first 200 are compared.
        ("R" * 10, [*map("{:0>6}".format, range(199)), "R" * 11], ("R" * 11,)),
        ("R" * 10, [*map("{:0>6}".format, range(200)), "R" * 11], ()),
    ],
)
async def test_closest(name: str, names: list[str], closest: tuple[str, ...]) -> None:
    """The error for a name that no role has offers similar ones."""
    account = FakeAccount(predefined=False)
    for each in reversed(names):
        account.add_role(each)
    with pytest.raises(NotFoundError) as caught:
        await FakeRolesClient(account).get(role=name)
    error = caught.value
    assert (error.name, error.closest, error.status, error.method) == (name, closest, 404, "GET")
    assert ("; similar names: " in str(error)) is bool(closest)


class TestKnown:
    """Names that a client has seen: one request, and never another answer than a walk's."""

    async def test_answers(self) -> None:
        """Roles of any answer are known from then on, to every copy; a change looks at them."""
        account = account_of(250)
        roles = FakeRolesClient(account)
        made = await roles.create(name="Made", permissions=["PROJECT_READ"])
        assert await roles.with_options(timeout=5.0).get(role="Made") == made
        renamed = await roles.update(role_id=made.id, name="Renamed")
        assert await roles.get(role="Renamed") == renamed
        role = await roles.get(role_id=account.roles[17].id)
        assert await roles.get(role=role.name) == role
        for _ in range(2):
            assert await roles.get(role="Role 240")
        await roles.update(role="Role 240", description="Changed.")
        await roles.delete(role="Role 240")
        assert " ".join(operations(account)) == (
            "create get update get get get list list list get get update get delete"
        )

    @pytest.mark.parametrize(
        ("number", "asked", "requests"),
        [
            (1000, range(9), ["get"] * 9),
            # A walk over so many roles has as many pages as there are calls, or fewer.
            (1000, range(981, 1000), ["list"] * 10),
            (250, range(3), ["get"] * 3),
            (250, (0, 1, 2, 249), ["list"] * 3),
        ],
    )
    async def test_together(self, number: int, asked: Sequence[int], requests: list[str]) -> None:
        """Known names at one moment are a request each, or share a walk that has fewer."""
        account = account_of(number)
        roles = FakeRolesClient(account)
        before = len(await roles.list().all()) // 100 + (number % 100 > 0)
        found = await asyncio.gather(*(roles.get(role=f"Role {index}") for index in asked))
        assert [role.name for role in found] == [f"Role {index}" for index in asked]
        assert operations(account, before) == requests

    @pytest.mark.parametrize("status", [400, 404, None])
    async def test_gone(self, status: Literal[400, 404] | None) -> None:
        """A known role that is gone, or renamed, is looked for, and its ID is forgotten."""
        assumptions = Assumptions(unknown_id=status or 404)
        account = FakeAccount(predefined=False, assumptions=assumptions)
        gone, roles = account.add_role("Gone"), FakeRolesClient(account)
        await roles.list()
        async with FakeRolesClient(account) as other:
            change = other.delete if status else functools.partial(other.update, name="Other")
            await change(role_id=gone.id)
        account.fail("get", 403)
        with pytest.raises(ForbiddenError):  # which says nothing about the role
            await roles.get(role="Gone")
        for requests in (["get", "get", "list"], ["get", "get", "list", "list"]):
            with pytest.raises(NotFoundError) as caught:
                await roles.get(role="Gone")
            assert caught.value.name == "Gone"
            assert operations(account, 2) == requests

    def test_memory(self) -> None:
        """Fifty thousand names that a role can have are kept, and the first ones are forgotten."""
        known = NameLookup()
        known.learn([make_role(name="x" * 256)])
        assert not known.ids
        for first in range(0, 50_001, 1_000):
            known.learn(
                make_role(id=f"id {n}", name=f"Role {n}") for n in range(first, first + 1_000)
            )
        assert list(known.ids)[::45_999] == ["Role 5000", "Role 50999"]
        assert known.ids["Role 50999"] == "id 50999"
