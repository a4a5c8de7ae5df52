"""A parameter of a protocol that no contract test gives would be any client's own affair."""

import ast
import inspect
from types import ModuleType

import pytest

from arize_roles_async import RoleBindingsClient, RolesClient
from arize_roles_fake.contract import _role_bindings, _roles

PROTOCOLS = [(RolesClient, _roles), (RoleBindingsClient, _role_bindings)]


def methods(client: type) -> list[str]:
    """Return the methods of a client that take arguments."""
    return [
        name
        for name, method in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(method).parameters) > 1
    ]


def given(client: type, source: str) -> dict[str, set[str]]:
    """Return the keywords that calls in a source give to each method of a client.

    A call that unpacks a mapping gives every key that is written in the source.
    """
    keywords: dict[str, set[str]] = {method: set() for method in methods(client)}
    nodes = [*ast.walk(ast.parse(source))]
    dicts = [node for node in nodes if isinstance(node, ast.Dict)]
    keys = {key.value for each in dicts for key in each.keys if isinstance(key, ast.Constant)}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            for keyword in node.keywords:
                found = keys if keyword.arg is None else {keyword.arg}
                keywords.get(node.func.attr, set()).update(map(str, found))
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
    found = given(client, inspect.getsource(contract))
    left = {(name, each) for name, some in parameters(client).items() for each in some}
    assert left - {(name, each) for name, some in found.items() for each in some} == set()


def test_new_parameter() -> None:
    """A parameter that no test gives makes the difference."""

    class Sorted(RolesClient):
        def list(self, *, sort: str | None = None) -> None: ...  # type: ignore[override]

    assert given(Sorted, "roles.list()")["list"] == set()
    assert parameters(Sorted)["list"] == {"sort"}
