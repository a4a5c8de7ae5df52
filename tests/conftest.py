import gc
import os
import socket
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import coverage
import pytest
from hypothesis import HealthCheck, settings

import arize_roles_async
import arize_roles_fake
from tests.support import sizes, time_limit
from tests.support.modules import modules_of

pytest_plugins = ["pytester"]

# Where Python may write no bytecode, as in many containers, each worker and each process that a
# test starts would compile a thousand files again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Each client over https would read the certificates of the machine again, which takes long.
for variable in ("ARIZE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
    os.environ.pop(variable, None)

# The same examples in each run, so that no test fails by chance; `--hypothesis-profile=random` has
# others, twice as many. Neither limits the time that they take.
for name in ("random", "suite"):
    settings.register_profile(
        name,
        derandomize=name == "suite",
        max_examples=50 if name == "suite" else 100,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.differing_executors,  # pytest may run twice in a process
        ],
    )
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    live = "run the contract suite on the real service, too, with the key in ARIZE_API_KEY"
    parser.addoption("--arize-live", action="store_true", help=live)
    full = "run the long tests in full, of which each run has a sample"
    parser.addoption("--full", action="store_true", help=full)


def pytest_configure(config: pytest.Config) -> None:
    sizes.is_full = bool(config.getoption("--full"))
    time_limit.seconds *= 100 if sizes.is_full else 1
    config.pluginmanager.register(time_limit)
    config.addinivalue_line("markers", "full: runs with --full alone; other tests cover its lines")
    config.addinivalue_line("markers", "slow: starts another program so often that it takes long")
    if not sizes.is_full:
        given = config.option.markexpr
        config.option.markexpr = f"({given}) and not full" if given else "not full"


# Measuring coverage doubles the time of a process.
measurement = coverage.Coverage.current()


@contextmanager
def paused() -> Generator[None]:
    """Measure no coverage while the block runs."""
    if measurement is None:
        yield
        return
    measurement.stop()
    try:
        yield
    finally:
        measurement.start()


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Measure no coverage in a long test, whose lines shorter tests reach, too."""
    with paused():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Imports count, also those of modules that only a test would import.
    for package in (arize_roles_async, arize_roles_fake):
        modules_of(package)
    # What this makes stays for good, so the garbage collector need not look at it.
    gc.disable()
    with paused():
        collected = yield
    gc.freeze()
    gc.enable()
    return collected


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    if not session.config.pluginmanager.hasplugin("dsession"):
        return (yield)
    # The tests run in xdist's workers.
    with paused():
        return (yield)


def pytest_collection_finish() -> None:
    # Of the processes that tests start, only those measure whose test asks for it with
    # `processes.MEASURED`.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Spare the garbage collector what is left of the modules before."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs suites without two plugins of the machine's: one shuffles, one takes long to import."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly -p no:schemathesis")
    return pytester


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """Return a port of the loopback that refuses connections, and that nobody else gets."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]
