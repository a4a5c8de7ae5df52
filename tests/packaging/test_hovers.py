"""Editors that use Jedi show documentation for the methods of both clients."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from arize_roles_async import RolesClient
from tests.tools.linters import CALLS, IMPORTS

pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.full]

# It has no types.
jedi: Any = import_module("jedi")


@pytest.mark.parametrize("imported", IMPORTS)
@pytest.mark.parametrize("method", [*CALLS, "with_options", "aclose"])
def test_jedi(imported: str, method: str) -> None:
    """Jedi shows the protocol's documentation."""
    code = f"{imported}\nroles = {imported.rpartition(' ')[2]}()\nroles.{method}"

    (found,) = jedi.Script(code).help(3, len("roles."))

    assert found.docstring(raw=True) == inspect.getdoc(getattr(RolesClient, method))
