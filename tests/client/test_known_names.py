"""Names of roles that a client has seen: one request, and never another answer than a walk's."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from arize_roles_async import ForbiddenError, NotFoundError, Role
from arize_roles_async._roles.lookup import NameLookup
from arize_roles_fake import Assumptions, FakeAccount, FakeRolesClient, make_role


def account_of(number: int) -> FakeAccount:
    account = FakeAccount(predefined=False)
    for index in range(number):
        account.add_role(f"Role {index}")
    return account


def operations(account: FakeAccount, before: int = 0) -> list[str]:
    """Return the operations of the calls after the first ones, which do not count."""
    return [call.operation for call in account.calls[before:]]


class TestRequests:
    async def walked(self, number: int) -> tuple[FakeAccount, FakeRolesClient, int]:
        """Return a client that has walked over so many roles, and the number of its calls."""
        account = account_of(number)
        roles = FakeRolesClient(account)
        await roles.list().all()
        return account, roles, len(account.calls)

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
            "create get update get get get list get get update get delete"
        )

    @pytest.mark.parametrize(
        ("number", "asked", "requests"),
        [
            (1000, range(9), ["get"] * 9),
            # A walk over so many roles has as many pages as there are calls, or fewer.
            (1000, range(20), ["list"] * 10),
            (250, range(3), ["get"] * 3),
            (250, (0, 1, 2, 249), ["list"] * 3),
            # None is known.
            (None, range(0, 1000, 50), ["list"] * 10),
        ],
    )
    async def test_together(
        self, number: int | None, asked: Sequence[int], requests: list[str]
    ) -> None:
        """Known names at one moment are a request each, or share a walk that has fewer."""
        account, roles, before = await self.walked(number or 1000)
        if number is None:
            roles = FakeRolesClient(account)
        found = await asyncio.gather(*(roles.get(role=f"Role {index}") for index in asked))
        assert [role.name for role in found] == [f"Role {index}" for index in asked]
        assert operations(account, before) == requests

    async def test_few(self) -> None:
        """A few roles that were seen by their IDs alone cost a walk together, and then none."""
        account = account_of(1000)
        roles = FakeRolesClient(account)
        few = account.roles[:2] + account.roles[-2:]
        for role in few:
            await roles.get(role_id=role.id)
        for requests in (["list"] * 10, ["get"] * 4):
            before = len(account.calls)
            await asyncio.gather(*(roles.get(role=role.name) for role in few))
            assert operations(account, before) == requests

    @pytest.mark.parametrize("status", [400, 404])
    async def test_gone(self, status: Literal[400, 404]) -> None:
        """A known role that is gone is looked for in the listing, and its ID is forgotten."""
        account = FakeAccount(predefined=False, assumptions=Assumptions(unknown_id=status))
        role = account.add_role("Gone", ["PROJECT_READ"])
        roles = FakeRolesClient(account)
        assert await roles.get(role="Gone") == role
        async with FakeRolesClient(account) as other:
            await other.delete(role_id=role.id)
        before = len(account.calls)
        for requests in (["get", "list"], ["get", "list", "list"]):
            with pytest.raises(NotFoundError) as caught:
                await roles.get(role="Gone")
            assert caught.value.name == "Gone"
            assert operations(account, before) == requests

    async def test_failure(self) -> None:
        """A failure that says nothing about the role is the call's."""
        account, roles, before = await self.walked(100)
        account.fail("get", 403, times=1)
        with pytest.raises(ForbiddenError):
            await roles.get(role="Role 17")
        assert operations(account, before) == ["get"]


def roles_of(first: int, number: int) -> list[Role]:
    return [make_role(id=f"id {n}", name=f"Role {n}") for n in range(first, first + number)]


class TestMemory:
    def test_bounded(self) -> None:
        """Fifty thousand names are kept at most, and those seen longest ago are forgotten."""
        known = NameLookup()
        for first in range(0, 50_000, 100):
            known.learn(roles_of(first, 100))
        assert known.ids.get("Role 0") == "id 0"
        known.learn(roles_of(50_000, 1))
        assert known.ids.get("Role 4999") is None
        assert known.ids.get("Role 5000") == "id 5000"
        assert known.ids.get("Role 50000") == "id 50000"

    def test_long_name(self) -> None:
        """A name that is longer than any role's is not kept, so that no answer fills the memory."""
        known = NameLookup()
        known.learn([make_role(name="x" * 256)])
        assert known.ids.get("x" * 256) is None
