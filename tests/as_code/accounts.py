"""Accounts and declarations for the tests of roles as code."""

import base64
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from arize_roles_async import Role, RolesClient
from arize_roles_async.as_code import ApplyError, ApplyResult, Declaration, DeclaredRole
from arize_roles_async.as_code.apply import Run
from arize_roles_async.as_code.planning import read_plan
from arize_roles_fake import FakeAccount
from tests.support.clients import account_at_noon

BINDER: Final = ["ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE"]
"""The permissions of a role whose users may bind."""


def account_of(*roles: str, predefined: bool = False) -> FakeAccount:
    """Return an account with roles of these names that may read roles, the first one oldest."""
    account = account_at_noon(predefined=predefined)
    for name in roles:
        account.add_role(name, ["ROLE_READ"], id=role_id(name))
    return account


def role_id(name: str) -> str:
    """Return an ID that is no secret's draw, for texts and checksums that are literal."""
    return base64.b64encode(f"Role:{name}".encode()).decode()


def declared(
    name: str, *previously: str, permissions: Iterable[str] = ("ROLE_READ",)
) -> DeclaredRole:
    return DeclaredRole(name=name, previously=previously, permissions=permissions)


def declaration(*roles: str | DeclaredRole, absent: Iterable[str] = ()) -> Declaration:
    """Return a declaration of roles, those given by name with what `account_of` gives them."""
    each = [declared(role) if isinstance(role, str) else role for role in roles]
    return Declaration(roles=each, absent=absent)


def content(role: Role | DeclaredRole) -> tuple[str, str | None, frozenset[str]]:
    return role.name, role.description or None, frozenset(map(str, role.permissions or ()))


def contents(account: FakeAccount) -> dict[str, tuple[str | None, frozenset[str]]]:
    """Return the custom roles of an account by name."""
    return {role.name: content(role)[1:] for role in account.roles if not role.is_predefined}


def changes(account: FakeAccount) -> list[tuple[str, dict[str, Any]]]:
    """Return what an account was asked to change, and how."""
    reads = ("list", "get", "role_bindings.list")
    return [(c.operation, dict(c.arguments)) for c in account.calls if c.operation not in reads]


WIDER: Final = frozenset({"DATASET_READ", "ROLE_READ"})

MIXED: Final = declaration(
    declared("B", "B old"),
    declared("C", permissions=WIDER),
    declared("New"),
    "Same",
    absent=["D", "E"],
)
"""Two updates, two deletes and a create, for the account below."""


def mixed_account() -> FakeAccount:
    account = account_of("B old", "C", "D", "E", "Same", "Undeclared", predefined=True)
    account.add_role("C", ["ROLE_READ"], description="Old", id=role_id("C"))
    return account


async def ended(
    roles: RolesClient, wanted: Declaration = MIXED, permit: Callable[[], object] = lambda: None
) -> ApplyResult:
    """Run a plan as the command does, and return its result, also if it failed."""
    run = Run(roles, await read_plan(roles, wanted), permit)
    with contextlib.suppress(ApplyError):
        await run.finish()
    return run.result
