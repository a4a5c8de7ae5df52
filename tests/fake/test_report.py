"""The report of a failed test, with the calls of its accounts."""

import fnmatch
import re
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


def test_calls(run: Run) -> None:
    """The report of a failed test shows the calls of its account, and of many the last fifty.

    That of a test whose account was asked nothing is as ever.
    """
    result = run(
        """
    from arize_roles_async.transport import Request

    def test_few(fake_roles):
        fake_roles.account.fail("list", 404)
        fake_roles.account.fail("delete", 404)
        asyncio.run(fake_roles.create(name="A", permissions=["ROLE_READ"]))
        asyncio.run(fake_roles.list().all())

    def test_many(fake_account):
        for _ in range(53):
            fake_account.handle(Request(method="GET", target="/v2/roles"))
        assert False

    def test_not_asked():
        account = FakeAccount()
        assert False, account
    """,
        failed=3,
    )
    result.stdout.fnmatch_lines(
        [
            "*Calls of the fake Arize account*",
            "??:??:??.??????  create(name='A', permissions=?'ROLE_READ'?) -> 201",
            "??:??:??.??????  list(limit=100) -> 404 Resource not found",
            "struck less often than scripted: delete fails with 404, 1 time: struck 0 requests",
            "*Calls of the fake Arize account*",
            "3 earlier calls are not shown",
        ]
    )
    assert len([line for line in result.outlines if "list() -> 401" in line]) == 50
    assert len(fnmatch.filter(result.outlines, "*Calls of the fake Arize account*")) == 2
    assert "Bearer" not in result.stdout.str().partition("Calls of the fake")[2]


def test_own_account(run: Run) -> None:
    """It shows accounts that the test made, and only what they were asked during the test."""
    result = run(
        """
        import gc

        async def ask(account, limit):
            async with FakeRolesClient(account) as roles:
                await roles.list(limit=limit).all()

        @pytest.fixture(scope="module")
        def shared():
            return FakeAccount()

        def test_passes(shared):
            asyncio.run(ask(shared, 7))

        def test_fails(shared, fake_account):
            account = FakeAccount(predefined=False)
            asyncio.run(ask(account, 8))
            asyncio.run(ask(shared, 9))
            assert False

        async def test_not_held():
            with mock_arize():
                async with AiohttpRolesClient() as roles:
                    await roles.list(limit=10)
            gc.collect()
            assert False
        """,
        mode="auto",
        passed=1,
        failed=2,
    )
    result.stdout.fnmatch_lines(
        [
            "*Calls of the fake Arize account fake_account, <FakeAccount * of 7 roles,*",
            "none",
            "*Calls of the fake Arize account 2 of 3, <FakeAccount * of 0 roles,*",
            "* list(limit=8) -> 200",
            "*Calls of the fake Arize account 3 of 3, <FakeAccount * of 7 roles,*",
            "* list(limit=9) -> 200",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines("* list(limit=10) -> 200")


def test_refusals(run: Run) -> None:
    """The report of a refusal that nobody caught has no frames of the packages; a bug's has."""
    result = run(
        """
    from arize_roles_async import RetryPolicy

    def test_rule(fake_roles):
        asyncio.run(fake_roles.create(name="", permissions=["ROLE_READ"]))

    def test_answer(fake_roles):
        asyncio.run(fake_roles.get(role_id="Um9sZTo5OTk6bm9u"))

    def test_cause(fake_account, fake_roles):
        fake_account.fail("any", "lost", times=None)
        asyncio.run(fake_roles.create(name="A", permissions=["ROLE_READ"]))

    def test_account(fake_account):
        fake_account.slow_down(-1)

    def test_option(fake_account):
        RetryPolicy(attempts=0)

    def test_bug(fake_account):
        fake_account.slow_down("1")
    """,
        "--tb=short",
        failed=6,
    )
    frames = [line for line in result.outlines if re.search(r":\d+: in \w+$", line)]
    own = [line for line in frames if "test_refusals.py" in line or "arize_roles_" in line]
    assert [line.rpartition(" in ")[2] for line in own] == [
        *("test_rule", "test_answer", "test_cause", "test_account", "test_option"),
        *("test_bug", "slow_down", "__init__", "__attrs_post_init__"),
    ]


def test_refused_by_suite(run: Run, pytester: pytest.Pytester) -> None:
    """The report of a test that a hook of the suite's own let fail is as ever."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(tryfirst=True)  # and so before the plugin's
        def pytest_runtest_setup(item):
            raise RuntimeError('not today')
        """
    )
    result = run("def test_it(): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*RuntimeError: not today")
    result.stdout.no_fnmatch_line("*Calls of the fake*")
