"""Laws over the arguments of all methods, in a table that is made from their signatures."""

import inspect
from collections.abc import Callable
from typing import Any

from arize_roles_async import (
    UNSET,
    ArizeClient,
    ByName,
    Directory,
    RoleBindingPages,
    RoleBindingsClient,
    RolePages,
    RolesClient,
    ValidationError,
)
from tests.support.clients import Connect, account_at_noon, both_clients

OWNERS: dict[type, Callable[[ArizeClient], Any]] = {
    RolesClient: lambda roles: roles,
    RoleBindingsClient: lambda roles: roles.role_bindings,
    Directory: lambda roles: roles.directory,
    ByName: lambda roles: roles.by_name,
    RolePages: lambda _: RolePages,
    RoleBindingPages: lambda _: RoleBindingPages,
}
VALUES = {
    "user": "ada@example.com",
    "role": "Analyst",
    "space": "ML",
    "project": "churn",
    "resource_type": "SPACE",
    "fetch": None,
}
OF_A_PAGE = {"limit", "cursor"}
NO_FILTERS = {"create", "update", "get", "delete", "with_options", "aclose"}
"""Methods whose optional arguments are no filters: what they change, or one of two targets."""


def optional_arguments(owner: type) -> list[tuple[str, inspect.Parameter]]:
    """Return the filters of an owner's methods, each with the name of its method."""
    return [
        (name, parameter)
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not (name.startswith("_") or name in NO_FILTERS)
        for parameter in inspect.signature(method).parameters.values()
        if parameter.default is not parameter.empty and parameter.name not in OF_A_PAGE
    ]


FILTERS = [
    (owner, name, parameter) for owner in OWNERS for name, parameter in optional_arguments(owner)
]


def arguments(method: Callable[..., object], *others: str) -> dict[str, Any]:
    """Return valid values for the arguments that a method needs, and for some others of its own."""
    return {
        name: VALUES[name]
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is parameter.empty or name in others
    }


async def flaws(method: Callable[..., Any], **given: object) -> list[str]:
    """Return the fields that a method finds wrong."""
    try:
        result = method(**given)
        if inspect.isawaitable(result):
            await result
    except ValidationError as error:
        return [each.field for each in error.violations]
    return []


def test_filters() -> None:
    """The table has the filters of every resource."""
    found = {f"{owner.__name__}.{name}({each.name})" for owner, name, each in FILTERS}
    assert found >= {
        "RolesClient.list(is_predefined)",
        "RoleBindingsClient.list(user_id)",
        "RoleBindingsClient.find(resource_id)",
        "Directory.get_project(in_space)",
        "ByName.remove(project)",
        "RolePages.from_fetch(is_predefined)",
    }


@both_clients
async def test_none(connect: Connect) -> None:
    """A filter that is left out is `UNSET`, and None is refused before anything is sent.

    So a value that is missing by mistake, such as `ids.get(user)`, does not mean everybody.
    """
    account = account_at_noon()
    async with connect(account) as roles:
        assert isinstance(roles, ArizeClient)
        for owner, name, parameter in FILTERS:
            assert parameter.default is UNSET, (owner, name, parameter)
            method = getattr(OWNERS[owner](roles), name)
            given = arguments(method, *({"project"} if parameter.name == "in_space" else ()))
            found = await flaws(method, **given | {parameter.name: None})
            assert parameter.name in found, (owner, name, parameter)
    assert account.calls == ()


async def test_fault() -> None:
    """A filter that takes None for all is found."""

    class Lax:
        async def find(self, *, user_id: str | None = None) -> None: ...

    ((name, parameter),) = optional_arguments(Lax)
    assert (name, parameter.name, parameter.default) == ("find", "user_id", None)
    assert await flaws(Lax().find, user_id=None) == []
