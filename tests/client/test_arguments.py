"""Laws over all methods and their arguments, in tables that are made from their signatures."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from arize_roles_async import (
    UNSET,
    ArizeClient,
    ByName,
    Directory,
    RoleBindingsClient,
    RolesClient,
    RolesError,
    ValidationError,
)
from arize_roles_async._calls.paging import Pages
from arize_roles_fake import FakeRolesClient
from tests.support.clients import Connect, account_at_noon, both_clients

OWNERS: dict[type, Callable[[ArizeClient], Any]] = {
    RolesClient: lambda roles: roles,
    RoleBindingsClient: lambda roles: roles.role_bindings,
    Directory: lambda roles: roles.directory,
    ByName: lambda roles: roles.by_name,
}


IDS = {
    "role": "Um9sZToxOmFCY0Q=",
    "user": "VXNlcjoxOmFCY0Q=",
    "space": "U3BhY2U6MTphQmNE",
    "project": "TW9kZWw6MTphQmNE",
    "binding": "Um9sZUJpbmRpbmc6MTphQmNE",
}
VALUES = {
    **{f"{name}_id": value for name, value in IDS.items()},
    "resource_id": IDS["space"],
    "user": "ada@example.com",
    "role": "Analyst",
    "space": "ML",
    "project": "churn",
    "resource_type": "SPACE",
}
OF_A_PAGE = {"limit", "cursor"}
NO_FILTERS = {"create", "update", "get", "delete", "with_options", "aclose"}
"""Methods whose optional arguments are no filters: what they change, or one of two targets."""


def parameters(owner: type) -> list[tuple[str, inspect.Parameter]]:
    """Return the parameters of an owner's public methods, each with the name of its method."""
    return [
        (name, parameter)
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
        for parameter in inspect.signature(method).parameters.values()
    ]


def optional_arguments(owner: type) -> list[tuple[str, inspect.Parameter]]:
    """Return the filters of an owner's methods, each with the name of its method."""
    return [
        (name, each)
        for name, each in parameters(owner)
        if name not in NO_FILTERS and each.default is not each.empty and each.name not in OF_A_PAGE
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
    except RolesError:
        pass
    return []


@both_clients
async def test_none(connect: Connect) -> None:
    """A filter that is left out is `UNSET`, and None is refused before anything is sent."""
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
    """A filter that takes None for all would be found."""

    class Lax:
        async def find(self, *, user_id: str | None = None) -> None: ...

    ((name, parameter),) = optional_arguments(Lax)
    assert (name, parameter.name, parameter.default) == ("find", "user_id", None)
    assert await flaws(Lax().find, user_id=None) == []


UNKNOWN = "VGVhbToxOmFCY0Q="
"""Of Team:1:aBcD, which may be anything."""
OF = {
    "in_space": {"space"},
    "resource_id": {"space", "project"},
    **{name: {name} for name in IDS},
    **{f"{name}_id": {name} for name in IDS},
}
"""What the ID in an argument may be of."""


ARGUMENTS = [
    (owner, name, each.name)
    for owner in OWNERS
    for name, each in parameters(owner)
    if each.name in OF or each.name.endswith("_id")
]


def given_with(method: Callable[..., object], argument: str, value: str) -> dict[str, Any]:
    """Return arguments of a method, all valid but perhaps for one."""
    taken = inspect.signature(method).parameters
    needed = arguments(method) | {argument: value}
    if "space" in taken and not {"project", "space"} & {*needed}:
        needed["space"] = VALUES["space"]  # `ByName` needs one place.
    if argument == "in_space" and "project" in taken:
        needed = {**needed, "project": VALUES["project"]}
        needed.pop("space", None)
    return needed


def test_tables() -> None:
    """The tables have the arguments of every resource; of an ID, with what it is of."""
    found = {f"{owner.__name__}.{name}({each.name})" for owner, name, each in FILTERS}
    assert found >= {
        *("RolesClient.list(is_predefined)", "RoleBindingsClient.list(user_id)"),
        *("RoleBindingsClient.find(resource_id)", "Directory.get_project(in_space)"),
        "ByName.remove(project)",
    }
    assert {each for _, _, each in ARGUMENTS} == {*OF} - {"space_id", "project_id", "binding"}


@both_clients
async def test_kind(connect: Connect) -> None:
    """An ID that says another kind is refused before anything is sent, by every argument."""
    account = account_at_noon()
    async with connect(account) as roles:
        assert isinstance(roles, ArizeClient)
        for owner, name, argument in ARGUMENTS:
            method = getattr(OWNERS[owner](roles), name)
            taken = OF[argument]
            if "resource_type" in inspect.signature(method).parameters:
                taken = taken - {"project"}
            for kind, value in [*IDS.items(), *((each, UNKNOWN) for each in taken)]:
                found = await flaws(method, **given_with(method, argument, value))
                assert (argument in found) == (kind not in taken), (owner, name, argument, kind)


LISTINGS = [
    (owner, name)
    for owner in OWNERS
    for name, method in inspect.getmembers(owner, inspect.isfunction)
    if not (name.startswith("_") or name == "with_options")
    and not inspect.iscoroutinefunction(inspect.unwrap(method))
]


@pytest.mark.parametrize(("owner", "name"), LISTINGS)
def test_asynchronous(owner: type, name: str) -> None:
    """A listing is neither true nor false, and no plain loop takes it."""
    method = getattr(OWNERS[owner](FakeRolesClient()), name)
    for use in (bool, iter):
        with pytest.raises(TypeError, match=r"a listing is asynchronous: .*use async for to walk"):
            use(method(**arguments(method)))


@pytest.mark.parametrize(("owner", "name"), LISTINGS)
async def test_from_fetch(owner: type, name: str) -> None:
    """A listing over the client's own method is the same, and refuses the same."""
    method = getattr(OWNERS[owner](FakeRolesClient()), name)
    given = arguments(method)
    listing: Any = method(**given)
    if isinstance(listing, Pages) and owner is not ByName:
        from_fetch: Any = listing.from_fetch
        assert await from_fetch(method, **given) == await listing
        for each in (each.name for *of, each in FILTERS if of == [owner, name]):
            assert await flaws(from_fetch, fetch=method, **given, **{each: None})
