"""A pytest plugin: fixtures for the tests of applications that use the roles API.

pytest finds it as soon as the package is installed. Every fixture is synchronous, so all of them
work under any event loop, any loop scope and none. Importing this module imports neither the
client nor aiohttp, since pytest imports it in every project that has the package installed.
"""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

try:
    import pytest
except ModuleNotFoundError as _error:
    from arize_roles_async import MissingExtraError

    raise MissingExtraError(
        "the plugin needs pytest, which is not installed: pip install pytest"
    ) from _error

import arize_roles_fake
from arize_roles_fake._testing.recorder import (
    Recorder,
    check_unused_faults,
    recorders,
    unused_report,
    urls,
)

if TYPE_CHECKING:
    from aiohttp import ClientRequest

    from arize_roles_fake import FakeAccount, FakeRolesClient, RolesServer
    from arize_roles_fake._testing.leaks import TestOutput
    from arize_roles_fake._testing.recorder import RecordedAccount

NOT_RUN: Final = "rule not run"
"""Start of the skip reason of a contract test whose suite lacks the method that it needs."""

_OFFLINE: Final = "arize_roles_offline"
_SECRETS: Final = "arize_roles_secrets"
_SHORT_PAGES: Final = "arize_roles_short_pages"
_SETTINGS: Final = {
    _OFFLINE: "fail a test whose AiohttpRolesClient would connect to another machine",
    _SECRETS: "fail a test whose log records, warnings or captured output hold a key of a fake "
    "account",
    _SHORT_PAGES: "shorten every page of a fake account to one item, so that a forgotten cursor "
    "shows",
}

_MAX_CALLS: Final = 50
"""Limit on the calls of an account in a report."""

_recorder_key = pytest.StashKey[Recorder]()
_counted_key = pytest.StashKey[list[pytest.Mark]]()
"""The markers that have set up an account, of the test, class or module that it belongs to."""
_written_key: "pytest.StashKey[TestOutput]" = pytest.StashKey()
_output_class_key: "pytest.StashKey[type[TestOutput]]" = pytest.StashKey()
"""Set where keys are searched for; imported early, since a test may take modules away."""

# Variables that lead Arize's clients elsewhere, or conflict with those that `arize_env` sets.
_CONFLICTING = (
    *("ARIZE_BASE_DOMAIN", "ARIZE_PROXY_URL", "ARIZE_REGION", "ARIZE_REQUEST_VERIFY"),
    *("ARIZE_SINGLE_HOST", "ARIZE_SINGLE_PORT", "ARIZE_SSL_CA_CERT"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings that find what a test does not look for."""
    for name, text in _SETTINGS.items():
        parser.addini(name, text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and keep clients off the network where that is set."""
    recorder = Recorder(is_paused=True)
    recorders.append(recorder)
    config.add_cleanup(partial(recorders.remove, recorder))
    if config.getini(_SHORT_PAGES):
        from arize_roles_fake._testing import limits

        limits.every_page = 1
        config.add_cleanup(partial(setattr, limits, "every_page", None))
    if config.getini(_SECRETS):
        from arize_roles_fake._testing import leaks

        config.stash[_output_class_key] = leaks.TestOutput
    if config.getini(_OFFLINE):
        from arize_roles_async._aiohttp import hooks

        hooks.before_sending = _refuse
        config.add_cleanup(partial(setattr, hooks, "before_sending", None))
    config.addinivalue_line(
        "markers",
        "arize_roles(*, roles=None, grants=None, unused_faults='error'): set up the account of the "
        "test's arize_roles_fake fixtures: permissions by role name, and the grants of the API "
        "key. A fault that the test scripts on any account, and that strikes less often than "
        "scripted, is an error, unless unused_faults is 'allow'.",
    )


def _refuse(request: "ClientRequest") -> None:
    """Fail a request that would leave this machine."""
    from arize_roles_async._aiohttp.config import is_loopback
    from arize_roles_async._aiohttp.internals import resolves_names_itself

    if not resolves_names_itself(request.session.connector):
        return  # The resolver of a suite may be a stand-in, which leads it elsewhere.
    for host in [url.host or "" for url in (request.url, request.proxy) if url]:
        if not is_loopback(host):
            message = (
                f"a client was about to connect to {host}, and {_OFFLINE} is set: use the fixture "
                "mocked_arize, or mock_arize of arize_roles_fake"
            )
            recorders[-1].refusals.append(message)
            # Not an `Exception`, which the code under test might handle as an outage.
            pytest.fail(message, pytrace=False)


@pytest.fixture
def fake_account() -> "FakeAccount":
    """Return the test's own account, set up by its `arize_roles` markers.

    Markers of the module and the class count, too. The roles of all of them are added; of other
    arguments those of the inner one count.
    """
    return arize_roles_fake.FakeAccount()


# Named like the marker: the `TypeError` of a marker with wrong arguments shows this name.
def arize_roles(
    on: "FakeAccount",
    /,
    *,
    roles: Mapping[str, Iterable[str]] | None = None,
    grants: Iterable[str] | None = None,
    unused_faults: str = "error",  # noqa: ARG001 - `pytest_runtest_setup` has read it
) -> None:
    """Set up an account with the arguments of one marker."""
    __tracebackhide__ = True
    for name, permissions in (roles or {}).items():
        on.add_role(name, permissions)
    if grants is not None:
        on.add_key(on.api_key, grants=grants)


@pytest.fixture
def fake_roles(fake_account: "FakeAccount") -> "FakeRolesClient":
    """Return a `FakeRolesClient` of the test's account; it need not be closed."""
    from arize_roles_fake._client import FixtureRolesClient

    return FixtureRolesClient(fake_account)


@pytest.fixture
def roles_server(fake_account: "FakeAccount") -> "Iterator[RolesServer]":
    """Yield a server over the test's account, with `url`, `api_key` and `account`."""
    with arize_roles_fake.RolesServer(fake_account) as server:
        yield server


@pytest.fixture
def arize_env(roles_server: "RolesServer", monkeypatch: pytest.MonkeyPatch) -> "RolesServer":
    """Point the environment at the test's server, and return the server.

    Every program that reads the variables of Arize's own clients then uses this server:
    `AiohttpRolesClient()` without arguments, Arize's published clients, and processes that the test
    starts.
    """
    host, _, port = roles_server.url.removeprefix("http://").rpartition(":")
    unproxied = ",".join(filter(None, (os.environ.get("NO_PROXY"), host)))
    for name in _CONFLICTING:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "ARIZE_API_KEY": roles_server.api_key,
        "ARIZE_API_SCHEME": "http",
        "ARIZE_API_HOST": host,
        "ARIZE_API_PORT": port,
        "ARIZE_BASE_URL": roles_server.url,
        "NO_PROXY": unproxied,
        "no_proxy": unproxied,
    }.items():
        monkeypatch.setenv(name, value)
    return roles_server


@pytest.fixture
def mocked_arize(fake_account: "FakeAccount") -> "Iterator[FakeAccount]":
    """Send the calls of every `AiohttpRolesClient` to the test's account, in process.

    See `arize_roles_fake.mock_arize`.
    """
    with arize_roles_fake.mock_arize(fake_account):
        yield fake_account


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record what a test does with accounts."""
    recorder = item.stash[_recorder_key] = Recorder()
    recorders.append(recorder)
    check_unused_faults(_unused_faults(item))


def _unused_faults(item: pytest.Item) -> object:
    # The inner marker counts.
    words = (marker.kwargs.get("unused_faults") for marker in item.iter_markers("arize_roles"))
    return next((word for word in words if word is not None), "error")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect all that a test writes, where that is searched for keys."""
    if _output_class_key not in item.config.stash:
        return (yield)
    written = item.stash[_written_key] = item.config.stash[_output_class_key]()
    with written.collected(pytest.CaptureFixture):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: "pytest.FixtureDef[Any]", request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Set up the account of `fake_account`, also a suite's own, by the markers around its scope.

    No test is asked about faults that a fixture scripts for several tests.
    """
    node: pytest.Item = request.node
    recorder = node.stash.get(_recorder_key, None)  # Only a test has one.
    with nullcontext() if recorder else recorders[-1].paused():
        value = yield
        is_named = fixturedef.argname == "fake_account"
        if is_named and isinstance(value, arize_roles_fake.FakeAccount):
            if recorder is None or recorder.account is not value:
                node.stash[_counted_key] = marks = [*node.iter_markers("arize_roles")][::-1]
                for mark in marks:
                    arize_roles(value, *mark.args, **mark.kwargs)
            if recorder is not None:
                recorder.account = value
        return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Check the faults of a test that passed, and show the calls of one that failed."""
    report = yield
    recorder = item.stash.get(_recorder_key, None)
    if recorder is None:
        return report  # A hook of the suite let it fail before.
    if call.when == "call":
        recorder.passed = report.passed
    elif call.when == "teardown":
        if recorder in recorders:
            del recorders[recorders.index(recorder) :]
        for act in recorder.at_end:
            act()
        flaws = [_flaws(item, recorder)]
        if _written_key in item.stash:
            flaws.append(item.stash[_written_key].leaks(recorder.keys, report.sections))
        if report.passed and any(flaws):
            report.outcome, report.longrepr = "failed", "\n".join(filter(None, flaws))
    if report.failed:
        _add_calls(report, recorder)
    return report


def _flaws(item: pytest.Item, recorder: Recorder) -> str:
    """Return the reason why a test is an error although nothing failed; empty for none."""
    counted = [mark for node in item.listchain() for mark in node.stash.get(_counted_key, ())]
    for mark in item.iter_markers("arize_roles") if recorder.passed is not None else ():
        # Of those around it, a test may need none.
        is_meant = mark in item.own_markers or "fake_account" in getattr(item, "fixturenames", ())
        is_empty = not (mark.args or mark.kwargs.keys() - {"unused_faults"})
        if is_meant and not is_empty and mark not in counted:
            return (
                "the marker arize_roles sets up the account of fake_account, and the test uses "
                "none of the fixtures fake_account, fake_roles, mocked_arize, roles_server and "
                "arize_env, or the suite's own fake_account has a wider scope than the marker"
            )
    if not recorder.passed:
        return ""
    if recorder.refusals:  # In a thread or a task, whose failure is nobody's.
        return "\n".join(dict.fromkeys(recorder.refusals))
    if _unused_faults(item) == "allow":
        return ""
    return unused_report(recorder.unused(), '@pytest.mark.arize_roles(unused_faults="allow")')


def _add_calls(report: pytest.TestReport, recorder: Recorder) -> None:
    accounts = recorder.accounts()
    for number, (account, count) in enumerate(accounts, 1):
        title = "Calls of the fake Arize account"
        if len(accounts) > 1:
            name = "fake_account" if account is recorder.account else f"{number} of {len(accounts)}"
            title += f" {name}, {account!r}"
        report.sections.append((title, _log(account, count)))


def _log(account: "RecordedAccount", count: int) -> str:
    calls = account.calls[-min(count, _MAX_CALLS) :] if count else ()
    lines = [f"{call.at:%H:%M:%S.%f}  {call}" for call in calls] or ["none"]
    if count > len(calls):
        lines.insert(0, f"{count - len(calls)} earlier calls are not shown")
    lines[:0] = [f"served at {url}" for served, url in urls if served is account]
    lines += [f"struck less often than scripted: {line}" for line in account.unused_faults]
    return "\n".join(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the rules of a contract that were not run, and the methods that they need."""
    rules: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        # Any hook may have set the reason of a skip to anything.
        given = cast("tuple[object, ...] | str | None", report.longrepr)
        reason = str(given[-1]) if isinstance(given, tuple) and given else ""
        # pytest has words of its own before ours.
        _, is_rule, needed = reason.partition(f"{NOT_RUN}: ")
        if is_rule:
            rules.setdefault(needed, []).append(report.nodeid.rpartition("::")[2])
    if rules:
        terminalreporter.section("rules of the contract that were not run")
    for needed, names in sorted(rules.items()):
        terminalreporter.line(f"{needed}: {', '.join(names)}")
