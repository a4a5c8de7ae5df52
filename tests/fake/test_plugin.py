"""The pytest plugin, as a downstream suite meets it: each test runs a small suite of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable

import anyio
import pytest
import trio

# Loaded for good: pytester forgets the modules that an inner run loads.
assert anyio
assert trio

ALPHA = "ignore::arize_roles_async.AlphaWarning"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs a suite as strictly as pytest can, and hands out its outcome."""

    def run_suite(source: str, *arguments: str, mode: str = "strict") -> pytest.RunResult:
        pytester.makepyprojecttoml(
            f"""
            [tool.pytest.ini_options]
            addopts = "--strict-markers --strict-config -pno:cacheprovider -pno:schemathesis"
            filterwarnings = ["error", "{ALPHA}"]
            asyncio_mode = "{mode}"
            asyncio_default_fixture_loop_scope = "function"
            """
        )
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*arguments)

    return run_suite


BODY = """
    role = await fake_roles.create(name="A", permissions=["ROLE_READ"])
    assert fake_account.roles[0] == role
"""
OVER_HTTP = """
    async with AiohttpRolesClient() as roles:
        role = await roles.create(name="A", permissions=["ROLE_READ"])
    assert arize_env.account.roles[0] == role
"""


class TestRunners:
    """Any way to run a test."""

    @pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
    def test_strict_mode(self, run: Run, scope: str) -> None:
        """The fixtures work under pytest-asyncio in strict mode, with any loop scope."""
        run(
            f"""
        import pytest
        from arize_roles_async import AiohttpRolesClient

        @pytest.mark.asyncio(loop_scope="{scope}")
        class TestRoles:
            async def test_in_process(self, fake_roles, fake_account):
            {BODY.replace(chr(10), chr(10) + " " * 12)}
            async def test_over_http(self, arize_env):
            {OVER_HTTP.replace(chr(10), chr(10) + " " * 12)}
        """
        ).assert_outcomes(passed=2)

    def test_auto_mode(self, run: Run) -> None:
        """The fixtures work under pytest-asyncio in auto mode."""
        run(
            f"""
        import pytest
        from arize_roles_async import AiohttpRolesClient

        @pytest.fixture
        async def seeded(fake_roles):
            return await fake_roles.create(name="seeded", permissions=["ROLE_READ"])

        async def test_in_process(seeded, fake_roles, fake_account):
        {BODY.replace(chr(10), chr(10) + " " * 8)}
        async def test_over_http(arize_env):
        {OVER_HTTP.replace(chr(10), chr(10) + " " * 8)}
        """,
            mode="auto",
        ).assert_outcomes(passed=2)

    def test_anyio(self, run: Run) -> None:
        """The fixtures work under anyio's plugin, on asyncio and on trio."""
        run(
            f"""
        import pytest
        from arize_roles_async import AiohttpRolesClient

        pytestmark = pytest.mark.anyio

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        async def test_in_process(fake_roles, fake_account):
        {BODY.replace(chr(10), chr(10) + " " * 8)}
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_over_http(arize_env):
        {OVER_HTTP.replace(chr(10), chr(10) + " " * 8)}
        """
        ).assert_outcomes(passed=3)

    def test_aiohttp(self, run: Run) -> None:
        """The fixtures work under pytest-aiohttp."""
        run(
            """
        from aiohttp import web
        from arize_roles_async import AiohttpRolesClient

        async def names(request):
            async with AiohttpRolesClient() as roles:
                return web.json_response([role.name async for role in roles.list()])

        async def test_an_application(aiohttp_client, arize_env):
            app = web.Application()
            app.router.add_get("/names", names)
            client = await aiohttp_client(app)
            answer = await client.get("/names")
            assert len(await answer.json()) == 7
        """,
            mode="auto",
        ).assert_outcomes(passed=1)

    def test_asyncio_run(self, run: Run) -> None:
        """The fixtures work with `asyncio.run` in a plain test."""
        run(
            """
        import asyncio
        from arize_roles_async import AiohttpRolesClient

        def test_in_process(fake_roles):
            page = asyncio.run(fake_roles.list().all())
            assert len(page) == 7

        def test_over_http(arize_env):
            async def main():
                async with AiohttpRolesClient() as roles:
                    return await roles.list()

            assert len(asyncio.run(main())) == 7
        """
        ).assert_outcomes(passed=2)

    def test_synchronous(self, run: Run) -> None:
        """A synchronous test of a synchronous client works."""
        run(
            """
        import json
        import urllib.request

        def test_over_http(roles_server):
            request = urllib.request.Request(
                f"{roles_server.url}/v2/roles",
                headers={"Authorization": f"Bearer {roles_server.api_key}"},
            )
            with urllib.request.urlopen(request) as answer:
                assert len(json.load(answer)["roles"]) == 7
            assert [call.operation for call in roles_server.account.calls] == ["list"]
        """
        ).assert_outcomes(passed=1)

    def test_xdist(self, run: Run) -> None:
        """The fixtures work under pytest-xdist, and the report crosses to its controller."""
        result = run(
            """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_own_server(number, roles_server):
            roles_server.account.add_role("A")
            assert len(roles_server.account.roles) == 8

        def test_fails(fake_account):
            assert False
        """,
            *("-n1", "-p", "no:schemathesis"),  # whose import takes seconds, once more
        )
        result.assert_outcomes(passed=4, failed=1)
        result.stdout.fnmatch_lines("*- Calls of the fake Arize account -*")


class TestIsolation:
    """Each test has an account of its own."""

    def test_no_leak(self, run: Run) -> None:
        """No state leaks from one test into the next."""
        run(
            """
        import os
        import pytest

        @pytest.mark.arize_roles(unused_faults="allow")
        @pytest.mark.parametrize("number", range(2))
        def test_begins_afresh(number, fake_account, arize_env):
            assert len(fake_account.roles) == 7
            assert fake_account.calls == ()
            assert fake_account.pending_faults == ()
            fake_account.add_role("A")
            fake_account.fail("list", 500)

        def test_environment_after():
            assert "ARIZE_API_KEY" not in os.environ
        """
        ).assert_outcomes(passed=3)

    def test_shared(self, run: Run) -> None:
        """All fixtures of one test share its account."""
        run(
            """
        def test_shares(fake_account, fake_roles, roles_server, arize_env):
            assert fake_roles.account is fake_account
            assert roles_server.account is fake_account
            assert arize_env is roles_server
        """
        ).assert_outcomes(passed=1)


def test_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment leads to the server, whatever it held before."""
    monkeypatch.setenv("ARIZE_REGION", "eu-west-1a")
    monkeypatch.setenv("ARIZE_SINGLE_HOST", "elsewhere.example")
    monkeypatch.setenv("ARIZE_BASE_DOMAIN", "elsewhere.example")
    monkeypatch.setenv("ARIZE_PROXY_URL", "http://elsewhere.example")
    for name in ("SINGLE_PORT", "REQUEST_VERIFY", "SSL_CA_CERT"):
        monkeypatch.setenv(f"ARIZE_{name}", "17")
    # Where the tests find Arize's own clients.
    for name in ("PYTHON", "NODE"):
        monkeypatch.delenv(f"ARIZE_CLIENT_{name}", raising=False)
    monkeypatch.setenv("http_proxy", "http://elsewhere.example")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    run(
        """
        import os
        import asyncio
        import urllib.request
        from arize_roles_async import AiohttpRolesClient

        async def everything():
            async with AiohttpRolesClient() as roles:
                return await roles.list()

        def test_reaches_the_server(arize_env, monkeypatch):
            assert len(asyncio.run(everything())) == 7
            monkeypatch.delenv("ARIZE_BASE_URL")
            assert len(asyncio.run(everything())) == 7
            assert urllib.request.urlopen(arize_env.url).status == 200
            assert os.environ["NO_PROXY"] == "intranet.example,127.0.0.1"
            assert os.environ["no_proxy"] == "intranet.example,127.0.0.1"
            assert {name for name in os.environ if name.startswith("ARIZE_")} == {
                "ARIZE_API_HOST", "ARIZE_API_KEY", "ARIZE_API_PORT", "ARIZE_API_SCHEME"
            }
        """
    ).assert_outcomes(passed=1)


class TestMarker:
    """The settings of a marker."""

    def test_outermost_first(self, run: Run) -> None:
        """Markers set up the account from the outermost in."""
        run(
            """
        import asyncio
        import pytest
        from arize_roles_async import ConflictError, ForbiddenError, ServerError

        pytestmark = pytest.mark.arize_roles(roles={"Auditor": ["ROLE_READ"]})

        @pytest.mark.arize_roles(grants=["ROLE_READ", "ROLE_CREATE"])
        class TestRights:
            @pytest.mark.arize_roles(
                roles={"Analyst": ["DATASET_READ"]},
                faults=["create:409", {"operation": "list", "failure": 500, "times": None}],
            )
            def test_it(self, fake_account, fake_roles):
                fake_account.assert_roles(
                    {"Auditor": {"ROLE_READ"}, "Analyst": {"DATASET_READ"}}
                )
                with pytest.raises(ConflictError):
                    asyncio.run(fake_roles.create(name="B", permissions=["ROLE_READ"]))
                with pytest.raises(ForbiddenError):
                    asyncio.run(fake_roles.delete(role_id=fake_account.roles[0].id))
                with pytest.raises(ServerError):
                    asyncio.run(fake_roles.list().all())
        """
        ).assert_outcomes(passed=1)

    def test_account_file(self, run: Run, pytester: pytest.Pytester) -> None:
        """A marker loads an account from a file."""
        pytester.makefile(".json", account='{"roles": [{"name": "Loaded"}]}')
        run(
            """
        import pytest

        @pytest.mark.arize_roles(account="account.json", roles={"Added": []})
        def test_it(fake_account):
            assert [role.name for role in fake_account.roles] == ["Added", "Loaded"]
        """
        ).assert_outcomes(passed=1)

    def test_assumptions(self, run: Run) -> None:
        """A marker turns assumptions of an account that no file sets up."""
        run(
            """
        import pytest

        @pytest.mark.arize_roles(assumptions={"unknown_id": 400})
        def test_it(fake_account):
            assert fake_account.assumptions.changed() == {"unknown_id": 400}
        """
        ).assert_outcomes(passed=1)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("role={}", "*arize_roles() got an unexpected keyword argument 'role'*"),
            ("{}", "*arize_roles() takes 1 positional argument but 2 were given*"),
            ("faults='list:500'", "*faults must be a list of faults, not the string 'list:500'*"),
            (
                "faults=[('create', 503)]",
                "*a fault must be a mapping of the arguments of FakeAccount.fail, or text *",
            ),
            ("now='2026-01-01'", "*now must be a datetime, not '2026-01-01'"),
            ("faults=['lsit:500']", "*this fault cannot be scripted: operation must be one of*"),
            (
                "grants=['ROLE_RAED']",
                "*'ROLE_RAED' is not a known permission; did you mean ROLE_READ*",
            ),
        ],
    )
    def test_refused(self, run: Run, arguments: str, message: str) -> None:
        """A marker that makes no sense is an error."""
        result = run(
            f"""
        import pytest

        @pytest.mark.arize_roles({arguments})
        def test_it(fake_account):
            pass
        """
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(message)

    def test_without_fixture(self, run: Run) -> None:
        """A marker that sets up an account that the test does not use is an error."""
        result = run(
            """
        import pytest
        from arize_roles_fake import mock_arize

        @pytest.mark.arize_roles(faults=["create:503"])
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
        """
        )
        result.assert_outcomes(passed=3, skipped=1, errors=1)
        result.stdout.fnmatch_lines(
            "the marker arize_roles sets up the account of fake_account, and the test uses none of "
            "the fixtures fake_account, fake_roles, mocked_arize, roles_server and arize_env"
        )

    def test_explained(self, run: Run) -> None:
        """The marker is explained by pytest."""
        assert (
            "@pytest.mark.arize_roles(*, account=None, now=None, api_key=None, assumptions=None, "
            "roles=None, grants=None, faults=(), unused_faults='error'): set up the account of the "
            "test's arize_roles_fake fixtures: a file to load, the time at which it stands still "
            "and its first key, Assumptions or a dict of some, permissions by role name, the "
            "grants of the API key, and faults, each as the arguments of FakeAccount.fail or as "
            "text, such as 'create:503,times=2'. A fault that the test or its own marker scripts "
            "on any account, and that strikes less often than scripted, is an error, unless "
            "unused_faults is 'allow'."
        ) in run("", "--markers").outlines

    def test_fixtures_explained(self, run: Run) -> None:
        """The fixtures are explained by pytest."""
        run("", "--fixtures").stdout.fnmatch_lines_random(
            ["fake_account -- *", "fake_roles -- *", "roles_server -- *", "arize_env -- *"]
        )


class TestSameData:
    """The account's time and key, for tests that compare whole answers."""

    def test_time_and_key(self, run: Run) -> None:
        """The marker says them, and a test sees the same data each time."""
        run(
            """
        import asyncio
        from datetime import UTC, datetime
        import pytest

        NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
        pytestmark = pytest.mark.arize_roles(now=NOON.replace(hour=1), api_key="outer")

        @pytest.mark.arize_roles(now=NOON, api_key="snapshot-key")
        def test_it(fake_account, fake_roles):
            role = asyncio.run(fake_roles.create(name="A", permissions=["ROLE_READ"]))
            assert (role.id, role.created_at) == ("Um9sZTo4OnFhanQ=", NOON)
            assert fake_account.role("Admin").created_at == NOON
            assert fake_account.calls[0].api_key == fake_account.api_key == "snapshot-key"

        def test_outer(fake_account):
            assert (fake_account.now().hour, fake_account.api_key) == (1, "outer")
        """
        ).assert_outcomes(passed=2)

    def test_of_file(self, run: Run, pytester: pytest.Pytester) -> None:
        """They count more than those of a file, whose other keys and roles stay."""
        pytester.makefile(
            ".json",
            account=(
                '{"roles": [{"name": "A"}], "now": "2020-01-01T00:00:00Z", '
                '"keys": {"first": ["ROLE_READ"], "second": null}}'
            ),
        )
        run(
            """
        from datetime import UTC, datetime
        import pytest

        @pytest.mark.arize_roles(
            account="account.json", now=datetime(2026, 1, 1, tzinfo=UTC), api_key="mine"
        )
        def test_it(fake_account):
            assert fake_account.now() == datetime(2026, 1, 1, tzinfo=UTC)
            assert fake_account.api_keys == ("mine", "second")
            assert [role.name for role in fake_account.roles] == ["A"]

        @pytest.mark.arize_roles(account="account.json", api_key="mine")
        def test_time_of_file(fake_account):
            assert fake_account.now().year == 2020
        """
        ).assert_outcomes(passed=2)

    def test_naive(self, run: Run) -> None:
        """A time without a zone is refused."""
        result = run(
            """
        from datetime import datetime
        import pytest

        @pytest.mark.arize_roles(now=datetime(2026, 1, 1))
        def test_it(fake_account):
            pass
        """
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines("*now must be timezone-aware, not 2026-01-01T00:00:00")


class TestReport:
    """The report of a failed test."""

    def test_calls(self, run: Run) -> None:
        """The report of a failed test shows the calls of its account."""
        result = run(
            """
        import asyncio
        import pytest

        @pytest.mark.arize_roles(faults=["list:404", "delete:500"])
        def test_it(fake_roles):
            asyncio.run(fake_roles.create(name="A", permissions=["ROLE_READ"]))
            asyncio.run(fake_roles.list().all())
        """
        )
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "*- Calls of the fake Arize account -*",
                "??:??:??.??????  create(name='A', permissions=?'ROLE_READ'?) -> 201",
                "??:??:??.??????  list(limit=100) -> 404 Resource not found",
                "struck less often than scripted: delete fails with 500, 1 time: struck 0 requests",
            ]
        )
        assert "Bearer" not in result.stdout.str().partition("Calls of the fake")[2]

    def test_no_calls(self, run: Run) -> None:
        """The report says so where the account had no calls."""
        result = run("def test_it(fake_account): assert False")
        result.stdout.fnmatch_lines(["*- Calls of the fake Arize account -*", "none"])

    def test_many_calls(self, run: Run) -> None:
        """Of many calls it shows the last fifty."""
        result = run(
            """
        import asyncio

        def test_it(fake_roles):
            async def main():
                for _ in range(53):
                    await fake_roles.list()

            asyncio.run(main())
            assert False
        """
        )
        result.stdout.fnmatch_lines(
            ["*- Calls of the fake Arize account -*", "3 earlier calls are not shown"]
        )
        assert (
            len([line for line in result.outlines if line.endswith("list(limit=50) -> 200")]) == 50
        )

    def test_two_accounts(self, run: Run) -> None:
        """Of several accounts it says which is which."""
        result = run(
            """
        import asyncio
        from arize_roles_fake import FakeAccount, FakeRolesClient

        def test_it(fake_account):
            other = FakeAccount(predefined=False)
            asyncio.run(FakeRolesClient(other).list().all())
            assert False
        """
        )
        result.stdout.fnmatch_lines(
            [
                "*- Calls of the fake Arize account fake_account, <FakeAccount of 7 roles,*",
                "none",
                "*- Calls of the fake Arize account 2 of 2, <FakeAccount of 0 roles,*",
                "* list(limit=100) -> 200",
            ],
            consecutive=True,
        )

    def test_wrong_fault(self, run: Run) -> None:
        """The report of a fault that is wrong shows the test and the reason alone."""
        result = run("def test_it(fake_account): fake_account.fail('list', 200)", "--tb=short")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines("E   ValueError: this fault cannot be scripted: *, not 200")
        assert [line for line in result.outlines if ".py:" in line and ": in " in line] == [
            "test_wrong_fault.py:1: in test_it"
        ]

    def test_refusals(self, run: Run) -> None:
        """The report of a refusal that nobody caught has no frames of the packages; a bug's has."""
        result = run(
            """
        import asyncio

        def test_rule(fake_roles):
            asyncio.run(fake_roles.create(name="", permissions=["ROLE_READ"]))

        def test_answer(fake_roles):
            asyncio.run(fake_roles.get(role_id="Um9sZTo5OTk6bm9u"))

        def test_cause(fake_account, fake_roles):
            fake_account.fail("any", "lost", times=None)
            asyncio.run(fake_roles.create(name="A", permissions=["ROLE_READ"]))

        def test_account(fake_account):
            fake_account.slow_down(-1)

        def test_bug(fake_account):
            fake_account.slow_down("1")
        """,
            "--tb=short",
        )
        result.assert_outcomes(failed=5)
        frames = [line for line in result.outlines if re.search(r"\w\.py:\d+: in ", line)]
        own = [line for line in frames if "test_refusals.py" in line or "/arize_roles_" in line]
        assert [line.rpartition(" in ")[2] for line in own] == [
            *("test_rule", "test_answer", "test_cause", "test_account"),
            *("test_bug", "slow_down", "__init__"),
        ]

    def test_no_account(self, run: Run) -> None:
        """The report of a test that has no account is as ever."""
        result = run("def test_it(): assert False")
        result.stdout.no_fnmatch_line("*Calls of the fake*")

    def test_refused_by_suite(self, run: Run, pytester: pytest.Pytester) -> None:
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


CALLS_LIST = "asyncio.run(FakeRolesClient(fake_account).list().all())"


class TestUnusedFaults:
    """A fault of the test's own that struck no call."""

    @pytest.mark.parametrize(
        ("marker", "script"),
        [
            ("@pytest.mark.arize_roles(faults=['create:503'])", "pass"),
            ("", "fake_account.fail('create', 503)"),
            ("", "fake_account.fail('list', 403, after=1)"),
            ("", "fake_account.fail('create', 503, times=None)"),
        ],
    )
    def test_error(self, run: Run, marker: str, script: str) -> None:
        """It is an error when the test is over, which names it and the calls that came instead."""
        result = run(
            f"""
        import asyncio
        import pytest
        from arize_roles_fake import FakeRolesClient

        {marker}
        def test_it(fake_account):
            {script}
            {CALLS_LIST}
        """
        )
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(
            [
                "faults that struck less often than scripted:",
                "  * fails with *: struck 0 requests",
                'to allow unused faults: @pytest.mark.arize_roles(unused_faults="allow")',
                "*- Calls of the fake Arize account -*",
                "*  list(limit=100) -> 200",
            ]
        )

    def test_by_name_over_http(self, run: Run) -> None:
        """For a fault on get that met a list over HTTP, it says why."""
        result = run(
            """
        import asyncio
        from arize_roles_async import AiohttpRolesClient

        def test_it(arize_env):
            arize_env.account.fail("get", 403)

            async def main():
                async with AiohttpRolesClient() as roles:
                    await roles.get(role="Admin")

            asyncio.run(main())
        """
        )
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(
            "*(over HTTP, a get by a name is often a list, which faults on list strike)"
        )

    @pytest.mark.parametrize(
        "marker", ["pytestmark = {}", "@pytest.mark.arize_roles()\n        @{}"]
    )
    def test_allowed(self, run: Run, marker: str) -> None:
        """A marker allows it, of the test as of the module."""
        allow = marker.format("pytest.mark.arize_roles(unused_faults='allow')")
        run(
            f"""
        import pytest

        {allow}
        def test_it(fake_account):
            fake_account.fail("create", 503)
        """
        ).assert_outcomes(passed=1)

    def test_inner_marker(self, run: Run) -> None:
        """The inner marker counts."""
        run(
            """
        import pytest

        pytestmark = pytest.mark.arize_roles(unused_faults="allow")

        @pytest.mark.arize_roles(unused_faults="error")
        def test_it(fake_account):
            fake_account.fail("create", 503)
        """
        ).assert_outcomes(passed=1, errors=1)

    def test_outer_faults(self, run: Run) -> None:
        """Faults of a class or module are for some of its tests, so they are not asked."""
        run(
            """
        import pytest

        pytestmark = pytest.mark.arize_roles(faults=["create:503"])

        @pytest.mark.arize_roles(faults=["update:503"])
        class TestIt:
            def test_it(self, fake_account):
                assert len(fake_account.pending_faults) == 2
        """
        ).assert_outcomes(passed=1)

    @pytest.mark.parametrize("use", ["fake_account.clear_faults()", "fake_account.reset()"])
    def test_removed(self, run: Run, use: str) -> None:
        """Faults that the test removed are no error."""
        run(
            f"""
        def test_it(fake_account):
            fake_account.fail("create", 503)
            {use}
        """
        ).assert_outcomes(passed=1)

    @pytest.mark.parametrize(
        ("end", "outcomes"),
        [
            ("assert False", {"failed": 1}),
            ("pytest.skip('not here')", {"skipped": 1}),
            ("pytest.xfail('not yet')", {"xfailed": 1}),
        ],
    )
    def test_not_passed(self, run: Run, end: str, outcomes: dict[str, int]) -> None:
        """A test that did not pass is not asked."""
        run(
            f"""
        import pytest

        def test_it(fake_account):
            fake_account.fail("create", 503)
            {end}
        """
        ).assert_outcomes(**outcomes)

    def test_wrong_word(self, run: Run) -> None:
        """Another word than the two is refused."""
        result = run(
            """
        import pytest

        @pytest.mark.arize_roles(unused_faults="ignore")
        def test_it(fake_account):
            pass
        """
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines("*unused_faults must be 'error' or 'allow', not 'ignore'")


# No other plugin: what they warn of is theirs.
ALONE = ("-parize_roles_fake.pytest_plugin", "-pno:cacheprovider")
ALPHA_SUITE = """
    import asyncio

    def test_it(fake_roles):
        asyncio.run(fake_roles.list().all())
"""


class TestCost:
    """The cost of the plugin, and its warnings."""

    def test_imports(self) -> None:
        """Loading the plugin imports neither the client nor aiohttp."""
        probe = (
            "import sys, pytest; before = set(sys.modules); import arize_roles_fake.pytest_plugin;"
            "print(*sorted(set(sys.modules) - before))"
        )
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-c", probe], check=True, capture_output=True, text=True
        )
        assert done.stdout.split() == [
            "arize_roles_fake",
            "arize_roles_fake._testing",
            "arize_roles_fake._testing.watch",
            "arize_roles_fake.pytest_plugin",
        ]

    @pytest.mark.parametrize("filters", [("-Werror", f"-W{ALPHA}"), ("-Wdefault",)])
    def test_alpha_named(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, filters: tuple[str, ...]
    ) -> None:
        """A suite that asks for warnings as errors names the ALPHA notice."""
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        pytester.makepyfile(ALPHA_SUITE)
        result = pytester.runpytest_subprocess(*ALONE, *filters)
        result.assert_outcomes(passed=1, warnings=0 if len(filters) == 2 else 1)

    @pytest.mark.full
    def test_alpha_error(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        """The ALPHA notice is an error to a suite that does not name it."""
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        pytester.makepyfile(ALPHA_SUITE)
        result = pytester.runpytest_subprocess(*ALONE, "-Werror")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines("*AlphaWarning: roles.list is ALPHA*")


class TestMockedArize:
    """Code that makes its own client, in process."""

    def test_shares_account(self, run: Run) -> None:
        """It talks to the test's account, and no longer after the test."""
        run(
            """
            import asyncio
            import os
            from arize_roles_async import AiohttpRolesClient

            async def names():
                async with AiohttpRolesClient(region="eu-west-1a") as roles:
                    return [role.name async for role in roles.list(is_predefined=False)]

            def test_it(mocked_arize, fake_account):
                assert mocked_arize is fake_account
                fake_account.add_role("A")
                fake_account.fail("list", 503, retry_after=9)
                assert asyncio.run(names()) == ["A"]

            def test_after():
                assert "ARIZE_API_KEY" not in os.environ
            """
        ).assert_outcomes(passed=2)


class TestTwoMarkers:
    """Two markers that say different things."""

    def test_conflict(self, run: Run, pytester: pytest.Pytester) -> None:
        """The inner one counts, for files, grants and assumptions each."""
        pytester.makefile(".json", outer='{"roles": [{"name": "Outer"}]}')
        pytester.makefile(
            ".json",
            inner='{"roles": [{"name": "Inner"}], "assumptions": {"paging": "by-offset"}}',
        )
        run(
            """
            import pytest
            from arize_roles_fake import Assumptions

            pytestmark = pytest.mark.arize_roles(
                account="outer.json",
                grants=[],
                assumptions={"invalid_body": 422, "unknown_id": 400},
            )

            @pytest.mark.arize_roles(
                account="inner.json",
                grants=["ROLE_READ"],
                assumptions={"unknown_id": 404, "malformed_id": 404},
            )
            def test_inner(fake_account, fake_roles):
                import asyncio
                assert [role.name for role in asyncio.run(fake_roles.list().all())] == ["Inner"]
                assert fake_account.assumptions.changed() == {
                    "invalid_body": 422, "malformed_id": 404, "paging": "by-offset"
                }

            @pytest.mark.arize_roles(assumptions=Assumptions(paging="by-offset"))
            def test_outer(fake_account):
                assert fake_account.assumptions.paging == "by-offset"
                assert [role.name for role in fake_account.roles] == ["Outer"]
            """
        ).assert_outcomes(passed=2)

    def test_same_role(self, run: Run) -> None:
        """A role that both add is an error."""
        result = run(
            """
            import pytest

            pytestmark = pytest.mark.arize_roles(roles={"A": ["ROLE_READ"]})

            @pytest.mark.arize_roles(roles={"A": ["TAG_READ"]})
            def test_it(fake_account):
                pass
            """
        )
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines("*a role is already named 'A'*")


class TestAnyAccount:
    """The report shows the log of every account that a failed test asked."""

    def test_own_account(self, run: Run) -> None:
        """An account that the test made, and only what it was asked during the test."""
        result = run(
            """
            import asyncio
            import pytest
            from arize_roles_fake import FakeAccount, FakeRolesClient

            @pytest.fixture(scope="module")
            def shared():
                return FakeAccount()

            def test_passes(shared):
                asyncio.run(FakeRolesClient(shared).list(limit=7).all())

            def test_fails(shared):
                account = FakeAccount()
                asyncio.run(FakeRolesClient(account).list(limit=8).all())
                asyncio.run(FakeRolesClient(shared).list(limit=9).all())
                assert False
            """
        )
        result.assert_outcomes(passed=1, failed=1)
        lines = [line for line in result.outlines if "list(limit=" in line and " -> " in line]
        assert sorted(line.split("  ")[1] for line in lines) == [
            "list(limit=8) -> 200",
            "list(limit=9) -> 200",
        ]

    def test_not_asked(self, run: Run) -> None:
        """An account that the test made and did not ask is not in the report."""
        result = run(
            """
            from arize_roles_fake import FakeAccount

            def test_it():
                account = FakeAccount()
                assert False, account
            """
        )
        result.assert_outcomes(failed=1)
        result.stdout.no_fnmatch_line("*Calls of the fake*")

    def test_not_held(self, run: Run) -> None:
        """An account that nobody holds any longer when the test fails."""
        result = run(
            """
            import asyncio
            import gc
            from arize_roles_async import AiohttpRolesClient
            from arize_roles_fake import mock_arize

            async def code_under_test():
                async with AiohttpRolesClient() as roles:
                    await roles.list(limit=8)

            def test_it():
                with mock_arize():
                    asyncio.run(code_under_test())
                gc.collect()
                assert False
            """
        )
        assert "list(limit=8) -> 200" in str(result.stdout)


@pytest.mark.parametrize(
    ("name", "used", "message"),
    [
        (
            "fake_account",
            "fake_roles",
            "'fake_account' must be a FakeAccount, not dict",
        ),
        ("fake_account", "roles_server", "'fake_account' must be a FakeAccount, not dict"),
        ("fake_account", "mocked_arize", "'fake_account' must be a FakeAccount, not dict"),
        ("roles_server", "arize_env", "'roles_server' must be a RolesServer, not dict"),
    ],
)
def test_same_name(run: Run, name: str, used: str, message: str) -> None:
    """A suite's own fixture of the same name and another type leads to an error that says so."""
    result = run(
        f"""
        import pytest

        @pytest.fixture
        def {name}():
            return {{}}

        def test_it({used}):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        f"*TypeError: the fixture {message}: this suite has a fixture of its own under that name; "
        "rename it"
    )


class TestOffline:
    """The setting `arize_roles_offline`."""

    SUITE = """
        import asyncio
        import os
        import pytest
        from arize_roles_async import AiohttpRolesClient
        from arize_roles_fake._recording.record import record_service

        async def use(**arguments):
            async with AiohttpRolesClient("key", **arguments) as roles:
                return len(await roles.list())

        def test_outside():
            try:
                asyncio.run(use(base_url="https://arize.invalid"))
            except Exception:
                pass  # An application that bears an outage.

        def test_proxy():
            try:
                asyncio.run(use(base_url="https://[::1]:1", proxy="http://proxy.invalid"))
            except Exception:
                pass

        def test_near_proxy():
            try:
                asyncio.run(use(base_url="https://far.invalid", proxy="http://127.0.0.1:1"))
            except Exception:
                pass

        def test_recorder(monkeypatch):
            monkeypatch.setenv("ARIZE_API_KEY", "key")
            try:
                asyncio.run(record_service("https://recorded.invalid"))
            except Exception:
                pass

        def test_lookup():
            try:
                asyncio.run(AiohttpRolesClient("key", base_url="https://named.invalid").get(role="A"))
            except Exception:
                pass

        def test_mocked(mocked_arize):
            assert asyncio.run(use(base_url="https://arize.invalid")) == 7

        def test_served(arize_env):
            assert asyncio.run(AiohttpRolesClient().list().all())
            assert os.environ["ARIZE_API_KEY"] == arize_env.api_key
    """

    def test_refused(self, run: Run) -> None:
        """A client that would connect to another machine fails its test, also if it bears it."""
        result = run(self.SUITE, "-o", "arize_roles_offline=true")
        result.assert_outcomes(failed=5, passed=2)
        result.stdout.fnmatch_lines_random(
            [
                "a client was about to connect to arize.invalid, and arize_roles_offline is set: *",
                "* use the fixture mocked_arize, or mock_arize of arize_roles_fake",
                "a client was about to connect to proxy.invalid, and *",
                "a client was about to connect to far.invalid, and *",
                "a client was about to connect to recorded.invalid, and *",
                "a client was about to connect to named.invalid, and *",
            ]
        )

    def test_stand_ins(self, run: Run) -> None:
        """A request that a stand-in of another library catches leaves no machine."""
        run(
            """
        import asyncio
        import re
        import socket
        from unittest.mock import Mock
        import aiohttp
        from aioresponses import aioresponses
        from arize_roles_async import AiohttpRolesClient, ServerError
        from arize_roles_fake import RolesServer

        class Answer(aiohttp.ClientResponse):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})

        async def use(server, session=None):
            url = "http://arize.invalid:" + server.url.rpartition(":")[2]
            roles = AiohttpRolesClient(
                server.api_key, base_url=url, session=session, allow_http=True
            )
            async with roles:
                return len(await roles.list())

        def test_aioresponses(roles_server):
            with aioresponses() as mocked:
                mocked.get(re.compile("http://arize"), body='ANSWER', response_class=Answer)
                assert asyncio.run(use(roles_server)) == 0

        class Here(aiohttp.abc.AbstractResolver):
            async def resolve(self, host, port=0, family=socket.AF_INET):
                address = {"hostname": host, "host": "127.0.0.1", "port": port}
                return [{**address, "family": family, "proto": 0, "flags": 0}]

            async def close(self):
                pass

        def test_resolver(roles_server):
            async def main():
                connector = aiohttp.TCPConnector(resolver=Here(), family=socket.AF_INET)
                async with aiohttp.ClientSession(connector=connector) as session:
                    assert await use(roles_server, session) == 7

            asyncio.run(main())

        def test_patched_connector(roles_server, monkeypatch):
            resolve = lambda self, host, port, traces=None: Here().resolve(host, port)
            monkeypatch.setattr(aiohttp.TCPConnector, "_resolve_host", resolve)
            assert asyncio.run(use(roles_server)) == 7
        """.replace("ANSWER", '{"roles": [], "pagination": {"has_more": false}}'),
            "-o",
            "arize_roles_offline=true",
        ).assert_outcomes(passed=3)

    def test_not_set(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without it, clients connect; and the setting changes no environment."""
        monkeypatch.setenv("ARIZE_API_KEY", "of-the-developer")
        run(self.SUITE).assert_outcomes(passed=7)
        assert os.environ["ARIZE_API_KEY"] == "of-the-developer"
        run(self.SUITE, "-o", "arize_roles_offline=true").assert_outcomes(failed=5, passed=2)
        assert os.environ["ARIZE_API_KEY"] == "of-the-developer"
