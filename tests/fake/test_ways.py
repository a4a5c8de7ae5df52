"""The table of ways in which a test comes to an account, and of the checks at its end."""

import itertools
import re
from collections.abc import Callable
from textwrap import indent

import pytest

from tests.support.sizes import sized

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

async def ask(make, close):
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


def of_fixture(fixture: str, account: str, make: str) -> str:
    return f"\ndef test_it({fixture}):\n    use({account}, {make})\n"


def in_block(block: str, used: str) -> str:
    return f"\ndef test_it():\n    with {block}:\n        use({used})\n"


def decorated(tests: str) -> str:
    return f"\ngiven = FakeAccount()\n\n@mock_arize(given)\n{tests}"


ALL = {
    "fake_account": of_fixture(
        "fake_account", "fake_account", "lambda: FakeRolesClient(fake_account)"
    ),
    "fake_roles": of_fixture("fake_roles", "fake_roles.account", "lambda: fake_roles"),
    "mocked_arize": of_fixture("mocked_arize", "mocked_arize", "AiohttpRolesClient"),
    "roles_server": of_fixture(
        *("roles_server", "roles_server.account"),
        "lambda: AiohttpRolesClient(roles_server.api_key, base_url=roles_server.url)",
    ),
    "arize_env": of_fixture("arize_env", "arize_env.account", "AiohttpRolesClient"),
    "block": in_block("mock_arize() as account", "account, AiohttpRolesClient"),
    "mapping": in_block(
        "mock_arize({'key-of-one': FakeAccount(), 'key-of-two': FakeAccount()}) as accounts",
        "accounts['key-of-two'], lambda: AiohttpRolesClient('key-of-two'), key='key-of-two'",
    ),
    "decorator": decorated("def test_it(): use(given, AiohttpRolesClient)"),
    "coroutine": decorated(
        # Another thread, since a loop runs in this one.
        "async def test_it(): await asyncio.to_thread(use, given, AiohttpRolesClient)"
    ),
    "class": """
@pytest.mark.usefixtures("mocked_arize")
class TestIt:
    def test_it(self, fake_account): use(fake_account, AiohttpRolesClient)
""",
    "TestCase": """
class TestIt(unittest.TestCase):
    def setUp(self): self.account = self.enterContext(mock_arize())
    def test_it(self): use(self.account, AiohttpRolesClient)
""",
    "trio": """
def test_it():
    account = FakeAccount()
    use(account, lambda: FakeRolesClient(account), run=trio.run)
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
WAYS = sized({way: ALL[way] for way in SAMPLE}, ALL)
ALLOW = "pytestmark = pytest.mark.arize_roles(unused_faults='allow')"
SECRETS = "arize_roles_secrets = true"
LEAKS = (
    "logging.getLogger('app').warning('sent %s', key)",
    "logging.getLogger('app').error('sent', extra={'token': key})",
    "print('sent', key)",
    "warnings.warn(f'sent {key}', UserWarning)",
    "FakeAccount().add_key('8-signs.'); print('8-signs.')",
)

Failed = Callable[..., set[str]]


@pytest.fixture
def failed(pytester: pytest.Pytester) -> Failed:
    """Returns the ways, in turn with scripts, whose tests fail for a reason; others pass."""

    def run(*scripts: str, reason: str = "", module: str = "", ini: str = "") -> set[str]:
        for (way, source), script in zip(WAYS.items(), itertools.cycle(scripts), strict=False):
            head = HEAD.replace("    SCRIPT", indent(script, "    "))
            pytester.makepyfile(**{f"test_{way}": head + module + source})
        pytester.makepyprojecttoml(
            f"""
            [tool.pytest.ini_options]
            addopts = "-pno:cacheprovider --strict-markers"
            filterwarnings = [
                "error", "ignore::arize_roles_async.AlphaWarning", "default:sent:UserWarning"
            ]
            asyncio_mode = "auto"
            asyncio_default_fixture_loop_scope = "function"
            {ini}
            """
        )
        recorded = pytester.inline_run("--tb=native")  # pyright: ignore[reportUnknownMemberType]
        passed, _, flawed = recorded.listoutcomes()
        why = [each for each in flawed if re.search(reason, each.longreprtext)]
        assert why == flawed
        assert len(passed) + sum(each.when == "call" for each in flawed) == len(WAYS)
        return {each.nodeid.partition(".py")[0].removeprefix("test_") for each in why}

    return run


def test_unused(failed: Failed) -> None:
    """A fault that struck less often than scripted is an error."""
    reason = "faults that struck less often"
    assert failed("account.fail('create', 409)", reason=reason) == WAYS.keys()


def test_unclosed(failed: Failed) -> None:
    """A client that is dropped without `aclose` warns, but for that of the fixture."""
    reason = r"Transport\.__del__"
    assert failed("close = False", reason=reason) == WAYS.keys() - {"fake_roles"}


@pytest.mark.parametrize("first", range(sized(1, len(LEAKS))))
def test_leaks(failed: Failed, first: int) -> None:
    """With `arize_roles_secrets`, a key of 8 characters in what the test writes is an error."""
    leaks = [*LEAKS[first:], *LEAKS[:first]]
    reason = "the test wrote an API key of a fake account"
    assert failed(*leaks, reason=reason, ini=SECRETS) == WAYS.keys()


def test_without_setting(failed: Failed) -> None:
    """Neither a key without the setting nor a fault that struck is an error."""
    assert failed("account.fail('list', 503)\nprint('sent', key)") == set()


def test_harmless(failed: Failed) -> None:
    """Nor are other texts, a shorter key, and a fault that a marker of the module allows."""
    texts = "print('sent', key[:7]); warnings.warn('sent')"
    short = "account.add_key('7-signs'); print('7-signs')"
    unused = "account.fail('create', 503)"
    assert failed(texts, short, unused, module=ALLOW, ini=SECRETS) == set()
