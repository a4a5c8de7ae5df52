"""The demonstration: the real client against the fake service, over a socket."""

import sys
import warnings
from collections.abc import Awaitable

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Permission,
    RolesClient,
    RolesError,
    ValidationError,
)
from arize_roles_fake._account.account import DEFAULT_API_KEY, FakeAccount
from arize_roles_fake._server.server import RolesServer


async def demo() -> int:
    """Make every call and some that fail, and print how each ended.

    Returns:
        0 if every call ended as expected, else 1.
    """
    warnings.simplefilter("ignore", AlphaWarning)
    account = FakeAccount(api_key=DEFAULT_API_KEY)
    with RolesServer(account) as server:
        print(f"The fake service listens on {server.url}; the real client talks to it.\n")
        try:
            async with AiohttpRolesClient(server.api_key, base_url=server.url) as roles:
                await _drive(roles)
            account.assert_roles({"Data Scientist": {Permission.DATASET_READ}})
        except (AssertionError, RolesError) as error:
            print(f"\nNot as expected: {error!r}", file=sys.stderr)
            return 1
    print(f"\nAll as expected, in {len(account.calls)} requests over the socket.")
    return 0


async def _drive(roles: RolesClient) -> None:
    role = await roles.create(
        name="AI Engineer", permissions=[Permission.PROJECT_READ], description="Looks at projects."
    )
    print(f"create   {role}")
    page = await roles.list(is_predefined=False)
    expect(page.roles == (role,), "the new role is the only custom one")
    print(f"list     {page}")
    expect(await roles.get(role_id=role.id) == role, "its ID finds the role")
    expect(await roles.get(role="AI Engineer") == role, "its name finds the role")
    print(f"get      {role.name!r} by its ID and by its name")
    both = (Permission.PROJECT_READ, Permission.DATASET_READ)
    changed = await roles.update(role_id=role.id, permissions=both)
    expect(changed.permissions == both, "the update replaced the permissions")
    print(f"update   {changed}")
    other = await roles.create(name="Data Scientist", permissions=["DATASET_READ"])
    names = [role.name async for role in roles.list(limit=2)]
    expect(
        names[:3] == ["Data Scientist", "AI Engineer", "Project Admin"] and "Admin" in names,
        "the walk lists every role",
    )
    print(f"walk     {', '.join(names)}")

    print("\nCalls that fail say why:")
    taken = roles.create(name=other.name, permissions=["DATASET_READ"])
    await _expect_error(ConflictError, taken)
    await _expect_error(ForbiddenError, roles.delete(role="Admin"))
    await _expect_error(NotFoundError, roles.get(role="AI Enginer"))
    await _expect_error(ValidationError, roles.create(name="", permissions=["PROJECT_RAED"]))

    await roles.delete(role_id=role.id)
    await _expect_error(NotFoundError, roles.get(role_id=role.id))


async def _expect_error(expected: type[RolesError], call: Awaitable[object]) -> None:
    try:
        await call
    except expected as error:
        print(f"  {expected.__name__}: {error}")
    else:
        raise AssertionError(f"{expected.__name__} was not raised")


def expect(holds: object, expectation: str) -> None:
    if not holds:
        raise AssertionError(f"expected that {expectation}")
