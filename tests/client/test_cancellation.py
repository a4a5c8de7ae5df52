"""Look-ups that are cancelled, under asyncio and under trio, disturb no other."""

import anyio
import pytest
import trio

from arize_roles_async import Role, RolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_by_name(backend: str) -> None:
    """Look-ups that are cancelled change nothing, and the iteration may go on."""
    account = FakeAccount()
    account.add_role("A", ["PROJECT_READ"])
    account.bind("A", user="ada@example.com", resource="Space:ML")
    scopes: list[anyio.CancelScope] = []

    async def key() -> str:
        if scopes:
            scopes[-1].cancel()
            await anyio.sleep_forever()
        return account.api_key

    async def main() -> str:
        by_name = FakeRolesClient(account, api_key=key).by_name
        found = aiter(by_name.find(user="ada@example.com"))
        for call in (by_name.remove(user="ada@example.com", space="ML"), anext(found)):
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await call
            assert scope.cancelled_caught
        scopes.clear()
        return str(await anext(found))

    assert anyio.run(main, backend=backend) == "ada@example.com has A on space 'ML'"


def test_fake_search() -> None:
    """The fake's shared search survives its leader under trio."""

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
