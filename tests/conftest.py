import gc
import os
import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import sizes

pytest_plugins = ["pytester"]

# Where Python may write no bytecode, as in many containers, each worker and each process that a
# test starts would compile a thousand files again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

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
    parser.addoption(
        "--arize-live",
        action="store_true",
        help="run the contract suite on the real service too, with the key in ARIZE_API_KEY",
    )
    parser.addoption(
        "--full",
        action="store_true",
        help="run the long tests in full, of which each run has a sample",
    )


def pytest_configure(config: pytest.Config) -> None:
    sizes.is_full = bool(config.getoption("--full"))


def pytest_collection_finish() -> None:
    # Measuring coverage doubles the time of a process. Those that tests start take no part in it
    # but for the few whose test asks for it with `processes.MEASURED`.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    # The garbage collector would look through thousands of tests each time.
    gc.collect()
    gc.freeze()


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """Return a port of the loopback that refuses connections, and that nobody else gets."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]
