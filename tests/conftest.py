import pytest

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--arize-live",
        action="store_true",
        help="run the contract suite on the real service too, with the key in ARIZE_API_KEY",
    )
