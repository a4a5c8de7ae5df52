"""The demonstration: the real client against the fake service, over a socket."""

import warnings

from arize_roles_async import (
    AiohttpRolesClient,
    AlphaWarning,
    BetaWarning,
    Permission,
    RolesClient,
    RolesError,
    as_code,
)
from arize_roles_fake._account.account import DEFAULT_API_KEY, FakeAccount
from arize_roles_fake._server.server import RolesServer


async def demo() -> None:
    """Make every call and some that fail, and print how each ended."""
    for notice in (AlphaWarning, BetaWarning):
        warnings.simplefilter("ignore", notice)
    account = FakeAccount(api_key=DEFAULT_API_KEY)
    account.add_space("ML")
    account.add_user("ada@example.com")
    with RolesServer(account) as server:
        print(f"The fake service listens on {server.url}; the real client talks to it.\n")
        async with AiohttpRolesClient(server.api_key, base_url=server.url) as roles:
            await _drive(roles)
    print(f"\nThat took {len(account.calls)} requests over the socket.")


async def _drive(roles: RolesClient) -> None:
    role = await roles.create(
        name="AI Engineer", permissions=[Permission.PROJECT_READ], description="Looks at projects."
    )
    print(f"create   {role}")
    page = await roles.list(is_predefined=False)
    print(f"list     {page}")
    by_id, by_name = await roles.get(role_id=role.id), await roles.get(role="AI Engineer")
    print(f"get      {by_id.name!r} by its ID, and {by_name.name!r} by its name")
    both = (Permission.PROJECT_READ, Permission.DATASET_READ)
    changed = await roles.update(role_id=role.id, permissions=both)
    print(f"update   {changed}")
    other = await roles.create(name="Data Scientist", permissions=["DATASET_READ"])
    names = [role.name async for role in roles.list(limit=2)]
    print(f"walk     {', '.join(names)}")
    place = as_code.DeclaredPlace(space="ML", users={"ada@example.com": "AI Engineer"})
    planned = await as_code.plan(roles, as_code.Declaration(places=[place]))
    print(f"plan     {', '.join(map(str, planned.all_changes))}")

    print("\nCalls that fail say why:")
    for call in (
        roles.create(name=other.name, permissions=["DATASET_READ"]),
        roles.delete(role="Admin"),
        roles.get(role="AI Enginer"),
        roles.create(name="", permissions=["PROJECT_RAED"]),
        roles.delete(role_id=role.id),
        roles.get(role_id=role.id),
    ):
        try:
            await call
        except RolesError as error:
            print(f"  {type(error).__name__}: {error}")
