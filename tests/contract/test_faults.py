"""Every rule fails on clients that have a fault which it is about.

`python -m tests.tools.assertions` lists the assertions that none of them needs.
"""

import tomllib
from pathlib import Path
from typing import Final

import pytest

from arize_roles_async import ValidationError
from tests.contract.faulty import NO_FAULT, SUITES, SWALLOWED, suite
from tests.contract.planted import PLANTED
from tests.contract.suites import failure

FAULTS: Final[dict[str, dict[str, list[str]]]] = tomllib.loads(
    Path(__file__).parents[1].joinpath("data", "contract.toml").read_text("utf-8")
)
CONTRACTS: Final = {contract.__name__: contract for contract in SUITES}
REMEMBER: Final = (
    "test_any_order",
    "test_at_once",
    "test_read_under_way",
    "test_short_pages",
    "test_cancel_call",
    "test_cancel_one_of_two",
    "test_options_in_turn",
)
"""The rules about what lies between two calls."""
pytestmark = pytest.mark.arize_roles(unused_faults="allow")

ROWS: Final = [(contract, rule) for contract, rules in FAULTS.items() for rule in rules]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("contract", "rule"), ROWS)
def test_seen(contract: str, rule: str) -> None:
    """A client with the fault fails the rule, and one without a fault does not."""
    assert failure(suite(CONTRACTS[contract], NO_FAULT), rule) is None
    for fault in FAULTS[contract][rule]:
        made = suite(CONTRACTS[contract], fault)
        assert failure(made, rule) is not None, (fault, made.script.calls)


@pytest.mark.usefixtures("unmeasured")
def test_between_calls() -> None:
    """Each rule that remembers has a client that fails no other of them."""
    planted = [
        (*row, client) for row in ROWS for client in FAULTS[row[0]][row[1]] if client in PLANTED
    ]
    assert {client for *_, client in planted} == PLANTED.keys()
    alone: set[str] = set()
    for contract, rule, client in planted:
        if rule in REMEMBER and rule not in alone:
            suites = {each: suite(CONTRACTS[contract], client) for each in REMEMBER}
            if rule != "test_any_order":
                suites["test_any_order"].rounds = 20
            fails = ((each == rule, failure(made, each)) for each, made in suites.items())
            if all(expected is (end is not None) for expected, end in fails):
                alone.add(rule)
    assert alone == {*REMEMBER}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("contract", "methods"),
    [
        ("RolesContract", "page create get update delete"),
        ("RoleBindingsContract", "page found create get update delete ensure remove"),
        ("DirectoryContract", "page get_user get_space get_project"),
    ],
)
def test_swallowed(contract: str, methods: str, backend: str) -> None:
    """A client that swallows a cancellation in any method fails the rule of cancellation."""
    for method in methods.split():
        swallowing = suite(CONTRACTS[contract], f"{method} 1: {SWALLOWED}")
        swallowing.backend = backend
        assert failure(swallowing, "test_cancel_call") is not None, method


def test_other_error() -> None:
    """An error of another class, where an argument is invalid, is the one that the rule shows."""
    other = suite(CONTRACTS["RolesContract"], "create 1: as its base class")
    assert type(failure(other, "test_bad_name")) is ValidationError.__base__
