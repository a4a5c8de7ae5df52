"""The table of all ways in which a test comes to an account, and of the checks at its end.

Each check runs one suite, with a file for each way, or for a few of them without `--full`.
"""

import re
from collections.abc import Callable
from textwrap import indent

import anyio
import pytest
import trio

from tests.support.sizes import sized

# Loaded for good: pytester forgets the modules that an inner run loads.
assert anyio
assert trio

HEAD = """
import asyncio
import gc
import logging
import threading
import unittest
import warnings
import anyio
import pytest
import trio
from arize_roles_async import AiohttpRolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer, mock_arize

async def ask(make, close=True):
    roles = make()
    await roles.list()
    if close:
        await roles.aclose()
    del roles
    gc.collect()

def use(account, make, key=None, run=anyio.run):
    key, close = key or account.api_key, True
    SCRIPT
    run(ask, make, close)

"""

ALL = {
    "fake_account": """
def test_it(fake_account):
    use(fake_account, lambda: FakeRolesClient(fake_account))
""",
    "fake_roles": """
def test_it(fake_roles):
    use(fake_roles.account, lambda: fake_roles)
""",
    "mocked_arize": """
def test_it(mocked_arize):
    use(mocked_arize, AiohttpRolesClient)
""",
    "roles_server": """
def test_it(roles_server):
    use(
        roles_server.account,
        lambda: AiohttpRolesClient(roles_server.api_key, base_url=roles_server.url),
    )
""",
    "arize_env": """
def test_it(arize_env):
    use(arize_env.account, AiohttpRolesClient)
""",
    "marker": """
@pytest.mark.arize_roles(roles={"A": ["ROLE_READ"]})
def test_it(fake_account):
    use(fake_account, lambda: FakeRolesClient(fake_account))
""",
    "block": """
def test_it():
    with mock_arize() as account:
        use(account, AiohttpRolesClient)
""",
    "any_key": """
def test_it():
    with mock_arize() as account:
        use(account, lambda: AiohttpRolesClient("key-of-staging"), key="key-of-staging")
""",
    "mapping": """
def test_it():
    with mock_arize({"key-of-one": FakeAccount(), "key-of-two": FakeAccount()}) as accounts:
        use(accounts["key-of-two"], lambda: AiohttpRolesClient("key-of-two"), key="key-of-two")
""",
    "decorator": """
given = FakeAccount()

@mock_arize(given)
def test_it():
    use(given, AiohttpRolesClient)
""",
    "coroutine": """
given = FakeAccount()

@pytest.mark.asyncio
@mock_arize(given)
async def test_it():
    # Another thread, since a loop runs in this one.
    await asyncio.to_thread(use, given, AiohttpRolesClient)
""",
    "class": """
given = FakeAccount()

@mock_arize(given)
class TestIt:
    def test_it(self):
        use(given, AiohttpRolesClient)
""",
    "TestCase": """
given = FakeAccount()

@mock_arize(given)
class TestIt(unittest.TestCase):
    def test_it(self):
        use(given, AiohttpRolesClient)
""",
    "enterContext": """
class TestIt(unittest.TestCase):
    def test_it(self):
        use(self.enterContext(mock_arize()), AiohttpRolesClient)
""",
    "served_account": """
def test_it():
    with RolesServer(FakeAccount()) as server:
        use(server.account, lambda: AiohttpRolesClient(server.api_key, base_url=server.url))
""",
    "own_account": """
def test_it():
    account = FakeAccount()
    use(account, lambda: FakeRolesClient(account))
""",
    "trio": """
def test_it():
    account = FakeAccount()
    use(account, lambda: FakeRolesClient(account), run=trio.run)
""",
    "mocked_trio": """
def test_it():
    with mock_arize() as account:
        use(account, AiohttpRolesClient, run=trio.run)
""",
    "thread": """
def test_it():
    with mock_arize() as account:
        thread = threading.Thread(target=use, args=(account, AiohttpRolesClient))
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
    use(shared, AiohttpRolesClient)
""",
}

SAMPLE = ("fake_roles", "roles_server", "mapping", "coroutine", "TestCase", "trio", "thread")
DOORS = sized({door: ALL[door] for door in SAMPLE}, ALL)

Failed = Callable[..., set[str]]


@pytest.fixture
def failed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Failed:
    """Returns the doors whose tests fail for a reason, and sees that all others pass."""

    monkeypatch.setenv("COLUMNS", "1000")  # pytest shortens its summary to a line's width.

    def run(
        script: str, reason: str = "", *, module: str = "", mark: str = "", ini: str = ""
    ) -> set[str]:
        head = HEAD.replace("    SCRIPT", indent(script, "    ")) + module
        for door, source in DOORS.items():
            marked = re.sub(r"( *)((async )?def test_it)", rf"\1{mark}\n\1\2", source)
            pytester.makepyfile(**{f"test_{door}": head + marked})
        pytester.makepyprojecttoml(
            f"""
            [tool.pytest.ini_options]
            addopts = "-pno:cacheprovider -pno:schemathesis --strict-markers"
            filterwarnings = [
                "error", "ignore::arize_roles_async.AlphaWarning", "default:sent:UserWarning"
            ]
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


FIXTURES = {"fake_account", "fake_roles", "mocked_arize", "roles_server", "arize_env", "marker"}


def test_marker(failed: Failed) -> None:
    """A marker that sets up an account is an error without one of the fixtures."""
    mark = "@pytest.mark.arize_roles(roles={})"
    assert failed("", "the marker arize_roles sets up", mark=mark) == DOORS.keys() - FIXTURES


def test_unclosed(failed: Failed) -> None:
    """An `AiohttpRolesClient` that is dropped without `aclose` warns; the fake's own need none."""
    in_process = {"fake_account", "fake_roles", "marker", "own_account"}
    under_trio = {"trio", "mocked_trio"}
    assert (
        failed("close = False", r".*AiohttpTransport\.__del__")
        == DOORS.keys() - in_process - under_trio
    )


class TestSecrets:
    """A key in what the test writes, with the setting `arize_roles_secrets`."""

    INI = "arize_roles_secrets = true"

    @pytest.mark.parametrize(
        "leak",
        [
            "logging.getLogger('app').warning('sent %s', key)",
            "logging.getLogger('app').error('sent', extra={'token': key})",
            "print('sent', key)",
            "warnings.warn(f'sent {key}', UserWarning)",
        ],
    )
    def test_error(self, failed: Failed, leak: str) -> None:
        """It is an error."""
        reason = "the test wrote an API key of a fake account"
        assert failed(leak, reason, ini=self.INI) == DOORS.keys()

    def test_other_text(self, failed: Failed) -> None:
        """Other text is none."""
        assert failed("print('sent', key[:7]); warnings.warn('sent')", ini=self.INI) == set()

    @pytest.mark.parametrize(("key", "found"), [("8-signs.", True), ("7-signs", False)])
    def test_shortest(self, failed: Failed, key: str, *, found: bool) -> None:
        """A key of 8 characters is an error, and a shorter one is none."""
        doors = failed(f"account.add_key({key!r}); print({key!r})", ini=self.INI)
        assert doors == (DOORS.keys() if found else set())

    def test_not_set(self, failed: Failed) -> None:
        """Nor is a key without the setting."""
        assert failed("print('sent', key)") == set()
