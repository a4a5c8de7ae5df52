"""The pytest plugin, as a downstream suite meets it: each test runs a small suite of its own."""

import warnings
from collections.abc import Callable
from typing import Final

import pytest

from arize_roles_fake import FakeAccount
from arize_roles_fake._testing.recorder import Recorder

Run = Callable[..., pytest.RunResult]
Suite = tuple[str, dict[str, int], list[str]]

RUNNERS: Final[Suite] = (
    """
    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(request):
        return request.param

    async def create(roles):
        role = await roles.create(name="A", permissions=["ROLE_READ"])
        assert roles.account.roles[0] == role

    @pytest.mark.anyio
    async def test_anyio(fake_roles):
        await create(fake_roles)

    @pytest.mark.asyncio
    async def test_asyncio(fake_roles):
        await create(fake_roles)

    @pytest.mark.asyncio(loop_scope="session")
    async def test_session(arize_env):
        async with AiohttpRolesClient() as roles:
            await roles.list()
    """,
    {"passed": 4},
    [],
)
"""The fixtures work under pytest-asyncio, and under anyio on asyncio and on trio."""

WRONG_MARKERS: Final[Suite] = (
    """
    @pytest.mark.arize_roles(role={})
    def test_argument(fake_account): ...
    @pytest.mark.arize_roles(roles={"Admin": []})
    def test_taken_name(fake_account): ...
    @pytest.mark.arize_roles(grants=["ROLE_RAED"])
    def test_permission(fake_account): ...
    @pytest.mark.arize_roles(unused_faults="ignore")
    def test_word(fake_account): ...
    @pytest.mark.arize_roles(grants=[])
    def test_without_fixture():
        with mock_arize(): ...

    @pytest.mark.arize_roles(roles={"A": []})
    def test_late(request):
        assert request.getfixturevalue("fake_account").role("A")
    @pytest.mark.arize_roles(unused_faults="allow")
    def test_word_alone(): ...
    @pytest.mark.skip
    @pytest.mark.arize_roles(roles={"A": []})
    def test_skipped(): ...
    """,
    {"passed": 3, "skipped": 1, "errors": 5},
    [
        "*TypeError: *",
        "*a role is already named 'Admin'*",
        "*'ROLE_RAED' is not a known permission; did you mean ROLE_READ*",
        "*unused_faults must be 'error' or 'allow', not 'ignore'*",
        "*the marker arize_roles sets up the account of fake_account, and the test uses none *",
    ],
)
"""A marker that makes no sense, or sets up what the test does not use, is an error."""

MARKERS: Final[Suite] = (
    """
    pytestmark = pytest.mark.arize_roles(roles={"Of the module": []}, grants=["ROLE_READ"])

    def test_outer(fake_account, fake_roles):
        fake_account.assert_roles({"Of the module": ()})
        asyncio.run(fake_roles.list().all())

    @pytest.mark.arize_roles(roles={"A": []}, grants=[])
    class Tests:
        @pytest.mark.arize_roles(roles={"B": []})
        def test_it(self, fake_roles):
            fake_roles.account.assert_roles({"Of the module": (), "A": (), "B": ()})
            with pytest.raises(ForbiddenError):
                asyncio.run(fake_roles.list().all())

    class TestYielded(Tests):
        @pytest.fixture
        def fake_account(self):
            yield FakeAccount()

    class TestChanged(Tests):
        @pytest.fixture
        def fake_account(self, fake_account):
            return fake_account

    class TestLater(Tests):
        @pytest.fixture
        async def fake_account(self):
            return FakeAccount()
    """,
    {"passed": 5},
    [],
)
"""Markers count for the account of any fixture of the suite, the outermost first, in one test."""

UNUSED: Final[Suite] = (
    """
    @pytest.mark.arize_roles(unused_faults="allow")
    class TestAllowed:
        @pytest.mark.arize_roles(unused_faults="error")
        def test_inner(self, fake_account, fake_roles):
            fake_account.fail("update", 503)
            fake_account.fail("list", 403, skip=1)
            asyncio.run(fake_roles.list().all())

        @pytest.mark.arize_roles()
        def test_it(self, fake_account):
            fake_account.fail("create", 503)

    @pytest.mark.parametrize("remove", ["clear_faults", "reset"])
    def test_removed(fake_account, remove):
        fake_account.fail("create", 503)
        getattr(fake_account, remove)()

    @pytest.mark.parametrize("end", [pytest.fail, pytest.skip, pytest.xfail])
    def test_not_passed(fake_account, end):
        fake_account.fail("create", 503)
        end("not here")
    """,
    {"passed": 4, "failed": 1, "errors": 1, "skipped": 1, "xfailed": 1},
    [
        "faults that struck less often than scripted:",
        "  update fails with 503, 1 time: struck 0 requests",
        "  list fails with 403, 1 time after 1 call: struck 0 requests",
        'to allow unused faults: @pytest.mark.arize_roles(unused_faults="allow")',
        "*Calls of the fake Arize account*",
        "*  list(limit=100) -> 200",
        "*Calls of the fake Arize account*",
    ],
)
"""A fault that struck no call is an error, unless removed, allowed, or the test did not pass."""

REPORT: Final[Suite] = (
    """
    import gc
    from arize_roles_async.transport import Request

    async def ask(account, limit):
        async with FakeRolesClient(account) as roles:
            await roles.list(limit=limit).all()

    @pytest.fixture(scope="module")
    def shared():
        return FakeAccount()

    def test_passes(shared):
        asyncio.run(ask(shared, 7))

    def test_several(shared, fake_account):
        asyncio.run(ask(FakeAccount(predefined=False), 8))
        asyncio.run(ask(shared, 9))
        assert False

    async def test_not_held():
        with mock_arize():
            async with AiohttpRolesClient() as roles:
                await roles.list(limit=10)
        gc.collect()
        assert False

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

    def test_served(roles_server):
        with RolesServer(roles_server.account):
            pass
        assert False
    """,
    {"passed": 1, "failed": 6},
    [
        "*Calls of the fake Arize account fake_account, <FakeAccount * of 7 roles,*",
        "none",
        "*Calls of the fake Arize account 2 of 3, <FakeAccount * of 0 roles,*",
        "* list(limit=8) -> 200",
        "*Calls of the fake Arize account 3 of 3, <FakeAccount * of 7 roles,*",
        "* list(limit=9) -> 200",
        "*Calls of the fake Arize account -*",
        "* list(limit=10) -> 200",
        "*Calls of the fake Arize account -*",
        "??:??:??.??????  create(name='A', permissions=?'ROLE_READ'?) -> 201",
        "??:??:??.??????  list(limit=100) -> 404 Resource not found",
        "struck less often than scripted: delete fails with 404, 1 time: struck 0 requests",
        "*Calls of the fake Arize account -*",
        "3 earlier calls are not shown",
        *["*  list() -> 401 Authentication required"] * 50,
        "*Calls of the fake Arize account -*",
        "served at http://127.0.0.1:*",
        "none",
    ],
)
"""A failed test's report shows what each account was asked during it, of many calls the last."""


@pytest.mark.parametrize("suite", [RUNNERS, WRONG_MARKERS, MARKERS, UNUSED, REPORT])
def test_suite(run: Run, suite: Suite) -> None:
    """A suite that uses the plugin has the outcomes, and these lines in its output."""
    source, outcomes, lines = suite
    result = run(source, "--tb=native", mode="auto", **outcomes)
    result.stdout.fnmatch_lines(lines)
    if suite is REPORT:
        assert result.stdout.str().count("Calls of the fake") == 7
        result.stdout.no_fnmatch_line("* list(limit=7) *")
        assert "Bearer" not in result.stdout.str().partition("Calls of the fake")[2]


def test_newest() -> None:
    """Of many accounts the eight that were asked last are in the report, with all their calls."""
    recorder, accounts = Recorder(), [FakeAccount(predefined=False) for _ in range(9)]
    for account in (*accounts[:8], accounts[0], accounts[8]):
        recorder.note_call(account, ("",))
    assert recorder.keys == set()
    assert recorder.accounts() == [
        *((account, 1) for account in accounts[2:8]),
        *((accounts[0], 2), (accounts[8], 1)),
    ]


def test_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment leads to the server, whatever it held; all fixtures share an account."""
    conflicting = "REGION SINGLE_HOST BASE_DOMAIN PROXY_URL SINGLE_PORT REQUEST_VERIFY SSL_CA_CERT"
    for name in conflicting.split():
        monkeypatch.setenv(f"ARIZE_{name}", "elsewhere")
    # Where the tests find Arize's own clients.
    for name in ("PYTHON", "NODE"):
        monkeypatch.delenv(f"ARIZE_CLIENT_{name}", raising=False)
    monkeypatch.setenv("http_proxy", "http://elsewhere.example")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    run(
        """
        import os
        import urllib.request

        def test_same_account(fake_account, fake_roles, mocked_arize, roles_server, arize_env):
            assert fake_roles.account is mocked_arize is roles_server.account is fake_account
            assert arize_env is roles_server

        def test_environment_after():
            assert os.environ["ARIZE_REGION"] == "elsewhere"
            assert "ARIZE_API_KEY" not in os.environ

        async def everything():
            async with AiohttpRolesClient() as roles:
                return await roles.list()

        def test_reaches_the_server(arize_env, monkeypatch):
            assert len(asyncio.run(everything())) == 7
            monkeypatch.delenv("ARIZE_BASE_URL")
            assert len(asyncio.run(everything())) == 7
            # `urlopen` would keep this proxy for the tests after this one.
            assert urllib.request.build_opener().open(arize_env.url).status == 200
            assert os.environ["NO_PROXY"] == "intranet.example,127.0.0.1"
            assert os.environ["no_proxy"] == "intranet.example,127.0.0.1"
            assert {name for name in os.environ if name.startswith("ARIZE_")} == {
                "ARIZE_API_HOST", "ARIZE_API_KEY", "ARIZE_API_PORT", "ARIZE_API_SCHEME"
            }
        """,
        passed=3,
    )


def test_not_used(run: Run, pytester: pytest.Pytester) -> None:
    """Where a suite uses nothing of the plugin, no hook of it can let the plugin fail."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.skipped:
                report.longrepr = item.callspec.params["reason"]
            if call.when == "teardown":  # as plugins that report again do
                item._reports = getattr(item, "_reports", 0) + 1
                if item._reports == 1:
                    item.ihook.pytest_runtest_makereport(item=item, call=call)
            return report

        @pytest.hookimpl(tryfirst=True)  # and so before the plugin's
        def pytest_runtest_setup(item):
            assert item.name != "test_refused", "not today"

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            from _pytest.runner import runtestprotocol

            # As plugins that run tests again do.
            runtestprotocol(item, log=False, nextitem=None)
            item._initrequest()
        """
    )
    suite = """
        @pytest.mark.parametrize("reason", ["a text", None, ()])
        def test_skips(reason):
            pytest.skip("not here")

        def test_fails():
            assert False

        def test_refused():
            pass
        """
    result = run(suite, skipped=3, failed=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("*Calls of the fake*")


GONE = "sys.modules.update(dict.fromkeys([n for n in sys.modules if n.startswith({!r})]))"


@pytest.mark.parametrize(
    "deed",
    [
        'sys.modules["arize_roles_async"] = None',
        GONE.format("arize_roles_async"),
        GONE.format("arize_roles_"),
        "for n in [n for n in sys.modules if n.startswith('arize_')]: del sys.modules[n]",
        "warnings.showwarning = None",
        "warnings.simplefilter('error'); warnings.catch_warnings(record=True).__enter__()",
        "seen.enter_context(warnings.catch_warnings(record=True)); warnings.warn(Speechless())",
        "logging.getLogger().error('%d', 'text')",
        "logging.setLoggerClass(type('Own', (logging.Logger,), {'handle': None}))",
        "logging.getLogger().handle = None",
        "end(); request.node.add_report_section('call', 'own', Speechless())",
        "request.node.user_properties.append(None)",
    ],
)
def test_any_deed(run: Run, deed: str) -> None:
    """Whatever a suite does to modules, warnings, loggers and reports, its run ends as without."""
    suite = f"""
        import contextlib
        import logging
        import sys
        import warnings

        seen = contextlib.ExitStack()

        class Speechless(UserWarning):
            def __str__(self):
                raise RuntimeError("no text")

        @pytest.mark.parametrize("end", [lambda: 1 / 0, lambda: pytest.skip("so"), lambda: None])
        def test_it(request, end):
            {deed}
            end()

        def test_after():  # for the tests that run in this process later
            vars(logging.getLogger()).pop("handle", None)
            logging.setLoggerClass(logging.Logger)
        """
    with warnings.catch_warnings():
        alone = run(suite, "-pno:arize_roles_fake", "-q")
        settings = ("arize_roles_secrets", "arize_roles_offline")
        both = run(suite, *(f"-o{setting}=true" for setting in settings), "-q")
    assert both.ret == alone.ret
    assert both.parseoutcomes() == alone.parseoutcomes()
