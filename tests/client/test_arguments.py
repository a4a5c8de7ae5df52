"""Laws over all methods and their arguments, by their signatures; the rules of arguments."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from arize_roles_async import (
    UNSET,
    ArizeClient,
    ByName,
    Directory,
    Permission,
    RoleBindingsClient,
    RolesClient,
    RolesError,
    UnknownPermission,
    ValidationError,
)
from arize_roles_async._clients.paging import Pages
from arize_roles_async._roles.requests import (
    description_flaw,
    filter_flaw,
    name_flaw,
    normalize_permissions,
    permissions_flaw,
)
from arize_roles_async._values.requests import id_flaw, limit_flaw, name_or_id_flaw, text_flaw
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


# The rules: where each ends, and what it says.

role_flaw = partial(name_or_id_flaw, "role")
SURROGATES = "must not contain surrogates, which UTF-8 cannot carry"
NOT_ALLOWED = (
    "only ASCII letters, digits, space "
    "and - _ . , ( ) [ ] ' \" / : \\ & @ # $ % ! ? + = are allowed"
)


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (name_flaw, 5, "must be a string, not int"),
        (name_flaw, "", "must have 1 to 255 characters, not 0"),
        (name_flaw, "n" * 256, "must have 1 to 255 characters, not 256"),
        (name_flaw, "a~é~\n", rf"must not contain '~\xe9\n': {NOT_ALLOWED}"),
        (
            name_flaw,
            "".join(map(chr, range(0x4E00, 0x4E15))),
            f"must not contain {''.join(map(chr, range(0x4E00, 0x4E14)))!a}: {NOT_ALLOWED}",
        ),
        (description_flaw, "d" * 1001, "must have at most 1000 characters, not 1001"),
        (description_flaw, "\ud800", SURROGATES),
        (permissions_flaw, "ROLE_READ", "must be a list of permissions, not str"),
        (permissions_flaw, (), "must hold at least one permission"),
        (permissions_flaw, (5,), "must hold permissions or their identifiers, not int"),
        (
            *(permissions_flaw, ("ROLE_RAED", Permission.ROLE_READ, None)),
            (
                "'ROLE_RAED' is not a known permission; did you mean ROLE_READ?; "
                "must hold permissions or their identifiers, not None"
            ),
        ),
        (
            permissions_flaw,
            (1,) * 6,
            "; ".join([*["must hold permissions or their identifiers, not int"] * 5, "and 1 more"]),
        ),
        (permissions_flaw, (UnknownPermission("\ud800"),), rf"'\ud800' {SURROGATES}"),
        (permissions_flaw, (UnknownPermission(""),), "'' must not be empty"),
        (id_flaw, "i" * 1001, "must have at most 1000 characters, not 1001"),
        (role_flaw, "n" * 256, "must have at most 255 characters if it is a name, not 256"),
        (role_flaw, "Ojo6" * 251, "must have at most 1000 characters, not 1004"),
        (limit_flaw, True, "must be an integer, not bool"),
        (limit_flaw, 1.0, "must be an integer, not float"),
        (limit_flaw, 0, "must be 1 to 100, not 0"),
        (limit_flaw, 101, "must be 1 to 100, not 101"),
        (text_flaw, "", "must not be empty"),
        (text_flaw, "\udfff", SURROGATES),
        (filter_flaw, 1, "must be True or False, not int"),
    ],
)
def test_refused(rule: Callable[[object], str | None], value: object, message: str) -> None:
    """Values that a rule refuses, with its message."""
    assert rule(value) == message


@pytest.mark.parametrize("value", ["ROLE_READ", b"ROLE_READ"])
def test_not_several(value: Any) -> None:  # noqa: ANN401 - whatever a caller gives
    """A text is no list of permissions, and left to the rule."""
    assert normalize_permissions(value) is value
