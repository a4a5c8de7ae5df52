"""An account with its clients, and runs of pytest inside a test."""

from collections.abc import AsyncGenerator, Callable
from textwrap import dedent

import anyio
import pytest
import trio

from arize_roles_async import RolesClient
from arize_roles_fake import FakeAccount
from tests.support.clients import Connect, account_at_noon, in_process

# Loaded for good: pytester forgets the modules that an inner run loads.
assert anyio
assert trio

ALPHA = "ignore::arize_roles_async.AlphaWarning"
IMPORTS = """
import asyncio
import pytest
from arize_roles_async import *
from arize_roles_fake import *
"""


@pytest.fixture
def account() -> FakeAccount:
    """Return an account whose time stands still."""
    return account_at_noon()


@pytest.fixture
def connect() -> Connect:
    """Return what makes the client: in process, unless a test is parametrized."""
    return in_process


@pytest.fixture
async def roles(connect: Connect, account: FakeAccount) -> AsyncGenerator[RolesClient]:
    """Return a client of the account that does not try again."""
    async with connect(account) as client:
        yield client


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs a suite as strictly as pytest can, and sees that it has the outcomes."""

    def run_suite(
        source: str, *arguments: str, mode: str = "strict", **outcomes: int
    ) -> pytest.RunResult:
        pytester.makepyprojecttoml(
            f"""
            [tool.pytest.ini_options]
            addopts = "--strict-markers --strict-config -pno:cacheprovider"
            filterwarnings = ["error", "{ALPHA}"]
            asyncio_mode = "{mode}"
            asyncio_default_fixture_loop_scope = "function"
            """
        )
        pytester.makepyfile(IMPORTS + dedent(source))
        result = pytester.runpytest_inprocess(*arguments)
        if outcomes:
            result.assert_outcomes(**outcomes)
        return result

    return run_suite
