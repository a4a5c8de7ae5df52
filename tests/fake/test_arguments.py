"""What every public method of the fake makes of an argument, by its signature."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args, get_type_hints

import pytest
from _pytest.mark import ParameterSet

from arize_roles_async import Request, RolesError
from arize_roles_fake import (
    Assumptions,
    FakeAccount,
    FakeRolesClient,
    RolesServer,
    make_role,
    mock_arize,
)
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.make_role import RoleFields
from arize_roles_fake._testing.received import Matcher

GIVEN: Final[dict[str, Any]] = {
    "email": "ada",
    "expected": {},
    "failure": 503,
    "id": "Space:1",
    "key": "key",
    "label": "ada",
    "name": "A",
    "operation": "list",
    "path": "",
    "per_second": 1,
    "resource": "Space:1",
    "role": "Admin",
    "seconds": 1,
    "settings": (),
    "space": "ML",
    "request": Request(method="GET", target="/"),
    "source": '{"roles": []}',
    "user": "ada",
}
"""A value of each argument that some method needs."""
OWNERS: Final[dict[type, Callable[[], object]]] = {
    **{each: each for each in (FakeAccount, Assumptions, RolesServer)},
    Blocked: lambda: Blocked(Matcher("list", None)),
}
FUNCTIONS: Final[list[Callable[..., Any]]] = [
    *(FakeAccount, Assumptions, RolesServer, FakeRolesClient, make_role, mock_arize),
    *(
        getattr(owner, name)
        for owner in OWNERS
        for name in dir(owner)
        if name[0] != "_" and callable(getattr(owner, name))
    ),
]


def parameters() -> Iterator[ParameterSet]:
    """Yield each argument of each function, and whether it may be None."""
    for function in FUNCTIONS:
        for name, each in inspect.signature(function).parameters.items():
            is_given = each.kind is each.VAR_KEYWORD
            takes_none = each.default is None or type(None) in get_args(each.annotation)
            for one in get_type_hints(RoleFields) if is_given else [name]:
                if one != "self":
                    title = f"{function.__qualname__}-{one}"
                    yield pytest.param(function, one, is_given or takes_none, id=title)


@pytest.mark.arize_roles(unused_faults="allow")
@pytest.mark.parametrize(("function", "name", "takes_none"), [*parameters()])
def test_none(function: Callable[..., Any], name: str, takes_none: bool) -> None:  # noqa: FBT001 - a parameter
    """None is a value that the signature has, or an error that names the argument."""
    owner = next((each for each in OWNERS if vars(each).get(function.__name__) is function), None)
    needed = inspect.signature(function).parameters.items()
    given = {each: GIVEN[each] for each, it in needed if it.default is it.empty and each in GIVEN}
    places: list[Any] = [] if owner is None else [OWNERS[owner]()]
    if name == "sizes":
        places.append(None)
    else:
        given[name] = None
    if name == "email":
        given["id"] = "bot"  # A user without an address needs one.
    if takes_none:
        function(*places, **given)
        return
    with pytest.raises((TypeError, ValueError, RolesError)) as caught:
        function(*places, **given)
    assert re.search(rf"\b{name} must (not be None|be .*, not None)$", str(caught.value))


@pytest.mark.parametrize("name", sorted({*dir(FakeAccount)} & {f.__name__ for f in FUNCTIONS}))
def test_unknown(name: str) -> None:
    """An error about the arguments of a method names it as the test wrote it."""
    with pytest.raises(TypeError, match=rf"^FakeAccount\.{name}\(\) "):
        getattr(FakeAccount(), name)(nonsense=1)
