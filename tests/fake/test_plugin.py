"""The pytest plugin, as a downstream suite meets it: each test runs a small suite of its own."""

import fnmatch
from collections.abc import Callable
from typing import ClassVar

import pytest

Run = Callable[..., pytest.RunResult]


class TestRunners:
    """Any way to run a test."""

    def test_marked(self, run: Run) -> None:
        """The fixtures work under pytest-asyncio, and under anyio on asyncio and on trio."""
        run(
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
            passed=4,
        )

    @pytest.mark.full
    def test_xdist(self, run: Run) -> None:
        """The report crosses from a worker of pytest-xdist to its controller."""
        result = run("def test_fails(fake_account): assert False", "-n1", failed=1)
        result.stdout.fnmatch_lines("*Calls of the fake Arize account*")


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


class TestMarker:
    """The settings of a marker."""

    REFUSED: ClassVar = {
        "role={}": "*TypeError: *",
        "{}": "*TypeError: *",
        "roles={'Admin': []}": "*a role is already named 'Admin'*",
        "grants=['ROLE_RAED']": "*'ROLE_RAED' is not a known permission; did you mean ROLE_READ*",
        "unused_faults='ignore'": "*unused_faults must be 'error' or 'allow', not 'ignore'*",
    }

    def test_refused(self, run: Run) -> None:
        """A marker that makes no sense is an error."""
        tests = [
            f"@pytest.mark.arize_roles({arguments})\ndef test_{number}(fake_account): pass"
            for number, arguments in enumerate(self.REFUSED)
        ]
        head = "from datetime import datetime\nimport pytest"
        result = run("\n".join([head, *tests]), "--tb=native", errors=len(tests))
        result.stdout.fnmatch_lines_random([*self.REFUSED.values()])

    def test_without_fixture(self, run: Run) -> None:
        """A marker that sets up an account that the test does not use is an error."""
        result = run(
            """
        @pytest.mark.arize_roles(grants=[])
        def test_by_hand():
            with mock_arize():
                pass

        @pytest.mark.arize_roles(roles={"A": []})
        def test_late(request):
            assert request.getfixturevalue("fake_account").role("A")

        @pytest.mark.arize_roles(unused_faults="allow")
        def test_word_alone():
            pass

        @pytest.mark.skip
        @pytest.mark.arize_roles(roles={"A": []})
        def test_skipped():
            pass
        """,
            passed=3,
            skipped=1,
            errors=1,
        )
        result.stdout.fnmatch_lines(
            "*the marker arize_roles sets up the account of fake_account, and the test uses none "
            "of the fixtures fake_account, fake_roles, mocked_arize, roles_server and arize_env, *"
        )

    def test_own_account(self, run: Run) -> None:
        """A marker counts for the account of the suite's own fixture of each kind, also a class's.

        It is an error where that account outlives the test.
        """
        result = run(
            """
        @pytest.mark.arize_roles(roles={"A": []}, grants=[])
        class Tests:
            @pytest.mark.arize_roles(roles={"B": []})
            def test_it(self, fake_roles):
                fake_roles.account.assert_roles({"A": (), "B": ()})
                with pytest.raises(ForbiddenError):
                    asyncio.run(fake_roles.list().all())

        class TestMade(Tests):
            @pytest.fixture
            def fake_account(self):
                return FakeAccount()

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

        class TestWide:
            @pytest.fixture(scope="class")
            @classmethod
            def fake_account(cls):
                return FakeAccount()

            @pytest.mark.arize_roles(roles={"A": []})
            def test_it(self, fake_roles):
                pass
        """,
            "--tb=native",
            mode="auto",
            passed=6,
            errors=1,
        )
        result.stdout.fnmatch_lines(
            "*or the suite's own fake_account has a wider scope than a function"
        )

    def test_inner(self, run: Run) -> None:
        """Markers set up the account from the outermost in; of two settings the inner one counts.

        Their roles are added.
        """
        run(
            """
        pytestmark = pytest.mark.arize_roles(roles={"Auditor": ["ROLE_READ"]}, grants=[])

        @pytest.mark.arize_roles(grants=["ROLE_READ"])
        class TestClass:
            @pytest.mark.arize_roles(roles={"Analyst": ["DATASET_READ"]})
            def test_inner(self, fake_account, fake_roles):
                fake_account.assert_roles({"Analyst": {"DATASET_READ"}, "Auditor": {"ROLE_READ"}})
                asyncio.run(fake_roles.list().all())

        def test_outer(fake_account):
            fake_account.assert_roles({"Auditor": {"ROLE_READ"}})
        """,
            passed=2,
        )


def test_unused_faults(run: Run) -> None:
    """A fault that struck no call is an error, which names it and the calls that came instead.

    Nobody asks about one that the test removed, that its marker allows, or if it did not pass.
    """
    result = run(
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
        passed=4,
        failed=1,
        errors=1,
        skipped=1,
        xfailed=1,
    )
    result.stdout.fnmatch_lines(
        [
            "faults that struck less often than scripted:",
            "  update fails with 503, 1 time: struck 0 requests",
            "  list fails with 403, 1 time after 1 call: struck 0 requests",
            'to allow unused faults: @pytest.mark.arize_roles(unused_faults="allow")',
            "*Calls of the fake Arize account*",
            "*  list(limit=100) -> 200",
        ]
    )


def test_same_name(run: Run) -> None:
    """A suite's own fixture of the same name and another type leads to an error that says so."""
    result = run(
        """
        class TestAccount:
            @pytest.fixture
            def fake_account(self):
                return {}

            @pytest.mark.parametrize("used", ["fake_roles", "roles_server", "mocked_arize"])
            def test_it(self, used, request):
                request.getfixturevalue(used)

        class TestServer:
            @pytest.fixture
            def roles_server(self):
                return {}

            def test_it(self, arize_env):
                pass
        """,
        "--tb=native",
        failed=3,
        errors=1,
    )
    own = "this suite has a fixture of its own under that name; rename it"
    for name, count in (("fake_account' must be a Fake", 3), ("roles_server' must be a Roles", 1)):
        # Not in the summary, which is cut unless CI is set.
        error = f"TypeError: the fixture '{name}*, not dict: {own}"
        assert len(fnmatch.filter(result.outlines, error)) == count


def test_not_used(run: Run, pytester: pytest.Pytester) -> None:
    """Where a suite uses nothing of the plugin, no hook of it can let the plugin fail."""
    pytester.makeconftest(
        """
        import pytest

        class OddItem(pytest.Item):
            def runtest(self): ...
            def reportinfo(self):
                return "nowhere", None, self.name

        class OddFile(pytest.File):
            def collect(self):
                yield OddItem.from_parent(self, name="odd")

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".odd":
                return OddFile.from_parent(parent, path=file_path)

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.skipped:
                report.longrepr = item.callspec.params["reason"]
            if item.name == "test_again" and report.when == "call":
                report.outcome = "again"
            if call.when == "teardown":  # as plugins that report again do
                item._reports = getattr(item, "_reports", 0) + 1
                if item._reports == 1:
                    item.ihook.pytest_runtest_makereport(item=item, call=call)
            return report

        def pytest_report_teststatus(report):
            if report.outcome == "again":
                return "again", "A", "AGAIN"

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            from _pytest.runner import runtestprotocol

            # As plugins that run tests again do.
            if hasattr(item, "_initrequest"):
                runtestprotocol(item, log=False, nextitem=None)
                item._initrequest()
        """
    )
    pytester.makefile(".odd", test_one="")
    used = run(
        """
        @pytest.mark.parametrize("reason", ["a text", None, ()])
        def test_skips(reason):
            pytest.skip("not here")

        def test_again():
            pass

        def test_fails():
            assert False
        """,
        "--tb=no",
    )
    assert used.parseoutcomes() == {"passed": 1, "skipped": 3, "failed": 1, "again": 1}
    assert used.ret == pytest.ExitCode.TESTS_FAILED
