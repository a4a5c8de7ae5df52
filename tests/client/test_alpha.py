"""The notice that a method is ALPHA: once a process, where it is used, and as filters want it."""

import asyncio
import inspect
import linecache
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable

import pytest

from arize_roles_async import AlphaWarning, RolesClient
from arize_roles_async._calls import stage
from arize_roles_async._roles.client import alpha
from arize_roles_fake import FakeRolesClient
from tests.support.processes import clean_environment

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.filterwarnings("always::arize_roles_async.AlphaWarning"),
]


@pytest.fixture(autouse=True)
def new_process() -> None:
    """Begin as a new process does, in which no method has been used."""
    stage.warned.clear()


Use = Callable[[RolesClient], Awaitable[object]]
USES: dict[str, Use] = {
    "list": lambda roles: roles.list(),
    "get": lambda roles: roles.get(role="Admin"),
    "create": lambda roles: roles.create(name="A", permissions=["ROLE_READ"]),
    "update": lambda roles: roles.update(role="Custom", description="B"),
    "delete": lambda roles: roles.delete(role="Custom"),
}


async def use_once() -> None:
    """Stand for an async method."""


def client() -> FakeRolesClient:
    roles = FakeRolesClient()
    roles.account.add_role("Custom", ["ROLE_READ"])
    return roles


@pytest.mark.parametrize("name", USES)
async def test_first_use(name: str) -> None:
    """The first use of a method says that it is ALPHA, where it is used, and no later one."""
    clients = [client() for _ in range(2)]
    with pytest.warns(AlphaWarning) as caught:
        await asyncio.gather(*map(USES[name], clients))

    (notice,) = caught
    assert str(notice.message) == (
        f"roles.{name} is ALPHA (BETA in Arize's newest clients) and may change without notice"
    )
    assert notice.filename == __file__
    assert f"roles.{name}(" in linecache.getline(__file__, notice.lineno)


async def test_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python can mark a function as async, only wrappers of async methods are marked."""
    marked: list[object] = []

    def mark(function: object) -> object:
        marked.append(function)
        return function

    monkeypatch.setattr(inspect, "markcoroutinefunction", mark, raising=False)
    alpha(client)
    warns = alpha(use_once)
    assert marked == [warns]


async def test_filter() -> None:
    """The documented filter silences the notice from outside the program."""
    code = (
        "import asyncio, arize_roles_fake as fake\n"
        "async def main():\n"
        "    async with fake.FakeRolesClient() as roles:\n"
        "        await roles.list()\n"
        "asyncio.run(main())"
    )

    ran = subprocess.run(  # noqa: ASYNC221, S603 - our own line
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment() | {"PYTHONWARNINGS": "error,ignore:roles."},
    )

    assert (ran.returncode, ran.stderr) == (0, "")


async def test_as_an_error() -> None:
    """A notice that was made an error is due again."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", AlphaWarning)
        for _ in range(2):
            with pytest.raises(AlphaWarning):
                await client().get(role="Admin")

    with pytest.warns(AlphaWarning):
        await client().get(role="Admin")
