import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# The same examples in each run, so that no test fails by chance; `--hypothesis-profile=random` has
# others. Neither limits the time that they take.
for name in ("random", "suite"):
    settings.register_profile(
        name,
        derandomize=name == "suite",
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--arize-live",
        action="store_true",
        help="run the contract suite on the real service too, with the key in ARIZE_API_KEY",
    )


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """Return a port of the loopback that refuses connections, and that nobody else gets."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]
