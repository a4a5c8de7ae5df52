"""Accounts and declarations for the tests of roles as code."""

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from arize_roles_async import Role
from arize_roles_async._wire.request import Request
from arize_roles_async.as_code import Declaration, DeclaredRole
from arize_roles_fake import FakeAccount, Reply
from tests.support.clients import account_at_noon


class Withholding(FakeAccount):
    """An account that answers without permissions, as the reference says of some keys.

    Where `only_changes` is set, it answers so to changes alone.
    """

    only_changes = False

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        if self.only_changes and request.method == "GET":
            return reply
        body = msgspec.json.decode(reply.body or b"{}")
        for role in (body, *body.get("roles", ())):
            role.pop("permissions", None)
        return msgspec.structs.replace(reply, body=msgspec.json.encode(body))


def account_of(
    *roles: str, predefined: bool = False, max_custom_roles: int | None = None
) -> FakeAccount:
    """Return an account with roles of these names that may read roles, the first one oldest."""
    account = account_at_noon(predefined=predefined, max_custom_roles=max_custom_roles)
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
    return [(c.operation, dict(c.arguments)) for c in account.calls if c.operation != "list"]
