"""Editors show documentation for the methods of both clients."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from arize_roles_async import RolesClient

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.full]

# It has no types.
jedi: Any = import_module("jedi")


@pytest.mark.parametrize(
    ("package", "client"),
    [("arize_roles_async", "AiohttpRolesClient"), ("arize_roles_fake", "FakeRolesClient")],
)
@pytest.mark.parametrize(
    "method", ["create", "list", "get", "update", "delete", "with_options", "aclose"]
)
def test_jedi(package: str, client: str, method: str) -> None:
    """Jedi shows the protocol's documentation."""
    code = f"from {package} import {client}\nroles = {client}()\nroles.{method}"

    (found,) = jedi.Script(code).help(3, len("roles."))

    assert found.docstring(raw=True) == inspect.getdoc(getattr(RolesClient, method))
