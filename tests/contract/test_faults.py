"""Every rule fails on clients that have a fault which it is about.

`python -m tests.tools.assertions` lists the assertions that none of them needs, and with `--write`
looks for faults again.
"""

import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.contract.faulty import SUITES, failure, suite

FAULTS: Final[dict[str, dict[str, list[str]]]] = tomllib.loads(
    Path(__file__).parents[1].joinpath("data", "contract.toml").read_text("utf-8")
)
CONTRACTS: Final = {contract.__name__: contract for contract in SUITES}
ROWS: Final = [(contract, rule) for contract, rules in FAULTS.items() for rule in rules]


@pytest.mark.parametrize(("contract", "rule"), ROWS)
def test_seen(contract: str, rule: str) -> None:
    """A client with the fault fails the rule."""
    for fault in FAULTS[contract][rule]:
        assert failure(suite(CONTRACTS[contract], fault), rule) is not None, fault
