import inspect
import linecache
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable

import pytest

from arize_roles_async import AlphaWarning, RolesClient
from arize_roles_async._calls import stage
from arize_roles_async._client import alpha
from arize_roles_fake import FakeRolesClient
from tests.support.processes import clean_environment

pytestmark = [pytest.mark.asyncio, pytest.mark.filterwarnings("always")]


@pytest.fixture(autouse=True)
def new_process() -> None:
    """Begin as a new process does, in which no method has been used."""
    stage.warned.clear()


async def list_(roles: RolesClient) -> object:
    return await roles.list()


async def get(roles: RolesClient) -> object:
    return await roles.get(role="Admin")


async def create(roles: RolesClient) -> object:
    return await roles.create(name="A", permissions=["ROLE_READ"])


async def update(roles: RolesClient) -> object:
    return await roles.update(role="Custom", description="B")


async def delete(roles: RolesClient) -> object:
    await roles.delete(role="Custom")
    return None


METHODS = pytest.mark.parametrize("use", [list_, get, create, update, delete])
Use = Callable[[RolesClient], Awaitable[object]]


def client() -> FakeRolesClient:
    roles = FakeRolesClient()
    roles.account.add_role("Custom", ["ROLE_READ"])
    return roles


@METHODS
async def test_first_use(use: Use) -> None:
    """The first use of a method says that it is ALPHA, where it is used."""
    with pytest.warns(AlphaWarning) as caught:
        await use(client())

    name = use.__name__.removesuffix("_")
    (notice,) = caught
    assert str(notice.message) == (
        f"roles.{name} is ALPHA (BETA in Arize's newest clients) and may change without notice"
    )
    assert notice.filename == __file__
    assert f"roles.{name}(" in linecache.getline(__file__, notice.lineno)


@METHODS
async def test_once(use: Use) -> None:
    """A method says it once in a process."""
    with pytest.warns(AlphaWarning):
        await use(client())

    with warnings.catch_warnings(record=True) as caught:
        await use(client())

    assert caught == []


async def test_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python can mark a function as async, only wrappers of async methods are marked."""
    marked: list[object] = []

    def mark(function: object) -> object:
        marked.append(function)
        return function

    monkeypatch.setattr(inspect, "markcoroutinefunction", mark, raising=False)
    alpha(client)
    get_once = alpha(get)
    assert marked == [get_once]


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (("-W", "error"), {}, "AlphaWarning: roles.list is ALPHA"),
        (("-W", "error", "-W", "ignore:roles."), {}, ""),
        ((), {"PYTHONWARNINGS": "error"}, "AlphaWarning: roles.list is ALPHA"),
        ((), {"PYTHONWARNINGS": "error,ignore:roles."}, ""),
    ],
)
async def test_filter(options: tuple[str, ...], environment: dict[str, str], said: str) -> None:
    """The documented filter silences the notice from outside the program."""
    code = (
        "import asyncio, arize_roles_fake as fake\n"
        "async def main():\n"
        "    roles = fake.FakeRolesClient()\n"
        "    await roles.list()\n"
        "    await roles.get(role='Admin')\n"
        "asyncio.run(main())"
    )

    ran = subprocess.run(  # noqa: ASYNC221, S603 - our own line
        [sys.executable, *options, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment() | environment,
    )

    assert ran.returncode == (1 if said else 0)
    assert said in ran.stderr
    assert said or not ran.stderr


async def test_as_an_error() -> None:
    """A notice that was made an error is due again."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", AlphaWarning)
        for _ in range(2):
            with pytest.raises(AlphaWarning):
                await get(client())

    with pytest.warns(AlphaWarning):
        await get(client())
