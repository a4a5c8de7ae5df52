"""The contract holds whichever the service turns out to be."""

import functools
from collections.abc import Callable, Iterator
from itertools import combinations, product
from typing import Any, Final

import pytest

from arize_roles_fake import Assumptions
from tests.contract.suites import (
    FakeBindingsSuite,
    FakeSuite,
    failure,
)
from tests.support import sizes
from tests.support.covering import covering_rows

CHOICES: Final[dict[str, tuple[Any, ...]]] = dict(Assumptions.choices())
PAIRS: Final = [Assumptions(**row) for row in covering_rows(CHOICES)]
OPPOSITE: Final = Assumptions(**{name: values[-1] for name, values in CHOICES.items()})
EACH: Final = [
    Assumptions(**{name: values[row] for name, values in CHOICES.items() if row < len(values) - 1})
    for row in range(1, max(map(len, CHOICES.values())) - 1)
]
"""Every value but the defaults, on which other suites run, and the opposites."""
ROWS: Final = sizes.sized([*EACH, OPPOSITE], PAIRS)


class TestEach(FakeSuite):
    """The fake client, on those values; with `--full`, on every pair of two."""

    @pytest.fixture(params=ROWS, ids=range(len(ROWS)), autouse=True)
    def assume(self, request: pytest.FixtureRequest) -> None:
        self.assumptions = request.param


def on_other_service(suite: Any, assumptions: Assumptions) -> Any:  # noqa: ANN401 - of either kind
    """Return a suite on a service that is not what it assumes."""
    other = suite()
    other.assumptions = assumptions
    assert other.account
    other.assumptions = Assumptions()
    return other


class TestOppositeOfBindings(FakeBindingsSuite):
    """The fake client of bindings, on the opposite of every assumption."""

    assumptions = OPPOSITE


def test_every_pair() -> None:
    """Every pair of values is in a row, in few rows."""
    for first, second in combinations(CHOICES, 2):
        pairs = {(getattr(row, first), getattr(row, second)) for row in PAIRS}
        assert pairs == set(product(CHOICES[first], CHOICES[second]))
    assert len(PAIRS) <= 17


OTHERS: Final[list[tuple[type, dict[str, Any], str]]] = [
    (FakeSuite, {"invalid_body": 422}, "test_permission_unknown_to_service"),
    (FakeSuite, {"predefined_refusal": 400}, "test_update_predefined"),
    (FakeSuite, {"predefined_refusal": 400}, "test_delete_predefined"),
    (FakeSuite, {"name_comparison": "case-insensitive"}, "test_name_case"),
    (FakeSuite, {"name_comparison": "trimmed"}, "test_name_outer_spaces"),
    (FakeSuite, {"deleted_name": "kept"}, "test_deleted_name"),
    (FakeSuite, {"rename_to_own_name": 409}, "test_rename_to_own_name"),
    (FakeSuite, {"list_order": "oldest-first"}, "test_walk_sees_each_once"),
    (FakeSuite, {"paging": "by-offset"}, "test_walk_during_deletes"),
    (FakeSuite, {"unknown_id": 400}, "test_unknown_id"),
    (FakeSuite, {"malformed_id": 404}, "test_unknown_id"),
    (FakeSuite, {"other_kind_id": 400}, "test_unknown_id"),
    (FakeSuite, {"foreign_cursor": "ignored"}, "test_foreign_cursor"),
    (FakeBindingsSuite, {"rebind_to_own_role": 409}, "test_update_to_own_role"),
    (FakeBindingsSuite, {"binding_checks": "role-and-user-first"}, "test_check_order"),
    (FakeBindingsSuite, {"list_order": "oldest-first"}, "test_pages"),
    (FakeBindingsSuite, {"malformed_id": 404}, "test_unknown_id"),
    (FakeBindingsSuite, {"other_kind_id": 400}, "test_unknown"),
    (FakeBindingsSuite, {"foreign_cursor": "ignored"}, "test_cursor_other_list"),
]
"""Services that are not as assumed, each with the test that states it."""


def failing() -> Iterator[tuple[Callable[[], object], str]]:
    """Yield suites on services that are not as assumed, with the tests that fail."""
    for suite, turned, test in OTHERS:
        yield functools.partial(on_other_service, suite, Assumptions(**turned)), test


@pytest.mark.parametrize(("suite", "turned", "test"), OTHERS)
def test_other_service(suite: type, turned: dict[str, Any], test: str) -> None:
    """A test that states an assumption fails on a service that does otherwise."""
    assert failure(suite(), test) is None
    assert failure(on_other_service(suite, Assumptions(**turned)), test) is not None
