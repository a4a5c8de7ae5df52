"""The table of all ways in which a test comes to an account, and of the checks at its end.

Each check runs one suite, with a file for each way.
"""

import re
from collections.abc import Callable
from textwrap import indent

import anyio
import pytest
import trio

# Loaded for good: pytester forgets the modules that an inner run loads.
assert anyio
assert trio

HEAD = """
import asyncio
import gc
import logging
import threading
import unittest
import anyio
import pytest
from arize_roles_async import AiohttpRolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer, mock_arize

async def ask(roles):
    async with roles:
        await roles.list()

def use(account, roles, key=None, run=asyncio.run):
    MARK
    run(ask, roles) if run is anyio.run else run(ask(roles))

"""

DOORS = {
    "fake_account": """
def test_it(fake_account):
    use(fake_account, FakeRolesClient(fake_account))
""",
    "fake_roles": """
def test_it(fake_roles):
    use(fake_roles.account, fake_roles)
""",
    "mocked_arize": """
def test_it(mocked_arize):
    use(mocked_arize, AiohttpRolesClient())
""",
    "roles_server": """
def test_it(roles_server):
    use(
        roles_server.account,
        AiohttpRolesClient(roles_server.api_key, base_url=roles_server.url),
    )
""",
    "arize_env": """
def test_it(arize_env):
    use(arize_env.account, AiohttpRolesClient())
""",
    "marker": """
@pytest.mark.arize_roles(roles={"A": ["ROLE_READ"]})
def test_it(fake_account):
    use(fake_account, FakeRolesClient(fake_account))
""",
    "block": """
def test_it():
    with mock_arize() as account:
        use(account, AiohttpRolesClient())
""",
    "any_key": """
def test_it():
    with mock_arize() as account:
        use(account, AiohttpRolesClient("of-staging"), key="of-staging")
""",
    "mapping": """
def test_it():
    with mock_arize({"of-one": FakeAccount(), "of-two": FakeAccount()}) as accounts:
        use(accounts["of-two"], AiohttpRolesClient("of-two"), key="of-two")
""",
    "decorator": """
given = FakeAccount()

@mock_arize(given)
def test_it():
    use(given, AiohttpRolesClient())
""",
    "coroutine": """
given = FakeAccount()

@pytest.mark.asyncio
@mock_arize(given)
async def test_it():
    # Another thread, since a loop runs in this one.
    await asyncio.to_thread(use, given, AiohttpRolesClient())
""",
    "class": """
given = FakeAccount()

@mock_arize(given)
class TestIt:
    def test_it(self):
        use(given, AiohttpRolesClient())
""",
    "TestCase": """
given = FakeAccount()

@mock_arize(given)
class TestIt(unittest.TestCase):
    def test_it(self):
        use(given, AiohttpRolesClient())
""",
    "enterContext": """
class TestIt(unittest.TestCase):
    def test_it(self):
        use(self.enterContext(mock_arize()), AiohttpRolesClient())
""",
    "served_account": """
def test_it():
    with RolesServer(FakeAccount()) as server:
        use(server.account, AiohttpRolesClient(server.api_key, base_url=server.url))
""",
    "own_account": """
def test_it():
    roles = FakeRolesClient()
    use(roles.account, roles)
""",
    "trio": """
def test_it():
    roles = FakeRolesClient()
    use(roles.account, roles, run=anyio.run)
""",
    "mocked_trio": """
def test_it():
    with mock_arize() as account:
        use(account, AiohttpRolesClient(), run=anyio.run)
""",
    "thread": """
def test_it():
    with mock_arize() as account:
        thread = threading.Thread(target=use, args=(account, AiohttpRolesClient()))
        thread.start()
        thread.join()
""",
    "session": """
@pytest.fixture(scope="session")
def shared():
    with mock_arize() as account:
        account.fail("delete", 503)  # for a later test
        yield account

def test_it(shared):
    use(shared, AiohttpRolesClient())
""",
}

Failed = Callable[..., set[str]]


@pytest.fixture
def failed(pytester: pytest.Pytester) -> Failed:
    """Returns the doors whose tests fail for a reason, and sees that all others pass."""

    def run(script: str, reason: str = "", *, module: str = "", ini: str = "") -> set[str]:
        head = HEAD.replace("    MARK", indent(script, "    ")) + module
        pytester.makepyfile(**{f"test_{door}": head + source for door, source in DOORS.items()})
        pytester.makepyprojecttoml(
            f"""
            [tool.pytest.ini_options]
            addopts = "-pno:cacheprovider -pno:schemathesis --strict-markers"
            filterwarnings = ["error", "ignore::arize_roles_async.AlphaWarning"]
            asyncio_default_fixture_loop_scope = "function"
            {ini}
            """
        )
        result = pytester.runpytest_inprocess("-rfE")
        outcomes = result.parseoutcomes()
        bad = {*re.findall(r"(?:FAILED|ERROR) test_(\w+)\.py::.*" + reason, result.stdout.str())}
        assert outcomes.get("errors", 0) + outcomes.get("failed", 0) == len(bad)
        assert outcomes["passed"] + outcomes.get("failed", 0) == len(DOORS)
        return bad

    return run


class TestUnused:
    """A fault that struck less often than scripted."""

    def test_error(self, failed: Failed) -> None:
        """It is an error."""
        reason = "faults that struck less often"
        assert failed("account.fail('create', 409)", reason) == DOORS.keys()

    def test_used(self, failed: Failed) -> None:
        """One that struck is none."""
        assert failed("account.fail('list', 503)") == set()

    def test_allowed(self, failed: Failed) -> None:
        """A marker of the module allows it."""
        allow = "pytestmark = pytest.mark.arize_roles(unused_faults='allow')"
        assert failed("account.fail('create', 503)", module=allow) == set()
