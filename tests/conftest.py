import os

import pytest

from tests.support.reach import RECORD, Recorder

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--arize-live",
        action="store_true",
        help="run the contract suite on the real service too, with the key in ARIZE_API_KEY",
    )


def pytest_configure(config: pytest.Config) -> None:
    if RECORD in os.environ:
        config.pluginmanager.register(Recorder(config.rootpath))
