"""Looking for roles by name: who shares a walk, who fetches its pages, and who goes on when."""

import asyncio
import gc
import weakref
from collections.abc import Sequence

import pytest
import trio

from arize_roles_async import (
    ListRolesResponse,
    NotFoundError,
    PaginationMetadata,
    RetryPolicy,
    Role,
    RolesClient,
    RolesTimeoutError,
    Timeouts,
)
from arize_roles_async._calls.api_key import KeySource
from arize_roles_async._calls.driver import DrivenCall, Shared
from arize_roles_async._roles.lookup import NameLookup
from arize_roles_async._roles.operations import ROLES
from arize_roles_async.transport import ListRoles
from arize_roles_fake import FakeAccount, FakeRolesClient, make_role
from arize_roles_fake._client import AccountTransport
from tests.support.event_loop import settle

UNLIMITED = Timeouts(total=None)


class Listing:
    """Three pages of one role each, which are answered when a test says so."""

    def __init__(self, *names: str) -> None:
        self.pages = {str(number): name for number, name in enumerate(names)}
        self.asked: list[tuple[str, str]] = []
        self.answered = {cursor: asyncio.Event() for cursor in self.pages}
        self.lookup = NameLookup()
        self.late: set[str] = set()
        """The calls that have too little time for a page."""

    async def answer(self, *cursors: str) -> None:
        for cursor in cursors:
            self.answered[cursor].set()
        await settle()

    async def begin(self, **names: str) -> "list[asyncio.Task[Role]]":
        """Begin calls for names at one moment, and return them once they wait."""
        calls = [asyncio.create_task(self.find(caller, name)) for caller, name in names.items()]
        await settle()
        return calls

    async def find(self, caller: str, name: str, timeouts: Timeouts = UNLIMITED) -> Role:
        call = new_call(timeouts)

        async def fetch(request: ListRoles) -> ListRolesResponse:
            cursor = request.cursor or "0"
            self.asked.append((caller, cursor))
            if caller in self.late:
                call.lacked_time = True
                raise RolesTimeoutError("too late", seconds=1.0)
            await self.answered[cursor].wait()
            following = str(int(cursor) + 1)
            role = make_role(name=self.pages[cursor])
            return page_of(role, following=following if following in self.pages else None)

        with call.time_limit:
            return await self.lookup.find(name, call, fetch, get_nothing)


def page_of(*roles: Role, following: str | None = None) -> ListRolesResponse:
    pagination = PaginationMetadata(has_more=following is not None, next_cursor=following)
    return ListRolesResponse(roles=roles, pagination=pagination)


def new_call(timeouts: Timeouts = UNLIMITED) -> DrivenCall[NameLookup]:
    account = FakeAccount()
    transport = AccountTransport(account, lambda _: account)
    transport.check_open()  # It belongs to the running event loop from now on.
    driver = Shared(transport, 1, NameLookup).driver(KeySource("a-key"))
    call = DrivenCall(
        ROLES, "get", timeouts, RetryPolicy(), 0.0, driver=driver, lookup=driver.lookup
    )
    call.time_limit = transport.time_limit(call)
    return call


async def get_nothing(role_id: str) -> Role:
    raise AssertionError(f"no role is known yet, not {role_id} either")


class TestSharedWalk:
    async def test_goes_on(self) -> None:
        """A call goes on as soon as its role is found, and another fetches the other pages."""
        listing = Listing("A", "B", "C")
        first, second, third = await listing.begin(first="A", second="C", third="A")
        await listing.answer("0")
        assert (first.done(), second.done(), third.done()) == (True, False, True)
        await listing.answer("1", "2")
        assert (await second).name == "C"
        assert listing.asked == [("first", "0"), ("second", "1"), ("second", "2")]

    async def test_leader_late(self) -> None:
        """If the call that fetches has too little time, another one asks for the page again."""
        listing = Listing("A", "B", "C")
        listing.late = {"first"}
        first, second = await listing.begin(first="C", second="B")
        await listing.answer("0", "1")
        with pytest.raises(RolesTimeoutError, match="too late"):
            await first
        assert (await second).name == "B"
        assert listing.asked == [("first", "0"), ("second", "0"), ("second", "1")]

    async def test_later_call(self) -> None:
        """A call that comes after a walk began has a walk of its own, after that one."""
        listing = Listing("A", "B")
        (first,) = await listing.begin(first="B")
        (second,) = await listing.begin(second="B")
        second.cancel()
        (third,) = await listing.begin(third="A")
        assert listing.asked == [("first", "0")]
        await listing.answer("0", "1")
        assert [(await call).name for call in (first, third)] == ["B", "A"]
        assert listing.asked == [("first", "0"), ("first", "1"), ("third", "0")]

    async def test_closest(self) -> None:
        """Each call gets the closest names that it would have got alone."""
        listing = Listing("Engineer", "Engineering")
        first, second = await listing.begin(first="Engineer", second="Engineers")
        await listing.answer("0", "1")
        assert (await first).name == "Engineer"
        with pytest.raises(NotFoundError) as caught:
            await second
        assert caught.value.closest == ("Engineer", "Engineering")

    async def test_other_options(self) -> None:
        """Clients with other options try as hard as they say, so they share no walk."""
        roles = FakeRolesClient()
        others = (roles.with_options(timeout=20.0), roles.with_options(background=True))
        await asyncio.gather(
            *(each.get(role=name) for each in (roles, *others) for name in ("Admin", "Member"))
        )
        assert [call.operation for call in roles.account.calls] == ["list"] * 3

    async def test_nothing_kept(self) -> None:
        """Nothing is kept of lookups that are over."""
        listing, timeouts = Listing("A", "B"), Timeouts(total=None)
        kept = weakref.ref(timeouts)
        await listing.answer("0", "1")
        await asyncio.gather(*(listing.find(name, name, timeouts) for name in "ABA"))
        del timeouts
        gc.collect()
        assert kept() is None


class TestClosest:
    """The names that an error offers in place of one that no role has."""

    async def closest(self, name: str, *pages: Sequence[str]) -> tuple[str, ...]:
        """Walk over pages of roles with these names, and return what was offered."""
        left = list(pages)

        async def fetch(request: ListRoles) -> ListRolesResponse:
            del request
            roles = [make_role(name=each) for each in left.pop(0)]
            return page_of(*roles, following=f"{len(left)} left" if left else None)

        with pytest.raises(NotFoundError) as caught:
            await NameLookup().find(name, new_call(), fetch, get_nothing)
        error = caught.value
        assert (error.name, error.status, error.method) == (name, 404, "GET")
        shown = ", ".join(map(repr, error.closest))
        assert str(error) == f"no role is named {name!r}; similar names: {shown}".removesuffix(
            "; similar names: "
        )
        return error.closest

    async def test_alike(self) -> None:
        """The three that are most alike, and at least as alike as with three letters of five."""
        names = ["Reade", "Readers", "Reader 1", "Reader 22", "Writer"]
        assert await self.closest("Reader", names) == ("Readers", "Reade", "Reader 1")
        assert await self.closest("abcde", ["abcxy", "abxyz"]) == ("abcxy",)

    async def test_long(self) -> None:
        """No name that no role can have, and the beginning of one that is asked for counts."""
        names = ["a" * 255, "a" * 256]
        assert await self.closest("a" * 60, names[1:]) == ()
        roles = FakeRolesClient()
        for name in names:
            roles.account.add_role(name)
        with pytest.raises(NotFoundError) as caught:
            await roles.get(role="a" * 250 + "bbbbb")
        assert caught.value.closest == (names[0],)

    async def test_most(self) -> None:
        """The first 200 names are compared."""
        names = [f"{number:0>6}" for number in range(200)]
        assert await self.closest("R" * 10, names[:199], ["R" * 11]) == ("R" * 11,)
        assert await self.closest("R" * 10, names, ["R" * 11]) == ()


async def test_learned_meanwhile() -> None:
    """A newer ID of a name that is learned while the old one is requested is kept."""
    known = NameLookup()
    known.learn([make_role(name="A", id="old")])

    async def get(role_id: str) -> Role:
        known.learn([make_role(name="A", id="new")])
        return make_role(name="Renamed", id=role_id)

    async def fetch(request: ListRoles) -> ListRolesResponse:
        del request
        return page_of(make_role(name="A", id="new"))

    found = await known.find("A", new_call(), fetch, get)
    assert found.id == known.ids.get("A") == "new"


def test_under_trio() -> None:
    """A shared search survives the call that fetches, also if trio cancels it."""

    async def find(roles: RolesClient, found: list[Role]) -> None:
        found.append(await roles.get(role="Read-only"))

    async def main() -> list[Role]:
        roles, found = FakeRolesClient(), list[Role]()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(find, roles, found)
                nursery.start_soon(find, roles, found)
                scope.cancel()
                await roles.get(role="Read-only")
        return found

    assert [role.name for role in trio.run(main)] == ["Read-only", "Read-only"]
