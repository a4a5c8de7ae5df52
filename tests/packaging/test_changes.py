"""Changes that the project expects: whoever makes one finds every place here that it needs.

`tests/README.md` lists these changes, with the files that each takes.
"""

import inspect
import os
import re
from pathlib import Path
from typing import Final

import pytest

import arize_roles_async
from arize_roles_async import RolesClient, RolesError
from arize_roles_async._roles.requests import ROLES
from arize_roles_async._values import errors as _errors

ERRORS: Final = [
    error
    for error in vars(_errors).values()
    if isinstance(error, type) and issubclass(error, RolesError)
]
HTTPS_ONLY: Final = {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}
"""These say whom to trust. Other programs read them, too, and the test's server is plain http."""


@pytest.mark.parametrize("error", ERRORS)
def test_exported(error: type[RolesError]) -> None:
    """A new error, such as one for another status, is a public name."""
    assert error.__name__ in arize_roles_async.__all__
    assert getattr(arize_roles_async, error.__name__) is error


def test_operations() -> None:
    """The protocol has every operation, and nothing else that asks the service."""
    methods = {name for name, _ in inspect.getmembers(RolesClient, inspect.isfunction)}
    operations = {*ROLES.operations}
    assert {each for each in methods if each[0] != "_"} == operations | {"aclose", "with_options"}


def test_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every variable that configures a client, the fixture `arize_env` has its own value."""
    package = Path(arize_roles_async.__file__).parent
    source = package.joinpath("_aiohttp", "config.py").read_text("utf-8")
    names = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', source))
    assert names >= {"ARIZE_API_KEY", "ARIZE_BASE_URL", "SSL_CERT_FILE"}
    for name in names:
        monkeypatch.setenv(name, "a developer's own")

    request.getfixturevalue("arize_env")

    left = {name for name in names if os.environ.get(name) == "a developer's own"}
    assert left == HTTPS_ONLY
