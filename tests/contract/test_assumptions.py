"""The contract holds whichever the service turns out to be, and says where it is another."""

import functools
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import permutations, product
from random import Random
from typing import Any, Final

import pytest

from arize_roles_fake import Assumptions
from tests.contract.faulty import CHOICES, SERVICES
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeDirectorySuite,
    FakeSuite,
    contract_tests,
    failure,
)
from tests.support import sizes

OPPOSITE: Final = SERVICES["opposite"]
EACH: Final = [
    Assumptions(**{name: values[row] for name, values in CHOICES.items() if row < len(values) - 1})
    for row in range(1, max(map(len, CHOICES.values())) - 1)
]
"""Every value but the defaults, on which other suites run, and the opposites."""
_DRAWN: Final = Random(0)  # noqa: S311 - no secret
ANY: Final = [
    Assumptions(**{name: _DRAWN.choice(values) for name, values in CHOICES.items()})
    for _ in range(60)
]
ROWS: Final = sizes.sized([OPPOSITE], [*EACH, OPPOSITE, *ANY])


class TestEach(FakeSuite):
    """The fake client on the opposites; with `--full`, on all values and on sixty draws of all."""

    @pytest.fixture(params=ROWS, ids=range(len(ROWS)), autouse=True)
    def assume(self, request: pytest.FixtureRequest) -> None:
        self.assumptions = request.param


class TestOppositeOfBindings(FakeBindingsSuite):
    """The fake client of bindings, on the opposite of every assumption."""

    assumptions = OPPOSITE


def named_in(text: str) -> dict[str, list[str]]:
    """Return the rules that the text names as those of each assumption."""
    rows = re.findall(r"^\|.*\| assumed: `(\w+)=\S+` \|.*\| (`test_.*) \|$", text, re.MULTILINE)
    return {name: re.findall(r"\w+", rules) for name, rules in rows}


PARTS: Final = re.split(
    "\n## Role bindings|\n## Users, spaces and projects",
    files("arize_roles_fake").joinpath("FIDELITY.md").read_text("utf-8"),
)
NAMED: Final[dict[type, dict[str, list[str]]]] = {
    suite: named_in(text)
    for suite, text in zip((FakeSuite, FakeBindingsSuite, FakeDirectorySuite), PARTS, strict=True)
}
OTHERS: Final[list[tuple[type, str, Any]]] = [
    (suite, name, value)
    for suite, named in NAMED.items()
    for name in named
    for value in CHOICES[name][1:]
]
"""Each other value of an assumption, and the suite with the rules that state it."""


def on_other_service(suite: Any, service: Assumptions, assumed: Assumptions) -> Any:  # noqa: ANN401
    """Return a suite on a service that is not what it assumes."""
    other = suite()
    other.assumptions = service
    assert other.account
    other.assumptions = assumed
    return other


def failing() -> Iterator[tuple[Callable[[], object], str]]:
    """Yield suites on services that are not as assumed, with the tests that fail."""
    for suite, name, value in OTHERS:
        turned = Assumptions(**{name: value})
        for rule, pair in product(NAMED[suite][name], permutations((turned, Assumptions()))):
            yield functools.partial(on_other_service, suite, *pair), rule


def test_all_stated() -> None:
    """Every assumption is stated by a rule of a contract."""
    assert {name for _, name, _ in OTHERS} == CHOICES.keys()


@pytest.mark.parametrize(("suite", "name", "value"), OTHERS)
def test_other_service(suite: Any, name: str, value: Any) -> None:  # noqa: ANN401
    """On a service of another kind, rules fail that name what it is not; the others hold.

    Where the suite assumes that kind, all hold.
    """
    turned = Assumptions(**{name: value})

    def failures(assumed: Assumptions) -> list[BaseException]:
        rules = sizes.sized(NAMED[suite][name], contract_tests(suite))
        ends = (failure(on_other_service(suite, turned, assumed), rule) for rule in rules)
        return [error for error in ends if error]

    assert failures(turned) == []
    different = failures(Assumptions())
    assert different
    for error in different:
        assert f"{name}={CHOICES[name][0]}" in error.__notes__[-1]
