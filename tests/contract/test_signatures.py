"""A parameter of `RolesClient` that no contract test gives would be any client's own affair."""

import ast
import inspect

from arize_roles_async import RolesClient
from arize_roles_fake import contract

METHODS = ("list", "get", "create", "update", "delete", "with_options", "aclose")


def given(source: str) -> dict[str, set[str]]:
    """Return the keywords that calls in a source give to each method of a client."""
    keywords: dict[str, set[str]] = {method: set() for method in METHODS}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            keywords.get(node.func.attr, set()).update(found)
    return keywords


def parameters(client: type) -> dict[str, set[str]]:
    """Return the parameters of each method of a client."""
    return {
        method: set(inspect.signature(getattr(client, method)).parameters) - {"self"}
        for method in METHODS
    }


def test_every_parameter() -> None:
    """Every parameter of `RolesClient` is given by a contract test."""
    assert given(inspect.getsource(contract)) == parameters(RolesClient)


def test_new_parameter() -> None:
    """A parameter that no test gives makes the difference."""

    class Sorted(RolesClient):
        def list(self, *, sort: str | None = None) -> None: ...  # type: ignore[override]

    assert given("roles.list()")["list"] == set()
    assert parameters(Sorted)["list"] == {"sort"}


def test_methods() -> None:
    """Every method that takes arguments is checked."""
    methods = [
        name
        for name, method in inspect.getmembers(RolesClient, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(method).parameters) > 1
    ]
    assert sorted(METHODS) == methods
