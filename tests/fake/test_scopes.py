"""The law of fixtures: every kind in every scope, alone and beside every other one."""

import os
from collections.abc import Callable
from itertools import combinations_with_replacement, product

import pytest

from tests.support.sizes import sized

Run = Callable[..., pytest.RunResult]

KINDS = ("block", "server", "account")
SCOPES = ("function", "class", "module", "session")
OURS = ("fake_account", "fake_roles", "mocked_arize", "roles_server", "arize_env")
NAMES = (*OURS, *(f"{kind}_{scope}" for kind, scope in product(KINDS, SCOPES)))
ONCE_EACH = [
    pair[:: 1 if at % 2 else -1] for at, pair in enumerate(combinations_with_replacement(NAMES, 2))
]
PAIRS = sized(ONCE_EACH, [*product(NAMES, repeat=2)])

CONFTEST = f"""
import asyncio
import itertools
import os
from contextlib import contextmanager
import pytest
from arize_roles_async import AiohttpRolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer, mock_arize

KEY = "ARIZE_API_KEY"
VARIABLES = ("ARIZE_API_HOST", "ARIZE_BASE_URL", "NO_PROXY")
before = {{name: os.environ.get(name) for name in (KEY, *VARIABLES)}}
blocks = []  # the accounts of the open ones, the innermost last
number = itertools.count()

def new_account():
    return FakeAccount(api_key=f"key-{{next(number)}}-of-a-fixture")

def block():
    with mock_arize(new_account()) as account:
        blocks.append(account)
        yield account
        blocks.remove(account)

def server():
    with RolesServer(new_account()) as server:
        yield server.account

def account():
    yield new_account()

def fixture(kind, scope):
    @pytest.fixture(scope=scope, name=f"{{kind}}_{{scope}}")
    def made():
        for account in globals()[kind]():
            if scope != "function":
                account.fail("delete", 503)  # for one of its tests
            yield account

    return made

for kind in {KINDS}:
    for scope in {SCOPES}:
        globals()[f"{{kind}}_{{scope}}"] = fixture(kind, scope)

@pytest.fixture
def mocked_arize(mocked_arize):
    blocks.append(mocked_arize)
    yield mocked_arize
    blocks.remove(mocked_arize)

async def ask(client):
    async with client:
        await client.list()

def check_pair(request, monkeypatch, names):
    # What the tests before have left is what the open blocks make.
    key = blocks[-1].api_key if blocks else before[KEY]
    assert {{name: os.environ.get(name) for name in before}} == {{**before, KEY: key}}
    made = [request.getfixturevalue(name) for name in names]
    accounts = [getattr(each, "account", each) for each in made]
    for each in accounts:
        count = len(each.calls)
        asyncio.run(ask(FakeRolesClient(each)))
        assert len(each.calls) == count + 1
    reached = blocks[-1:] or [accounts[names.index(name)] for name in names if name == "arize_env"]
    for each in reached[:1]:
        counts = [len(other.calls) for other in blocks]
        asyncio.run(ask(AiohttpRolesClient()))
        assert each.calls[-1].host
        assert sum(len(other.calls) for other in blocks) == sum(counts) + bool(blocks)
    # It is undone after the blocks of the test have ended.
    monkeypatch.setenv(KEY, "of-the-developer")
"""

PLACE = """
import pytest
from conftest import check_pair

class Test{0}:
    @pytest.mark.parametrize("names", {1})
    def test_pair(self, request, monkeypatch, names):
        check_pair(request, monkeypatch, names)

    @pytest.mark.parametrize("name", {2})
    def test_scripts(self, request, name):
        made = request.getfixturevalue(name)
        getattr(made, "account", made).fail("update", 503)
"""


def test_every_pair(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client reaches the innermost block, and each test has its own environment and faults."""
    before = os.environ.get("ARIZE_API_KEY")
    # With it, pytest's summary has each line once more.
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST)
    # Two modules with two classes each, so that each scope but the session ends between them.
    places = [PLACE.format(each, PAIRS[each::4], NAMES[each::4]) for each in range(4)]
    pytester.makepyfile(test_second="\n".join(places[2:]))
    result = run(
        "\n".join(places[:2]),
        *("-o", "arize_roles_offline=true", "--tb=short"),
        passed=len(PAIRS) + len(NAMES),
        errors=len(NAMES),
    )
    lines = result.outlines
    assert lines.count("  update fails with 503, 1 time: struck 0 requests") == len(NAMES)
    assert "  delete fails with 503, 1 time: struck 0 requests" not in lines
    assert os.environ.get("ARIZE_API_KEY") == before


MARKED = """
import asyncio
import pytest
from arize_roles_async import ForbiddenError
from arize_roles_fake import FakeAccount, FakeRolesClient

mark = pytest.mark.arize_roles(grants=["ROLE_READ"])
{module}

@pytest.fixture(scope="{scope}")
def fake_account():
    return FakeAccount()

{class_}
class TestIt:
    {test}
    @pytest.mark.parametrize("name", ["A", "B"])
    def test_it(self, fake_account, name):
        async def create():
            async with FakeRolesClient(fake_account) as roles:
                await roles.create(name=name, permissions=["ROLE_READ"])

        if {counts}:
            with pytest.raises(ForbiddenError):
                asyncio.run(create())
        else:
            asyncio.run(create())  # It passes, and the marker is an error.
"""
COUNTS = {
    "function": ("test", "class_", "module"),
    "class": ("class_", "module"),
    "module": ("module",),
    "session": (),
}
"""The places of a marker that set up an account of each scope."""


def test_markers(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marker counts for an account of its own scope or a narrower one, else it is an error."""
    monkeypatch.delenv("CI", raising=False)  # As above.
    files = dict[str, str]()
    for scope, place in product(COUNTS, ("test", "class_", "module")):
        marks = {"test": "", "class_": "", "module": ""}
        marks[place] = "pytestmark = mark" if place == "module" else "@mark"
        counts = place in COUNTS[scope]
        files[f"test_{scope}_{place}"] = MARKED.format(scope=scope, counts=counts, **marks)
    pytester.makepyfile(**files)
    lines = run("", passed=24, errors=12).outlines
    wider = "or the suite's own fake_account has a wider scope than the marker"
    assert sum(line.endswith(wider) for line in lines) == 12
