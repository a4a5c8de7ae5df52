"""The contract suite as pytest runs it: what is left out of it is seen, and it cleans up."""

import ast
import inspect
import re
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

import anyio
import pytest

from arize_roles_async import MissingExtraError, RoleBindingsClient, RolesClient
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake.contract import (
    DirectoryContract,
    OnFakeAccount,
    RoleBindingsContract,
    RolesContract,
    _any_client,
    _role_bindings,
    _roles,
)
from arize_roles_fake.contract._suite import with_client
from tests.contract.faulty import suite
from tests.contract.suites import (
    BlockSuite,
    FakeBindingsSuite,
    FakeDirectorySuite,
    FakeSuite,
    contract_tests,
)
from tests.contract.wrapping import Wrapper

TESTS = len(contract_tests())
UPDATES = sum(name.startswith("test_update") for name in contract_tests())
NEED_AN_OFFER = [
    "test_any_order",
    "test_duplicate_permissions",
    "test_key_function",
    "test_key_in_errors",
    "test_key_refused",
    "test_one_grant_each",
    "test_options_in_turn",
    "test_plan_used_up",
    "test_rate_limited",
    "test_read_under_way",
    "test_short_pages",
    "test_write_without_read",
]

SUITE = """
import functools
from arize_roles_fake import FakeAccount, FakeRolesClient
from arize_roles_fake.contract import RolesContract
from tests.contract.wrapping import Wrapper

class TestClient(RolesContract):
    @functools.cached_property
    def account(self):
        return FakeAccount()

    def open_client(self):
        return {client}(FakeRolesClient(self.account))

    def pytest_generate_tests(self, metafunc): ...  # as any other name
"""
FORGETFUL = """

class ForgetfulClient(Wrapper):
    def list(self, **arguments):
        raise LookupError

    async def get(self, **target):
        raise LookupError

    async def create(self, **new):
        if new["name"].startswith("N1"):
            raise LookupError
        return await self.inner.create(**new)
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    def run_suite(source: str = "", *arguments: str, client: str = "Wrapper") -> pytest.RunResult:
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        pytester.makepyfile(SUITE.format(client=client) + source)
        return pytester.runpytest_inprocess(*arguments)

    return run_suite


class TestRun:
    def test_no_async_plugin(self, run: Run) -> None:
        """The suite runs without an async plugin; it names no rules that it asked."""
        flags = [
            flag for plugin in ("aiohttp", "asyncio", "anyio") for flag in ("-p", f"no:{plugin}")
        ]
        result = run("", "-k", "test_update", *flags)
        result.assert_outcomes(passed=UPDATES, deselected=TESTS - UPDATES)
        result.stdout.no_fnmatch_line("*not run*")

    @pytest.mark.parametrize("module", ["contract", "pytest_plugin"])
    def test_without_pytest(self, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
        """Without pytest, an import of the contracts or of the plugin says what to install."""
        name = f"arize_roles_fake.{module}"
        for each in [each for each in sys.modules if each.startswith(name)]:
            monkeypatch.delitem(sys.modules, each)
        monkeypatch.setitem(sys.modules, "pytest", None)
        with pytest.raises(MissingExtraError, match=r" pytest, .*: pip install pytest$"):
            import_module(name)

    def test_docstrings(self) -> None:
        """Every test says which rule it holds, and takes no fixture."""
        for name in contract_tests():
            test = getattr(RolesContract, name)
            assert test.__doc__
            assert list(inspect.signature(test).parameters) == ["self"]


PROTOCOLS = [(RolesClient, "roles", _roles), (RoleBindingsClient, "bindings", _role_bindings)]


@pytest.mark.parametrize(("protocol", "client", "contract"), PROTOCOLS)
def test_every_parameter(protocol: type, client: str, contract: ModuleType) -> None:
    """Every parameter of a protocol is given by a rule, or it would be a client's own affair."""
    tree = ast.parse(inspect.getsource(contract) + inspect.getsource(_any_client))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for name, method in inspect.getmembers(protocol, inspect.isfunction):
        if not name.startswith("_"):
            made = r"order\.copy\(" if name == "with_options" else rf"Call\({client}, '{name}'"
            of_it = rf"[\w.]+\.{name}\(|{made}"
            found = [call for call in calls if re.match(of_it, ast.unparse(call))]
            given = {keyword.arg for call in found for keyword in call.keywords}
            assert given >= inspect.signature(method).parameters.keys() - {"self"}, name


class TestIncomplete:
    """A suite that lacks a method which its author has to write."""

    REQUIRED: ClassVar = {
        RolesContract: {"open_client"},
        RoleBindingsContract: {
            *("open_client", "open_roles", "project_ids", "space_ids", "user_ids")
        },
        DirectoryContract: {"open_client", "project_ids", "space_ids", "user_ids"},
    }
    """The methods that each contract required in its first release."""

    def test_collected(self, pytester: pytest.Pytester) -> None:
        """It is an error of the collection, which names every method, also a base's own."""
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        pytester.makepyfile(
            """
            from abc import abstractmethod
            from arize_roles_fake.contract import RoleBindingsContract, RolesContract

            class Base(RolesContract):
                def open_client(self):
                    return self._connect()

                @abstractmethod
                def _connect(self): ...

            class TestRoles(RolesContract): ...

            class TestBindings(RoleBindingsContract):
                user_ids = space_ids = open_client = open_roles = lambda self: ["VXNlcjox"]

            class TestBase(Base): ...

            def test_other(): ...
            """
        )
        result = pytester.runpytest_inprocess("-p", "no:arize_roles_fake")
        result.assert_outcomes(errors=3)
        for name, missing in (
            ("TestRoles", "open_client"),
            ("TestBindings", "project_ids"),
            ("TestBase", "_connect"),
        ):
            result.stdout.fnmatch_lines(f"E *TypeError: {name} lacks {missing}: *")

    def test_no_method_more(self) -> None:
        """No release adds one to a published contract, since it would end everyone's suite."""
        for contract, required in self.REQUIRED.items():
            with pytest.raises(TypeError) as caught:
                type("Suite", (contract,), {})()
            missing = str(caught.value).removeprefix("Suite lacks ").partition(":")[0]
            assert set(missing.split(", ")) == required


class TestFailure:
    """The report of a rule that does not hold."""

    def test_inner_case(self) -> None:
        """In loops within loops every case is shown, and none that is over."""

        class Suite(_LeavesARole):
            @with_client
            async def test_fails(self, roles: RolesClient) -> None:
                del roles
                for outer in self._each("ab"):
                    for inner in self._each((1, 2)):
                        assert outer != "b" or inner != 2, "in a case"
                    assert outer != "b"

            @with_client
            async def test_fails_afterwards(self, roles: RolesClient) -> None:
                """Break a rule."""
                del roles
                for _ in self._each("ab"):
                    pass
                raise LookupError

        with pytest.raises(AssertionError) as in_case:
            Suite().test_fails()
        assert in_case.value.__notes__ == ["Case: 'b'", "Case: 2"]
        with pytest.raises(LookupError) as afterwards:
            Suite().test_fails_afterwards()
        assert afterwards.value.__notes__ == ["Rule: Break a rule."]

    def test_frames(self, run: Run) -> None:
        """Its only frames are the rule's and the client's; it has the rule's sentence."""
        rules = ("test_all_violations", "test_default_limit", "test_next_loop")
        result = run(FORGETFUL, "-k", " or ".join(rules), "--tb=short", client="ForgetfulClient")
        result.assert_outcomes(failed=len(rules), deselected=TESTS - len(rules))
        frames = [line for line in result.outlines if re.search(r"\w\.py\b.* in \w+$", line)]
        for rule in rules:
            assert any(frame.endswith(f"in {rule}") for frame in frames)
        for frame in frames:
            assert re.search(rf"in ({'|'.join(rules)}|use|get|create|list)$", frame), frame
        result.stdout.fnmatch_lines("*Rule: A client whose event loop was closed opens again *")

    def test_hangs(self) -> None:
        """A rule has failed once its limit of time is over, and what it made is deleted."""
        hanging = suite(RolesContract, "Hangs")
        with pytest.raises(pytest.fail.Exception, match=r"not ended after 0\.1 seconds"):
            hanging.test_responses()
        assert all(role.is_predefined for role in hanging.account.roles)

    @pytest.mark.parametrize("hangs", [False, True])
    def test_clean_up(self, *, hangs: bool) -> None:
        """A clean-up that fails or hangs fails a rule that held; else it is a note on the error."""

        class NeverDeletes(Wrapper):
            async def delete(self, **target: object) -> None:
                await self.inner.delete(**target)
                if hangs:
                    await anyio.sleep_forever()
                raise OSError("no more calls")

        class Suite(_LeavesARole):
            time_limit = 0.1 if hangs else 60.0

            def open_client(self) -> Any:  # noqa: ANN401
                return NeverDeletes(FakeRolesClient(self.account))

        said = "not ended after 0.1 seconds" if hangs else "no more calls"
        with pytest.raises(LookupError) as caught:
            Suite().test_fails()
        assert re.match(f"The clean-up failed too: .*{said}", "".join(caught.value.__notes__))
        with pytest.raises((OSError, pytest.fail.Exception), match=said):
            Suite().test_name_taken()


class TestNotAsked:
    def test_named(self, run: Run) -> None:
        """The report names what a suite does not offer, and the rules that need it."""
        result = run("", "-k", " or ".join(NEED_AN_OFFER))
        result.stdout.fnmatch_lines(
            [
                "*rules of the contract that were not run*",
                f"TestClient does not offer accounts: {', '.join(['test_*'] * 3)}",
                f"TestClient does not offer other_key: {', '.join(['test_*'] * 8)}",
                "TestClient does not offer short_pages: test_short_pages",
            ]
        )
        for name in NEED_AN_OFFER:
            result.stdout.fnmatch_lines(f"TestClient does not offer *{name}*")

    @pytest.mark.parametrize("contract", [RoleBindingsContract, DirectoryContract])
    @pytest.mark.parametrize("offer", ["accounts", "other_key", "short_pages"])
    def test_not_offered(self, contract: type, offer: str) -> None:
        """A suite without an offer skips the rules that need it, and the report says why."""
        methods = ("open_client", "open_roles", "user_ids", "space_ids", "project_ids")
        bare: Any = type("Bare", (contract,), dict.fromkeys(methods))
        with pytest.raises(pytest.skip.Exception, match=rf"Bare does not offer {offer}$"):
            getattr(bare(), offer)()

    def test_block_around_client(self) -> None:
        """A client that its block alone can hand out is not asked about the next event loop."""
        with pytest.raises(pytest.skip.Exception, match="rule not run: open_client of BlockSuite"):
            BlockSuite().test_next_loop()


class TestOnFakeAccount:
    """A suite whose account is a fake one."""

    @pytest.mark.parametrize("contract", [RolesContract, RoleBindingsContract, DirectoryContract])
    def test_order_of_bases(self, contract: type) -> None:
        """Its methods are those of the account, before the contract as after it."""
        names = [name for name in vars(OnFakeAccount) if not name.startswith("_")]
        for bases in ((OnFakeAccount, contract), (contract, OnFakeAccount)):
            suite = type("TestIt", bases, {})
            for name in names:
                assert getattr(suite, name) is getattr(OnFakeAccount, name)

    async def test_as_before(self) -> None:
        """A rule that fails in a block of the account leaves the account as it was."""
        suite = FakeSuite()
        with pytest.raises(LookupError):
            async with suite.short_pages():
                raise LookupError
        assert suite.account.unused_faults == ()


def overridden(*marks: pytest.MarkDecorator) -> type:
    """Override a test of the contract by one without a body, under markers."""

    def test_name_case(suite: RolesContract) -> None:
        del suite

    for mark in marks:
        mark(test_name_case)
    return type("TestClient", (RolesContract,), {"test_name_case": test_name_case})


class TestOverride:
    @pytest.mark.parametrize(
        "mark",
        [
            pytest.mark.skip,
            pytest.mark.xfail(condition=False, reason="never"),
            pytest.mark.skipif(False, reason="never"),  # noqa: FBT003
            pytest.mark.usefixtures(),
        ],
    )
    def test_without_a_reason(self, mark: pytest.MarkDecorator) -> None:
        """A marker explains an override if it counts always, and has a reason."""
        with pytest.raises(TypeError, match=r"TestClient\.test_name_case overrides a rule"):
            overridden(mark)

    def test_plain_function(self) -> None:
        """What waits must be an async function, as the error says."""
        plain = {"outlast_caches": print}
        with pytest.raises(TypeError, match=r"TestPlain\.outlast_caches must be an async"):
            type("TestPlain", (RolesContract,), plain)

    def test_with_a_reason(self) -> None:
        """One marker that explains an override is enough, also for subclasses."""
        base = overridden(pytest.mark.xfail, pytest.mark.skip("no case here"))
        assert type("TestSub", (base,), {})
        assert overridden(pytest.mark.xfail(reason="no case here"))

    @pytest.mark.parametrize("contract", [RolesContract, RoleBindingsContract, DirectoryContract])
    def test_by_a_value(self, contract: type) -> None:
        """A test that is made something else, here or in another base, would vanish as silently."""
        rule = next(name for name in vars(contract) if name.startswith("test_"))
        mixin = type("Mixin", (), {rule: None})
        for bases, members in (((contract,), {rule: None}), ((mixin, contract), {})):
            with pytest.raises(TypeError, match=rf"TestMixed\.{rule} overrides a rule"):
                type("TestMixed", bases, members)


class _LeavesARole(RolesContract):
    """A client whose account outlives it, and a test that fails after it made a role."""

    account = FakeAccount()

    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return FakeRolesClient(self.account)

    @with_client
    async def test_fails(self, roles: RolesClient) -> None:
        await self._make(roles)
        raise LookupError


class TestCleanUp:
    @pytest.fixture
    def account(self, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
        account = FakeAccount()
        monkeypatch.setattr(_LeavesARole, "account", account)
        return account

    def test_after_a_failure(self, account: FakeAccount) -> None:
        """Roles that a failing test made are deleted."""
        account.add_role("Theirs")
        with pytest.raises(LookupError):
            _LeavesARole().test_fails()
        account.assert_roles({"Theirs": set()})

    def test_after_all(self, account: FakeAccount) -> None:
        """The suite asks whatever needs no offer, and leaves an account as it was."""
        account.add_role("A role of the account's", ["SPACE_READ"])
        before = account.roles
        skipped: list[str] = []
        for name in contract_tests():
            try:
                getattr(_LeavesARole(), name)()
            except pytest.skip.Exception:
                skipped.append(name)
        assert skipped == NEED_AN_OFFER
        assert account.roles == before


def test_no_address() -> None:
    """A suite whose first user has no address gets an error that says so."""

    class Bots(FakeDirectorySuite):
        def user_ids(self) -> list[str]:
            return [self.account.add_user(None, id="bot").id]

    with pytest.raises(LookupError, match="the first of user_ids must have an address"):
        Bots().test_address()


@pytest.mark.parametrize(
    ("suite", "rule", "message"),
    [
        (FakeSuite, "test_name_taken", "the account must have a predefined role"),
        (FakeBindingsSuite, "test_unknown", "the account must know its users and resources"),
    ],
)
def test_bare_account(suite: type, rule: str, message: str) -> None:
    """An account that lacks what a rule needs gets an error that says so."""
    bare: Any = type("Bare", (suite,), {"account": FakeAccount(predefined=False)})
    with pytest.raises(LookupError, match=message):
        getattr(bare(), rule)()


def test_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the tests wait until caches are stale, and without staleness they do not wait."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    class StaleSuite(FakeSuite):
        max_staleness = 3.0
        rounds = 3

    monkeypatch.setattr(anyio, "sleep", sleep)
    FakeSuite().test_any_order()
    assert waits == []
    StaleSuite().test_any_order()
    assert waits == [3.02] * 3
