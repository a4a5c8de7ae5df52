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
    "name": "AI Engineer",
    "permissions": ["ROLE_READ"],
}
UNKNOWN = "VGVhbToxOmFCY0Q="
"""Of Team:1:aBcD, which may be anything."""
OF = {
    "in_space": {"space"},
    "resource_id": {"space", "project"},
    **{name: {name} for name in IDS},
    **{f"{name}_id": {name} for name in IDS},
}
"""What the ID in an argument may be of."""
NO_FILTERS = {"create", "update", "get", "delete", "with_options", "aclose"}
"""Methods whose optional arguments are no filters: what they change, or one of two targets."""


def parameters(owner: type) -> list[tuple[str, inspect.Parameter]]:
    """Return the parameters of an owner's public methods, each with the name of its method."""
    return [
        (name, parameter)
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
        for parameter in [*inspect.signature(method).parameters.values()][1:]
    ]


def filters(owner: type) -> list[tuple[str, inspect.Parameter]]:
    """Return the filters of an owner's methods, each with the name of its method."""
    return [
        (name, each)
        for name, each in parameters(owner)
        if name not in NO_FILTERS and each.default is not each.empty
        if each.name not in {"limit", "cursor"}
    ]


FILTERS = [(owner, name, parameter) for owner in OWNERS for name, parameter in filters(owner)]
ARGUMENTS = [
    (owner, name, each.name)
    for owner in OWNERS
    for name, each in parameters(owner)
    if each.name in OF or each.name.endswith("_id")
]


def given(method: Callable[..., object], **others: object) -> dict[str, Any]:
    """Return valid values for the arguments that a method needs, beside others that are given."""
    taken = inspect.signature(method).parameters
    needed = {name: VALUES[name] for name, x in taken.items() if x.default is x.empty} | others
    if "project" in taken and not {"project", "space"} & {*needed}:
        needed["project"] = VALUES["project"]  # `ByName` needs one place, and `in_space` this one.
    return needed


async def flaws(method: Callable[..., Any], **given: object) -> dict[str, str]:
    """Return what a method finds wrong, by its fields."""
    try:
        result = method(**given)
        if inspect.isawaitable(result):
            await result
    except ValidationError as error:
        return {each.field: each.message for each in error.violations}
    except RolesError:
        pass
    return {}


async def test_none() -> None:
    """None is refused before anything is sent, and a filter, which is `UNSET`, can be left out."""
    roles = FakeRolesClient()
    for owner, find in OWNERS.items():
        needed = [each for each in parameters(owner) if each[1].default is inspect.Parameter.empty]
        for name, parameter in [*filters(owner), *needed]:
            method = getattr(find(roles), name)
            found = await flaws(method, **given(method, **{parameter.name: None}))
            is_filter = (name, parameter) not in needed
            end = ", and is left out if it does not matter" if is_filter else ""
            assert found[parameter.name].endswith(f"None{end}"), (owner, name, parameter)
            assert not is_filter or parameter.default is UNSET, (owner, name, parameter)
    assert roles.account.calls == ()


async def test_fault() -> None:
    """A filter that takes None for all would be found."""

    class Lax:
        async def find(self, *, user_id: str | None = None) -> None: ...

    assert [(name, each.default) for name, each in filters(Lax)] == [("find", None)]
    assert await flaws(Lax().find, user_id=None) == {}


def test_tables() -> None:
    """The tables have the arguments of every resource; of an ID, with what it is of."""
    owners = {RolesClient, RoleBindingsClient, Directory, ByName}
    assert {owner for owner, *_ in FILTERS} == {owner for owner, *_ in ARGUMENTS} == owners
    assert {each for _, _, each in ARGUMENTS} == {*OF} - {"space_id", "project_id", "binding"}


async def test_kind() -> None:
    """An ID that says another kind is refused before anything is sent, by every argument."""
    roles = FakeRolesClient()
    for owner, name, argument in ARGUMENTS:
        method = getattr(OWNERS[owner](roles), name)
        taken = OF[argument]
        if "resource_type" in inspect.signature(method).parameters:
            taken = taken - {"project"}
        for kind, value in [*IDS.items(), *((each, UNKNOWN) for each in taken)]:
            before = len(roles.account.calls)
            found = await flaws(method, **given(method, **{argument: value}))
            assert (argument in found) == (kind not in taken), (owner, name, argument, kind)
            assert kind in taken or len(roles.account.calls) == before


LISTINGS = [
    (owner, name)
    for owner in OWNERS
    for name, method in inspect.getmembers(owner, inspect.isfunction)
    if not (name.startswith("_") or name == "with_options")
    and not inspect.iscoroutinefunction(inspect.unwrap(method))
]


@pytest.mark.parametrize(("owner", "name"), LISTINGS)
async def test_listing(owner: type, name: str) -> None:
    """A listing is for `async for` alone, and one over the client's own method is the same."""
    method = getattr(OWNERS[owner](FakeRolesClient()), name)
    listing: Any = method(**given(method))
    for use in (bool, iter):
        with pytest.raises(TypeError, match=r"a listing is asynchronous: .*use async for to walk"):
            use(listing)
    if isinstance(listing, Pages) and owner is not ByName:
        from_fetch: Any = listing.from_fetch
        assert await from_fetch(method, **given(method)) == await listing
        for each in (each.name for *of, each in FILTERS if of == [owner, name]):
            assert await flaws(from_fetch, fetch=method, **given(method) | {each: None})
