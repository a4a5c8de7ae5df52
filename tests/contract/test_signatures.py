"""A parameter of a protocol that no contract test gives would be any client's own affair."""

import ast
import inspect
from types import ModuleType

import pytest

from arize_roles_async import RoleBindingsClient, RolesClient
from arize_roles_fake.contract import _any_client, _role_bindings, _roles

PROTOCOLS = [(RolesClient, _roles), (RoleBindingsClient, _role_bindings)]


@pytest.mark.parametrize(("client", "contract"), PROTOCOLS)
def test_every_parameter(client: type, contract: ModuleType) -> None:
    """Every parameter of a protocol is given by a contract test."""
    tree = ast.parse(inspect.getsource(contract) + inspect.getsource(_any_client))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    client_name = "roles" if contract is _roles else "bindings"
    for name, method in inspect.getmembers(client, inspect.isfunction):
        if not name.startswith("_"):
            of_it = [
                call
                for call in calls
                if ast.unparse(call.func).endswith(f".{name}")
                or ast.unparse(call).startswith(f"Call({client_name}, '{name}'")
            ]
            given = {keyword.arg for call in of_it for keyword in call.keywords}
            assert given >= inspect.signature(method).parameters.keys() - {"self"}, name
