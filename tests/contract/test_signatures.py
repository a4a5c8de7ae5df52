"""A parameter of a protocol that no contract test gives would be any client's own affair."""

import ast
import inspect
from types import ModuleType

import pytest

from arize_roles_async import RoleBindingsClient, RolesClient
from arize_roles_fake.contract import _role_bindings, _roles, _suite

PROTOCOLS = [(RolesClient, _roles), (RoleBindingsClient, _role_bindings)]


def methods(client: type) -> list[str]:
    """Return the methods of a client that take arguments."""
    return [
        name
        for name, method in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(method).parameters) > 1
    ]


def given(client: type, source: str) -> dict[str, set[str]]:
    """Return the keywords that calls in a source give to each method of a client."""
    keywords: dict[str, set[str]] = {method: set() for method in methods(client)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            keywords.get(node.func.attr, set()).update(found)
    return keywords


def parameters(client: type) -> dict[str, set[str]]:
    """Return the parameters of each method of a client."""
    return {
        method: set(inspect.signature(getattr(client, method)).parameters) - {"self"}
        for method in methods(client)
    }


@pytest.mark.parametrize(("client", "contract"), PROTOCOLS)
def test_every_parameter(client: type, contract: ModuleType) -> None:
    """Every parameter of a protocol is given by a contract test."""
    there = given(client, inspect.getsource(contract))
    # A rule for clients of every resource closes them.
    there["aclose"] |= given(client, inspect.getsource(_suite))["aclose"]
    assert there == parameters(client)


def test_new_parameter() -> None:
    """A parameter that no test gives makes the difference."""

    class Sorted(RolesClient):
        def list(self, *, sort: str | None = None) -> None: ...  # type: ignore[override]

    assert given(Sorted, "roles.list()")["list"] == set()
    assert parameters(Sorted)["list"] == {"sort"}
