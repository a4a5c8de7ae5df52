"""The notice of a method's stage: once a process, where it is used, and as filters want it."""

import inspect
import sys
import warnings
from unittest.mock import Mock

import pytest

from arize_roles_async import AlphaWarning, BetaWarning, as_code
from arize_roles_async._clients import notices
from arize_roles_async._roles.client import alpha
from arize_roles_fake import FakeRolesClient
from tests.support.processes import clean_environment, ran

ALPHA = "ALPHA (BETA in Arize's newest clients)"
BY_ID = ["list", "get", "create", "update", "delete"]
BY_NAME = ["ensure", "remove", "find"]


@pytest.fixture(autouse=True)
def new_process() -> None:
    """Begin as a new process does, in which no method has been used."""
    notices.warned.clear()


async def use_once() -> None:
    """Stand for an async method."""


@pytest.mark.parametrize(
    ("resource", "stage", "category", "methods"),
    [
        ("roles", ALPHA, AlphaWarning, BY_ID),
        ("role_bindings", "BETA", BetaWarning, [*BY_ID, *BY_NAME]),
        ("directory", "BETA", BetaWarning, ["users", "spaces", "projects"]),
        ("directory", "BETA", BetaWarning, ["get_user", "get_space", "get_project"]),
        ("by_name", "BETA", BetaWarning, BY_NAME),
    ],
)
def test_first_use(resource: str, stage: str, category: type, methods: list[str]) -> None:
    """The first use of a method says its stage, where it is used, and no later one."""
    roles = FakeRolesClient()
    client = roles if resource == "roles" else getattr(roles, resource)
    with warnings.catch_warnings(record=True, action="always") as caught:
        for name in methods * 2:
            with pytest.raises(TypeError):
                getattr(client, name)(no_argument=1)
    assert [str(notice.message) for notice in caught] == [
        f"{resource}.{name} is {stage} and may change without notice" for name in methods
    ]
    assert {(notice.category, notice.filename) for notice in caught} == {(category, __file__)}


async def test_inner() -> None:
    """Neither a method nor roles as code warns of the methods that it calls."""
    roles = FakeRolesClient()
    roles.account.add_user("ada@example.com")
    roles.account.add_space("ML")
    with warnings.catch_warnings(record=True, action="always") as caught:
        await as_code.plan(roles, as_code.loads(""))
        await roles.list()
        await roles.by_name.ensure(user="ada@example.com", role="Admin", space="ML")
    assert [str(notice.message).split()[0] for notice in caught] == ["roles.list", "by_name.ensure"]
    assert {notice.filename for notice in caught} == {__file__}


def test_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python can mark a function as async, only wrappers of async methods are marked."""
    monkeypatch.setattr(inspect, "markcoroutinefunction", mark := Mock(), raising=False)
    assert alpha(test_filter) is not mark.return_value
    assert alpha(use_once) is mark.return_value


def test_filter() -> None:
    """The documented filter silences the notice from outside the program."""
    code = (
        "import asyncio, arize_roles_fake as fake\n"
        "async def main():\n"
        "    async with fake.FakeRolesClient() as roles:\n"
        "        await roles.list()\n"
        "asyncio.run(main())"
    )
    env = clean_environment() | {"PYTHONWARNINGS": "error,ignore:roles."}
    done = ran(sys.executable, "-c", code, env=env)
    assert (done.returncode, done.stderr) == (0, "")


async def test_as_an_error() -> None:
    """A notice that was made an error is due again."""
    roles = FakeRolesClient()
    with warnings.catch_warnings():
        warnings.simplefilter("error", AlphaWarning)
        for _ in range(2):
            with pytest.raises(AlphaWarning):
                await roles.get(role="Admin")
    with pytest.warns(AlphaWarning):
        await roles.get(role="Admin")
